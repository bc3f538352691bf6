//! The two forms of an answer: HAL with `_links`, and plain JSON with a `links`
//! array; and the address that links begin with.
//!
//! `Accept` is read as leniently as can be. Java's clients send odd ones, and
//! whatever they send, the answer is JSON.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::Failure;
use crate::{error::Error, release::model::Release};

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

impl<S: Sync> FromRequestParts<S> for View {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<View, Infallible> {
        Ok(View { form: form(&parts.headers), base: base(&parts.headers, &parts.uri) })
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
                self.add_hal(&mut body, links);
                HAL
            }
        };
        Ok(answer(status, kind, &Value::Object(body)))
    }

    /// A list of releases: always HAL, whatever was asked for, and `{}` when empty. The
    /// first ones are there; the rest is read while the answer is sent, and a failure
    /// breaks it off.
    pub(super) fn releases(
        self,
        first: Vec<Release>,
        more: impl Stream<Item = Result<Vec<Release>, Error>> + Send + 'static,
    ) -> Result<Response, Failure> {
        let kind = match self.form {
            Form::Hal => HAL,
            Form::Plain => JSON,
        };
        if first.is_empty() {
            return Ok(answer(StatusCode::OK, kind, &json!({})));
        }
        let mut head = br#"{"_embedded":{"releases":["#.to_vec();
        self.write(&first, &mut head)?;
        drop(first);
        let more = more.map(move |page| {
            let mut text = Vec::new();
            for release in page.inspect_err(broken_off)? {
                text.push(b',');
                self.write(&[release], &mut text).map_err(|_| {
                    let error = Error::Internal("a release cannot be written".to_owned());
                    broken_off(&error);
                    error
                })?;
            }
            Ok(Bytes::from(text))
        });
        let ends = |text: Vec<u8>| stream::iter([Ok::<_, Error>(Bytes::from(text))]);
        let body = ends(head).chain(more).chain(ends(b"]}}".to_vec()));
        let kind = HeaderValue::from_static(kind);
        Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response())
    }

    fn write(&self, releases: &[Release], text: &mut Vec<u8>) -> Result<(), Failure> {
        for (index, release) in releases.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            let mut item = object(release)?;
            self.add_hal(&mut item, &[STATUS]);
            serde_json::to_writer(&mut *text, &item)
                .map_err(|it| Failure::internal(format!("writing an answer: {it}")))?;
        }
        Ok(())
    }

    fn plain(&self, links: &[Link]) -> Value {
        links.iter().map(|Link(rel, path)| json!({ "rel": rel, "href": self.href(path) })).collect()
    }

    fn add_hal(&self, body: &mut Map<String, Value>, links: &[Link]) {
        if links.is_empty() {
            return;
        }
        let mut all = Map::new();
        for Link(rel, path) in links {
            let mut link = Map::new();
            link.insert("href".to_owned(), self.href(path).into());
            if path.contains('{') {
                link.insert("templated".to_owned(), true.into());
            }
            all.insert((*rel).to_owned(), link.into());
        }
        body.insert("_links".to_owned(), all.into());
    }

    fn href(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// JSON that has no links in any form.
pub(super) fn linkless(body: &impl Serialize) -> Result<Response, Failure> {
    let body = serde_json::to_value(body);
    let body = body.map_err(|it| Failure::internal(format!("writing an answer: {it}")))?;
    Ok(answer(StatusCode::OK, JSON, &body))
}

/// A JSON answer of that type.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: &Value) -> Response {
    let kind = HeaderValue::from_static(kind);
    (status, [(header::CONTENT_TYPE, kind)], Body::from(body.to_string())).into_response()
}

fn broken_off(error: &Error) {
    tracing::error!(%error, "a list was broken off");
}

fn object(body: &impl Serialize) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Failure::internal("an answer that is no object")),
        Err(error) => Err(Failure::internal(format!("writing an answer: {error}"))),
    }
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

/// The address under which the client sees this server.
fn base(headers: &HeaderMap, uri: &Uri) -> String {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        // Each proxy adds to the end; the first was the client's own.
        value.split(',').next().map(str::trim).filter(|it| !it.is_empty())
    };
    let forwarded = |name: &str| {
        text("forwarded")?.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    };
    let scheme = forwarded("proto").or_else(|| text("x-forwarded-proto"));
    let scheme = match scheme {
        Some(it) if it.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let own = || text("host").or_else(|| uri.authority().map(|it| it.as_str()));
    let told = forwarded("host").or_else(|| text("x-forwarded-host")).filter(|it| is_host(it));
    let host = told.or_else(|| own().filter(|it| is_host(it))).unwrap_or("localhost");
    let port = text("x-forwarded-port").filter(|it| {
        let default = if scheme == "https" { 443 } else { 80 };
        it.parse::<u16>().is_ok_and(|it| it != default) && told.is_some_and(|it| !has_port(it))
    });
    let prefix = text("x-forwarded-prefix").filter(|it| is_prefix(it)).unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    match port {
        Some(port) => format!("{scheme}://{host}:{port}{prefix}"),
        None => format!("{scheme}://{host}{prefix}"),
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it))
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        && !host.ends_with(']')
}

fn is_prefix(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._~/".contains(&it))
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

    #[track_caller]
    fn check_base(pairs: &[(&'static str, &str)], expected: &str) {
        assert_eq!(base(&headers(pairs), &Uri::from_static("/api")), expected);
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

    #[test]
    fn links_begin_with_the_address_that_the_client_used() {
        check_base(&[("host", "localhost:7577")], "http://localhost:7577");
        check_base(&[("host", "[::1]:7577")], "http://[::1]:7577");
        check_base(&[], "http://localhost");
        check_base(&[("host", "a/b?<c>")], "http://localhost");
        assert_eq!(base(&HeaderMap::new(), &Uri::from_static("http://a:1/x")), "http://a:1");
    }

    #[test]
    fn proxies_are_believed_in_where_they_stand() {
        let host = ("host", "inner:7577");
        check_base(
            &[host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "outer")],
            "https://outer",
        );
        check_base(
            &[
                host,
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "outer, middle"),
                ("x-forwarded-port", "8443"),
                ("x-forwarded-prefix", "/skipper/"),
            ],
            "https://outer:8443/skipper",
        );
        check_base(
            &[host, ("x-forwarded-host", "outer"), ("x-forwarded-port", "80")],
            "http://outer",
        );
        check_base(
            &[host, ("forwarded", "for=1.2.3.4;proto=https;host=\"outer:1\", for=5.6.7.8")],
            "https://outer:1",
        );
        check_base(&[host, ("x-forwarded-proto", "gopher")], "http://inner:7577");
        check_base(&[host, ("x-forwarded-host", "evil\"<")], "http://inner:7577");
        check_base(&[host, ("x-forwarded-prefix", "//evil")], "http://inner:7577");
    }
}
