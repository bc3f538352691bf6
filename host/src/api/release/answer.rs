//! How the release API says that something went wrong.
//!
//! Java's clients look at `exception`, a class name, to know what happened; the
//! names are the original's and must stay exactly as they are.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::{Sent, links};
use crate::{
    clock::now_ms,
    error::{Error, chain},
};

/// What a handler of the release API returns.
pub(super) type Answer = Result<Response, Failure>;

/// The classes that clients know or may show.
mod class {
    pub(super) const RELEASE_NOT_FOUND: &str =
        "org.springframework.cloud.skipper.ReleaseNotFoundException";
    pub(super) const SKIPPER: &str = "org.springframework.cloud.skipper.SkipperException";
    pub(super) const PACKAGE_DELETE: &str =
        "org.springframework.cloud.skipper.PackageDeleteException";
    pub(super) const UPGRADE: &str = "org.springframework.cloud.skipper.ReleaseUpgradeException";
    pub(super) const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
    pub(super) const ILLEGAL_STATE: &str = "java.lang.IllegalStateException";
    pub(super) const DENIED: &str = "org.springframework.security.access.AccessDeniedException";
    pub(super) const NOT_READABLE: &str =
        "org.springframework.http.converter.HttpMessageNotReadableException";
    pub(super) const MEDIA_TYPE: &str =
        "org.springframework.web.HttpMediaTypeNotSupportedException";
    pub(super) const METHOD: &str =
        "org.springframework.web.HttpRequestMethodNotSupportedException";
    pub(super) const PARAMETER: &str =
        "org.springframework.web.bind.MissingServletRequestParameterException";
    pub(super) const TIMEOUT: &str =
        "org.springframework.web.context.request.async.AsyncRequestTimeoutException";
    pub(super) const NO_RESOURCE: &str =
        "org.springframework.data.rest.webmvc.ResourceNotFoundException";
    pub(super) const ARGUMENT_TYPE: &str =
        "org.springframework.web.method.annotation.MethodArgumentTypeMismatchException";
}

/// A failure in the release API's words. It does not know its path: [`tell`] does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    status: StatusCode,
    exception: &'static str,
    message: String,
    /// The release that was not found, and its version if one was asked for.
    release: Option<(String, Option<i64>)>,
    retry_after: Option<Duration>,
}

impl Failure {
    fn new(status: StatusCode, exception: &'static str, message: impl Into<String>) -> Failure {
        Failure { status, exception, message: message.into(), release: None, retry_after: None }
    }

    /// The body is not what it should be.
    pub(super) fn unreadable(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, class::NOT_READABLE, message)
    }

    /// The body is not JSON.
    pub(super) fn media_type(kind: &str) -> Failure {
        let message = format!("Content type '{kind}' not supported");
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, class::MEDIA_TYPE, message)
    }

    /// A part of the path is not what it should be.
    pub(super) fn path(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, class::ARGUMENT_TYPE, message)
    }

    /// There is no such thing in a data repository.
    pub(super) fn no_resource(what: &str, id: &str) -> Failure {
        let message = format!("there is no {what} `{id}`");
        Failure::new(StatusCode::NOT_FOUND, class::NO_RESOURCE, message)
    }

    /// Something that should never happen did.
    pub(super) fn internal(what: impl Into<String>) -> Failure {
        Error::Internal(what.into()).into()
    }

    /// The release does not exist.
    pub(super) fn no_release(name: &str, version: Option<i64>) -> Failure {
        let message = match version {
            Some(it) => format!("Release with the name [{name}] and version [{it}] doesn't exist"),
            None => format!("Release with the name [{name}] doesn't exist"),
        };
        let release = Some((name.to_owned(), version));
        Failure {
            release,
            ..Failure::new(StatusCode::NOT_FOUND, class::RELEASE_NOT_FOUND, message)
        }
    }

    /// The query lacks something.
    pub(super) fn missing(name: &str) -> Failure {
        let message = format!("Required request parameter '{name}' is not present");
        Failure::new(StatusCode::BAD_REQUEST, class::PARAMETER, message)
    }

    /// The query holds too much.
    pub(super) fn query(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, class::ILLEGAL_ARGUMENT, message)
    }

    /// It took too long.
    pub(super) fn timeout() -> Failure {
        let message = "the platforms took too long to answer";
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, class::TIMEOUT, message)
    }

    /// What an upload or a request to an actuator turns down as an argument is a 500 in
    /// the original, of a class of its own.
    pub(super) fn of_arguments(error: Error) -> Failure {
        match error {
            Error::Invalid { message, .. } => {
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, class::ILLEGAL_ARGUMENT, message)
            }
            other => other.into(),
        }
    }
}

