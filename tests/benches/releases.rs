//! What packages and releases cost: start, install, render, plan, status and lists, over
//! an empty store and over one with many releases.
//!
//! All of them are on `deployer-dry-run`, which runs nothing: what is measured is the
//! server. The aims are of the issue that completed packages and releases; absolute
//! figures depend on the machine and on its disk, which each step of an install waits
//! for. Run with `cargo bench -p chandlery-tests --bench releases`.
//!
//! `CHANDLERY_BENCH_INSTALLED` says how many releases there are (10,000 where it is not
//! set), and `CHANDLERY_BENCH_DATA` names a folder that keeps the loaded store for the
//! next run.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use axum::{
    body::Body,
    http::{Request, header},
};
use chandlery::{
    api::Api,
    app,
    config::Config,
    release::{
        model::{Package, PackageMetadata, Template},
        render::{self, Facts},
    },
};
use chandlery_tests::{
    Answer, Connection, DryRun, Host, Program, Running,
    dry_run::{self, VERSIONS, app as application, install, upload},
    program,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

/// As many installs at once as the server lets in.
const CLIENTS: usize = 16;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
const STARTS: usize = 7;

/// A package with a template for each of its applications.
const MANY: &str = "ten";
const APPLICATIONS: usize = 10;
/// What is planned: an upgrade of this release.
const PLANNED: &str = "planned";

/// One of its templates, of the application `APP`.
const TEMPLATE: &str = "apiVersion: v1
kind: SpringCloudDeployerApplication
metadata:
  name: APP
spec:
  resource: '{{{apps.APP.resource}}}'
  version: '{{apps.APP.version}}'
  applicationProperties:
    server.port: '{{port}}'
{{#apps.APP.properties.entrySet}}
    '{{{key}}}': '{{{value}}}'
{{/apps.APP.properties.entrySet}}
  deploymentProperties:
    spring.cloud.deployer.memory: '{{memory}}'
";

/// What the plugin `deployer-dry-run` is in force with.
const SETTINGS: &str = "[platforms.dry-run.default]\n";

/// A server over a store with so many releases.
struct Subject {
    releases: usize,
    program: Program,
    server: Option<Running>,
    /// What no earlier run over the same store has used in a name.
    run: u64,
}

/// A read: its name, how often it is put in a round, and its path for the n-th time.
struct Question {
    name: &'static str,
    times: usize,
    path: fn(&Subject, usize) -> String,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async { tokio::spawn(run()).await.expect("no panic") });
}

async fn run() {
    renders().await;
    let installed = std::env::var("CHANDLERY_BENCH_INSTALLED").unwrap_or_else(|_| "10000".into());
    let installed = installed.parse().expect("it is a number");
    let mut subjects = Vec::new();
    for releases in [0, installed] {
        subjects.push(Subject::load(releases).await);
    }
    let heads: String = subjects.iter().map(|it| format!("{:>11} releases", it.releases)).collect();
    println!("{:<40}{heads}", "milliseconds: median, p99");
    starts(&mut subjects).await;
    questions(&subjects).await;
    installs(&subjects).await;
}

/// From the program's start until it says that it is ready.
async fn starts(subjects: &mut [Subject]) {
    for (name, signal) in [("start after a stop", "TERM"), ("start after a kill", "KILL")] {
        let mut taken: Vec<Vec<Duration>> = subjects.iter().map(|_| Vec::new()).collect();
        for _ in 0..STARTS {
            for (subject, taken) in subjects.iter_mut().zip(&mut taken) {
                taken.push(subject.start_after(signal).await);
            }
        }
        print(name, taken, "under 250 to ready");
    }
}

/// Reads and plans, put to the servers in turns.
async fn questions(subjects: &[Subject]) {
    let questions = [
        Question {
            name: "status",
            times: 400,
            path: |it, n| format!("/api/release/status/{}", it.some_release(n)),
        },
        Question { name: "page of 20 releases", times: 100, path: |it, n| it.page(n, 20) },
        Question { name: "page of 1,000 releases", times: 10, path: |it, n| it.page(n, 1000) },
        Question {
            name: "list of all releases",
            times: 1,
            path: |_, _| "/api/release/list".to_owned(),
        },
    ];
    for Question { name, times, path } in questions {
        let mut taken: Vec<Vec<Duration>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS {
            for (subject, taken) in subjects.iter().zip(&mut taken) {
                let mut connection = subject.connect().await;
                for n in 0..times {
                    let path = path(subject, round * times + n);
                    let began = Instant::now();
                    let (status, body) = connection.get(&path).await;
                    taken.push(began.elapsed());
                    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
                }
            }
        }
        print(name, taken, "");
    }
    plans(subjects).await;
}

/// What an upgrade would do that changes every application.
async fn plans(subjects: &[Subject]) {
    const TIMES: usize = 100;
    let path = format!("/api/v1/releases/{PLANNED}/plan");
    let mut taken: Vec<Vec<Duration>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (subject, taken) in subjects.iter().zip(&mut taken) {
            let mut connection = subject.connect().await;
            for n in 0..TIMES {
                let values = ten_values(&format!("2.{round}.{n}"));
                let order = json!({ "package": { "name": MANY }, "values": values }).to_string();
                let began = Instant::now();
                let (status, body) = connection.post(&path, &order).await;
                taken.push(began.elapsed());
                let plan: Value = serde_json::from_slice(&body).unwrap_or_default();
                let starts = plan["starts"].as_array().map(Vec::len);
                assert_eq!((status, starts), (200, Some(APPLICATIONS)), "{plan}");
            }
        }
    }
    print("plan of ten applications", taken, "p99 at most 20");
}

async fn installs(subjects: &[Subject]) {
    let mut alone: Vec<Vec<Duration>> = subjects.iter().map(|_| Vec::new()).collect();
    let mut together: Vec<Vec<Duration>> = alone.clone();
    let mut rates: Vec<Vec<f64>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (index, subject) in subjects.iter().enumerate() {
            let (times, _) = subject.installs(1, &format!("one-{round}")).await;
            alone[index].extend(times);
            let (times, rate) = subject.installs(CLIENTS, &format!("many-{round}")).await;
            together[index].extend(times);
            rates[index].push(rate);
        }
    }
    print("install, 1 client", alone, "median at most 10");
    print(&format!("install, {CLIENTS} clients"), together, "");
    let rates: String = rates.into_iter().map(|it| format!("{:>20.0}", middle(it))).collect();
    println!(
        "{:<40}{rates}   (aim: at least 300)",
        format!("installs a second, {CLIENTS} clients")
    );
}

