//! Packages that come from elsewhere: from folders, from other servers, and from the
//! inventory.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{body::Body, http::Request};
use chandlery::{
    config::{Config, RepositoryConfig},
    plugins::{Binding, Kind},
    store::{
        outbox,
        packages::{self, PackageRow},
    },
};
use chandlery_tests::{Answer, Host, guest, program};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{FILES, SKIPPER, UPLOAD, bindings, failure, install::until, upload_of, zip};

const INSTALL: &str = "/api/package/install";
const OURS: &str = "/api/v1/repositories";
const MANIFEST: &str = "apiVersion: v1\nkind: SpringBootApp\nmetadata: {name: app}\nspec: \
                        {resource: 'docker:app', version: '1'}\n";

/// A package whose release needs nothing that has to be fetched.
fn package(name: &str, version: &str) -> Vec<u8> {
    package_with(name, version, "", MANIFEST)
}

fn package_with(name: &str, version: &str, more: &str, template: &str) -> Vec<u8> {
    let root = format!("{name}-{version}");
    zip(&[
        (
            format!("{root}/package.yml").as_str(),
            format!("name: {name}\nversion: {version}\n{more}").as_str(),
        ),
        (&format!("{root}/templates/app.yml"), template),
    ])
}

/// Puts packages into a folder and its index.
fn fill(folder: &Path, packages: &[(&str, &str)]) {
    let mut index = String::new();
    for (name, version) in packages {
        let place = folder.join(name);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(format!("{name}-{version}.zip")), package(name, version)).unwrap();
        index += &format!("---\nname: {name}\nversion: {version}\n");
    }
    fs::write(folder.join("index.yml"), index).unwrap();
}

fn at(folder: &Path) -> RepositoryConfig {
    remote(&format!("file:{}", folder.display()))
}

fn remote(url: &str) -> RepositoryConfig {
    RepositoryConfig { url: url.to_owned(), ..RepositoryConfig::default() }
}

fn named<const N: usize>(repositories: [(&str, RepositoryConfig); N]) -> impl FnOnce(&mut Config) {
    let repositories = repositories.map(|(name, it)| (name.to_owned(), it));
    move |config| config.repositories.extend(repositories)
}

async fn host<const N: usize>(repositories: [(&str, RepositoryConfig); N]) -> Host {
    let host = Host::builder().plugins(bindings()).config(named(repositories)).start().await;
    for (name, it) in host.app.config.repositories.clone() {
        if !it.local && it.inventory.is_none() {
            until("its index is read", async || !refresh_of(&host, &name).await.is_null()).await;
        }
    }
    host
}

async fn refresh_of(host: &Host, name: &str) -> Value {
    host.get(&format!("{OURS}/{name}")).await.expect(200).json()["refresh"].clone()
}

async fn row(host: &Host, name: &str, version: &str) -> Option<PackageRow> {
    let (name, version) = (name.to_owned(), version.to_owned());
    host.app.store.read(move |view| packages::find(view, &name, &version)).await.unwrap()
}

fn install(release: &str, name: &str, version: Option<&str>) -> Value {
    json!({
        "packageIdentifier": { "packageName": name, "packageVersion": version },
        "installProperties": { "releaseName": release, "platformName": "default" },
    })
}

async fn refused(host: &Host, request: &Value) -> String {
    failure(host.post(INSTALL, request).await, 409, SKIPPER)
}

#[tokio::test]
async fn a_package_of_a_remote_repository_is_fetched_when_it_is_first_installed() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[("log", "9.0.0"), ("log", "10.0.0")]);
    let host = host([("files", at(folder.path()))]).await;
    let known = row(&host, "log", "10.0.0").await.unwrap();
    assert_eq!((known.is_here(), known.object_version), (false, 0));
    assert_eq!(refresh_of(&host, "files").await["added"], 2);

    let release = host.post(INSTALL, &install("a", "log", None)).await.expect(201).json();

    assert_eq!(release["pkg"]["metadata"]["version"], "10.0.0");
    assert_eq!(release["pkg"]["metadata"]["repositoryName"], "files");
    let kept = row(&host, "log", "10.0.0").await.unwrap();
    assert_eq!((kept.is_here(), kept.object_version, kept.id), (true, 1, known.id));
    fs::remove_dir_all(folder.path().join("log")).unwrap();
    host.post(INSTALL, &install("b", "log", Some("10.0.0"))).await.expect(201);
    assert_eq!(
        refused(&host, &install("c", "log", Some("9.0.0"))).await,
        "Could not download an deserialize package. Resource log-9.0.0 in package repository files does not exist."
    );
}

