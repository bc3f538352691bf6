//! Upgrades, on a platform that runs nothing.

use chandlery::{
    config::CarriedValues,
    plugins::Kind as PluginKind,
    store::{
        View,
        operations::{self, Kind, Operation, Phase, StepState},
        outbox,
    },
};
use chandlery_tests::{
    DryRun, Host,
    dry_run::{app, install, upgrade, values},
    guest,
};
use serde_json::{Value, json};

use super::{SKIPPER, failure, install::until};

pub(super) const INSTALL: &str = "/api/package/install";
pub(super) const UPGRADE: &str = "/api/release/upgrade";
const NO_DIFFERENCE: &str = "org.springframework.cloud.skipper.ReleaseUpgradeException";
pub(super) const NOT_FOUND: &str = "org.springframework.cloud.skipper.ReleaseNotFoundException";

/// An application of that version, which is told these things.
pub(super) fn versioned(name: &str, version: &str, told: Value) -> Value {
    let mut app = app(name, told);
    app["version"] = version.into();
    app
}

pub(super) fn plain(name: &str) -> Value {
    app(name, json!({}))
}

/// One that is never healthy.
pub(super) fn never(name: &str) -> Value {
    versioned(name, "never", json!({ "deployed-after": "never" }))
}

/// A server where `a` runs with these applications.
pub(super) async fn running(apps: &[Value]) -> Host {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("a", apps)).await.expect(201);
    host
}

/// What a version says of itself, with what the platform says now.
pub(super) async fn info(host: &Host, version: u32) -> Value {
    host.get(&format!("/api/release/status/a/{version}")).await.expect(200).json()
}

/// The status and the description of a version.
pub(super) async fn told(host: &Host, version: u32) -> (String, String) {
    let info = info(host, version).await;
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    (text(&info["status"]["statusCode"]), text(&info["description"]))
}

