//! How the inventory's answers take longer as it grows: the same questions, put in
//! turns to servers over stores of different sizes.
//!
//! Absolute figures depend on the machine. The aims are of the issue that completed
//! the inventory: median and p99 grow by at most half from 10,000 to 1,000,000
//! releases, memory stays under 300 MB, and 30 times what the original did a second.
//!
//! `CHANDLERY_BENCH_RELEASES` says which sizes (`100,10000` where it is not set;
//! `10000,1000000` takes some minutes and 10 GB of disk for loading), and
//! `CHANDLERY_BENCH_DATA` names a folder that keeps the loaded stores for the next
//! run. Each store holds, besides, one unit with 1,000 versions and one release with
//! 10,000 dependants.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use chandlery::{
    app::{self, App},
    authz::{self, Caller, Permit, Principal, PrincipalKind, RequestInfo, Target},
    config::Config,
    inventory::{self, NamespaceName},
};
use chandlery_tests::{Catalogue, Connection, Release, Running, program};
use futures::{StreamExt, stream};

const SEED: u64 = 20_261_122;
const DEPENDANTS: usize = 10_000;
const VERSIONS: usize = 1_000;

/// Releases that are being registered at the same time while a store is loaded.
const LOADING: usize = 512;

const ROUNDS: usize = 5;
const SECOND_ROUND: Duration = Duration::from_secs(2);
const READERS: usize = 16;
const WRITERS: usize = 64;

/// A server over a store of one size.
struct Subject {
    catalogue: Arc<Catalogue>,
    releases: usize,
    server: Running,
    registered: usize,
}

/// A question: its name, how often it is put in a round, and its path for the n-th
/// time.
struct Question {
    name: &'static str,
    times: usize,
    path: fn(&Catalogue, usize) -> String,
}

const QUESTIONS: [Question; 13] = [
    Question {
        name: "a version",
        times: 400,
        path: |all, n| {
            let unit = pick(all, n);
            version_path(all, unit, &format!("v{}", Catalogue::version(n % all.releases_of(unit))))
        },
    },
    Question {
        name: "latest",
        times: 400,
        path: |all, n| version_path(all, pick(all, n), "latest"),
    },
    Question {
        name: "prefix `v1.@`",
        times: 400,
        path: |all, n| version_path(all, pick(all, n), "v1.@"),
    },
    Question {
        name: "a tag",
        times: 400,
        path: |all, n| version_path(all, pick(all, n % TAGGED), "production"),
    },
    Question {
        name: "next version",
        times: 400,
        path: |all, n| format!("{}/next-version?prefix=1.", unit_path(all, pick(all, n))),
    },
    Question { name: "unit of 1,000 versions", times: 40, path: |_, _| at("/bench/units/many/") },
    Question {
        name: "graph, 10,000 dependants",
        times: 6,
        path: |_, _| at("/bench/units/hub/versions/v1/dependency-graph"),
    },
    Question {
        name: "downstream of 10,000",
        times: 6,
        path: |_, _| at("/bench/units/hub/versions/v1/downstream"),
    },
    Question {
        name: "search, a rare word",
        times: 200,
        path: |all, n| searched(&all.rare_word(pick(all, n))),
    },
    Question { name: "search, a word of all", times: 200, path: |_, _| searched("service") },
    Question {
        name: "search, one letter",
        times: 200,
        path: |_, n| {
            let letter = b'a' + (n % 26) as u8;
            searched(&char::from(letter).to_string())
        },
    },
    Question { name: "search, two of all", times: 20, path: |_, _| searched("teams service") },
    Question {
        name: "search, all and rare",
        times: 100,
        path: |all, n| searched(&format!("service {}", all.rare_word(pick(all, n)))),
    },
];

/// Units that have a tag.
const TAGGED: usize = 50;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async { tokio::spawn(run()).await.expect("no panic") });
}

async fn run() {
    let sizes = std::env::var("CHANDLERY_BENCH_RELEASES").unwrap_or_else(|_| "100,10000".into());
    let sizes = sizes.split(',').map(|it| it.trim().parse::<usize>().expect("sizes are numbers"));
    let mut subjects = Vec::new();
    for releases in sizes {
        subjects.push(Subject::start(releases).await);
    }
    println!("{:<28} {}", "milliseconds: median, p99", heads(&subjects));
    for question in &QUESTIONS {
        latency(&subjects, question).await;
    }
    registers(&mut subjects).await;
    for subject in &mut subjects {
        subject.throughput().await;
    }
    for subject in &subjects {
        let (now, most) = (subject.memory("VmRSS"), subject.memory("VmHWM"));
        println!(
            "{:>9} releases: {now} MB of memory at the end, {most} MB at the most (aim: under 300)",
            subject.releases
        );
    }
}

fn heads(subjects: &[Subject]) -> String {
    let heads: String = subjects.iter().map(|it| format!("{:>20}", it.releases)).collect();
    format!("{heads}    growth from the second last (aim: at most 1.5)")
}

