//! Installing plugins on the running server, looking at them, taking them away.

use chandlery::{
    plugins::{Binding, Kind},
    store::{Outcome, View, audit, blob_refs, outbox},
};
use chandlery_tests::{
    Answer, Host,
    guest::{self, Wat, attack},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::problem;

const PLUGINS: &str = "/api/v1/plugins";

/// A path that installs.
pub(super) fn path(name: &str, version: &str) -> String {
    format!("{PLUGINS}?name={name}&version={version}")
}

/// Installs a component.
pub(super) async fn install(host: &Host, name: &str, version: &str, component: &[u8]) -> Answer {
    host.post_bytes(&path(name, version), "application/wasm", component.to_vec()).await
}

fn component_of(binding: Binding) -> Vec<u8> {
    binding.component.to_vec()
}

/// A component without any code that imports and exports empty interfaces.
fn hollow(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let imports: String =
        imports.iter().map(|it| format!("(import \"{it}\" (instance))")).collect();
    let exports: String =
        exports.iter().map(|it| format!("(export \"{it}\" (instance $empty))")).collect();
    wat::parse_str(format!("(component {imports} (instance $empty) {exports})")).unwrap()
}

const POLICY: [&str; 2] = ["chandlery:plugin/lifecycle@0.1.0", "chandlery:plugin/policy@0.1.0"];

/// With a manifest.
pub(super) fn saying(mut component: Vec<u8>, manifest: &Value) -> Vec<u8> {
    let name = "chandlery:manifest";
    let data = manifest.to_string();
    let mut section = vec![name.len() as u8];
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(data.as_bytes());
    component.push(0);
    let mut size = section.len();
    while size >= 0x80 {
        component.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    component.push(size as u8);
    component.extend(section);
    component
}

async fn listed(host: &Host) -> Vec<(String, String)> {
    let page = host.get(&format!("{PLUGINS}?limit=100")).await.expect(200).json();
    let items = page["items"].as_array().unwrap().iter();
    let installed = items.filter(|it| it["origin"] == "installed");
    let text = |it: &Value, member: &str| it[member].as_str().unwrap().to_owned();
    installed.map(|it| (text(it, "name"), text(it, "version"))).collect()
}

/// The outcomes in the audit of an action, the oldest first.
async fn audited(host: &Host, action: &'static str) -> Vec<Outcome> {
    let read = |view: &dyn View| audit::entries(view, 1, 1_000);
    let entries = host.app.store.read(read).await.unwrap();
    entries.into_iter().filter(|it| it.action == action).map(|it| it.outcome).collect()
}

#[tokio::test]
async fn a_component_is_installed_looked_at_and_removed() {
    let host = Host::start().await;
    let manifest = json!({
        "name": "gate", "version": "1.2.0", "description": "Keeps a gate",
        "capabilities": { "clock": "to know the hour", "mutate": "to stamp" },
        "settings": { "type": "object" }, "requires-host": "^0.1",
    });
    let component = Wat::new("validating-hook")
        .import("clock", "now")
        .on("validating#review", "(drop (call $clock-now)) (i32.const 0)")
        .component();
    let component = saying(component, &manifest);
    let sha256 = hex::encode(Sha256::digest(&component));

    let ana = host.as_user("ana");
    let kind = "application/wasm";
    let wanted = format!("{}&sha256={}", path("gate", "1.2.0"), sha256.to_uppercase());
    let made = ana.post_bytes(&wanted, kind, component.clone()).await.expect(201).json();
    assert_eq!((&made["name"], &made["version"]), (&json!("gate"), &json!("1.2.0")));
    assert_eq!(made["sha256"], sha256);
    assert_eq!(made["size"], component.len());
    assert_eq!(made["kinds"], json!(["before-hook"]));
    assert_eq!((&made["origin"], &made["installed_by"]), (&json!("installed"), &json!("user:ana")));
    assert_eq!(made["bound"], json!([]));

    let seen = host.get(&format!("{PLUGINS}/gate/1.2.0")).await.expect(200).json();
    for (name, value) in made.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name}");
    }
    assert_eq!(seen["description"], "Keeps a gate");
    assert_eq!(seen["requires_host"], "^0.1");
    assert_eq!(seen["settings_schema"], json!({ "type": "object" }));
    let (clock, mutate) = (&seen["capabilities"][0], &seen["capabilities"][1]);
    assert_eq!(
        clock,
        &json!({ "name": "clock", "reason": "to know the hour", "imported": true, "granted": [] })
    );
    assert_eq!((&mutate["name"], &mutate["imported"]), (&json!("mutate"), &json!(false)));
    assert!(seen["imports"].as_array().unwrap().contains(&json!("chandlery:host/clock@0.1.0")));
    assert!(seen["compile_ms"].is_u64());
    assert_eq!((&seen["mode"], &seen["uses"]), (&json!("fresh"), &json!([])));

    host.delete(&format!("{PLUGINS}/gate/1.2.0")).await.expect(204);
    problem(host.get(&format!("{PLUGINS}/gate/1.2.0")).await, 404, "not-found");
    problem(host.delete(&format!("{PLUGINS}/gate/1.2.0")).await, 404, "not-found");
    let owners = host.app.store.read(move |view| blob_refs::owners(view, &sha256, 10)).await;
    assert_eq!(owners.unwrap(), Vec::<String>::new());
    for action in ["plugin:add", "plugin:delete"] {
        assert!(matches!(audited(&host, action).await[..], [Outcome::Done { .. }]), "{action}");
    }
}

