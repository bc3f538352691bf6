//! The documented examples, replayed: `examples.jsonl`.

use axum::{body::Body, http::Request};
use chandlery::{
    config::{Config, RepositoryConfig},
    plugins::Binding,
    release::model::PackageMetadata,
    store::{operations, packages},
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
    let path = example["path"].as_str().unwrap();
    let uri = match example["query"].as_str() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut request = Request::builder().method(method).uri(uri);
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
    for (name, value) in example["response_headers"].as_object().unwrap() {
        // The examples' bodies are pretty-printed, ours are not.
        if name != "Content-Length" {
            assert_eq!(answer.header(name), value, "{name}");
        }
    }
    assert_eq!(answer.text(), body.to_string());
}

/// Replays an example and checks its answer, but for what depends on the run: that is
/// taken from the answer, if it is of its kind.
async fn holds(host: &Host, mut example: Value) {
    let answer = replay(host, &example).await;
    let told = answer.json();
    for volatile in example["volatile"].as_array().unwrap().clone() {
        let pointer = volatile["pointer"].as_str().unwrap();
        let value = told.pointer(pointer).unwrap_or_else(|| panic!("{}: {pointer}", example["id"]));
        let expected = example["response_body"].pointer_mut(pointer).unwrap();
        let is_so = match volatile["kind"].as_str().unwrap() {
            "epoch-millis" => value.as_u64() > Some(1_700_000_000_000),
            "json-string" => serde_json::from_str::<Value>(value.as_str().unwrap()).is_ok(),
            "uuid-in-href" => digits(value.as_str().unwrap()) == digits(expected.as_str().unwrap()),
            "free-text" => value.as_str().is_some_and(|it| !it.is_empty()),
            other => panic!("what is `{other}`?"),
        };
        assert!(is_so, "{}: {volatile}: {value}", example["id"]);
        *expected = value.clone();
    }
    check(answer, &example, &example["response_body"]);
}

/// The text with each hexadecimal digit of its last part the same.
fn digits(href: &str) -> String {
    let (before, uuid) = href.rsplit_once('/').unwrap();
    format!("{before}/{}", uuid.replace(|it: char| it.is_ascii_hexdigit(), "0"))
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
        holds(&host, example(id)).await;
    }
}

#[tokio::test]
async fn what_there_is_is_listed_as_in_the_examples() {
    let host = host_with(super::bindings()).await;
    for id in ["index", "deployers-page", "releases-page-empty", "repositories-find-by-name"] {
        holds(&host, example(id)).await;
    }
}

#[tokio::test]
async fn packages_are_listed_as_in_the_examples() {
    let host = host_with(super::bindings()).await;
    let page = example("package-metadata-page");
    let packages = page["response_body"]["_embedded"]["packageMetadata"].as_array().unwrap();
    for package in packages {
        let metadata: PackageMetadata = serde_json::from_value(package.clone()).unwrap();
        let insert = host.app.store.write_unaudited(move |change| {
            let mut row = packages::insert(change, metadata, String::new(), 0)?;
            // The examples' first package has been installed before.
            if row.id == 1 { packages::update(change, &mut row) } else { Ok(()) }
        });
        insert.await.unwrap();
    }
    holds(&host, example("package-metadata-by-id")).await;
    holds(&host, page).await;
}

#[tokio::test]
async fn repositories_are_listed_as_in_the_example() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file:{}", folder.path().display());
    let test = RepositoryConfig {
        url: url.clone(),
        description: Some("test repository with a few packages".to_owned()),
        ..RepositoryConfig::default()
    };
    let host = host_with_repository(super::bindings(), test).await;
    let mut example = example("repositories-page");
    // There is no class path here.
    example["response_body"]["_embedded"]["repositories"][0]["url"] = url.into();
    holds(&host, example).await;
}

/// A server with the examples' first repository.
async fn host_with(bindings: Vec<Binding>) -> Host {
    let test = RepositoryConfig {
        url: "classpath:/repositories/binaries/test".into(),
        local: true,
        ..RepositoryConfig::default()
    };
    host_with_repository(bindings, test).await
}

async fn host_with_repository(bindings: Vec<Binding>, test: RepositoryConfig) -> Host {
    let local = RepositoryConfig {
        url: "http://localhost:7577".into(),
        description: Some("Default local database backed repository".into()),
        ..RepositoryConfig::default()
    };
    let both = [("test".to_owned(), test), ("local".to_owned(), local)];
    let configure = |it: &mut Config| {
        it.repositories = both.into();
        it.releases.health_check_ms = 20;
    };
    Host::builder().plugins(bindings).config(configure).start().await
}

#[tokio::test]
async fn a_package_is_installed_by_its_id_as_in_the_example() {
    let host = host_with(super::bindings()).await;
    upload_example(&host).await;
    upload_of_example(&host, "package-install-by-id").await;
    holds(&host, example("package-install-by-id")).await;
}

#[tokio::test]
async fn a_release_is_upgraded_and_rolled_back_as_in_the_examples() {
    let host = host_with(super::bindings()).await;
    upload_example(&host).await;
    upload_of_example(&host, "release-upgrade").await;
    replay(&host, &example("package-install")).await.expect(201);

    holds(&host, example("release-upgrade")).await;

    settled(&host, "1", "DELETED").await;
    holds(&host, example("release-rollback")).await;
    settled(&host, "3", "DEPLOYED").await;
}

#[tokio::test]
async fn a_release_is_deleted_with_its_package_as_in_the_example() {
    let host = host_with(super::bindings()).await;
    upload_of_example(&host, "release-delete-with-package").await;
    let mut install = example("package-install");
    let package = serde_json::json!({ "packageName": "mylog", "packageVersion": "9.9.9" });
    install["request_body"]["packageIdentifier"] = package;
    replay(&host, &install).await.expect(201);

    holds(&host, example("release-delete-with-package")).await;

    let left = host.get("/api/packageMetadata").await.expect(200).json();
    assert_eq!(left["page"]["totalElements"], 0);
}

/// Waits until that version of the examples' release is as it should be, and nobody works
/// on it any more.
async fn settled(host: &Host, version: &str, code: &str) {
    let path = format!("/api/release/status/myLogRelease/{version}");
    super::install::until("settled", async || {
        let info = host.get(&path).await.expect(200).json();
        let open = host.app.store.read(|view| operations::open_of(view, "myLogRelease"));
        info["status"]["statusCode"] == code && open.await.unwrap().is_none()
    })
    .await;
}

/// Uploads the package that the examples install.
async fn upload_example(host: &Host) {
    upload_of_example(host, "package-install").await;
}

/// Uploads the package of an example's release. JSON is YAML, too.
async fn upload_of_example(host: &Host, id: &str) {
    let package = example(id)["response_body"]["pkg"].clone();
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let metadata = &package["metadata"];
    let folder = format!("{}-{}", text(&metadata["name"]), text(&metadata["version"]));
    let file = |name: &str| format!("{folder}/{name}");
    let zip = super::zip(&[
        (&file("package.yml"), metadata.to_string()),
        (&file("values.yml"), text(&package["configValues"]["raw"])),
        (&file("templates/log.yml"), text(&package["templates"][0]["data"])),
    ]);
    let mut upload = super::upload_of(&zip);
    for (field, property) in
        [("name", "name"), ("version", "version"), ("repoName", "repositoryName")]
    {
        upload[field] = metadata[property].clone();
    }
    host.post(super::UPLOAD, &upload).await.expect(201);
}
