//! What applications do to `deployer-local`, and it to them.

use std::time::Duration;

use chandlery::{plugins::Deployer, plugins::deployer::Scope, release::platform, store::releases};
use chandlery_tests::{
    Host,
    dry_run::{app, install, upload},
};
use serde_json::{Value, json};

use super::{
    SKIPPER, failure,
    install::{instances, running_below, until},
};

const INSTALL: &str = "/api/package/install";
const ENDS_SLOWLY: &str = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n";
const SAYS: &str =
    "#!/bin/sh\nprintf '%s\\n' \"$SPRING_APPLICATION_JSON\"\necho bad >&2\nexec sleep 600\n";
const RUNS: &str = "#!/bin/sh\nexec sleep 600\n";

/// A server that can install these scripts, each a unit of the namespace `acme`.
async fn host(scripts: &[(&str, &str)]) -> Host {
    let host = Host::start().await;
    host.post("/api/package/upload", &upload("1.0.0")).await.expect(201);
    for (unit, script) in scripts {
        let metadata = json!({ "name": unit, "version": "1.0" });
        host.post("/api/v1/inventory/acme/register", &metadata).await.expect(200);
        let upload = format!("/api/v1/inventory/acme/units/{unit}/versions/v1.0/upload");
        host.upload(&upload, script.as_bytes()).await.expect(200);
    }
    host
}

/// An application that runs a script.
fn running(unit: &str, deployment: Value) -> Value {
    let mut web = app("web", json!({}));
    web["resource"] = json!(format!("inventory://acme/{unit}"));
    web["version"] = json!("1.0");
    web["deploymentProperties"] = deployment;
    web
}

async fn deployer(host: &Host) -> (std::sync::Arc<Deployer>, Scope, String) {
    let platform = platform::find(&host.app, "default").unwrap();
    let deployer = platform.deployer_in(&host.app.plugins.set()).unwrap();
    let row = host.app.store.read(|view| releases::latest(view, "a")).await.unwrap().unwrap();
    (deployer, platform.scope("op"), row.apps[0].handle.clone())
}

#[tokio::test]
async fn an_application_that_never_opens_its_port_is_deploying_until_it_is_deleted() {
    let host = host(&[("runs", RUNS)]).await;
    host.post(INSTALL, &install("a", &[running("runs", json!({}))])).await.expect(201);

    let instance = instances(&host, "a").await.remove(0);

    assert_eq!(instance["state"], "deploying");
    let port = instance["attributes"]["port"].as_str().unwrap();
    assert_eq!(instance["attributes"]["url"], format!("http://127.0.0.1:{port}"));
    host.delete("/api/release/a").await.expect(200);
    assert_eq!(running_below(&host.data()), Vec::<u32>::new());
}

#[tokio::test]
async fn what_an_application_is_told_in_vain_is_named_in_a_warning() {
    let host = host(&[("runs", RUNS)]).await;
    let told = json!({ "spring.cloud.deployer.cpu": "2", "spring.cloud.deployer.memory": "1g" });

    let answer = host.post(INSTALL, &install("a", &[running("runs", told)])).await.expect(201);

    let expected = "299 chandlery \"application `web`: deployment property \
                    `spring.cloud.deployer.cpu` has no effect on this platform\"";
    assert_eq!(answer.header("warning"), expected);
    host.delete("/api/release/a").await.expect(200);
}

#[tokio::test]
async fn an_application_that_ignores_the_request_to_end_is_killed() {
    let host = host(&[("stays", ENDS_SLOWLY)]).await;
    let timeout = json!({ "spring.cloud.deployer.local.shutdown-timeout": "1" });
    host.post(INSTALL, &install("a", &[running("stays", timeout)])).await.expect(201);
    assert!(!running_below(&host.data()).is_empty());

    let deleted = host.delete("/api/release/a").await.expect(200).json();

    assert_eq!(deleted["info"]["status"]["statusCode"], "DELETED");
    assert_eq!(running_below(&host.data()), Vec::<u32>::new());
}

