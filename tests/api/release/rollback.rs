//! Rollbacks, on a platform that runs nothing.

use chandlery::{config::CarriedValues, store::operations::Kind};
use chandlery_tests::{
    DryRun, Host,
    dry_run::{install, upgrade},
};
use serde_json::{Value, json};

use super::{
    SKIPPER, failure,
    upgrade::{INSTALL, NOT_FOUND, UPGRADE, ids, is, never, running, settled, told, versioned},
};

/// A server where `a` runs in version 2.
async fn upgraded() -> Host {
    let host = running(&[versioned("web", "1", json!({}))]).await;
    let request = upgrade("a", &[versioned("web", "2", json!({}))]);
    host.post(UPGRADE, &request).await.expect(201);
    settled(&host).await;
    host
}

async fn release(host: &Host, version: u32) -> Value {
    let read =
        host.app.store.read(move |view| chandlery::store::releases::find(view, "a", version));
    serde_json::to_value(read.await.unwrap().unwrap().release).unwrap()
}

#[tokio::test]
async fn exactly_what_was_there_comes_back_by_either_form() {
    let body = json!({ "releaseName": "a", "version": 1 });
    let previous = json!({ "releaseName": "a", "timeout": null });
    for (path, body) in [
        ("/api/release/rollback/a/1", Value::Null),
        ("/api/release/rollback/a/0", Value::Null),
        ("/api/release/rollback", body),
        ("/api/release/rollback", previous),
    ] {
        let host = upgraded().await;

        let answer = host.post(path, &body).await.expect(201).json();

        assert_eq!(answer["version"], 3);
        assert_eq!(answer["info"]["status"]["statusCode"], "UNKNOWN");
        assert_eq!(answer["info"]["status"]["platformStatus"], Value::Null);
        assert_eq!(answer["info"]["description"], "Initial install underway");
        let first = release(&host, 1).await;
        for part in ["pkg", "configValues", "manifest", "platformName"] {
            assert_eq!(answer[part], first[part], "{part}");
        }
        let operation = settled(&host).await;
        assert_eq!(operation.kind, Kind::Rollback);
        assert_eq!(told(&host, 3).await, is("DEPLOYED", "Rollback complete"));
        assert_eq!(told(&host, 2).await, is("DELETED", "Delete complete"));
        assert_eq!(ids(&host, 3).await, ["a.web-v3"]);
    }
}

#[tokio::test]
async fn values_of_later_versions_can_be_kept() {
    let run = DryRun::default();
    let added = |it: &mut chandlery::config::Config| {
        it.releases.rollback_values = CarriedValues::Added;
        it.releases.upgrade_values = CarriedValues::Replaced;
    };
    let host = run.host_set(run.bindings(), added).await;
    let one = versioned("web", "1", json!({}));
    host.post(INSTALL, &install("a", &[one])).await.expect(201);
    let mut request = upgrade("a", &[versioned("web", "2", json!({}))]);
    request["upgradeProperties"]["configValues"]["raw"] =
        json!(json!({ "later": true, "apps": [versioned("web", "2", json!({}))] }).to_string());
    host.post(UPGRADE, &request).await.expect(201);
    settled(&host).await;

    let answer = host.post("/api/release/rollback/a/1", &Value::Null).await.expect(201).json();

    let raw = answer["configValues"]["raw"].as_str().unwrap();
    assert!(raw.contains("later: true"), "{raw}");
    assert!(raw.contains("version: \"1\""), "{raw}");
    settled(&host).await;
    assert_eq!(told(&host, 3).await.0, "DEPLOYED");
}

#[tokio::test]
async fn what_was_deleted_is_installed_again() {
    let host = upgraded().await;
    host.delete("/api/release/a").await.expect(200);

    let answer = host.post("/api/release/rollback/a/0", &Value::Null).await.expect(201).json();

    assert_eq!(answer["version"], 3);
    assert_eq!(answer["info"]["status"]["statusCode"], "DEPLOYED");
    assert_eq!(answer["info"]["description"], "Install complete");
    let first = release(&host, 1).await;
    assert_eq!(
        (&answer["manifest"], &answer["configValues"]),
        (&first["manifest"], &first["configValues"])
    );
    assert_eq!(settled(&host).await.kind, Kind::Rollback);
    assert_eq!(ids(&host, 3).await, ["a.web-v3"]);
}

#[tokio::test]
async fn what_cannot_come_back_is_told() {
    let host = upgraded().await;
    let mut failing = upgrade("a", &[never("web")]);
    failing["timeout"] = 30.into();
    host.post(UPGRADE, &failing).await.expect(201);
    settled(&host).await;
    let rollback = async |version: Value| {
        let body = json!({ "releaseName": "a", "version": version });
        host.post("/api/release/rollback", &body).await
    };

    for (version, expected) in [
        (json!(3), "Rollback version should either be in deployed or deleted status."),
        (json!(-1), "Rollback version can not be less than zero.  Value = -1"),
        (Value::Null, "Rollback version must not be null"),
    ] {
        assert_eq!(failure(rollback(version).await, 409, SKIPPER), expected);
    }
    let message = failure(rollback(json!(7)).await, 404, NOT_FOUND);
    assert_eq!(message, "Release with the name [a] and version [7] doesn't exist");
    let same = "org.springframework.cloud.skipper.ReleaseUpgradeException";
    failure(rollback(json!(2)).await, 409, same);
    let nobody = host.post("/api/release/rollback/nobody/1", &Value::Null).await;
    let message = failure(nobody, 404, NOT_FOUND);
    assert_eq!(message, "Release with the name [nobody] doesn't exist");
    let argument = "org.springframework.web.method.annotation.MethodArgumentTypeMismatchException";
    failure(host.post("/api/release/rollback/a/x", &Value::Null).await, 400, argument);
    let message = failure(host.post("/api/release/rollback", &json!({})).await, 409, SKIPPER);
    assert_eq!(message, "Release name must not be empty");

    // The version that serves is the second: the one before it is the first.
    rollback(json!(0)).await.expect(201);
    settled(&host).await;
    assert_eq!(told(&host, 4).await, is("DEPLOYED", "Rollback complete"));
    assert_eq!(release(&host, 4).await["manifest"], release(&host, 1).await["manifest"]);
}
