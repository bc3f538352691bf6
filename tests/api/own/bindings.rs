//! Bindings on the running server: put to work, changed, granted, taken back.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chandlery::store::{Outcome, View, audit, outbox};
use chandlery_tests::{
    Answer, Host,
    guest::{self, Wat, attack},
};
use serde_json::{Value, json};

use super::{
    plugins::{install, saying},
    problem,
};

const BINDINGS: &str = "/api/v1/bindings";

pub(super) fn at(name: &str) -> String {
    format!("{BINDINGS}/{name}")
}

/// A binding of a hook or a policy, with time enough on a busy machine.
pub(super) fn spec(plugin: &str, version: &str, kind: &str) -> Value {
    let actions = if kind.ends_with("hook") { json!(["*"]) } else { json!([]) };
    json!({
        "plugin": plugin, "version": version, "kind": kind, "actions": actions,
        "limits": { "guest_ms": 5_000, "wall_ms": 30_000 },
    })
}

/// A before-hook that lets everything pass with that warning.
pub(super) fn warning(text: &str) -> Vec<u8> {
    let body = format!(
        "(i32.store8 (i32.const 4) (i32.const 1))
         (i32.store (i32.const 8) (i32.const 256)) (i32.store (i32.const 12) (i32.const 1))
         (i32.store (i32.const 256) (i32.const 1024)) (i32.store (i32.const 260) (i32.const {}))
         (i32.const 0)",
        text.len()
    );
    let guest = Wat::new("validating-hook").on("validating#review", &body);
    guest.data(1024, text.as_bytes()).component()
}

/// A before-hook that lets everything pass, and imports the clock.
fn timely() -> Vec<u8> {
    let guest = Wat::new("validating-hook").import("clock", "now");
    guest.on("validating#review", "(drop (call $clock-now)) (i32.const 0)").component()
}

async fn with_hook(versions: &[(&str, Vec<u8>)]) -> Host {
    let host = Host::start().await;
    for (version, component) in versions {
        install(&host, "teller", version, component).await.expect(201);
    }
    host
}

/// What the hooks say when something is registered.
async fn warnings(host: &Host, namespace: &str, unit: &str) -> Vec<String> {
    let path = format!("/api/v1/inventory/{namespace}/register");
    let release = json!({ "name": unit, "version": unused() });
    let answer = host.post(&path, &release).await.expect(200);
    let values = answer.headers.get_all("warning").iter();
    let text = |it: &str| it.split('"').nth(1).unwrap_or_default().to_owned();
    values.map(|it| text(it.to_str().unwrap())).collect()
}

/// A version that nobody had before.
fn unused() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("1.{}", LAST.fetch_add(1, Ordering::Relaxed))
}

async fn patch(host: &Host, name: &str, patch: Value) -> Answer {
    send(host, Method::PATCH, &at(name), &patch, None).await
}

