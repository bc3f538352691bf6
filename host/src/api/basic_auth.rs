//! HTTP Basic, where the settings name a user: asked of every request before
//! anything else is done with it.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http_body::Body as _;

use super::family::Family;
use crate::{app::App, authz::Principal};

const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"escape\"");

/// As some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Lets a request in, and puts beside it who it is from; or answers what it takes.
pub(super) fn refusal(app: &App, parts: &mut Parts, body: &Body) -> Option<Response> {
    let login = app.login.as_ref()?;
    let path = parts.uri.path();
    let known = parts.extensions.get::<Principal>().is_some();
    if known || app.config.open_paths.iter().any(|it| it == path) {
        return None;
    }
    if credentials(&parts.headers).is_some_and(|it| login.accepts(&it)) {
        parts.extensions.insert(login.principal());
        return None;
    }
    let mut answer = Family::of(path).unauthorized(path);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    if !body.is_end_stream() {
        // What is left of the body is not waited for.
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Some(answer)
}

/// `name:password` of the one `Authorization` that there is.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (all.next()?.to_str().ok()?, all.next()) else { return None };
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    BASE64.decode(credentials.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        credentials(&headers).map(|it| String::from_utf8(it).unwrap())
    }

    #[test]
    fn credentials_are_read_whatever_the_case_of_the_scheme() {
        for scheme in ["Basic", "basic", "BASIC", "bAsIc", "Basic "] {
            for text in ["ZXNjYXBlOmE6Yg==", "ZXNjYXBlOmE6Yg"] {
                assert_eq!(read(&[&format!("{scheme} {text}")]).unwrap(), "escape:a:b", "{scheme}");
            }
        }
    }

    #[test]
    fn anything_else_is_nobody() {
        for none in ["", "Basic", "Basic §", "Basic a", "Bearer ZXNjYXBlOmE6Yg==", "ZXNjYXBl"] {
            assert_eq!(read(&[none]), None, "{none}");
        }
        assert_eq!(read(&[]), None);
        let good = "Basic ZXNjYXBlOmE6Yg==";
        assert_eq!(read(&[good, good]), None, "two say nothing certain");
    }
}
