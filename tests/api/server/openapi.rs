//! The OpenAPI document, held against what the server does.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chandlery_tests::{Answer, Host};
use serde_json::{Map, Value, json};

const DOCUMENT: &str = "/api/v1/openapi.json";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

async fn document(host: &Host) -> Value {
    let answer = host.get(DOCUMENT).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

async fn send(host: &Host, method: &str, path: &str) -> Answer {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    host.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

/// Whether an answer says that there is no such route, or no such method on it.
fn is_no_route(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.bytes);
    let skipper = answer.status == 404 && text.contains("\"message\":\"No message available\"");
    text == "404 page not found\n" || answer.status == 405 || skipper
}

#[tokio::test]
async fn what_is_documented_is_served_and_nothing_else_on_the_same_paths() {
    for dev in [false, true] {
        check_routes(&Host::builder().config(|it| it.dev = dev).start().await).await;
    }
}

async fn check_routes(host: &Host) {
    let document = document(host).await;
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let filled = filled(path);
        for method in METHODS {
            let documented =
                !item[method].is_null() || method == "delete" && is_a_name(paths, &filled);
            if documented || path != "/metrics" {
                let answer = send(host, method, &filled).await;
                assert_eq!(!is_no_route(&answer), documented, "{method} {path}: {answer:?}");
            }
        }
    }
}

/// Whether a word of a route is also the name of something that can be deleted: a package
/// `upload`, a release `list`.
fn is_a_name(paths: &Map<String, Value>, filled: &str) -> bool {
    let fits = |route: &str| {
        let (route, path): (Vec<_>, Vec<_>) =
            (route.split('/').collect(), filled.split('/').collect());
        route.len() == path.len()
            && route.iter().zip(path).all(|(of, it)| it == *of || of.starts_with('{'))
    };
    let has_names = ["/api/package/", "/api/release/"].iter().any(|it| filled.starts_with(it));
    has_names && paths.iter().any(|(route, item)| !item["delete"].is_null() && fits(route))
}

/// The path of something, which need not exist.
fn filled(path: &str) -> String {
    let part = |it: &str| match it {
        "{namespace}" => "ns".to_owned(),
        "{unit}" => "app".to_owned(),
        "{version}" => "v1.0".to_owned(),
        it if it.starts_with('{') => "some".to_owned(),
        it => it.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Checks a value against a schema; what does not fit is told with its place.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(target) = schema["$ref"].as_str() {
        let target = document.pointer(target.trim_start_matches('#')).expect("references lead on");
        return check(document, target, value, place);
    }
    let fits = |it: &Value| check(document, it, value, place);
    for it in schema["allOf"].as_array().into_iter().flatten() {
        fits(it)?;
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[key].as_array()
            && !choices.iter().any(|it| fits(it).is_ok())
        {
            return Err(format!("{place}: {value} fits none of {key}"));
        }
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Err(format!("{place}: {value} is none of {choices:?}"));
    }
    let kinds = match &schema["type"] {
        Value::Null => vec![],
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    if !kinds.is_empty() && !kinds.iter().any(|it| is_of(value, it.as_str().unwrap())) {
        return Err(format!("{place}: {value} is not of type {}", schema["type"]));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
            return Err(format!("{place}: {name} is missing"));
        }
    }
    for (name, it) in value.as_object().into_iter().flatten() {
        let inner = match schema["properties"].get(name) {
            Some(inner) => inner,
            None => &schema["additionalProperties"],
        };
        if inner.is_object() {
            check(document, inner, it, &format!("{place}.{name}"))?;
        }
    }
    for (index, it) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            check(document, &schema["items"], it, &format!("{place}[{index}]"))?;
        }
    }
    Ok(())
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("`{other}` is no type of JSON"),
    }
}

/// The members that a schema knows, where it knows them all.
fn known(document: &Value, schema: &Value) -> Option<Vec<String>> {
    if let Some(target) = schema["$ref"].as_str() {
        return known(document, document.pointer(target.trim_start_matches('#')).unwrap());
    }
    let mut names = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        names.extend(known(document, part)?);
    }
    names.extend(schema["properties"].as_object().into_iter().flatten().map(|(it, _)| it.clone()));
    (!names.is_empty()).then_some(names)
}

