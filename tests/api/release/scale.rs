//! Scaling, on a platform that runs nothing.

use chandlery::store::operations::{self, Phase, StepState};
use chandlery_tests::{
    DryRun, Host,
    dry_run::{app, install},
    guest,
};
use serde_json::{Value, json};

use super::{
    SKIPPER, failure,
    upgrade::{INSTALL, NOT_FOUND, info, running, settled},
};

const SCALE: &str = "/api/release/scale/a";

fn to(name: &str, count: i64) -> Value {
    json!({ "scale": [{ "name": name, "count": count, "properties": {} }] })
}

/// How many instances each application has.
async fn counts(host: &Host) -> Vec<usize> {
    let info = info(host, 1).await;
    let text = info["status"]["platformStatus"].as_str().unwrap();
    let apps: Value = serde_json::from_str(text).unwrap();
    let count = |it: &Value| it["instances"].as_object().unwrap().len();
    apps.as_array().unwrap().iter().map(count).collect()
}

#[tokio::test]
async fn instances_come_and_go_and_no_version_comes_of_it() {
    let host = running(&[app("web", json!({})), app("db", json!({}))]).await;

    for count in [3, 1, 0, 2] {
        let answer = host.post(SCALE, &to("web", count)).await.expect(201).json();
        assert_eq!(answer["version"], 1);
        assert_eq!(answer["info"]["status"]["statusCode"], "DEPLOYED");
        assert_eq!(answer["info"]["description"], "Install complete");
        let shown: Value =
            serde_json::from_str(answer["info"]["status"]["platformStatus"].as_str().unwrap())
                .unwrap();
        let instances = shown[0]["instances"].as_object().unwrap();
        assert_eq!(instances.len(), usize::try_from(count).unwrap());
        assert_eq!(counts(&host).await, [usize::try_from(count).unwrap(), 1]);
    }
    let host = host.restart().await;
    assert_eq!(counts(&host).await, [2, 1]);
    host.post(SCALE, &to("nobody", 3)).await.expect(201);
    host.post(SCALE, &json!({ "scale": null })).await.expect(201);
    assert_eq!(counts(&host).await, [2, 1]);
    host.delete("/api/release/a").await.expect(200);
    let gone = host.post(SCALE, &to("web", 3)).await.expect(201).json();
    assert_eq!(gone["info"]["status"]["statusCode"], "DELETED");
}

#[tokio::test]
async fn what_cannot_be_scaled_is_told() {
    let bad = json!({ "scale.fails": "permanent", "scale.message": "no room" });
    let host = running(&[app("web", json!({})), app("db", bad)]).await;
    let message = async |body: Value| failure(host.post(SCALE, &body).await, 409, SKIPPER);

    assert_eq!(
        message(to("web", -1)).await,
        "`scale.count` of application [web] must be from 0 to 100"
    );
    assert_eq!(
        message(json!({ "scale": [{ "name": "web" }] })).await,
        "`scale.count` must not be null"
    );
    assert_eq!(message(to(" ", 1)).await, "`scale.name` must not be empty");
    let both = json!({ "scale": [{ "name": "db", "count": 2 }, { "name": "web", "count": 2 }] });
    assert_eq!(
        message(both).await,
        "Could not scale application [db]: plugin `deployer-dry-run`: no room"
    );
    assert_eq!(counts(&host).await, [2, 1], "what was scaled before stays so");
    assert_eq!(settled(&host).await.phase, Phase::Failed);
    failure(host.post("/api/release/scale/nobody", &to("web", 1)).await, 404, NOT_FOUND);
}

#[tokio::test]
async fn a_scaling_that_a_crash_has_cut_off_is_finished_by_the_next_server() {
    let host = running(&[app("web", json!({}))]).await;
    host.post(SCALE, &to("web", 2)).await.expect(201);
    let write = host.app.store.write_unaudited(|change| {
        let mut operation = operations::history(change, "a", 1)?.remove(0);
        operation.id = "cut-off".to_owned();
        operation.phase = Phase::Doing;
        operation.ended_ms = None;
        operation.steps[0].state = StepState::Begun;
        operation.steps[0].count = Some(4);
        operations::begin(change, &mut operation)
    });
    write.await.unwrap();

    let host = host.restart().await;

    assert_eq!(settled(&host).await.phase, Phase::Done);
    assert_eq!(counts(&host).await, [4]);
}

#[tokio::test]
async fn properties_of_a_scaling_have_no_effect_and_that_is_said() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("a", &[app("web", json!({}))])).await.expect(201);
    let mut request = to("web", 2);
    request["scale"][0]["properties"] = json!({});
    assert_eq!(host.post(SCALE, &request).await.expect(201).header("warning"), "");

    request["scale"][0]["properties"] = json!({ "a": "b" });
    let answer = host.post(SCALE, &request).await.expect(201);

    let expected = "299 chandlery \"application [web]: `scale.properties` have no effect\"";
    assert_eq!(answer.header("warning"), expected);
    assert_eq!(counts(&host).await, [2]);
}

#[tokio::test]
async fn a_hook_may_refuse_a_scaling_or_change_its_count() {
    let patch = r#"[{"op": "replace", "path": "/scale/0/count", "value": 2}]"#;
    for (mut hook, expected) in [(guest::refusing_hook(), 1), (guest::patching_hook(patch), 2)] {
        hook.actions = vec!["release:scale".to_owned()];
        let run = DryRun::default();
        let mut bindings = run.bindings();
        bindings.push(hook);
        let host = run.host_with(bindings).await;
        host.post(INSTALL, &install("a", &[app("web", json!({}))])).await.expect(201);

        let answer = host.post(SCALE, &to("web", 9)).await;

        assert_eq!(answer.status, if expected == 1 { 409 } else { 201 });
        assert_eq!(counts(&host).await, [expected]);
    }
}