/// The values merged and ten templates rendered, in this process.
async fn renders() {
    const TIMES: usize = 2_000;
    let host = Host::with(DryRun::default().bindings()).await;
    let plugins = host.app.plugins.set();
    let package = ten();
    let facts = Facts { release: "mine".into(), revision: 3, platform: "default".into() };
    let mut taken = [Vec::new(), Vec::new()];
    for n in 0..TIMES {
        let values = ten_values(&format!("1.0.{n}"));
        let began = Instant::now();
        let model = render::model(&package, Some(&values)).await.expect("the values are YAML");
        let merged = began.elapsed();
        let text = render::manifest(&plugins, &package, &model, &facts).await;
        taken[1].push(began.elapsed() - merged);
        taken[0].push(began.elapsed());
        let text = text.expect("the templates are right");
        assert_eq!(text.matches("kind: SpringCloudDeployerApplication").count(), APPLICATIONS);
    }
    let [whole, alone] = taken;
    print("ten templates, values merged", vec![whole], "median at most 0.5, p99 2");
    print("ten templates, rendered alone", vec![alone], "");
    host.stop().await;
}

impl Subject {
    async fn load(releases: usize) -> Subject {
        let program = match std::env::var_os("CHANDLERY_BENCH_DATA") {
            Some(folder) => {
                program!().over(&PathBuf::from(folder).join(format!("installed-{releases}")))
            }
            None => program!(),
        };
        load(&program.data(), releases).await;
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("it is later than 1970").as_secs();
        Subject { releases, program, server: None, run: since }
    }

    /// Ends the server, if one runs, and starts it again: how long it took until it said
    /// that it was ready.
    async fn start_after(&mut self, signal: &str) -> Duration {
        if let Some(mut server) = self.server.take() {
            server.signal(signal);
            server.wait();
        }
        let settings = self.program.settings(SETTINGS);
        let settings = settings.to_str().expect("the path is UTF-8");
        let began = Instant::now();
        let server = self.program.serve(&["--config", settings, "--log-level", "error"]);
        while server.get("/ready").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = began.elapsed();
        self.server = Some(server);
        took
    }

    async fn connect(&self) -> Connection {
        Connection::to(self.server.as_ref().expect("it was started").address).await
    }

    /// One release after another, from all over the store.
    fn some_release(&self, n: usize) -> String {
        match self.releases {
            0 => PLANNED.to_owned(),
            all => loaded(n.wrapping_mul(2_654_435_761) % all),
        }
    }

    fn page(&self, n: usize, size: usize) -> String {
        let pages = self.releases.div_ceil(size).max(1);
        format!("/api/releases?page={}&size={size}", n.wrapping_mul(2_654_435_761) % pages)
    }

