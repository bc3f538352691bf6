//! The set in force is swapped whole, and nobody notices but by the answers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use chandlery_tests::guest;

use crate::{operation, question, runtime};

#[tokio::test]
async fn a_request_keeps_the_set_that_it_began_with() {
    let (_host, plugins) = runtime().await;
    plugins.swap(plugins.build(vec![guest::allow_all()]).await.unwrap());
    let begun = plugins.set();
    plugins.swap(plugins.build(vec![guest::deny_all()]).await.unwrap());
    let ask = question("user:ana", "server:read");
    assert!(begun.authorize(&ask).unwrap().allowed);
    assert!(!plugins.set().authorize(&ask).unwrap().allowed);
}

#[tokio::test]
async fn the_last_three_sets_can_be_gone_back_to() {
    let (_host, plugins) = runtime().await;
    let denying = |action: &str| vec![guest::allow_all(), guest::deny_action(action)];
    for action in ["a", "b", "c", "d", "e"] {
        plugins.swap(plugins.build(denying(action)).await.unwrap());
    }
    let denies = |action| !plugins.set().authorize(&question("user:ana", action)).unwrap().allowed;
    assert!(denies("e"));
    for action in ["d", "c", "b"] {
        assert!(plugins.rollback());
        assert!(denies(action), "{action}");
    }
    assert!(!plugins.rollback());
    assert!(denies("b"));
}

#[tokio::test]
async fn there_is_no_way_back_to_the_empty_set_of_the_start() {
    let (_host, plugins) = runtime().await;
    plugins.swap(plugins.build(vec![guest::allow_all()]).await.unwrap());
    assert!(!plugins.rollback());
    assert!(plugins.set().authorize(&question("user:ana", "a")).unwrap().allowed);
}

#[tokio::test]
async fn a_set_that_cannot_be_built_changes_nothing() {
    let (_host, plugins) = runtime().await;
    plugins.swap(plugins.build(vec![guest::allow_all()]).await.unwrap());
    let mut broken = guest::deny_all();
    broken.component = b"rubbish".as_slice().into();
    assert!(plugins.build(vec![guest::deny_all(), broken]).await.is_err());
    assert!(plugins.set().authorize(&question("user:ana", "a")).unwrap().allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_fail_no_call() {
    let (_host, plugins) = runtime().await;
    let bindings = || vec![guest::allow_all(), guest::warning_hook()];
    plugins.swap(plugins.build(bindings()).await.unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (plugins, over, calls) = (plugins.clone(), over.clone(), calls.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let set = plugins.set();
                    assert!(set.authorize(&question("user:ana", "a")).unwrap().allowed);
                    let warnings = set.review(operation("a", "{}")).await.unwrap().warnings;
                    assert_eq!(warnings, ["mind the gap"]);
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..100 {
        let seen = calls.load(Ordering::Relaxed);
        plugins.swap(plugins.build(bindings()).await.unwrap());
        while calls.load(Ordering::Relaxed) < seen + 8 {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
}
