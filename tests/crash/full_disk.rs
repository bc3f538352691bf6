//! A disk that is full in the middle of an upgrade.
//!
//! The server gets a small file system of its own, in memory and in a namespace of its
//! own, and the test fills it: up to the last byte, or so that some of the upgrade still
//! fits. Where this machine lets nobody make one, there is nothing to test on.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use chandlery_tests::{PATIENCE, Program, dry_run};
use serde_json::{Value, json};

use super::{
    client::{delete, get, post, put_unit},
    releases::processes,
};

const SIZE: &str = "256m";
const RUNS: &str = "#!/bin/sh\nexec sleep 600\n";
const SETTINGS: &str = "[releases]\nhealth_check_ms = 20\n";
/// How much is left free while a release is upgraded. A version's row takes some hundreds
/// of kilobytes here, an operation's record a few.
const FREE: [u64; 5] = [0, 8 << 10, 0, 64 << 10, 0];
/// What is in its values, so that a version is not small.
const BALLAST: usize = 200 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_on_a_full_disk_is_an_error_the_old_version_runs_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let Some(wrapper) = wrapper(folder.path()) else {
        println!("this machine lets nobody make a file system: nothing is tested");
        return;
    };
    let program = Program::at(wrapper.to_str().unwrap()).over(&folder.path().join("disk/data"));
    let settings = program.settings(SETTINGS);
    let server = program.serve(&["--config", settings.to_str().unwrap()]);
    let there = folder.path().join("disk");
    let root = PathBuf::from(format!("/proc/{}/root", server.pid()));
    let disk = root.join(there.strip_prefix("/").unwrap());
    let mut client = Client { address: server.address, disk, there, version: 0 };
    client.prepare().await;

    let mut failed = 0;
    for free in FREE {
        failed += u32::from(client.upgrade_while_full(free).await);
    }

    assert!(failed > 0, "the disk was never too full");
    println!("{failed} of {} upgrades met a full disk", FREE.len());
    client.send("DELETE", "/api/release/a", &Value::Null).await.expect(200);
    client.wait_for_processes(&[]).await;
    let ready = client.send("GET", "/ready", &Value::Null).await;
    ready.expect(200);
    assert!(server.stop().success());
}

/// A program that gives the server a disk of its own; none where that cannot be done.
fn wrapper(folder: &Path) -> Option<PathBuf> {
    let disk = folder.join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size={SIZE} tmpfs {}", disk.display());
    let tried = Command::new("unshare").args(["-rm", "sh", "-c", &mount]).output();
    if !tried.is_ok_and(|it| it.status.success()) {
        return None;
    }
    let server = env!("CARGO_BIN_EXE_chandlery-under-test");
    let script = format!(
        "#!/bin/sh\nexec unshare -rm sh -c '{mount} && exec {server} \"$@\"' server \"$@\"\n"
    );
    let wrapper = folder.join("server");
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    Some(wrapper)
}

/// What came back.
struct Said {
    what: String,
    status: u16,
    body: Value,
}

impl Said {
    fn expect(self, status: u16) -> Value {
        let Said { what, status: found, body } = self;
        assert_eq!(found, status, "{what}: {body}");
        body
    }
}

struct Client {
    address: SocketAddr,
    /// Where the server's file system is seen from here.
    disk: PathBuf,
    /// And where the server sees it.
    there: PathBuf,
    version: u32,
}

impl Client {
    async fn prepare(&mut self) {
        put_unit(self.address, "runs", RUNS.as_bytes()).await;
        for version in dry_run::VERSIONS {
            let body = dry_run::upload(version);
            self.send("POST", "/api/package/upload", &body).await.expect(201);
        }
        let install = heavy(dry_run::install("a", &self.apps()), "installProperties");
        self.send("POST", "/api/package/install", &install).await.expect(201);
        self.wait_for_processes(&["db", "web"]).await;
    }

    /// One application stays as it is, the other is new each time.
    fn apps(&mut self) -> [Value; 2] {
        self.version += 1;
        let app = |name: &str, number: u32| {
            let mut app = dry_run::app(name, json!({}));
            app["resource"] = "inventory://acme/runs".into();
            app["version"] = "1.0".into();
            let number = number.to_string();
            app["applicationProperties"] = json!({ "server.port": "-1", "number": number });
            app
        };
        [app("db", 0), app("web", self.version)]
    }

    fn upgrade(&mut self) -> Value {
        heavy(dry_run::upgrade("a", &self.apps()), "upgradeProperties")
    }

