//! How the Inventory API answers: statuses, types and bodies, here and nowhere
//! else.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::error::{Error, chain};

/// What an Inventory handler returns.
pub(in crate::api) type Answer<T = Response> = Result<T, Failure>;

/// An [`Error`], in the Inventory's words: a status and, for the caller's own
/// mistakes, a line of plain text.
#[derive(Debug)]
pub(in crate::api) struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = self.0;
        match &error {
            Error::Invalid { message, .. } | Error::Refused { message, .. } => {
                text(StatusCode::BAD_REQUEST, message.clone())
            }
            Error::NotFound { .. } => StatusCode::NOT_FOUND.into_response(),
            Error::AlreadyExists { .. } => {
                text(StatusCode::CONFLICT, "Resource already exists".to_owned())
            }
            Error::Conflict(why) | Error::Undeletable(why) | Error::Unchanged(why) => {
                text(StatusCode::CONFLICT, why.clone())
            }
            Error::Held { .. } => text(StatusCode::CONFLICT, error.to_string()),
            Error::Outdated(why) => text(StatusCode::PRECONDITION_FAILED, why.clone()),
            Error::Gone(why) => text(StatusCode::GONE, why.clone()),
            Error::Denied(why) => text(StatusCode::FORBIDDEN, why.clone()),
            Error::TooLarge { .. } => text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            Error::Busy { retry_after, .. } => {
                let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
                let seconds = retry_after.as_secs().max(1);
                answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                answer
            }
            Error::Plugin { .. } | Error::Store { .. } | Error::Internal(_) => broken(&error),
        }
    }
}

/// Nothing of our own failures is told to the caller; the log has it.
fn broken(error: &Error) -> Response {
    tracing::error!(error = chain(error), "an inventory request failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// A whole answer in JSON, its final newline included.
pub(in crate::api) fn json(body: impl Into<Body>) -> Response {
    typed("application/json", body.into())
}

/// An answer in plain text.
pub(super) fn text(status: StatusCode, body: String) -> Response {
    let mut answer = typed("text/plain; charset=utf-8", body.into());
    *answer.status_mut() = status;
    answer
}

/// An answer of that type.
pub(in crate::api) fn typed(kind: &'static str, body: Body) -> Response {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rendered(error: Error) -> (u16, String) {
        let answer = Failure(error).into_response();
        let kind = answer.headers().get(header::CONTENT_TYPE);
        (answer.status().as_u16(), kind.map_or("", |it| it.to_str().unwrap()).to_owned())
    }

    #[test]
    fn each_failure_has_its_status_and_type() {
        let text = || "text/plain; charset=utf-8".to_owned();
        let what = "package";
        assert_eq!(rendered(Error::invalid("a", "b")), (400, text()));
        assert_eq!(rendered(Error::not_found(what, "a")), (404, String::new()));
        assert_eq!(rendered(Error::AlreadyExists { what, name: "a".into() }), (409, text()));
        assert_eq!(rendered(Error::Conflict("a".into())), (409, text()));
        assert_eq!(rendered(Error::Outdated("a".into())), (412, text()));
        assert_eq!(rendered(Error::Denied("a".into())), (403, text()));
        assert_eq!(rendered(Error::TooLarge { what, limit_bytes: 1 }), (413, text()));
        let retry_after = Duration::from_millis(10);
        assert_eq!(rendered(Error::Busy { what: "writes", retry_after }), (503, text()));
        let store = Error::Store { doing: "a".into(), source: None };
        for ours in [store, Error::Internal("a".into())] {
            assert_eq!(rendered(ours), (500, String::new()));
        }
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let busy = Error::Busy { what: "writes", retry_after: Duration::from_millis(10) };
        let answer = Failure(busy).into_response();
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    }
}