/// Checks that an answer is among those that the document has for it.
fn check_answer(document: &Value, method: &str, path: &str, answer: &Answer) {
    let operation = &document["paths"][path][method];
    assert!(operation.is_object(), "{method} {path} is documented");
    let mut told = &operation["responses"][answer.status.to_string()];
    if let Some(target) = told["$ref"].as_str() {
        told = document.pointer(target.trim_start_matches('#')).unwrap();
    }
    assert!(told.is_object(), "{method} {path}: {} is documented", answer.status);
    let kind = answer.header("content-type").split(';').next().unwrap();
    let Some(content) = told["content"].as_object() else {
        assert_eq!((kind, answer.bytes.len()), ("", 0), "{method} {path}: {told}");
        return;
    };
    let content = content.get(kind).unwrap_or_else(|| panic!("{method} {path}: `{kind}`"));
    if kind.ends_with("json") {
        let body = answer.json();
        let schema = &content["schema"];
        if schema.is_null() {
            return;
        }
        check(document, schema, &body, "$").unwrap_or_else(|it| panic!("{method} {path} {it}"));
        if let (Some(known), Some(members)) = (known(document, schema), body.as_object()) {
            for name in members.keys() {
                assert!(known.contains(name), "{method} {path}: `{name}` is not in the document");
            }
        }
    }
}

#[tokio::test]
async fn the_inventorys_answers_are_as_the_document_says() {
    let host = Host::start().await;
    let document = document(&host).await;
    let release = json!({
        "name": "app", "version": "1.0", "description": "It does", "metadata": { "a": "b" },
        "inputs": [{ "id": "x", "type": "integer", "default": 1 }, { "id": "y" }],
        "depends": [{ "release_id": "ns/lib-v1 as lib" }], "consumes": [{ "name": "db" }],
        "provides": [{ "name": "web" }],
        "downloads": [{ "url": "https://a.example/b", "dest": "b" }],
        "errands": { "clean": { "script": "a.sh", "inputs": [] } },
        "stages": { "build": { "script": "b.sh" } }, "templates": [{ "file": "a.tpl" }],
    });
    let inventory = |path: &str| format!("/api/v1/inventory{path}");
    let known = |path: &str| {
        let path = path.replace("/ns/", "/{namespace}/").replace("/units/app/", "/units/{unit}/");
        path.replace("/v1.0/", "/{version}/").split('?').next().unwrap().to_owned()
    };
    let post = host.post(&inventory("/ns/register"), &release).await.expect(200);
    check_answer(&document, "post", &inventory("/{namespace}/register"), &post);
    let again = host.post(&inventory("/ns/register"), &release).await.expect(400);
    check_answer(&document, "post", &inventory("/{namespace}/register"), &again);

    let package = inventory("/ns/units/app/versions/v1.0/upload");
    for status in [200, 409] {
        let upload = host.upload(&package, b"bytes").await.expect(status);
        check_answer(&document, "post", &known(&package), &upload);
    }
    for (shown, item) in document["paths"].as_object().unwrap() {
        if item["get"].is_null() || !shown.starts_with("/api/v1/") {
            continue;
        }
        let path = filled(shown);
        let queries = item["get"]["parameters"].as_array().into_iter().flatten();
        let queries = queries.filter(|it| it["in"] == "query").map(|it| it["name"].as_str());
        let queries = queries.map(|it| format!("?{}=1", it.unwrap()));
        for query in queries.chain([String::new(), "?detail=true".to_owned()]) {
            let answer = host.get(&format!("{path}{query}")).await;
            assert!(answer.status < 500, "{path}{query}: {answer:?}");
            check_answer(&document, "get", shown, &answer);
        }
        let missing = host.get(&path.replace("/ns/", "/nobody/")).await;
        check_answer(&document, "get", shown, &missing);
    }
    let internal = |path: &str| format!("/api/v1/internal{path}");
    let listed = internal("/get_namespaces_for_project");
    check_answer(&document, "get", &listed, &host.get(&listed).await.expect(200));
    for (status, body) in
        [(200, json!({ "name": "new" })), (409, json!({ "name": "new" })), (400, json!(1))]
    {
        let path = internal("/add-namespace");
        check_answer(&document, "post", &path, &host.post(&path, &body).await.expect(status));
    }
    for (path, body) in [
        ("/ns/", json!({ "name": "ns" })),
        ("/ns/hooks/", json!({ "slack": { "url": "x" } })),
        ("/ns/units/app/hooks/", json!({ "build": { "url": "x" } })),
    ] {
        let path = inventory(path);
        check_answer(&document, "put", &known(&path), &host.put(&path, &body).await.expect(201));
        check_answer(
            &document,
            "put",
            &known(&path),
            &host.put(&path, &json!(1)).await.expect(400),
        );
        let told = host.get(&path).await.expect(200);
        check_answer(&document, "get", &known(&path), &told);
    }
    let path = inventory("/ns/hard-delete");
    check_answer(&document, "delete", &known(&path), &host.delete(&path).await.expect(200));
    for path in ["/", "/health", "/ready", "/metrics", DOCUMENT] {
        check_answer(&document, "get", path, &host.get(path).await.expect(200));
    }
}

