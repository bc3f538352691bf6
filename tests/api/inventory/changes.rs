//! Everything that changes the inventory asks the policy and the before-hooks, and
//! tells the after-hooks.
//!
//! **Whoever adds a route that changes something adds a row to the table here**: a
//! test holds it against the routes that the server says it has.

use chandlery::{
    plugins::{Binding, Kind},
    store::{View, outbox},
};
use chandlery_tests::{Answer, Host, guest};
use serde_json::{Value, json};

use super::{
    at,
    everything::{expect_same, rows},
    expect_text, patient, register_version, with_plugins,
};

/// What a change sends.
enum Sent {
    Nothing,
    Json(Value),
    Package,
    Export(Vec<u8>),
}

/// One change: its action, what it is about, and the request.
type Change = (&'static str, &'static str, &'static str, String, Sent);

/// A test system with something in it, and changes that all go well in this order.
async fn changes() -> (Host, Vec<Change>) {
    let plugins = vec![patient(guest::allow_all())];
    let host = Host::builder().plugins(plugins).config(|it| it.dev = true).start().await;
    for version in ["1", "2"] {
        register_version(&host, "ns", "app", version).await;
    }
    let export = host.get(&at("/ns/export")).await.expect(200).bytes.to_vec();
    let namespace = |name: &str| Sent::Json(json!({ "name": name, "description": "said" }));
    let hooks = |kind: &str| Sent::Json(json!({ kind: { "url": "https://example.org/" } }));
    let internal = |path: &str| format!("/api/v1/internal{path}");
    let (create, update) = ("inventory:namespace:create", "inventory:namespace:update");
    let (yank, upload) = ("inventory:version:yank", "inventory:version:upload");
    let version_2 = at("/ns/units/app/versions/v2");
    let tag = Sent::Json(json!({ "release_id": "ns/app-v1", "tag": "live" }));
    let release = Sent::Json(json!({ "name": "app", "version": "3" }));
    let changes = vec![
        (create, "namespace/new/new", "POST", at("/x/add-namespace"), namespace("new")),
        (create, "namespace/in/in", "POST", internal("/add-namespace"), namespace("in")),
        (update, "namespace/ns/ns", "PUT", at("/ns/"), namespace("ns")),
        (update, "namespace/ns/ns", "PUT", at("/ns/hooks/"), hooks("slack")),
        ("inventory:unit:update", "unit/ns/app", "PUT", at("/ns/units/app/hooks/"), hooks("build")),
        ("inventory:tag:set", "tag/ns/app/1", "POST", at("/ns/units/app/tags/"), tag),
        (
            "inventory:tag:delete",
            "tag/ns/app",
            "DELETE",
            at("/ns/units/app/tags/live"),
            Sent::Nothing,
        ),
        ("inventory:version:register", "version/ns/app/3", "POST", at("/ns/register"), release),
        (upload, "version/ns/app/2", "POST", format!("{version_2}/upload"), Sent::Package),
        (yank, "version/ns/app/2", "POST", format!("{version_2}/yank"), Sent::Json(json!({}))),
        (yank, "version/ns/app/2", "DELETE", format!("{version_2}/yank"), Sent::Nothing),
        (
            "inventory:namespace:import",
            "namespace/copy/copy",
            "POST",
            internal("/import?namespace=copy"),
            Sent::Export(export),
        ),
        (
            "inventory:namespace:delete",
            "namespace/ns/ns",
            "DELETE",
            at("/ns/hard-delete"),
            Sent::Nothing,
        ),
        ("server:wipe", "server", "DELETE", internal("/database"), Sent::Nothing),
    ];
    (host, changes)
}

async fn send(host: &Host, (_, _, method, path, sent): &Change) -> Answer {
    match (*method, sent) {
        ("DELETE", Sent::Nothing) => host.delete(path).await,
        ("PUT", Sent::Json(body)) => host.put(path, body).await,
        ("POST", Sent::Json(body)) => host.post(path, body).await,
        ("POST", Sent::Package) => host.upload(path, b"bytes").await,
        ("POST", Sent::Export(tar)) => {
            host.post_bytes(path, "application/x-tar", tar.clone()).await
        }
        _ => panic!("no request is `{method}` with that"),
    }
}

/// Makes a change that nobody objects to.
async fn make(host: &Host, change: &Change) {
    let status = if change.2 == "PUT" { 201 } else { 200 };
    send(host, change).await.expect(status);
}

/// Asked about this action only.
fn only(action: &str, mut binding: Binding) -> Binding {
    binding.actions = vec![action.to_owned()];
    binding
}

/// An after-hook to which nothing can be told, so that everything waits for it.
fn deaf(name: &str) -> Binding {
    guest::binding(name, Kind::AfterHook, guest::Wat::new("notifying-hook").component())
}

/// What waits for a hook.
async fn waiting(host: &Host, hook: &str) -> Vec<outbox::Event> {
    let hook = hook.to_owned();
    let wanted = outbox::Due {
        now: u64::MAX / 2,
        busy: Default::default(),
        only_fresh: false,
        limit: 10,
        bytes_max: u64::MAX,
    };
    let read = move |view: &dyn View| {
        let due = outbox::due(view, &hook, &wanted)?;
        let queue = outbox::queues(view)?.into_iter().find(|it| it.0 == hook);
        assert_eq!(queue.map_or(0, |it| it.1.waiting), due.len() as u64, "more for one thing");
        Ok(due)
    };
    host.app.store.read(read).await.unwrap().into_iter().map(|it| it.event).collect()
}

#[tokio::test]
async fn every_route_that_changes_something_is_in_the_table() {
    let (host, changes) = changes().await;
    let document = host.get("/api/v1/openapi.json").await.expect(200).json();
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/api/v1/inventory/") && !path.starts_with("/api/v1/internal/") {
            continue;
        }
        for method in ["post", "put", "delete", "patch"] {
            let is_search = path == "/api/v1/inventory/search";
            if methods.get(method).is_none() || is_search {
                continue;
            }
            routes += 1;
            let found = changes.iter().any(|it| it.2.to_lowercase() == method && fits(path, &it.3));
            assert!(found, "no change is made by `{method} {path}`");
        }
    }
    assert_eq!(routes, changes.len());
}

