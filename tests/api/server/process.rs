//! The process: how it starts, stops, and what it says.

use chandlery_tests::{program, read_to_end, status};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn it_says_where_it_listens_and_what_to_try() {
    let mut server = program!().serve(&[]);
    assert_ne!(server.address.port(), 0);
    let address = server.address;
    assert!(server.wait_for_line("try it: curl ").contains(&address.to_string()));
    assert_eq!(server.get("/health").await.0, 200);
}

#[test]
fn it_stops_when_told_to() {
    for signal in ["TERM", "INT"] {
        let mut server = program!().serve(&[]);
        server.signal(signal);
        assert!(server.wait().success(), "{signal}");
    }
}

#[tokio::test]
async fn requests_under_way_are_finished_first() {
    let program = program!();
    let mut server = program.serve(&[]);
    let mut stream = server.connect().await;
    let body = r#"{"name":"web","version":"1.0","project":"acme"}"#;
    let head = format!(
        "POST /api/v1/inventory/acme/register HTTP/1.1\r\nHost: localhost\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It has begun to read: the request is under way.
    let mut start = [0; 25];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 100 Continue\r\n\r\n");

    server.signal("TERM");
    server.wait_for_log("stopping");
    stream.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(status(&read_to_end(&mut stream).await), 200);
    assert!(server.wait().success());

    let server = program.serve(&[]);
    let (code, versions) = server.get("/api/v1/inventory/acme/units/web/versions/").await;
    assert_eq!((code, versions.trim()), (200, r#"["1.0"]"#));
}

#[tokio::test]
async fn requests_that_take_too_long_to_finish_are_cut_off() {
    let mut server = program!().serve(&["--set", "timeouts.drain_ms=100"]);
    let mut stream = server.connect().await;
    let head = "POST /api/v1/inventory/acme/register HTTP/1.1\r\nHost: localhost\r\n\
                Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 25];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut start).await.unwrap();
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(server.log().contains("cut off"), "{}", server.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = program!().serve(&[]);
    let mut stream = server.connect().await;
    let head = "POST /api/v1/inventory/acme/register HTTP/1.1\r\nHost: localhost\r\n\
                Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 25];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut start).await.unwrap();
    server.signal("TERM");
    server.wait_for_log("stopping");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
}

#[tokio::test]
async fn a_killed_server_starts_again_over_the_same_data() {
    let program = program!();
    let server = program.serve(&[]);
    let body = r#"{"name":"web","version":"1.0","project":"acme"}"#;
    let request = format!(
        "POST /api/v1/inventory/acme/register HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status(&server.raw(request).await), 200);
    server.kill();
    let server = program.serve(&[]);
    assert_eq!(server.get("/api/v1/inventory/acme/units/web/").await.0, 200);
}

#[test]
fn an_address_in_use_is_said_so() {
    let server = program!().serve(&[]);
    let address = server.address.to_string();
    let ended = program!().run(&["serve", "--listen", &address]);
    assert_eq!(ended.code, 2);
    assert!(ended.log.contains("another program listens on"), "{}", ended.log);
    assert!(ended.log.contains("flag --listen"), "{}", ended.log);
}

#[test]
fn a_folder_in_use_is_said_so() {
    let program = program!();
    let _server = program.serve(&[]);
    let ended = program.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_ne!(ended.code, 0);
    assert!(ended.out.is_empty(), "{}", ended.out);
}

#[test]
fn other_addresses_than_loopback_are_refused_without_accounts() {
    let ended = program!().run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(ended.code, 2);
    assert!(ended.log.contains("allow_unauthenticated_network = true"), "{}", ended.log);
}

#[tokio::test]
async fn a_request_is_one_line_in_the_log() {
    let server = program!().serve(&["--log-format", "json"]);
    let request = "GET /a%0d%0a%1b%5b31m?token=hunter2 HTTP/1.1\r\nHost: localhost\r\n\
                   X-Request-Id: line-test\r\nX-Escape-Token: hunter2\r\n\
                   Authorization: Bearer hunter2\r\nUser-Agent: \x1b[31mred\r\n\
                   Connection: close\r\n\r\n";
    server.raw(request).await;
    server.raw(request.replace("\x1b[31m", "")).await;
    server.wait_for_log("line-test");
    let log = server.log();
    assert!(!log.contains("hunter2") && !log.contains('\x1b'), "{log}");
    let records: Vec<Value> =
        log.lines().map(|it| serde_json::from_str(it).expect("each line is JSON")).collect();
    let record = records.iter().find(|it| it["request_id"] == "line-test").unwrap();
    assert_eq!(record["message"], "request");
    assert_eq!(record["method"], "GET");
    assert_eq!(record["status"], 404);
    assert!(record["duration_ms"].is_number() && record["remote"].is_string(), "{record}");
}
