//! Raw bytes on the socket: what hyper would let pass, and slow clients.

use chandlery_tests::{Running, program, read_to_end, status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// With little patience, so that the tests need little, too.
fn impatient() -> Running {
    let program = program!();
    let settings = program.settings(
        "[timeouts]\nhead_ms = 300\nidle_ms = 600\nbody_ms = 300\nwrite_ms = 500\n\
         [limits]\nhead_bytes_max = 65536\n",
    );
    program.serve(&["--config", settings.to_str().unwrap()])
}

fn refused(answer: &str, code: u16) {
    assert_eq!(status(answer), code, "{answer}");
    assert!(answer.to_lowercase().contains("\r\nx-request-id: "), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close"), "{answer}");
}

#[tokio::test]
async fn what_two_readers_could_read_differently_is_refused() {
    let server = program!().serve(&[]);
    let ok = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&server.raw(ok).await), 200);
    let old = "GET /health HTTP/1.0\r\n\r\n";
    assert_eq!(status(&server.raw(old).await), 200);

    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n",
        "GET /health HTTP/1.1\nHost: a\n\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX: y\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n\r\n",
        "GET /a\0b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = server.raw(format!("{head}{smuggled}")).await;
        refused(&answer, 400);
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer: {answer}");
    }
    assert!(!server.log().contains("/smuggled"), "{}", server.log());
}

#[tokio::test]
async fn a_body_never_becomes_a_request() {
    let server = program!().serve(&[]);
    let inner = "GET /inner HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let after = "GET /after HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let length = inner.len();
    let by_length = format!(
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{inner}{after}"
    );
    let in_chunks = format!(
        "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x}\r\n{inner}\r\n0\r\nT: x\r\n\r\n{after}"
    );
    for bytes in [by_length, in_chunks] {
        server.raw(bytes).await;
        assert!(!server.log().contains("/inner"), "{}", server.log());
    }
    // A body that is no chunked body ends the connection.
    let broken = format!(
        "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{inner}{inner}"
    );
    server.raw(broken).await;
    assert!(!server.log().contains("/inner"), "{}", server.log());
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_turn() {
    let server = program!().serve(&[]);
    let one = "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: 1\r\n\r\n";
    let bad = "GET /health HTTP/1.1\r\n\r\n";
    let answer = server.raw(format!("{one}{one}{bad}{one}")).await;
    let codes: Vec<&str> = answer
        .match_indices("HTTP/1.1 ")
        .map(|(at, it)| &answer[at + it.len()..at + it.len() + 3])
        .collect();
    assert_eq!(codes, ["200", "200", "400"], "{answer}");
}

/// A head that is longer once its target is written as a URI has it.
#[tokio::test]
async fn what_follows_a_target_that_no_uri_has_stays_where_it_is() {
    let server = program!().serve(&[]);
    let requests = "GET /api/v1/inventory/ns/units/app/next-version?prefix=<\u{e4}> HTTP/1.1\r\n\
        Host: localhost\r\n\r\n\
        POST /api/v1/inventory/<ns>/register HTTP/1.1\r\nHost: localhost\r\n\
        Content-Length: 2\r\n\r\n{}\
        GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for piece in [1, 7, 50, 1000] {
        let mut stream = server.connect().await;
        for bytes in requests.as_bytes().chunks(piece) {
            stream.write_all(bytes).await.unwrap();
        }
        let answers = read_to_end(&mut stream).await;
        let codes: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|it| &it[..3]).collect();
        assert_eq!(codes, ["200", "400", "200"], "{answers}");
        assert!(answers.contains("\r\n\r\n<\u{e4}>0"), "{answers}");
    }
}

#[tokio::test]
async fn heads_have_their_limits() {
    let server = program!().serve(&[]);
    let many = "a: b\r\n".repeat(101);
    refused(&server.raw(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).await, 431);
    let large = "x".repeat(1 << 20);
    refused(
        &server.raw(format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {large}\r\n\r\n")).await,
        431,
    );
    let long = "x".repeat(70_000);
    refused(&server.raw(format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await, 414);
}

#[tokio::test]
async fn a_slow_head_is_given_up() {
    let server = impatient();
    let mut stream = server.connect().await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost").await.unwrap();
    refused(&read_to_end(&mut stream).await, 408);

    let mut silent = server.connect().await;
    assert_eq!(read_to_end(&mut silent).await, "");
}

#[tokio::test]
async fn a_quiet_connection_is_closed_after_a_while() {
    let server = impatient();
    let mut stream = server.connect().await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert_eq!(status(&answer), 200);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let server = impatient();
    let mut stream = server.connect().await;
    let head = "POST /api/v1/inventory/acme/register HTTP/1.1\r\nHost: localhost\r\n\
                Content-Length: 100000\r\n\r\n{\"name\":";
    stream.write_all(head.as_bytes()).await.unwrap();
    refused(&read_to_end(&mut stream).await, 408);
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_refused_and_leaves_nothing() {
    let server = program!().serve(&[]);
    let mut stream = server.connect().await;
    let body = r#"{"name":"web","version":"1.0"}"#;
    let head = format!(
        "POST /api/v1/inventory/acme/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len() + 10
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    refused(&read_to_end(&mut stream).await, 400);
    assert_eq!(server.get("/api/v1/inventory/").await, (200, "{}\n".to_owned()));
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away() {
    let server = program!().serve(&["--set", "limits.connections_max=2"]);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        kept.push(stream);
    }
    let answer = server.raw("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("Retry-After: 1"), "{answer}");
}

#[tokio::test]
async fn http2_is_refused_in_the_words_of_http1() {
    let server = impatient();
    // The preface and empty settings.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answer = server.raw(preface).await;
    refused(&answer, 505);
    assert!(answer.contains("use HTTP/1.1"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer: {answer}");
}