async fn send(host: &Host, method: Method, path: &str, body: &Value, tag: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    request = request.header("content-type", "application/json");
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    host.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn read(host: &Host, name: &str) -> Value {
    host.get(&at(name)).await.expect(200).json()
}

#[tokio::test]
async fn a_hook_is_bound_changed_taken_back_and_deleted() {
    let host = with_hook(&[("1.0.0", warning("one")), ("2.0.0", warning("two"))]).await;
    assert_eq!(warnings(&host, "acme", "web").await, [""; 0]);
    let ana = host.as_user("ana");
    let made = ana.put(&at("tell"), &spec("teller", "1.0.0", "before-hook")).await.expect(201);
    let first_tag = made.header("etag").to_owned();
    let made = made.json();
    assert_eq!((&made["origin"], &made["state"]), (&json!("stored"), &json!("in-force")));
    assert_eq!((&made["revision"], &made["changed_by"]), (&json!(1), &json!("user:ana")));
    assert_eq!(made["spec"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(warnings(&host, "acme", "web").await, ["one"]);

    let swapped = patch(&host, "tell", json!({ "version": "2.0.0" })).await.expect(200);
    assert_ne!(swapped.header("etag"), first_tag);
    assert_eq!(swapped.json()["revision"], 2);
    assert_eq!(warnings(&host, "acme", "web").await, ["two"]);

    let back = host.post(&format!("{}/rollback", at("tell")), &json!({})).await.expect(200).json();
    assert_eq!((&back["revision"], &back["spec"]["version"]), (&json!(3), &json!("1.0.0")));
    assert_eq!(warnings(&host, "acme", "web").await, ["one"]);

    patch(&host, "tell", json!({ "enabled": false })).await.expect(200);
    assert_eq!(read(&host, "tell").await["state"], "disabled");
    assert_eq!(warnings(&host, "acme", "web").await, [""; 0]);
    patch(&host, "tell", json!({ "enabled": true })).await.expect(200);
    assert_eq!(warnings(&host, "acme", "web").await, ["one"]);

    host.delete(&at("tell")).await.expect(204);
    assert_eq!(warnings(&host, "acme", "web").await, [""; 0]);
    problem(host.get(&at("tell")).await, 404, "not-found");
    problem(host.delete(&at("tell")).await, 404, "not-found");
}

#[tokio::test]
async fn the_same_again_is_no_change() {
    let host = with_hook(&[("1.0.0", warning("one"))]).await;
    let wanted = spec("teller", "1.0.0", "before-hook");
    let first = host.put(&at("tell"), &wanted).await.expect(201);
    let again = host.put(&at("tell"), &wanted).await.expect(200);
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(again.json(), first.json());
    let by_digest = json!({ "version": null, "sha256": first.json()["spec"]["sha256"] });
    assert_eq!(patch(&host, "tell", by_digest).await.expect(200).json(), first.json());
}

#[tokio::test]
async fn going_back_goes_on_to_what_was_before() {
    let versions = ["1.0.0", "2.0.0", "3.0.0"];
    let host = with_hook(&versions.map(|it| (it, warning(it)))).await;
    host.put(&at("tell"), &spec("teller", "1.0.0", "before-hook")).await.expect(201);
    for version in &versions[1..] {
        patch(&host, "tell", json!({ "version": version })).await.expect(200);
    }
    let rollback = format!("{}/rollback", at("tell"));
    for version in ["2.0.0", "1.0.0"] {
        let back = host.post_bytes(&rollback, "application/json", "").await.expect(200).json();
        assert_eq!(back["spec"]["version"], version);
        assert_eq!(warnings(&host, "acme", "web").await, [version]);
    }
    problem(host.post(&rollback, &json!({})).await, 409, "conflict");
    host.post(&rollback, &json!({ "revision": 3 })).await.expect(200);
    assert_eq!(warnings(&host, "acme", "web").await, ["3.0.0"]);
    problem(host.post(&rollback, &json!({ "revision": 99 })).await, 404, "not-found");

    let history = host.get(&format!("{}/history?limit=4", at("tell"))).await.expect(200).json();
    let told = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|it| format!("{} {} {}", it["revision"], it["state"], it["like"])).collect()
    };
    assert_eq!(
        told(&history),
        [r#"6 "in-force" 3"#, r#"5 "earlier" 1"#, r#"4 "earlier" 2"#, r#"3 "earlier" null"#]
    );
    let next = format!("{}/history?cursor={}", at("tell"), history["next"].as_str().unwrap());
    let rest = host.get(&next).await.expect(200).json();
    assert_eq!(told(&rest), [r#"2 "earlier" null"#, r#"1 "earlier" null"#]);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn a_change_can_insist_on_what_it_knows() {
    let host = with_hook(&[("1.0.0", warning("one")), ("2.0.0", warning("two"))]).await;
    let wanted = spec("teller", "1.0.0", "before-hook");
    let none = send(&host, Method::PUT, &at("tell"), &wanted, Some("\"x\"")).await;
    problem(none, 412, "outdated");
    let old = host.put(&at("tell"), &wanted).await.expect(201).header("etag").to_owned();
    let change = json!({ "version": "2.0.0" });
    let new = send(&host, Method::PATCH, &at("tell"), &change, Some(&old)).await.expect(200);
    let new = new.header("etag").to_owned();
    for (method, path, body) in [
        (Method::PUT, at("tell"), &wanted),
        (Method::PATCH, at("tell"), &change),
        (Method::POST, format!("{}/rollback", at("tell")), &json!({})),
        (Method::DELETE, at("tell"), &json!(null)),
    ] {
        let outdated = send(&host, method.clone(), &path, body, Some(&old)).await;
        problem(outdated, 412, "outdated");
    }
    assert_eq!(host.get(&at("tell")).await.expect(200).header("etag"), new);
    send(&host, Method::DELETE, &at("tell"), &json!(null), Some(&new)).await.expect(204);
}

#[tokio::test]
async fn what_cannot_be_put_to_work_moves_nothing() {
    // It takes no settings but empty ones.
    let body = "(if (result i32) (i32.eq (local.get $p1) (i32.const 2)) (then (i32.const 256))
        (else (i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024))
              (i32.store (i32.const 8) (i32.const 7)) (i32.const 0)))";
    let stubborn = Wat::new("validating-hook")
        .on("lifecycle#configure", body)
        .on("validating#review", "(i32.const 0)")
        .data(1024, b"no, sir")
        .component();
    let host = with_hook(&[("1.0.0", warning("one"))]).await;
    install(&host, "stubborn", "1.0.0", &stubborn).await.expect(201);
    install(&host, "timely", "1.0.0", &timely()).await.expect(201);
    let hook = |changes: Value| {
        let mut spec = spec("teller", "1.0.0", "before-hook");
        for (name, value) in changes.as_object().unwrap() {
            spec[name] = value.clone();
        }
        spec
    };
    host.put(&at("tell"), &hook(json!({}))).await.expect(201);
    let before = read(&host, "tell").await;
    for (changes, field, part) in [
        (json!({ "plugin": "nobody" }), "plugin", "no plugin `nobody` 1.0.0 is installed"),
        (json!({ "version": "9.9.9" }), "plugin", "no plugin `teller` 9.9.9"),
        (json!({ "version": null }), "version", "say which one"),
        (json!({ "sha256": "0".repeat(64) }), "sha256", "the SHA-256 of `teller` 1.0.0 is"),
        (json!({ "kind": "policy" }), "kind", "is no policy"),
        (json!({ "kind": "thing" }), "kind", "`thing` is not a kind"),
        (json!({ "actions": [] }), "actions", "`*` is all"),
        (json!({ "settings": 7 }), "settings", "an object"),
        (json!({ "fail_mode": "maybe" }), "fail_mode", "`closed`, `open` or `ignore`"),
        (json!({ "order": "first" }), "order", "i32"),
        (json!({ "colour": "red" }), "", "colour"),
        (json!({ "grants": { "http": { "origins": ["*"] } } }), "grants.http", "no origin"),
        (json!({ "grants": { "teleport": true } }), "grants", "teleport"),
        (json!({ "plugin": "stubborn", "settings": { "a": 1 } }), "", "no, sir"),
    ] {
        let refused = problem(host.put(&at("tell"), &hook(changes.clone())).await, 400, "invalid");
        let named = refused["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(field), "{changes}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(part), "{changes}: {refused}");
        let other = host.put(&at("other"), &hook(changes)).await;
        assert_eq!(other.status, 400);
    }
    let not_granted = host.put(&at("other"), &hook(json!({ "plugin": "timely" }))).await;
    let refused = problem(not_granted, 400, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains("set `grants.clock`"), "{refused}");
    for name in ["Tell", "a b", "-"] {
        let path = at(&name.replace(' ', "%20"));
        assert_eq!(
            problem(host.put(&path, &hook(json!({}))).await, 400, "invalid")["field"],
            "name"
        );
    }
    assert_eq!(read(&host, "tell").await, before);
    problem(host.get(&at("other")).await, 404, "not-found");
    assert_eq!(warnings(&host, "acme", "web").await, ["one"]);
}

#[tokio::test]
async fn hooks_are_asked_in_their_order_and_about_what_they_are_for() {
    let host = with_hook(&[("1.0.0", warning("a")), ("2.0.0", warning("b"))]).await;
    let hook = |version: &str, changes: Value| {
        let mut spec = spec("teller", version, "before-hook");
        for (name, value) in changes.as_object().unwrap() {
            spec[name] = value.clone();
        }
        spec
    };
    host.put(&at("first"), &hook("1.0.0", json!({ "order": 5 }))).await.expect(201);
    host.put(&at("second"), &hook("2.0.0", json!({ "order": -5 }))).await.expect(201);
    assert_eq!(warnings(&host, "acme", "web").await, ["b", "a"]);
    patch(&host, "first", json!({ "order": -6 })).await.expect(200);
    assert_eq!(warnings(&host, "acme", "web").await, ["a", "b"]);
    patch(&host, "first", json!({ "namespaces": ["team-*"] })).await.expect(200);
    assert_eq!(warnings(&host, "acme", "web").await, ["b"]);
    assert_eq!(warnings(&host, "team-a", "web").await, ["a", "b"]);
    patch(&host, "second", json!({ "units": ["api"] })).await.expect(200);
    assert_eq!(warnings(&host, "team-a", "web").await, ["a"]);
    assert_eq!(warnings(&host, "acme", "api").await, ["b"]);
    patch(&host, "second", json!({ "actions": ["release:*"] })).await.expect(200);
    assert_eq!(warnings(&host, "acme", "api").await, [""; 0]);
}

#[tokio::test]
async fn a_version_that_wants_more_waits_for_its_grant() {
    let manifest = json!({
        "name": "teller", "version": "2.0.0",
        "capabilities": { "clock": "to know the hour", "mutate": "to stamp" },
    });
    let host =
        with_hook(&[("1.0.0", warning("one")), ("2.0.0", saying(timely(), &manifest))]).await;
    let mut first = spec("teller", "1.0.0", "before-hook");
    // It lay there before anybody had the new version in mind.
    first["grants"] = json!({ "clock": true });
    host.put(&at("tell"), &first).await.expect(201);

    let waits = patch(&host, "tell", json!({ "version": "2.0.0" })).await.expect(202);
    let tag = waits.header("etag").to_owned();
    let waits = waits.json();
    assert_eq!((&waits["state"], &waits["revision"]), (&json!("in-force"), &json!(1)));
    assert_eq!(waits["spec"]["version"], "1.0.0");
    let pending = &waits["pending"];
    assert_eq!((&pending["revision"], &pending["spec"]["version"]), (&json!(2), &json!("2.0.0")));
    let needs = pending["needs"].as_array().unwrap();
    let names: Vec<_> = needs.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["clock", "mutate"]);
    assert_eq!(needs[0]["reason"], "to know the hour");
    assert_eq!(warnings(&host, "acme", "web").await, ["one"], "what ran goes on");
    problem(host.delete("/api/v1/plugins/teller/2.0.0").await, 409, "conflict");

    let grant = format!("{}/grant", at("tell"));
    let part = host.post(&grant, &json!({ "grants": { "clock": true } })).await.expect(202).json();
    assert_eq!(part["pending"]["needs"][0]["name"], "mutate");
    let decided = json!({ "grants": { "mutate": false } });
    let outdated = send(&host, Method::POST, &grant, &decided, Some(&tag)).await;
    problem(outdated, 412, "outdated");
    let wrong = host.post(&grant, &json!({ "grants": { "teleport": true } })).await;
    problem(wrong, 400, "invalid");
    let all = json!({ "grants": { "mutate": false } });
    let granted = host.post(&grant, &all).await.expect(200).json();
    assert_eq!((&granted["pending"], &granted["spec"]["version"]), (&Value::Null, &json!("2.0.0")));
    assert_eq!(granted["spec"]["grants"]["mutate"], false);
    assert_eq!(warnings(&host, "acme", "web").await, [""; 0]);
    problem(host.post(&grant, &all).await, 409, "conflict");

    let rollback = format!("{}/rollback", at("tell"));
    let back = host.post(&rollback, &json!({})).await.expect(200).json();
    assert_eq!(back["spec"]["version"], "1.0.0");
    assert_eq!(warnings(&host, "acme", "web").await, ["one"]);
}

#[tokio::test]
async fn what_waits_for_a_grant_can_be_dropped_or_granted_with_the_change() {
    let host = with_hook(&[("1.0.0", warning("one")), ("2.0.0", timely())]).await;
    host.put(&at("tell"), &spec("teller", "1.0.0", "before-hook")).await.expect(201);
    patch(&host, "tell", json!({ "version": "2.0.0" })).await.expect(202);
    let rollback = format!("{}/rollback", at("tell"));
    let dropped = host.post(&rollback, &json!({})).await.expect(200).json();
    assert_eq!((&dropped["pending"], &dropped["revision"]), (&Value::Null, &json!(1)));
    let host = host.restart().await;
    assert_eq!(read(&host, "tell").await["pending"], Value::Null);
    let with = json!({ "version": "2.0.0", "grants": { "clock": true } });
    let now = patch(&host, "tell", with).await.expect(200).json();
    assert_eq!((&now["spec"]["version"], &now["pending"]), (&json!("2.0.0"), &Value::Null));
}

#[tokio::test]
async fn a_plugin_in_use_is_not_removed() {
    let host = with_hook(&[("1.0.0", warning("one")), ("2.0.0", warning("two"))]).await;
    host.put(&at("tell"), &spec("teller", "1.0.0", "before-hook")).await.expect(201);
    let path = |version: &str| format!("/api/v1/plugins/teller/{version}");
    let used = problem(host.delete(&path("1.0.0")).await, 409, "conflict");
    assert!(used["detail"].as_str().unwrap().contains("`tell`"), "{used}");
    patch(&host, "tell", json!({ "version": "2.0.0" })).await.expect(200);
    problem(host.delete(&path("1.0.0")).await, 409, "conflict");
    patch(&host, "tell", json!({ "order": 1 })).await.expect(200);
    host.delete(&path("1.0.0")).await.expect(204);
    // Further back than one step, and its plugin is gone.
    let back = host.post(&format!("{}/rollback", at("tell")), &json!({ "revision": 1 })).await;
    problem(back, 400, "invalid");
    host.delete(&at("tell")).await.expect(204);
    host.delete(&path("2.0.0")).await.expect(204);
}

#[tokio::test]
async fn bindings_outlive_a_restart_and_are_told_by_name_with_their_origin() {
    let host = Host::builder().config(|config| {
        config.web_hook = "http://127.0.0.1:1/in?token=hunter2".to_owned();
    });
    let host = host.start().await;
    for version in ["1.0.0", "2.0.0"] {
        install(&host, "teller", version, &warning(version)).await.expect(201);
    }
    host.put(&at("tell"), &spec("teller", "1.0.0", "before-hook")).await.expect(201);
    patch(&host, "tell", json!({ "version": "2.0.0" })).await.expect(200);
    host.put(&at("asleep"), &spec("teller", "1.0.0", "before-hook")).await.expect(201);
    patch(&host, "asleep", json!({ "enabled": false })).await.expect(200);
    let before = listed(&host).await;
    let told: Vec<String> = before
        .iter()
        .map(|it| format!("{} {} {}", it["name"], it["origin"], it["state"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "asleep stored disabled",
            "deployer-local shipped in-force",
            "policy-rbac shipped in-force",
            "tell stored in-force",
            "template-mustache shipped in-force",
            "web-hook configuration in-force",
        ]
    );
    assert!(!json!(before).to_string().contains("hunter2"));
    let host = host.restart().await;
    assert_eq!(listed(&host).await, before);
    assert_eq!(warnings(&host, "acme", "web").await, ["2.0.0"]);
    host.post(&format!("{}/rollback", at("tell")), &json!({})).await.expect(200);
    assert_eq!(warnings(&host, "acme", "web").await, ["1.0.0"]);
    let refused = host.put(&at("web-hook"), &spec("teller", "1.0.0", "before-hook")).await;
    let refused = problem(refused, 409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("configuration"), "{refused}");
    problem(patch(&host, "web-hook", json!({ "enabled": false })).await, 409, "conflict");
}

async fn listed(host: &Host) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = host.get(&format!("{BINDINGS}?limit=2{cursor}")).await.expect(200).json();
        items.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn what_the_server_puts_to_work_by_itself_can_be_replaced_and_comes_back() {
    let host = Host::start().await;
    let mine = guest::policy("(i32.const 0)");
    install(&host, "gate", "1.0.0", &mine).await.expect(201);
    let own = read(&host, "policy-rbac").await;
    assert_eq!((&own["origin"], &own["revision"]), (&json!("shipped"), &Value::Null));
    problem(host.delete(&at("policy-rbac")).await, 409, "conflict");

    let made = host.put(&at("policy-rbac"), &spec("gate", "1.0.0", "policy")).await.expect(201);
    assert_eq!(made.json()["origin"], "stored");
    let uses = host.get("/api/v1/plugins/gate/1.0.0").await.expect(200).json()["uses"].clone();
    assert_eq!(uses[0]["binding"], "policy-rbac");
    host.delete(&at("policy-rbac")).await.expect(204);
    assert_eq!(read(&host, "policy-rbac").await, own);

    // Its settings can be changed as they are, and it stays the same plugin.
    let settings = json!({ "bindings": [{ "group": "*", "role": "admin" }] });
    let changed = patch(&host, "policy-rbac", json!({ "settings": settings })).await.expect(201);
    let changed = changed.json();
    assert_eq!(changed["spec"]["sha256"], own["spec"]["sha256"]);
    assert_eq!(changed["spec"]["settings"], settings);
    let wrong = patch(&host, "policy-rbac", json!({ "settings": { "roles": 7 } })).await;
    let wrong = problem(wrong, 400, "invalid");
    assert!(wrong["detail"].as_str().unwrap().contains("its settings are wrong"), "{wrong}");
    let host = host.restart().await;
    assert_eq!(read(&host, "policy-rbac").await["spec"], changed["spec"]);
}

#[tokio::test]
async fn nobody_locks_himself_out_without_meaning_to() {
    let host = Host::start().await;
    let deny = guest::deny_all().component.to_vec();
    install(&host, "deny", "1.0.0", &deny).await.expect(201);
    install(&host, "trap", "1.0.0", &guest::policy(attack::TRAP)).await.expect(201);
    let off = patch(&host, "policy-rbac", json!({ "enabled": false })).await;
    problem(off, 409, "conflict");
    for plugin in ["deny", "trap"] {
        let locked = host.put(&at("shut"), &spec(plugin, "1.0.0", "policy")).await;
        let locked = problem(locked, 409, "conflict");
        assert!(locked["detail"].as_str().unwrap().contains("`force=true`"), "{locked}");
    }
    host.get(BINDINGS).await.expect(200);
    let path = format!("{}?force=true", at("shut"));
    let shut = host.put(&path, &spec("deny", "1.0.0", "policy")).await;
    // It is done, and whoever did it is not even told.
    assert_eq!(shut.status, 201);
    problem(host.get(BINDINGS).await, 403, "denied");
    problem(host.delete(&path).await, 403, "denied");
}

#[tokio::test]
async fn a_broken_hook_does_not_keep_itself_from_being_taken_away() {
    let host = Host::start().await;
    let broken = Wat::new("validating-hook").on("validating#review", attack::TRAP).component();
    install(&host, "broken", "1.0.0", &broken).await.expect(201);
    host.put(&at("broken"), &spec("broken", "1.0.0", "before-hook")).await.expect(201);
    let path = "/api/v1/inventory/acme/register";
    let release = json!({ "name": "web", "version": "1.0" });
    assert_eq!(host.post(path, &release).await.status, 500);
    problem(host.put(&at("other"), &spec("broken", "1.0.0", "before-hook")).await, 500, "plugin");
    patch(&host, "broken", json!({ "enabled": false })).await.expect(200);
    host.post(path, &release).await.expect(200);
}

#[tokio::test]
async fn secrets_are_named_in_the_settings_of_the_server_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret").unwrap();
    let source = format!("file:{}", file.path().display());
    let set = move |config: &mut chandlery::config::Config| {
        config.secrets.insert("known".to_owned(), source);
    };
    let host = Host::builder().config(set).start().await;
    // Refuses, in the words of the secret that it was shown: `result<list<u8>, …>` at 512.
    let guest = Wat::new("validating-hook").import("secrets", "reveal").on(
        "validating#review",
        "(call $secrets-reveal (i32.const 1024) (i32.const 5) (i32.const 512))
         (if (i32.load8_u (i32.const 512)) (then (return (i32.const 0))))
         (i32.store8 (i32.const 4) (i32.const 3))
         (i32.store (i32.const 8) (i32.const 1024)) (i32.store (i32.const 12) (i32.const 5))
         (i32.store (i32.const 16) (i32.load (i32.const 516)))
         (i32.store (i32.const 20) (i32.load (i32.const 520)))
         (i32.const 0)",
    );
    install(&host, "teller", "1.0.0", &guest.data(1024, b"known").component()).await.expect(201);
    let mut wanted = spec("teller", "1.0.0", "before-hook");
    wanted["actions"] = json!(["inventory:*"]);
    wanted["secrets"] = json!({ "known": "file:/etc/passwd" });
    problem(host.put(&at("tell"), &wanted).await, 400, "invalid");
    wanted.as_object_mut().unwrap().remove("secrets");
    wanted["grants"] = json!({ "secrets": { "use": ["known"] } });
    host.put(&at("tell"), &wanted).await.expect(201);
    assert_eq!(warnings(&host, "acme", "web").await, [""; 0], "it may use it and not read it");
    patch(&host, "tell", json!({ "grants": { "secrets": { "reveal": ["known"] } } }))
        .await
        .expect(200);
    let release = json!({ "name": "web", "version": "9" });
    let refused = host.post("/api/v1/inventory/acme/register", &release).await;
    assert_eq!(refused.text(), "s3cret");
    assert!(!json!(listed(&host).await).to_string().contains("s3cret"));
}

#[tokio::test]
async fn policies_and_hooks_have_their_say_about_bindings() {
    let host = with_hook(&[("1.0.0", warning("one")), ("2.0.0", timely())]).await;
    let wanted = spec("teller", "1.0.0", "before-hook");
    host.put(&at("kept"), &wanted).await.expect(201);
    patch(&host, "kept", json!({ "version": "2.0.0" })).await.expect(202);
    let changes = || {
        [
            (Method::PUT, at("new"), wanted.clone()),
            (Method::POST, format!("{}/grant", at("kept")), json!({ "grants": { "clock": true } })),
            (Method::PATCH, at("kept"), json!({ "order": 1 })),
            (Method::POST, format!("{}/rollback", at("kept")), json!({})),
            (Method::DELETE, at("kept"), json!(null)),
        ]
    };
    let with = async |bindings: Vec<chandlery::plugins::Binding>| {
        host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());
    };
    let before = read(&host, "kept").await;
    with(vec![guest::allow_all(), guest::deny_action("binding:write")]).await;
    for (method, path, body) in changes() {
        problem(send(&host, method, &path, &body, None).await, 403, "denied");
    }
    let refusing = guest::refusing_hook();
    with(vec![guest::allow_all(), refusing]).await;
    for (method, path, body) in changes() {
        let refused = send(&host, method.clone(), &path, &body, None).await;
        let refused = problem(refused, 409, "refused");
        assert_eq!(refused["code"], "quota.exceeded", "{method} {path}");
    }
    with(vec![guest::allow_all(), guest::deny_action("binding:read")]).await;
    for path in [BINDINGS.to_owned(), at("kept"), format!("{}/history", at("kept"))] {
        problem(host.get(&path).await, 403, "denied");
    }
    with(vec![guest::allow_all()]).await;
    assert_eq!(read(&host, "kept").await, before);

    let deaf = Wat::new("notifying-hook").component();
    let deaf = guest::binding("deaf", chandlery::plugins::Kind::AfterHook, deaf);
    for (method, path, body) in changes() {
        with(vec![guest::allow_all(), deaf.clone()]).await;
        let answer = send(&host, method.clone(), &path, &body, None).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.status);
    }
    let wanted = outbox::Due {
        now: u64::MAX / 2,
        busy: Default::default(),
        only_fresh: false,
        limit: 10,
        bytes_max: u64::MAX,
    };
    let due = move |view: &dyn View| {
        let queue = outbox::queues(view)?.into_iter().find(|it| it.0 == "deaf");
        Ok((outbox::due(view, "deaf", &wanted)?, queue.map_or(0, |it| it.1.waiting)))
    };
    // The first of each target is due, the others wait behind it.
    let (due, waiting) = host.app.store.read(due).await.unwrap();
    assert!(due.iter().all(|it| it.event.action == "binding:write"));
    assert_eq!(waiting, 5);
    let audited = host.app.store.read(|view| audit::entries(view, 1, 1_000)).await.unwrap();
    let written = audited.iter().filter(|it| it.action == "binding:write");
    let done = written.filter(|it| matches!(it.outcome, Outcome::Done { .. })).count();
    assert_eq!(done, 7);
}