#[tokio::test]
async fn a_zip_is_what_the_index_says_or_it_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[("log", "1.0.0")]);
    let index = |sha256: &str| {
        let text = format!("name: log\nversion: 1.0.0\nsha256: {sha256}\n");
        fs::write(folder.path().join("index.yml"), text).unwrap();
    };
    index(&"0".repeat(64));
    let host = host([("files", at(folder.path()))]).await;

    let message = refused(&host, &install("a", "log", None)).await;

    assert!(message.contains("its SHA-256 is "), "{message}");
    assert!(!row(&host, "log", "1.0.0").await.unwrap().is_here());
    index(&hex::encode_upper(Sha256::digest(package("log", "1.0.0"))));
    let again = host.post(&format!("{OURS}/files/refresh"), &Value::Null).await.expect(200).json();
    assert_eq!((&again["added"], &again["changed"]), (&json!(0), &json!(1)));
    host.post(INSTALL, &install("a", "log", None)).await.expect(201);
}

#[tokio::test]
async fn what_is_wrong_with_a_repository_keeps_no_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, broken) = (folder.path().join("empty"), folder.path().join("broken"));
    fs::create_dir(&empty).unwrap();
    fill(&broken, &[("log", "1.0.0")]);
    let mut index = fs::read_to_string(broken.join("index.yml")).unwrap();
    index += "---\nname: [\n---\nname: ../up\nversion: 1.0.0\n";
    fs::write(broken.join("index.yml"), index).unwrap();
    fs::write(broken.join("log/log-1.0.0.zip"), "no zip").unwrap();
    let nobody = remote("http://127.0.0.1:9/packages");

    let host = host([("empty", at(&empty)), ("broken", at(&broken)), ("nobody", nobody)]).await;

    assert_eq!(refresh_of(&host, "empty").await["outcome"], "missing");
    let failed = refresh_of(&host, "nobody").await;
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["failure"].is_string(), "{failed}");
    let read = refresh_of(&host, "broken").await;
    assert_eq!((&read["entries"], &read["skipped"]), (&json!(1), &json!(2)));
    assert!(read["notes"][0].as_str().unwrap().contains("on line "), "{read}");
    let message = refused(&host, &install("a", "log", None)).await;
    assert!(
        message.starts_with("Could not download an deserialize package. Package [log:1.0.0]"),
        "{message}"
    );
    assert!(!row(&host, "log", "1.0.0").await.unwrap().is_here());
    let all = host.get(&format!("{OURS}/")).await.expect(200).json();
    let names: Vec<_> = all.as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["broken", "empty", "nobody", "local"]);
}

#[tokio::test]
async fn a_repository_leads_to_no_file_outside_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fill(&root, &[("log", "1.0.0")]);
    let zip = root.join("log/log-1.0.0.zip");
    fs::rename(&zip, folder.path().join("outside.zip")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside.zip"), &zip).unwrap();
    let host = host([("files", at(&root))]).await;

    let message = refused(&host, &install("a", "log", None)).await;

    assert!(
        message.starts_with("Could not download an deserialize package. Package [log:1.0.0]"),
        "{message}"
    );
}

#[tokio::test]
async fn an_index_is_read_again_on_demand_and_what_is_new_is_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[("log", "1.0.0")]);
    let host = host([("files", at(folder.path()))]).await;
    let refresh = format!("{OURS}/files/refresh");
    let first = row(&host, "log", "1.0.0").await.unwrap();
    fill(folder.path(), &[("log", "1.0.0"), ("time", "2.0.0.RELEASE")]);

    let read = host.post(&refresh, &Value::Null).await.expect(200).json();

    assert_eq!((&read["entries"], &read["added"]), (&json!(2), &json!(1)));
    assert_eq!(row(&host, "log", "1.0.0").await.unwrap(), first);
    assert!(row(&host, "time", "2.0.0.RELEASE").await.is_some());
    let read = host.post(&refresh, &Value::Null).await.expect(200).json();
    assert_eq!((&read["added"], &read["changed"]), (&json!(0), &json!(0)));
    fill(folder.path(), &[]);
    host.post(&refresh, &Value::Null).await.expect(200);
    assert!(row(&host, "log", "1.0.0").await.is_some(), "what has gone from an index stays");
    host.post(&format!("{OURS}/local/refresh"), &Value::Null).await.expect(409);
    host.post(&format!("{OURS}/nobody/refresh"), &Value::Null).await.expect(404);
}

