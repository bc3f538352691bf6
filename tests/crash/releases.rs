//! The real server, killed at any moment while releases are installed, upgraded, rolled
//! back, cancelled and deleted: on a platform that runs nothing, and as real processes.
//!
//! Within ten seconds of each start every release is in a final state that its client can
//! account for, nothing holds its name, exactly its processes run, and the next operation
//! on it is taken.

pub(crate) mod processes;
mod work;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chandlery::store::{Store, operations};
use chandlery_tests::{
    PATIENCE, Program,
    dry_run::{VERSIONS, upload},
};

use self::work::{Place, Work};
use super::{
    client::{post, put_unit},
    kills, seed,
};

/// How long a release may stay in between after a start. Where nobody asked for a long
/// run the machine may be busy with other things.
fn final_in() -> Duration {
    let is_asked_for = std::env::var_os("CHANDLERY_KILLS").is_some();
    if is_asked_for { Duration::from_secs(10) } else { PATIENCE }
}

const DRY_RUN: &str = "[platforms.dry-run.default]\n[releases]\nhealth_check_ms = 20\n";
const LOCAL: &str = "[releases]\nhealth_check_ms = 20\n";
const RUNS: &str = "#!/bin/sh\nexec sleep 600\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_kill_every_release_comes_to_a_final_state_by_itself() {
    let kills = kills(6);
    let program = chandlery_tests::program!();
    let settings = program.settings(DRY_RUN);
    rounds(&program, &settings, Place::DryRun, (kills, 4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_kill_exactly_the_processes_run_that_are_to_run() {
    // Each start of a process takes a while: a tenth as often.
    let kills = kills(30).div_ceil(10);
    let program = chandlery_tests::program!();
    let settings = program.settings(LOCAL);
    rounds(&program, &settings, Place::Local, (kills, 3)).await;
    let left = processes::below(&program.data());
    assert!(left.is_empty(), "{left:?} are left over");
}

/// Lets so many clients, each with a release of its own, work until the server is killed,
/// as often as asked for.
async fn rounds(program: &Program, settings: &Path, place: Place, (kills, names): (u32, usize)) {
    let mut dice = Dice(seed());
    let arguments = ["--config", settings.to_str().unwrap()];
    let mut server = program.serve(&arguments);
    for version in VERSIONS {
        let body = upload(version).to_string();
        let path = "/api/package/upload";
        let answer = post(server.address, path, "application/json", body.as_bytes()).await;
        assert_eq!(answer.expect("the server answers").0, 201);
    }
    put_unit(server.address, "runs", RUNS.as_bytes()).await;

    let mut work: Vec<Work> = (0..names).map(|it| Work::new(it, place, dice.next())).collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        let (address, after) = (server.address, Duration::from_millis(20 + dice.below(1_000)));
        let clients = together(work, move |mut it| async move {
            while it.one_round(address).await {}
            it
        });
        let killing = async {
            tokio::time::sleep(after).await;
            tokio::task::spawn_blocking(move || server.kill()).await.unwrap();
        };
        (work, ()) = tokio::join!(clients, killing);
        if dice.below(3) == 0 {
            // In the midst of what it takes up again.
            let again = program.serve(&arguments);
            tokio::time::sleep(Duration::from_millis(dice.below(100))).await;
            again.kill();
        }

        server = program.serve(&arguments);
        let (address, started) = (server.address, Instant::now());
        let until = started + final_in();
        let clients = together(work, move |mut it| async move {
            it.check_start(address, until).await;
            it
        });
        work = clients.await;
        check_processes(&work, place, &program.data(), until).await;
        slowest = slowest.max(started.elapsed());
        let clients = together(work, move |mut it| async move {
            it.check_is_taken(address).await;
            it
        });
        work = clients.await;
        check_processes(&work, place, &program.data(), Instant::now() + PATIENCE).await;
    }

    work.iter().for_each(|it| println!("{it}"));
    let answered: usize = work.iter().map(Work::answered).sum();
    println!("{answered} answered, {kills} kills, final within {slowest:?} of a start");
    for it in &mut work {
        it.end(server.address).await;
    }
    assert!(server.stop().success());
    let store = Store::open(&program.data().join("store")).await.unwrap();
    let open = store.read(move |view| operations::open(view, "", names)).await.unwrap();
    assert!(open.is_empty(), "{open:?}");
    let records = store.verify_audit().await.unwrap();
    assert!(records >= answered as u64, "{records} audit records for {answered} changes");
}

/// Waits until exactly those processes run that are to run: none twice, none left over.
async fn check_processes(work: &[Work], place: Place, data: &Path, until: Instant) {
    let mut expected: Vec<(String, String)> = work.iter().flat_map(Work::running_apps).collect();
    if place == Place::DryRun {
        expected.clear();
    }
    expected.sort();
    loop {
        let found = processes::below(data);
        if found == expected {
            return;
        }
        assert!(Instant::now() < until, "{found:?} run, and are to be {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets all clients do that at once.
async fn together<F>(work: Vec<Work>, what: impl Fn(Work) -> F) -> Vec<Work>
where
    F: Future<Output = Work> + Send + 'static,
{
    let running: Vec<_> = work.into_iter().map(|it| tokio::spawn(what(it))).collect();
    futures::future::join_all(running).await.into_iter().map(|it| it.unwrap()).collect()
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        let Dice(at) = self;
        *at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *at >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
