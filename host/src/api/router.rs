//! Every URL the server answers, and what each request goes through on its way:
//! request id, family, site, password, limits, caller, route.

use std::{borrow::Cow, convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::DefaultBodyLimit,
    http::{
        HeaderValue, Method, Request, StatusCode, Uri, header, request::Parts, uri::PathAndQuery,
    },
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http_body::Body as _;
use tokio::sync::Semaphore;
use tower::{ServiceExt, util::MapRequestLayer};
use tracing::Instrument;

use super::{
    basic_auth, body,
    caller::{self, REQUEST_ID, RequestId},
    family::Family,
    framing::Refusal,
    health::{self, Readiness},
    inventory,
    metrics::{self, Exchange},
    openapi::{self, json, nothing, text, typed},
    path::{self, Spelling},
    release::{self, Sent},
    routes::{Routes, any, get},
    site, v1,
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
    /// Of what extractors read. Bodies have their own limits where handlers read them.
    body_limit: DefaultBodyLimit,
}

impl Api {
    /// Builds the API over `app`.
    pub fn new(app: Arc<App>) -> Api {
        let room = Arc::new(Semaphore::new(app.config.limits.requests_max));
        metrics::start(&app.tasks);
        let json_bytes_max = usize::try_from(app.config.limits.json_bytes_max);
        let body_limit = DefaultBodyLimit::max(json_bytes_max.unwrap_or(usize::MAX));
        Api { routes: routes(app.clone()), app, room, body_limit }
    }

    /// Answers a request. Whatever happens on the way, there is an answer, and it
    /// carries the request's id.
    pub async fn answer(&self, mut request: Request<Body>) -> Response {
        let id = RequestId::of(request.headers());
        let exchange = Exchange::begin(&mut request);
        let span = tracing::info_span!("request", request_id = %id.0);
        let answering = self.guarded(request, &id, exchange.path());
        let mut answer = answering.instrument(span).await;
        exchange.end(&id, &answer);
        if let Ok(value) = HeaderValue::try_from(id.0) {
            answer.headers_mut().insert(REQUEST_ID, value);
        }
        answer
    }

    /// Ends the answers that have no end of their own.
    pub(super) fn end(&self) {
        self.app.events.end();
    }

    /// Keeps a panic in the one request that it belongs to.
    async fn guarded(&self, request: Request<Body>, id: &RequestId, path: &str) -> Response {
        let answer = AssertUnwindSafe(self.routed(request, id)).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            tracing::error!(path, "a handler panicked");
            Family::of(path).broken(path)
        })
    }

    async fn routed(&self, request: Request<Body>, id: &RequestId) -> Response {
        let (mut parts, body) = request.into_parts();
        let family = Family::of(parts.uri.path());
        if let Some(refusal) = parts.extensions.remove::<Refusal>() {
            return closing(family.refused(refusal.status, refusal.why, parts.uri.path()));
        }
        if let Some((status, why)) = site::refusal(&self.app.config, &parts) {
            return closing(family.refused(status, why, parts.uri.path()));
        }
        if let Some(refusal) = basic_auth::refusal(&self.app, &mut parts, &body) {
            return refusal;
        }
        if family == Family::Inventory
            && let Some(answer) = respell(&mut parts)
        {
            return answer;
        }
        if family == Family::Release {
            release::respell(&mut parts);
        }
        let Ok(_room) = self.room_for(parts.uri.path()) else {
            return too_much(family, parts.uri.path());
        };
        let caller = caller::caller(&self.app, &mut parts, id);
        parts.extensions.insert(caller.clone());
        if body.is_end_stream() {
            let mut answer = self.handled(Request::from_parts(parts, body)).await;
            caller::warn(&caller, answer.headers_mut());
            return answer;
        }

        let uri = parts.uri.clone();
        let (body, progress) = body::paced(body, &self.app.config);
        let mut request = Request::from_parts(parts, body);
        self.body_limit.apply(&mut request);
        let mut answer = self.handled(request).await;
        caller::warn(&caller, answer.headers_mut());
        match progress.trouble() {
            // Its own words are better, as long as they are to the point.
            Some(trouble) if answer.status() == trouble.status() => closing(answer),
            Some(trouble) if !answer.status().is_success() => {
                closing(family.refused(trouble.status(), trouble.why(), uri.path()))
            }
            _ => answer,
        }
    }

    async fn handled(&self, request: Request<Body>) -> Response {
        let mut answer = infallible(self.routes.clone().oneshot(request).await);
        // To the Inventory's clients a wrong method is no route, and none has methods.
        if answer.status() == StatusCode::NOT_FOUND {
            answer.headers_mut().remove(header::ALLOW);
        }
        answer
    }

    /// A place among the requests under way. How the server is can be asked at any time.
    fn room_for(&self, path: &str) -> Result<Option<tokio::sync::SemaphorePermit<'_>>, ()> {
        if matches!(path, "/health" | "/ready" | "/metrics" | "/actuator/health") {
            return Ok(None);
        }
        self.room.try_acquire().map(Some).map_err(|_| ())
    }
}

