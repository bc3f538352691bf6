use axum::{body::Body, http::Request};
use chandlery_tests::{Answer, Host};
use serde_json::{Value, json};

use super::{NO_ROUTE, at, expect_empty, expect_text, host, host_with, register_version};

const TAGS: &str = "/ns/units/app/tags/";

async fn tag(host: &Host, release_id: &str, tag: &str) -> Answer {
    host.post(&at(TAGS), &json!({ "release_id": release_id, "tag": tag })).await
}

async fn tags(host: &Host) -> Value {
    host.get(&at(TAGS)).await.expect(200).json()
}

async fn resolved(host: &Host, query: &str) -> String {
    let path = at(&format!("/ns/units/app/versions/{query}/"));
    let release = host.get(&path).await.expect(200).json();
    release["version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tag_finds_its_release_in_every_route_until_it_is_moved() {
    let host = host_with(["1.0", "1.1"]).await;
    host.upload(&at("/ns/units/app/versions/v1.0/upload"), b"bytes").await.expect(200);
    for _ in 0..2 {
        expect_empty(tag(&host, "ns/app-v1.0", "production").await, 200);
        assert_eq!(resolved(&host, "production").await, "1.0");
    }
    let place = at("/ns/units/app/versions/production");
    let full = host.get(&format!("{place}/?full=1")).await.expect(200).json();
    assert_eq!(full["release"]["version"], "1.0");
    let answer = host.get(&format!("{place}/download")).await.expect(200);
    let name = "attachment; filename=\"app-production.tgz\"";
    assert_eq!((answer.text(), answer.header("content-disposition")), ("bytes", name));

    expect_empty(tag(&host, "ns/app-v1.1", "production").await, 200);
    assert_eq!(resolved(&host, "production").await, "1.1");
    expect_empty(host.get(&format!("{place}/download")).await, 404);
    let host = host.restart().await;
    assert_eq!(resolved(&host, "production").await, "1.1");
}

#[tokio::test]
async fn what_is_tagged_may_be_named_in_every_way() {
    let host = host_with(["1.0", "1.1", "2"]).await;
    for (release_id, expected) in [
        ("ns/app-v1.0", "1.0"),
        ("ns/app-latest", "2"),
        ("ns/app-@", "2"),
        ("ns/app-v@", "2"),
        ("ns/app-v1.@", "1.1"),
        ("ns/app:v1.0", "1.0"),
        ("ns/app:1.0", "1.0"),
        ("ns/app:v1.@", "1.1"),
        ("ns/app:latest", "2"),
    ] {
        expect_empty(tag(&host, release_id, "a").await, 200);
        assert_eq!(resolved(&host, "a").await, expected, "{release_id}");
        expect_empty(tag(&host, "ns/app:a", "b").await, 200);
        assert_eq!(resolved(&host, "b").await, expected, "{release_id}");
    }
    register_version(&host, "_", "app", "7").await;
    let sent = json!({ "release_id": "app-v7", "tag": "a" });
    expect_empty(host.post(&at("/_/units/app/tags"), &sent).await, 200);
    let release = host.get(&at("/_/units/app/versions/a/")).await.expect(200).json();
    assert_eq!(release["version"], "7");
}

#[tokio::test]
async fn a_tag_stays_with_its_version_when_greater_ones_come() {
    let host = host_with(["1"]).await;
    tag(&host, "ns/app-latest", "live").await.expect(200);
    register_version(&host, "ns", "app", "2").await;
    assert_eq!(resolved(&host, "live").await, "1");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_originals_words() {
    let host = host_with(["1.0"]).await;
    for (release_id, name, expected) in [
        ("", "", "Invalid release format: ''."),
        ("app", "", "Invalid release format: app."),
        ("a:b:c", "live", "Invalid release format: a:b:c."),
        (
            "ns/app-vX",
            "",
            "Invalid version string in release ID 'app-vX': 'vX' is not a valid version.",
        ),
        ("other/x-v1.0", "", "The tag '' is invalid/not supported."),
        ("ns/app-v1.0", "latest", "The tag 'latest' is invalid/not supported."),
        ("ns/app-v1.0", "@", "The tag '@' is invalid/not supported."),
        ("ns/app-v1.0", "v@", "The tag 'v@' is invalid/not supported."),
        ("ns/app-v1.0", "v1", "The tag 'v1' is invalid/not supported."),
        ("ns/app-v1.0", "1.0", "The tag '1.0' is invalid/not supported."),
        ("ns/app-v1.0", "0.@", "The tag '0.@' is invalid/not supported."),
        ("ns/app-v1.0", "a/b", "The tag 'a/b' is invalid/not supported."),
        ("ns/app-v1.0", "..", "The tag '..' is invalid/not supported."),
        ("ns/app-v1.0", "a\0b", "The tag 'a\0b' is invalid/not supported."),
        ("ns/app-v1.0", &"x".repeat(256), "The tag is longer than 255 bytes."),
        ("app-v1.0", "live", "Mismatch between namespace from URL and namespace from release_id."),
        (
            "other/x-v1.0",
            "live",
            "Mismatch between namespace from URL and namespace from release_id.",
        ),
        (
            "ns/x-v1.0",
            "live",
            "Mismatch between application from URL and application from release_id.",
        ),
    ] {
        expect_text(tag(&host, release_id, name).await, 400, expected);
    }
    for release_id in ["ns/app-v1", "ns/app-v2.@", "ns/app:live", "ns/app-v1.0.0"] {
        expect_empty(tag(&host, release_id, "live").await, 404);
    }
    let sent = json!({ "release_id": "ns/none-v1", "tag": "live" });
    expect_empty(host.post(&at("/ns/units/none/tags/"), &sent).await, 404);
    assert_eq!(tags(&host).await, json!({}));
}

#[tokio::test]
async fn one_json_object_is_read_and_nothing_behind_it() {
    let host = host_with(["1"]).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_value = format!("{{\"tag\":{deep}}}");
    for body in [
        "",
        " ",
        "nonsense",
        "[]",
        "7",
        "\"x\"",
        "{\"tag\":",
        "{\"tag\":1}",
        "{\"release_id\":[]}",
        "{\"release_id\":{\"a\":1}}",
        "{\"tag\":true}",
        &deep,
        &deep_value,
        "{'tag':'x'}",
    ] {
        let answer = host.post_bytes(&at(TAGS), "application/json", body.to_owned()).await;
        expect_text(answer, 400, "Invalid JSON");
    }
    for body in ["null", "{}", "{\"tag\":null}", "{\"unknown\":1}"] {
        let answer = host.post_bytes(&at(TAGS), "text/plain", body).await;
        expect_text(answer, 400, "Invalid release format: ''.");
    }
    let body =
        "{\"TAG\":\"x\",\"Release_Id\":\"ns/app-v1\",\"tag\":\"live\",\"more\":[1]} trailing";
    expect_empty(host.post_bytes(&at(TAGS), "", body).await, 200);
    assert_eq!(tags(&host).await, json!({ "live": "1" }));
    let long = format!("{{\"tag\":\"{}\"}}", "x".repeat(6 << 20));
    host.post_bytes(&at(TAGS), "application/json", long).await.expect(413);
}

#[tokio::test]
async fn tags_may_be_in_any_alphabet() {
    let host = host_with(["1"]).await;
    for (name, in_path) in [
        ("with blanks", "with%20blanks"),
        ("LIVE", "LIVE"),
        ("äöü", "%C3%A4%C3%B6%C3%BC"),
        ("発売", "%E7%99%BA%E5%A3%B2"),
        ("\u{202e}x", "%E2%80%AEx"),
        ("v1.x", "v1.x"),
        ("1.0-rc", "1.0-rc"),
        ("a?b#c%d", "a%3Fb%23c%25d"),
        ("<b>&\"'\\", "%3Cb%3E&%22'%5C"),
        ("a:b", "a:b"),
    ] {
        expect_empty(tag(&host, "ns/app-v1", name).await, 200);
        assert_eq!(resolved(&host, in_path).await, "1", "{name}");
        assert_eq!(tags(&host).await, json!({ name: "1" }), "{name}");
        expect_empty(host.delete(&at(&format!("{TAGS}{in_path}"))).await, 200);
        assert_eq!(tags(&host).await, json!({}), "{name}");
    }
}

#[tokio::test]
async fn tags_are_listed_by_name_in_pages() {
    let host = host().await;
    for unit in ["app", "ap", "app-x"] {
        register_version(&host, "ns", unit, "1").await;
        let sent = json!({ "release_id": format!("ns/{unit}-v1"), "tag": format!("of-{unit}") });
        host.post(&at(&format!("/ns/units/{unit}/tags/")), &sent).await.expect(200);
    }
    let mut expected = vec!["of-app".to_owned()];
    for number in 0..2 * chandlery::inventory::PAGE_ROWS {
        let name = format!("t-{number:05}");
        tag(&host, "ns/app-v1", &name).await.expect(200);
        expected.push(name);
    }
    let answer = host.get(&at(TAGS)).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let listed: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(listed, expected);
    expect_empty(host.get(&at("/ns/units/none/tags/")).await, 404);
    expect_empty(host.get(&at("/none/units/app/tags/")).await, 404);
    assert_eq!(host.head(&at(TAGS)).await.expect(200).text(), "");
}

#[tokio::test]
async fn a_deleted_tag_is_gone_and_its_release_is_not() {
    let host = host_with(["1"]).await;
    tag(&host, "ns/app-v1", "live").await.expect(200);
    tag(&host, "ns/app-v1", "other").await.expect(200);
    expect_empty(host.delete(&at("/ns/units/app/tags/live")).await, 200);
    for gone in ["live", "live/", "never", "v1", "latest", "a%00b"] {
        expect_empty(host.delete(&at(&format!("{TAGS}{gone}"))).await, 404);
    }
    for (method, path) in [("DELETE", "tags/a%2Fb"), ("GET", "tags/other"), ("PUT", "tags/other")] {
        let request = Request::builder().method(method).uri(at(&format!("/ns/units/app/{path}")));
        expect_text(host.send(request.body(Body::empty()).unwrap()).await, 404, NO_ROUTE);
    }
    expect_empty(host.get(&at("/ns/units/app/versions/live/")).await, 404);
    assert_eq!(tags(&host).await, json!({ "other": "1" }));
    assert_eq!(resolved(&host, "v1").await, "1");
}

#[tokio::test]
async fn a_tag_may_be_moved_only_from_where_it_was_seen() {
    let host = host_with(["1", "2"]).await;
    let seen = async || host.get(&at(TAGS)).await.expect(200).header("etag").to_owned();
    let send = async |method: &str, path: &str, body: &Value, tag: &str| {
        let request = Request::builder().method(method).uri(at(path)).header("if-match", tag);
        host.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    let to = |version: &str| json!({ "release_id": format!("ns/app-v{version}"), "tag": "live" });
    let first = seen().await;
    expect_empty(send("POST", TAGS, &to("1"), &first).await, 200);
    let second = seen().await;
    assert_ne!(first, second);
    let refused = send("POST", TAGS, &to("2"), &first).await.expect(412);
    assert!(refused.text().contains(&second), "{}", refused.text());
    expect_empty(send("POST", TAGS, &to("1"), &second).await, 200);
    assert_eq!(seen().await, second);
    send("DELETE", "/ns/units/app/tags/live", &Value::Null, &first).await.expect(412);
    assert_eq!(tags(&host).await, json!({ "live": "1" }));
    expect_empty(send("DELETE", "/ns/units/app/tags/live", &Value::Null, "*").await, 200);
    assert_ne!(seen().await, second);

    let known = Request::get(at(TAGS)).header("if-none-match", seen().await);
    expect_empty(host.send(known.body(Body::empty()).unwrap()).await, 304);
}

#[tokio::test]
async fn of_moves_at_once_one_is_the_last() {
    let host = host_with(["1", "2", "3", "4"]).await;
    let ids = ["1", "2", "3", "4"].map(|it| format!("ns/app-v{it}"));
    let moves = ids.iter().cycle().take(32).map(|it| tag(&host, it, "live"));
    for answer in futures::future::join_all(moves).await {
        expect_empty(answer, 200);
    }
    let last = resolved(&host, "live").await;
    assert_eq!(tags(&host).await, json!({ "live": last }));
    let audited = host.app.store.verify_audit().await.unwrap();
    assert!(audited >= 36, "{audited}");
}
