//! Outbound HTTP, checked and pinned.
//!
//! Redirects are not followed: a 3xx goes to the plugin, which may send again and
//! is checked again. Secrets are filled in here, after the check and out of sight.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use reqwest::redirect;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    address::{self, Refusal},
    faked::Faked,
    origin::{self, Origin},
    secrets::Secrets,
};
use crate::{
    error::Result,
    plugins::types::{HttpError, HttpRequest, HttpResponse, Label},
};

/// Which origins a binding may reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// `scheme://host[:port][/path-prefix]`, each. A host may be `*.example.org`.
    pub origins: Vec<String>,
    /// Methods; empty means GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Any other origin as well, as long as its addresses are public: for URLs that the
    /// server's users name.
    pub public: bool,
    /// Private, loopback or link-local networks that may be reached, as CIDR, under the
    /// origins that are named.
    pub private: Vec<String>,
    /// Loopback ports of the processes that this binding runs itself.
    pub own_processes: bool,
    /// The largest answer, in bytes; 0 means 1 MiB.
    pub response_bytes_max: u32,
}

const RESPONSE_BYTES_DEFAULT: u32 = 1 << 20;
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 32 << 10;

/// What the connection itself is made of: the host's, never the plugin's.
const RESERVED_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

impl Grant {
    /// Checks what can be checked before anything is sent.
    pub fn check(&self) -> Result<()> {
        for it in &self.origins {
            Origin::parse(it)?;
        }
        address::networks(&self.private)?;
        Ok(())
    }
}

/// The client.
#[derive(Default)]
pub struct Http {
    faked: Option<Arc<dyn Faked>>,
}

impl Http {
    /// A client. It keeps no connection: each request is checked and pinned anew.
    pub fn new() -> Http {
        Http::default()
    }

    /// One that checks as the other does, and sends nothing.
    pub fn faked(faked: Arc<dyn Faked>) -> Http {
        Http { faked: Some(faked) }
    }

    /// Sends a request that the grant covers.
    pub async fn send(
        &self,
        grant: &Grant,
        own_ports: &[u16],
        secrets: &Secrets,
        request: HttpRequest,
        left: Duration,
    ) -> Result<HttpResponse, HttpError> {
        let wanted = request.timeout_ms.map_or(left, |it| Duration::from_millis(it.into()));
        let deadline = Instant::now() + wanted.min(left);

        let url = address::parse(&request.url)?;
        let reach = Reach::of(grant, own_ports, &url, &request.method)?;
        let headers = headers(secrets, &request.headers)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| HttpError::Denied("the method is no HTTP method".into()))?;

        if let Some(faked) = &self.faked {
            address::check_unresolved(&url, |it| reach.allows(it))?;
            let request = HttpRequest { headers: labels(&headers), ..request };
            let limit = response_limit(grant, request.max_response_bytes);
            let answer = faked.http(request)?;
            return if answer.body.len() > limit { Err(HttpError::TooLarge) } else { Ok(answer) };
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let addresses = address::resolve(&url, left, |it| reach.allows(it)).await?;
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
            .build()
            .map_err(failure)?;

        let limit = response_limit(grant, request.max_response_bytes);
        let mut sending = client.request(method, url).headers(headers);
        if let Some(body) = request.body {
            sending = sending.body(body);
        }
        timeout_at(deadline, async { receive(sending.send().await.map_err(failure)?, limit).await })
            .await
            .map_err(|_| HttpError::Timeout)?
    }
}

/// Why a URL may be reached, which decides which addresses may.
enum Reach {
    Granted(Vec<IpNet>),
    OwnProcess,
}

impl Reach {
    fn of(grant: &Grant, own_ports: &[u16], url: &Url, method: &str) -> Result<Reach, HttpError> {
        let methods: &[String] = &grant.methods;
        let method_granted = match methods {
            [] => matches!(method, "GET" | "HEAD" | "POST"),
            some => some.iter().any(|it| it == method),
        };
        let own = grant.own_processes && origin::is_own_process(url, own_ports);
        let origins: Vec<Origin> = grant
            .origins
            .iter()
            .map(|it| Origin::parse(it))
            .collect::<Result<_>>()
            .map_err(|it| HttpError::Denied(it.to_string()))?;
        let named = origins.iter().any(|it| it.covers(url));
        if !own && !named && !grant.public {
            return Err(HttpError::Denied(format!(
                "`{}` is not granted: add it to `http.origins`",
                url.origin().ascii_serialization()
            )));
        }
        if !method_granted {
            return Err(HttpError::Denied(format!(
                "method `{method}` is not granted: add it to `http.methods`"
            )));
        }
        if own {
            return Ok(Reach::OwnProcess);
        }
        if !named {
            return Ok(Reach::Granted(Vec::new()));
        }
        let private = address::networks(&grant.private);
        Ok(Reach::Granted(private.map_err(|it| HttpError::Denied(it.to_string()))?))
    }

    fn allows(&self, address: IpAddr) -> bool {
        match self {
            Reach::Granted(private) => address::allowed(address, private),
            Reach::OwnProcess => address::is_loopback(address),
        }
    }
}

fn headers(secrets: &Secrets, labels: &[Label]) -> Result<HeaderMap, HttpError> {
    let denied = |why: String| Err(HttpError::Denied(why));
    let bytes: usize = labels.iter().map(|it| it.key.len() + it.value.len()).sum();
    if labels.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return denied(format!(
            "more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of them"
        ));
    }
    let mut headers = HeaderMap::new();
    for Label { key, value } in labels {
        let Ok(name) = HeaderName::from_bytes(key.as_bytes()) else {
            return denied("a header's name is not one".into());
        };
        if RESERVED_HEADERS.contains(&name.as_str()) || name == "trailer" {
            return denied(format!("header `{name}` is the host's to set"));
        }
        let filled = secrets.fill_in(value).map_err(HttpError::Denied)?;
        let Ok(mut filled_value) = HeaderValue::from_bytes(&filled) else {
            return denied(format!("the value of header `{name}` holds what a header must not"));
        };
        filled_value.set_sensitive(filled != value.as_bytes());
        headers.append(name, filled_value);
    }
    Ok(headers)
}

fn response_limit(grant: &Grant, wanted: Option<u32>) -> usize {
    let granted = match grant.response_bytes_max {
        0 => RESPONSE_BYTES_DEFAULT,
        some => some,
    };
    wanted.map_or(granted, |it| it.min(granted)) as usize
}

async fn receive(response: reqwest::Response, limit: usize) -> Result<HttpResponse, HttpError> {
    if response.content_length().is_some_and(|it| it > limit as u64) {
        return Err(HttpError::TooLarge);
    }
    let status = response.status().as_u16();
    let headers = labels(response.headers());
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(failure)?;
        if body.len() + chunk.len() > limit {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse { status, headers, body })
}

fn labels(headers: &HeaderMap) -> Vec<Label> {
    headers
        .iter()
        .map(|(name, value)| Label {
            key: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
        .collect()
}

// The URL stays out of the text: a query may hold what should not be logged.
fn failure(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(it) = source {
        text = it.to_string();
        source = it.source();
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("certificate") || lower.contains("tls") || lower.contains("handshake") {
        HttpError::Tls(text)
    } else if error.is_connect() {
        HttpError::Connect(text)
    } else {
        HttpError::Protocol(text)
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(why) => HttpError::Denied(why),
            Refusal::Unresolved(why) => HttpError::Dns(why),
            Refusal::Timeout => HttpError::Timeout,
        }
    }
}

#[cfg(test)]
mod tests;
