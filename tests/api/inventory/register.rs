use std::collections::BTreeMap;

use chandlery_tests::Host;
use serde_json::{Value, json};

use super::{at, expect_empty, expect_text, host, host_with, register, register_version};

async fn stored(host: &Host, version: &str) -> String {
    let path = at(&format!("/ns/units/app/versions/v{version}/"));
    host.get(&path).await.expect(200).text().to_owned()
}

async fn refused(body: &str) -> String {
    let host = host().await;
    let answer = host.post_bytes(&at("/ns/register"), "application/json", body.to_owned()).await;
    let answer = answer.expect(400);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    expect_empty(host.get(&at("/ns/")).await, 404);
    answer.text().to_owned()
}

#[tokio::test]
async fn the_smallest_release_is_completed() {
    let host = host().await;
    let release = json!({ "name": "app", "version": "0.0.1", "project": "alpha" });
    expect_empty(register(&host, "ns", &release).await, 200);
    let expected = concat!(
        r#"{"api_version":15,"built_with_core_version":"0.15.6","built_with_escape_version":"","#,
        r#""description":"","files":{},"license":"","logo":"","name":"app","repository":"","#,
        r#""branch":"","git_revision":"","revision_message":"","revision_author":"","#,
        r#""metadata":{},"version":"0.0.1","generates":[],"consumes":[],"downloads":null,"#,
        r#""depends":[],"errands":{},"extends":[],"inputs":[],"outputs":[],"project":"alpha","#,
        r#""provides":[],"stages":{},"templates":[],"variable_context":{}}"#,
        "\n"
    );
    assert_eq!(stored(&host, "0.0.1").await, expected);
}