#[tokio::test]
async fn the_policy_is_asked_for_repositories() {
    let cases = [
        ("repository:read", "GET", "/"),
        ("repository:read", "GET", "/local"),
        ("repository:refresh", "POST", "/local/refresh"),
        ("package:list", "GET", "/local/index.yml"),
        ("package:read", "GET", "/local/log/log-1.0.0.zip"),
    ];
    for (action, method, path) in cases {
        let host = Host::with(vec![guest::deny_action(action)]).await;
        let request = Request::builder()
            .method(method)
            .uri(format!("{OURS}{path}"))
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap();
        let denied = host.send(request).await.expect(403).json();
        assert_eq!(denied["detail"], "not that", "{action}");
    }
}

#[tokio::test]
async fn the_repository_of_the_highest_order_is_the_one_that_is_installed_from() {
    let folder = tempfile::tempdir().unwrap();
    let (low, high) = (folder.path().join("low"), folder.path().join("high"));
    fill(&low, &[("log", "1.0.0"), ("log", "2.0.0")]);
    fill(&high, &[("log", "1.0.0")]);
    let ordered = |folder: &Path, order| RepositoryConfig { repo_order: Some(order), ..at(folder) };
    let host = host([("a-low", ordered(&low, 1)), ("b-high", ordered(&high, 2))]).await;

    let from = async |release: &str, version| {
        let request = install(release, "log", version);
        let release = host.post(INSTALL, &request).await.expect(201).json();
        release["pkg"]["metadata"]["repositoryName"].as_str().unwrap().to_owned()
    };

    assert_eq!(from("a", Some("1.0.0")).await, "b-high");
    assert_eq!(from("b", None).await, "a-low", "only it has the newest");
}

#[tokio::test]
async fn the_package_of_an_id_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[("log", "1.0.0"), ("time", "1.0.0")]);
    let host = host([("files", at(folder.path()))]).await;
    let id = row(&host, "time", "1.0.0").await.unwrap().id;
    let properties = json!({ "releaseName": "a", "platformName": "default" });

    let answer = host.post(&format!("{INSTALL}/{id}"), &properties).await.expect(201);

    assert_eq!(answer.json()["pkg"]["metadata"]["name"], "time");
    assert!(answer.text().contains("/api/release/status/"), "{}", answer.text());
    let refused = async |id: &str, body: &Value| {
        failure(host.post(&format!("{INSTALL}/{id}"), body).await, 409, SKIPPER)
    };
    let taken = "Release with the name [a] already exists and it is not deleted.";
    assert_eq!(refused(&id.to_string(), &properties).await, taken);
    let free = json!({ "releaseName": "b", "platformName": "default" });
    for unknown in ["99", "0", "-1"] {
        let expected = format!("Package with id='{unknown}' can not be found.");
        assert_eq!(refused(unknown, &free).await, expected);
    }
    assert_eq!(refused("1", &json!({})).await, "Release name must not be empty");
    assert_eq!(host.post(&format!("{INSTALL}/x"), &free).await.status, 400);
}

/// Serves files of a folder, and counts what is asked for by its path.
async fn counting(folder: &Path) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, folder) = (Arc::new(Mutex::new(Vec::new())), folder.to_owned());
    let noted = asked.clone();
    let answer = move |uri: axum::http::Uri| {
        let (noted, folder) = (noted.clone(), folder.clone());
        async move {
            noted.lock().unwrap().push(uri.path().to_owned());
            let file = folder.join(uri.path().trim_start_matches('/'));
            fs::read(file).map_err(|_| axum::http::StatusCode::NOT_FOUND)
        }
    };
    let routes = axum::Router::new().fallback(axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, asked)
}

#[tokio::test]
async fn a_package_that_many_install_at_first_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[("log", "1.0.0"), ("time", "1.0.0")]);
    let (url, asked) = counting(folder.path()).await;
    let host = host([("web", remote(&url))]).await;

    let orders: Vec<_> = (0..4)
        .flat_map(|it| [(format!("log-{it}"), "log"), (format!("time-{it}"), "time")])
        .map(|(release, package)| install(&release, package, None))
        .collect();
    let installs = orders.iter().map(|it| host.post(INSTALL, it));
    for answer in futures::future::join_all(installs).await {
        answer.expect(201);
    }

    let mut zips = asked.lock().unwrap().clone();
    zips.retain(|it| it.ends_with(".zip"));
    zips.sort();
    assert_eq!(zips, ["/log/log-1.0.0.zip", "/time/time-1.0.0.zip"]);
}

