//! The policy is asked before anything is done, and the hooks before anything is
//! kept.

use axum::http::Method;
use chandlery_tests::{Answer, Host, guest};
use serde_json::json;

use super::{at, expect_empty, expect_text, host_with, register, with_plugins};

const ROUTES: &[(&str, &str, &str)] = &[
    ("server:read", "GET", "/"),
    ("inventory:namespace:list", "GET", "/api/v1/inventory/"),
    ("inventory:namespace:read", "GET", "/api/v1/inventory/ns/"),
    ("inventory:search", "GET", "/api/v1/inventory/search?q=app"),
    ("inventory:unit:list", "GET", "/api/v1/inventory/ns/units/"),
    ("inventory:unit:read", "GET", "/api/v1/inventory/ns/units/app/"),
    ("inventory:unit:read", "GET", "/api/v1/inventory/ns/units/app/versions/"),
    ("inventory:version:next", "GET", "/api/v1/inventory/ns/units/app/next-version"),
    ("inventory:version:read", "GET", "/api/v1/inventory/ns/units/app/versions/latest/"),
    ("inventory:version:read", "GET", "/api/v1/inventory/ns/units/app/versions/v2/previous/"),
    ("inventory:version:read", "GET", "/api/v1/inventory/ns/units/app/versions/v2/diff/"),
    ("inventory:version:read", "GET", "/api/v1/inventory/ns/units/app/versions/v2/diff/v1/"),
    ("inventory:version:read", "GET", "/api/v1/inventory/ns/units/app/versions/v2/downstream"),
    (
        "inventory:version:read",
        "GET",
        "/api/v1/inventory/ns/units/app/versions/v2/dependency-graph",
    ),
    ("inventory:provider:list", "GET", "/api/v1/inventory/__providers?name=api"),
    ("inventory:version:download", "GET", "/api/v1/inventory/ns/units/app/versions/v1/download"),
    ("inventory:version:yank", "POST", "/api/v1/inventory/ns/units/app/versions/v2/yank"),
    ("inventory:version:yank", "DELETE", "/api/v1/inventory/ns/units/app/versions/v2/yank"),
    ("inventory:tag:list", "GET", "/api/v1/inventory/ns/units/app/tags/"),
    ("inventory:tag:set", "POST", "/api/v1/inventory/ns/units/app/tags/"),
    ("inventory:tag:delete", "DELETE", "/api/v1/inventory/ns/units/app/tags/live"),
    ("inventory:version:register", "POST", "/api/v1/inventory/ns/register"),
    ("inventory:version:upload", "POST", "/api/v1/inventory/ns/units/app/versions/v2/upload"),
    ("inventory:namespace:create", "POST", "/api/v1/inventory/x/add-namespace"),
    ("inventory:namespace:create", "POST", "/api/v1/internal/add-namespace"),
    ("inventory:namespace:list", "GET", "/api/v1/internal/get_namespaces_for_project"),
    ("inventory:namespace:update", "PUT", "/api/v1/inventory/ns/"),
    ("inventory:namespace:read", "GET", "/api/v1/inventory/ns/hooks/"),
    ("inventory:namespace:update", "PUT", "/api/v1/inventory/ns/hooks/"),
    ("inventory:unit:read", "GET", "/api/v1/inventory/ns/units/app/hooks/"),
    ("inventory:unit:update", "PUT", "/api/v1/inventory/ns/units/app/hooks/"),
    ("inventory:namespace:export", "GET", "/api/v1/inventory/ns/export"),
    // The last: nothing is left behind it.
    ("inventory:namespace:delete", "DELETE", "/api/v1/inventory/ns/hard-delete"),
];

async fn asked(host: &Host, method: &str, path: &str) -> Answer {
    match Method::from_bytes(method.as_bytes()).unwrap() {
        Method::GET => host.get(path).await,
        Method::DELETE => host.delete(path).await,
        _ if path.ends_with("/yank") => host.post(path, &json!({})).await,
        _ if path.ends_with("/tags/") => {
            host.post(path, &json!({ "release_id": "ns/app-v1", "tag": "live" })).await
        }
        Method::PUT if path.ends_with("/hooks/") => host.put(path, &json!({})).await,
        Method::PUT => host.put(path, &json!({ "name": "ns" })).await,
        _ if path.ends_with("/inventory/x/add-namespace") => {
            host.post(path, &json!({ "name": "added" })).await
        }
        _ if path.ends_with("/upload") => host.upload(path, b"bytes").await,
        _ => host.post(path, &json!({ "name": "app", "version": "3" })).await,
    }
}

