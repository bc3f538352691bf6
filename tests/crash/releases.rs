//! The real server, killed at any moment while releases are installed, upgraded, rolled
//! back, cancelled and deleted on a platform that runs nothing.
//!
//! Within ten seconds of each start every release is in a final state that its client can
//! account for, nothing holds its name, and the next operation on it is taken.

mod work;

use std::time::{Duration, Instant};

use chandlery::store::{Store, operations};
use chandlery_tests::dry_run::{VERSIONS, upload};

use self::work::Work;
use super::{client::post, kills, seed};

/// So many releases, each with a client of its own.
const NAMES: usize = 4;

/// How long a release may stay in between after a start.
const FINAL_IN: Duration = Duration::from_secs(10);

const SETTINGS: &str = "[platforms.dry-run.default]\n[releases]\nhealth_check_ms = 20\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_kill_every_release_comes_to_a_final_state_by_itself() {
    let kills = kills(6);
    let mut dice = Dice(seed());
    let program = chandlery_tests::program!();
    let settings = program.settings(SETTINGS);
    let arguments = ["--config", settings.to_str().unwrap()];
    let mut server = program.serve(&arguments);
    for version in VERSIONS {
        let body = upload(version).to_string();
        let path = "/api/package/upload";
        let answer = post(server.address, path, "application/json", body.as_bytes()).await;
        assert_eq!(answer.expect("the server answers").0, 201);
    }

    let mut work: Vec<Work> = (0..NAMES).map(|it| Work::new(it, dice.next())).collect();
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
        let clients = together(work, move |mut it| async move {
            it.check_start(address, started + FINAL_IN).await;
            it
        });
        work = clients.await;
        slowest = slowest.max(started.elapsed());
        let clients = together(work, move |mut it| async move {
            it.check_is_taken(address).await;
            it
        });
        work = clients.await;
    }

    work.iter().for_each(|it| println!("{it}"));
    let answered: usize = work.iter().map(Work::answered).sum();
    println!("{answered} answered, {kills} kills, final within {slowest:?} of a start");
    assert!(server.stop().success());
    let store = Store::open(&program.data().join("store")).await.unwrap();
    let open = store.read(|view| operations::open(view, "", NAMES)).await.unwrap();
    assert!(open.is_empty(), "{open:?}");
    let records = store.verify_audit().await.unwrap();
    assert!(records >= answered as u64, "{records} audit records for {answered} changes");
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