#[tokio::test]
async fn instances_are_counted_and_scaled() {
    let host = host(&[("runs", RUNS)]).await;
    let two = json!({ "spring.cloud.deployer.count": "2" });
    host.post(INSTALL, &install("a", &[running("runs", two)])).await.expect(201);
    assert_eq!(running_below(&host.data()).len(), 2);
    let (deployer, scope, handle) = deployer(&host).await;
    let limit = Duration::from_secs(30);

    let up = deployer.scale(&scope, &handle, 4, limit).await.unwrap().unwrap();

    let ids: Vec<&str> = up.status.instances.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["a.web-v1-0", "a.web-v1-1", "a.web-v1-2", "a.web-v1-3"]);
    let mut ports: Vec<_> = up
        .status
        .instances
        .iter()
        .flat_map(|it| &it.attributes)
        .filter(|it| it.key == "port")
        .collect();
    ports.dedup_by(|a, b| a.value == b.value);
    assert_eq!(ports.len(), 4, "each has a port of its own");
    assert_eq!(running_below(&host.data()).len(), 4);

    let down = deployer.scale(&scope, &up.handle, 1, limit).await.unwrap().unwrap();
    assert_eq!(down.status.instances.len(), 1);
    assert_eq!(running_below(&host.data()).len(), 1);

    // A server that ended before it could write the new handle down knows the old one.
    deployer.scale(&scope, &handle, 3, limit).await.unwrap().unwrap();
    host.delete("/api/release/a").await.expect(200);
    assert_eq!(running_below(&host.data()), Vec::<u32>::new());
}

#[tokio::test]
async fn an_application_is_told_where_it_is_and_its_log_is_read() {
    let host = host(&[("says", SAYS)]).await;
    let mut says = running("says", json!({}));
    says["applicationProperties"] = json!({ "log.level": "debug" });
    host.post(INSTALL, &install("a", &[says])).await.expect(201);

    let log = async || {
        let logs = host.get("/api/release/logs/a").await.expect(200).json();
        logs["logs"]["a.web-v1"].as_str().unwrap().to_owned()
    };
    until("both are there", async || log().await.contains("bad") && log().await.contains("{"))
        .await;

    let log = log().await;
    let (stderr, stdout) = log.split_once("stdout:\n").unwrap();
    assert_eq!(stderr, "stderr:\nbad\n\n");
    let told: Value = serde_json::from_str(stdout.trim()).unwrap();
    let port = instances(&host, "a").await[0]["attributes"]["port"].clone();
    assert_eq!(
        told,
        json!({
            "log.level": "debug",
            "spring.jmx.default-domain": "a.web-v1",
            "endpoints.shutdown.enabled": "true",
            "endpoints.jmx.unique-names": "true",
            "spring.cloud.application.group": "a",
            "instance.index": "0",
            "spring.cloud.stream.instanceIndex": "0",
            "spring.application.index": "0",
            "spring.cloud.application.guid": "a.web-v1-0",
            "server.port": port,
        })
    );
    host.delete("/api/release/a").await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_run_as_asked_for_is_refused_before_anything_starts() {
    let host = host(&[("runs", RUNS)]).await;
    for (name, value, expected) in [
        ("count", "0", "must be a number from 1 to 100"),
        ("local.port-range.low", "70000", "must be a port"),
        ("local.java-opts.x", "", ""),
        ("local.debug-suspend", "maybe", "must be `y` or `n`"),
        ("local.working-directories-root", "/etc", "process.workdir_roots"),
    ] {
        let name = format!("spring.cloud.deployer.{name}");
        let web = running("runs", json!({ &name: value }));
        let answer = host.post(INSTALL, &install("a", &[web])).await;
        if expected.is_empty() {
            answer.expect(201);
            host.delete("/api/release/a").await.expect(200);
            continue;
        }
        let message = failure(answer, 409, SKIPPER);
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(running_below(&host.data()), Vec::<u32>::new());
}