async fn filled() -> Host {
    let host = host_with(["1", "2"]).await;
    host.upload(&at("/ns/units/app/versions/v1/upload"), b"bytes").await.expect(200);
    host
}

#[tokio::test]
async fn each_route_asks_for_exactly_its_action() {
    let host = filled().await;
    for &(action, method, path) in ROUTES {
        with_plugins(&host, vec![guest::deny_action(action)]).await;
        expect_text(asked(&host, method, path).await, 403, "not that");
    }
    for &(_, method, path) in ROUTES {
        with_plugins(&host, vec![guest::deny_action("inventory:nothing")]).await;
        let status = if method == "PUT" { 201 } else { 200 };
        asked(&host, method, path).await.expect(status);
    }
}

#[tokio::test]
async fn a_policy_that_refuses_hides_what_exists() {
    let host = filled().await;
    with_plugins(&host, vec![guest::deny_all()]).await;
    for place in [
        "/ns/",
        "/other/",
        "/ns/units/app/",
        "/ns/units/other/",
        "/ns/units/app/versions/v1/",
        "/ns/units/app/versions/v9/",
        "/ns/units/app/versions/latest/",
        "/ns/units/other/versions/latest/",
    ] {
        expect_text(host.get(&at(place)).await, 403, "not today");
    }
}

#[tokio::test]
async fn a_refused_request_changes_nothing() {
    let host = filled().await;
    with_plugins(&host, vec![guest::deny_all()]).await;
    for &(_, method, path) in ROUTES {
        expect_text(asked(&host, method, path).await, 403, "not today");
    }
    with_plugins(&host, vec![guest::allow_all()]).await;
    let unit = host.get(&at("/ns/units/app/")).await.expect(200).json();
    assert_eq!(unit["versions"], json!(["2", "1"]));
    expect_empty(host.get(&at("/ns/units/app/versions/v2/download")).await, 404);
    expect_empty(host.get(&at("/ns/units/app/versions/live/")).await, 404);
}

#[tokio::test]
async fn a_before_hook_refuses_with_its_message() {
    let host = filled().await;
    with_plugins(&host, vec![guest::allow_all(), guest::refusing_hook()]).await;
    let release = json!({ "name": "app", "version": "3" });
    expect_text(register(&host, "ns", &release).await, 400, "too much");
    let upload = at("/ns/units/app/versions/v2/upload");
    expect_text(host.upload(&upload, b"x").await, 400, "too much");
    let tag = json!({ "release_id": "ns/app-v1", "tag": "live" });
    expect_text(host.post(&at("/ns/units/app/tags/"), &tag).await, 400, "too much");
    let yank = at("/ns/units/app/versions/v2/yank");
    expect_text(host.post(&yank, &json!({})).await, 400, "too much");
    expect_text(host.delete(&yank).await, 400, "too much");
    let latest = host.get(&at("/ns/units/app/versions/latest/")).await.expect(200).json();
    assert_eq!(latest["version"], "2");
    expect_empty(host.get(&at("/ns/units/app/versions/live/")).await, 404);
    expect_empty(host.get(&at("/ns/units/app/versions/v3/")).await, 404);
    expect_empty(host.get(&at("/ns/units/app/versions/v2/download")).await, 404);
}

#[tokio::test]
async fn a_before_hook_may_amend_a_release() {
    let host = filled().await;
    let patch = r#"[{"op":"replace","path":"/description","value":"amended"}]"#;
    with_plugins(&host, vec![guest::allow_all(), guest::patching_hook(patch)]).await;
    register(&host, "ns", &json!({ "name": "app", "version": "3" })).await.expect(200);
    let kept = host.get(&at("/ns/units/app/versions/v3/")).await.expect(200).json();
    assert_eq!(kept["description"], "amended");
    let unit = host.get(&at("/ns/units/app/")).await.expect(200).json();
    assert_eq!(unit["description"], "amended");
}

