//! The real server, killed at any moment while clients register and upload, and (in
//! `releases`) while they install, upgrade, roll back and delete.
//!
//! Whatever it acknowledged is there after each start, whatever it did not is there
//! whole or not at all, and bytes that no release points at are gone a while later.
//! `CHANDLERY_KILLS` says how often it is killed; 20 times where it says nothing, and 6
//! or 3 in `releases`, where real processes take a tenth of it. In `full_disk` its disk
//! is full instead.

mod client;
mod full_disk;
mod releases;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use chandlery::store::Store;
use chandlery_tests::{Program, Running};
use sha2::{Digest, Sha256};

use self::client::Work;

const CLIENTS: usize = 4;

/// How long an orphan may stay after the last kill.
const ORPHANS_GONE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_kill_what_was_acknowledged_is_there_and_no_orphan_stays() {
    let kills = kills(20);
    let mut dice = seed();

    let program = chandlery_tests::program!();
    let mut work: Vec<Work> = (0..CLIENTS).map(Work::new).collect();
    for _ in 0..kills {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis(20 + (dice >> 33) % 400);
        work = run_until_killed(&program, work, after).await;
        let server = program.serve(&[]);
        for client in &mut work {
            client.check_recent(server.address).await;
        }
    }
    let server = program.serve(&[]);
    let mut needed = BTreeSet::new();
    for client in &mut work {
        needed.extend(client.check_all(server.address).await);
    }
    let acknowledged: usize = work.iter().map(Work::acknowledged).sum();
    assert!(acknowledged > kills as usize, "only {acknowledged} were acknowledged");
    wait_until_only_needed_blobs_stay(&program.data(), &needed).await;

    for client in &mut work {
        client.check_all(server.address).await;
    }
    assert!(server.stop().success());
    let store = Store::open(&program.data().join("store")).await.unwrap();
    let records = store.verify_audit().await.unwrap();
    assert!(records >= acknowledged as u64, "{records} audit records for {acknowledged} changes");
    println!("{acknowledged} acknowledged, {records} audit records, {kills} kills");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_it_starts_starts_again() {
    let program = chandlery_tests::program!();
    let server = program.serve(&[]);
    let mut work = Work::new(0);
    work.one_round(server.address).await;
    assert_eq!(work.acknowledged(), 2);
    server.kill();
    for delay_ms in [0, 1, 2, 5, 10, 20, 50] {
        let data = program.data();
        let starting = std::process::Command::new(env!("CARGO_BIN_EXE_chandlery-under-test"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let mut starting = starting.unwrap();
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        starting.kill().unwrap();
        starting.wait().unwrap();
    }
    let server = program.serve(&[]);
    work.check_all(server.address).await;
}

/// How often the server is killed.
fn kills(otherwise: u32) -> u32 {
    match std::env::var("CHANDLERY_KILLS") {
        Ok(it) => it.parse().expect("CHANDLERY_KILLS is a number"),
        Err(_) => otherwise,
    }
}

/// What decides when it is killed, and what clients do.
fn seed() -> u64 {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    seed | 1
}

/// Lets every client work until the server is killed under them.
async fn run_until_killed(program: &Program, work: Vec<Work>, after: Duration) -> Vec<Work> {
    let server: Running = program.serve(&[]);
    let address = server.address;
    let clients = work.into_iter().map(|mut client| {
        tokio::spawn(async move {
            while client.one_round(address).await {}
            client
        })
    });
    let clients = futures::future::join_all(clients);
    let killing = async {
        tokio::time::sleep(after).await;
        tokio::task::spawn_blocking(move || server.kill()).await.unwrap();
    };
    // A spawned task runs whether it is waited for or not; the kill ends them all.
    let (clients, ()) = tokio::join!(clients, killing);
    clients.into_iter().map(|it| it.unwrap()).collect()
}

async fn wait_until_only_needed_blobs_stay(data: &Path, needed: &BTreeSet<String>) {
    let deadline = Instant::now() + ORPHANS_GONE;
    loop {
        let kept = blobs(&data.join("blobs").join("objects"));
        assert!(kept.is_superset(needed), "a blob that a release needs is gone");
        if kept == *needed && files(&data.join("blobs").join("staging")).is_empty() {
            return;
        }
        let orphans: Vec<_> = kept.difference(needed).collect();
        assert!(Instant::now() < deadline, "orphans stay: {orphans:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn blobs(folder: &Path) -> BTreeSet<String> {
    let name = |it: &PathBuf| it.file_name().unwrap().to_str().unwrap().to_owned();
    files(folder).iter().map(name).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An answer that came whole.
type Whole = Option<(u16, Arc<[u8]>)>;
