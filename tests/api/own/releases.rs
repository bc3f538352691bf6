//! Releases as they really are: what runs, what was tried, why it did not work.

use std::time::{Duration, Instant};

use chandlery_tests::{
    DryRun, Host, PATIENCE,
    dry_run::{app, install, upgrade},
};
use serde_json::{Value, json};

use super::problem;

const RELEASES: &str = "/api/v1/releases";
const INSTALL: &str = "/api/package/install";
const UPGRADE: &str = "/api/release/upgrade";

fn web(told: Value) -> Value {
    app("web", told)
}

/// Another version of the application, which never is healthy.
fn broken() -> Value {
    let mut app = web(json!({ "deployed-after": "never" }));
    app["version"] = "2.0.0".into();
    app
}

async fn overview(host: &Host, name: &str) -> Value {
    host.get(&format!("{RELEASES}/{name}")).await.expect(200).json()
}

/// Waits until nobody works on a release, and gives how it is.
pub(super) async fn settled(host: &Host, name: &str) -> Value {
    let begun = Instant::now();
    loop {
        let overview = overview(host, name).await;
        if overview["in_progress"].is_null() {
            return overview;
        }
        assert!(begun.elapsed() < PATIENCE, "{overview}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_release_tells_what_runs_and_what_it_is_made_of() {
    let host = DryRun::default().host().await;
    let ana = host.as_user("ana");
    ana.post(INSTALL, &install("mine", &[web(json!({}))])).await.expect(201);

    let body = overview(&host, "mine").await;

    assert_eq!(body["name"], "mine");
    let running = &body["running"];
    assert_eq!((&running["version"], &running["status"]), (&json!(1), &json!("DEPLOYED")));
    assert_eq!(running["package"], json!({ "name": "apps", "version": "1.0.0" }));
    for digest in ["package", "manifest", "renderer", "deployer"] {
        assert_eq!(running["digests"][digest].as_str().unwrap().len(), 64, "{digest}: {body}");
    }
    assert_eq!(running["apps"][0]["name"], "web");
    assert_eq!(running["apps"][0]["state"], "deployed");
    assert!(running["looked_at"].as_str().unwrap().ends_with('Z'));
    let attempt = &body["last_attempt"];
    assert_eq!(attempt["action"], "release:install");
    assert_eq!((&attempt["phase"], &attempt["by"]), (&json!("done"), &json!("user:ana")));
    assert_eq!(attempt["operation"], running["operation"]);
    assert_eq!((&body["failure"], &body["in_progress"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn after_a_failed_upgrade_it_is_clear_what_runs_and_why() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[web(json!({}))])).await.expect(201);
    let mut request = upgrade("mine", &[broken()]);
    request["timeout"] = 50.into();
    host.as_user("ana").post(UPGRADE, &request).await.expect(201);

    let body = settled(&host, "mine").await;

    assert_eq!(body["running"]["version"], 1);
    assert_eq!(body["last_attempt"]["version"], 2);
    assert_eq!(body["last_attempt"]["phase"], "failed");
    assert_eq!(body["failure"]["action"], "release:upgrade");
    assert_eq!(body["failure"]["version"], 2);
    assert!(!body["failure"]["why"].as_str().unwrap().is_empty(), "{body}");
}

#[tokio::test]
async fn what_is_under_way_is_told_with_its_holder_and_age() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[web(json!({}))])).await.expect(201);
    host.as_user("ana").post(UPGRADE, &upgrade("mine", &[broken()])).await.expect(201);

    let held = overview(&host, "mine").await["in_progress"].take();
    assert_eq!(held["holder"], "user:ana");
    assert_eq!(held["action"], "release:upgrade");
    assert!(held["age_ms"].is_u64() && held["since"].is_string(), "{held}");
    host.post("/api/release/cancel", &json!({ "releaseName": "mine" })).await.expect(200);
    settled(&host, "mine").await;
}

#[tokio::test]
async fn a_platform_that_does_not_answer_is_said_not_to() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[web(json!({ "status.fails": "retryable" }))]))
        .await
        .expect(201);
    let body = overview(&host, "mine").await;
    assert_eq!(body["running"]["apps"][0]["state"], "unknown", "{body}");
}

#[tokio::test]
async fn a_history_is_paged_from_the_newest() {
    let host = DryRun::default().host().await;
    let host_ref = &host;
    host.post(INSTALL, &install("mine", &[web(json!({}))])).await.expect(201);
    host.delete("/api/release/mine").await.expect(200);
    host.post(INSTALL, &install("mine", &[web(json!({}))])).await.expect(201);
    let all = host.get(&format!("{RELEASES}/mine/history")).await.expect(200).json();
    assert_eq!(all["next"], Value::Null);
    let items = all["items"].as_array().unwrap();
    let of = |kind: &str| -> Vec<u64> {
        let of_kind = items.iter().filter(|it| it["type"] == kind);
        of_kind.map(|it| it["version"].as_u64().unwrap()).collect()
    };
    assert_eq!(of("version"), [2, 1]);
    assert_eq!(of("operation"), [2, 1, 1]);

    let (mut paged, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let after = cursor.map(|it| format!("&cursor={it}")).unwrap_or_default();
        let path = format!("{RELEASES}/mine/history?limit=1{after}");
        let mut page = host_ref.get(&path).await.expect(200).json();
        paged.append(page["items"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(&paged, items);
}

#[tokio::test]
async fn releases_are_listed_by_name_with_filters_in_pages() {
    let host = DryRun::default().host().await;
    for name in ["b", "a", "web-1", "web-2"] {
        host.post(INSTALL, &install(name, &[web(json!({}))])).await.expect(201);
    }
    host.delete("/api/release/web-2").await.expect(200);
    let names = async |query: &str| -> Vec<String> {
        let page = host.get(&format!("{RELEASES}{query}")).await.expect(200).json();
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["a", "b", "web-1", "web-2"]);
    assert_eq!(names("?name=WEB").await, ["web-1", "web-2"]);
    assert_eq!(names("?status=deleted").await, ["web-2"]);
    assert_eq!(names("?platform=elsewhere").await, [""; 0]);
    let page = host.get(&format!("{RELEASES}?limit=3")).await.expect(200).json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(names(&format!("?limit=3&cursor={next}")).await, ["web-2"]);
    let deleted = &host.get(&format!("{RELEASES}?name=web-2")).await.json()["items"][0];
    assert_eq!((&deleted["running"], &deleted["latest"]["version"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn what_makes_no_sense_is_told_so() {
    let host = DryRun::default().host().await;
    for (path, field) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?status=happy", "status"),
        ("?cursor=!", "cursor"),
        ("?nmae=x", "nmae"),
        ("/mine/history?cursor=eA", "cursor"),
    ] {
        let answer = host.get(&format!("{RELEASES}{path}")).await;
        assert_eq!(problem(answer, 400, "invalid")["field"], field, "{path}");
    }
    problem(host.get(&format!("{RELEASES}/nobody")).await, 404, "not-found");
    problem(host.get(&format!("{RELEASES}/nobody/history")).await, 404, "not-found");
    problem(host.get(&format!("{RELEASES}/a%00b")).await, 404, "not-found");
}