#[tokio::test]
async fn the_release_apis_answers_are_as_the_document_says() {
    let host = Host::start().await;
    let document = document(&host).await;
    for (path, shown) in [
        ("/api/about", "/api/about"),
        ("/api/release/list", "/api/release/list"),
        ("/api/release/status/a", "/api/release/status/{name}"),
        ("/api/release/status/a/1", "/api/release/status/{name}/{version}"),
        ("/api/release/manifest/a/x", "/api/release/manifest/{name}/{version}"),
        ("/api", "/api"),
        ("/api/release", "/api/release"),
        ("/api/package", "/api/package"),
        ("/api/jpaRepositoryStates", "/api/jpaRepositoryStates"),
        ("/api/packageMetadata", "/api/packageMetadata"),
        ("/api/packageMetadata?sort=kind&page=10000", "/api/packageMetadata"),
        ("/api/packageMetadata/1", "/api/packageMetadata/{resource}"),
        ("/api/packageMetadata/x", "/api/packageMetadata/{resource}"),
        ("/api/packageMetadata/search", "/api/packageMetadata/search"),
        (
            "/api/packageMetadata/search/findByName?name=log",
            "/api/packageMetadata/search/findByName",
        ),
        ("/api/repositories", "/api/repositories"),
        ("/api/repositories/1", "/api/repositories/{resource}"),
        ("/api/repositories/9", "/api/repositories/{resource}"),
        ("/api/deployers", "/api/deployers"),
        ("/api/deployers/x", "/api/deployers/{resource}"),
        ("/api/deployers/search/findByName?name=default", "/api/deployers/search/findByName"),
        ("/api/releases", "/api/releases"),
        ("/api/releases/1", "/api/releases/{resource}"),
        ("/api/profile", "/api/profile"),
        ("/api/profile/releases", "/api/profile/{resource}"),
        ("/actuator", "/actuator"),
        ("/actuator/health", "/actuator/health"),
        ("/actuator/info", "/actuator/info"),
    ] {
        let plain = Request::get(path).header("accept", "application/json").body(Body::empty());
        check_answer(&document, "get", shown, &host.send(plain.unwrap()).await);
        check_answer(&document, "get", shown, &host.get(path).await);
    }
    for path in ["/api/package/upload", "/api/package/install"] {
        for (kind, body) in [("application/json", "{}"), ("application/json", ""), ("text/css", "")]
        {
            let answer = host.post_bytes(path, kind, body).await;
            check_answer(&document, "post", path, &answer);
        }
    }
}

#[tokio::test]
async fn the_document_of_a_test_system_has_the_wipe() {
    const WIPE: &str = "/api/v1/internal/database";
    assert!(document(&Host::start().await).await["paths"][WIPE].is_null());
    let host = Host::builder().config(|it| it.dev = true).start().await;
    let document = document(&host).await;
    check_answer(&document, "delete", WIPE, &host.delete(WIPE).await.expect(200));
}
