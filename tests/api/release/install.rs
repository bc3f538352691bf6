//! Releases on this machine, with the shipped plugins and real processes.

use std::{fs, path::Path, time::Duration};

use axum::body::Bytes;
use base64::{Engine, engine::general_purpose::STANDARD};
use chandlery::store::operations::{self, Phase, StepState};
use chandlery_tests::{Answer, Host, PATIENCE, Running, program, status};
use serde_json::{Value, json};

use super::{SKIPPER, failure, zip};

const INSTALL: &str = "/api/package/install";
const RUNS: &str = "#!/bin/sh\nexec sleep 600\n";
const DIES: &str = "#!/bin/sh\necho no database >&2\nexit 3\n";

/// One document for each application of the values.
const TEMPLATE: &str = "{{#apps}}
---
apiVersion: v1
kind: SpringCloudDeployerApplication
metadata:
  name: {{name}}
spec:
  resource: '{{{resource}}}'
  applicationProperties:
    server.port: '-1'
{{/apps}}
";

/// The package `shop`, whose applications are what the values say.
fn package() -> Value {
    let files = [
        ("shop-1.0.0/package.yml", "apiVersion: v1\nkind: skipper\nname: shop\nversion: 1.0.0\n"),
        ("shop-1.0.0/templates/shop.yml", TEMPLATE),
    ];
    json!({ "name": "shop", "repoName": "local", "version": "1.0.0", "extension": "zip",
        "packageFileAsBytes": STANDARD.encode(zip(&files)) })
}

fn install(release: &str, apps: &[(&str, &str)]) -> Value {
    let apps: Vec<Value> = apps
        .iter()
        .map(|(name, unit)| json!({ "name": name, "resource": resource(unit) }))
        .collect();
    json!({
        "packageIdentifier": { "packageName": "shop" },
        "installProperties": { "releaseName": release, "platformName": "default",
            "configValues": { "raw": json!({ "apps": apps }).to_string() } },
    })
}

fn resource(unit: &str) -> String {
    match unit.contains(':') {
        true => unit.to_owned(),
        false => format!("inventory://acme/{unit}/latest"),
    }
}

/// A server with the package, and units whose programs run or die.
async fn host() -> Host {
    let host = Host::start().await;
    host.post("/api/package/upload", &package()).await.expect(201);
    for (unit, script) in [("runs", RUNS), ("dies", DIES)] {
        let metadata = json!({ "name": unit, "version": "1.0" });
        host.post("/api/v1/inventory/acme/register", &metadata).await.expect(200);
        let upload = format!("/api/v1/inventory/acme/units/{unit}/versions/v1.0/upload");
        host.upload(&upload, script.as_bytes()).await.expect(200);
    }
    host
}

/// The first instance of each application, as the platform says now.
pub(super) async fn instances(host: &Host, release: &str) -> Vec<Value> {
    let info = host.get(&format!("/api/release/status/{release}")).await.expect(200).json();
    let text = info["status"]["platformStatus"].as_str().expect("there is a status").to_owned();
    let apps: Value = serde_json::from_str(&text).unwrap();
    let first =
        |app: &Value| app["instances"].as_object().unwrap().values().next().unwrap().clone();
    apps.as_array().unwrap().iter().map(first).collect()
}

fn pid(instance: &Value) -> u32 {
    instance["attributes"]["pid"].as_str().expect("it runs").parse().unwrap()
}

/// The processes whose working folder lies below `folder`.
pub(super) fn running_below(folder: &Path) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|it| it.file_name().to_str()?.parse().ok());
    let below = |pid: &u32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|it| it.starts_with(folder))
    };
    pids.filter(below).collect()
}

pub(super) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Checks that nothing of a release is there, but the record of what was tried.
async fn came_to_nothing(host: &Host, release: &str) {
    failure_of_missing(host.get(&format!("/api/release/status/{release}")).await);
    assert_eq!(host.get("/api/release/list").await.expect(200).json(), json!({}));
    assert_eq!(running_below(&host.data()), Vec::<u32>::new());
    let name = release.to_owned();
    let history =
        host.app.store.read(move |view| operations::history(view, &name, 9)).await.unwrap();
    assert_eq!(history[0].phase, Phase::Failed);
    let untouched = [StepState::Planned, StepState::Undone];
    assert!(
        history[0].steps.iter().all(|it| untouched.contains(&it.state)),
        "{:?}",
        history[0].steps
    );
}

fn failure_of_missing(answer: Answer) {
    failure(answer, 404, "org.springframework.cloud.skipper.ReleaseNotFoundException");
}

