//! The Escape Inventory API.

mod changes;
mod cli;
mod command_line;
mod conditions;
mod conventions;
mod diffs;
mod downloads;
mod everything;
mod graph;
mod hard_delete;
mod hooks_documents;
mod hostile_bodies;
mod hostile_names;
mod lists;
mod moving;
mod namespaces;
mod next_version;
mod policies_and_hooks;
mod register;
mod root;
mod search;
mod tags;
mod transfer;
mod uploads;
mod versions;
mod yank;

use chandlery::plugins::Binding;
use chandlery_tests::{Answer, Host, guest};
use serde_json::{Value, json};

const NO_ROUTE: &str = "404 page not found\n";

/// A server that allows everything.
async fn host() -> Host {
    Host::with(vec![patient(guest::allow_all())]).await
}

/// With time enough on a machine that is busy with other tests. How little a guest
/// gets otherwise is tested with the plugins.
fn patient(mut binding: Binding) -> Binding {
    binding.limits.guest_ms = Some(5_000);
    binding
}

/// Puts exactly these plugins to work.
async fn with_plugins(host: &Host, bindings: Vec<Binding>) {
    let bindings = bindings.into_iter().map(patient).collect();
    host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());
}

/// A path below `/api/v1/inventory`.
fn at(path: &str) -> String {
    format!("/api/v1/inventory{path}")
}

async fn register(host: &Host, namespace: &str, release: &Value) -> Answer {
    host.post(&at(&format!("/{namespace}/register")), release).await
}

async fn register_version(host: &Host, namespace: &str, unit: &str, version: &str) {
    register(host, namespace, &json!({ "name": unit, "version": version })).await.expect(200);
}

/// A server with `ns/app` in these versions.
async fn host_with<'a>(versions: impl IntoIterator<Item = &'a str>) -> Host {
    let host = host().await;
    for version in versions {
        register_version(&host, "ns", "app", version).await;
    }
    host
}

/// Checks that an answer has no body and no type.
#[track_caller]
fn expect_empty(answer: Answer, status: u16) -> Answer {
    let answer = answer.expect(status);
    assert_eq!((answer.text(), answer.header("content-type")), ("", ""));
    answer
}

/// Checks that an answer is this plain text.
#[track_caller]
fn expect_text(answer: Answer, status: u16, text: &str) -> Answer {
    let answer = answer.expect(status);
    assert_eq!(answer.text(), text);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    answer
}