#[tokio::test]
async fn a_package_may_name_its_renderer() {
    let mut bindings: Vec<Binding> = bindings();
    bindings.push(guest::echoing_renderer());
    let host = Host::with(bindings).await;
    let upload = |version: &str, renderer: &str| {
        let template = format!("{MANIFEST}# {{{{nobody}}}}\n");
        let zip = package_with("log", version, &format!("renderer: {renderer}\n"), &template);
        let mut upload = upload_of(&zip);
        upload["version"] = version.into();
        upload
    };
    let kept = host.post(UPLOAD, &upload("1.0.0", "echoing-renderer")).await.expect(201).json();
    assert_eq!(kept["renderer"], "echoing-renderer");

    let release = host.post(INSTALL, &install("a", "log", None)).await.expect(201).json();

    assert!(release["manifest"]["data"].as_str().unwrap().contains("# {{nobody}}"));
    let warned = host.post(UPLOAD, &upload("2.0.0", "nobody")).await.expect(201);
    assert!(warned.header("warning").contains("no renderer `nobody`"), "it may come later");
    assert_eq!(
        refused(&host, &install("b", "log", None)).await,
        "Package [log:2.0.0] is to be rendered by 'nobody', and there is no renderer of that \
         name; there are [template-mustache, echoing-renderer]"
    );
}

#[tokio::test]
async fn a_local_repository_is_served_as_an_index_and_zips() {
    let host = host([]).await;
    let index = format!("{OURS}/local/index.yml");
    let empty = host.get(&index).await.expect(200);
    assert_eq!(empty.text(), "");
    let zip = zip(&FILES);
    host.post(UPLOAD, &upload_of(&zip)).await.expect(201);

    let answer = host.get(&index).await.expect(200);

    let sha256 = hex::encode(Sha256::digest(&zip));
    let expected = format!(
        "---\napiVersion: \"v1\"\nkind: \"skipper\"\nname: \"log\"\nversion: \"1.0.0\"\nsha256: \
         \"{sha256}\"\n"
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), "application/yaml");
    let tag = answer.header("etag").to_owned();
    assert_ne!(tag, empty.header("etag"));
    let get = async |path: &str, name: &str, value: &str| -> Answer {
        let request = Request::builder().uri(path).header("host", "localhost").header(name, value);
        host.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(get(&index, "if-none-match", &tag).await.expect(304).text(), "");

    let place = format!("{OURS}/local/log/log-1.0.0.zip");
    let whole = host.get(&place).await.expect(200);
    assert_eq!(&whole.bytes[..], &zip[..]);
    assert_eq!(whole.header("etag"), format!("\"{sha256}\""));
    let part = get(&place, "range", "bytes=0-1").await.expect(206);
    assert_eq!(&part.bytes[..], b"PK");
    assert_eq!(host.head(&place).await.expect(200).text(), "");
    for nothing in ["log/log-1.0.1.zip", "log/log-1.0.0", "log/time-1.0.0.zip", "x/x-1.zip"] {
        host.get(&format!("{OURS}/local/{nothing}")).await.expect(404);
    }
    host.get(&format!("{OURS}/nobody/index.yml")).await.expect(404);
}

#[tokio::test]
async fn one_server_is_the_repository_of_another() {
    let program = program!();
    let server = program.serve(&[]);
    let url = format!("http://{}", server.address);
    let upload = upload_of(&package("log", "1.0.0")).to_string();
    let request = format!(
        "POST {UPLOAD} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{upload}",
        server.address,
        upload.len()
    );
    let answer = server.raw(request).await;
    assert_eq!(chandlery_tests::status(&answer), 201, "{answer}");

    let host = host([("other", remote(&format!("{url}{OURS}/local")))]).await;

    let release = host.post(INSTALL, &install("a", "log", None)).await.expect(201).json();
    let metadata = &release["pkg"]["metadata"];
    assert_eq!(metadata["repositoryName"], "other");
    let sha256 = hex::encode(Sha256::digest(package("log", "1.0.0")));
    assert_eq!(metadata["sha256"], sha256, "the index says it");
    assert!(server.stop().success());
}

