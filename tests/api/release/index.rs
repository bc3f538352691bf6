//! Where clients begin.

use axum::{body::Body, http::Request};
use chandlery_tests::{Host, guest};
use serde_json::{Value, json};

use super::send_as;

async fn host() -> Host {
    Host::with(super::bindings()).await
}

async fn hal(host: &Host, path: &str) -> Value {
    let answer = send_as(host, "GET", path, b"*/*", &Value::Null).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/hal+json;charset=UTF-8", "{path}");
    answer.json()
}

#[tokio::test]
async fn who_asks_the_front_door_for_hal_is_led_to_the_release_api() {
    let host = host().await;
    let root = async |accept: &str| {
        let request = Request::get("/").header("host", "localhost").header("accept", accept);
        host.send(request.body(Body::empty()).unwrap()).await
    };
    for accept in ["application/hal+json", "application/json, application/hal+json;q=0.9"] {
        let answer = root(accept).await.expect(302);
        assert_eq!((answer.header("location"), answer.text()), ("/api", ""));
    }
    for accept in ["*/*", "application/json", "text/plain"] {
        assert!(root(accept).await.expect(200).text().starts_with("Escape Release Inventory"));
    }
}

#[tokio::test]
async fn what_can_be_done_is_told_as_links_in_both_forms() {
    let host = host().await;

    let release = hal(&host, "/api/release").await;
    let links = release["_links"].as_object().unwrap();
    let rels: Vec<_> = links.keys().map(String::as_str).collect();
    let expected = [
        "status/name",
        "status/name/version",
        "manifest",
        "manifest/name/version",
        "upgrade",
        "rollback",
        "list",
        "list/name",
        "actuator/name/app/id",
        "logs/name",
    ];
    assert_eq!(rels, expected);
    let base = "http://localhost:7577/api/release";
    assert_eq!(links["list"], json!({ "href": format!("{base}/list") }));
    assert_eq!(
        links["rollback"],
        json!({ "href": format!("{base}/rollback/{{name}}/123"), "templated": true })
    );
    assert_eq!(links["actuator/name/app/id"].as_array().unwrap().len(), 2);

    let plain = send_as(&host, "GET", "/api/release", b"application/json", &Value::Null).await;
    let plain = plain.expect(200).json();
    assert_eq!(plain["links"].as_array().unwrap().len(), 11);
    assert_eq!(plain["links"][4], json!({ "rel": "upgrade", "href": format!("{base}/upgrade") }));

    let package = hal(&host, "/api/package").await;
    let install = "http://localhost:7577/api/package/install/{id}";
    assert_eq!(package["_links"]["install/id"], json!({ "href": install, "templated": true }));
    assert_eq!(package["_links"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn every_link_of_the_index_leads_somewhere() {
    let host = host().await;
    let index = hal(&host, "/api").await;
    for (rel, link) in index["_links"].as_object().unwrap() {
        let href = link["href"].as_str().unwrap();
        let path = href.strip_prefix("http://localhost:7577").unwrap();
        let path = path.split('{').next().unwrap();
        let answer = send_as(&host, "GET", path, b"*/*", &Value::Null).await.expect(200);
        if rel.starts_with("jpa") {
            assert_eq!(answer.json()["_embedded"], json!({ rel.as_str(): [] }));
        }
    }
    let profiles = hal(&host, "/api/profile").await;
    for resource in ["packageMetadata", "repositories", "deployers", "releases"] {
        let href = format!("http://localhost:7577/api/profile/{resource}");
        assert_eq!(profiles["_links"][resource]["href"], href);
        let path = format!("/api/profile/{resource}");
        let alps = send_as(&host, "GET", &path, b"*/*", &Value::Null).await.expect(200);
        assert_eq!(alps.header("content-type"), "application/alps+json;charset=UTF-8");
        assert_eq!(alps.json()["alps"]["version"], "1.0");
        let accept = b"application/schema+json";
        let schema = send_as(&host, "GET", &path, accept, &Value::Null).await.expect(200);
        assert_eq!(schema.header("content-type"), "application/schema+json;charset=UTF-8");
        assert_eq!(schema.json()["properties"]["name"]["type"], "string");
    }
    host.get("/api/profile/nothing").await.expect(404);
}

#[tokio::test]
async fn links_follow_a_proxy_only_to_names_that_the_server_answers_to() {
    let host = Host::builder()
        .plugins(super::bindings())
        .config(|it| it.allowed_hosts = vec!["releases.example".to_owned()])
        .start()
        .await;
    let base = async |forwarded: &str| {
        let request = Request::get("/api")
            .header("host", "localhost:7577")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", forwarded);
        let index = host.send(request.body(Body::empty()).unwrap()).await.expect(200).json();
        index["_links"]["about"]["href"].as_str().unwrap().to_owned()
    };
    assert_eq!(base("releases.example").await, "https://releases.example/api/about");
    assert_eq!(base("evil.example").await, "https://localhost:7577/api/about");
}

#[tokio::test]
async fn a_spring_monitor_finds_health_and_info() {
    let mut bindings = super::bindings();
    bindings[0] = guest::deny_all();
    let host = Host::with(bindings).await;
    assert_eq!(host.get("/actuator/health").await.expect(200).text(), r#"{"status":"UP"}"#);
    host.get("/actuator/info").await.expect(403);

    let host = Host::with(super::bindings()).await;
    let info = host.get("/actuator/info").await.expect(200).json();
    assert_eq!(info["app"]["name"], "Spring Cloud Skipper Server");
    assert_eq!(info["app"]["version"], env!("CARGO_PKG_VERSION"));
    let links = hal(&host, "/actuator").await;
    assert_eq!(links["_links"]["health"]["href"], "http://localhost:7577/actuator/health");
    let unknown = host.get("/actuator/env").await.expect(404);
    assert_eq!(unknown.json()["path"], "/actuator/env");
}

#[tokio::test]
async fn the_policy_is_asked_for_every_link_page_and_resource() {
    let everything = [
        ("server:read", "/api"),
        ("server:read", "/api/release"),
        ("server:read", "/api/package"),
        ("server:read", "/api/jpaRepositoryStates"),
        ("server:read", "/api/profile"),
        ("server:read", "/api/profile/releases"),
        ("server:read", "/actuator"),
        ("package:list", "/api/packageMetadata"),
        ("package:list", "/api/packageMetadata/search"),
        ("package:list", "/api/packageMetadata/search/findByName?name=a"),
        ("package:list", "/api/packageMetadata/search/findByNameContainingIgnoreCase?name=a"),
        ("package:read", "/api/packageMetadata/1"),
        ("repository:read", "/api/repositories"),
        ("repository:read", "/api/repositories/1"),
        ("repository:read", "/api/repositories/search"),
        ("repository:read", "/api/repositories/search/findByName?name=local"),
        ("release:list", "/api/deployers"),
        ("release:list", "/api/deployers/some"),
        ("release:list", "/api/deployers/search"),
        ("release:list", "/api/deployers/search/findByName?name=default"),
        ("release:list", "/api/releases"),
        ("release:list", "/api/releases/search"),
        ("release:read", "/api/releases/1"),
    ];
    let denied = "org.springframework.security.access.AccessDeniedException";
    let host = Host::with(vec![guest::deny_all()]).await;
    for (_, path) in everything {
        super::failure(host.get(path).await, 403, denied);
    }
    for action in ["server:read", "package:list", "package:read", "repository:read"] {
        let host = Host::with(vec![guest::deny_action(action)]).await;
        for (asked, path) in everything {
            let answer = host.get(path).await;
            assert_eq!(answer.status == 403, asked == action, "{action}: {path}: {answer:?}");
        }
    }
}
