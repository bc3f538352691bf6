//! Several releases at once, logs, and what is passed on to applications.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    thread::JoinHandle,
};

use axum::{
    body::Body,
    http::{Request, header},
};
use chandlery_tests::{
    Answer, DryRun, Host,
    dry_run::{app, install},
    guest,
};
use serde_json::{Value, json};

use super::{SKIPPER, failure, install::until};

const INSTALL: &str = "/api/package/install";
const NOT_FOUND: &str = "org.springframework.cloud.skipper.ReleaseNotFoundException";
const ARGUMENT: &str = "java.lang.IllegalArgumentException";

/// Two releases that are there and one that is not any more.
async fn host() -> Host {
    let host = DryRun::default().host().await;
    let web = app("web", json!({ "log": "hello" }));
    let db = app("db", json!({ "deployed-after": "never", "log": "slow" }));
    host.post(INSTALL, &install("a", &[web.clone(), db])).await.expect(201);
    host.post(INSTALL, &install("b", std::slice::from_ref(&web))).await.expect(201);
    host.post(INSTALL, &install("gone", &[web])).await.expect(201);
    host.delete("/api/release/gone").await.expect(200);
    host
}

#[tokio::test]
async fn statuses_are_told_by_name_without_those_that_are_not_there() {
    let host = host().await;

    let path = "/api/release/statuses?names=b,nobody,gone&names=a";
    let answer = host.get(path).await.expect(200);

    assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
    let all = answer.json();
    let names: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(names, ["a", "b", "gone"]);
    let keys: Vec<&String> = all["a"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["status", "firstDeployed", "lastDeployed", "deleted", "description"]);
    let platform = all["a"]["status"]["platformStatus"].as_str().unwrap();
    let apps: Value = serde_json::from_str(platform).unwrap();
    assert_eq!((&apps[0]["state"], &apps[1]["state"]), (&json!("deployed"), &json!("deploying")));
    assert_eq!(all["gone"]["status"]["statusCode"], "DELETED");
    assert_eq!(all["gone"]["status"]["platformStatus"], Value::Null);
    assert_eq!(host.get("/api/release/statuses?names=x").await.expect(200).text(), "{}");
}

#[tokio::test]
async fn states_are_told_by_deployment_id() {
    let host = host().await;

    let states = host.get("/api/release/states?names=gone,a").await.expect(200).json();

    let of_a = json!({ "a.db-v1": "deploying", "a.web-v1": "deployed" });
    assert_eq!(states, json!({ "a": of_a, "gone": {} }));
    let unknown = host.get("/api/release/states?names=x,y").await.expect(200);
    assert_eq!(unknown.bytes.len(), 0);

    let silent = DryRun { plugin: json!({ "status.fails": "trap" }), ..DryRun::default() };
    silent.swap(&host).await;
    let states = host.get("/api/release/states?names=b").await.expect(200).json();
    assert_eq!(states, json!({ "b": { "b.web-v1": "unknown" } }));
}

#[tokio::test]
async fn names_are_needed_and_each_is_put_to_the_policy() {
    let host = host().await;
    let missing = "org.springframework.web.bind.MissingServletRequestParameterException";
    for path in ["/api/release/statuses", "/api/release/states?name=a"] {
        let message = failure(host.get(path).await, 400, missing);
        assert_eq!(message, "Required request parameter 'names' is not present");
    }
    let denied = "org.springframework.security.access.AccessDeniedException";
    for (action, path) in [
        ("release:read", "/api/release/statuses?names=a"),
        ("release:read", "/api/release/states?names=a"),
        ("release:logs", "/api/release/logs/a"),
        ("release:logs", "/api/release/logs/a/b"),
        ("release:actuate", "/api/release/actuator/a/b/c?endpoint=health"),
    ] {
        let host = Host::with(vec![guest::deny_action(action)]).await;
        assert_eq!(failure(host.get(path).await, 403, denied), "not that", "{path}");
    }
}

