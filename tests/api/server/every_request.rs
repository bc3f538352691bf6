//! Ids, families, spellings and limits, whatever the route.

use axum::{
    body::{Body, Bytes},
    http::{Method, Request},
};
use chandlery_tests::{Answer, Host};
use serde_json::json;

fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

async fn with_id(host: &Host, id: &str) -> Answer {
    let request = Request::get("/health").header("X-Request-Id", id).body(Body::empty()).unwrap();
    host.send(request).await
}

#[tokio::test]
async fn every_answer_carries_the_requests_id() {
    let host = Host::with(Vec::new()).await;
    assert_eq!(with_id(&host, "build-17.3").await.header("x-request-id"), "build-17.3");
    let replaced = with_id(&host, "two words").await;
    assert_eq!(replaced.header("x-request-id").len(), 32);
    for path in ["/nowhere", "/api/release/nowhere/at/all", "/a//b", "/%zz", "/ready", "/metrics"] {
        assert_eq!(host.get(path).await.header("x-request-id").len(), 32, "{path}");
    }
}

#[tokio::test]
async fn an_unknown_route_is_said_in_the_words_of_its_family() {
    let host = Host::with(Vec::new()).await;
    for path in ["/nowhere", "/api/v1/inventory/acme", "/api/v1/nowhere", "/health/", "/ready/"] {
        let answer = host.get(path).await.expect(404);
        assert_eq!(answer.text(), "404 page not found\n", "{path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    for path in ["/api/release/nowhere/at/all", "/api/package/no/where", "/actuator/nowhere"] {
        let answer = host.get(path).await.expect(404).json();
        assert_eq!(answer["status"], 404);
        assert_eq!(answer["error"], "Not Found");
        assert_eq!(answer["path"], path);
    }
}

#[tokio::test]
async fn a_wrong_method_is_an_unknown_route_to_the_inventory_and_a_405_to_skipper() {
    let host = Host::with(Vec::new()).await;
    let answer = host.send(request(Method::POST, "/health")).await.expect(404);
    assert_eq!(answer.text(), "404 page not found\n");
    let answer = host.send(request(Method::DELETE, "/api/about")).await.expect(405).json();
    assert_eq!(answer["error"], "Method Not Allowed");
}

#[tokio::test]
async fn an_unclean_path_leads_to_the_clean_one() {
    let host = Host::with(Vec::new()).await;
    let answer = host.get("/api//v1/x/../inventory/?a=b").await.expect(301);
    assert_eq!(answer.header("location"), "/api/v1/inventory/?a=b");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let answer = host.get("/%2e%2e/%2fevil.example/").await.expect(301);
    assert_eq!(answer.header("location"), "/evil.example/");
    host.get("/%zz").await.expect(400);
}

#[tokio::test]
async fn an_encoded_path_is_the_same_path() {
    let host = Host::with(Vec::new()).await;
    host.get("/h%65alth").await.expect(200);
    host.get("/api%2Fv1%2Fnowhere").await.expect(404);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused_and_leaves_nothing() {
    let host = Host::start().await;
    let pieces = [Ok(Bytes::from(r#"{"name":"web","#)), Err(std::io::Error::other("gone"))];
    let request = Request::post("/api/v1/inventory/acme/register")
        .header("content-type", "application/json")
        .body(Body::from_stream(futures::stream::iter(pieces)))
        .unwrap();
    host.send(request).await.expect(400);
    assert_eq!(host.get("/api/v1/inventory/").await.expect(200).json(), json!({}));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let host = Host::builder().config(|it| it.limits.json_bytes_max = 2048).start().await;
    let long = json!({ "name": "web", "version": "1", "description": "x".repeat(4096) });
    host.post("/api/v1/inventory/acme/register", &long).await.expect(413);
    assert_eq!(host.get("/api/v1/inventory/").await.expect(200).json(), json!({}));
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_again() {
    let host = Host::builder().config(|it| it.limits.requests_max = 1).start().await;
    let (sender, body) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let slow = Request::post("/api/v1/inventory/acme/register").body(Body::from_stream(body));
    let under_way = host.send(slow.unwrap());
    let others = async {
        let answer = host.get("/api/v1/inventory/").await.expect(503);
        assert_eq!(answer.header("retry-after"), "1");
        host.get("/health").await.expect(200);
        host.get("/metrics").await.expect(200);
        drop(sender);
    };
    let (slow, ()) = tokio::join!(under_way, others);
    slow.expect(400);
    host.get("/api/v1/inventory/").await.expect(200);
}
