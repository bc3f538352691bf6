//! Adding, updating and naming namespaces.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chandlery::inventory::PAGE_ROWS;
use chandlery_tests::{Answer, Host};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{NO_ROUTE, at, expect_empty, expect_text, host, host_with, register_version};

const INTERNAL: &str = "/api/v1/internal";

async fn add(host: &Host, body: &Value) -> Answer {
    host.post(&at("/any/add-namespace"), body).await
}

pub(super) async fn send(host: &Host, method: &str, path: &str, body: impl Into<Body>) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    host.send(request.body(body.into()).unwrap()).await
}

fn shown(name: &str) -> Value {
    json!({
        "name": name, "description": "", "org_url": "", "logo": "", "permission": "admin",
        "is_public": false,
    })
}

#[tokio::test]
async fn a_namespace_is_added_by_the_name_in_the_body() {
    let host = host().await;
    expect_empty(add(&host, &json!({ "name": "alpha" })).await, 200);
    let full = json!({
        "name": "beta", "description": "<d>", "org_url": "http://x", "logo": "bG9nbw==",
        "is_public": true, "permission": "read", "hooks": { "slack": { "url": "x" } },
        "project": "state", "unknown": [1],
    });
    expect_empty(host.post(&format!("{INTERNAL}/add-namespace"), &full).await, 200);
    expect_empty(
        host.post(&format!("{INTERNAL}/add-namespace/"), &json!({ "name": "_" })).await,
        200,
    );

    let mut beta = full.clone();
    beta["permission"] = json!("admin");
    for field in ["hooks", "project", "unknown"] {
        beta.as_object_mut().unwrap().remove(field);
    }
    let listed = host.get(&at("/")).await.expect(200);
    let expected = json!({ "_": shown("_"), "alpha": shown("alpha"), "beta": beta });
    assert_eq!(listed.json(), expected);
    assert!(listed.text().contains(r"\u003cd\u003e"), "{}", listed.text());
    beta["units"] = json!({});
    assert_eq!(host.get(&at("/beta/")).await.expect(200).json(), beta);
    assert_eq!(host.get(&at("/beta/units/")).await.expect(200).json(), json!({}));
    assert_eq!(host.get(&at("/beta/hooks/")).await.expect(200).json(), json!({}));
    expect_empty(host.get(&at("/any/")).await, 404);
}

#[tokio::test]
async fn a_namespace_is_added_once() {
    let host = host_with(["1"]).await;
    let again = json!({ "name": "ns", "description": "mine" });
    for path in [at("/ns/add-namespace"), format!("{INTERNAL}/add-namespace")] {
        expect_text(host.post(&path, &again).await, 409, "Resource already exists");
    }
    let namespace = host.get(&at("/ns/")).await.expect(200).json();
    assert_eq!(
        (&namespace["description"], &namespace["units"]["app"]["name"]),
        (&json!(""), &json!("app"))
    );
    let others = (0..8).map(|_| async { add(&host, &json!({ "name": "raced" })).await.status });
    let mut statuses: Vec<u16> = futures::future::join_all(others).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![409; 7]].concat());
}

#[tokio::test]
async fn an_update_replaces_all_that_is_said_of_a_namespace() {
    let host = host_with(["1"]).await;
    host.put(&at("/ns/hooks/"), &json!({ "events": { "url": "http://a" } })).await.expect(201);
    let full = json!({
        "name": "ns", "description": "d", "org_url": "o", "logo": "l", "is_public": true,
        "permission": "read",
    });
    expect_empty(host.put(&at("/ns/"), &full).await, 201);
    let namespace = host.get(&at("/ns/")).await.expect(200).json();
    for field in ["description", "org_url", "logo", "is_public"] {
        assert_eq!(namespace[field], full[field]);
    }
    assert_eq!(namespace["permission"], "admin");
    assert_eq!(namespace["units"]["app"]["latest_version"], "1");

    expect_empty(host.put(&at("/ns/"), &json!({ "NAME": "ns", "logo": "m" })).await, 201);
    let namespace = host.get(&at("/")).await.expect(200).json()["ns"].clone();
    let mut expected = shown("ns");
    expected["logo"] = json!("m");
    assert_eq!(namespace, expected);
    let hooks = host.get(&at("/ns/hooks/")).await.expect(200).json();
    assert_eq!(hooks, json!({ "events": { "url": "http://a" } }));
}

