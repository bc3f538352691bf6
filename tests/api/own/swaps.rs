//! Policies, hooks, renderers and deployers are swapped while requests go on, and the
//! server is killed between any two steps.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chandlery::{
    plugins::shipped::shipped,
    store::{View, audit},
};
use chandlery_tests::{
    DryRun, Host,
    dry_run::{app, install as release},
    guest,
};
use serde_json::{Value, json};

use super::{
    bindings::{at, spec, warning},
    plugins::{install, saying},
};

const SWAPS: usize = 6;
const CALLERS: usize = 3;

/// Components that do the same and are told apart by their digests.
fn variants(name: &str, component: &[u8]) -> [Vec<u8>; 2] {
    ["1.0.0", "2.0.0"]
        .map(|version| saying(component.to_vec(), &json!({ "name": name, "version": version })))
}

/// Installs both variants, puts the first to work, and gives their digests.
async fn bound(host: &Host, binding: &str, kind: &str, components: [Vec<u8>; 2]) -> Vec<String> {
    let mut digests = Vec::new();
    for (version, component) in ["1.0.0", "2.0.0"].iter().zip(&components) {
        let made = install(host, binding, version, component).await;
        assert!(made.status == 201, "{}", made.text());
        digests.push(made.json()["sha256"].as_str().unwrap().to_owned());
    }
    let mut wanted = spec(binding, "1.0.0", kind);
    wanted["order"] = json!(-1);
    wanted["grants"] = json!({ "clock": kind == "deployer" });
    let made = host.put(&at(binding), &wanted).await;
    assert!(made.status == 201, "{}", made.text());
    digests
}

