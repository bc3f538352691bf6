//! Every URL the server answers, and what each request goes through on its way:
//! request id, family, limits, caller, route.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath},
    http::{HeaderValue, Request, StatusCode, Uri, header, request::Parts, uri::PathAndQuery},
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use futures::FutureExt;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::Instrument;

use super::{
    body,
    caller::{self, REQUEST_ID, RequestId},
    family::Family,
    framing::Refusal,
    health, inventory,
    metrics::{self, Exchange},
    path::{self, Spelling},
    release,
};
use crate::app::App;

/// How long a client that came at a bad moment should wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Answers requests, from wherever they come.
#[derive(Clone)]
pub struct Api {
    app: Arc<App>,
    routes: Router,
    room: Arc<Semaphore>,
}

impl Api {
    /// Builds the API over `app`.
    pub fn new(app: Arc<App>) -> Api {
        let room = Arc::new(Semaphore::new(app.config.limits.requests_max));
        metrics::start();
        Api { routes: routes(app.clone()), app, room }
    }

    /// Answers a request. Whatever happens on the way, there is an answer, and it
    /// carries the request's id.
    pub async fn answer(&self, request: Request<Body>) -> Response {
        let id = RequestId::of(request.headers());
        let exchange = Exchange::begin(&request, &id);
        let span = tracing::info_span!("request", request_id = %id.0);
        let mut answer = self.guarded(request, &id).instrument(span).await;
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            answer.headers_mut().insert(REQUEST_ID, value);
        }
        exchange.end(&answer);
        answer
    }

    /// Keeps a panic in the one request that it belongs to.
    async fn guarded(&self, request: Request<Body>, id: &RequestId) -> Response {
        let path = request.uri().path().to_owned();
        let answer = AssertUnwindSafe(self.routed(request, id)).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            tracing::error!(path, "a handler panicked");
            Family::of(&path).broken(&path)
        })
    }

    async fn routed(&self, request: Request<Body>, id: &RequestId) -> Response {
        let (mut parts, body) = request.into_parts();
        let family = Family::of(parts.uri.path());
        if let Some(refusal) = parts.extensions.remove::<Refusal>() {
            return closing(family.refused(refusal.status, refusal.why, parts.uri.path()));
        }
        if family == Family::Inventory
            && let Err(answer) = respell(&mut parts)
        {
            return answer;
        }
        let Ok(_room) = self.room_for(parts.uri.path()) else {
            return too_much(family, parts.uri.path());
        };
        let caller = caller::caller(&self.app, &mut parts, id);
        parts.extensions.insert(caller);

        let path = parts.uri.path().to_owned();
        let (body, progress) = body::paced(body, &self.app.config);
        let request = Request::from_parts(parts, body);
        let answer = infallible(self.routes.clone().oneshot(request).await);
        match progress.trouble() {
            Some(trouble) if !answer.status().is_success() => {
                closing(family.refused(trouble.status(), trouble.why(), &path))
            }
            _ => answer,
        }
    }

    /// A place among the requests under way. How the server is can be asked at any time.
    fn room_for(&self, path: &str) -> Result<Option<tokio::sync::SemaphorePermit<'_>>, ()> {
        if matches!(path, "/health" | "/ready" | "/metrics") {
            return Ok(None);
        }
        self.room.try_acquire().map(Some).map_err(|_| ())
    }
}

fn routes(app: Arc<App>) -> Router {
    let json_bytes_max = usize::try_from(app.config.limits.json_bytes_max).unwrap_or(usize::MAX);
    Router::new()
        .merge(inventory::routes())
        .merge(release::routes())
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", any(metrics::metrics))
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(tell_route))
        .layer(DefaultBodyLimit::max(json_bytes_max))
        .fallback(no_route)
        .with_state(app)
}

async fn no_route(uri: Uri) -> Response {
    Family::of(uri.path()).no_route(uri.path())
}

async fn no_method(method: axum::http::Method, uri: Uri) -> Response {
    Family::of(uri.path()).no_method(uri.path(), method.as_str())
}

/// Leaves the route's pattern beside the answer, for the metrics.
async fn tell_route(
    route: Option<MatchedPath>,
    request: Request<Body>,
    next: middleware::Next,
) -> Response {
    let mut answer = next.run(request).await;
    if let Some(route) = route {
        answer.extensions_mut().insert(route);
    }
    answer
}

/// Brings the path into the spelling that routes are matched in.
fn respell(parts: &mut Parts) -> Result<(), Response> {
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let with_query = |path: &str| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    match path::read(path) {
        Spelling::Clean(std::borrow::Cow::Borrowed(_)) => Ok(()),
        Spelling::Clean(clean) => {
            let invalid = |_| Family::Inventory.no_route(path);
            let clean = PathAndQuery::try_from(with_query(&clean)).map_err(invalid)?;
            parts.uri = Uri::from(clean);
            Ok(())
        }
        Spelling::Unclean(clean) => Err(moved(&with_query(&clean))),
        Spelling::Invalid if path == "*" => Err(Family::Inventory.no_route(path)),
        Spelling::Invalid => {
            let why = "the path has a `%` without two hexadecimal digits behind it";
            Err(Family::Inventory.refused(StatusCode::BAD_REQUEST, why, path))
        }
    }
}

/// The answer after which the connection is of no more use.
fn closing(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn moved(location: &str) -> Response {
    let Ok(value) = HeaderValue::from_str(location) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let text = location.replace('&', "&amp;").replace('\'', "&#39;").replace('"', "&#34;");
    let html = format!("<a href=\"{text}\">Moved Permanently</a>.\n\n");
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = [(header::LOCATION, value), (header::CONTENT_TYPE, kind)];
    (StatusCode::MOVED_PERMANENTLY, headers, html).into_response()
}

fn too_much(family: Family, path: &str) -> Response {
    let why = "too many requests at once, try again";
    let mut answer = family.refused(StatusCode::SERVICE_UNAVAILABLE, why, path);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    answer
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(it) => it,
        Err(never) => match never {},
    }
}