    /// Upgrades the release while only so much is free, and says whether that failed.
    async fn upgrade_while_full(&mut self, free: u64) -> bool {
        let before = self.versions().await;
        self.fill(free);
        let upgrade = self.upgrade();
        let said = self.send("POST", "/api/release/upgrade", &upgrade).await;
        println!("{free} free: {} {}", said.status, said.body["message"]);

        // The server lives, and knows and shows what runs.
        self.send("GET", "/health", &Value::Null).await.expect(200);
        let deployed = |it: &[String]| it.iter().filter(|it| *it == "DEPLOYED").count();
        assert!(deployed(&self.versions().await) >= 1);
        let running = processes::below(&self.there);
        for app in ["db", "web"] {
            assert!(running.contains(&("a".to_owned(), app.to_owned())), "{running:?}");
        }
        let is_accepted = said.status == 201;
        if !is_accepted {
            let message = said.body["message"].as_str().expect("it says what is wrong");
            // Or, where it was a process that found no room, that.
            let message = message.to_lowercase();
            let is_clear = message.contains("the store failed") || message.contains("space");
            assert!(is_clear, "{} {message}", said.status);
        }

        fs::remove_file(self.disk.join("filler")).unwrap();
        let after = self.settled().await;
        assert_eq!(deployed(&after), 1, "{after:?}");
        assert_eq!(after[..before.len() - 1], before[..before.len() - 1]);
        assert!(after.len() <= before.len() + 1, "{after:?}");
        self.wait_for_processes(&["db", "web"]).await;

        // And there is nothing in the way of the next one.
        let upgrade = self.upgrade();
        self.send("POST", "/api/release/upgrade", &upgrade).await.expect(201);
        let next = self.settled().await;
        assert_eq!(next.last().map(String::as_str), Some("DEPLOYED"), "{next:?}");
        assert_eq!((deployed(&next), next.len()), (1, after.len() + 1), "{next:?}");
        self.wait_for_processes(&["db", "web"]).await;
        !is_accepted || after.last().map(String::as_str) == Some("FAILED")
    }

    /// Takes all room but that much.
    fn fill(&self, free: u64) {
        let path = self.disk.join("filler");
        let mut filler = File::create(&path).unwrap();
        let piece = [7; 4096];
        let mut size = 0;
        loop {
            match filler.write(&piece) {
                Ok(count) => size += count as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        filler.set_len(size.saturating_sub(free)).unwrap();
    }

    /// Waits until nobody works on the release, and gives the states of its versions.
    async fn settled(&self) -> Vec<String> {
        let started = Instant::now();
        loop {
            let overview = self.send("GET", "/api/v1/releases/a", &Value::Null).await.expect(200);
            if overview["in_progress"].is_null() {
                return self.versions().await;
            }
            assert!(started.elapsed() < PATIENCE, "{overview}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The states of all versions, the first first.
    async fn versions(&self) -> Vec<String> {
        let path = "/api/v1/releases/a/history?limit=100";
        let page = self.send("GET", path, &Value::Null).await.expect(200);
        let items = page["items"].as_array().expect("there are items").iter();
        let versions = items.filter(|it| it["type"] == "version");
        let state = |it: &Value| it["status"].as_str().expect("it has a status").to_owned();
        let mut states: Vec<String> = versions.map(state).collect();
        states.reverse();
        states
    }

    async fn wait_for_processes(&self, apps: &[&str]) {
        let expected: Vec<(String, String)> =
            apps.iter().map(|it| ("a".to_owned(), (*it).to_owned())).collect();
        let started = Instant::now();
        loop {
            let found = processes::below(&self.there);
            if found == expected {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{found:?} run, and are to be {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a request. A look that comes while the store is opened again looks again.
    async fn send(&self, method: &str, path: &str, body: &Value) -> Said {
        let started = Instant::now();
        loop {
            let said = self.send_once(method, path, body).await;
            if method != "GET" || said.status < 500 || started.elapsed() > PATIENCE {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn send_once(&self, method: &str, path: &str, body: &Value) -> Said {
        let answer = match method {
            "GET" => get(self.address, path).await,
            "DELETE" => delete(self.address, path).await,
            _ => post(self.address, path, "application/json", body.to_string().as_bytes()).await,
        };
        let (status, bytes) = answer.expect("the server answers");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Said { what: format!("{method} {path}"), status, body }
    }
}

/// Makes the request's values large.
fn heavy(mut request: Value, properties: &str) -> Value {
    let raw = &mut request[properties]["configValues"]["raw"];
    let mut values: Value = serde_json::from_str(raw.as_str().expect("it is text")).unwrap();
    values["ballast"] = "ballast ".repeat(BALLAST / 8).into();
    *raw = values.to_string().into();
    request
}
