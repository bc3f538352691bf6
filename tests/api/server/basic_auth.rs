//! The single user of the settings.

use axum::{
    body::{Body, Bytes},
    http::{Method, Request},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chandlery::store::audit;
use chandlery_tests::{Answer, Host, program, status};
use serde_json::json;

const PASSWORD: &str = "a:b c:ä";

async fn host(open: &[&str]) -> Host {
    let open = open.iter().map(|it| (*it).to_owned()).collect();
    let settings = |it: &mut chandlery::config::Config| {
        it.basic_auth_password = PASSWORD.into();
        it.open_paths = open;
    };
    Host::builder().config(settings).start().await
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

async fn ask(host: &Host, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let mut request =
        Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    host.send(request.body(Body::empty()).unwrap()).await
}

async fn audited(host: &Host) -> String {
    let entries = host.app.store.read(|view| audit::entries(view, 1, 100)).await.unwrap();
    entries.iter().map(|it| serde_json::to_string(it).unwrap()).collect()
}

#[track_caller]
fn expect_not_authorized(answer: Answer) {
    let answer = answer.expect(401);
    assert_eq!(answer.text(), "Not Authorized\n");
    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"escape\"");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn every_path_takes_the_password_before_it_is_looked_at() {
    let host = host(&[]).await;
    for path in [
        "/",
        "/health",
        "/ready",
        "/metrics",
        "/api/v1/inventory/",
        "/api/v1/auth/login-methods",
        "/api/v1/openapi.json",
        "/nowhere",
        "/a//b",
        "/%zz",
    ] {
        for method in ["GET", "POST", "BREW"] {
            expect_not_authorized(ask(&host, method, path, None).await);
        }
    }
    let answer = ask(&host, "POST", "/api/release/nowhere", None).await.expect(401);
    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"escape\"");
    let body = answer.json();
    assert_eq!((&body["status"], &body["error"]), (&json!(401), &json!("Unauthorized")));
    assert_eq!(body["path"], "/api/release/nowhere");
}

#[tokio::test]
async fn only_the_whole_name_and_password_open_it() {
    let host = host(&[]).await;
    let good = basic(&format!("escape:{PASSWORD}"));
    for right in [good.clone(), good.replace("Basic", "bASIC")] {
        ask(&host, "GET", "/", Some(&right)).await.expect(200);
    }
    for wrong in [
        basic("escape:a"),
        basic("escape:a:b c"),
        basic(&format!("escape:{PASSWORD}:more")),
        basic(&format!("other:{PASSWORD}")),
        basic("escape"),
        basic(""),
        "Basic".to_owned(),
        "Basic ***".to_owned(),
        good.replace("Basic", "Bearer"),
    ] {
        expect_not_authorized(ask(&host, "GET", "/", Some(&wrong)).await);
    }
}

#[tokio::test]
async fn escapes_clients_learn_how_to_log_in() {
    let protected = host(&[]).await;
    expect_not_authorized(protected.get("/api/v1/auth/login-methods").await);
    let good = basic(&format!("escape:{PASSWORD}"));
    let greeting = ask(&protected, "GET", "/", Some(&good)).await.expect(200);
    assert_eq!(greeting.text(), "Escape Release Inventory v0.16.12");

    let open = Host::start().await;
    open.get("/api/v1/auth/login-methods").await.expect(404);
    let token = Request::get("/api/v1/inventory/").header("X-Escape-Token", "of another server");
    open.send(token.body(Body::empty()).unwrap()).await.expect(200);
}

#[tokio::test]
async fn what_the_settings_open_is_open_and_nothing_beside_it() {
    let host = host(&["/health", "/ready", "/metrics"]).await;
    for path in ["/health", "/ready", "/metrics"] {
        ask(&host, "GET", path, None).await.expect(200);
    }
    for path in ["/", "/health/", "//health", "/h%65alth", "/api/v1/inventory/", "/x/../health"] {
        expect_not_authorized(ask(&host, "GET", path, None).await);
    }
}

#[tokio::test]
async fn the_user_may_do_everything_and_leaves_no_name_in_the_inventory() {
    let host = host(&[]).await;
    let send = async |method: &str, path: &str, body: String| {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("authorization", basic(&format!("escape:{PASSWORD}")))
            .header("content-type", "application/json");
        host.send(request.body(Body::from(body)).unwrap()).await
    };
    let release = json!({ "name": "app", "version": "1" }).to_string();
    send("POST", "/api/v1/inventory/ns/register", release).await.expect(200);
    let unit = send("GET", "/api/v1/inventory/ns/units/app/", String::new()).await.expect(200);
    assert_eq!(unit.json()["uploaded_by"], "");
    send("GET", "/api/release/list", String::new()).await.expect(200);

    let text = audited(&host).await;
    assert!(text.contains("user:escape") && !text.contains(PASSWORD), "{text}");
}

#[tokio::test]
async fn a_stranger_leaves_no_trace_and_no_body_is_read_of_him() {
    let host = host(&[]).await;
    let before = audited(&host).await;
    for _ in 0..20 {
        let never = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::post("/api/v1/inventory/ns/register").body(Body::from_stream(never));
        let answer = host.send(request.unwrap()).await;
        assert_eq!(answer.header("connection"), "close");
        expect_not_authorized(answer);
    }
    assert_eq!(audited(&host).await, before);
}

#[tokio::test]
async fn the_program_takes_its_password_from_the_environment() {
    let program = program!().variable("CHANDLERY_BASIC_AUTH_PASSWORD", "hunter2");
    let server = program.serve(&["--log-format", "json"]);
    let ask = async |more: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n");
        server.raw(head).await
    };
    assert_eq!(status(&ask("").await), 401);
    let good = format!("Authorization: {}\r\n", basic("escape:hunter2"));
    assert_eq!(status(&ask(&good).await), 200);
    assert!(!server.log().contains("hunter2"), "{}", server.log());
}