#[tokio::test]
async fn a_version_never_changes() {
    let host = Host::start().await;
    let first = component_of(guest::allow_all());
    install(&host, "gate", "1.0.0", &first).await.expect(201);
    let again = install(&host, "gate", "1.0.0", &first).await.expect(200).json();
    assert_eq!(again["name"], "gate");
    let other = install(&host, "gate", "1.0.0", &component_of(guest::deny_all())).await;
    problem(other, 409, "exists");
    install(&host, "gate", "1.0.1", &component_of(guest::deny_all())).await.expect(201);
    assert_eq!(audited(&host, "plugin:add").await.len(), 2, "the same again changes nothing");
}

#[tokio::test]
async fn versions_are_told_with_the_greatest_first() {
    let host = Host::start().await;
    let component = component_of(guest::allow_all());
    for version in ["1.9.0", "1.10.0-rc.1", "1.10.0"] {
        install(&host, "gate", version, &component).await.expect(201);
    }
    let told = host.get(&format!("{PLUGINS}/gate")).await.expect(200).json();
    let versions = told["versions"].as_array().unwrap().iter().map(|it| it["version"].clone());
    let versions: Vec<Value> = versions.collect();
    assert_eq!(versions, ["1.10.0", "1.10.0-rc.1", "1.9.0"]);
    problem(host.get(&format!("{PLUGINS}/nothing")).await, 404, "not-found");
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_with_a_sentence_and_nothing_is_left() {
    let host = Host::builder().config(|it| it.limits.component_bytes_max = 300_000).start().await;
    let policy = component_of(guest::allow_all());
    let named = |name: &str, version: &str| {
        saying(policy.clone(), &json!({ "name": name, "version": version }))
    };
    let elf = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 100]].concat();
    let checks = |body| Wat::new("access-policy").on("lifecycle#check-settings", body).component();
    let start = "(func $start (loop $forever (br $forever))) (start $start)";
    let cases = [
        ("component", b"#!/bin/sh\n".to_vec(), "not WebAssembly"),
        ("component", Vec::new(), "empty"),
        ("component", b"\0asm\x01\0\0\0".to_vec(), "core WebAssembly module"),
        ("component", elf, "compiled code"),
        ("component", b"(component)".to_vec(), "WebAssembly text"),
        ("component", policy[..policy.len() / 2].to_vec(), "damaged"),
        ("component", hollow(&[], &["some:other/world@1.0.0"]), "no plugin of any kind"),
        ("component", hollow(&[], &POLICY[1..]), "does not export `chandlery:plugin/lifecycle`"),
        ("component", hollow(&["chandlery:host/teleport@0.1.0"], &POLICY), "does not know"),
        ("component", hollow(&["wasi:cli/environment@0.2.0"], &POLICY), "offers no WASI"),
        ("component", hollow(&["chandlery:host/clock@0.1.0"], &POLICY), "no policy can have"),
        ("component", hollow(&["chandlery:host/log@0.9.0"], &POLICY), "offers version 0.1"),
        ("component", hollow(&[], &POLICY), "its exports differ"),
        ("component", checks(attack::LOOP), "limit `"),
        ("component", checks(attack::TRAP), "trapped"),
        ("component", checks(attack::ALLOCATE), "limit `memory_bytes`"),
        ("component", Wat::new("access-policy").module(start).component(), "limit `"),
        ("name", named("other", "1.0.0"), "manifest says `other`"),
        ("version", named("gate", "2.0.0"), "manifest says `2.0.0`"),
    ];
    for (count, (field, component, part)) in cases.into_iter().enumerate() {
        let refused = problem(install(&host, "gate", "1.0.0", &component).await, 400, "invalid");
        assert_eq!(refused["field"], field, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains(part), "{part}: {refused}");
        let audited = audited(&host, "plugin:add").await;
        assert_eq!(audited.len(), count + 1);
        let Some(Outcome::Refused { why }) = audited.last() else { panic!("{audited:?}") };
        assert!(why.contains(part), "{why}");
    }
    let huge = [policy.as_slice(), &vec![0; 300_000]].concat();
    problem(install(&host, "gate", "1.0.0", &huge).await, 413, "too-large");
    let digest = format!("{}&sha256={}", path("gate", "1.0.0"), "0".repeat(64));
    let other = host.post_bytes(&digest, "application/wasm", policy.clone()).await;
    assert_eq!(problem(other, 400, "invalid")["field"], "sha256");
    assert_eq!(listed(&host).await, []);
    let sha256 = hex::encode(Sha256::digest(&policy));
    let needed = host.app.store.read(move |view| blob_refs::is_needed(view, &sha256)).await;
    assert!(!needed.unwrap());
    install(&host, "gate", "1.0.0", &policy).await.expect(201);
}