/// The ids of a version's applications on the platform.
pub(super) async fn ids(host: &Host, version: u32) -> Vec<String> {
    let info = info(host, version).await;
    let apps: Value = serde_json::from_str(info["status"]["platformStatus"].as_str().unwrap())
        .expect("it is JSON");
    let ids = apps.as_array().unwrap().iter().map(|it| it["deploymentId"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// Waits until nobody works on `a`, and gives the last operation on it.
pub(super) async fn settled(host: &Host) -> Operation {
    settled_of(host, "a").await
}

/// The same with another release.
pub(super) async fn settled_of(host: &Host, name: &'static str) -> Operation {
    let open = async || host.app.store.read(move |view| operations::open_of(view, name)).await;
    until("settled", async || open().await.unwrap().is_none()).await;
    let read = host.app.store.read(move |view| operations::history(view, name, 1));
    read.await.unwrap().remove(0)
}

pub(super) fn is(expected: &str, description: &str) -> (String, String) {
    (expected.to_owned(), description.to_owned())
}

fn with_timeout(mut request: Value, timeout_ms: u64) -> Value {
    request["timeout"] = timeout_ms.into();
    request
}

#[tokio::test]
async fn what_differs_is_replaced_what_is_new_comes_what_is_gone_goes_and_the_rest_stays() {
    let host = running(&[plain("web"), plain("db"), plain("old")]).await;
    let apps = [versioned("web", "2", json!({})), plain("db"), plain("mail")];

    let answer = host.post(UPGRADE, &upgrade("a", &apps)).await.expect(201).json();

    assert_eq!((&answer["version"], &answer["platformName"]), (&json!(2), &json!("default")));
    assert_eq!(
        answer["info"]["status"],
        json!({ "statusCode": "UNKNOWN", "platformStatus": null })
    );
    assert_eq!(answer["info"]["description"], "Upgrade install underway");
    assert_eq!(answer["pkg"]["metadata"]["version"], "1.1.0");
    let operation = settled(&host).await;
    assert_eq!((operation.kind, operation.phase), (Kind::Upgrade, Phase::Done));
    assert_eq!(told(&host, 2).await, is("DEPLOYED", "Upgrade complete"));
    assert_eq!(told(&host, 1).await, is("DELETED", "Delete complete"));
    assert_eq!(ids(&host, 2).await, ["a.web-v2", "a.db-v1", "a.mail-v2"]);
    let names = |steps: &[operations::Step]| {
        assert!(steps.iter().all(|it| it.state == StepState::Done));
        steps.iter().map(|it| it.deployment_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&operation.steps), ["a.web-v2", "a.mail-v2"]);
    assert_eq!(names(&operation.retired), ["a.web-v1", "a.old-v1"]);
    let list = host.get("/api/release/list").await.expect(200).json();
    assert_eq!(list["_embedded"]["releases"].as_array().unwrap().len(), 1);
    host.delete("/api/release/a").await.expect(200);
    assert_eq!(told(&host, 2).await, is("DELETED", "Delete complete"));
}

#[tokio::test]
async fn an_upgrade_that_is_never_healthy_fails_in_time_and_leaves_the_old_version_alone() {
    let host = running(&[plain("web"), plain("db")]).await;
    let request = with_timeout(upgrade("a", &[never("web"), plain("db")]), 100);

    host.post(UPGRADE, &request).await.expect(201);

    let operation = settled(&host).await;
    let why = "Did not detect apps in replacing release as healthy after 100 ms.";
    assert_eq!((operation.phase, operation.message.as_deref()), (Phase::Failed, Some(why)));
    assert_eq!(operation.steps.len(), 1, "only what was changed is undone");
    assert_eq!(operation.steps[0].state, StepState::Undone);
    assert_eq!(told(&host, 2).await, is("FAILED", why));
    assert_eq!(told(&host, 1).await, is("DEPLOYED", "Install complete"));
    assert_eq!(ids(&host, 1).await, ["a.web-v1", "a.db-v1"]);

    let good = upgrade("a", &[versioned("web", "3", json!({})), plain("db")]);
    let answer = host.post(UPGRADE, &good).await.expect(201).json();
    assert_eq!(answer["version"], 3);
    settled(&host).await;
    assert_eq!(told(&host, 3).await, is("DEPLOYED", "Upgrade complete"));
    assert_eq!(told(&host, 1).await, is("DELETED", "Delete complete"));
    assert_eq!(ids(&host, 3).await, ["a.web-v3", "a.db-v1"]);
}

#[tokio::test]
async fn the_old_version_can_be_deleted_after_the_new_one_has_failed() {
    let host = running(&[plain("web")]).await;
    let request = with_timeout(upgrade("a", &[never("web")]), 30);
    host.post(UPGRADE, &request).await.expect(201);
    settled(&host).await;

    let deleted = host.delete("/api/release/a").await.expect(200).json();

    assert_eq!(
        (&deleted["version"], &deleted["info"]["status"]["statusCode"]),
        (&json!(1), &json!("DELETED"))
    );
    assert_eq!(told(&host, 2).await.0, "FAILED");
    let again = host.post(INSTALL, &install("a", &[plain("web")])).await.expect(201).json();
    assert_eq!(again["version"], 3);
}

#[tokio::test]
async fn an_application_that_cannot_be_started_is_answered_as_a_failed_version() {
    let host = running(&[plain("web"), plain("db")]).await;
    let bad = json!({ "deploy.fails": "permanent", "deploy.message": "no room" });
    let apps = [versioned("web", "2", json!({})), versioned("db", "2", bad)];

    let answer = host.post(UPGRADE, &upgrade("a", &apps)).await.expect(201).json();

    assert_eq!(answer["info"]["status"]["statusCode"], "FAILED");
    assert_eq!(answer["info"]["description"], "Could not deploy app.");
    let operation = settled(&host).await;
    assert!(operation.message.unwrap().contains("Error Message = [no room]"));
    assert!(operation.steps.iter().all(|it| it.state == StepState::Undone));
    assert_eq!(told(&host, 2).await, is("FAILED", "Could not deploy app."));
    assert_eq!(told(&host, 1).await.0, "DEPLOYED");
}

#[tokio::test]
async fn without_a_difference_nothing_is_done_unless_it_is_forced() {
    let apps = [plain("web"), plain("db"), plain("mail")];
    let host = running(&apps).await;
    let same = upgrade("a", &apps);

    let message = failure(host.post(UPGRADE, &same).await, 409, NO_DIFFERENCE);

    assert_eq!(
        message,
        "Package to upgrade has no difference than existing deployed/deleted package. Not \
         upgrading."
    );
    failure(host.get("/api/release/status/a/2").await, 404, NOT_FOUND);
    let mut forced = same.clone();
    forced["force"] = true.into();
    forced["appNames"] = json!(["db", "bd"]);
    let message = failure(host.post(UPGRADE, &forced).await, 409, SKIPPER);
    assert!(message.starts_with("Did not find existing application name [bd]"), "{message}");
    forced["appNames"] = json!(["db"]);
    host.post(UPGRADE, &forced).await.expect(201);
    settled(&host).await;
    assert_eq!(ids(&host, 2).await, ["a.web-v1", "a.db-v2", "a.mail-v1"]);
    forced["appNames"] = json!([]);
    host.post(UPGRADE, &forced).await.expect(201);
    settled(&host).await;
    assert_eq!(ids(&host, 3).await, ["a.web-v3", "a.db-v3", "a.mail-v3"]);
}

#[tokio::test]
async fn the_values_of_the_version_before_are_carried_over_or_not() {
    let raw = async |host: &Host, request: &Value| {
        let answer = host.post(UPGRADE, request).await;
        settled(host).await;
        answer.expect(201).json()["configValues"]["raw"].clone()
    };
    let first = |extra: &str| {
        let mut request = install("a", &[plain("web")]);
        let all = format!("{}{extra}", values(&[plain("web")]).trim_end_matches('}'));
        request["installProperties"]["configValues"]["raw"] = json!(format!("{all}}}"));
        request
    };
    let second = upgrade("a", &[versioned("web", "2", json!({}))]);

    let host = DryRun::default().host().await;
    host.post(INSTALL, &first(r#", "foo": {"bar": 1}"#)).await.expect(201);
    let carried = raw(&host, &second).await;
    assert!(carried.as_str().unwrap().contains("foo:\n  bar: 1\n"), "{carried}");
    assert!(carried.as_str().unwrap().contains("version: \"2\""), "{carried}");

    let run = DryRun::default();
    let replaced = |it: &mut chandlery::config::Config| {
        it.releases.upgrade_values = CarriedValues::Replaced;
    };
    let host = run.host_set(run.bindings(), replaced).await;
    host.post(INSTALL, &first(r#", "foo": {"bar": 1}"#)).await.expect(201);
    assert_eq!(raw(&host, &second).await, second["upgradeProperties"]["configValues"]["raw"]);
}

#[tokio::test]
async fn as_many_instances_run_after_an_upgrade_as_before() {
    let host = running(&[plain("web"), plain("db")]).await;
    let scale = json!({ "scale": [{ "name": "web", "count": 3 }] });
    host.post("/api/release/scale/a", &scale).await.expect(201);
    let mut db = versioned("db", "2", json!({}));
    db["deploymentProperties"]["spring.cloud.deployer.count"] = "2".into();

    let apps = [versioned("web", "2", json!({})), db];
    host.post(UPGRADE, &upgrade("a", &apps)).await.expect(201);
    settled(&host).await;

    let text = info(&host, 2).await["status"]["platformStatus"].as_str().unwrap().to_owned();
    let apps: Value = serde_json::from_str(&text).unwrap();
    let counts: Vec<usize> = apps
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["instances"].as_object().unwrap().len())
        .collect();
    assert_eq!(counts, [3, 2], "carried over, but for what asks for another number");
}

#[tokio::test]
async fn a_release_that_is_being_upgraded_takes_no_other_operation() {
    let host = running(&[plain("web")]).await;
    let request = upgrade("a", &[never("web")]);
    host.post(UPGRADE, &request).await.expect(201);

    let scale = json!({ "scale": [{ "name": "web", "count": 3 }] });
    for (word, answer) in [
        ("UPGRADE", host.post(UPGRADE, &request).await),
        ("ROLLBACK", host.post("/api/release/rollback/a/0", &Value::Null).await),
        ("SCALE", host.post("/api/release/scale/a", &scale).await),
        ("DELETE", host.delete("/api/release/a").await),
        ("INSTALL", host.post(INSTALL, &install("a", &[plain("web")])).await),
    ] {
        let message = failure(answer, 409, SKIPPER);
        assert_eq!(message, format!("Statemachine is not in state ready to do {word}"));
    }
    assert_eq!(told(&host, 2).await, is("UNKNOWN", "Upgrade install underway"));
    assert_eq!(ids(&host, 2).await, ["a.web-v2"]);
}

#[tokio::test]
async fn an_old_version_that_cannot_be_taken_away_is_said_to_need_a_hand() {
    let host = running(&[app("web", json!({ "undeploy.fails": "permanent" }))]).await;

    host.post(UPGRADE, &upgrade("a", &[plain("web")])).await.expect(201);

    let operation = settled(&host).await;
    assert_eq!(operation.message.as_deref(), Some("these may still run: web"));
    assert_eq!(told(&host, 2).await, is("DEPLOYED", "Upgrade complete"));
    let why = "Could not delete existing application, manual intervention needed.  Sorry it \
               didn't work out.";
    assert_eq!(told(&host, 1).await, is("FAILED", why));
}

#[tokio::test]
async fn a_new_version_that_cannot_be_taken_away_again_is_said_to_need_a_hand() {
    let host = running(&[plain("web")]).await;
    let stuck = json!({ "deployed-after": "never", "undeploy.fails": "permanent" });
    let request = with_timeout(upgrade("a", &[app("web", stuck)]), 30);

    host.post(UPGRADE, &request).await.expect(201);

    settled(&host).await;
    let why = "Could not delete replacing release application, Manual intervention needed.  \
               Sorry it didn't work out.";
    assert_eq!(told(&host, 2).await, is("FAILED", why));
    assert_eq!(told(&host, 1).await.0, "DEPLOYED");
}

#[tokio::test]
async fn a_deleted_release_is_upgraded_to_something_else_whole() {
    let host = running(&[plain("web"), plain("db")]).await;
    host.delete("/api/release/a").await.expect(200);
    failure(
        host.post(UPGRADE, &upgrade("a", &[plain("web"), plain("db")])).await,
        409,
        NO_DIFFERENCE,
    );

    let apps = [versioned("web", "2", json!({})), plain("db")];
    host.post(UPGRADE, &upgrade("a", &apps)).await.expect(201);

    settled(&host).await;
    assert_eq!(told(&host, 2).await, is("DEPLOYED", "Upgrade complete"));
    assert_eq!(ids(&host, 2).await, ["a.web-v2", "a.db-v2"]);
    assert_eq!(told(&host, 1).await, is("DELETED", "Delete complete"));
}

#[tokio::test]
async fn what_an_upgrade_gets_wrong_is_told_and_nothing_is_kept() {
    let host = running(&[plain("web")]).await;
    let good = upgrade("a", &[versioned("web", "2", json!({}))]);
    let with = |pointer: &str, value: Value| {
        let mut request = good.clone();
        *request.pointer_mut(pointer).unwrap() = value;
        request
    };
    let message = async |request: &Value| failure(host.post(UPGRADE, request).await, 409, SKIPPER);

    for (request, expected) in [
        (json!({}), "Upgrade properties must not be null"),
        (json!({ "upgradeProperties": {} }), "Package identifier must not be null"),
        (with("/upgradeProperties/releaseName", json!(" ")), "Release name must not be empty"),
        (with("/packageIdentifier/packageName", Value::Null), "Package name must not be empty"),
        (
            with("/packageIdentifier/packageName", json!("x")),
            "Can not find package 'x', version '1.1.0'",
        ),
        (with_timeout(good.clone(), 1), ""),
    ] {
        let mut request = request;
        if expected.is_empty() {
            request["timeout"] = json!(-1);
            let told = message(&request).await;
            assert_eq!(told, "`timeout` can not be less than zero.  Value = -1");
            continue;
        }
        assert_eq!(message(&request).await, expected);
    }
    let values = with("/upgradeProperties/configValues/raw", json!("- a"));
    assert!(message(&values).await.starts_with("Was expecting override values"));
    let twice = upgrade("a", &[plain("web"), plain("web")]);
    assert_eq!(message(&twice).await, "The manifest has two applications named [web]");
    let bad =
        versioned("web", "2", json!({ "validate.fails": "permanent", "validate.message": "odd" }));
    assert!(message(&upgrade("a", &[bad])).await.ends_with("odd"));

    let unknown = with("/upgradeProperties/releaseName", json!("nobody"));
    let told = failure(host.post(UPGRADE, &unknown).await, 404, NOT_FOUND);
    assert_eq!(told, "Release with the name [nobody] doesn't exist");
    failure(host.get("/api/release/status/a/2").await, 404, NOT_FOUND);
    assert_eq!(info(&host, 1).await["status"]["statusCode"], "DEPLOYED");
}

#[tokio::test]
async fn hooks_may_refuse_an_upgrade_or_change_its_values() {
    let mut refusing = guest::refusing_hook();
    let patch = r#"[{"op": "replace", "path": "/configValues/raw", "value":
        "{\"apps\": [{\"name\": \"web\", \"resource\": \"docker:x\", \"version\": \"9\"}]}"}]"#;
    let mut patching = guest::patching_hook(patch);
    for hook in [&mut refusing, &mut patching] {
        hook.actions = vec!["release:upgrade".to_owned()];
    }
    let start = async |hook| {
        let run = DryRun::default();
        let mut bindings = run.bindings();
        bindings.push(hook);
        let host = run.host_with(bindings).await;
        host.post(INSTALL, &install("a", &[plain("web")])).await.expect(201);
        host
    };
    let request = upgrade("a", &[versioned("web", "2", json!({}))]);

    let host = start(refusing).await;
    assert_eq!(failure(host.post(UPGRADE, &request).await, 409, SKIPPER), "too much");
    failure(host.get("/api/release/status/a/2").await, 404, NOT_FOUND);

    let host = start(patching).await;
    let answer = host.post(UPGRADE, &request).await.expect(201).json();
    let manifest = answer["manifest"]["data"].as_str().unwrap();
    assert!(manifest.contains("version: '9'"), "{manifest}");
    settled(&host).await;
    assert_eq!(told(&host, 2).await.0, "DEPLOYED");
}

/// Takes the first event that waits for the after-hook `deaf`.
async fn next_heard(host: &Host) -> Option<outbox::Event> {
    let wanted = outbox::Due {
        now: u64::MAX / 2,
        busy: Default::default(),
        only_fresh: false,
        limit: 10,
        bytes_max: u64::MAX,
    };
    let read = move |view: &dyn View| outbox::due(view, "deaf", &wanted);
    let mut due = host.app.store.read(read).await.unwrap();
    assert!(due.len() <= 1, "one release is one lane");
    let first = due.pop()?;
    let event = first.event.clone();
    let taken = vec![(first, outbox::Fate::Delivered)];
    let write = host.app.store.write_unaudited(|change| outbox::settle(change, "deaf", taken, 0));
    write.await.unwrap();
    Some(event)
}

#[tokio::test]
async fn after_hooks_hear_of_each_result_in_order() {
    let run = DryRun::default();
    let mut deaf = guest::binding(
        "deaf",
        PluginKind::AfterHook,
        guest::Wat::new("notifying-hook").component(),
    );
    deaf.actions = vec!["release:*".to_owned()];
    let mut bindings = run.bindings();
    bindings.push(deaf);
    let host = run.host_with(bindings).await;
    host.post(INSTALL, &install("a", &[plain("web")])).await.expect(201);
    host.post(UPGRADE, &with_timeout(upgrade("a", &[never("web")]), 30)).await.expect(201);
    settled(&host).await;
    let good = upgrade("a", &[versioned("web", "3", json!({}))]);
    host.post(UPGRADE, &good).await.expect(201);
    settled(&host).await;
    let scale = json!({ "scale": [{ "name": "web", "count": 2 }] });
    host.post("/api/release/scale/a", &scale).await.expect(201);
    host.post("/api/release/rollback/a/1", &Value::Null).await.expect(201);
    settled(&host).await;
    host.delete("/api/release/a").await.expect(200);

    let mut heard = Vec::new();
    while let Some(event) = next_heard(&host).await {
        let object = event.object.expect("there is a release");
        let status = object["info"]["status"]["statusCode"].as_str().unwrap().to_owned();
        heard.push((event.action, object["version"].as_u64().unwrap(), status));
    }

    let heard: Vec<_> = heard.iter().map(|it| (it.0.as_str(), it.1, it.2.as_str())).collect();
    assert_eq!(
        heard,
        [
            ("release:install", 1, "DEPLOYED"),
            ("release:upgrade", 2, "FAILED"),
            ("release:upgrade", 3, "DEPLOYED"),
            ("release:scale", 3, "DEPLOYED"),
            ("release:rollback", 4, "DEPLOYED"),
            ("release:delete", 4, "DELETED"),
        ]
    );
}
