//! `ETag`, `If-None-Match` and `If-Match`.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};

use super::answer::Answer;
use crate::{
    error::{Error, Result},
    inventory::{ETag, Expected},
};

/// True where the client has what this tag stands for.
pub(in crate::api) fn has_already(headers: &HeaderMap, etag: &str) -> bool {
    let mut tags = tags(headers, header::IF_NONE_MATCH);
    tags.any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == etag)
}

/// What a request expects of the thing that it changes. What cannot be read as tags
/// matches nothing.
pub(in crate::api) fn expected(headers: &HeaderMap) -> Expected {
    if !headers.contains_key(header::IF_MATCH) {
        return Expected::Anything;
    }
    let named: Vec<_> = tags(headers, header::IF_MATCH).map(str::to_owned).collect();
    if named == ["*"] { Expected::Existing } else { Expected::OneOf(named) }
}

/// Answers with the tag, or with 304 alone where the client has the thing already.
/// The thing is only made where it is wanted.
pub(super) async fn unless_known<F>(headers: &HeaderMap, etag: &ETag, answer: F) -> Answer
where
    F: Future<Output = Answer>,
{
    let mut answer = if has_already(headers, etag.as_str()) {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        answer.await?
    };
    tag(&mut answer, etag)?;
    Ok(answer)
}

fn tag(answer: &mut Response, etag: &ETag) -> Result<()> {
    let value = HeaderValue::from_str(etag.as_str());
    let value = value.map_err(|it| Error::Internal(it.to_string()))?;
    answer.headers_mut().insert(header::ETAG, value);
    Ok(())
}

fn tags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|it| it.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|it| (name.clone(), it.parse().unwrap())).collect()
    }

    #[test]
    fn a_request_says_what_it_expects() {
        let expects = |values: &[&str]| expected(&headers(header::IF_MATCH, values));
        let tags = |tags: &[&str]| Expected::OneOf(tags.iter().map(|it| (*it).into()).collect());
        assert_eq!(expects(&[]), Expected::Anything);
        assert_eq!(expects(&["*"]), Expected::Existing);
        assert_eq!(expects(&["\"a\""]), tags(&["\"a\""]));
        assert_eq!(expects(&["\"a\" , \"b\"", "W/\"c\""]), tags(&["\"a\"", "\"b\"", "W/\"c\""]));
        assert_eq!(expects(&["*, \"a\""]), tags(&["*", "\"a\""]));
        assert_eq!(expects(&[""]), tags(&[""]));
    }

    #[test]
    fn bytes_that_are_no_text_expect_what_never_is() {
        let value = HeaderValue::from_bytes(b"\"\xff\"").unwrap();
        let headers = HeaderMap::from_iter([(header::IF_MATCH, value)]);
        assert_eq!(expected(&headers), Expected::OneOf(Vec::new()));
        assert!(!has_already(&headers, "\"a\""));
    }

    #[tokio::test]
    async fn what_a_client_has_is_not_made_again() {
        let etag = ETag::of(&[&"a"]);
        for known in ["\"a\"", "W/\"a\"", "*", "\"b\", \"a\""] {
            let never = async { panic!("nobody wants it") };
            let headers = headers(header::IF_NONE_MATCH, &[known]);
            let answer = unless_known(&headers, &etag, never).await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(answer.headers()[header::ETAG], "\"a\"");
        }
        let whole = async { Ok(Response::new(Body::empty())) };
        let headers = headers(header::IF_NONE_MATCH, &["\"b\""]);
        let answer = unless_known(&headers, &etag, whole).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::ETAG], "\"a\"");
    }
}