#[tokio::test]
async fn what_is_asked_for_wrongly_names_the_field() {
    let host = Host::start().await;
    for (path, field) in [
        ("?version=1.0.0", "name"),
        ("?name=gate", "version"),
        ("?name=Gate&version=1.0.0", "name"),
        ("?name=a/b&version=1.0.0", "name"),
        ("?name=gate&version=1", "version"),
        ("?name=gate&version=1.0.0&sha256=abc", "sha256"),
        ("?name=gate&version=1.0.0&force=1", "force"),
    ] {
        let answer = host.post_bytes(&format!("{PLUGINS}{path}"), "application/wasm", "x").await;
        assert_eq!(problem(answer, 400, "invalid")["field"], field, "{path}");
    }
    for (path, field) in
        [("?limit=0", "limit"), ("?cursor=x", "cursor"), ("/Gate", "name"), ("/gate/1", "version")]
    {
        let answer = host.get(&format!("{PLUGINS}{path}")).await;
        assert_eq!(problem(answer, 400, "invalid")["field"], field, "{path}");
    }
}

#[tokio::test]
async fn a_list_is_told_in_pages_with_the_shipped_ones_among_it() {
    let host = Host::start().await;
    let component = component_of(guest::allow_all());
    for (name, version) in [("zeta", "1.0.0"), ("alpha", "2.0.0"), ("alpha", "1.0.0")] {
        install(&host, name, version, &component).await.expect(201);
    }
    let mut seen: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = host.get(&format!("{PLUGINS}?limit=2{cursor}")).await.expect(200).json();
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(page["items"].as_array().unwrap().len(), 2);
        cursor = format!("&cursor={next}");
    }
    let text = |it: &Value| format!("{} {}", it["name"], it["version"]).replace('"', "");
    let names: Vec<String> = seen.iter().map(text).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    for name in ["alpha 1.0.0", "alpha 2.0.0", "zeta 1.0.0"] {
        assert_eq!(names.iter().filter(|it| *it == name).count(), 1, "{names:?}");
    }
    let shipped: Vec<&Value> = seen.iter().filter(|it| it["origin"] == "shipped").collect();
    assert!(shipped.len() >= 5, "{names:?}");
    let rbac = shipped.iter().find(|it| it["name"] == "policy-rbac").unwrap();
    assert_eq!(rbac["bound"], json!(["policy-rbac"]));

    let path = format!("{PLUGINS}/policy-rbac/{}", rbac["version"].as_str().unwrap());
    let inspected = host.get(&path).await.expect(200).json();
    assert_eq!(inspected["uses"][0]["kind"], "policy");
    problem(host.delete(&path).await, 409, "conflict");
    let taken = install(&host, "policy-rbac", rbac["version"].as_str().unwrap(), &component).await;
    problem(taken, 409, "exists");
}