#[tokio::test]
async fn a_release_runs_until_it_is_deleted() {
    let host = host().await;

    let release = host.post(INSTALL, &install("a", &[("web", "runs")])).await.expect(201).json();

    assert_eq!(release["version"], 1);
    assert_eq!(release["info"]["status"]["statusCode"], "DEPLOYED");
    assert_eq!(release["info"]["description"], "Install complete");
    assert!(release["manifest"]["data"].as_str().unwrap().contains("inventory://acme/runs/latest"));
    let instance = instances(&host, "a").await.remove(0);
    assert_eq!(instance["id"], "a.web-v1-0");
    assert_eq!(instance["state"], "deployed");
    assert_eq!(instance["attributes"]["guid"], "a.web-v1-0");
    assert_eq!(instance["attributes"]["skipper.application.name"], "web");
    assert_eq!(instance["attributes"]["skipper.release.name"], "a");
    assert_eq!(instance["attributes"]["skipper.release.version"], "1");
    assert_eq!(running_below(&host.data()), [pid(&instance)]);
    let list = host.get("/api/release/list").await.expect(200).json();
    assert_eq!(list["_embedded"]["releases"][0]["name"], "a");

    let deleted = host.delete("/api/release/a").await.expect(200).json();

    assert_eq!(deleted["info"]["status"]["statusCode"], "DELETED");
    assert_eq!(deleted["info"]["status"]["platformStatus"], Value::Null);
    assert_eq!(deleted["info"]["description"], "Delete complete");
    assert_eq!(running_below(&host.data()), Vec::<u32>::new());
    failure_of_missing(host.delete("/api/release/a").await);
    let again = host.post(INSTALL, &install("a", &[("web", "runs")])).await.expect(201).json();
    assert_eq!(again["version"], 2, "versions go on counting");
    host.delete("/api/release/a").await.expect(200);
}

#[tokio::test]
async fn a_name_that_is_taken_or_busy_is_refused() {
    let host = host().await;
    let apps: Vec<(String, &str)> = (0..6).map(|it| (format!("app{it}"), "runs")).collect();
    let apps: Vec<(&str, &str)> = apps.iter().map(|(name, unit)| (name.as_str(), *unit)).collect();
    let request = install("a", &apps);

    let (first, second) = tokio::join!(host.post(INSTALL, &request), host.post(INSTALL, &request));

    let (good, refused) = if first.status == 201 { (first, second) } else { (second, first) };
    good.expect(201);
    let message = failure(refused, 409, SKIPPER);
    assert_eq!(message, "Statemachine is not in state ready to do INSTALL");
    let message = failure(host.post(INSTALL, &request).await, 409, SKIPPER);
    assert_eq!(message, "Release with the name [a] already exists and it is not deleted.");
    assert_eq!(running_below(&host.data()).len(), 6);
    host.delete("/api/release/a").await.expect(200);
}

#[tokio::test]
async fn an_install_that_fails_takes_back_what_it_started() {
    let host = host().await;
    let request = install("a", &[("web", "runs"), ("db", "dies"), ("mail", "runs")]);

    let message = failure(host.post(INSTALL, &request).await, 409, SKIPPER);

    assert!(message.starts_with("Could not install AppDeployRequest [db-v1"), "{message}");
    assert!(message.contains("to platform [default].  Error Message = ["), "{message}");
    assert!(message.contains("exit code 3") && message.contains("no database"), "{message}");
    came_to_nothing(&host, "a").await;
    let good = host.post(INSTALL, &install("a", &[("web", "runs")])).await.expect(201).json();
    assert_eq!(good["version"], 1);
    host.delete("/api/release/a").await.expect(200);
}

#[tokio::test]
async fn a_program_that_dies_at_once_is_started_once() {
    let host = host().await;
    let starts = host.data().join("starts");
    let script = format!("#!/bin/sh\necho one >> '{}'\nexit 3\n", starts.display());
    let metadata = json!({ "name": "counted", "version": "1.0" });
    host.post("/api/v1/inventory/acme/register", &metadata).await.expect(200);
    let upload = "/api/v1/inventory/acme/units/counted/versions/v1.0/upload";
    host.upload(upload, script.as_bytes()).await.expect(200);

    failure(host.post(INSTALL, &install("a", &[("web", "counted")])).await, 409, SKIPPER);

    assert_eq!(fs::read_to_string(&starts).unwrap(), "one\n");
    came_to_nothing(&host, "a").await;
}