/// The address is of no machine: whether it may be taken is decided before that shows.
#[test]
fn with_a_password_the_server_may_listen_on_a_network() {
    let open = program!().run(&["serve", "--listen", "192.0.2.1:0"]);
    assert!(open.log.contains("set `basic_auth_password`"), "{}", open.log);
    let program = program!().variable("CHANDLERY_BASIC_AUTH_PASSWORD", "hunter2");
    let known = program.run(&["serve", "--listen", "192.0.2.1:0"]);
    assert!(known.log.contains("the server cannot listen on `192.0.2.1:0`"), "{}", known.log);
}

#[test]
fn the_password_is_never_shown() {
    let program = program!()
        .variable("CHANDLERY_BASIC_AUTH_PASSWORD", "hunter2")
        .variable("CHANDLERY_BASIC_AUTH_USERNAME", "ana");
    let shown = program.run(&["config", "show"]);
    assert!(shown.out.contains("basic_auth_password = \"***\""), "{}", shown.out);
    assert!(shown.out.contains("basic_auth_username = \"ana\""), "{}", shown.out);
    assert!(!shown.out.contains("hunter2"), "{}", shown.out);

    let pointed = program!().variable("CHANDLERY_BASIC_AUTH_PASSWORD", "env:SOMEWHERE");
    let shown = pointed.run(&["config", "show"]);
    assert!(shown.out.contains("basic_auth_password = \"env:SOMEWHERE\""), "{}", shown.out);
}

#[test]
fn settings_that_would_leave_the_door_open_end_it() {
    for (name, value, sentence) in [
        ("BASIC_AUTH_PASSWORD", "", "it is empty"),
        ("BASIC_AUTH_PASSWORD", "env:NOWHERE", "variable `NOWHERE` is not set"),
        ("BASIC_AUTH_PASSWORD", "file:/no/such/file", "cannot be read"),
        ("BASIC_AUTH_USERNAME", "ana", "set `basic_auth_password` as well"),
        ("BASIC_AUTH_USERNAME", "a:b", "without colons"),
        ("OPEN_PATHS", "['/']", "`/` cannot be open"),
    ] {
        let name = format!("CHANDLERY_{name}");
        let ended = program!().variable(&name, value).run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, 2, "{name}={value}: {}", ended.log);
        assert!(ended.log.contains(sentence) && ended.log.contains(&name), "{}", ended.log);
    }
}