#[tokio::test]
async fn what_failed_lately_is_told_where_it_is_bound() {
    let trapping = guest::policy(attack::TRAP);
    let bound = guest::binding("trapping", Kind::Policy, trapping.clone());
    let open = Binding { fail_mode: chandlery::plugins::FailMode::Open, ..bound };
    let host = Host::with(vec![guest::allow_all(), open]).await;
    install(&host, "trap", "1.0.0", &trapping).await.expect(201);
    let seen = host.get(&format!("{PLUGINS}/trap/1.0.0")).await.expect(200).json();
    let used = &seen["uses"][0];
    assert_eq!((&used["binding"], &used["kind"]), (&json!("trapping"), &json!("policy")));
    let failure = &used["failures"][0];
    assert_eq!((&failure["function"], &failure["how"]), (&json!("authorize"), &json!("trap")));
    assert!(failure["why"].as_str().unwrap().contains("unreachable"), "{failure}");
    for _ in 0..30 {
        host.get("/api/v1/plugins").await.expect(200);
    }
    let seen = host.get(&format!("{PLUGINS}/trap/1.0.0")).await.expect(200).json();
    assert_eq!(seen["uses"][0]["failures"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn what_is_installed_outlives_a_restart() {
    let host = Host::start().await;
    install(&host, "gate", "1.0.0", &component_of(guest::allow_all())).await.expect(201);
    let path = format!("{PLUGINS}/gate/1.0.0");
    let before = host.get(&path).await.expect(200).json();
    let host = host.restart().await;
    assert_eq!(host.get(&path).await.expect(200).json(), before);
}

#[tokio::test]
async fn policies_and_hooks_have_their_say() {
    let host = Host::start().await;
    let component = component_of(guest::allow_all());
    install(&host, "kept", "1.0.0", &component).await.expect(201);
    let with = async |bindings: Vec<Binding>| {
        host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());
    };
    let (new, kept) = (path("gate", "1.0.0"), format!("{PLUGINS}/kept/1.0.0"));
    let add = async || host.post_bytes(&new, "application/wasm", component.clone()).await;
    let only = |action: &str, mut binding: Binding| {
        binding.actions = vec![action.to_owned()];
        binding
    };
    with(vec![guest::allow_all(), guest::deny_action("plugin:add")]).await;
    problem(add().await, 403, "denied");
    with(vec![guest::allow_all(), guest::deny_action("plugin:delete")]).await;
    problem(host.delete(&kept).await, 403, "denied");
    with(vec![guest::allow_all(), guest::deny_action("plugin:read")]).await;
    for path in [PLUGINS, &format!("{PLUGINS}/kept"), &kept] {
        problem(host.get(path).await, 403, "denied");
    }
    with(vec![guest::allow_all(), only("plugin:add", guest::refusing_hook())]).await;
    problem(add().await, 409, "refused");
    with(vec![guest::allow_all(), only("plugin:delete", guest::refusing_hook())]).await;
    problem(host.delete(&kept).await, 409, "refused");
    assert_eq!(listed(&host).await, [("kept".to_owned(), "1.0.0".to_owned())]);

    let deaf = Wat::new("notifying-hook").component();
    with(vec![guest::allow_all(), guest::binding("deaf", Kind::AfterHook, deaf)]).await;
    add().await.expect(201);
    host.delete(&kept).await.expect(204);
    let wanted = outbox::Due {
        now: u64::MAX / 2,
        busy: Default::default(),
        only_fresh: false,
        limit: 10,
        bytes_max: u64::MAX,
    };
    let due = move |view: &dyn View| outbox::due(view, "deaf", &wanted);
    let told = host.app.store.read(due).await.unwrap();
    let mut told: Vec<_> =
        told.iter().map(|it| (&*it.event.action, &*it.event.target.name)).collect();
    // What was tried in vain meanwhile is due later.
    told.sort_unstable();
    assert_eq!(told, [("plugin:add", "gate"), ("plugin:delete", "kept")]);
}