/// Whether a path is one of a route's.
fn fits(route: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len()
        && route.iter().zip(path).all(|(of, it)| it == *of || of.starts_with('{'))
}

#[tokio::test]
async fn what_the_policy_denies_is_not_done() {
    let (host, changes) = changes().await;
    for change in &changes {
        let before = rows(&host).await;
        with_plugins(&host, vec![guest::deny_action(change.0)]).await;
        expect_text(send(&host, change).await, 403, "not that");
        expect_same(&rows(&host).await, &before);
        with_plugins(&host, vec![guest::allow_all()]).await;
        make(&host, change).await;
        assert!(rows(&host).await != before, "{} leaves no mark", change.3);
    }
}

#[tokio::test]
async fn what_a_before_hook_refuses_is_neither_done_nor_told() {
    let (host, changes) = changes().await;
    for change in &changes {
        let before = rows(&host).await;
        let refusing = only(change.0, guest::refusing_hook());
        with_plugins(&host, vec![guest::allow_all(), refusing, deaf("deaf")]).await;
        expect_text(send(&host, change).await, 400, "too much");
        expect_same(&rows(&host).await, &before);
        assert!(waiting(&host, "deaf").await.is_empty(), "{} is told", change.3);
        with_plugins(&host, vec![guest::allow_all()]).await;
        make(&host, change).await;
        assert!(rows(&host).await != before, "{} leaves no mark", change.3);
    }
}

#[tokio::test]
async fn what_is_done_is_told_once() {
    let (host, changes) = changes().await;
    for (at, change) in changes.iter().enumerate() {
        let hook = format!("deaf-{at}");
        with_plugins(&host, vec![guest::allow_all(), deaf(&hook)]).await;
        make(&host, change).await;
        let told = waiting(&host, &hook).await;
        let told: Vec<_> = told.iter().map(|it| (it.action.as_str(), about(it))).collect();
        assert_eq!(told, [(change.0, change.1.to_owned())], "{} {}", change.2, change.3);
    }
}

/// What an event is about.
fn about(event: &outbox::Event) -> String {
    let it = &event.target;
    let version = it.version.as_deref().unwrap_or_default();
    let whole = format!("{}/{}/{}/{version}", it.kind, it.namespace, it.name);
    whole.trim_end_matches('/').to_owned()
}