#[tokio::test]
async fn an_update_needs_the_namespace_and_its_name() {
    let host = host_with(["1"]).await;
    let mismatch = "Namespace 'name' field doesn't correspond with URL";
    for body in [json!({}), json!(null), json!({ "name": "other" }), json!({ "name": "nS" })] {
        expect_text(host.put(&at("/ns/"), &body).await, 400, mismatch);
        expect_text(host.put(&at("/absent/"), &body).await, 400, mismatch);
    }
    for name in ["absent", "Bad", "list", "a"] {
        expect_empty(host.put(&at(&format!("/{name}/")), &json!({ "name": name })).await, 404);
    }
    let listed = host.get(&at("/")).await.expect(200).json();
    assert_eq!(listed, json!({ "ns": shown("ns") }));
}

#[tokio::test]
async fn what_is_no_namespace_is_refused_in_the_originals_words() {
    let host = host_with(["1"]).await;
    let adding = [at("/ns/add-namespace"), format!("{INTERNAL}/add-namespace")];
    let refused = async |body: &str, message: &str| {
        for path in &adding {
            expect_text(send(&host, "POST", path, body.to_owned()).await, 400, message);
        }
    };
    let deep = "{\"name\":".repeat(100_000);
    let digits = format!("{{\"name\":\"new\",\"is_public\":{}}}", "9".repeat(1000));
    let not_json = [
        "",
        "{",
        "[]",
        "12",
        "x",
        r#"{"name":1}"#,
        r#"{"name":"new","is_public":"x"}"#,
        &deep,
        &digits,
    ];
    for body in not_json {
        refused(body, "Invalid JSON").await;
        expect_text(send(&host, "PUT", &at("/ns/"), body.to_owned()).await, 400, "Invalid JSON");
    }
    for body in ["{}", "null", r#"{"name":""}"#, r#"{"name":"new","name":""} x"#] {
        refused(body, "Missing name").await;
    }
    for name in ["a", "A", "Web", "9a", "a.b", "a/b", "..", "a b", "\u{e4}b", "\u{5d0}\u{5d1}"] {
        refused(&json!({ "name": name }).to_string(), &format!("Invalid name '{name}'")).await;
    }
    refused(r#"{"name":"a\u0000b"}"#, "Invalid name 'a\0b'").await;
    let long = "a".repeat(256);
    refused(&json!({ "name": long }).to_string(), &format!("Invalid name '{long}'")).await;
    for name in ["this", "string", "integer", "list", "dict", "func"] {
        let message = format!("The name '{name}' is a protected variable.");
        refused(&json!({ "name": name }).to_string(), &message).await;
    }
    let large = json!({ "name": "new", "logo": "x".repeat(2 << 20) });
    add(&host, &large).await.expect(413);
    assert_eq!(host.get(&at("/")).await.expect(200).json(), json!({ "ns": shown("ns") }));
}

#[tokio::test]
async fn one_value_is_read_whatever_follows_it() {
    let host = host().await;
    let path = at("/any/add-namespace");
    for body in [r#"{"name":"one"} trailing"#, r#"{"name":"x1","Name":"two"}{"#] {
        expect_empty(send(&host, "POST", &path, body).await, 200);
    }
    let body = r#"{"name":"one","is_public":true}]]]"#;
    expect_empty(send(&host, "PUT", &at("/one/"), body).await, 201);
    let listed = host.get(&at("/")).await.expect(200).json();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(listed["one"]["is_public"], true);
}

#[tokio::test]
async fn the_named_and_the_public_namespaces_are_answered_for_a_project() {
    let host = host().await;
    let public = ["pub-a", "zz"];
    for name in ["alpha", "beta", "gamma"].into_iter().chain(public) {
        let namespace = json!({ "name": name, "is_public": public.contains(&name) });
        add(&host, &namespace).await.expect(200);
    }
    let check = async |query: &str, expected: &[&str]| {
        let path = format!("{INTERNAL}/get_namespaces_for_project{query}");
        let answer = host.get(&path).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        let listed = answer.json();
        assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), expected, "{query}");
        listed
    };
    check("", &["pub-a", "zz"]).await;
    check("/", &["pub-a", "zz"]).await;
    check("?namespace=beta", &["beta", "pub-a", "zz"]).await;
    check("?namespace=zz,alpha,absent,Bad,..,%00", &["alpha", "pub-a", "zz"]).await;
    let listed = check(
        "?namespace=gamma&namespace=beta,%20alpha&other=x",
        &["alpha", "beta", "gamma", "pub-a", "zz"],
    )
    .await;
    let all = host.get(&at("/")).await.expect(200);
    assert_eq!(listed, all.json());

    host.put(&at("/zz/"), &json!({ "name": "zz" })).await.expect(201);
    host.delete(&at("/pub-a/hard-delete")).await.expect(200);
    check("", &[]).await;
}

