//! `ETag`, `If-None-Match` and `If-Match`.

use axum::{body::Body, http::Request};
use chandlery_tests::{Answer, Host};
use serde_json::json;

use super::{at, expect_empty, host_with, register, register_version};

const VERSION: &str = "/ns/units/app/versions/v1/";
const UPLOAD: &str = "/ns/units/app/versions/v1/upload";

async fn send(host: &Host, method: &str, path: &str, header: (&str, &str)) -> Answer {
    let request = Request::builder().method(method).uri(at(path)).header(header.0, header.1);
    let request = request.header("content-type", "multipart/form-data; boundary=XX");
    let body = match method {
        "POST" => {
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nbytes\r\n--XX--\r\n"
        }
        _ => "",
    };
    host.send(request.body(Body::from(body)).unwrap()).await
}

async fn etag(host: &Host, path: &str) -> String {
    let answer = host.get(&at(path)).await.expect(200);
    let etag = answer.header("etag").to_owned();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{path}: {etag}");
    assert_eq!(host.head(&at(path)).await.expect(200).header("etag"), etag);
    etag
}

const TAGGED: [&str; 4] =
    ["/ns/units/app/", "/ns/units/app/versions/", VERSION, "/ns/units/app/versions/v1/?full=1"];

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let host = host_with(["1", "2"]).await;
    for path in TAGGED {
        let etag = etag(&host, path).await;
        for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".into()] {
            let answer = send(&host, "GET", path, ("if-none-match", &known)).await;
            assert_eq!(answer.header("etag"), etag);
            expect_empty(answer, 304);
        }
        let whole = send(&host, "GET", path, ("if-none-match", "\"x\"")).await.expect(200);
        assert_eq!(whole.bytes, host.get(&at(path)).await.bytes);
    }
}

#[tokio::test]
async fn a_tag_changes_when_the_answer_does_and_not_before() {
    let host = host_with(["1"]).await;
    host.upload(&at(UPLOAD), b"bytes").await.expect(200);
    let tags = async || {
        let mut tags = Vec::new();
        for path in TAGGED {
            tags.push(etag(&host, path).await);
        }
        tags
    };
    let first = tags().await;
    assert_eq!(tags().await, first);

    register_version(&host, "ns", "app", "0.9").await;
    let second = tags().await;
    let changed = |a: &[String], b: &[String]| -> Vec<bool> {
        a.iter().zip(b).map(|(a, b)| a != b).collect()
    };
    assert_eq!(changed(&first, &second), [true, true, false, true]);

    host.get(&at("/ns/units/app/versions/v1/download")).await.expect(200);
    let third = tags().await;
    assert_eq!(changed(&second, &third), [false, false, false, true]);
    // What is in no unit of its own changes nothing.
    register_version(&host, "ns", "other", "1").await;
    assert_eq!(tags().await, third);
    let host = host.restart().await;
    assert_eq!(etag(&host, VERSION).await, third[2]);
}

#[tokio::test]
async fn two_releases_never_share_a_tag() {
    let host = host_with(["1", "01", "2"]).await;
    register_version(&host, "ns", "other", "1").await;
    register(&host, "ns", &json!({ "name": "app", "version": "3", "description": "x" })).await;
    let mut tags = Vec::new();
    for path in [
        VERSION,
        "/ns/units/app/versions/v01/",
        "/ns/units/app/versions/v2/",
        "/ns/units/app/versions/v3/",
        "/ns/units/other/versions/v1/",
        "/ns/units/app/",
        "/ns/units/other/",
    ] {
        tags.push(etag(&host, path).await);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 7, "{tags:?}");
    assert_eq!(etag(&host, "/ns/units/app/versions/latest/").await, {
        etag(&host, "/ns/units/app/versions/v3/").await
    });
}

#[tokio::test]
async fn an_upload_may_insist_on_the_release_it_has_seen() {
    let host = host_with(["1"]).await;
    let seen = etag(&host, VERSION).await;
    for other in ["\"x\"", &format!("W/{seen}"), "nonsense", ""] {
        let answer = send(&host, "POST", UPLOAD, ("if-match", other)).await.expect(412);
        let text = answer.text();
        assert!(text.contains(&seen) && text.contains("If-Match"), "{text}");
        expect_empty(host.get(&at("/ns/units/app/versions/v1/download")).await, 404);
    }
    let unknown = "/ns/units/app/versions/v2/upload";
    expect_empty(send(&host, "POST", unknown, ("if-match", "*")).await, 404);
    expect_empty(send(&host, "POST", UPLOAD, ("if-match", &seen)).await, 200);
    assert_ne!(etag(&host, VERSION).await, seen);
    send(&host, "POST", UPLOAD, ("if-match", "*")).await.expect(409);
}

#[tokio::test]
async fn a_register_that_wants_to_be_the_first_is_like_any_other() {
    let host = host_with(["1"]).await;
    let register = async |version: &str| {
        let request = Request::post(at("/ns/register")).header("if-none-match", "*");
        let body = json!({ "name": "app", "version": version }).to_string();
        host.send(request.body(Body::from(body)).unwrap()).await.status
    };
    assert_eq!(register("2").await, 200);
    assert_eq!(register("2").await, 400);
}

#[tokio::test]
async fn hooks_are_replaced_only_where_they_are_as_they_were_seen() {
    let host = host_with(["1"]).await;
    for path in ["/ns/hooks/", "/ns/units/app/hooks/"] {
        let put = async |url: &str, tag: &str| {
            let request = Request::put(at(path)).header("if-match", tag);
            let body = json!({ "events": { "url": url } }).to_string();
            host.send(request.body(Body::from(body)).unwrap()).await
        };
        let first = etag(&host, path).await;
        put("http://a", &first).await.expect(201);
        let second = etag(&host, path).await;
        assert_ne!(first, second);
        assert!(put("http://b", &first).await.expect(412).text().contains(&second));
        let kept = host.get(&at(path)).await.expect(200).json();
        assert_eq!(kept, json!({ "events": { "url": "http://a" } }));
        expect_empty(send(&host, "GET", path, ("if-none-match", &second)).await, 304);
        put("http://b", "*").await.expect(201);
    }
}
