//! What a browser is made to send by pages of other sites.

use axum::{body::Body, http::Request};
use chandlery_tests::{Host, program, status};
use serde_json::json;

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_reaches_nothing() {
    let server = program!().serve(&[]);
    let port = server.address.port();
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), "10.0.0.1".into()] {
        for path in ["/", "/health", "/metrics", "/api/v1/inventory/", "/api/release/list", "//x"] {
            let answer = server.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(status(&answer), 421, "{host} {path}: {answer}");
            assert!(answer.contains("`allowed_hosts`"), "{answer}");
        }
    }
    let absolute = "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(&server.raw(absolute).await), 421);

    let own = [
        "localhost".to_owned(),
        format!("127.0.0.1:{port}"),
        "[::1]".into(),
        "a.localhost:1".into(),
    ];
    for host in own {
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = server.raw(request).await;
        assert_eq!(status(&answer), 200, "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_proxys_name_is_answered_where_the_settings_say_so() {
    let server = program!().serve(&["--set", "allowed_hosts=['releases.example']"]);
    for (host, code) in
        [("releases.example", 200), ("RELEASES.example:443", 200), ("x.example", 421)]
    {
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&server.raw(request).await), code, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let host = Host::start().await;
    let release = json!({ "name": "web", "version": "1.0", "project": "acme" }).to_string();
    let register = |name: &str, value: &str| {
        Request::post("/api/v1/inventory/acme/register")
            .header("host", "localhost:7577")
            .header("content-type", "text/plain")
            .header(name, value)
            .body(Body::from(release.clone()))
            .unwrap()
    };
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "http://localhost:3000"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = host.send(register(name, value)).await.expect(403);
        assert!(answer.text().contains("another site"), "{}", answer.text());
    }
    assert_eq!(host.get("/api/v1/inventory/").await.expect(200).json(), json!({}));

    let delete = Request::delete("/api/release/web")
        .header("host", "localhost:7577")
        .header("origin", "http://evil.example");
    let answer = host.send(delete.body(Body::empty()).unwrap()).await.expect(403).json();
    assert_eq!(answer["error"], "Forbidden");
    assert_eq!(answer["path"], "/api/release/web");

    host.send(register("origin", "http://localhost:7577")).await.expect(200);
}
