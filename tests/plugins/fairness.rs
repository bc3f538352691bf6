//! Guests that do not stop leave room for others.

use std::time::{Duration, Instant};

use chandlery::plugins::Kind;
use chandlery_tests::guest::{self, Wat, attack};

use crate::{operation, runtime};

// The timers must fire while the guests still run. A runtime that does not yield,
// or yields to the front of the queue, fires them 100 ms late and more each.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn timers_fire_beside_runaway_guests() {
    let (_host, plugins) = runtime().await;
    let rogue = Wat::new("validating-hook").on("validating#review", attack::LOOP);
    let mut rogue = guest::binding("rogue", Kind::BeforeHook, rogue.component());
    rogue.limits.guest_ms = Some(60_000);
    rogue.limits.wall_ms = Some(10_000);
    let set = std::sync::Arc::new(plugins.build(vec![rogue]).await.unwrap());
    let guests: Vec<_> = (0..2)
        .map(|_| {
            let set = set.clone();
            tokio::spawn(async move { set.review(operation("a", "{}")).await.err().unwrap() })
        })
        .collect();
    let timers = tokio::spawn(async {
        let began = Instant::now();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    });
    let took = timers.await.unwrap();
    assert!(guests.iter().all(|it| !it.is_finished()), "the guests ran all along");
    assert!(took < Duration::from_secs(5), "{took:?}");
    for guest in guests {
        guest.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_callers_than_places_wait_in_line_and_none_fails() {
    let (_host, plugins) = runtime().await;
    let set = plugins.build(vec![guest::warning_hook()]).await.unwrap();
    let set = std::sync::Arc::new(set);
    let callers: Vec<_> = (0..2_000)
        .map(|_| {
            let set = set.clone();
            tokio::spawn(async move { set.review(operation("a", "{}")).await })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}