#[tokio::test]
async fn a_server_that_wants_a_password_gets_it_and_nobody_is_shown_it() {
    let program = program!().variable("PASSWORD", "wonderland");
    let server = program.serve(&[
        "--set",
        "basic_auth_username=alice",
        "--set",
        "basic_auth_password=env:PASSWORD",
    ]);
    let url = format!("http://{}{OURS}/local", server.address);
    let as_alice = RepositoryConfig {
        username: "alice".into(),
        password: "wonderland".into(),
        ..remote(&url)
    };

    let host = host([("in", as_alice), ("out", remote(&url))]).await;

    assert_eq!(refresh_of(&host, "in").await["outcome"], "read");
    assert!(refresh_of(&host, "out").await["failure"].as_str().unwrap().contains("401"));
    assert!(!format!("{:?}", host.app.config).contains("wonderland"));
    assert!(server.stop().success());
}

#[tokio::test]
async fn a_remote_repository_leaves_with_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[("log", "1.0.0")]);
    let program = program!();
    let url = format!("repositories.files.url=file:{}", folder.path().display());
    let server = program.serve(&["--set", &url]);
    server.wait_for_log("an index is read");
    assert_eq!(server.get(&format!("{OURS}/files")).await.0, 200);
    assert!(server.stop().success());

    let server = program.serve(&[]);

    assert_eq!(server.get(&format!("{OURS}/files")).await.0, 404);
    server.wait_for_log("what was left of a repository is gone");
    assert!(server.stop().success());
    let refused = program.run(&["serve", "--set", "repositories.local.inventory=acme"]);
    assert_eq!(refused.code, 2, "{}", refused.log);
}

#[tokio::test]
async fn a_unit_that_holds_a_package_is_installed_from_the_inventory() {
    let acme = RepositoryConfig { inventory: Some("acme".into()), ..RepositoryConfig::default() };
    let host = host([("apps", acme)]).await;
    let add = async |unit: &str, version: &str, bytes: &[u8]| {
        let metadata = json!({ "name": unit, "version": version });
        host.post("/api/v1/inventory/acme/register", &metadata).await.expect(200);
        let path = format!("/api/v1/inventory/acme/units/{unit}/versions/v{version}/upload");
        host.upload(&path, bytes).await.expect(200);
    };
    // As a build makes it: the name of the folder, and in the file whatever was there.
    let zip = |unit: &str, version: &str, inside: &str| {
        let root = format!("{unit}-{version}");
        super::zip(&[
            (format!("{root}/package.yml").as_str(), inside),
            (&format!("{root}/templates/app.yml"), MANIFEST),
        ])
    };
    add("web", "1.0", &zip("web", "1.0", "name: web\nversion: 0.0.1-dev\n")).await;
    add("web", "1.1", &zip("web", "v1.1", "name: web\nversion: 0.0.1-dev\n")).await;
    add("web", "1.10", &zip("web", "1.10", "name: web\nversion: 0.0.1-dev\n")).await;
    add("plain", "1.0", b"no package").await;

    let release = host.post(INSTALL, &install("a", "web", None)).await.expect(201).json();

    let metadata = &release["pkg"]["metadata"];
    assert_eq!((&metadata["name"], &metadata["version"]), (&json!("web"), &json!("1.10")));
    assert_eq!(metadata["repositoryName"], "apps");
    let release = host.post(INSTALL, &install("b", "web", Some("1.0"))).await.expect(201).json();
    assert_eq!(release["pkg"]["metadata"]["version"], "1.0");
    until("what was only uploaded is listed", async || row(&host, "web", "1.1").await.is_some())
        .await;
    assert_eq!(row(&host, "web", "1.1").await.unwrap().repository(), "apps");
    for (name, version) in [("plain", None), ("web", Some("2.0")), ("web", Some("latest"))] {
        let message = refused(&host, &install("c", name, version)).await;
        assert!(message.starts_with("Can not find "), "{message}");
    }

    host.delete("/api/v1/inventory/acme/hard-delete").await.expect(200);

    let gone = refused(&host, &install("c", "web", Some("1.0"))).await;
    assert_eq!(
        gone,
        "Could not download an deserialize package. Resource web-1.0 in package repository apps \
         does not exist."
    );
    let gone = refused(&host, &install("c", "web", Some("1.0"))).await;
    assert_eq!(gone, "Can not find package 'web', version '1.0'");
}

