//! The running server that the verbs of operators speak to.
//!
//! Who asks is told by the environment, so that no password stands in a list of
//! processes: `CHANDLERY_USER` and `CHANDLERY_PASSWORD`, or `CHANDLERY_TOKEN`.

use std::{fmt::Write as _, time::Duration};

use clap::Args;
use reqwest::{Method, RequestBuilder, header};
use serde_json::Value;
use url::Url;

use super::Output;
use crate::{
    cli::say,
    error::{Error, Result},
};

/// A component may take a while to be compiled.
const PATIENCE: Duration = Duration::from_secs(300);

/// Which server, and how its answers are printed.
#[derive(Args)]
pub(in crate::cli) struct Remote {
    /// The server
    #[arg(long, value_name = "URL", env = "CHANDLERY_SERVER")]
    #[arg(default_value = "http://127.0.0.1:7577")]
    server: Url,
    /// As what it is printed
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// A client of the server.
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
}

/// A plugin as it is named on the command line: `name` or `name@version`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) version: Option<String>,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        match name.is_empty() || version.as_deref() == Some("") {
            true => Err("write `name` or `name@version`".to_owned()),
            false => Ok(Named { name: name.to_owned(), version }),
        }
    }
}

impl Remote {
    /// Does some work with the server, and prints what it answers: as it is, or as
    /// `table` makes it of it.
    pub(super) fn run(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<Value>,
        table: impl FnOnce(&Value) -> String,
    ) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|it| Error::Internal(format!("the runtime: {it}")))?;
        let http = reqwest::Client::builder().timeout(PATIENCE).build();
        let http = http.map_err(|it| Error::Internal(format!("the client: {it}")))?;
        let client = Client { http, server: self.server.clone() };
        let answer = runtime.block_on(work(&client))?;
        match self.output {
            Output::Json if answer.is_null() => {}
            Output::Json => say(&format!("{answer:#}")),
            Output::Table => say(table(&answer).trim_end()),
        }
        Ok(())
    }
}

impl Client {
    /// Reads something.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send(self.request(Method::GET, path)?).await?.0)
    }

    /// Reads all pages of a list.
    pub(super) async fn all(&self, path: &str) -> Result<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut page = self.get(&format!("{path}?limit=100{cursor}")).await?;
            if let Some(found) = page["items"].as_array_mut() {
                items.append(found);
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    /// Sends JSON; with a tag only where the thing is as it was.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        tag: Option<&str>,
    ) -> Result<Value> {
        let mut request = self.request(method, path)?;
        if !body.is_null() {
            request =
                request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some(tag) = tag {
            request = request.header(header::IF_MATCH, tag);
        }
        Ok(self.send(request).await?.0)
    }

    /// Sends a component.
    pub(super) async fn upload(&self, path: &str, component: Vec<u8>) -> Result<Value> {
        let request = self.request(Method::POST, path)?;
        let request = request.header(header::CONTENT_TYPE, "application/wasm").body(component);
        Ok(self.send(request).await?.0)
    }

    /// Reads something with its entity tag.
    pub(super) async fn tagged(&self, path: &str) -> Result<(Value, String)> {
        self.send(self.request(Method::GET, path)?).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let url = self.server.join(path).map_err(|it| Error::invalid("server", it.to_string()))?;
        let request = self.http.request(method, url);
        let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
        Ok(match (variable("CHANDLERY_TOKEN"), variable("CHANDLERY_PASSWORD")) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(password)) => {
                let user = variable("CHANDLERY_USER").unwrap_or_else(|| "escape".to_owned());
                request.basic_auth(user, Some(password))
            }
            (None, None) => request,
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<(Value, String)> {
        let failed = |it: reqwest::Error| Error::Store {
            doing: format!("asking {}", self.server),
            source: Some(it.into()),
        };
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let tag = answer.headers().get(header::ETAG).and_then(|it| it.to_str().ok());
        let tag = tag.unwrap_or_default().to_owned();
        let body = answer.bytes().await.map_err(failed)?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok((json, tag));
        }
        let why = match json["detail"].as_str() {
            Some(detail) => detail.to_owned(),
            None => String::from_utf8_lossy(&body).trim().to_owned(),
        };
        let field = json["field"].as_str().map(|it| format!("`{it}`: ")).unwrap_or_default();
        Err(Error::Conflict(format!("{field}{why} ({status})")))
    }
}

/// Rows in columns under their names.
pub(super) fn columns<const N: usize>(names: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = names.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let names = names.map(str::to_uppercase);
    for row in std::iter::once(&names).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // A string takes everything.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A member as a cell: text as it is, a list with commas, nothing for null.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_with_or_without_its_version() {
        let named = |text: &str| text.parse::<Named>();
        let of = |name: &str, version: Option<&str>| {
            Ok(Named { name: name.to_owned(), version: version.map(str::to_owned) })
        };
        assert_eq!(named("gate"), of("gate", None));
        assert_eq!(named("gate@1.0.0"), of("gate", Some("1.0.0")));
        assert!(named("").is_err() && named("gate@").is_err() && named("@1").is_err());
    }

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let rows = [["gate".to_owned(), "1".to_owned()], ["a".to_owned(), String::new()]];
        assert_eq!(columns(["name", "version"], &rows), "NAME  VERSION\ngate  1\na\n");
    }
}
