//! Uploads, told to the one URL of the settings and to those that hooks documents name.

use chandlery::{
    capabilities::{Grants, http, secrets},
    config::PluginConfig,
    inventory::NamespaceName,
    store::{
        Change,
        leaving::{Leaving, namespace_delete},
        outbox::{self, Queue},
    },
};
use chandlery_tests::Host;
use serde_json::{Value, json};

use super::sink::{Received, Sink};

const INVENTORY: &str = "/api/v1/inventory";
const NOTICES: &str = "follower\u{1f}notices";

/// The shipped plugin, which tells the URLs of hooks documents. Of this machine it is
/// granted these receivers alone.
fn follower(sinks: &[&Sink]) -> PluginConfig {
    let grants = Grants {
        http: Some(http::Grant {
            origins: sinks.iter().map(|it| format!("http://{}", it.address)).collect(),
            public: true,
            private: vec!["127.0.0.0/8".to_owned()],
            ..http::Grant::default()
        }),
        secrets: Some(secrets::Grant::default()),
        clock: true,
        documents: true,
        ..Grants::default()
    };
    PluginConfig {
        name: "follower".to_owned(),
        shipped: Some("hook-webhook".to_owned()),
        kind: "after-hook".to_owned(),
        settings: json!({ "follow_documents": true }),
        grants,
        actions: vec!["inventory:version:upload".to_owned()],
        ..PluginConfig::default()
    }
}

async fn following(sinks: &[&Sink]) -> Host {
    let plugin = follower(sinks);
    Host::builder().config(|it| it.plugins.push(plugin)).start().await
}

async fn register(host: &Host, namespace: &str, release: &Value) {
    let path = format!("{INVENTORY}/{namespace}/register");
    host.as_user("ana").post(&path, release).await.expect(200);
}

async fn upload(host: &Host, place: &str, version: &str) {
    let (namespace, unit) = place.split_once('/').unwrap();
    let path = format!("{INVENTORY}/{namespace}/units/{unit}/versions/v{version}/upload");
    host.as_user("ana").upload(&path, b"bytes").await.expect(200);
}

async fn release(host: &Host, place: &str, version: &str) {
    let (namespace, unit) = place.split_once('/').unwrap();
    register(host, namespace, &json!({ "name": unit, "version": version })).await;
    upload(host, place, version).await;
}

/// Gives a namespace (`wh`) or a unit (`wh/lib`) its hooks document.
async fn hooks(host: &Host, of: &str, document: &Value) {
    let path = of.replacen('/', "/units/", 1);
    host.put(&format!("{INVENTORY}/{path}/hooks/"), document).await.expect(201);
}

fn at<'a>(received: &'a [Received], path: &str) -> Vec<&'a Received> {
    received.iter().filter(|it| it.path == path).collect()
}

fn url(sink: &Sink, path: &str) -> String {
    format!("http://{}{path}", sink.address)
}

async fn notices(host: &Host) -> Queue {
    super::settled(host, NOTICES).await
}

#[tokio::test]
async fn the_web_hook_of_the_settings_is_told_as_escapes_is() {
    let sink = Sink::start(&[503]).await;
    let address = url(&sink, "/in?token=t");
    let host = Host::builder().config(|it| it.web_hook = address).start().await;
    release(&host, "wh/lib", "1.0").await;
    let told = sink.wait_for(2).await.remove(1);
    assert_eq!((told.path.as_str(), told.header("content-type")), ("/in?token=t", ""));
    assert_eq!(
        told.body,
        r#"{"event":"NEW_UPLOAD","project":"wh","project_hooks":{},"unit":"lib","unit_hooks":{},"downstream_hooks":[],"version":"v1.0","release":"wh/lib-v1.0","username":"ana"}"#
    );

    let slack = json!({ "slack": { "url": "https://slack.example.org/T0KEN" } });
    let build = json!({ "build": { "url": "https://build.example.org/" } });
    hooks(&host, "wh", &slack).await;
    hooks(&host, "wh/lib", &build).await;
    release(&host, "wh/lib", "1.1").await;
    let told = sink.wait_for(3).await.remove(2).json();
    assert_eq!((&told["project_hooks"], &told["unit_hooks"]), (&slack, &build));
    assert_eq!(told["version"], "v1.1");
}