/// Registers something, reads something and installs a release; gives what the hook said
/// and which plugins rendered and deployed.
async fn round(host: &Host, name: &str) -> (String, String, String) {
    let body = json!({ "name": name, "version": "1.0" });
    let registered = host.post("/api/v1/inventory/acme/register", &body).await.expect(200);
    let said: Vec<_> = registered.headers.get_all("warning").iter().collect();
    assert_eq!(said.len(), 1, "one set answers a request: {said:?}");
    let said = said[0].to_str().unwrap().split('"').nth(1).unwrap().to_owned();
    host.get(&format!("/api/v1/inventory/acme/units/{name}/")).await.expect(200);
    host.post("/api/package/install", &release(name, &[app("web", json!({}))])).await.expect(201);
    let overview = host.get(&format!("/api/v1/releases/{name}")).await.expect(200).json();
    let digest = |of: &str| overview["running"]["digests"][of].as_str().unwrap().to_owned();
    (said, digest("renderer"), digest("deployer"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_are_swapped_under_load_and_no_request_fails() {
    let host = Arc::new(DryRun::default().host().await);
    let of = |name: &str| shipped(name).unwrap().component;
    let policy = guest::policy("(i32.const 0)");
    let policies = bound(&host, "gate", "policy", variants("gate", &policy)).await;
    let says = ["one", "two"].map(warning);
    bound(&host, "tell", "before-hook", says).await;
    let mustache = variants("template-mustache", of("template-mustache"));
    let renderers = bound(&host, "template-mustache", "renderer", mustache).await;
    let dry_run = variants("deployer-dry-run", of("deployer-dry-run"));
    let deployers = bound(&host, "deployer-dry-run", "deployer", dry_run).await;
    let from = host.app.store.read(|view: &dyn View| audit::head(view)).await.unwrap().number;

    let over = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (host, over, rounds) = (host.clone(), over.clone(), rounds.clone());
            let (renderers, deployers) = (renderers.clone(), deployers.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for count in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let (said, rendered, deployed) =
                        round(&host, &format!("web-{caller}-{count}")).await;
                    assert!(["one", "two"].contains(&said.as_str()), "{said}");
                    assert!(renderers.contains(&rendered) && deployers.contains(&deployed));
                    seen.push(said);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
                seen
            })
        })
        .collect();
    for swap in 0..SWAPS {
        let version = ["2.0.0", "1.0.0"][swap % 2];
        for name in ["gate", "tell", "template-mustache", "deployer-dry-run"] {
            let body = json!({ "version": version }).to_string();
            let request = axum::http::Request::builder().method("PATCH").uri(at(name));
            let request = request.header("host", "localhost").body(body.into()).unwrap();
            let swapped = host.send(request).await.expect(200).json();
            assert_eq!(swapped["spec"]["version"], version);
        }
        // Whoever begins now is answered by what is in force now.
        let (said, rendered, deployed) = round(&host, &format!("after-{swap}")).await;
        let now = (swap + 1) % 2;
        assert_eq!(said, ["one", "two"][now]);
        assert_eq!((rendered, deployed), (renderers[now].clone(), deployers[now].clone()));
        let begun = rounds.load(Ordering::Relaxed);
        while rounds.load(Ordering::Relaxed) == begun && callers.iter().all(|it| !it.is_finished())
        {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for caller in callers {
        seen.extend(caller.await.unwrap());
    }
    assert!(seen.iter().any(|it| it == "one") && seen.iter().any(|it| it == "two"), "{seen:?}");

    let entries = move |view: &dyn View| audit::entries(view, from + 1, 10_000);
    let entries = host.app.store.read(entries).await.unwrap();
    let asked: Vec<_> = entries.iter().filter(|it| it.action == "release:install").collect();
    assert!(!asked.is_empty());
    for entry in asked.iter().filter(|it| !it.policy_digest.is_empty()) {
        assert!(policies.contains(&entry.policy_digest), "{entry:?}");
    }
}

#[tokio::test]
async fn an_after_hook_that_is_swapped_hears_of_everything() {
    let host = Host::start().await;
    let listening = guest::listening_hook().component.to_vec();
    bound(&host, "ears", "after-hook", variants("ears", &listening)).await;
    for count in 0..6 {
        let body = json!({ "name": "web", "version": format!("1.{count}") });
        host.post("/api/v1/inventory/acme/register", &body).await.expect(200);
        let version = ["2.0.0", "1.0.0"][count % 2];
        let mut wanted = spec("ears", version, "after-hook");
        wanted["order"] = json!(count);
        host.put(&at("ears"), &wanted).await.expect(200);
    }
    let begun = Instant::now();
    loop {
        let queues = host.app.store.read(chandlery::store::outbox::queues).await.unwrap();
        let queue = queues.into_iter().find(|it| it.0 == "ears").map(|it| it.1);
        assert_eq!(queue.as_ref().map_or(0, |it| it.dead), 0);
        if queue.is_none_or(|it| it.waiting == 0) {
            break;
        }
        assert!(begun.elapsed() < chandlery_tests::PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client of the real program.
async fn call(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Option<(u16, Value)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_leaves_nothing_half() {
    let program = chandlery_tests::program!();
    let components = ["one", "two"].map(warning);
    let mut version = 0u32;
    let mut current: Option<String> = None;
    for kill in 0..5u32 {
        let server = program.serve(&[]);
        let address = server.address;
        // What was acknowledged is there, and what is there is whole.
        let (status, shown) = call(address, "GET", &at("tell"), b"").await.unwrap();
        if let Some(current) = &current {
            assert_eq!(status, 200);
            let at_least = |it: &str| it.parse::<u32>().unwrap();
            let found = shown["spec"]["version"].as_str().unwrap();
            let minor = |it: &str| at_least(it.split('.').nth(1).unwrap());
            assert!(minor(found) >= minor(current), "{found} after {current}");
            assert_eq!(shown["state"], "in-force", "{shown}");
            let path = format!("/api/v1/plugins/tell/{found}");
            let (status, plugin) = call(address, "GET", &path, b"").await.unwrap();
            assert_eq!((status, &plugin["uses"][0]["binding"]), (200, &json!("tell")), "{plugin}");
            let body = json!({ "name": "web", "version": format!("1.{kill}") }).to_string();
            let path = "/api/v1/inventory/acme/register";
            assert_eq!(call(address, "POST", path, body.as_bytes()).await.unwrap().0, 200);
        }
        let acknowledged = Arc::new(AtomicU64::new(0));
        let seen = acknowledged.clone();
        let killing = tokio::spawn(async move {
            while seen.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(u64::from(kill) * 17)).await;
            tokio::task::spawn_blocking(move || server.kill()).await.unwrap();
        });
        loop {
            version += 1;
            let component = &components[version as usize % 2];
            let named = format!("1.{version}.0");
            let path = format!("/api/v1/plugins?name=tell&version={named}");
            let Some((installed, why)) = call(address, "POST", &path, component).await else {
                break;
            };
            assert_eq!(installed, 201, "{why}");
            let wanted = spec("tell", &named, "before-hook").to_string();
            let Some((bound, why)) = call(address, "PUT", &at("tell"), wanted.as_bytes()).await
            else {
                break;
            };
            assert!(bound == 200 || bound == 201, "{why}");
            current = Some(named);
            acknowledged.fetch_add(1, Ordering::Relaxed);
            if version.is_multiple_of(2) {
                // Keeps the number of versions down.
                let old = format!("/api/v1/plugins/tell/1.{}.0", version.saturating_sub(4));
                let _ = call(address, "DELETE", &old, b"").await;
            }
        }
        killing.await.unwrap();
    }
    let server = program.serve(&[]);
    let (status, _) = call(server.address, "GET", &at("tell"), b"").await.unwrap();
    assert_eq!(status, 200);
    assert!(server.stop().success());
}
