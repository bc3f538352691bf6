//! What holds for every route of the inventory, whatever it is: the routes are taken
//! from the OpenAPI document, so that none can be forgotten.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chandlery_tests::{Answer, Host};
use serde_json::Value;

use super::{NO_ROUTE, at, expect_text, host_with};

/// Routes that are in one spelling only: the other one is a namespace, or nothing.
const AS_WRITTEN: [&str; 7] = [
    "/",
    "/health",
    "/metrics",
    "/api/v1/openapi.json",
    "/api/v1/inventory/{namespace}/",
    "/api/v1/inventory/search",
    "/api/v1/inventory/__providers",
];

/// Under this heading there are files for other servers, which have conventions of their own.
const FILES: &str = "Repositories";

struct Route {
    /// As the document has it.
    path: String,
    /// With parts that exist.
    filled: String,
    methods: Vec<String>,
    described: Value,
}

/// A server that holds `ns/app` in two versions, the greater with a package.
async fn furnished() -> Host {
    let host = host_with(["1.0", "1.1"]).await;
    for version in ["v1.0", "v1.1"] {
        let path = at(&format!("/ns/units/app/versions/{version}/upload"));
        host.upload(&path, b"bytes").await.expect(200);
    }
    host
}

async fn routes(host: &Host) -> Vec<Route> {
    let document = host.get("/api/v1/openapi.json").await.expect(200).json();
    let paths = document["paths"].as_object().unwrap().clone();
    // This server lacks the plugins to be ready.
    let inventory =
        paths.into_iter().filter(|(path, described)| path != "/ready" && is_inventory(described));
    let routes: Vec<Route> = inventory
        .map(|(path, described)| Route {
            filled: filled(&path),
            methods: described.as_object().unwrap().keys().map(|it| it.to_uppercase()).collect(),
            path,
            described,
        })
        .collect();
    for known in ["/", "/health", "/metrics", "/api/v1/inventory/{namespace}/register"] {
        assert!(routes.iter().any(|it| it.path == known), "{known}");
    }
    routes
}

/// Whether what goes wrong on a path is told in the inventory's words.
fn is_inventory(described: &Value) -> bool {
    described.as_object().unwrap().values().any(|operation| {
        let mut answers = operation["responses"].as_object().unwrap().values();
        let of_inventory = "#/components/responses/Inventory";
        let is_its =
            |it: &Value| it["$ref"].as_str().is_some_and(|it| it.starts_with(of_inventory));
        operation["tags"][0] != FILES && answers.any(is_its)
    })
}

fn filled(path: &str) -> String {
    let part = |it: &str| match it {
        "{namespace}" => "ns".to_owned(),
        "{unit}" => "app".to_owned(),
        "{version}" => "v1.1".to_owned(),
        it if it.starts_with('{') => "v1.0".to_owned(),
        it => it.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

async fn send(host: &Host, method: &str, path: &str) -> Answer {
    send_as(host, method, path, None, "").await
}

async fn send_as(
    host: &Host,
    method: &str,
    path: &str,
    kind: Option<&str>,
    body: &'static str,
) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    host.send(request.body(Body::from(body)).unwrap()).await
}

fn is_no_route(answer: &Answer) -> bool {
    answer.status == 404 && answer.bytes == NO_ROUTE.as_bytes()
}

#[tokio::test]
async fn a_wrong_method_is_no_route_and_never_a_405() {
    let host = furnished().await;
    for route in routes(&host).await {
        if route.path == "/metrics" {
            continue;
        }
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            if route.methods.iter().any(|it| it == method) {
                continue;
            }
            let answer = send(&host, method, &route.filled).await;
            let answer = expect_text(answer, 404, NO_ROUTE);
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{}", route.path);
            assert_eq!(answer.header("allow"), "", "what is no route has no methods");
        }
    }
}

#[tokio::test]
async fn both_ends_of_a_path_are_the_same_route() {
    let host = furnished().await;
    for route in routes(&host).await {
        let other = match route.filled.strip_suffix('/') {
            Some(path) => path.to_owned(),
            None => format!("{}/", route.filled),
        };
        if AS_WRITTEN.contains(&&*route.path) {
            continue;
        }
        for method in route.methods.iter().filter(|it| *it == "GET") {
            let (one, two) =
                (send(&host, method, &route.filled).await, send(&host, method, &other).await);
            assert!(!is_no_route(&one), "{method} {}", route.filled);
            assert_eq!((one.status, one.bytes), (two.status, two.bytes), "{method} {other}");
        }
        // What changes anything is only shown to be there: an empty request is refused.
        for method in route.methods.iter().filter(|it| *it == "POST" || *it == "PUT") {
            for path in [&route.filled, &other] {
                let answer = send(&host, method, path).await;
                assert!(!is_no_route(&answer), "{method} {path}");
            }
        }
    }
    for missing in ["/api/v1/inventory/ns", "/health/", "/ready/", "/metrics/"] {
        expect_text(send(&host, "GET", missing).await, 404, NO_ROUTE);
    }
}