#[tokio::test]
async fn many_named_and_public_namespaces_are_answered_whole() {
    let host = host().await;
    let count = 2 * PAGE_ROWS + 10;
    let names: Vec<_> = (0..count).map(|it| format!("n-{it:04}")).collect();
    let add_one = |it: usize| {
        let namespace = json!({ "name": names[it], "is_public": it.is_multiple_of(3) });
        let host = &host;
        async move { add(host, &namespace).await.expect(200) }
    };
    stream::iter(0..count).map(add_one).buffer_unordered(64).collect::<Vec<_>>().await;
    // The first few hundred that are named are not there.
    let absent: Vec<_> = (0..3 * PAGE_ROWS).map(|it| format!("a-{it}")).collect();
    let named: Vec<_> = (0..count).filter(|it| it % 3 == 1).map(|it| names[it].clone()).collect();
    let query = [absent, named].concat().join(",");
    let path = format!("{INTERNAL}/get_namespaces_for_project?namespace={query}");
    let listed = host.get(&path).await.expect(200).json();
    let expected: Vec<_> = (0..count).filter(|it| it % 3 < 2).map(|it| &names[it]).collect();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), expected);
    let all = host.get(&at("/")).await.expect(200).json();
    assert_eq!(all.as_object().unwrap().len(), count);
}

#[tokio::test]
async fn namespaces_with_large_logos_are_listed_whole() {
    let host = host().await;
    let logo = "x".repeat(400 << 10);
    let names: Vec<_> = (0..25).map(|it| format!("n-{it:02}")).collect();
    for name in &names {
        let namespace = json!({ "name": name, "logo": logo, "is_public": true });
        add(&host, &namespace).await.expect(200);
    }
    for path in [at("/"), format!("{INTERNAL}/get_namespaces_for_project")] {
        let listed = host.get(&path).await.expect(200).json();
        assert_eq!(
            listed.as_object().unwrap().keys().collect::<Vec<_>>(),
            names.iter().collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn other_methods_are_no_routes() {
    let host = host_with(["1"]).await;
    for (method, path) in [
        ("POST", at("/ns/")),
        ("DELETE", at("/ns/")),
        ("PATCH", at("/ns/")),
        ("PUT", at("/ns")),
        ("GET", at("/ns/add-namespace")),
        ("PUT", at("/ns/add-namespace")),
        ("GET", at("/ns/hard-delete")),
        ("POST", at("/ns/hard-delete")),
        ("POST", at("/ns/hooks/")),
        ("DELETE", at("/ns/hooks/")),
        ("POST", at("/ns/units/app/hooks/")),
        ("DELETE", at("/ns/units/app/hooks/")),
        ("GET", format!("{INTERNAL}/add-namespace")),
        ("POST", format!("{INTERNAL}/get_namespaces_for_project")),
        ("GET", format!("{INTERNAL}/database")),
        ("DELETE", format!("{INTERNAL}/database")),
        ("DELETE", format!("{INTERNAL}/database/")),
        ("GET", format!("{INTERNAL}/")),
    ] {
        let answer = send(&host, method, &path, Body::empty()).await.expect(404);
        assert_eq!(answer.text(), NO_ROUTE, "{method} {path}");
    }
    host.get(&at("/ns/units/app/versions/v1/")).await.expect(200);
}

#[tokio::test]
async fn a_namespace_that_was_registered_into_is_one_like_any() {
    let host = host().await;
    register_version(&host, "made", "app", "1").await;
    host.put(&at("/made/"), &json!({ "name": "made", "description": "d" })).await.expect(201);
    register_version(&host, "made", "app", "2").await;
    let namespace = host.get(&at("/made/")).await.expect(200).json();
    assert_eq!(namespace["description"], "d");
}