/// Puts a question to all servers in turns.
async fn latency(subjects: &[Subject], question: &Question) {
    let mut taken: Vec<Vec<Duration>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (subject, taken) in subjects.iter().zip(&mut taken) {
            let mut connection = Connection::to(subject.server.address).await;
            for n in 0..question.times {
                let path = (question.path)(&subject.catalogue, round * question.times + n);
                let begun = Instant::now();
                let (status, body) = connection.get(&path).await;
                if status != 200 {
                    let body = String::from_utf8_lossy(&body);
                    println!("{:<28} {status} for {path}: {}", question.name, body.trim_end());
                    return;
                }
                taken.push(begun.elapsed());
            }
        }
    }
    print(question.name, taken);
}

/// Registers a new version of a unit that is there, one after another.
async fn registers(subjects: &mut [Subject]) {
    const TIMES: usize = 100;
    let mut taken: Vec<Vec<Duration>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (subject, taken) in subjects.iter_mut().zip(&mut taken) {
            let mut connection = Connection::to(subject.server.address).await;
            for _ in 0..TIMES {
                let Release { namespace, json, .. } = subject.next_release();
                let begun = Instant::now();
                let path = at(&format!("/{namespace}/register"));
                let (status, body) = connection.post(&path, &json).await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
                taken.push(begun.elapsed());
            }
        }
    }
    print("register", taken);
}

fn print(name: &str, mut taken: Vec<Vec<Duration>>) {
    let mut figures = Vec::new();
    for taken in &mut taken {
        taken.sort();
        let ms = |share: f64| {
            let index = (taken.len() as f64 * share) as usize;
            taken[index.min(taken.len() - 1)].as_secs_f64() * 1000.0
        };
        figures.push((ms(0.5), ms(0.99)));
    }
    let shown: String =
        figures.iter().map(|(median, p99)| format!("{median:>10.3}{p99:>10.3}")).collect();
    let growth = match figures[..] {
        [.., (median, p99), (median_after, p99_after)] => {
            format!("{:>10.2}{:>8.2}", median_after / median, p99_after / p99)
        }
        _ => String::new(),
    };
    println!("{name:<28} {shown}{growth}");
}

impl Subject {
    async fn start(releases: usize) -> Subject {
        let catalogue = Arc::new(Catalogue::new(releases, SEED));
        let program = match std::env::var_os("CHANDLERY_BENCH_DATA") {
            Some(folder) => program!().over(&PathBuf::from(folder).join(releases.to_string())),
            None => program!(),
        };
        load(&program.data(), &catalogue, releases).await;
        let begun = Instant::now();
        let server = program.serve(&["--log-level", "error"]);
        println!("{releases:>9} releases: the server started in {:.0?}", begun.elapsed());
        // Versions that no earlier run over the same store has registered.
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("it is later than 1970").as_secs();
        let registered = 100 + usize::try_from(since % 100_000_000).expect("it is small") * 100;
        let subject = Subject { catalogue, releases, server, registered };
        subject.tag().await;
        subject
    }

    /// A release that is new, of one unit after another.
    fn next_release(&mut self) -> Release {
        self.registered += 1;
        let unit = pick(&self.catalogue, self.registered);
        self.catalogue.release(unit, self.registered)
    }

    async fn tag(&self) {
        let mut connection = Connection::to(self.server.address).await;
        for n in 0..TAGGED {
            let unit = pick(&self.catalogue, n);
            let (namespace, name) = (self.catalogue.namespace(unit), self.catalogue.name(unit));
            let tag = format!(r#"{{"release_id":"{namespace}/{name}-v1.0.0","tag":"production"}}"#);
            connection.post(&format!("{}/tags/", unit_path(&self.catalogue, unit)), &tag).await;
        }
    }

    async fn throughput(&mut self) {
        let address = self.server.address;
        let until = Instant::now() + SECOND_ROUND;
        let readers = (0..READERS).map(|reader| {
            let catalogue = self.catalogue.clone();
            tokio::spawn(async move {
                let mut connection = Connection::to(address).await;
                let mut done = 0usize;
                while Instant::now() < until {
                    let path = version_path(
                        &catalogue,
                        pick(&catalogue, reader + done * READERS),
                        "v1.0.0",
                    );
                    assert_eq!(connection.get(&path).await.0, 200, "{path}");
                    done += 1;
                }
                done
            })
        });
        let reads = sum(readers).await / SECOND_ROUND.as_secs_f64();

        let first = self.registered;
        let until = Instant::now() + SECOND_ROUND;
        let writers = (0..WRITERS).map(|writer| {
            let catalogue = self.catalogue.clone();
            tokio::spawn(async move {
                let mut connection = Connection::to(address).await;
                let mut done = 0usize;
                while Instant::now() < until {
                    done += 1;
                    let number = first + done * WRITERS + writer;
                    let release = catalogue.release(pick(&catalogue, number), number);
                    let path = at(&format!("/{}/register", release.namespace));
                    assert_eq!(connection.post(&path, &release.json).await.0, 200);
                }
                done
            })
        });
        let registers = sum(writers).await / SECOND_ROUND.as_secs_f64();
        println!(
            "{:>9} releases: {reads:.0} reads a second by {READERS} clients (aim: {}), \
             {registers:.0} registers by {WRITERS} (aim: {})",
            self.releases,
            30 * 394,
            30 * 102,
        );
    }

    /// A figure of the kernel's about the server's memory, in MB.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid()));
        let status = status.expect("the server runs");
        let line = status.lines().find(|it| it.starts_with(name)).expect("it is told");
        let kib = line.split_whitespace().nth(1).and_then(|it| it.parse::<u64>().ok());
        kib.expect("it is a number") / 1024
    }
}

