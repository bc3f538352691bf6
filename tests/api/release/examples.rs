//! The documented examples, replayed: `examples.jsonl`.

use axum::{body::Body, http::Request};
use chandlery::{
    config::{Config, RepositoryConfig},
    plugins::Binding,
};
use chandlery_tests::{Answer, Host, guest};
use serde_json::Value;

const EXAMPLES: &str = include_str!("examples.jsonl");

pub(super) fn example(id: &str) -> Value {
    // A resource that nobody has to fetch from the network.
    let examples = EXAMPLES.replace("maven://org.springframework.cloud.stream.app:", "docker:");
    let mut examples = examples.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    examples.find(|it| it["id"] == id).unwrap_or_else(|| panic!("there is an example `{id}`"))
}

/// Sends an example's request, header by header.
pub(super) async fn replay(host: &Host, example: &Value) -> Answer {
    let method = example["method"].as_str().unwrap();
    let mut request = Request::builder().method(method).uri(example["path"].as_str().unwrap());
    for (name, value) in example["request_headers"].as_object().unwrap() {
        // The examples' bodies are pretty-printed, ours are not.
        if name != "Content-Length" {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    let body = match &example["request_body"] {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    host.send(request.body(body).unwrap()).await
}

/// Checks status, type and the body, byte for byte once both are compact.
#[track_caller]
pub(super) fn check(answer: Answer, example: &Value, body: &Value) {
    let status = u16::try_from(example["status"].as_u64().unwrap()).unwrap();
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), example["response_headers"]["Content-Type"]);
    assert_eq!(answer.text(), body.to_string());
}

#[tokio::test]
async fn about_is_answered_as_in_the_example_but_for_the_versions() {
    let host = Host::with(vec![guest::allow_all()]).await;
    let example = example("about");

    let mut body = example["response_body"].clone();
    for of in ["server", "shell"] {
        body["versionInfo"][of]["version"] = env!("CARGO_PKG_VERSION").into();
    }

    check(replay(&host, &example).await, &example, &body);
}

#[tokio::test]
async fn the_example_s_package_is_taken_and_answered_as_in_the_example() {
    let host = host_with(vec![guest::allow_all()]).await;
    let example = example("package-upload");

    let answer = replay(&host, &example).await;

    check(answer, &example, &example["response_body"]);
}

#[tokio::test]
async fn releases_are_answered_as_in_the_examples() {
    let installed: [(&str, &[&str]); 8] = [
        ("package-install", &[]),
        ("release-list", &["myLogRelease"]),
        ("release-list-by-name", &["other", "myLogRelease2"]),
        ("release-status", &["myLogRelease"]),
        ("release-status-by-version", &["myLogRelease2"]),
        ("release-manifest", &["myLogRelease"]),
        ("release-manifest-by-version", &["myLogRelease2"]),
        ("release-delete", &["myLogRelease1"]),
    ];
    let bindings = super::bindings();
    for (id, installed) in installed {
        let host = host_with(bindings.clone()).await;
        upload_example(&host).await;
        for name in installed {
            let mut install = example("package-install");
            install["request_body"]["installProperties"]["releaseName"] = (*name).into();
            replay(&host, &install).await.expect(201);
        }
        let mut example = example(id);

        let answer = replay(&host, &example).await;

        // What depends on the run is taken from the answer, if it is of its kind.
        let told = answer.json();
        for volatile in example["volatile"].as_array().unwrap().clone() {
            let pointer = volatile["pointer"].as_str().unwrap();
            let value = told.pointer(pointer).unwrap_or_else(|| panic!("{id}: {pointer}"));
            match volatile["kind"].as_str().unwrap() {
                "epoch-millis" => assert!(value.as_u64() > Some(1_700_000_000_000), "{value}"),
                _ => assert!(serde_json::from_str::<Value>(value.as_str().unwrap()).is_ok()),
            }
            *example["response_body"].pointer_mut(pointer).unwrap() = value.clone();
        }
        check(answer, &example, &example["response_body"]);
    }
}

/// A server with the examples' first repository.
async fn host_with(bindings: Vec<Binding>) -> Host {
    let test = RepositoryConfig {
        url: "classpath:/repositories/binaries/test".into(),
        local: true,
        ..RepositoryConfig::default()
    };
    let configure = |it: &mut Config| drop(it.repositories.insert("test".into(), test));
    Host::builder().plugins(bindings).config(configure).start().await
}

/// Uploads the package that the examples install. JSON is YAML, too.
async fn upload_example(host: &Host) {
    let package = example("package-install")["response_body"]["pkg"].clone();
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let zip = super::zip(&[
        ("log-1.0.0/package.yml", package["metadata"].to_string()),
        ("log-1.0.0/values.yml", text(&package["configValues"]["raw"])),
        ("log-1.0.0/templates/log.yml", text(&package["templates"][0]["data"])),
    ]);
    let mut upload = super::upload_of(&zip);
    upload["repoName"] = "test".into();
    host.post(super::UPLOAD, &upload).await.expect(201);
}
