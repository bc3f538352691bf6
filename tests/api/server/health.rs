//! `/health`, `/ready` and `/metrics`.

use axum::{body::Body, http::Request};
use chandlery_tests::{Host, guest};

#[tokio::test]
async fn health_is_an_empty_yes() {
    let host = Host::with(Vec::new()).await;
    let answer = host.get("/health").await.expect(200);
    assert!(answer.bytes.is_empty());
}

#[tokio::test]
async fn ready_tells_each_check() {
    let host = Host::start().await;
    let answer = host.get("/ready").await.expect(200).json();
    assert_eq!(answer["ready"], true);
    for check in ["store", "plugins", "engine", "metrics"] {
        assert_eq!(answer["checks"][check], "ok", "{check}");
    }
}

#[tokio::test]
async fn a_server_without_the_plugins_it_needs_is_not_ready() {
    let host = Host::with(Vec::new()).await;
    let answer = host.get("/ready").await.expect(503).json();
    assert_eq!(answer["ready"], false);
    assert_eq!(answer["checks"]["plugins"], "no policy, no renderer, no deployer is in force");
    assert_eq!(answer["checks"]["store"], "ok");
}

#[tokio::test]
async fn a_server_that_cannot_write_is_not_ready() {
    let host = Host::with(Vec::new()).await;
    host.app.store.close().await.unwrap();
    let answer = host.get("/ready").await.expect(503).json();
    assert_eq!(answer["ready"], false);
    assert_ne!(answer["checks"]["store"], "ok");
}

#[tokio::test]
async fn metrics_count_answers_and_take_any_method() {
    let host = Host::with(Vec::new()).await;
    host.get("/metrics-are-counted").await.expect(404);
    for method in ["GET", "POST", "PATCH", "BREW"] {
        let request = Request::builder().method(method).uri("/metrics").body(Body::empty());
        let answer = host.send(request.unwrap()).await.expect(200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let text = answer.text();
        assert!(text.contains("\nescape_downloads "), "{text}");
        assert!(text.contains(r#"escape_http_responses_total{code="404",method="GET"}"#), "{text}");
        assert!(text.contains(r#"escape_http_responses_latency_bucket{"#), "{text}");
        assert!(!text.contains("metrics-are-counted"), "paths are not labels: {text}");
    }
}

/// Prometheus' own default buckets, which the dashboards of the original count on.
#[tokio::test]
async fn the_originals_metrics_have_their_names_labels_and_buckets() {
    let host = Host::with(vec![guest::allow_all()]).await;
    host.get("/").await.expect(200);
    let answer = host.get("/metrics").await.expect(200);
    let text = answer.text();
    for (name, kind) in [
        ("escape_downloads", "counter"),
        ("escape_uploads", "counter"),
        ("escape_http_responses_total", "counter"),
        ("escape_http_responses_latency", "histogram"),
    ] {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} in {text}");
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} in {text}");
    }
    let labels = r#"code="200",method="GET""#;
    assert!(text.contains(&format!("\nescape_http_responses_total{{{labels}}} ")), "{text}");
    let buckets = format!("escape_http_responses_latency_bucket{{{labels},le=\"");
    let buckets: Vec<(&str, u64)> = text
        .lines()
        .filter_map(|it| it.strip_prefix(&*buckets)?.split_once("\"} "))
        .map(|(le, count)| (le, count.parse().unwrap()))
        .collect();
    let bounds: Vec<&str> = buckets.iter().map(|it| it.0).collect();
    let defaults =
        ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    assert_eq!(bounds, defaults);
    assert!(buckets.is_sorted_by_key(|it| it.1), "each holds those below: {buckets:?}");
    let whole = |what: &str| {
        let prefix = format!("escape_http_responses_latency_{what}{{{labels}}} ");
        let line = text.lines().find_map(|it| it.strip_prefix(&*prefix));
        line.unwrap_or_else(|| panic!("{prefix} in {text}")).parse::<f64>().unwrap()
    };
    assert_eq!(whole("count"), buckets.last().unwrap().1 as f64);
    assert!(whole("sum") > 0.0 && whole("count") >= 1.0);
}

#[tokio::test]
async fn uploads_and_downloads_are_counted() {
    let host = Host::with(vec![guest::allow_all()]).await;
    let (uploads, downloads) =
        (counted(&host, "escape_uploads").await, counted(&host, "escape_downloads").await);

    let units = "/api/v1/inventory/counted/units/app/versions/v1";
    let release = serde_json::json!({ "name": "app", "version": "1" });
    host.post("/api/v1/inventory/counted/register", &release).await.expect(200);
    host.upload(&format!("{units}/upload"), b"bytes").await.expect(200);
    host.get(&format!("{units}/download")).await.expect(200);

    // Other tests of this process count, too.
    assert!(counted(&host, "escape_uploads").await > uploads);
    assert!(counted(&host, "escape_downloads").await > downloads);
}

async fn counted(host: &Host, name: &str) -> u64 {
    let answer = host.get("/metrics").await.expect(200);
    let text = answer.text();
    let line = text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
    line.expect("it is always shown").parse().expect("a whole number")
}