#[tokio::test]
async fn a_web_hook_that_is_no_url_keeps_the_server_from_starting() {
    let builder = Host::builder().config(|it| it.web_hook = "ftp://example.org".to_owned());
    let error = builder.try_start().await.err().expect("it does not start");
    assert!(error.to_string().contains("it is no URL to post to"), "{error}");
}

#[tokio::test]
async fn the_urls_of_a_namespaces_and_a_units_documents_are_told() {
    let sink = Sink::start(&[]).await;
    let host = following(&[&sink]).await;
    register(&host, "wh", &json!({ "name": "lib", "version": "1.0" })).await;
    let slack = json!({ "url": url(&sink, "/slack"), "username": "ship", "icon_emoji": ":ship:" });
    hooks(&host, "wh", &json!({ "slack": slack, "events": { "url": url(&sink, "/all") } })).await;
    // Twice the same URL is told once; a unit's build is not for its own uploads.
    let unit = json!({
        "events": { "url": url(&sink, "/all") },
        "slack": { "url": url(&sink, "/slack2") },
        "build": { "url": url(&sink, "/build") },
    });
    hooks(&host, "wh/lib", &unit).await;
    upload(&host, "wh/lib", "1.0").await;

    assert_eq!(notices(&host).await, Queue::default());
    let received = sink.wait_for(3).await;
    let mut paths = received.iter().map(|it| it.path.as_str()).collect::<Vec<_>>();
    paths.sort_unstable();
    assert_eq!(paths, ["/all", "/slack", "/slack2"]);
    let slack = at(&received, "/slack")[0];
    let text = "New upload by ana: *wh/lib-v1.0*";
    let expected = json!({ "text": text, "username": "ship", "icon_emoji": ":ship:" });
    assert_eq!(slack.json(), expected);
    assert_eq!(slack.header("content-type"), "application/json");
    assert_eq!(at(&received, "/slack2")[0].json(), json!({ "text": text }));
    let event = at(&received, "/all")[0].json();
    assert_eq!(event["event"], "NEW_UPLOAD");
    assert_eq!((&event["release"], &event["size"]), (&json!("wh/lib-v1.0"), &json!(5)));
    assert!(!event.to_string().contains("slack"), "{event}");
}

