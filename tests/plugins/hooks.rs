//! Hooks before and after.

use chandlery::{
    error::Error,
    plugins::{
        FailMode, Kind,
        notifying_hook::{Event, Outcome},
    },
};
use chandlery_tests::guest::{self, Wat, attack};

use crate::{operation, principal, runtime, target};

#[tokio::test]
async fn a_refusal_carries_the_hooks_own_words() {
    let (_host, plugins) = runtime().await;
    let set = plugins.build(vec![guest::passing_hook(), guest::refusing_hook()]).await.unwrap();
    let error = set.review(operation("release:install", "{}")).await.err().unwrap();
    let Error::Refused { hook, code, message } = error else { panic!("{error}") };
    assert_eq!((&*hook, &*code, &*message), ("refusing-hook", "quota.exceeded", "too much"));
}

#[tokio::test]
async fn a_hook_is_asked_about_its_actions_only() {
    let (_host, plugins) = runtime().await;
    let mut hook = guest::refusing_hook();
    hook.actions = vec!["release:install".into()];
    let set = plugins.build(vec![hook]).await.unwrap();
    assert!(set.has_before_hooks("release:install", &target()));
    assert!(!set.has_before_hooks("release:delete", &target()));
    assert!(set.review(operation("release:install", "{}")).await.is_err());
    assert!(set.review(operation("release:delete", "{}")).await.is_ok());
}

#[tokio::test]
async fn hooks_change_the_object_one_after_the_other() {
    let (_host, plugins) = runtime().await;
    let mut first = guest::patching_hook(r#"[{"op":"add","path":"/first","value":1}]"#);
    first.name = "first".into();
    let second = guest::patching_hook(
        r#"[{"op":"test","path":"/first","value":1},{"op":"add","path":"/second","value":2.50}]"#,
    );
    let set = plugins.build(vec![first, second, guest::warning_hook()]).await.unwrap();
    let it = set.review(operation("release:install", r#"{"name":"web"}"#)).await.unwrap();
    assert_eq!(it.object.to_string(), r#"{"name":"web","first":1,"second":2.50}"#);
    assert_eq!(it.warnings, ["mind the gap"]);
}

#[tokio::test]
async fn a_hook_changes_nothing_that_it_was_not_granted() {
    let (_host, plugins) = runtime().await;
    let mut hook = guest::patching_hook(r#"[{"op":"add","path":"/a","value":1}]"#);
    hook.grants.mutate = false;
    let set = plugins.build(vec![hook]).await.unwrap();
    let error = set.review(operation("release:install", "{}")).await.err().unwrap();
    assert!(error.to_string().contains("set `grants.mutate`"), "{error}");
}

#[tokio::test]
async fn what_a_failure_means_is_the_operators_choice() {
    let (_host, plugins) = runtime().await;
    for (mode, passes) in
        [(FailMode::Closed, false), (FailMode::Open, true), (FailMode::Ignore, true)]
    {
        let hook = Wat::new("validating-hook").on("validating#review", attack::TRAP);
        let mut hook = guest::binding("failing", Kind::BeforeHook, hook.component());
        hook.fail_mode = mode;
        let set = plugins.build(vec![hook]).await.unwrap();
        assert_eq!(set.review(operation("a", "{}")).await.is_ok(), passes, "{mode:?}");
    }
}

#[tokio::test]
async fn a_hook_that_fails_again_and_again_is_left_alone_for_a_while() {
    let (_host, plugins) = runtime().await;
    let hook = Wat::new("validating-hook").on("validating#review", attack::TRAP);
    let hook = guest::binding("failing", Kind::BeforeHook, hook.component());
    let set = plugins.build(vec![hook]).await.unwrap();
    for _ in 0..5 {
        let error = set.review(operation("a", "{}")).await.err().unwrap();
        assert!(error.to_string().contains("trapped"), "{error}");
    }
    let error = set.review(operation("a", "{}")).await.err().unwrap();
    assert!(error.to_string().contains("failed too often"), "{error}");
}

#[tokio::test]
async fn what_is_too_large_for_a_hook_is_refused_and_takes_it_from_nobody() {
    let (_host, plugins) = runtime().await;
    let mut hook = guest::passing_hook();
    hook.limits.transfer_bytes = Some(1 << 10);
    let set = plugins.build(vec![hook]).await.unwrap();
    for _ in 0..10 {
        let mut large = operation("a", &format!("\"{}\"", "x".repeat(600)));
        large.previous = Some(large.object.clone());
        let error = set.review(large).await.err().unwrap().to_string();
        let names =
            "the object is too large for it, with 1204 bytes (limit `transfer_bytes` is 1024)";
        assert!(error.contains(names), "{error}");
    }
    set.review(operation("a", "{}")).await.unwrap();
}

fn event(sequence: u64) -> Event {
    Event {
        id: format!("event-{sequence}"),
        sequence,
        action: "release:install".into(),
        target: target(),
        actor: principal("user:ana"),
        at: 1,
        object: Some("{}".into()),
        failure: None,
        attempt: 1,
    }
}

#[tokio::test]
async fn an_after_hook_gives_one_outcome_for_each_event() {
    let (_host, plugins) = runtime().await;
    // Gives two outcomes, whatever it is told of: the first done, the second a
    // retry after 7 ms.
    let body =
        "(i32.store8 (i32.const 524) (i32.const 1)) (i32.store8 (i32.const 528) (i32.const 1))
        (i32.store (i32.const 532) (i32.const 7))
        (i32.store (i32.const 0) (i32.const 512)) (i32.store (i32.const 4) (i32.const 2))
        (i32.const 0)";
    let two = Wat::new("notifying-hook").on("notifying#deliver", body);
    let mut two = guest::binding("two", Kind::AfterHook, two.component());
    two.actions = vec!["release:*".into()];
    let set = plugins.build(vec![guest::listening_hook(), two]).await.unwrap();
    assert_eq!(set.after_hooks("release:install", &target()), ["listening-hook", "two"]);
    assert_eq!(set.after_hooks("package:upload", &target()), ["listening-hook"]);

    let events: Vec<Event> = (0..3).map(event).collect();
    let done = set.deliver("listening-hook", &events).await.unwrap();
    assert_eq!(done, [Outcome::Done, Outcome::Done, Outcome::Done]);
    let outcomes = set.deliver("two", &events).await.unwrap();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Retry(Some(7)), Outcome::Retry(None)]);
    assert_eq!(set.deliver("two", &events[..1]).await.unwrap(), [Outcome::Done]);
}
