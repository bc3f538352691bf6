use axum::{body::Body, http::Request};
use chandlery_tests::{Answer, Host};
use serde_json::{Value, json};

use super::{at, expect_empty, expect_text, host, host_with, register, register_version};

fn place(version: &str) -> String {
    at(&format!("/ns/units/app/versions/{version}/yank"))
}

async fn yank(host: &Host, version: &str) {
    expect_empty(host.post(&place(version), &json!({})).await, 200);
}

async fn unyank(host: &Host, version: &str) {
    expect_empty(host.delete(&place(version)).await, 200);
}

async fn asked(host: &Host, query: &str) -> Answer {
    host.get(&at(&format!("/ns/units/app/versions/{query}/"))).await
}

async fn resolved(host: &Host, query: &str) -> String {
    let release = asked(host, query).await.expect(200).json();
    release["version"].as_str().unwrap().to_owned()
}

async fn unit(host: &Host) -> Value {
    host.get(&at("/ns/units/app/")).await.expect(200).json()
}

async fn details(host: &Host) -> Vec<Value> {
    let list = host.get(&at("/ns/units/app/versions/?detail=true")).await.expect(200).json();
    list.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_yanked_version_is_passed_over_but_still_there() {
    let host = host_with(["1.0", "1.1", "1.2", "2.0"]).await;
    let sent = json!({ "release_id": "ns/app-v2.0", "tag": "live" });
    host.post(&at("/ns/units/app/tags/"), &sent).await.expect(200);
    for version in ["v2.0", "1.2", "v1.2"] {
        yank(&host, version).await;
    }
    assert_eq!(resolved(&host, "latest").await, "1.1");
    assert_eq!(resolved(&host, "v1.@").await, "1.1");
    expect_empty(asked(&host, "v2.@").await, 404);
    assert_eq!(resolved(&host, "v2.0").await, "2.0");
    assert_eq!(resolved(&host, "live").await, "2.0");
    let shown = unit(&host).await;
    assert_eq!(shown["versions"], json!(["2.0", "1.2", "1.1", "1.0"]));
    assert_eq!(shown["latest_version"], "1.1");
    let next = host.get(&at("/ns/units/app/next-version?prefix=1.")).await.expect(200);
    assert_eq!(next.text(), "1.3");
    let again = json!({ "name": "app", "version": "2.0" });
    let taken = register(&host, "ns", &again).await;
    expect_text(taken, 400, "Release app-v2.0 already exists");

    let host = host.restart().await;
    unyank(&host, "v1.2").await;
    assert_eq!(resolved(&host, "latest").await, "1.2");
    unyank(&host, "live").await;
    for query in ["latest", "v2.@"] {
        let answer = asked(&host, query).await.expect(200);
        assert_eq!((&answer.json()["version"], answer.header("warning")), (&json!("2.0"), ""));
    }
    assert!(details(&host).await.iter().all(|it| it["yanked"].is_null()));
}

#[tokio::test]
async fn the_version_before_another_is_one_that_is_not_yanked() {
    let host = host_with(["1.0", "1.1", "1.2"]).await;
    yank(&host, "v1.1").await;
    for (version, before) in [("v1.2", "1.0"), ("v1.1", "1.0"), ("latest", "1.0")] {
        let path = at(&format!("/ns/units/app/versions/{version}/previous/"));
        assert_eq!(host.get(&path).await.expect(200).json()["version"], before, "{version}");
    }
    yank(&host, "v1.0").await;
    expect_empty(host.get(&at("/ns/units/app/versions/v1.2/previous/")).await, 404);
}

#[tokio::test]
async fn whoever_gets_a_yanked_release_is_warned() {
    let host = host_with(["1.0", "1.2"]).await;
    host.upload(&at("/ns/units/app/versions/v1.0/upload"), b"bytes").await.expect(200);
    let sent = json!({ "release_id": "ns/app-v1.0", "tag": "live" });
    host.post(&at("/ns/units/app/tags/"), &sent).await.expect(200);
    let said = json!({ "reason": "leaks \"keys\"\r\nX: ü", "replacement": "v1.2" });
    expect_empty(host.post(&place("v1.0"), &said).await, 200);
    let warning =
        r#"299 chandlery "ns/app-v1.0 is yanked, use v1.2 instead: leaks \"keys\"  X: ?""#;
    for path in ["v1.0/", "1.0/", "live/", "v1.0/?full=1", "v1.0/download", "live/download"] {
        let path = at(&format!("/ns/units/app/versions/{path}"));
        let answer = host.get(&path).await.expect(200);
        assert_eq!(answer.header("warning"), warning, "{path}");
        assert_eq!(host.head(&path).await.expect(200).header("warning"), warning, "{path}");
        let known = Request::get(&path).header("if-none-match", answer.header("etag"));
        let known = host.send(known.body(Body::empty()).unwrap()).await.expect(304);
        assert_eq!(known.header("warning"), warning, "{path}");
    }
    assert_eq!(asked(&host, "latest").await.expect(200).header("warning"), "");
    assert_eq!(asked(&host, "v1.2").await.expect(200).header("warning"), "");
}

#[tokio::test]
async fn a_unit_is_described_by_what_is_not_yanked() {
    let host = host().await;
    for version in ["1", "2", "3"] {
        let release = json!({
            "name": "app", "version": version, "description": format!("words{version}"),
            "logo": format!("logo{version}"),
        });
        register(&host, "ns", &release).await.expect(200);
    }
    let described = async |version: &str| {
        let unit = unit(&host).await;
        assert_eq!(unit["latest_version"], version);
        assert_eq!(unit["description"], format!("words{version}"));
        assert_eq!(unit["logo"], format!("logo{version}"));
        let found = host.get(&at(&format!("/search?q=words{version}"))).await.expect(200);
        assert_eq!(found.json()[format!("ns/app-v{version}")]["version"], version);
        for other in ["1", "2", "3"] {
            let full = host.get(&at(&format!("/ns/units/app/versions/v{other}/?full=1"))).await;
            assert_eq!(full.json()["is_latest"], other == version, "{other} of {version}");
        }
    };
    yank(&host, "v3").await;
    described("2").await;
    yank(&host, "v1").await;
    described("2").await;
    yank(&host, "v2").await;
    // All are yanked.
    described("3").await;
    expect_empty(asked(&host, "latest").await, 404);
    unyank(&host, "v1").await;
    described("1").await;
    yank(&host, "v1").await;
    described("3").await;
    // A new one is better than a greater yanked one.
    let release =
        json!({ "name": "app", "version": "0", "description": "words0", "logo": "logo0" });
    register(&host, "ns", &release).await.expect(200);
    described("0").await;
    assert_eq!(resolved(&host, "latest").await, "0");
    unyank(&host, "v3").await;
    described("3").await;
}

#[tokio::test]
async fn doing_it_again_changes_what_is_said_and_nothing_else() {
    let host = host_with(["1", "2", "3"]).await;
    let client = host.as_user("ana");
    let said = json!({ "reason": "slow", "replacement": "2" });
    let mut etags = Vec::new();
    for _ in 0..2 {
        client.post(&place("v1"), &said).await.expect(200);
        etags.push(asked(&host, "v1").await.header("etag").to_owned());
    }
    assert_eq!(etags[0], etags[1]);
    let mut shown = details(&host).await[2]["yanked"].clone();
    assert!(shown["at"].take().as_str().unwrap().ends_with('Z'));
    let expected = json!({ "reason": "slow", "replacement": "2", "at": null, "by": "ana" });
    assert_eq!(shown, expected);
    host.post_bytes(&place("v1"), "", "").await.expect(200);
    let shown = details(&host).await[2]["yanked"].clone();
    assert_eq!((&shown["reason"], &shown["replacement"]), (&json!(""), &Value::Null));
    for _ in 0..2 {
        unyank(&host, "v1").await;
        assert_eq!(details(&host).await[2]["yanked"], Value::Null);
        assert_eq!(asked(&host, "v1").await.expect(200).header("warning"), "");
    }
    assert_eq!(unit(&host).await["versions"], json!(["3", "2", "1"]));
}

#[tokio::test]
async fn what_is_yanked_still_takes_its_package() {
    let host = host_with(["1"]).await;
    yank(&host, "v1").await;
    host.upload(&at("/ns/units/app/versions/v1/upload"), b"late").await.expect(200);
    let got = host.get(&at("/ns/units/app/versions/v1/download")).await.expect(200);
    assert_eq!(got.text(), "late");
    assert_eq!(details(&host).await[0]["size"], 4);
    assert!(details(&host).await[0]["yanked"].is_object());
}

#[tokio::test]
async fn a_wrong_yank_is_told_what_is_wrong_and_changes_nothing() {
    let host = host_with(["1", "2"]).await;
    let before = (unit(&host).await, details(&host).await);
    let deep = format!("{{\"reason\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["{", "[]", "1", "nonsense", r#"{"reason":1}"#, r#"{"replacement":[]}"#, &deep] {
        let answer = host.post_bytes(&place("v1"), "application/json", body.to_owned()).await;
        let answer = answer.expect(400);
        assert!(answer.text().starts_with("Invalid JSON: "), "{}", answer.text());
    }
    let no_version =
        |it: &str| format!("`replacement` must be a version such as `v1.2`, not `{it}`");
    for (body, expected) in [
        (json!({ "reason": "x".repeat(1025) }), "`reason` is longer than 1024 bytes".to_owned()),
        (json!({ "replacement": "v9" }), "`replacement`: app-v9 does not exist".to_owned()),
        (json!({ "replacement": "latest" }), no_version("latest")),
        (json!({ "replacement": "1.@" }), no_version("1.@")),
        (json!({ "replacement": "v1\0" }), no_version("v1\0")),
        (json!({ "replacement": "../v2" }), no_version("../v2")),
        (json!({ "replacement": "٢" }), no_version("٢")),
        (
            json!({ "replacement": "1" }),
            "`replacement` must be another version than `v1` itself".to_owned(),
        ),
    ] {
        expect_text(host.post(&place("v1"), &body).await, 400, &expected);
    }
    for query in ["latest", "@", "v1.@", "v%40"] {
        let answer = host.post(&place(query), &json!({})).await.expect(400);
        assert!(answer.text().contains("name the version itself"), "{}", answer.text());
        host.delete(&place(query)).await.expect(400);
    }
    for unknown in ["v9", "none", "%00", "v1.0", "a%20b"] {
        expect_empty(host.post(&place(unknown), &json!({})).await, 404);
        expect_empty(host.delete(&place(unknown)).await, 404);
    }
    for path in ["/ns/units/none/versions/v1/yank", "/none/units/app/versions/v1/yank"] {
        expect_empty(host.post(&at(path), &json!({})).await, 404);
        expect_empty(host.delete(&at(path)).await, 404);
    }
    host.post_bytes(&place("v1"), "", vec![b' '; 6 << 20]).await.expect(413);
    assert_eq!((unit(&host).await, details(&host).await), before);
}

#[tokio::test]
async fn a_yank_may_insist_on_the_release_it_has_seen() {
    let host = host_with(["1", "2"]).await;
    let seen = async || asked(&host, "v1").await.expect(200).header("etag").to_owned();
    let send = async |method: &str, tag: &str| {
        let request = Request::builder().method(method).uri(place("v1")).header("if-match", tag);
        host.send(request.body(Body::empty()).unwrap()).await
    };
    let first = seen().await;
    expect_empty(send("POST", &first).await, 200);
    let second = seen().await;
    assert_ne!(first, second);
    for (method, tag) in [("POST", &first), ("DELETE", &first)] {
        assert!(send(method, tag).await.expect(412).text().contains(&second));
    }
    expect_empty(send("DELETE", &second).await, 200);
    assert!(![first, second].contains(&seen().await));
}

#[tokio::test]
async fn the_list_of_versions_tells_all_that_is_known() {
    let host = host().await;
    let ana = host.as_user("ana");
    for version in ["1.0", "1.1"] {
        let release = json!({ "name": "app", "version": version });
        ana.post(&at("/ns/register"), &release).await.expect(200);
    }
    host.upload(&at("/ns/units/app/versions/v1.0/upload"), b"hello").await.expect(200);
    for _ in 0..2 {
        host.get(&at("/ns/units/app/versions/v1.0/download")).await.expect(200);
    }
    let mut shown = details(&host).await;
    for it in &mut shown {
        assert!(it["uploaded_at"].take().as_str().unwrap().ends_with('Z'));
    }
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(
        shown,
        [
            json!({
                "version": "1.1", "uploaded_at": null, "uploaded_by": "ana", "sha256": null,
                "size": null, "downloads": 0, "yanked": null,
            }),
            json!({
                "version": "1.0", "uploaded_at": null, "uploaded_by": "ana", "sha256": sha256,
                "size": 5, "downloads": 2, "yanked": null,
            }),
        ]
    );
    let list = at("/ns/units/app/versions");
    let plain = host.get(&format!("{list}/")).await.expect(200);
    for query in ["detail=false", "detail=", "detail=0", "detail", "other=true"] {
        assert_eq!(host.get(&format!("{list}/?{query}")).await.bytes, plain.bytes, "{query}");
    }
    assert_eq!(host.get(&format!("{list}?detail=1")).await.json().as_array().unwrap().len(), 2);
    let expected = "`detail` must be `true` or `false`, not `<b>`";
    expect_text(host.get(&format!("{list}/?detail=%3Cb%3E")).await, 400, expected);
    expect_empty(host.get(&at("/ns/units/none/versions/?detail=true")).await, 404);
}

#[tokio::test]
async fn details_of_many_versions_come_whole_and_in_order() {
    let host = host().await;
    let count = 2 * chandlery::inventory::PAGE_ROWS + 1;
    for number in 0..count {
        register_version(&host, "ns", "app", &format!("1.{number}")).await;
    }
    for number in (0..count).step_by(3) {
        yank(&host, &format!("v1.{number}")).await;
    }
    let shown = details(&host).await;
    assert_eq!(shown.len(), count);
    for (number, it) in (0..count).rev().zip(&shown) {
        assert_eq!(it["version"], format!("1.{number}"));
        assert_eq!(it["yanked"].is_object(), number % 3 == 0, "{number}");
    }
}
