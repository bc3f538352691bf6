//! The version before, and what changed since.

use chandlery_tests::{Host, guest};
use serde_json::{Value, json};

use super::{at, expect_empty, expect_text, host, host_with, patient, register};

const VERSIONS: [&str; 13] = [
    "0.0.1", "0.0.2", "0.0.10", "0.1", "0.1.0", "0.1.5.1", "1", "1.0", "1.0.0", "1.2", "1.9",
    "1.10", "2.0.0",
];

fn of(version: &str, verb: &str) -> String {
    at(&format!("/ns/units/app/versions/{version}/{verb}"))
}

async fn diff(host: &Host, version: &str, verb: &str) -> Value {
    let answer = host.get(&of(version, verb)).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.text().ends_with("}\n"));
    answer.json()
}

#[tokio::test]
async fn the_previous_version_is_the_greatest_below() {
    let host = host_with(VERSIONS).await;
    for (version, expected) in [
        ("v1.0.0", "1.0"),
        ("1.0", "1"),
        ("v1", "0.1.5.1"),
        ("v0.1", "0.0.10"),
        ("v1.10", "1.9"),
        ("latest", "1.10"),
        ("v0.0.@", "0.0.2"),
        ("%40", "1.10"),
    ] {
        for slash in ["", "/"] {
            let previous = host.get(&of(version, &format!("previous{slash}"))).await.expect(200);
            assert_eq!(previous.json()["version"], expected, "{version}");
            let whole = host.get(&of(&format!("v{expected}"), "")).await.expect(200);
            assert_eq!(previous.text(), whole.text());
        }
    }
}

#[tokio::test]
async fn what_has_none_before_it_or_is_not_there_is_an_empty_404() {
    let host = host_with(["0.0.1", "1", "01"]).await;
    for version in ["v0.0.1", "v7", "v7.@", "production", "v001"] {
        for verb in ["previous/", "diff/"] {
            expect_empty(host.get(&of(version, verb)).await, 404);
        }
    }
    // Equal in order, so none is below the other.
    for version in ["v1", "v01"] {
        let previous = host.get(&of(version, "previous/")).await.expect(200).json();
        assert_eq!(previous["version"], "0.0.1");
    }
    for place in ["/ns/units/other", "/other/units/app", "/Bad/units/app"] {
        for verb in ["previous/", "diff/", "diff/v1/"] {
            let path = at(&format!("{place}/versions/latest/{verb}"));
            expect_empty(host.get(&path).await, 404);
        }
    }
    for (version, verb) in [("v1", "diff/v9/"), ("v9", "diff/v1/"), ("v1", "diff/production/")] {
        expect_empty(host.get(&of(version, verb)).await, 404);
    }
}

