//! Everything that changes packages, releases or what runs of them asks the policy and the
//! before-hooks, and tells the after-hooks.
//!
//! **Whoever adds a route that changes something adds a row to the table here**: a
//! test holds it against the routes that the server says it has.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::http::{Method, Request};
use chandlery::{
    capabilities::{Grants, http},
    config::{Config, RepositoryConfig},
    plugins::{Binding, Kind},
    store::{View, operations, outbox, packages},
};
use chandlery_tests::{
    Answer, DryRun, Host,
    dry_run::{install, upgrade, values},
    guest,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    FILES, UPLOAD,
    install::until,
    upgrade::{INSTALL, UPGRADE, never, plain, versioned},
    upload_of, zip,
};

/// Where these routes lie; the inventory's have a table of their own.
const ROOTS: [&str; 4] =
    ["/api/package", "/api/release", "/api/v1/releases", "/api/v1/repositories"];
/// A POST that changes nothing.
const PLAN: &str = "/api/v1/releases/{name}/plan";

/// One change, and what is told of it.
struct Change {
    /// The actions that are asked for, each of which may be refused.
    actions: &'static [&'static str],
    told: &'static [(&'static str, &'static str)],
    method: Method,
    path: String,
    body: Value,
    /// What must be done before it can be made.
    before: Option<(Method, String, Value)>,
}

impl Change {
    fn of(method: Method, path: &str, body: Value) -> Change {
        Change { actions: &[], told: &[], method, path: path.to_owned(), body, before: None }
    }

    fn post(path: &str, body: Value) -> Change {
        Change::of(Method::POST, path, body)
    }

    fn delete(path: &str) -> Change {
        Change::of(Method::DELETE, path, Value::Null)
    }

    fn asks(self, actions: &'static [&'static str]) -> Change {
        Change { actions, ..self }
    }

    fn tells(self, told: &'static [(&'static str, &'static str)]) -> Change {
        Change { told, ..self }
    }

    fn after(self, method: Method, path: &str, body: Value) -> Change {
        Change { before: Some((method, path.to_owned(), body)), ..self }
    }
}

/// A server on which nothing runs, and what is needed to change all that it has.
struct Stage {
    host: Host,
    run: DryRun,
    port: u16,
    /// How often an application was asked something.
    asked: Arc<AtomicUsize>,
    far: TempDir,
}

