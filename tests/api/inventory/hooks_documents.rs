//! The hooks documents of namespaces and units.

use serde_json::{Value, json};

use super::{at, expect_empty, expect_text, host_with, namespaces::send, register_version};

const OF_NAMESPACE: &str = "/ns/hooks/";
const OF_UNIT: &str = "/ns/units/app/hooks/";

#[tokio::test]
async fn a_document_is_empty_until_one_is_put_and_then_replaced_whole() {
    let host = host_with(["1"]).await;
    for path in [OF_NAMESPACE, OF_UNIT].map(at) {
        let answer = host.get(&path).await.expect(200);
        assert_eq!((answer.text(), answer.header("content-type")), ("{}\n", "application/json"));
        let first = json!({
            "slack": { "url": "http://s", "username": "u", "icon_emoji": ":x:" },
            "events": { "url": "http://e" },
        });
        expect_empty(host.put(&path, &first).await, 201);
        assert_eq!(host.get(&path).await.expect(200).json(), first);
        expect_empty(host.put(&path, &json!({ "slack": { "username": "v" } })).await, 201);
        assert_eq!(host.get(&path).await.expect(200).text(), "{\"slack\":{\"username\":\"v\"}}\n");
        for nothing in [json!({}), json!(null)] {
            expect_empty(host.put(&path, &first).await, 201);
            expect_empty(host.put(&path, &nothing).await, 201);
            assert_eq!(host.get(&path).await.expect(200).text(), "{}\n");
        }
    }
}

#[tokio::test]
async fn documents_stay_when_their_owners_change_and_are_not_shown_with_them() {
    let host = host_with(["1"]).await;
    let document = |url: &str| json!({ "events": { "url": url } });
    host.put(&at(OF_NAMESPACE), &document("http://n")).await.expect(201);
    host.put(&at(OF_UNIT), &document("http://u")).await.expect(201);
    host.put(&at("/ns/"), &json!({ "name": "ns", "description": "new" })).await.expect(201);
    register_version(&host, "ns", "app", "2").await;
    register_version(&host, "ns", "other", "1").await;
    let host = host.restart().await;
    assert_eq!(host.get(&at(OF_NAMESPACE)).await.json(), document("http://n"));
    assert_eq!(host.get(&at(OF_UNIT)).await.json(), document("http://u"));
    assert_eq!(host.get(&at("/ns/units/other/hooks/")).await.json(), json!({}));
    let namespace = host.get(&at("/ns/")).await.expect(200).json();
    assert_eq!(namespace["hooks"], Value::Null);
    assert!(!namespace.as_object().unwrap().contains_key("hooks"));
    let unit = &namespace["units"]["app"];
    assert!(unit["hooks"].is_null() && unit.as_object().unwrap().contains_key("hooks"));
}

#[tokio::test]
async fn what_is_unknown_is_refused_in_the_originals_words() {
    let host = host_with(["1"]).await;
    let kept = json!({ "slack": { "url": "kept" } });
    for path in [OF_NAMESPACE, OF_UNIT].map(at) {
        host.put(&path, &kept).await.expect(201);
        for (body, message) in [
            (json!({ "webhook": {} }), "Unknown hook type 'webhook'"),
            (json!({ "Slack": {} }), "Unknown hook type 'Slack'"),
            (json!({ "slack": { "channel": "x" } }), "Unknown  hook configuration key 'channel'"),
            (json!({ "slack": { "URL": "x" } }), "Unknown  hook configuration key 'URL'"),
            (json!({ "events": { "username": "x" } }), "Unknown hook configuration key 'username'"),
        ] {
            expect_text(host.put(&path, &body).await, 400, message);
        }
        let deep = "{\"slack\":".repeat(100_000);
        for body in ["", "[]", "1", "{", r#"{"slack":"x"}"#, r#"{"slack":{"url":1}}"#, &deep] {
            expect_text(send(&host, "PUT", &path, body.to_owned()).await, 400, "Invalid JSON");
        }
        assert_eq!(host.get(&path).await.expect(200).json(), kept);
    }
    let build = json!({ "build": { "url": "http://b" } });
    expect_text(host.put(&at(OF_NAMESPACE), &build).await, 400, "Unknown hook type 'build'");
    expect_empty(host.put(&at(OF_UNIT), &build).await, 201);
    let wrong = json!({ "build": { "icon_emoji": "" } });
    let message = "Unknown hook configuration key 'icon_emoji'";
    expect_text(host.put(&at(OF_UNIT), &wrong).await, 400, message);
    let trailing = r#"{"events":{"url":"a","url":"b"}} trailing"#;
    expect_empty(send(&host, "PUT", &at(OF_UNIT), trailing).await, 201);
    assert_eq!(host.get(&at(OF_UNIT)).await.json(), json!({ "events": { "url": "b" } }));
}

#[tokio::test]
async fn what_is_not_there_has_no_document() {
    let host = host_with(["1"]).await;
    for path in [
        "/absent/hooks/",
        "/Bad/hooks/",
        "/ns/units/absent/hooks/",
        "/absent/units/app/hooks/",
        "/ns/units/Bad/hooks/",
    ]
    .map(at)
    {
        expect_empty(host.get(&path).await, 404);
        expect_empty(host.put(&path, &json!({ "events": {} })).await, 404);
        expect_empty(host.put(&path, &json!({ "unknown": {} })).await, 404);
        expect_text(send(&host, "PUT", &path, "{").await, 400, "Invalid JSON");
    }
    for path in ["/ns/hooks", "/ns/units/app/hooks"].map(at) {
        assert_eq!(host.get(&path).await.expect(200).text(), "{}\n");
        host.head(&path).await.expect(200);
    }
}