#[tokio::test]
async fn logs_are_told_by_deployment_id() {
    let host = host().await;

    let logs = host.get("/api/release/logs/a").await.expect(200).json();

    let (web, db) = ("stdout:\nhello\n", "stdout:\nslow\n");
    assert_eq!(logs, json!({ "logs": { "a.db-v1": db, "a.web-v1": web } }));
    let one = host.get("/api/release/logs/a/A.WEB-v1").await.expect(200).json();
    assert_eq!(one, json!({ "logs": { "a.web-v1": web } }));
    for nothing in ["/api/release/logs/a/web", "/api/release/logs/gone"] {
        assert_eq!(host.get(nothing).await.expect(200).json(), json!({ "logs": {} }));
    }
    failure(host.get("/api/release/logs/nobody").await, 404, NOT_FOUND);

    let broken = DryRun {
        plugin: json!({ "logs": { "fails": "permanent", "message": "no disk" } }),
        ..DryRun::default()
    };
    broken.swap(&host).await;
    let message = failure(host.get("/api/release/logs/b").await, 409, SKIPPER);
    assert_eq!(message, "Could not read the log of [b.web-v1]: no disk");
}

/// An application whose port is the test's own: it listens there once the process runs.
struct Stage {
    host: Host,
    port: u16,
    script: String,
}

/// A local application that sleeps, on a port that nobody listens at yet.
async fn stage(account: Value) -> Stage {
    let port = free_port();
    let host = Host::builder().config(|config| {
        config.platforms.insert("local".into(), [("default".to_owned(), account)].into());
    });
    let host = host.start().await;
    for (path, body) in [
        ("/api/v1/inventory/acme/register", json!({ "name": "sleeper", "version": "1.0" })),
        ("/api/package/upload", chandlery_tests::dry_run::upload("1.0.0")),
    ] {
        let answer = host.post(path, &body).await;
        assert!(answer.status < 300, "{path}: {}", answer.text());
    }
    let upload = "/api/v1/inventory/acme/units/sleeper/versions/v1.0/upload";
    host.upload(upload, b"#!/bin/sh\nexec sleep 600\n").await.expect(200);
    let mut web = app("web", json!({}));
    web["resource"] = json!("inventory://acme/sleeper");
    web["version"] = json!("1.0");
    web["applicationProperties"] = json!({ "server.port": port.to_string() });
    host.post(INSTALL, &install("a", &[web])).await.expect(201);
    Stage { host, port, script: "/api/release/actuator/a/a.web-v1/a.web-v1-0".to_owned() }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

impl Stage {
    /// Answers `count` requests for `/actuator/` with this, after any number of probes,
    /// and gives what was asked.
    async fn listen(&self, count: usize, answer: &'static str) -> JoinHandle<Vec<String>> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let listening = std::thread::spawn(move || {
            let mut asked = Vec::new();
            while asked.len() < count {
                let (mut stream, _) = socket.accept().unwrap();
                let request = read_request(&mut stream);
                let _ = stream.write_all(answer.as_bytes());
                if request.contains(" /actuator/") {
                    asked.push(request);
                }
            }
            asked
        });
        let deployed = async || {
            let states = self.host.get("/api/release/states?names=a").await.expect(200).json();
            states["a"]["a.web-v1"] == "deployed"
        };
        until("deployed", deployed).await;
        listening
    }

    async fn ask(&self, endpoint: &str, authorization: Option<&str>) -> Answer {
        let path = format!("{}?endpoint={endpoint}", self.script);
        let mut request = Request::get(path).header(header::HOST, "localhost");
        if let Some(it) = authorization {
            request = request.header(header::AUTHORIZATION, it);
        }
        self.host.send(request.body(Body::empty()).unwrap()).await
    }
}

fn read_request(stream: &mut std::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).unwrap_or(0);
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|it| it.lines().next()?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if count == 0 || whole {
            return text;
        }
    }
}