impl Stage {
    async fn new() -> Stage {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n";
                let _ = stream.write_all(format!("{head}\r\nok").as_bytes());
            }
        });
        let far = tempfile::tempdir().unwrap();
        fs::write(far.path().join("index.yml"), "name: early\nversion: 1.0.0\n").unwrap();
        let url = format!("file:{}", far.path().display());
        let repository = RepositoryConfig { url, ..RepositoryConfig::default() };
        let url = format!("http://127.0.0.1:{port}");
        let run = DryRun { account: json!({ "attributes": { "url": url } }), ..DryRun::default() };
        let configure =
            |it: &mut Config| drop(it.repositories.insert("far".to_owned(), repository));
        let host = run.host_set(plugins(&run, port), configure).await;
        let read = async || host.app.store.read(|it| packages::newest(it, "early")).await.unwrap();
        until("the index is read", async || read().await.is_some()).await;
        fs::write(far.path().join("index.yml"), "name: late\nversion: 1.0.0\n").unwrap();
        Stage { host, run, port, asked, far }
    }

    /// Changes that all go well in this order, one for each route.
    async fn changes(&self) -> Vec<Change> {
        let _ = &self.far;
        let found = "/api/packageMetadata/search/findByName?name=apps";
        let found = self.host.get(found).await.expect(200).json();
        let own = found["_embedded"]["packageMetadata"][0]["_links"]["self"]["href"].clone();
        let id = own.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let of_b = install("b", &[plain("web")])["installProperties"].clone();
        let order = json!({ "package": { "name": "apps" }, "values": values(&[plain("web")]),
            "platform": "default" });
        let scale = json!({ "scale": [{ "name": "web", "count": 2 }] });
        let posted = json!({ "endpoint": "loggers", "body": { "a": 1 } });
        let second = upgrade("a", &[versioned("web", "2", json!({}))]);
        let stuck = upgrade("a", &[never("web")]);
        vec![
            Change::post(UPLOAD, upload_of(&zip(&FILES)))
                .asks(&["package:upload"])
                .tells(&[("package:upload", "package//log/1.0.0")]),
            Change::post(INSTALL, install("a", &[plain("web")]))
                .asks(&["release:install"])
                .tells(&[("release:install", "release//a")]),
            Change::post(&format!("/api/package/install/{id}"), of_b)
                .asks(&["release:install"])
                .tells(&[("release:install", "release//b")]),
            Change::post(UPGRADE, second)
                .asks(&["release:upgrade"])
                .tells(&[("release:upgrade", "release//a/2")]),
            Change::post("/api/release/scale/a", scale)
                .asks(&["release:scale"])
                .tells(&[("release:scale", "release//a/2")]),
            Change::post("/api/release/rollback", json!({ "releaseName": "a", "version": 1 }))
                .asks(&["release:rollback"])
                .tells(&[("release:rollback", "release//a/3")]),
            Change::post("/api/release/rollback/a/2", Value::Null)
                .asks(&["release:rollback"])
                .tells(&[("release:rollback", "release//a/4")]),
            Change::post("/api/release/cancel", json!({ "releaseName": "a" }))
                .after(Method::POST, UPGRADE, stuck)
                .asks(&["release:cancel"])
                .tells(&[("release:cancel", "release//a"), ("release:upgrade", "release//a/5")]),
            Change::post("/api/release/actuator/b/b.web-v1/b.web-v1-0", posted)
                .asks(&["release:actuate"])
                .tells(&[("release:actuate", "release//b")]),
            Change::post("/api/v1/releases/c/apply", order)
                .asks(&["release:install"])
                .tells(&[("release:install", "release//c")]),
            Change::delete("/api/release/c")
                .asks(&["release:delete"])
                .tells(&[("release:delete", "release//c/1")]),
            Change::delete("/api/release/b/package")
                .after(Method::DELETE, "/api/release/a", Value::Null)
                .asks(&["release:delete", "package:delete"])
                .tells(&[("package:delete", "package//apps"), ("release:delete", "release//b/1")]),
            Change::delete("/api/package/log")
                .asks(&["package:delete"])
                .tells(&[("package:delete", "package//log")]),
            Change::post("/api/v1/repositories/far/refresh", Value::Null)
                .asks(&["repository:refresh"])
                .tells(&[("repository:refresh", "repository//far")]),
        ]
    }

    /// Puts these plugins to work beside those that a release needs.
    async fn put(&self, policy: Binding, more: Vec<Binding>) {
        let mut all = plugins(&self.run, self.port);
        all[0] = policy;
        all.extend(more);
        for binding in &mut all {
            // Time enough on a machine that is busy with other tests.
            binding.limits.guest_ms = Some(5_000);
        }
        self.host.app.plugins.swap(self.host.app.plugins.build(all).await.unwrap());
    }

    async fn send(&self, method: &Method, path: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.host.send(request.body(text.into()).unwrap()).await
    }

    /// Does what a change needs, while nobody objects.
    async fn prepare(&self, change: &Change) {
        let Some((method, path, body)) = &change.before else { return };
        self.put(guest::allow_all(), Vec::new()).await;
        let answer = self.send(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
    }

    /// Makes a change that nobody objects to, and waits for what comes of it.
    async fn make(&self, change: &Change) {
        let answer = self.send(&change.method, &change.path, &change.body).await;
        assert!(answer.status < 300, "{} {}: {}", change.method, change.path, answer.text());
        until("settled", async || self.open().await == 0).await;
    }

    async fn open(&self) -> usize {
        let read = self.host.app.store.read(|view| operations::open(view, "", 10));
        read.await.unwrap().len()
    }

    /// What there is, as clients see it, but for what platforms say in their own time.
    async fn picture(&self) -> Value {
        let get = async |path: &str| self.host.get(path).await.expect(200).json();
        let mut releases = get("/api/releases?size=1000").await["_embedded"].clone();
        for it in releases["releases"].as_array_mut().unwrap() {
            it["info"]["status"]["platformStatus"] = Value::Null;
        }
        let status = get("/api/release/statuses?names=a,b,c").await;
        let instances = ["a", "b", "c"].map(|name| {
            let text = status[name]["status"]["platformStatus"].as_str().unwrap_or("[]");
            let apps: Value = serde_json::from_str(text).unwrap();
            let apps = apps.as_array().unwrap().iter();
            apps.map(|it| it["instances"].as_object().unwrap().len()).sum::<usize>()
        });
        json!({
            "releases": releases,
            "packages": get("/api/packageMetadata?size=1000").await["_embedded"],
            "instances": instances,
            "open": self.open().await,
            "asked": self.asked.load(Ordering::SeqCst),
        })
    }

    /// What a hook to which nothing can be told has been told.
    async fn heard(&self, hook: &str) -> Vec<(String, String)> {
        let mut heard = Vec::new();
        loop {
            let (name, wanted) = (hook.to_owned(), all_due());
            let read = move |view: &dyn View| outbox::due(view, &name, &wanted);
            let due = self.host.app.store.read(read).await.unwrap();
            if due.is_empty() {
                heard.sort();
                return heard;
            }
            heard.extend(due.iter().map(|it| (it.event.action.clone(), about(&it.event))));
            let taken = due.into_iter().map(|it| (it, outbox::Fate::Delivered)).collect();
            let name = hook.to_owned();
            let settle = move |change: &mut dyn chandlery::store::Change| {
                outbox::settle(change, &name, taken, 0)
            };
            self.host.app.store.write_unaudited(settle).await.unwrap();
        }
    }
}

