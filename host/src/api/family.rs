//! Which API a path belongs to, and how that API says what no handler says:
//! that there is no such route, that a request makes no sense, that the server
//! broke.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{release::failure, v1::problem};

/// Where our own endpoints lie.
const OWN: [&str; 5] = [
    "/api/v1/releases",
    "/api/v1/events",
    "/api/v1/plugins",
    "/api/v1/bindings",
    "/api/v1/repositories",
];

/// An API with words of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// The Escape Inventory's, and what belongs to none.
    Inventory,
    /// Spring Cloud Skipper's.
    Release,
    /// Our own, of what both are about, and of what extends them.
    Own,
}

impl Family {
    /// The family of a path.
    pub(super) fn of(path: &str) -> Family {
        let under = |root: &str| {
            path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let roots = ["/api/release", "/api/package", "/api/about", "/actuator"];
        if OWN.into_iter().any(under) {
            return Family::Own;
        }
        match ["/api", "/api/"].contains(&path)
            || roots.into_iter().any(under)
            || skipper_repository(path)
        {
            true => Family::Release,
            false => Family::Inventory,
        }
    }

    /// There is no such route.
    pub(super) fn no_route(self, path: &str) -> Response {
        match self {
            Family::Inventory => plain(StatusCode::NOT_FOUND, "404 page not found\n"),
            Family::Release => failure(StatusCode::NOT_FOUND, "No message available", path),
            Family::Own => problem(StatusCode::NOT_FOUND, "there is no such path", path),
        }
    }

    /// There is such a route, but not with that method.
    pub(super) fn no_method(self, path: &str, method: &str) -> Response {
        match self {
            Family::Inventory => self.no_route(path),
            Family::Release => {
                let message = format!("Request method '{method}' not supported");
                failure(StatusCode::METHOD_NOT_ALLOWED, &message, path)
            }
            Family::Own => {
                let detail = format!("the path does not take `{method}`");
                problem(StatusCode::METHOD_NOT_ALLOWED, &detail, path)
            }
        }
    }

    /// The request itself is wrong, or too much.
    pub(super) fn refused(self, status: StatusCode, why: &str, path: &str) -> Response {
        match self {
            Family::Inventory => (status, why.to_owned()).into_response(),
            Family::Release => failure(status, why, path),
            Family::Own => problem(status, why, path),
        }
    }

    /// Nobody comes in without the right name and password.
    pub(super) fn unauthorized(self, path: &str) -> Response {
        match self {
            Family::Inventory => plain(StatusCode::UNAUTHORIZED, "Not Authorized\n"),
            Family::Release => failure(StatusCode::UNAUTHORIZED, "Unauthorized", path),
            Family::Own => {
                problem(StatusCode::UNAUTHORIZED, "it takes the right name and password", path)
            }
        }
    }

    /// A handler panicked.
    pub(super) fn broken(self, path: &str) -> Response {
        match self {
            Family::Inventory => {
                let text = HeaderValue::from_static("text/plain; charset=utf-8");
                let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
                answer.headers_mut().insert(header::CONTENT_TYPE, text);
                answer
            }
            Family::Release => {
                failure(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error", path)
            }
            Family::Own => problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the server broke; its log says how",
                path,
            ),
        }
    }
}

/// `/api/packageMetadata`, `/api/repositories`, ...: Skipper's repositories.
fn skipper_repository(path: &str) -> bool {
    let first = path.strip_prefix("/api/").map(|it| it.split('/').next().unwrap_or_default());
    let first = first.unwrap_or_default();
    first.starts_with("jpaRepository")
        || ["packageMetadata", "repositories", "deployers", "releases", "profile"].contains(&first)
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Body::from(text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_family() {
        for path in
            ["/api", "/api/", "/api/release", "/api/release/list", "/api/about", "/actuator/info"]
        {
            assert_eq!(Family::of(path), Family::Release, "{path}");
        }
        for path in ["/api/package/upload", "/api/packageMetadata/1", "/api/releases"] {
            assert_eq!(Family::of(path), Family::Release, "{path}");
        }
        for path in ["/api/jpaRepositoryStates", "/api/profile/releases", "/actuator"] {
            assert_eq!(Family::of(path), Family::Release, "{path}");
        }
        for path in ["/api/v1/releases", "/api/v1/releases/a/plan", "/api/v1/events"] {
            assert_eq!(Family::of(path), Family::Own, "{path}");
        }
        for path in [
            "/api/v1/plugins",
            "/api/v1/plugins/a/1.0.0",
            "/api/v1/bindings/a",
            "/api/v1/repositories",
            "/api/v1/repositories/local/index.yml",
        ] {
            assert_eq!(Family::of(path), Family::Own, "{path}");
        }
        for path in [
            "/",
            "/api/v1/inventory/",
            "/api/v1/eventsx",
            "/api/aboutx",
            "/api/releasex",
            "/health",
        ] {
            assert_eq!(Family::of(path), Family::Inventory, "{path}");
        }
    }
}