    /// Installs for a while: how long each took, and how many there were in a second.
    async fn installs(&self, clients: usize, label: &str) -> (Vec<Duration>, f64) {
        let began = Instant::now();
        let mut working = Vec::new();
        for client in 0..clients {
            let mut connection = self.connect().await;
            let name = format!("{label}-{}-{client}", self.run);
            working.push(tokio::spawn(async move {
                let mut taken = Vec::new();
                let until = Instant::now() + ROUND;
                while Instant::now() < until {
                    let body = one(&format!("{name}-{}", taken.len())).to_string();
                    let began = Instant::now();
                    let (status, body) = connection.post("/api/package/install", &body).await;
                    taken.push(began.elapsed());
                    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
                }
                taken
            }));
        }
        let mut taken = Vec::new();
        for client in working {
            taken.extend(client.await.expect("the client ends well"));
        }
        let rate = taken.len() as f64 / began.elapsed().as_secs_f64();
        (taken, rate)
    }
}

/// Fills a data folder, unless it was filled by an earlier run.
async fn load(data: &Path, releases: usize) {
    let mark = data.join("loaded");
    if mark.exists() {
        return;
    }
    let began = Instant::now();
    let mut config = Config { data: data.to_owned(), ..Config::default() };
    config.platforms.insert("dry-run".to_owned(), [("default".to_owned(), json!({}))].into());
    let app = app::start(config).await.expect("the server's parts start");
    let api = Api::new(app.clone());
    let package = ten();
    let templates: Vec<(String, &str)> = package
        .templates
        .iter()
        .map(|it| (format!("templates/{}", it.name), it.data.as_str()))
        .collect();
    let templates: Vec<(&str, &str)> = templates.iter().map(|(name, it)| (&**name, *it)).collect();
    for upload in [upload(VERSIONS[0]), dry_run::package(MANY, "1.0.0", &templates)] {
        post(&api, "/api/package/upload", &upload).await;
    }
    let mut planned = install(PLANNED, &[]);
    planned["packageIdentifier"] = json!({ "packageName": MANY });
    planned["installProperties"]["configValues"]["raw"] = ten_values("1.0.0").into();
    let bodies = std::iter::once(planned).chain((0..releases).map(|it| one(&loaded(it))));
    stream::iter(bodies)
        .map(|body| {
            let api = api.clone();
            async move { post(&api, "/api/package/install", &body).await }
        })
        .buffer_unordered(CLIENTS)
        .for_each(|()| async {})
        .await;
    app.stop().await.expect("the store is closed");
    drop((api, app));
    std::fs::write(mark, "").expect("the folder can be written");
    if releases > 0 {
        println!("{releases} releases: loaded in {:.0?}", began.elapsed());
    }
}

async fn post(api: &Api, path: &str, body: &Value) {
    let request = Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_string())).expect("it is a request");
    Answer::of(api.answer(request).await).await.expect(201);
}

/// What a release is called that was there before.
fn loaded(index: usize) -> String {
    format!("release-{index:06}")
}

/// The request that installs a release of one application.
fn one(name: &str) -> Value {
    install(name, &[application("web", json!({}))])
}

/// The package with ten templates, as it is read.
fn ten() -> Package {
    let template = |index: usize| {
        let name = format!("app{index}");
        Template { data: TEMPLATE.replace("APP", &name), name: format!("{name}.yml") }
    };
    Package {
        metadata: PackageMetadata {
            name: MANY.into(),
            version: "1.0.0".into(),
            ..PackageMetadata::default()
        },
        templates: (0..APPLICATIONS).map(template).collect(),
        dependencies: Vec::new(),
        config_values: None,
        file_holders: Vec::new(),
    }
}

/// Values for it, which make every application one of that version.
fn ten_values(version: &str) -> String {
    let app = |index: usize| {
        let properties: Value = (0..8)
            .map(|it| (format!("app{index}.setting.{it}"), json!(format!("value {it}"))))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let app =
            json!({ "resource": "docker:none", "version": version, "properties": properties });
        (format!("app{index}"), app)
    };
    let apps: serde_json::Map<_, _> = (0..APPLICATIONS).map(app).collect();
    json!({ "port": 0, "memory": "512m", "apps": apps }).to_string()
}

fn print(name: &str, taken: Vec<Vec<Duration>>, aim: &str) {
    let shown: String = taken
        .into_iter()
        .map(|mut taken| {
            taken.sort();
            let ms = |share: f64| {
                let index = (taken.len() as f64 * share) as usize;
                taken[index.min(taken.len() - 1)].as_secs_f64() * 1000.0
            };
            format!("{:>10.3}{:>10.3}", ms(0.5), ms(0.99))
        })
        .collect();
    let aim = if aim.is_empty() { String::new() } else { format!("   (aim: {aim})") };
    println!("{name:<40}{shown}{aim}");
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