fn plugins(run: &DryRun, port: u16) -> Vec<Binding> {
    let mut all = run.bindings();
    let grant = http::Grant {
        origins: vec![format!("http://127.0.0.1:{port}")],
        private: vec!["127.0.0.0/8".to_owned()],
        ..http::Grant::default()
    };
    let deployer = all.iter_mut().find(|it| it.name == "deployer-dry-run").unwrap();
    deployer.grants = Grants { http: Some(grant), ..deployer.grants.clone() };
    all
}

fn all_due() -> outbox::Due {
    outbox::Due {
        now: u64::MAX / 2,
        busy: Default::default(),
        only_fresh: false,
        limit: 10,
        bytes_max: u64::MAX,
    }
}

/// What an event is about.
fn about(event: &outbox::Event) -> String {
    let it = &event.target;
    let version = it.version.as_deref().unwrap_or_default();
    let whole = format!("{}/{}/{}/{version}", it.kind, it.namespace, it.name);
    whole.trim_end_matches('/').to_owned()
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

/// Whether a path is one of a route's.
fn fits(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len()
        && route.iter().zip(path).all(|(of, it)| it == *of || of.starts_with('{'))
}

#[tokio::test]
async fn every_route_that_changes_something_is_in_the_table() {
    let stage = Stage::new().await;
    let changes = stage.changes().await;
    let document = stage.host.get("/api/v1/openapi.json").await.expect(200).json();
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let is_ours = ROOTS.iter().any(|root| path.starts_with(root));
        let is_skippers = path.starts_with("/api/") && !path.starts_with("/api/v1/");
        if !(is_ours || is_skippers) || path == PLAN {
            continue;
        }
        for method in ["post", "put", "delete", "patch"] {
            if methods.get(method).is_none() {
                continue;
            }
            routes += 1;
            let is_this = |it: &&Change| it.method.as_str().to_lowercase() == method;
            let found = changes.iter().filter(is_this).any(|it| fits(path, &it.path));
            assert!(found, "no change is made by `{method} {path}`");
        }
    }
    assert_eq!(routes, changes.len());
    assert!(changes.iter().all(|it| !it.actions.is_empty() && !it.told.is_empty()));
}

#[tokio::test]
async fn what_the_policy_denies_is_not_done() {
    let stage = Stage::new().await;
    for change in &stage.changes().await {
        let place = format!("{} {}", change.method, change.path);
        stage.prepare(change).await;
        let before = stage.picture().await;
        for action in change.actions {
            stage.put(guest::deny_action(action), Vec::new()).await;
            let answer = stage.send(&change.method, &change.path, &change.body).await;
            let answer = answer.expect(403);
            assert!(answer.text().contains("not that"), "{place}: {}", answer.text());
            stage.put(guest::allow_all(), Vec::new()).await;
            assert_eq!(stage.picture().await, before, "{place}");
        }
        stage.make(change).await;
        assert_ne!(stage.picture().await, before, "{place} leaves no mark");
    }
}

#[tokio::test]
async fn what_a_before_hook_refuses_is_neither_done_nor_told() {
    let stage = Stage::new().await;
    for change in &stage.changes().await {
        let place = format!("{} {}", change.method, change.path);
        stage.prepare(change).await;
        let before = stage.picture().await;
        for action in change.actions {
            let refusing = only(action, guest::refusing_hook());
            stage.put(guest::allow_all(), vec![refusing, deaf("deaf")]).await;
            let answer = stage.send(&change.method, &change.path, &change.body).await;
            assert!([400, 409].contains(&answer.status), "{place}: {}", answer.text());
            assert!(answer.text().contains("too much"), "{place}: {}", answer.text());
            assert_eq!(stage.heard("deaf").await, [], "{place}");
            stage.put(guest::allow_all(), Vec::new()).await;
            assert_eq!(stage.picture().await, before, "{place}");
        }
        stage.make(change).await;
    }
}

#[tokio::test]
async fn what_is_done_is_told_once() {
    let stage = Stage::new().await;
    for (at, change) in stage.changes().await.iter().enumerate() {
        let hook = format!("deaf-{at}");
        stage.prepare(change).await;
        stage.put(guest::allow_all(), vec![deaf(&hook)]).await;
        stage.make(change).await;
        let heard = stage.heard(&hook).await;
        let heard: Vec<_> = heard.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
        assert_eq!(heard, change.told, "{} {}", change.method, change.path);
    }
}
