//! What would be done is told, nothing is kept of it, and it is done only if it is
//! still the same.

use axum::{
    body::Body,
    http::{Request, header},
};
use chandlery_tests::{
    Answer, DryRun, Host,
    dry_run::{app, install, upgrade, values},
    guest,
};
use serde_json::{Value, json};

use super::{problem, releases::settled};

const RELEASE: &str = "/api/v1/releases/mine";
const INSTALL: &str = "/api/package/install";

fn web(version: &str) -> Value {
    let mut app = app("web", json!({}));
    app["version"] = version.into();
    app
}

/// An order of these applications, on the platform where it is an install.
fn order(apps: &[Value], platform: Option<&str>) -> Value {
    let mut order = json!({ "package": { "name": "apps" }, "values": values(apps) });
    if let Some(platform) = platform {
        order["platform"] = platform.into();
    }
    order
}

async fn plan(host: &Host, order: &Value) -> Value {
    host.post(&format!("{RELEASE}/plan"), order).await.expect(200).json()
}

async fn apply(host: &Host, order: &Value, index: &str, query: &str) -> Answer {
    let request = Request::post(format!("{RELEASE}/apply{query}"))
        .header(header::HOST, "localhost")
        .header(header::IF_MATCH, format!("\"{index}\""));
    host.send(request.body(Body::from(order.to_string())).unwrap()).await
}

async fn rows(host: &Host) -> Vec<chandlery::store::KeptRow> {
    let mut rows = host.app.store.rows(None, 100_000).await.unwrap();
    rows.retain(|it| it.table != "readiness");
    rows
}

#[tokio::test]
async fn a_plan_of_an_install_tells_all_and_keeps_nothing() {
    let host = DryRun::default().host().await;
    let before = rows(&host).await;

    let plan = plan(&host, &order(&[web("1.0.0")], Some("default"))).await;

    assert_eq!(plan["action"], "install");
    assert_eq!((&plan["version"], &plan["replaces"]), (&json!(1), &Value::Null));
    assert_eq!(plan["package"], json!({ "name": "apps", "version": "1.1.0" }));
    assert_eq!(plan["values"]["apps"][0]["name"], "web");
    assert!(plan["manifest"].as_str().unwrap().contains("name: web"), "{plan}");
    assert_eq!(plan["applications"][0]["change"], "added");
    assert_eq!(plan["starts"], json!(["web"]));
    assert_eq!(plan["index"].as_str().unwrap().len(), 64);
    assert!(rows(&host).await == before, "a plan keeps something");
}

#[tokio::test]
async fn what_was_planned_is_what_is_done() {
    let host = DryRun::default().host().await;
    let order = order(&[web("1.0.0")], Some("default"));
    let planned = plan(&host, &order).await;

    let done = apply(&host, &order, planned["index"].as_str().unwrap(), "").await.expect(200);

    let done = done.json();
    assert_eq!((&done["name"], &done["running"]["version"]), (&json!("mine"), &json!(1)));
    let manifest = host.get("/api/release/manifest/mine").await.expect(200).json();
    assert_eq!(manifest["data"], planned["manifest"]);
}

#[tokio::test]
async fn a_plan_of_an_upgrade_tells_where_it_differs_from_what_runs() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[web("1.0.0")])).await.expect(201);
    let order = order(&[web("2.0.0"), app("db", json!({}))], None);

    let planned = plan(&host, &order).await;

    assert_eq!(planned["action"], "upgrade");
    assert_eq!((&planned["version"], &planned["replaces"]), (&json!(2), &json!(1)));
    let web = &planned["applications"][0];
    assert_eq!((&web["name"], &web["change"]), (&json!("web"), &json!("changed")));
    let field = json!({ "field": "spec.version", "was": "1.0.0", "becomes": "2.0.0" });
    assert_eq!(web["fields"], json!([field]));
    assert_eq!(planned["applications"][1]["change"], "added");
    let running = json!([{ "name": "web", "state": "deployed", "instances": 1 }]);
    assert_eq!(planned["running"], running);

    apply(&host, &order, planned["index"].as_str().unwrap(), "").await.expect(200);
    assert_eq!(settled(&host, "mine").await["running"]["version"], 2);
    let rollback = json!({ "action": "rollback" });
    let back = plan(&host, &rollback).await;
    assert_eq!((&back["action"], &back["version"]), (&json!("rollback"), &json!(3)));
    apply(&host, &rollback, back["index"].as_str().unwrap(), "").await.expect(200);
    assert_eq!(settled(&host, "mine").await["running"]["version"], 3);
}

