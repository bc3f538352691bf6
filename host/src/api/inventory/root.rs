//! The server's front door.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    answer::{Answer, text, typed},
    target,
};
use crate::{
    app::App,
    authz::{self, Caller},
};

/// Escape's clients know a server by this text. The version is the one of the
/// original whose ways this server keeps to.
const GREETING: &str = "Escape Release Inventory v0.16.12";

const PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <title>Chandlery</title>\n<h1>Chandlery</h1>\n\
    <p>This server keeps releases and puts them to work.</p>\n<ul>\n\
    <li><a href=\"/api/v1/inventory/\">Namespaces of the inventory</a></li>\n\
    <li><a href=\"/api\">Where the release API begins</a></li>\n\
    <li><a href=\"/api/about\">About the release server</a></li>\n\
    <li><a href=\"/ready\">Readiness</a></li>\n</ul>\n</html>\n";

/// What Skipper's clients ask for by name, and nobody else.
const HAL: &str = "application/hal+json";

/// `GET /`: the Inventory's text, or a page for who prefers one. Who asks for HAL is led
/// to where Skipper's API begins.
pub(super) async fn root(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer {
    authz::authorize(&app, &caller, "server:read", target::server()).await?;
    if asks_for_hal(&headers) {
        let mut answer = text(StatusCode::FOUND, String::new());
        answer.headers_mut().remove(header::CONTENT_TYPE);
        answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/api"));
        return Ok(answer);
    }
    Ok(if prefers_html(&headers) { page() } else { text(StatusCode::OK, GREETING.to_owned()) })
}

fn page() -> Response {
    let mut answer = typed("text/html; charset=utf-8", Body::from(PAGE));
    let policy = "default-src 'none'; frame-ancestors 'none'".parse();
    if let Ok(policy) = policy {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn asks_for_hal(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    accepted.flat_map(|it| it.split([',', ';'])).any(|it| it.trim().eq_ignore_ascii_case(HAL))
}

/// True where `text/html` is asked for by name and plain text is not asked for more.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let (mut html, mut plain) = (0.0, 0.0);
    for range in accepted.flat_map(|it| it.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|it| it.strip_prefix("q=")).unwrap_or("1");
        let weight: f32 = weight.parse().unwrap_or(0.0);
        match kind {
            "text/html" => html = weight,
            "text/plain" => plain = weight,
            _ => (),
        }
    }
    html > 0.0 && html >= plain
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header::ACCEPT};

    #[test]
    fn only_who_asks_for_html_gets_it() {
        let prefers = |accept: &str| {
            super::prefers_html(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]))
        };
        for browser in
            ["text/html", "text/html,application/xml;q=0.9,*/*;q=0.8", "a/b, text/html;q=0.5"]
        {
            assert!(prefers(browser), "{browser}");
        }
        for other in [
            "*/*",
            "text/plain",
            "text/html;q=0.5, text/plain",
            "text/html;q=0",
            "",
            "application/json",
        ] {
            assert!(!prefers(other), "{other}");
        }
        assert!(!super::prefers_html(&HeaderMap::new()));
    }
}
