//! Counts and times requests, logs one line for each, and shows all metrics.
//!
//! Labels come from closed sets only (known methods, route patterns, status
//! codes), so that no client can make the number of series grow.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::MatchedPath,
    http::{Method, Request, header},
    response::{IntoResponse, Response},
};
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::caller::{Peer, RequestId};
use crate::tasks::Tasks;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often samples are taken into their buckets. Until then each is kept for itself.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts collecting, once a process, and keeps what is collected small although
/// nobody may ever ask for it.
pub(super) fn start(tasks: &Tasks) {
    let handle = HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        describe();
        Some(handle)
    });
    let Some(handle) = handle else { return };
    tasks.spawn("metrics", |stop| async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(UPKEEP_EVERY) => handle.run_upkeep(),
            }
        }
    });
}

fn describe() {
    describe_counter!("escape_downloads", "Packages downloaded");
    describe_counter!("escape_uploads", "Packages uploaded");
    describe_counter!("escape_http_responses_total", "Answers, by status code and method");
    describe_histogram!("escape_http_responses_latency", "Seconds until an answer began");
    describe_counter!("chandlery_requests_total", "Answers, by route, method and status code");
    describe_histogram!("chandlery_request_seconds", "Seconds until an answer began, by route");
    counter!("escape_downloads").absolute(0);
    counter!("escape_uploads").absolute(0);
}

/// Any method on `/metrics`: the metrics in Prometheus' text format.
pub(super) async fn metrics() -> Response {
    let text = HANDLE.get().and_then(Option::as_ref).map(|it| {
        it.run_upkeep();
        it.render()
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text.unwrap_or_default()).into_response()
}

/// One request and its answer, as the log and the metrics see them.
pub(super) struct Exchange {
    method: Method,
    path: String,
    remote: Option<Peer>,
    began: Instant,
    route: Route,
}

/// Where the route of a request is noted, once it is found.
#[derive(Clone, Default)]
struct Route(Arc<OnceLock<MatchedPath>>);

/// Notes the route that was found for the request's [`Exchange`].
pub(super) fn note_route(request: Request<Body>) -> Request<Body> {
    let extensions = request.extensions();
    if let (Some(route), Some(found)) = (extensions.get::<Route>(), extensions.get()) {
        // Set once: routes do not lead to each other.
        let _ = route.0.set(MatchedPath::clone(found));
    }
    request
}

impl Exchange {
    /// Notes what is known at the beginning.
    pub(super) fn begin(request: &mut Request<Body>) -> Exchange {
        let route = Route::default();
        request.extensions_mut().insert(route.clone());
        Exchange {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            remote: request.extensions().get::<Peer>().copied(),
            began: Instant::now(),
            route,
        }
    }

    /// The path as it came.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Counts and logs it.
    pub(super) fn end(self, id: &RequestId, answer: &Response) {
        let took = self.began.elapsed();
        let status = answer.status().as_u16();
        let route = self.route.0.get().map_or("none", MatchedPath::as_str);
        count(route, known(&self.method), status, took);
        tracing::info!(
            target: "chandlery::http",
            method = %self.method,
            path = self.path,
            status,
            duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3,
            request_id = id.0,
            remote = self.remote.map(|it| it.0.to_string()).unwrap_or_default(),
            "request"
        );
    }
}

/// The series that an answer counts in. Finding them by their labels costs more than
/// counting, so it is done once.
struct Series {
    answers: Counter,
    latency: Histogram,
    requests: Counter,
    seconds: Histogram,
}

type AnswersOfRoute = HashMap<(&'static str, u16), Series>;

/// By route, then by method and status code: as many as there are series.
static SERIES: LazyLock<RwLock<HashMap<String, AnswersOfRoute>>> = LazyLock::new(RwLock::default);

fn count(route: &str, method: &'static str, status: u16, took: Duration) {
    let known = SERIES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(series) = known.get(route).and_then(|it| it.get(&(method, status))) {
        return series.count(took);
    }
    drop(known);
    let mut known = SERIES.write().unwrap_or_else(PoisonError::into_inner);
    let of_route = known.entry(route.to_owned()).or_default();
    of_route
        .entry((method, status))
        .or_insert_with(|| Series::new(route, method, status))
        .count(took);
}

impl Series {
    fn new(route: &str, method: &'static str, status: u16) -> Series {
        let (route, code) = (route.to_owned(), status.to_string());
        let labels = [("code", code.clone()), ("method", method.to_owned())];
        Series {
            answers: counter!("escape_http_responses_total", &labels),
            latency: histogram!("escape_http_responses_latency", &labels),
            requests: counter!("chandlery_requests_total",
                "route" => route.clone(), "method" => method, "code" => code),
            seconds: histogram!("chandlery_request_seconds", "route" => route, "method" => method),
        }
    }

    fn count(&self, took: Duration) {
        self.answers.increment(1);
        self.latency.record(took);
        self.requests.increment(1);
        self.seconds.record(took);
    }
}

/// A method as a label: clients may make up others.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