#[tokio::test]
async fn what_has_moved_since_it_was_planned_is_not_done() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[web("1.0.0")])).await.expect(201);
    let order_2 = order(&[web("2.0.0")], None);
    let planned = plan(&host, &order_2).await;
    let index = planned["index"].as_str().unwrap();
    // Another order than the one that was planned.
    let other = apply(&host, &order(&[web("3.0.0")], None), index, "").await;
    problem(other, 412, "outdated");
    // Somebody else was faster.
    host.post("/api/release/upgrade", &upgrade("mine", &[web("1.5.0")])).await.expect(201);
    settled(&host, "mine").await;

    problem(apply(&host, &order_2, index, "").await, 412, "outdated");

    assert_eq!(settled(&host, "mine").await["last_attempt"]["version"], 2);
    let again = plan(&host, &order_2).await;
    apply(&host, &order_2, again["index"].as_str().unwrap(), "").await.expect(200);
    assert_eq!(settled(&host, "mine").await["running"]["version"], 3);
}

#[tokio::test]
async fn a_scaling_moves_a_plan_and_is_kept_by_what_is_planned_anew() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[web("1.0.0")])).await.expect(201);
    let order = order(&[web("2.0.0")], None);
    let planned = plan(&host, &order).await;
    assert_eq!(planned["running"][0]["instances"], 1);
    let three = json!({ "scale": [{ "name": "web", "count": 3, "properties": {} }] });
    host.post("/api/release/scale/mine", &three).await.expect(201);

    problem(apply(&host, &order, planned["index"].as_str().unwrap(), "").await, 412, "outdated");

    let again = plan(&host, &order).await;
    assert_eq!(again["running"][0]["instances"], 3);
    apply(&host, &order, again["index"].as_str().unwrap(), "").await.expect(200);
    let now = settled(&host, "mine").await;
    assert_eq!(now["running"]["version"], 2, "{now}");
    assert_eq!(now["running"]["apps"][0]["instances"].as_array().unwrap().len(), 3, "{now}");
}

#[tokio::test]
async fn an_install_that_was_planned_is_not_done_twice() {
    let host = DryRun::default().host().await;
    let mut order = order(&[web("1.0.0")], Some("default"));
    let index = plan(&host, &order).await["index"].as_str().unwrap().to_owned();
    apply(&host, &order, &index, "").await.expect(200);

    problem(apply(&host, &order, &index, "").await, 412, "outdated");
    order["action"] = "install".into();
    problem(apply(&host, &order, &index, "").await, 412, "outdated");
    problem(host.post(&format!("{RELEASE}/apply"), &order).await, 409, "conflict");

    host.delete("/api/release/mine").await.expect(200);
    problem(apply(&host, &order, &index, "").await, 412, "outdated");
    let mut upgrade = order.clone();
    upgrade.as_object_mut().unwrap().retain(|key, _| key != "action" && key != "platform");
    problem(apply(&host, &upgrade, &index, "").await, 412, "outdated");
}