#[tokio::test]
async fn what_cannot_be_found_is_named() {
    let host = host().await;
    let message = async |request: Value| failure(host.post(INSTALL, &request).await, 409, SKIPPER);
    let good = install("a", &[("web", "runs")]);
    let with = |pointer: &str, value: &str| {
        let mut request = good.clone();
        *request.pointer_mut(pointer).unwrap() = json!(value);
        request
    };

    assert_eq!(
        message(with("/installProperties/platformName", "moon")).await,
        "No deployer named 'moon'"
    );
    assert_eq!(
        message(with("/packageIdentifier/packageName", "none")).await,
        "Can not find a package named 'none'"
    );
    for (resource, why) in [
        ("inventory://acme/none/1.0", "is not registered, or has no package yet"),
        ("file:/etc/passwd", "`resources.file_roots`"),
        ("http://127.0.0.1:9/app", "not a public address"),
        ("http://2130706433/app", "does not spell its host"),
        ("ftp://a/b", "its scheme must be"),
        ("docker:app:1", "is an image, and this platform runs programs of its own machine only"),
    ] {
        let message = message(install("a", &[("web", resource)])).await;
        assert!(message.contains(why) && message.contains(resource), "{message}");
    }
    came_to_nothing(&host, "a").await;
}

#[tokio::test]
async fn processes_survive_the_server_and_are_found_again() {
    let host = host().await;
    host.post(INSTALL, &install("a", &[("web", "runs")])).await.expect(201);
    let before = pid(&instances(&host, "a").await[0]);

    let host = host.restart().await;

    let instance = instances(&host, "a").await.remove(0);
    assert_eq!((pid(&instance), instance["state"].as_str()), (before, Some("deployed")));
    host.delete("/api/release/a").await.expect(200);
    assert_eq!(running_below(&host.data()), Vec::<u32>::new());
}

#[tokio::test]
async fn a_process_that_dies_later_is_seen() {
    let host = host().await;
    host.post(INSTALL, &install("a", &[("web", "runs")])).await.expect(201);
    let pid = pid(&instances(&host, "a").await[0]);

    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());

    until("failed", async || instances(&host, "a").await[0]["state"] == "failed").await;
    host.delete("/api/release/a").await.expect(200);
}

async fn send(server: &Running, path: &str, kind: &str, body: impl Into<Bytes>) -> (u16, String) {
    let body = body.into();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = server.raw([head.as_bytes(), &body].concat()).await;
    if answer.is_empty() {
        return (0, answer);
    }
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (status(head), body.to_owned())
}

async fn post(server: &Running, path: &str, body: &Value) -> (u16, String) {
    send(server, path, "application/json", body.to_string()).await
}

/// As [`host`], over a real socket.
async fn prepare(server: &Running) {
    assert_eq!(post(server, "/api/package/upload", &package()).await.0, 201);
    let metadata = json!({ "name": "runs", "version": "1.0" });
    assert_eq!(post(server, "/api/v1/inventory/acme/register", &metadata).await.0, 200);
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{RUNS}\r\n--b--\r\n"
    );
    let upload = "/api/v1/inventory/acme/units/runs/versions/v1.0/upload";
    assert_eq!(send(server, upload, "multipart/form-data; boundary=b", form).await.0, 200);
}

#[tokio::test]
async fn a_server_killed_in_the_middle_of_an_install_leaves_nothing_of_it() {
    let program = program!();
    let server = program.serve(&[]);
    prepare(&server).await;
    let apps: Vec<String> = (0..20).map(|it| format!("app{it}")).collect();
    let apps: Vec<(&str, &str)> = apps.iter().map(|it| (it.as_str(), "runs")).collect();

    let request = install("a", &apps);
    let killed = async {
        until("the middle", async || running_below(&program.data()).len() >= 3).await;
        server.signal("KILL");
    };
    let ((answer, _), ()) = tokio::join!(post(&server, INSTALL, &request), killed);
    assert_eq!(answer, 0, "the install was not answered");
    drop(server);
    assert!(running_below(&program.data()).len() >= 3, "processes outlive the server");

    let server = program.serve(&[]);
    until("nothing runs", async || running_below(&program.data()).is_empty()).await;
    let final_state = async || {
        let (status, _) = post(&server, INSTALL, &install("a", &[("web", "runs")])).await;
        status == 201
    };
    until("the next install works", final_state).await;
    assert_eq!(running_below(&program.data()).len(), 1);
    let (status, _) = server.get("/api/release/status/a").await;
    assert_eq!(status, 200);

    let answer = server
        .raw("DELETE /api/release/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(running_below(&program.data()), Vec::<u32>::new());
}
