//! How our own endpoints answer: RFC 9457's problems, with a type that stays, the
//! field that is wrong, and the request's id.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    authz::Caller,
    error::{Error, chain},
    release::overview::InProgress,
    store::operations::Operation,
};

/// What a handler of our own returns.
pub(super) type Answer<T = Response> = Result<T, Failure>;

/// What went wrong, as RFC 9457 has it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::api) struct Problem {
    /// The kind of problem, the same for ever: `urn:chandlery:problem:invalid`.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in a few words.
    title: &'static str,
    /// The status code.
    status: u16,
    /// This problem in a sentence.
    detail: String,
    /// The path of the request.
    instance: String,
    /// What is wrong in the request, where it is one thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// The hook's own word for why it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    /// Who holds the release, where that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    held: Option<InProgress>,
    /// The request's id, where it reached a handler; the header has it always.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<String>,
}

/// A failure that does not know its request: [`tell`] does.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    problem: Box<Problem>,
    retry_after: Option<Duration>,
}

impl Failure {
    /// A part of the request is wrong.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Failure {
        Error::invalid(field, message).into()
    }

    /// Another operation holds the release.
    pub(super) fn held(operation: &Operation) -> Failure {
        let held = InProgress::of(operation);
        let detail = format!(
            "`{}` has held the release since {} for `{}`: come back, or wait with `?wait=`",
            held.holder, held.since, held.action
        );
        let title = "Another operation holds it";
        let mut failure = Failure::new(StatusCode::CONFLICT, "held", title, detail);
        failure.problem.held = Some(held);
        failure
    }

    fn new(status: StatusCode, kind: &str, title: &'static str, detail: String) -> Failure {
        let problem = Problem {
            kind: format!("urn:chandlery:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail,
            instance: String::new(),
            field: None,
            code: None,
            held: None,
            request_id: None,
        };
        Failure { problem: Box::new(problem), retry_after: None }
    }

    fn of_status(status: StatusCode, detail: String) -> Failure {
        let (kind, title) = match status.as_u16() {
            400 => ("bad-request", "The request makes no sense"),
            401 => ("unauthenticated", "Nobody knows who is there"),
            403 => ("denied", "It is not allowed"),
            404 => ("no-route", "There is no such path"),
            405 => ("method", "The path does not take the method"),
            408 => ("timeout", "The request took too long"),
            413 => ("too-large", "It is too large"),
            415 => ("media-type", "The body is of a type that is not read"),
            503 => ("busy", "There is too much at once"),
            500.. => ("internal", "The server broke"),
            _ => ("bad-request", "The request makes no sense"),
        };
        Failure::new(status, kind, title, detail)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let detail = error.to_string();
        let failure = |status, kind, title| Failure::new(status, kind, title, detail.clone());
        match &error {
            Error::Invalid { field, .. } => {
                let mut failure =
                    failure(StatusCode::BAD_REQUEST, "invalid", "The request is wrong");
                failure.problem.field = Some(field.clone()).filter(|it| !it.is_empty());
                failure
            }
            Error::NotFound { .. } => {
                failure(StatusCode::NOT_FOUND, "not-found", "It does not exist")
            }
            Error::AlreadyExists { .. } => {
                failure(StatusCode::CONFLICT, "exists", "It is there already")
            }
            Error::Conflict(_) | Error::Undeletable(_) => {
                failure(StatusCode::CONFLICT, "conflict", "The state of things does not allow it")
            }
            Error::Held { .. } => {
                failure(StatusCode::CONFLICT, "held", "Another operation holds it")
            }
            Error::Unchanged(_) => {
                failure(StatusCode::CONFLICT, "unchanged", "There is nothing to do")
            }
            Error::Outdated(_) => failure(
                StatusCode::PRECONDITION_FAILED,
                "outdated",
                "It has changed since the client looked",
            ),
            Error::Gone(_) => failure(StatusCode::GONE, "gone", "It is kept no longer"),
            Error::Denied(_) => failure(StatusCode::FORBIDDEN, "denied", "It is not allowed"),
            Error::Refused { code, .. } => {
                let mut failure =
                    failure(StatusCode::CONFLICT, "refused", "A hook does not let it pass");
                failure.problem.code = Some(code.clone());
                failure
            }
            Error::TooLarge { .. } => {
                failure(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "It is too large")
            }
            Error::Busy { retry_after, .. } => Failure {
                retry_after: Some(*retry_after),
                ..failure(StatusCode::SERVICE_UNAVAILABLE, "busy", "There is too much at once")
            },
            Error::Plugin { .. } => {
                tracing::error!(error = %chain(&error), "a request failed in a plugin");
                failure(StatusCode::INTERNAL_SERVER_ERROR, "plugin", "A plugin failed")
            }
            Error::Store { .. } | Error::Internal(_) => {
                tracing::error!(error = %chain(&error), "a request failed");
                let detail = "the server broke; its log says how".to_owned();
                Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
        }
    }
}

impl IntoResponse for Failure {
    /// An empty answer with the failure beside it, for [`tell`] to write out.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status);
        let mut response = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes failures out, with what they do not know of their request.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<Arc<Caller>>().map(|it| it.request.id.clone());
    let mut response = next.run(request).await;
    let Some(mut failure) = response.extensions_mut().remove::<Failure>() else {
        return response;
    };
    failure.problem.request_id = id;
    written(failure, path)
}

/// The answer where no handler was reached.
pub(in crate::api) fn problem(status: StatusCode, detail: &str, path: &str) -> Response {
    written(Failure::of_status(status, detail.to_owned()), path.to_owned())
}

fn written(failure: Failure, path: String) -> Response {
    let Failure { mut problem, retry_after } = failure;
    problem.instance = path;
    let body = serde_json::to_vec(&problem).expect("a problem is plain data");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Some(after) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_status_and_type() {
        let rendered = |error: Error| {
            let Failure { problem, .. } = error.into();
            (problem.status, problem.kind.trim_start_matches("urn:chandlery:problem:").to_owned())
        };
        let (what, name) = ("release", || "a".to_owned());
        let retry_after = Duration::from_millis(1);
        let cases = [
            (Error::invalid("a", "b"), 400, "invalid"),
            (Error::not_found(what, "a"), 404, "not-found"),
            (Error::AlreadyExists { what, name: name() }, 409, "exists"),
            (Error::Conflict(name()), 409, "conflict"),
            (Error::Outdated(name()), 412, "outdated"),
            (Error::Gone(name()), 410, "gone"),
            (Error::Denied(name()), 403, "denied"),
            (Error::Refused { hook: name(), code: name(), message: name() }, 409, "refused"),
            (Error::TooLarge { what, limit_bytes: 1 }, 413, "too-large"),
            (Error::Busy { what, retry_after }, 503, "busy"),
            (Error::Plugin { plugin: name(), message: name(), source: None }, 500, "plugin"),
            (Error::Store { doing: name(), source: None }, 500, "internal"),
            (Error::Internal(name()), 500, "internal"),
        ];
        for (error, status, kind) in cases {
            assert_eq!(rendered(error), (status, kind.to_owned()));
        }
    }

    #[test]
    fn nothing_of_our_own_failures_is_told() {
        let Failure { problem, .. } = Error::Internal("a secret path".into()).into();
        assert_eq!(problem.detail, "the server broke; its log says how");
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let busy = Error::Busy { what: "watchers", retry_after: Duration::from_millis(10) };
        let answer = written(busy.into(), String::new());
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    }
}
