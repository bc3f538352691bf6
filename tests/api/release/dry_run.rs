//! Releases on a platform that runs nothing.

use chandlery::{
    config::{Config, plugins::bindings},
    plugins::deployer::Scope,
    release::platform,
    store::operations::{self, StepState},
};
use chandlery_tests::{
    DryRun, Host,
    dry_run::{app, install},
};
use serde_json::{Value, json};

use super::{SKIPPER, failure, install::until};

const INSTALL: &str = "/api/package/install";

/// The applications of a release, as the platform says now.
async fn apps(host: &Host, release: &str) -> Vec<Value> {
    let info = host.get(&format!("/api/release/status/{release}")).await.expect(200).json();
    let text = info["status"]["platformStatus"].as_str().expect("there is a status").to_owned();
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

#[tokio::test]
async fn a_dry_run_is_deployed_when_it_is_told_to_be() {
    let host = DryRun::default().host().await;
    let soon = app("soon", json!({ "deployed-after": 100, "attributes.url": "http://x/{index}" }));
    let never = app("never", json!({ "deployed-after": "never" }));

    let release = host.post(INSTALL, &install("a", &[soon, never])).await.expect(201).json();

    assert_eq!(release["info"]["status"]["statusCode"], "DEPLOYED");
    until("deployed", async || apps(&host, "a").await[0]["state"] == "deployed").await;
    let shown = apps(&host, "a").await;
    assert_eq!(shown[0]["deploymentId"], "a.soon-v1");
    let instance = &shown[0]["instances"]["a.soon-v1-0"];
    assert_eq!(instance["attributes"]["url"], "http://x/0");
    assert_eq!(instance["attributes"]["skipper.application.name"], "soon");
    assert_eq!(shown[1]["state"], "deploying");
    host.delete("/api/release/a").await.expect(200);
}

/// Each write waits for the disk, and an install for each of its writes.
#[tokio::test]
async fn what_came_of_a_step_is_written_together_with_what_comes_next() {
    let host = DryRun::default().host().await;
    for (name, count) in [("one", 1), ("three", 3)] {
        let apps: Vec<Value> = (0..count).map(|it| app(&format!("app{it}"), json!({}))).collect();

        host.post(INSTALL, &install(name, &apps)).await.expect(201);

        let ended = host.app.store.read(|view| operations::history(view, name, 9)).await.unwrap();
        assert!(ended[0].steps.iter().all(|it| it.state == StepState::Done && it.handle.is_some()));
        assert_eq!(ended[0].revision, count + 1, "one for each step's beginning, one for the end");
    }
}

#[tokio::test]
async fn a_dry_run_fails_when_it_is_told_to() {
    let host = DryRun::default().host().await;
    let bad = app("bad", json!({ "deploy.fails": "permanent", "deploy.message": "no room" }));
    let odd = app("odd", json!({ "deployed-afer": 1 }));
    let dead = app("dead", json!({ "deploy.fails": "trap" }));

    for (bad, expected) in [
        (bad, "to platform [default].  Error Message = [no room]"),
        (odd, "`deployedafer` is nothing that can be told"),
        (dead, "plugin `deployer-dry-run`"),
    ] {
        let apps = [app("good", json!({})), bad];
        let message = failure(host.post(INSTALL, &install("a", &apps)).await, 409, SKIPPER);
        assert!(message.contains(expected), "{message}");
        assert_eq!(host.get("/api/release/list").await.expect(200).text(), "{}");
    }
}

#[tokio::test]
async fn other_settings_mend_what_is_deployed_already() {
    let stuck =
        DryRun { plugin: json!({ "undeploy": { "fails": "retryable" } }), ..DryRun::default() };
    let host = stuck.host().await;
    host.post(INSTALL, &install("a", &[app("web", json!({}))])).await.expect(201);
    failure(host.delete("/api/release/a").await, 409, SKIPPER);

    DryRun::default().swap(&host).await;

    let deleted = async || {
        let info = host.get("/api/release/status/a").await.expect(200).json();
        info["status"]["statusCode"] == "DELETED"
    };
    until("deleted", deleted).await;
}

#[tokio::test]
async fn it_is_scaled_and_its_log_is_read() {
    let account = json!({ "deployed-after": "1m" });
    let host = DryRun { account, ..DryRun::default() }.host().await;
    let web = app("web", json!({ "log": "hello" }));
    host.post(INSTALL, &install("a", &[web])).await.expect(201);
    let platform = platform::find(&host.app, "default").unwrap();
    let deployer = platform.deployer_in(&host.app.plugins.set()).unwrap();
    let scope: Scope = platform.scope("op");
    let row = host.app.store.read(|view| chandlery::store::releases::latest(view, "a")).await;
    let handle = row.unwrap().unwrap().apps[0].handle.clone();

    let limit = std::time::Duration::from_secs(1);
    let scaled = deployer.scale(&scope, &handle, 3, limit).await.unwrap().unwrap();

    let ids: Vec<&str> = scaled.status.instances.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["a.web-v1-0", "a.web-v1-1", "a.web-v1-2"]);
    let log = deployer.logs(&scope, &scaled.handle, None, None, 1000).await.unwrap().unwrap();
    assert_eq!(log.text, "stdout:\nhello\n".repeat(3));
}

#[tokio::test]
async fn an_account_is_all_it_takes() {
    let mut config = Config::default();
    let names = async |config: &Config| -> Vec<String> {
        bindings(config).await.unwrap().into_iter().map(|it| it.name).collect()
    };
    assert!(!names(&config).await.contains(&"deployer-dry-run".to_owned()));
    config.platforms.insert("dry-run".into(), [("rehearsal".to_owned(), json!({}))].into());
    assert!(names(&config).await.contains(&"deployer-dry-run".to_owned()));
}