#[tokio::test]
async fn a_before_hook_cannot_make_it_another_or_a_broken_release() {
    let host = filled().await;
    for (patch, status) in [
        (r#"[{"op":"replace","path":"/version","value":"4"}]"#, 500),
        (r#"[{"op":"replace","path":"/name","value":"other"}]"#, 500),
        (r#"[{"op":"replace","path":"/inputs","value":[{"id":"$"}]}]"#, 500),
    ] {
        with_plugins(&host, vec![guest::allow_all(), guest::patching_hook(patch)]).await;
        register(&host, "ns", &json!({ "name": "app", "version": "3" })).await.expect(status);
        expect_empty(host.get(&at("/ns/units/app/versions/v3/")).await, 404);
        expect_empty(host.get(&at("/ns/units/app/versions/v4/")).await, 404);
    }
}

#[tokio::test]
async fn a_before_hook_cannot_change_the_bytes_of_a_package() {
    let host = filled().await;
    let patch = r#"[{"op":"replace","path":"/size","value":7}]"#;
    with_plugins(&host, vec![guest::allow_all(), guest::patching_hook(patch)]).await;
    host.upload(&at("/ns/units/app/versions/v2/upload"), b"x").await.expect(500);
    expect_empty(host.get(&at("/ns/units/app/versions/v2/download")).await, 404);
}

#[tokio::test]
async fn a_hooks_warning_reaches_the_caller() {
    let host = filled().await;
    with_plugins(&host, vec![guest::allow_all(), guest::warning_hook()]).await;
    let release = json!({ "name": "app", "version": "3" });
    let answer = register(&host, "ns", &release).await.expect(200);
    assert_eq!(answer.header("warning"), r#"299 chandlery "mind the gap""#);
    let answer = host.get(&at("/ns/units/app/versions/v3/")).await.expect(200);
    assert_eq!(answer.header("warning"), "");
}

#[tokio::test]
async fn a_before_hook_may_refuse_or_amend_what_is_said_of_a_namespace() {
    let host = filled().await;
    let (add, new) = (at("/x/add-namespace"), json!({ "name": "new" }));
    with_plugins(&host, vec![guest::allow_all(), guest::refusing_hook()]).await;
    expect_text(host.post(&add, &new).await, 400, "too much");
    expect_text(host.put(&at("/ns/"), &json!({ "name": "ns" })).await, 400, "too much");
    for path in ["/ns/hooks/", "/ns/units/app/hooks/"] {
        expect_text(host.put(&at(path), &json!({ "slack": {} })).await, 400, "too much");
        assert_eq!(host.get(&at(path)).await.expect(200).json(), json!({}));
    }
    expect_empty(host.get(&at("/new/")).await, 404);

    let patch = r#"[
        {"op":"replace","path":"/description","value":"amended"},
        {"op":"replace","path":"/is_public","value":true}
    ]"#;
    with_plugins(&host, vec![guest::allow_all(), guest::patching_hook(patch)]).await;
    host.post(&add, &new).await.expect(200);
    host.put(&at("/ns/"), &json!({ "name": "ns", "logo": "l" })).await.expect(201);
    let listed = host.get(&at("/")).await.expect(200).json();
    for (name, logo) in [("new", ""), ("ns", "l")] {
        let found = &listed[name];
        assert_eq!(found["description"], "amended");
        assert_eq!((&found["is_public"], &found["logo"]), (&json!(true), &json!(logo)));
    }
    for path in ["/ns/hooks/", "/ns/units/app/hooks/"] {
        host.put(&at(path), &json!({ "slack": {} })).await.expect(500);
        assert_eq!(host.get(&at(path)).await.expect(200).json(), json!({}));
    }
}

#[tokio::test]
async fn a_before_hook_cannot_make_it_another_namespace() {
    let host = filled().await;
    for patch in [
        r#"[{"op":"replace","path":"/name","value":"other"}]"#,
        r#"[{"op":"replace","path":"/permission","value":"read"}]"#,
        r#"[{"op":"add","path":"/hooks","value":{}}]"#,
        r#"[{"op":"replace","path":"/logo","value":1}]"#,
        r#"[{"op":"remove","path":"/logo"}]"#,
    ] {
        with_plugins(&host, vec![guest::allow_all(), guest::patching_hook(patch)]).await;
        host.post(&at("/x/add-namespace"), &json!({ "name": "new" })).await.expect(500);
        host.put(&at("/ns/"), &json!({ "name": "ns", "logo": "l" })).await.expect(500);
    }
    with_plugins(&host, vec![guest::allow_all()]).await;
    let listed = host.get(&at("/")).await.expect(200).json();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["ns"]);
    assert_eq!(listed["ns"]["logo"], "");
}