async fn sum(tasks: impl Iterator<Item = tokio::task::JoinHandle<usize>>) -> f64 {
    let tasks: Vec<_> = tasks.collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.expect("the client ends well");
    }
    done as f64
}

/// Fills a data folder, unless it was filled by an earlier run.
async fn load(data: &Path, catalogue: &Catalogue, releases: usize) {
    let mark = data.join("loaded");
    if mark.exists() {
        return;
    }
    let begun = Instant::now();
    let config = Config { data: data.to_owned(), ..Config::default() };
    let app = app::start(config).await.expect("the server's parts start");
    let permit = permit(&app).await;
    register_all(&app, &permit, catalogue.iter()).await;
    register_all(&app, &permit, fixtures()).await;
    app.stop().await.expect("the store is closed");
    drop((permit, app));
    std::fs::write(mark, "").expect("the folder can be written");
    println!("{releases:>9} releases: loaded in {:.0?}", begun.elapsed());
}

async fn register_all(app: &App, permit: &Permit, releases: impl Iterator<Item = Release>) {
    let register = |release: Release| async move {
        let checked = inventory::read_release(release.json.as_bytes()).expect("it is valid");
        let namespace = NamespaceName::parse(&release.namespace).expect("it is a name");
        inventory::register(app, permit, namespace, checked).await.expect("it is kept");
    };
    stream::iter(releases).map(register).buffer_unordered(LOADING).for_each(|()| async {}).await;
}

/// The unit with many versions, and the release with many dependants.
fn fixtures() -> impl Iterator<Item = Release> {
    let release = |unit: String, version: String, rest: String| Release {
        namespace: "bench".to_owned(),
        json: format!(r#"{{"name":"{unit}","version":"{version}"{rest}}}"#),
        unit,
        version,
    };
    let hub = release("hub".into(), "1".into(), String::new());
    let dependants = (0..DEPENDANTS).map(move |it| {
        let rest = r#","depends":[{"release_id":"bench/hub-v1"}]"#;
        release(format!("dependant-{it}"), "1.0.0".into(), rest.into())
    });
    let many = (0..VERSIONS).map(move |it| {
        release("many".into(), format!("{}.{}.{}", it / 100, it / 10 % 10, it % 10), String::new())
    });
    std::iter::once(hub).chain(dependants).chain(many)
}

async fn permit(app: &App) -> Permit {
    let principal = Principal {
        id: "anonymous".into(),
        kind: PrincipalKind::Anonymous,
        groups: Vec::new(),
        roles: Vec::new(),
        claims: Vec::new(),
    };
    let request = RequestInfo {
        id: "load".into(),
        trace_parent: None,
        remote: None,
        method: "POST".into(),
        path: "/".into(),
        received_at: 0,
    };
    let caller = Arc::new(Caller {
        principal,
        token: String::new(),
        request,
        plugins: app.plugins.set(),
        warnings: authz::Warnings::default(),
    });
    let target = Target {
        kind: "version".into(),
        namespace: "bench".into(),
        name: "load".into(),
        version: None,
        labels: Vec::new(),
    };
    let permit = authz::authorize(app, &caller, "inventory:version:register", target).await;
    permit.unwrap_or_else(|it| panic!("everybody may register here: {it}"))
}

/// One unit after another, from all over the catalogue.
fn pick(catalogue: &Catalogue, n: usize) -> usize {
    n.wrapping_mul(2_654_435_761) % catalogue.units()
}

fn at(path: &str) -> String {
    format!("/api/v1/inventory{path}")
}

fn unit_path(catalogue: &Catalogue, unit: usize) -> String {
    at(&format!("/{}/units/{}", catalogue.namespace(unit), catalogue.name(unit)))
}

fn version_path(catalogue: &Catalogue, unit: usize, version: &str) -> String {
    format!("{}/versions/{version}/", unit_path(catalogue, unit))
}

fn searched(words: &str) -> String {
    at(&format!("/search?q={}", words.replace(' ', "+")))
}