/// What a caller is told whose request met a disk that is full or fails.
const STORE_FAILED: &str = "The store failed. Whatever was begun is brought to its end by itself \
                            once the disk works again; the server's log says what is wrong.";

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let message = error.to_string();
        let skipper = |status| Failure::new(status, class::SKIPPER, message.clone());
        match &error {
            Error::NotFound { what: "release", name } => Failure::no_release(name, None),
            Error::NotFound { what: "release version", name } => {
                let (name, version) = name.rsplit_once('/').unwrap_or((name, ""));
                Failure::no_release(name, version.parse().ok())
            }
            Error::Invalid { .. }
            | Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Conflict(_)
            | Error::Refused { .. } => skipper(StatusCode::CONFLICT),
            // The original's words alone; who holds it is told by our own endpoints.
            Error::Held { message, .. } => {
                Failure::new(StatusCode::CONFLICT, class::SKIPPER, message.clone())
            }
            Error::Undeletable(_) => {
                Failure::new(StatusCode::CONFLICT, class::PACKAGE_DELETE, message)
            }
            Error::Unchanged(_) => Failure::new(StatusCode::CONFLICT, class::UPGRADE, message),
            Error::Denied(_) => Failure::new(StatusCode::FORBIDDEN, class::DENIED, message),
            Error::Outdated(_) => skipper(StatusCode::PRECONDITION_FAILED),
            Error::Gone(_) => skipper(StatusCode::GONE),
            Error::TooLarge { .. } => skipper(StatusCode::PAYLOAD_TOO_LARGE),
            Error::Busy { retry_after, .. } => Failure {
                retry_after: Some(*retry_after),
                ..skipper(StatusCode::SERVICE_UNAVAILABLE)
            },
            Error::Plugin { .. } => {
                tracing::error!(error = %chain(&error), "a request failed in a plugin");
                skipper(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Error::Store { .. } | Error::Internal(_) => {
                tracing::error!(error = %chain(&error), "a request failed");
                let said = match error {
                    Error::Store { .. } => STORE_FAILED,
                    _ => "Internal server error",
                };
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, class::ILLEGAL_STATE, said)
            }
        }
    }
}

impl IntoResponse for Failure {
    /// An empty answer with the failure beside it, for [`tell`] to write out.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes failures out, with the path of their request.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let sent = request.extensions().get::<Sent>().map(|it| it.0.clone());
    let path = sent.unwrap_or_else(|| request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let Some(failure) = response.extensions_mut().remove::<Failure>() else {
        return response;
    };
    let Failure { status, exception, message, release, .. } = failure;
    let mut body = body(status, Some(exception), &message, &path);
    if let Some((name, version)) = release {
        body.insert("releaseName".to_owned(), name.into());
        if let Some(version) = version {
            body.insert("version".to_owned(), version.into());
        }
    }
    let mut told = links::answer(status, links::JSON, &Value::Object(body));
    if let Some(after) = response.headers_mut().remove(header::RETRY_AFTER) {
        told.headers_mut().insert(header::RETRY_AFTER, after);
    }
    told
}

/// A failure that no handler had a hand in: no such route, a method that it does
/// not have, a request that makes no sense.
pub(in crate::api) fn failure(status: StatusCode, message: &str, path: &str) -> Response {
    let exception = match status {
        StatusCode::BAD_REQUEST => Some(class::NOT_READABLE),
        StatusCode::METHOD_NOT_ALLOWED => Some(class::METHOD),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::SERVICE_UNAVAILABLE => Some(class::SKIPPER),
        _ => None,
    };
    links::answer(status, links::JSON, &Value::Object(body(status, exception, message, path)))
}

fn body(
    status: StatusCode,
    exception: Option<&str>,
    message: &str,
    path: &str,
) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("timestamp".to_owned(), now_ms().into());
    body.insert("status".to_owned(), status.as_u16().into());
    let reason = status.canonical_reason().unwrap_or_default();
    body.insert("error".to_owned(), reason.into());
    if let Some(exception) = exception {
        body.insert("exception".to_owned(), exception.into());
    }
    body.insert("message".to_owned(), message.into());
    body.insert("path".to_owned(), path.into());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_release_is_told_with_its_name_and_version() {
        let failure = Failure::from(Error::not_found("release", "a"));
        assert_eq!(failure.message, "Release with the name [a] doesn't exist");
        assert_eq!(failure.status, 404);
        assert_eq!(failure.release, Some(("a".to_owned(), None)));

        let failure = Failure::from(Error::not_found("release version", "a/b/7"));
        assert_eq!(failure.message, "Release with the name [a/b] and version [7] doesn't exist");
        assert_eq!(failure.release, Some(("a/b".to_owned(), Some(7))));
    }

    #[test]
    fn what_is_wrong_inside_is_not_told_outside() {
        let failure = Failure::from(Error::Internal("/secret/path".to_owned()));
        assert_eq!(
            (failure.status.as_u16(), failure.message.as_str()),
            (500, "Internal server error")
        );
        let failure = Failure::from(Error::store("opening `/secret/path`", "no space"));
        assert_eq!((failure.status.as_u16(), failure.message.as_str()), (500, STORE_FAILED));
    }

    #[test]
    fn only_arguments_make_an_illegal_argument_of_what_is_invalid() {
        let invalid = || Error::invalid("name", "no name");
        assert_eq!(Failure::from(invalid()).status, 409);
        assert_eq!(Failure::of_arguments(invalid()).status, 500);
        assert_eq!(Failure::of_arguments(invalid()).exception, class::ILLEGAL_ARGUMENT);
        assert_eq!(Failure::of_arguments(Error::Conflict("x".into())).exception, class::SKIPPER);
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let busy = Error::Busy { what: "requests", retry_after: Duration::from_millis(1) };
        let response = Failure::from(busy).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