#[tokio::test]
async fn a_diff_goes_from_the_old_version_to_the_new() {
    let host = host().await;
    let release = |version: &str, more: Value| {
        let mut release = json!({ "name": "app", "version": version });
        release.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        release
    };
    let old = release(
        "0.0.1",
        json!({
            "api_version": 14,
            "depends": [{ "release_id": "deps/lib-v1.0" }],
            "inputs": [{ "id": "port", "default": 80 }],
            "metadata": { "a": "1", "b": "1" },
        }),
    );
    let new = release(
        "0.0.2",
        json!({
            "depends": [{ "release_id": "deps/lib-v1.1" }, { "release_id": "more-v1" }],
            "inputs": [{ "id": "port", "default": 8080 }],
            "metadata": { "b": "2", "c": "1" },
        }),
    );
    for release in [&old, &new] {
        register(&host, "ns", release).await.expect(200);
    }
    let change = |path: Value, old: Value, new: Value, added: bool, removed: bool| {
        json!({
            "Path": path, "PreviousValue": old, "NewValue": new, "Added": added,
            "Removed": removed,
        })
    };
    let changed = |path, old, new| change(path, old, new, false, false);
    let (release_id, version) =
        (json!(["Depends", "[0]", ".ReleaseId"]), json!(["Depends", "[0]", ".Version"]));
    let expected = json!({
        "ApiVersion": { "change": [changed(json!(["ApiVersion"]), json!("14"), json!("15"))] },
        "Depends": {
            "add": [change(json!(["Depends"]), json!(null), json!("_/more-v1"), true, false)],
            "change": [
                changed(release_id, json!("deps/lib-v1.0"), json!("deps/lib-v1.1")),
                changed(version, json!("1.0"), json!("1.1")),
            ],
        },
        "Inputs": {
            "change": [changed(json!(["Inputs", "[0]", ".Default"]), json!(80), json!(8080))],
        },
        "Metadata": {
            "add": [change(json!(["Metadata"]), json!(null), json!("c"), true, false)],
            "change": [changed(json!(["Metadata", "[\"b\"]"]), json!("1"), json!("2"))],
            "remove": [change(json!(["Metadata"]), json!("a"), json!(null), false, true)],
        },
        "Version": { "change": [changed(json!(["Version"]), json!("0.0.1"), json!("0.0.2"))] },
    });
    for (version, verb) in [
        ("v0.0.2", "diff/"),
        ("latest", "diff"),
        ("v0.0.2", "diff/v0.0.1/"),
        ("latest", "diff/0.0.1"),
    ] {
        assert_eq!(diff(&host, version, verb).await, expected, "{version} {verb}");
    }
    let back = diff(&host, "v0.0.1", "diff/latest/").await;
    let changed = &back["Version"]["change"][0];
    assert_eq!(
        (&changed["PreviousValue"], &changed["NewValue"]),
        (&json!("0.0.2"), &json!("0.0.1"))
    );
    assert_eq!(back["Metadata"]["add"][0]["NewValue"], "a");
}

#[tokio::test]
async fn a_version_does_not_differ_from_itself() {
    let host = host_with(["0.0.1", "0.0.2"]).await;
    for verb in ["diff/v0.0.2/", "diff/latest", "diff/v0.0.@/"] {
        assert_eq!(host.get(&of("v0.0.2", verb)).await.expect(200).text(), "{}\n");
    }
    let answer = host.get(&of("v0.0.2", "diff/")).await.expect(200);
    assert_eq!(
        answer.text(),
        "{\"Version\":{\"change\":[{\"Path\":[\"Version\"],\"PreviousValue\":\"0.0.1\",\
         \"NewValue\":\"0.0.2\",\"Added\":false,\"Removed\":false}]}}\n"
    );
}

#[tokio::test]
async fn a_diff_that_would_be_huge_is_refused() {
    let host = host().await;
    for version in ["1", "2"] {
        let inner: Value = (0..1000).map(|it| (it.to_string(), json!(version))).collect();
        let default = json!({ "k".repeat(100_000): inner });
        let inputs = json!([{ "id": "a", "default": default }]);
        let release = json!({ "name": "app", "version": version, "inputs": inputs });
        register(&host, "ns", &release).await.expect(200);
    }
    let message = "the diff is larger than the limit of 16777216 bytes";
    expect_text(host.get(&of("v2", "diff/")).await, 413, message);
}

#[tokio::test]
async fn both_versions_must_be_allowed() {
    let host = host_with(["1", "2", "3"]).await;
    let deny = patient(guest::deny_version("1"));
    host.app.plugins.swap(host.app.plugins.build(vec![deny]).await.unwrap());
    for (version, verb) in [
        ("v1", "previous/"),
        ("v2", "previous/"),
        ("v1", "diff/"),
        ("v2", "diff/"),
        ("v1", "diff/v2/"),
        ("v2", "diff/v1/"),
    ] {
        host.get(&of(version, verb)).await.expect(403);
    }
    for verb in ["previous/", "diff/", "diff/v2/"] {
        host.get(&of("v3", verb)).await.expect(200);
    }
}