#[tokio::test]
async fn a_url_that_fails_is_told_again_in_order_and_holds_up_no_other() {
    let (failing, well) = (Sink::start(&[]).await, Sink::start(&[]).await);
    failing.answer(503, "");
    let host = following(&[&failing, &well]).await;
    register(&host, "wh", &json!({ "name": "lib", "version": "1.0" })).await;
    hooks(&host, "wh", &json!({ "events": { "url": url(&failing, "/a") } })).await;
    hooks(&host, "wh/lib", &json!({ "events": { "url": url(&well, "/b") } })).await;
    upload(&host, "wh/lib", "1.0").await;
    release(&host, "wh/lib", "1.1").await;

    let versions = |received: &[Received]| {
        received.iter().map(|it| it.json()["version"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&well.wait_for(2).await), ["v1.0", "v1.1"]);
    let before = failing.wait_for(2).await;
    assert_eq!(before[0].header("x-chandlery-id"), before[1].header("x-chandlery-id"));
    assert_eq!(before[1].header("x-chandlery-attempt"), "2");

    // What was not delivered outlives the server.
    let host = host.restart().await;
    failing.answer(200, "");
    assert_eq!(notices(&host).await, Queue::default());
    let mut received = versions(&failing.wait_for(3).await);
    received.dedup();
    assert_eq!(received, ["v1.0", "v1.1"]);
    assert_eq!(well.wait_for(2).await.len(), 2);
}

#[tokio::test]
async fn a_url_of_the_machine_that_was_not_granted_is_never_reached_nor_tried_again() {
    let (private, granted) = (Sink::start(&[]).await, Sink::start(&[]).await);
    let host = following(&[&granted]).await;
    register(&host, "wh", &json!({ "name": "lib", "version": "1.0" })).await;
    let port = private.address.port();
    let document = json!({
        "events": { "url": format!("http://127.0.0.1:{port}/") },
        "slack": { "url": format!("http://localhost:{port}/T0KEN") },
    });
    hooks(&host, "wh", &document).await;
    let document = json!({
        "events": { "url": url(&granted, "/in") },
        "slack": { "url": "http://169.254.169.254/latest" },
    });
    hooks(&host, "wh/lib", &document).await;
    upload(&host, "wh/lib", "1.0").await;

    assert_eq!(notices(&host).await.dead, 3);
    let read = |view: &dyn chandlery::store::View| outbox::dead_letters(view, NOTICES, 10);
    for letter in host.app.store.read(read).await.unwrap() {
        assert!(letter.reason.contains("it is not granted"), "{}", letter.reason);
        assert!(!letter.reason.contains("T0KEN"), "{}", letter.reason);
        assert_eq!(letter.attempts, 1);
    }
    assert_eq!(granted.wait_for(1).await.len(), 1);
    assert_eq!(private.wait_for(0).await.len(), 0);
}

#[tokio::test]
async fn a_redirect_to_what_was_not_granted_is_given_up() {
    let (private, granted) = (Sink::start(&[]).await, Sink::start(&[]).await);
    let there = format!("\r\nlocation: http://{}/admin", private.address);
    granted.answer_with(307, &there);
    let host = following(&[&granted]).await;
    register(&host, "wh", &json!({ "name": "lib", "version": "1.0" })).await;
    hooks(&host, "wh", &json!({ "events": { "url": url(&granted, "/in") } })).await;
    upload(&host, "wh/lib", "1.0").await;
    assert_eq!(notices(&host).await.dead, 1);
    assert_eq!((granted.wait_for(1).await.len(), private.wait_for(0).await.len()), (1, 0));
}

#[tokio::test]
async fn units_that_depend_on_one_hear_of_its_uploads() {
    let sink = Sink::start(&[]).await;
    let plugin = follower(&[&sink]);
    let address = url(&sink, "/escape");
    let change = |it: &mut chandlery::config::Config| {
        it.plugins.push(plugin);
        it.web_hook = address;
    };
    let host = Host::builder().config(change).start().await;
    register(&host, "wh", &json!({ "name": "lib", "version": "1.0" })).await;
    let depends = json!([{ "release_id": "wh/lib-v1.0" }]);
    for (namespace, unit) in [("shop", "app"), ("shop", "cart"), ("wh", "silent")] {
        let release = json!({ "name": unit, "version": "1", "depends": depends });
        register(&host, namespace, &release).await;
    }
    // What no longer depends on it does not hear of it.
    register(&host, "shop", &json!({ "name": "cart", "version": "2" })).await;
    let document = json!({ "build": { "url": url(&sink, "/build") } });
    for unit in ["shop/app", "shop/cart"] {
        hooks(&host, unit, &document).await;
    }
    upload(&host, "wh/lib", "1.0").await;

    assert_eq!(notices(&host).await, Queue::default());
    let received = sink.wait_for(2).await;
    let told = at(&received, "/build");
    assert_eq!(told.len(), 1);
    let told = told[0].json();
    assert_eq!(told["release"], "wh/lib-v1.0");
    assert_eq!(told["downstream"], json!({ "project": "shop", "unit": "app" }));
    let told = at(&received, "/escape")[0].json();
    assert_eq!(told["downstream_hooks"], json!([document, {}]));
}

#[tokio::test]
async fn who_is_being_deleted_is_not_told() {
    let sink = Sink::start(&[]).await;
    let to = url(&sink, "/escape");
    let host = Host::builder().config(|it| it.web_hook = to).start().await;
    register(&host, "wh", &json!({ "name": "lib", "version": "1.0" })).await;
    let depends = json!([{ "release_id": "wh/lib-v1.0" }]);
    for namespace in ["large", "other"] {
        let release = json!({ "name": "zz", "version": "1", "depends": depends });
        register(&host, namespace, &release).await;
    }
    // More rows than go in the transaction that a deletion begins with.
    for version in 0..20 {
        let version = format!("{version}{}", ".0".repeat(120));
        register(&host, "large", &json!({ "name": "app", "version": version })).await;
    }
    let large = NamespaceName::parse("large").unwrap();
    let begin = move |change: &mut dyn Change| namespace_delete(change, &large);
    assert_eq!(host.app.store.write_unaudited(begin).await.unwrap(), Leaving::Begun);
    upload(&host, "wh/lib", "1.0").await;

    let told = at(&sink.wait_for(1).await, "/escape")[0].json();
    assert_eq!(told["downstream_hooks"], json!([{}]));
}
