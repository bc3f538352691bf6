use chandlery::{
    capabilities::{Grants, http, secrets},
    config::PluginConfig,
    store::outbox::{self, Queue},
};
use chandlery_tests::{
    Host, HostBuilder,
    dry_run::{app, install, upload},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::sink::{Received, Sink};

const KEY: &[u8] = b"a key that only this test and its receiver know";
const INVENTORY: &str = "/api/v1/inventory";

/// The shipped plugin under that name, and the file that its key is in.
struct Webhook {
    plugin: PluginConfig,
    _key: tempfile::NamedTempFile,
}

fn webhook(name: &str, kind: &str, sink: &Sink, settings: Value) -> Webhook {
    let key = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(key.path(), KEY).expect("it can be written");
    let grants = Grants {
        http: Some(http::Grant {
            origins: vec![format!("http://{}", sink.address)],
            private: vec!["127.0.0.0/8".to_owned()],
            ..http::Grant::default()
        }),
        secrets: Some(secrets::Grant {
            reveal: vec!["key".to_owned()],
            ..secrets::Grant::default()
        }),
        clock: true,
        ..Grants::default()
    };
    let plugin = PluginConfig {
        name: name.to_owned(),
        shipped: Some("hook-webhook".to_owned()),
        kind: kind.to_owned(),
        settings,
        grants,
        secrets: [("key".to_owned(), format!("file:{}", key.path().display()))].into(),
        actions: vec!["*".to_owned()],
        ..PluginConfig::default()
    };
    Webhook { plugin, _key: key }
}

/// The shipped plugin, told of registers.
fn teller(sink: &Sink) -> Webhook {
    let url = format!("http://{}/told", sink.address);
    let events = ["inventory:version:register"];
    let urls = json!([{ "url": url, "events": events, "secret": "key" }]);
    webhook("teller", "after-hook", sink, json!({ "urls": urls }))
}

fn host(webhook: &Webhook) -> HostBuilder {
    let plugin = webhook.plugin.clone();
    Host::builder().config(|it| it.plugins.push(plugin))
}

async fn register(host: &Host, version: &str) -> chandlery_tests::Answer {
    let release = json!({ "name": "web", "version": version, "project": "acme" });
    host.as_user("ana").post(&format!("{INVENTORY}/acme/register"), &release).await
}

/// Waits until nothing waits for the hook any more.
async fn settled(host: &Host) -> Queue {
    super::settled(host, "teller").await
}

/// Checks the signature as a receiver would, with an HMAC of its own.
#[track_caller]
fn check_signature(received: &Received) {
    let signature = received.header("x-chandlery-signature");
    let (seconds, code) = signature
        .strip_prefix("t=")
        .and_then(|it| it.split_once(",v1="))
        .unwrap_or_else(|| panic!("`{signature}` is a signature"));
    let mut key = KEY.to_vec();
    key.resize(64, 0);
    let pad = |with: u8| key.iter().map(|it| it ^ with).collect::<Vec<_>>();
    let text = format!("{seconds}.{}", received.body);
    let inner = Sha256::digest([&pad(0x36), text.as_bytes()].concat());
    let outer = Sha256::digest([&pad(0x5c), &inner[..]].concat());
    let expected = outer.iter().map(|it| format!("{it:02x}")).collect::<String>();
    assert_eq!(code, expected);
}

#[tokio::test]
async fn a_url_is_told_of_what_did_not_work_in_order() {
    let sink = Sink::start(&[]).await;
    let url = format!("http://{}/told", sink.address);
    let urls = json!([{ "url": url, "events": ["release:*"] }]);
    let webhook = webhook("teller", "after-hook", &sink, json!({ "urls": urls }));
    let host = host(&webhook).config(|config| {
        let rehearsal = [("default".to_owned(), json!({}))].into();
        config.platforms.insert("dry-run".to_owned(), rehearsal);
    });
    let host = host.start().await;
    host.post("/api/package/upload", &upload("1.0.0")).await.expect(201);
    let install = |told: Value| install("mine", &[app("web", told)]);
    let bad = install(json!({ "deploy.fails": "permanent", "deploy.message": "no room" }));
    let ana = host.as_user("ana");
    ana.post("/api/package/install", &bad).await.expect(409);
    ana.post("/api/package/install", &install(json!({ "scale.fails": "permanent" })))
        .await
        .expect(201);
    let scale = json!({ "scale": [{ "name": "web", "count": 2 }] });
    ana.post("/api/release/scale/mine", &scale).await.expect(409);

    let told = sink.wait_for(3).await;
    let told: Vec<Value> = told.iter().map(Received::json).collect();
    let of = |it: &Value| (it["action"].as_str().unwrap().to_owned(), it["failure"].is_string());
    assert_eq!(
        told.iter().map(of).collect::<Vec<_>>(),
        [
            ("release:install".to_owned(), true),
            ("release:install".to_owned(), false),
            ("release:scale".to_owned(), true),
        ]
    );
    assert!(told[0]["failure"].as_str().unwrap().contains("no room"), "{}", told[0]);
    assert_eq!(told[0]["object"], Value::Null, "there never was such a release");
    assert_eq!(told[0]["target"]["name"], "mine");
    assert_eq!(told[1]["object"]["name"], "mine");
    assert_eq!(settled(&host).await, Queue::default());
}

#[tokio::test]
async fn a_url_is_told_of_a_register() {
    let sink = Sink::start(&[]).await;
    let webhook = teller(&sink);
    let host = host(&webhook).start().await;
    register(&host, "1.0").await.expect(200);

    let received = sink.wait_for(1).await.remove(0);
    check_signature(&received);
    let event = received.json();
    assert_eq!(event["action"], "inventory:version:register");
    assert_eq!(event["actor"]["id"], "user:ana");
    assert_eq!(event["target"]["namespace"], "acme");
    assert_eq!(event["target"]["name"], "web");
    assert_eq!(event["object"]["version"], "1.0");
    assert_eq!(event["id"], received.header("x-chandlery-id"));
    assert_eq!(received.header("x-chandlery-attempt"), "1");
    assert_eq!(settled(&host).await, Queue::default());
}

#[tokio::test]
async fn a_url_that_fails_is_told_again_with_the_same_id() {
    let sink = Sink::start(&[500, 503]).await;
    let webhook = teller(&sink);
    let host = host(&webhook).start().await;
    register(&host, "1.0").await.expect(200);

    let received = sink.wait_for(3).await;
    let of = |name: &str| received.iter().map(|it| it.header(name)).collect::<Vec<_>>();
    assert_eq!(of("x-chandlery-attempt"), ["1", "2", "3"]);
    let ids = of("x-chandlery-id");
    assert_eq!(ids, [ids[0]; 3]);
    assert!(received.iter().all(|it| it.body == received[0].body));
    received.iter().for_each(check_signature);
    assert_eq!(settled(&host).await, Queue::default());
}

#[tokio::test]
async fn events_of_a_unit_come_in_their_order_whatever_fails() {
    let sink = Sink::start(&[500, 500]).await;
    let webhook = teller(&sink);
    let host = host(&webhook).start().await;
    for version in ["1.0", "1.1", "1.2"] {
        register(&host, version).await.expect(200);
    }
    let received = sink.wait_for(5).await;
    let versions = received.iter().map(|it| it.json()["object"]["version"].clone());
    assert_eq!(versions.collect::<Vec<_>>(), ["1.0", "1.0", "1.0", "1.1", "1.2"]);
}

#[tokio::test]
async fn what_a_url_refuses_for_good_is_kept_as_a_dead_letter() {
    let sink = Sink::start(&[410]).await;
    let webhook = teller(&sink);
    let host = host(&webhook).start().await;
    register(&host, "1.0").await.expect(200);
    register(&host, "1.1").await.expect(200);

    assert_eq!(sink.wait_for(2).await[1].json()["object"]["version"], "1.1");
    assert_eq!(settled(&host).await.dead, 1);
    let read = |view: &dyn chandlery::store::View| outbox::dead_letters(view, "teller", 10);
    let letters = host.app.store.read(read).await.unwrap();
    assert_eq!(letters[0].reason, format!("`http://{}` answered 410", sink.address));
    assert_eq!(letters[0].event.object.as_ref().unwrap()["version"], "1.0");
}

#[tokio::test]
async fn what_was_not_delivered_is_delivered_after_a_restart() {
    let sink = Sink::start(&[]).await;
    sink.answer(503, "");
    let webhook = teller(&sink);
    let host = host(&webhook).start().await;
    register(&host, "1.0").await.expect(200);
    let before = sink.wait_for(1).await.remove(0);

    let host = host.restart().await;
    sink.answer(200, "");
    assert_eq!(settled(&host).await, Queue::default());
    let received = sink.wait_for(2).await;
    let after = received.last().unwrap();
    assert_eq!(after.header("x-chandlery-id"), before.header("x-chandlery-id"));
    assert_eq!(after.body, before.body);
    check_signature(after);
}

#[tokio::test]
async fn a_url_that_is_asked_before_can_refuse_and_nothing_is_kept() {
    let sink = Sink::start(&[]).await;
    sink.answer(200, r#"{"allow": false, "code": "freeze", "message": "no releases on a Friday"}"#);
    let asked = json!([{ "url": format!("http://{}/ask", sink.address), "secret": "key" }]);
    let webhook = webhook("asker", "before-hook", &sink, json!({ "before": asked }));
    let host = host(&webhook).start().await;

    let answer = register(&host, "1.0").await.expect(400);
    assert_eq!(answer.text(), "no releases on a Friday");
    let received = sink.wait_for(1).await.remove(0);
    check_signature(&received);
    assert_eq!(received.json()["object"]["version"], "1.0");
    sink.answer(200, r#"{"allow": true}"#);
    host.get(&format!("{INVENTORY}/acme/")).await.expect(404);

    register(&host, "1.0").await.expect(200);
    host.get(&format!("{INVENTORY}/acme/units/web/versions/v1.0/")).await.expect(200);
}

#[tokio::test]
async fn settings_that_the_plugin_refuses_keep_the_server_from_starting() {
    let sink = Sink::start(&[]).await;
    let settings = json!({ "urls": [{ "url": "ftp://example.org" }] });
    let webhook = webhook("teller", "after-hook", &sink, settings);
    let error = host(&webhook).try_start().await.err().expect("it does not start");
    let message = format!("{error:?}");
    assert!(message.contains("/urls/0/url"), "{message}");
}