#[tokio::test]
async fn a_full_release_comes_back_normalised() {
    let host = host().await;
    let release = json!({
        "NAME": "app", "version": "1.0", "description": "<b>&", "api_version": 14,
        "files": { "b": "2", "a": "1" }, "templates": null, "generates": null,
        "consumes": [{ "name": "db" }],
        "downloads": [{ "url": "http://x/y", "dest": "y" }],
        "depends": [{ "release_id": "p/lib-v1.0 as lib", "mapping": { "z": 1.0, "a": [2e2] } }],
        "extends": [{ "release_id": "base-v1" }],
        "inputs": [{ "id": " port ", "type": "integer", "default": 8080, "items": [1, 2.5] }],
        "errands": { "backup": { "script": "b.sh", "inputs": [{ "id": "x" }] } },
        "stages": { "build": { "cmd": "make", "args": ["all"] }, "test": {} },
        "provides": [{ "name": "" }],
        "unknown": true,
    });
    register(&host, "ns", &release).await.expect(200);
    let text = stored(&host, "1.0").await;
    assert!(text.contains(r#""description":"\u003cb\u003e\u0026""#), "{text}");
    assert!(text.contains(r#""mapping":{"a":[200],"z":1}"#), "{text}");
    let kept: Value = serde_json::from_str(&text).unwrap();
    let both = json!(["build", "deploy"]);
    assert_eq!(kept["api_version"], 14);
    assert_eq!((&kept["templates"], &kept["generates"]), (&json!(null), &json!([])));
    assert_eq!(kept["consumes"][0]["variable"], "db");
    assert_eq!(kept["downloads"][0]["scopes"], both);
    assert_eq!(kept["depends"][0]["release_id"], "p/lib-v1.0");
    assert_eq!(kept["depends"][0]["deployment_name"], "lib");
    assert_eq!(kept["extends"], json!([{ "release_id": "base-v1" }]));
    assert_eq!(
        kept["inputs"][0],
        json!({
            "id": "port", "type": "integer", "default": 8080, "visible": false,
            "items": [1, 2.5], "eval_before_dependencies": false, "scopes": both,
        })
    );
    assert_eq!(
        kept["errands"]["backup"],
        json!({
            "name": "", "description": "", "script": "b.sh", "exec_stage": null,
            "inputs": [{
                "id": "x", "type": "", "visible": false, "items": null,
                "eval_before_dependencies": false, "scopes": null,
            }],
        })
    );
    assert_eq!(kept["stages"], json!({ "build": { "cmd": "make", "args": ["all"] }, "test": {} }));
}

#[tokio::test]
async fn what_is_no_release_is_refused_and_leaves_nothing() {
    for body in [
        "",
        "{",
        "[]",
        "12",
        "\"app\"",
        r#"{"name":"app","version":"1"} trailing"#,
        r#"{"name":1}"#,
        r#"{"name":"app","version":"1","depends":[null]}"#,
    ] {
        let message = refused(body).await;
        let start = "Couldn't unmarshal JSON release metadata: ";
        assert!(message.starts_with(start), "{body}: {message}");
    }
    assert_eq!(refused("null").await, "Missing release metadata");
    assert_eq!(refused("{}").await, "Missing name field in release metadata");
}

#[tokio::test]
async fn each_check_has_its_message() {
    let cases = [
        (json!({ "name": "" }), "Missing name field in release metadata"),
        (json!({ "name": "Bad" }), "Invalid name 'Bad'"),
        (json!({ "name": "dict" }), "The name 'dict' is a protected variable."),
        (json!({ "version": "" }), "Missing version field in release metadata"),
        (json!({ "project": "Bad" }), "Invalid name 'Bad'"),
        (
            json!({ "api_version": 16 }),
            "The release metadata is compiled with a version of Escape targetting API version \
             v16, but this build supports up to v15",
        ),
        (json!({ "version": "1.x" }), "Invalid version string '1.x'."),
        (json!({ "inputs": [{}] }), "Variable object is missing an 'id'"),
        (json!({ "outputs": [{ "id": "$" }] }), "Invalid variable format '$'"),
        (
            json!({ "inputs": [{ "id": "PREVIOUS_x" }] }),
            "Invalid variable format 'PREVIOUS_x'. Variable is not allowed to start with \
             'PREVIOUS_'",
        ),
        (
            json!({ "depends": [{ "release_id": "a b" }] }),
            "Malformed dependency string 'a b'. Expecting either a \"[RELEASE_ID]\" or \
             \"[RELEASE_ID] as [VARIABLE]\".",
        ),
        (json!({ "depends": [{ "release_id": "X is y" }] }), "Invalid release format: X."),
        (
            json!({ "depends": [{ "release_id": "p/n-latest" }] }),
            "The dependency 'p/n-latest' needs its version resolved.",
        ),
        (json!({ "consumes": [{}] }), "Missing name for Consumer"),
        (json!({ "downloads": [{}] }), "Missing URL in download config."),
        (json!({ "extends": [{ "release_id": "x" }] }), "Invalid release format: x."),
        (
            json!({ "stages": { "build": { "cmd": "a", "script": "b" } } }),
            "Found a problem in the 'build' field: More than one field is set. Please specify \
             only one of script, cmd or inline.",
        ),
        (json!({ "version": "1.@" }), "Can't add release with unresolved version"),
    ];
    for (fields, expected) in cases {
        let mut release = json!({ "name": "app", "version": "0.0.1" });
        for (name, value) in fields.as_object().unwrap() {
            release[name] = value.clone();
        }
        assert_eq!(refused(&release.to_string()).await, expected, "{fields}");
    }
}

#[tokio::test]
async fn a_namespace_with_a_bad_name_is_not_created() {
    let host = host().await;
    let release = json!({ "name": "app", "version": "1" });
    expect_text(register(&host, "Bad", &release).await, 400, "Invalid name 'Bad'");
    let answer = register(&host, "func", &release).await;
    expect_text(answer, 400, "The name 'func' is a protected variable.");
}

#[tokio::test]
async fn a_version_is_registered_once_and_never_changes() {
    let host = host_with(["0.0.1"]).await;
    let before = stored(&host, "0.0.1").await;
    for description in ["", "changed"] {
        let again = json!({ "name": "app", "version": "0.0.1", "description": description });
        expect_text(register(&host, "ns", &again).await, 400, "Release app-v0.0.1 already exists");
    }
    assert_eq!(stored(&host, "0.0.1").await, before);
    register_version(&host, "other", "app", "0.0.1").await;
}

#[tokio::test]
async fn of_registers_at_once_one_wins() {
    let host = host().await;
    let release = json!({ "name": "app", "version": "1" });
    let registers = (0..16).map(|_| register(&host, "ns", &release));
    let mut statuses = BTreeMap::new();
    for answer in futures::future::join_all(registers).await {
        *statuses.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(200, 1), (400, 15)]));
    let unit = host.get(&at("/ns/units/app/")).await.expect(200).json();
    assert_eq!(unit["versions"], json!(["1"]));
}

#[tokio::test]
async fn the_body_may_name_another_project_than_the_path() {
    let host = host().await;
    let release = json!({ "name": "app", "version": "1", "project": "elsewhere" });
    register(&host, "ns", &release).await.expect(200);
    let kept: Value = serde_json::from_str(&stored(&host, "1").await).unwrap();
    assert_eq!(kept["project"], "elsewhere");
    expect_empty(host.get(&at("/elsewhere/")).await, 404);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let host = host().await;
    let release = json!({ "name": "app", "version": "1", "description": "x".repeat(5 << 20) });
    register(&host, "ns", &release).await.expect(413);
    let release = json!({ "name": "app", "version": "1", "description": "x".repeat(70_000) });
    register(&host, "ns", &release).await.expect(200);
}

fn with_dependencies(count: usize) -> Value {
    let depends: Vec<_> =
        (0..count).map(|it| json!({ "release_id": format!("l{it}x-v1") })).collect();
    json!({ "name": "app", "version": "1", "depends": depends })
}

#[tokio::test]
async fn a_thousand_dependencies_are_kept() {
    let host = host().await;
    register(&host, "ns", &with_dependencies(1000)).await.expect(200);
    let kept: Value = serde_json::from_str(&stored(&host, "1").await).unwrap();
    assert_eq!(kept["depends"].as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn ten_thousand_dependencies_are_refused_and_leave_nothing() {
    let host = host().await;
    let message = "The field 'depends' has 10000 elements, but a release may have at most 1000. \
                   Split the release.";
    expect_text(register(&host, "ns", &with_dependencies(10_000)).await, 400, message);
    expect_empty(host.get(&at("/ns/")).await, 404);
}

#[tokio::test]
async fn what_was_registered_is_there_after_a_restart() {
    let host = host_with(["1", "2"]).await;
    let before = stored(&host, "2").await;
    let host = host.restart().await;
    assert_eq!(stored(&host, "2").await, before);
    let answer = register(&host, "ns", &json!({ "name": "app", "version": "2" })).await;
    expect_text(answer, 400, "Release app-v2 already exists");
}

#[tokio::test]
async fn what_is_no_text_is_kept_as_the_sign_for_that() {
    let host = host().await;
    let body =
        b"{\"name\":\"app\",\"version\":\"1\",\"description\":\"a\xffb\\ud800c\\ud83d\\ude00\"}";
    host.post_bytes(&at("/ns/register"), "application/json", body.to_vec()).await.expect(200);
    let kept: Value = serde_json::from_str(&stored(&host, "1").await).unwrap();
    assert_eq!(kept["description"], "a\u{fffd}b\u{fffd}c\u{1f600}");
    let name = b"{\"name\":\"a\xff\",\"version\":\"1\"}".to_vec();
    let answer = host.post_bytes(&at("/ns/register"), "application/json", name).await;
    expect_text(answer, 400, "Invalid name 'a\u{fffd}'");
}
