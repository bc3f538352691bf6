//! Cancelling an upgrade, on a platform that runs nothing.

use chandlery::store::operations::{Phase, StepState};
use chandlery_tests::{
    dry_run::{app, upgrade},
    guest,
};
use serde_json::{Value, json};

use super::{
    SKIPPER, failure,
    upgrade::{UPGRADE, is, never, running, settled, told, versioned},
};

const CANCEL: &str = "/api/release/cancel";

#[tokio::test]
async fn an_upgrade_that_waits_is_cancelled_and_the_old_version_stays() {
    let host = running(&[app("web", json!({}))]).await;
    host.post(UPGRADE, &upgrade("a", &[never("web")])).await.expect(201);

    let answer = host.post(CANCEL, &json!({ "releaseName": "a" })).await.expect(200);

    assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
    assert_eq!(answer.text(), r#"{"accepted":true}"#);
    let operation = settled(&host).await;
    assert_eq!(operation.phase, Phase::Failed);
    assert_eq!(operation.steps[0].state, StepState::Undone);
    let (status, description) = told(&host, 2).await;
    assert_eq!(status, "FAILED");
    let waited =
        description.strip_prefix("Cancelled after ").unwrap().strip_suffix(" ms.").unwrap();
    assert!(waited.parse::<u64>().unwrap() < 60_000, "{description}");
    assert_eq!(told(&host, 1).await, is("DEPLOYED", "Install complete"));
    let again = host.post(CANCEL, &json!({ "releaseName": "a" })).await.expect(200);
    assert_eq!(again.json(), json!({ "accepted": false }));
}

#[tokio::test]
async fn where_nothing_waits_there_is_nothing_to_cancel() {
    let host = running(&[app("web", json!({}))]).await;
    for name in [json!("a"), json!("nobody"), json!("a\0"), json!("../a"), Value::Null] {
        let answer = host.post(CANCEL, &json!({ "releaseName": name })).await.expect(200);
        assert_eq!(answer.json(), json!({ "accepted": false }));
    }
    assert_eq!(told(&host, 1).await.0, "DEPLOYED");
}

#[tokio::test]
async fn a_cancelled_rollback_leaves_what_runs() {
    let host = running(&[versioned("web", "1", json!({ "deployed-after": 300 }))]).await;
    host.post(UPGRADE, &upgrade("a", &[versioned("web", "2", json!({}))])).await.expect(201);
    settled(&host).await;
    host.post("/api/release/rollback/a/1", &Value::Null).await.expect(201);

    let answer = host.post(CANCEL, &json!({ "releaseName": "a" })).await.expect(200);

    assert_eq!(answer.json(), json!({ "accepted": true }));
    settled(&host).await;
    assert_eq!(told(&host, 3).await.0, "FAILED");
    assert_eq!(told(&host, 2).await.0, "DEPLOYED");
}

#[tokio::test]
async fn a_hook_may_refuse_to_cancel() {
    let host = running(&[app("web", json!({}))]).await;
    host.post(UPGRADE, &upgrade("a", &[never("web")])).await.expect(201);
    let run = chandlery_tests::DryRun::default();
    let mut bindings = run.bindings();
    let mut hook = guest::refusing_hook();
    hook.actions = vec!["release:cancel".to_owned()];
    bindings.push(hook);
    host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());

    let answer = host.post(CANCEL, &json!({ "releaseName": "a" })).await;

    assert_eq!(failure(answer, 409, SKIPPER), "too much");
    assert_eq!(told(&host, 2).await.0, "UNKNOWN");
}