#[tokio::test]
async fn a_request_is_passed_on_to_the_instance_that_is_named() {
    let stage = stage(json!({ "app-admin": { "user": "ana", "password": "x" } })).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.spring-boot.actuator.v3+json\r\n\
                  Content-Length: 15\r\nConnection: close\r\n\r\n{\"status\":\"UP\"}";
    let listening = stage.listen(3, answer).await;

    let read = stage.ask("health", None).await.expect(200);
    let own = stage.ask("/metrics/jvm.threads", Some("Bearer mine")).await.expect(200);
    let body = json!({ "endpoint": "loggers/app", "body": { "configuredLevel": "DEBUG" } });
    let written = stage.host.post(&stage.script, &body).await.expect(200);

    for answer in [read, own, written] {
        assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
        assert_eq!(answer.json(), json!({ "status": "UP" }));
    }
    let asked = listening.join().unwrap();
    assert!(asked[0].starts_with("GET /actuator/health HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("authorization: Basic YW5hOng=\r\n"), "{}", asked[0]);
    assert!(asked[1].starts_with("GET /actuator/metrics/jvm.threads HTTP/1.1\r\n"));
    assert!(asked[1].contains("authorization: Bearer mine\r\n"), "{}", asked[1]);
    assert!(asked[2].starts_with("POST /actuator/loggers/app HTTP/1.1\r\n"));
    assert!(asked[2].ends_with("\r\n\r\n{\"configuredLevel\":\"DEBUG\"}"), "{}", asked[2]);
    stage.host.delete("/api/release/a").await.expect(200);
}

#[tokio::test]
async fn what_an_application_says_never_becomes_a_page_or_another_address() {
    let stage = stage(json!({})).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\
                  Connection: close\r\n\r\n<script>";
    let listening = stage.listen(1, answer).await;
    let page = stage.ask("info", None).await.expect(200);
    assert_eq!(page.header("content-type"), "text/plain;charset=UTF-8");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    listening.join().unwrap();

    let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\
                  Connection: close\r\n\r\n";
    let listening = stage.listen(1, answer).await;
    let message = failure(stage.ask("info", None).await, 409, SKIPPER);
    assert_eq!(message, "Actuator endpoint [info] of [a.web-v1-0] answered with status 302");
    listening.join().unwrap();
    stage.host.delete("/api/release/a").await.expect(200);
}

#[tokio::test]
async fn an_actuator_is_reached_by_its_own_name_only() {
    let url = "http://127.0.0.1:1/";
    let host = DryRun { account: json!({ "attributes": { "url": url } }), ..DryRun::default() };
    let host = host.host().await;
    let slow = app("slow", json!({ "deployed-after": "never" }));
    host.post(INSTALL, &install("a", &[app("web", json!({})), slow])).await.expect(201);
    let at = |rest: &str| format!("/api/release/actuator/{rest}");

    for (path, expected) in [
        ("a/web/a.web-v1-0?endpoint=health", "app web is not found in release a"),
        ("a/a.web-v1/x?endpoint=health", "instance x of app a.web-v1 is not found"),
        ("a/a.slow-v1/a.slow-v1-0?endpoint=health", "is not deployed"),
        ("a/a.web-v1/a.web-v1-0?endpoint=..%2Fx", "is no path"),
        ("a/a.web-v1/a.web-v1-0?endpoint=x%0d%0ay", "holds what an endpoint cannot"),
    ] {
        let message = failure(host.get(&at(path)).await, 500, ARGUMENT);
        assert!(message.contains(expected), "{message}");
    }
    // The address is what a package made of it: it is not ours to follow.
    let message = failure(host.get(&at("a/a.web-v1/a.web-v1-0?endpoint=x")).await, 409, SKIPPER);
    assert!(message.contains("may not be reached: `deployer-dry-run` has no grant"), "{message}");
    failure(host.get(&at("x/y/z?endpoint=health")).await, 404, NOT_FOUND);
    let missing = "org.springframework.web.bind.MissingServletRequestParameterException";
    failure(host.get(&at("a/a.web-v1/a.web-v1-0")).await, 400, missing);
    failure(host.post(&at("a/a.web-v1/a.web-v1-0"), &json!({ "body": {} })).await, 400, missing);
}
