//! The two forms of an answer: HAL with `_links`, and plain JSON with a `links` array.
//!
//! `Accept` is read as leniently as can be. Java's clients send odd ones, and
//! whatever they send, the answer is JSON.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{address, answer::Failure};
use crate::{app::App, error::Error, release::model::Release};

/// A JSON object on its way out.
pub(super) type Object = Map<String, Value>;

const HAL: &str = "application/hal+json;charset=UTF-8";
pub(super) const JSON: &str = "application/json;charset=UTF-8";

/// How a request wants to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    form: Form,
    /// Scheme, host and port, and a prefix if a proxy took one off.
    base: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Hal,
    Plain,
}

/// A link: what it is, and its path. `{…}` in the path is the reader's to fill in.
pub(super) struct Link(pub(super) &'static str, pub(super) &'static str);

/// To install what was uploaded.
pub(super) const INSTALL: Link = Link("install", "/api/package/install");
/// To a release's status. The original leaves the name to the reader, too.
pub(super) const STATUS: Link = Link("status", "/api/release/status/{name}");
/// To a release's manifest.
pub(super) const MANIFEST: Link = Link("manifest", "/api/release/manifest/{name}");

impl FromRequestParts<Arc<App>> for View {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<View, Infallible> {
        let base = address::base(&app.config, &parts.headers, &parts.uri);
        Ok(View { form: form(&parts.headers), base })
    }
}

impl View {
    /// One thing, with its links.
    pub(super) fn item(
        &self,
        status: StatusCode,
        body: &impl Serialize,
        links: &[Link],
    ) -> Result<Response, Failure> {
        let mut body = object(body)?;
        let kind = match self.form {
            Form::Plain => {
                body.insert("links".to_owned(), self.plain(links));
                JSON
            }
            Form::Hal => {
                body = self.linked(body, links);
                HAL
            }
        };
        Ok(answer(status, kind, &Value::Object(body)))
    }

    /// A resource of the data repositories: always HAL, whatever was asked for.
    pub(super) fn resource(&self, body: Object) -> Response {
        answer(StatusCode::OK, self.kind(), &Value::Object(body))
    }

    /// A list of releases: always HAL, and `{}` when empty.
    pub(super) fn releases(
        self,
        first: &[Release],
        more: impl Stream<Item = Result<Vec<Release>, Error>> + Send + 'static,
    ) -> Result<Response, Failure> {
        if first.is_empty() {
            return Ok(self.resource(Object::new()));
        }
        let first = self.linked_releases(first)?;
        let view = self.clone();
        let more = more.map(move |it| view.linked_releases(&it?));
        Ok(self.list("releases", &first, more, Object::new()))
    }