/// Every route of a server, with `dev` or without: its own, the Inventory's, Skipper's,
/// and our own beside these.
pub(super) fn all(dev: bool) -> [Routes; 4] {
    let server = [
        get("health", "/health", health::health)
            .says("Whether the server is alive")
            .gives(200, nothing())
            .as_written()
            .unasked(),
        get("ready", "/ready", health::ready)
            .says("Whether the server is fit for work, check by check")
            .gives(200, json::<Readiness>())
            .refuses([503])
            .as_written()
            .unasked(),
        any("metrics", "/metrics", metrics::metrics)
            .says("Metrics in Prometheus' text format")
            .gives(200, text())
            .as_written()
            .unasked(),
        get("openapi", "/api/v1/openapi.json", openapi::openapi)
            .says("This document")
            .gives(200, typed("application/json"))
            .as_written(),
    ];
    let server = Routes::default().group("Server", "", server);
    [server, inventory::routes(), release::routes(), v1::routes()].map(|it| it.served(dev))
}

fn routes(app: Arc<App>) -> Router {
    let [server, inventory, release, own] = all(app.config.dev);
    // Sees the request alone, and costs it no future of its own.
    let note_route: fn(Request<Body>) -> Request<Body> = metrics::note_route;
    Router::new()
        .merge(server.router())
        .merge(inventory.router())
        .merge(release::around(release.router()))
        .merge(v1::around(own.router()))
        .method_not_allowed_fallback(no_method)
        .layer(MapRequestLayer::new(note_route))
        .fallback(no_route)
        .with_state(app)
}

async fn no_route(uri: Uri, sent: Option<Extension<Sent>>) -> Response {
    let path = sent.as_ref().map_or(uri.path(), |it| &it.0.0);
    Family::of(uri.path()).no_route(path)
}

async fn no_method(method: Method, uri: Uri, sent: Option<Extension<Sent>>) -> Response {
    let path = sent.as_ref().map_or(uri.path(), |it| &it.0.0);
    Family::of(uri.path()).no_method(path, method.as_str())
}

/// Brings the path into the spelling that routes are matched in, or answers where
/// there is nothing to match.
fn respell(parts: &mut Parts) -> Option<Response> {
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let with_query = |path: &str| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    match path::read(path) {
        Spelling::Clean(Cow::Borrowed(_)) => None,
        Spelling::Clean(clean) => match PathAndQuery::try_from(with_query(&clean)) {
            Ok(clean) => {
                parts.uri = Uri::from(clean);
                None
            }
            Err(_) => Some(Family::Inventory.no_route(path)),
        },
        Spelling::Unclean(clean) => Some(moved(&parts.method, &with_query(&clean))),
        Spelling::Invalid if path == "*" => Some(Family::Inventory.no_route(path)),
        Spelling::Invalid => {
            let why = "the path has a `%` without two hexadecimal digits behind it";
            Some(Family::Inventory.refused(StatusCode::BAD_REQUEST, why, path))
        }
    }
}

/// The answer after which the connection is of no more use.
fn closing(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Only who reads gets a page that says so.
fn moved(method: &Method, location: &str) -> Response {
    let Ok(value) = HeaderValue::from_str(location) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let location_header = [(header::LOCATION, value)];
    if !matches!(*method, Method::GET | Method::HEAD) {
        return (StatusCode::MOVED_PERMANENTLY, location_header).into_response();
    }
    let text = location.replace('&', "&amp;").replace('\'', "&#39;").replace('"', "&#34;");
    let html = format!("<a href=\"{text}\">Moved Permanently</a>.\n\n");
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    (StatusCode::MOVED_PERMANENTLY, location_header, kind, html).into_response()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app, config::Config};

    async fn api(folder: &std::path::Path, routes: Router) -> Api {
        let config = Config { data: folder.join("data"), ..Config::default() };
        let app = app::start_with(config, Vec::new()).await.unwrap();
        Api { routes, ..Api::new(app) }
    }

    async fn get(api: &Api, path: &str) -> Response {
        api.answer(Request::get(path).body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn a_panic_stays_in_its_request() {
        async fn panics() -> StatusCode {
            panic!("a bug")
        }
        let folder = tempfile::tempdir().unwrap();
        let routes = Router::new()
            .route("/panics", get_route(panics))
            .route("/api/release/panics", get_route(panics))
            .route("/works", get_route(|| async {}));
        let api = api(folder.path(), routes).await;

        let answer = get(&api, "/panics").await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(answer.headers()[REQUEST_ID].len(), 32);
        let answer = get(&api, "/api/release/panics").await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("application/json"), "{kind}");
        assert_eq!(get(&api, "/works").await.status(), StatusCode::OK);
        assert_eq!(api.room.available_permits(), Config::default().limits.requests_max);
    }

    fn get_route<H, T>(handler: H) -> axum::routing::MethodRouter
    where
        H: axum::handler::Handler<T, ()>,
        T: 'static,
    {
        axum::routing::get(handler)
    }
}