#[tokio::test]
async fn who_meets_another_is_told_of_it_or_waits() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[web("1.0.0")])).await.expect(201);
    let mut slow = web("2.0.0");
    slow["deploymentProperties"] =
        app("web", json!({ "deployed-after": "never" }))["deploymentProperties"].take();
    let mut request = upgrade("mine", &[slow]);
    request["timeout"] = 500.into();
    host.as_user("ana").post("/api/release/upgrade", &request).await.expect(201);
    let path = |query: &str| format!("{RELEASE}/apply{query}");
    let next = order(&[web("3.0.0")], None);

    for query in ["", "?wait=1ms"] {
        let body = problem(host.post(&path(query), &next).await, 409, "held");
        assert_eq!(body["held"]["holder"], "user:ana", "{body}");
        assert_eq!(body["held"]["action"], "release:upgrade", "{body}");
        assert!(body["held"]["age_ms"].is_u64(), "{body}");
    }
    host.post(&path("?wait=60s"), &next).await.expect(200);
    let body = settled(&host, "mine").await;
    assert_eq!(body["running"]["version"], 3, "{body}");
}

#[tokio::test]
async fn hooks_may_refuse_a_plan_and_a_policy_may_deny_it() {
    let mut bindings = DryRun::default().bindings();
    bindings.push(guest::refusing_hook());
    let host = DryRun::default().host().await;
    host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());
    let order = order(&[web("1.0.0")], Some("default"));
    let path = format!("{RELEASE}/plan");
    let refused = problem(host.post(&path, &order).await, 409, "refused");
    assert_eq!(
        (&refused["code"], &refused["detail"]),
        (&json!("quota.exceeded"), &json!("too much"))
    );

    for action in ["release:plan", "release:install"] {
        let mut bindings = DryRun::default().bindings();
        bindings[0] = guest::deny_action(action);
        host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());
        let verb = if action == "release:plan" { "plan" } else { "apply" };
        problem(host.post(&format!("{RELEASE}/{verb}"), &order).await, 403, "denied");
    }
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_told_so() {
    let host = DryRun::default().host().await;
    let check = async |order: Value, field: Value| {
        let before = rows(&host).await;
        for verb in ["plan", "apply"] {
            let answer = host.post(&format!("{RELEASE}/{verb}"), &order).await;
            let body = problem(answer, 400, "invalid");
            assert_eq!(body.get("field").cloned().unwrap_or_default(), field, "{order}: {body}");
        }
        assert!(rows(&host).await == before, "{order} is kept");
    };
    check(json!([]), Value::Null).await;
    check(json!({ "pakage": {} }), "pakage".into()).await;
    check(json!({ "action": "delete" }), "action".into()).await;
    check(json!({ "package": { "name": "apps", "version": 1 } }), "package.version".into()).await;
    check(json!({}), "package".into()).await;
    check(json!({ "package": { "name": " " }, "platform": "default" }), "package.name".into())
        .await;
    check(json!({ "package": { "name": "apps" } }), "platform".into()).await;
    let forced = json!({ "package": { "name": "apps" }, "platform": "default", "force": true });
    check(forced, "force".into()).await;
    check(json!({ "action": "rollback", "values": "a: 1" }), "values".into()).await;
    check(json!({ "action": "rollback", "platform": "default" }), "platform".into()).await;
    let upgrade = json!({ "action": "upgrade", "package": { "name": "apps" }, "version": 1 });
    check(upgrade, "version".into()).await;

    let order = order(&[web("1.0.0")], Some("default"));
    let wait = host.post(&format!("{RELEASE}/apply?wait=soon"), &order).await;
    assert_eq!(problem(wait, 400, "invalid")["field"], "wait");
    let unquoted = apply(&host, &order, "\"", "").await;
    assert_eq!(problem(unquoted, 400, "invalid")["field"], "If-Match");
    let unknown = json!({ "package": { "name": "nothing" }, "platform": "default" });
    problem(host.post(&format!("{RELEASE}/plan"), &unknown).await, 409, "conflict");
    problem(host.get(&format!("{RELEASE}/plan")).await, 405, "method");
}