#[tokio::test]
async fn head_is_offered_wherever_get_is() {
    let host = furnished().await;
    for route in routes(&host).await {
        if !route.methods.iter().any(|it| it == "GET") || route.path == "/metrics" {
            continue;
        }
        let get = send(&host, "GET", &route.filled).await;
        let head = send(&host, "HEAD", &route.filled).await;
        assert_eq!(head.status, get.status, "{}", route.path);
        assert!(head.bytes.is_empty(), "{}", route.path);
        assert_eq!(head.header("content-type"), get.header("content-type"), "{}", route.path);
    }
}

#[tokio::test]
async fn an_unclean_path_leads_to_the_clean_one() {
    let host = furnished().await;
    for route in routes(&host).await {
        let Some((_, last)) = route.filled.rsplit_once("/api/") else { continue };
        for unclean in
            [format!("//api/{last}"), format!("/x/../api/{last}"), format!("/./api/{last}")]
        {
            for method in &route.methods {
                let answer = send(&host, method, &format!("{unclean}?a=b")).await.expect(301);
                assert_eq!(answer.header("location"), format!("{}?a=b", route.filled));
                let reads = method == "GET";
                let kind = if reads { "text/html; charset=utf-8" } else { "" };
                assert_eq!(answer.header("content-type"), kind, "{method}");
                assert_eq!(answer.text().starts_with("<a href="), reads, "{method}");
            }
        }
    }
}

#[tokio::test]
async fn paths_are_matched_decoded() {
    let host = furnished().await;
    for route in routes(&host).await {
        if !route.methods.iter().any(|it| it == "GET") || !route.filled.starts_with("/api") {
            continue;
        }
        let plain = send(&host, "GET", &route.filled).await;
        let encoded = route.filled.replace("/api", "/%61pi").replace("ns", "%6es");
        let answer = send(&host, "GET", &encoded).await;
        assert_eq!((answer.status, answer.bytes), (plain.status, plain.bytes), "{encoded}");
    }
    for path in ["/ns%2Fx/units/", "/ns/units/a%2Fb/", "/ns/units/app/versions/v1%2F0/"] {
        expect_text(host.get(&at(path)).await, 404, NO_ROUTE);
    }
    for (raw, encoded) in [("v1.@", "v1.%40"), ("@", "%40"), ("v@", "v%40"), ("a:b", "a%3Ab")] {
        let path = |version: &str| at(&format!("/ns/units/app/versions/{version}/"));
        let (raw, encoded) = (host.get(&path(raw)).await, host.get(&path(encoded)).await);
        assert_eq!((raw.status, raw.bytes), (encoded.status, encoded.bytes));
    }
}

#[tokio::test]
async fn the_type_of_a_request_is_not_looked_at() {
    let host = furnished().await;
    for route in routes(&host).await {
        for method in route.methods.iter().filter(|it| *it != "DELETE") {
            if route.path.ends_with("/upload") || route.path.ends_with("/import") {
                continue;
            }
            // Not what any of them takes, so that nothing changes between the two.
            let body = if method == "GET" { "" } else { "[" };
            let json = send_as(&host, method, &route.filled, Some("application/json"), body).await;
            for kind in [None, Some("text/css"), Some("multipart/form-data"), Some("nonsense")] {
                let other = send_as(&host, method, &route.filled, kind, body).await;
                let place = format!("{method} {} {kind:?}", route.path);
                assert_eq!(other.status, json.status, "{place}");
                assert_eq!(other.header("content-type"), json.header("content-type"), "{place}");
            }
            assert!(json.status < 500, "{method} {}", route.path);
        }
    }
}

#[tokio::test]
async fn every_answer_has_the_form_that_escapes_clients_read() {
    let host = furnished().await;
    for route in routes(&host).await {
        for method in &route.methods {
            let answers = &route.described[method.to_lowercase()]["responses"];
            let good: Vec<&str> = answers
                .as_object()
                .unwrap()
                .keys()
                .filter(|it| it.starts_with('2'))
                .map(String::as_str)
                .collect();
            let place = format!("{method} {}", route.path);
            match method.as_str() {
                "PUT" => {
                    assert_eq!(good, ["201"], "{place}");
                    assert!(answers["201"]["content"].is_null(), "{place}: a PUT answers nothing");
                }
                _ => assert!(good.contains(&"200") && !good.contains(&"204"), "{place}: {good:?}"),
            }
        }
        if !route.methods.iter().any(|it| it == "GET") {
            continue;
        }
        let answer = send(&host, "GET", &route.filled).await;
        match (answer.status, answer.header("content-type")) {
            (200, "application/json") => {
                assert!(answer.text().ends_with(['}', ']', '\n']), "{}", route.path);
                answer.json();
            }
            (200, "text/plain; charset=utf-8") => {
                assert!(!answer.text().ends_with('\n'), "{}", route.path);
            }
            (200, "application/gzip") => assert!(route.path.ends_with("/download")),
            (200, "") => assert!(answer.bytes.is_empty(), "{}", route.path),
            (400 | 404, "text/plain; charset=utf-8") => {
                assert!(!is_no_route(&answer), "{}", route.path);
            }
            (404, "") => assert!(answer.bytes.is_empty(), "{}", route.path),
            (200, _) if route.path == "/metrics" || route.path.ends_with("/export") => {}
            (status, kind) => panic!("{}: {status} `{kind}`", route.path),
        }
    }
}