#[tokio::test]
async fn a_package_of_the_inventory_is_for_those_who_may_download_it() {
    let acme = RepositoryConfig { inventory: Some("acme".into()), ..RepositoryConfig::default() };
    let mut bindings = bindings();
    bindings[0] = guest::deny_action("inventory:version:download");
    let host = Host::builder().plugins(bindings).config(named([("apps", acme)])).start().await;
    let metadata = json!({ "name": "web", "version": "1.0" });
    host.post("/api/v1/inventory/acme/register", &metadata).await.expect(200);
    let upload = "/api/v1/inventory/acme/units/web/versions/v1.0/upload";
    host.upload(upload, &package("web", "1.0")).await.expect(200);

    let answer = host.post(INSTALL, &install("a", "web", None)).await;

    let denied = "org.springframework.security.access.AccessDeniedException";
    failure(answer, 403, denied);
    let by_id = async || {
        let id = row(&host, "web", "1.0").await?.id;
        let properties = json!({ "releaseName": "a", "platformName": "default" });
        Some(host.post(&format!("{INSTALL}/{id}"), &properties).await)
    };
    until("it is known", async || row(&host, "web", "1.0").await.is_some()).await;
    failure(by_id().await.unwrap(), 403, denied);
    host.get("/api/release/status/a").await.expect(404);
}

/// A server that answers each request with that.
async fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            // The other side may have had enough of it.
            let _ = stream.write_all(&answer(&head)).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_repository_leads_to_nobody_inside() {
    let index = |_: &str| b"HTTP/1.1 200 OK\r\n\r\nname: log\nversion: 1.0.0\n".to_vec();
    let inside = answering(index).await;
    let moved = format!("HTTP/1.1 302 Found\r\nLocation: {inside}/index.yml\r\n\r\n");
    let outside = answering(move |_| moved.clone().into_bytes()).await;

    let host = host([("direct", remote(&inside)), ("moved", remote(&outside))]).await;

    assert_eq!(refresh_of(&host, "direct").await["entries"], 1);
    let failed = refresh_of(&host, "moved").await["failure"].as_str().unwrap().to_owned();
    assert!(failed.contains("resources.http_private"), "{failed}");
}

#[tokio::test]
async fn an_index_without_an_end_is_left() {
    let large = vec![b'#'; (16 << 20) + 1];
    let endless = answering(move |_| [b"HTTP/1.1 200 OK\r\n\r\n", &large[..]].concat()).await;
    let lying = answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nname: log\n".to_vec()
    })
    .await;
    let cut = answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nname: l".to_vec());

    let host = host([
        ("endless", remote(&endless)),
        ("lying", remote(&lying)),
        ("cut", remote(&cut.await)),
    ])
    .await;

    for (name, why) in
        [("endless", "limit of 16777216"), ("lying", "limit of 16777216"), ("cut", "")]
    {
        let refresh = refresh_of(&host, name).await;
        assert_eq!(refresh["outcome"], "failed", "{refresh}");
        assert!(refresh["failure"].as_str().unwrap().contains(why), "{refresh}");
    }
    assert_eq!(host.app.store.read(|view| packages::newest(view, "log")).await.unwrap(), None);
}

#[tokio::test]
async fn an_index_is_read_again_on_a_schedule() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[("log", "1.0.0")]);
    let host = Host::builder()
        .plugins(bindings())
        .config(named([("files", at(folder.path()))]))
        .config(|it| it.repository_refresh_ms = 50)
        .start()
        .await;
    until("it is read at first", async || row(&host, "log", "1.0.0").await.is_some()).await;

    fill(folder.path(), &[("log", "1.0.0"), ("log", "1.0.1")]);

    until("it is read again", async || row(&host, "log", "1.0.1").await.is_some()).await;
}

#[tokio::test]
async fn a_refresh_asks_its_hooks_and_is_told_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &[]);
    let host = host([("files", at(folder.path()))]).await;
    let path = format!("{OURS}/files/refresh");
    let put = async |mut more: Vec<Binding>| {
        let mut all = bindings();
        all.append(&mut more);
        host.app.plugins.swap(host.app.plugins.build(all).await.unwrap());
    };
    fill(folder.path(), &[("log", "1.0.0")]);

    put(vec![guest::refusing_hook()]).await;
    host.post(&path, &Value::Null).await.expect(409);
    assert_eq!(row(&host, "log", "1.0.0").await, None);

    let component = guest::Wat::new("notifying-hook").component();
    put(vec![guest::binding("deaf", Kind::AfterHook, component)]).await;
    host.post(&path, &Value::Null).await.expect(200);
    let queues = host.app.store.read(|view| outbox::queues(view)).await.unwrap();
    assert_eq!(queues.into_iter().find(|it| it.0 == "deaf").unwrap().1.waiting, 1);
}