    /// A list: always HAL. The first members are there; the rest is read while the answer
    /// is sent, and a failure breaks it off. `tail` comes behind the members.
    pub(super) fn list(
        &self,
        rel: &str,
        first: &[Object],
        more: impl Stream<Item = Result<Vec<Object>, Error>> + Send + 'static,
        tail: Object,
    ) -> Response {
        let mut head = format!(r#"{{"_embedded":{{"{rel}":["#).into_bytes();
        let mut begun = write(first, false, &mut head);
        let more = more.map(move |page| {
            let mut text = Vec::new();
            begun = write(&page.inspect_err(broken_off)?, begun, &mut text);
            Ok(Bytes::from(text))
        });
        let mut end = b"]}".to_vec();
        for (name, value) in tail {
            end.extend_from_slice(format!(",{}:{value}", Value::String(name)).as_bytes());
        }
        end.push(b'}');
        let ends = |text: Vec<u8>| stream::iter([Ok::<_, Error>(Bytes::from(text))]);
        let body = ends(head).chain(more).chain(ends(end));
        let kind = HeaderValue::from_static(self.kind());
        ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
    }

    /// The address of a path of this server.
    pub(super) fn href(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn kind(&self) -> &'static str {
        match self.form {
            Form::Hal => HAL,
            Form::Plain => JSON,
        }
    }

    fn plain(&self, links: &[Link]) -> Value {
        links.iter().map(|Link(rel, path)| json!({ "rel": rel, "href": self.href(path) })).collect()
    }

    fn linked(&self, mut body: Object, links: &[Link]) -> Object {
        if !links.is_empty() {
            let links = links.iter().map(|Link(rel, path)| (*rel, self.href(path)));
            body.insert("_links".to_owned(), by_rel(links).into());
        }
        body
    }

    fn linked_releases(&self, releases: &[Release]) -> Result<Vec<Object>, Error> {
        releases.iter().map(|it| Ok(self.linked(object(it)?, &[STATUS]))).collect()
    }
}

/// JSON that has no links in any form.
pub(super) fn linkless(body: &impl Serialize) -> Result<Response, Failure> {
    let body = serde_json::to_value(body);
    let body = body.map_err(|it| Failure::internal(format!("writing an answer: {it}")))?;
    Ok(answer(StatusCode::OK, JSON, &body))
}

/// Links by what they lead to. Several to the same make a list.
pub(super) fn by_rel<'a>(links: impl IntoIterator<Item = (&'a str, String)>) -> Object {
    let mut all = Object::new();
    for (rel, href) in links {
        let mut link = Object::new();
        let is_template = href.contains('{');
        link.insert("href".to_owned(), href.into());
        if is_template {
            link.insert("templated".to_owned(), true.into());
        }
        match all.get_mut(rel) {
            None => {
                all.insert(rel.to_owned(), link.into());
            }
            Some(Value::Array(several)) => several.push(link.into()),
            Some(one) => *one = json!([one.take(), link]),
        }
    }
    all
}

/// A thing as the members of its JSON.
pub(super) fn object(body: &impl Serialize) -> Result<Object, Error> {
    match serde_json::to_value(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::Internal("an answer that is no object".to_owned())),
        Err(error) => Err(Error::Internal(format!("writing an answer: {error}"))),
    }
}

/// Writes members of a list, and tells whether it has some then.
fn write(members: &[Object], mut begun: bool, text: &mut Vec<u8>) -> bool {
    for member in members {
        if begun {
            text.push(b',');
        }
        begun = true;
        serde_json::to_writer(&mut *text, member).expect("JSON can be written to memory");
    }
    begun
}

/// A JSON answer of that type.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: &Value) -> Response {
    let kind = HeaderValue::from_static(kind);
    (status, [(header::CONTENT_TYPE, kind)], Body::from(body.to_string())).into_response()
}

fn broken_off(error: &Error) {
    tracing::error!(%error, "a list was broken off");
}

fn form(headers: &HeaderMap) -> Form {
    let mut form = Form::Hal;
    for value in headers.get_all(header::ACCEPT) {
        for range in String::from_utf8_lossy(value.as_bytes()).split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let refused = parts.any(|it| {
                it.split_once('=').is_some_and(|(name, weight)| {
                    name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0)
                })
            });
            if refused {
                continue;
            }
            if kind.eq_ignore_ascii_case("application/hal+json") {
                return Form::Hal;
            }
            if kind.eq_ignore_ascii_case("application/json") {
                form = Form::Plain;
            }
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |it: &str| HeaderValue::from_bytes(it.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        for (name, text) in pairs {
            headers.append(*name, value(text));
        }
        headers
    }

    #[test]
    fn accept_is_read_leniently() {
        let form = |accept: &str| form(&headers(&[("accept", accept)]));
        for plain in [
            "application/json",
            "application/json, application/*+json",
            "text/html, APPLICATION/JSON;q=0.1",
            "application/hal+json;q=0, application/json",
            ",,;;application/json, application/json",
        ] {
            assert_eq!(form(plain), Form::Plain, "{plain}");
        }
        for hal in [
            "",
            "*/*",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "application/json, application/hal+json",
            "application/hal+json",
            "application/json;q=0",
            "text/html",
            "%%%;q=x",
            "\u{e9}\u{2603}",
        ] {
            assert_eq!(form(hal), Form::Hal, "{hal}");
        }
        assert_eq!(super::form(&HeaderMap::new()), Form::Hal);
        let two = headers(&[("accept", "text/html"), ("accept", "application/json")]);
        assert_eq!(super::form(&two), Form::Plain);
    }
}
