//! Guests that do what they must not. Each gets a clean error that names what it
//! ran into, and the next call is fine: the same binding, asked about another
//! action, still answers.

use chandlery::{
    error::Error,
    plugins::{
        Binding, Kind, PluginSet,
        renderer::{Job, Template},
    },
};
use chandlery_tests::guest::{self, Wat, attack};

use crate::{operation, question, runtime};

/// Attacks where the action ends with `!`, and allows otherwise.
fn policy(attack: &str) -> String {
    format!(
        "(local $end i32)
         (local.set $end (i32.add (i32.load offset=36 (local.get $p0))
                                  (i32.load offset=40 (local.get $p0))))
         (if (result i32)
           (i32.eq (i32.load8_u (i32.sub (local.get $end) (i32.const 1))) (i32.const 33))
           (then {attack})
           (else (i32.const 0)))"
    )
}

async fn check(attack: Wat, names: &str) {
    check_binding(guest::binding("rogue", Kind::Policy, attack.component()), names).await;
}

async fn check_binding(binding: Binding, names: &str) {
    let (_host, plugins) = runtime().await;
    let set = plugins.build(vec![binding, guest::allow_all()]).await.unwrap();
    for _ in 0..3 {
        let error = set.authorize(&question("user:ana", "attack!")).err().unwrap();
        assert!(matches!(&error, Error::Plugin { plugin, .. } if plugin == "rogue"), "{error}");
        assert!(error.to_string().contains(names), "{error}");
        assert!(set.authorize(&question("user:ana", "behave")).unwrap().allowed);
    }
}

async fn check_body(attack: &str, names: &str) {
    check(Wat::new("access-policy").on("policy#authorize", &policy(attack)), names).await;
}

#[tokio::test]
async fn a_guest_that_loops_is_stopped() {
    check_body(attack::LOOP, "limit `guest_ms` is 5").await;
}

#[tokio::test]
async fn a_guest_that_traps_is_reported_with_its_functions() {
    check_body(attack::TRAP, "`unreachable` instruction executed in `policy#authorize`").await;
}

#[tokio::test]
async fn a_guest_that_allocates_without_end_is_stopped() {
    check_body(attack::ALLOCATE, "limit `memory_bytes` is 33554432").await;
}

#[tokio::test]
async fn a_guest_that_recurses_without_end_is_stopped() {
    check_body(attack::RECURSE, "ran out of stack").await;
}

#[tokio::test]
async fn an_answer_outside_of_the_guests_memory_is_refused() {
    check_body(attack::POINT_OUTSIDE, "it trapped").await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    // A reason of a mebibyte.
    let giant = "(i32.store8 (i32.const 8) (i32.const 1)) (i32.store (i32.const 12) (i32.const 0))
        (i32.store (i32.const 16) (i32.const 1048576)) (i32.const 0)";
    let guest = Wat::new("access-policy").pages(20).on("policy#authorize", &policy(giant));
    check(guest, "limit `transfer_bytes` is 262144").await;
}

#[tokio::test]
async fn an_answer_that_lies_about_its_length_is_refused() {
    let giant = "(i32.store (i32.const 28) (i32.const 0))
        (i32.store (i32.const 32) (i32.const -1)) (i32.const 0)";
    let guest = Wat::new("access-policy").on("policy#authorize", &policy(giant));
    check(guest, "it").await;
}

#[tokio::test]
async fn an_answer_that_is_no_utf_8_is_refused() {
    let body = "(i32.store8 (i32.const 8) (i32.const 1)) (i32.store (i32.const 12) (i32.const 64))
        (i32.store (i32.const 16) (i32.const 2)) (i32.const 0)";
    let guest = Wat::new("access-policy").on("policy#authorize", &policy(body));
    check(guest.data(64, b"\xff\xfe"), "utf-8").await;
}

#[tokio::test]
async fn an_answer_that_is_no_known_case_is_refused() {
    check_body("(i32.store8 (i32.const 4) (i32.const 77)) (i32.const 0)", "it trapped").await;
}

#[tokio::test]
async fn a_guest_that_floods_the_host_with_calls_is_stopped() {
    let flood = "(loop $again (drop (call $log-enabled (i32.const 0))) (br $again)) (unreachable)";
    let guest =
        Wat::new("access-policy").import("log", "enabled").on("policy#authorize", &policy(flood));
    let mut binding = guest::binding("rogue", Kind::Policy, guest.component());
    binding.limits.guest_ms = Some(10_000);
    check_binding(binding, "the limit is 10000 in a call").await;
}

#[tokio::test]
async fn a_guest_that_floods_the_log_loses_lines_and_nothing_else() {
    let (_host, plugins) = runtime().await;
    // 5,000 lines at the level of least importance, and then a yes.
    let flood = "(local $i i32)
        (loop $again
          (call $log-write (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0) (i32.const 0))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const 5000))))
        (i32.const 0)";
    let guest = Wat::new("access-policy").import("log", "write").on("policy#authorize", flood);
    let mut binding = guest::binding("chatty", Kind::Policy, guest.data(64, b"line").component());
    binding.limits.guest_ms = Some(1_000);
    let set = plugins.build(vec![binding]).await.unwrap();
    assert!(set.authorize(&question("user:ana", "server:read")).unwrap().allowed);
}

#[tokio::test]
async fn a_guest_remembers_nothing_from_one_call_to_the_next() {
    let (_host, plugins) = runtime().await;
    // Denies from the second call on, if it can count.
    let body = "(i32.store8 (i32.const 4) (i32.load (i32.const 128)))
        (i32.store (i32.const 128) (i32.const 1))
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.gt_u (global.get $calls) (i32.const 1)) (then (unreachable)))
        (i32.const 0)";
    let guest = Wat::new("access-policy")
        .module("(global $calls (mut i32) (i32.const 0))")
        .on("policy#authorize", body);
    let binding = guest::binding("counting", Kind::Policy, guest.component());
    let set = plugins.build(vec![binding]).await.unwrap();
    for _ in 0..100 {
        assert!(set.authorize(&question("user:ana", "server:read")).unwrap().allowed);
    }
}

fn job(templates: usize) -> Job {
    let name = |it| Template { name: format!("{it}.yml"), source: "a: b".into() };
    Job {
        templates: (0..templates).map(name).collect(),
        partials: Vec::new(),
        values: "{}".into(),
        release: "{}".into(),
        strict: true,
        max_output_bytes: 1 << 20,
    }
}

async fn rogue_renderer(attack: &str) -> (chandlery_tests::Host, PluginSet) {
    let (host, plugins) = runtime().await;
    let rogue = Wat::new("template-renderer").on("renderer#render", attack);
    let bindings =
        vec![guest::binding("rogue", Kind::Renderer, rogue.component()), guest::echoing_renderer()];
    let set = plugins.build(bindings).await.unwrap();
    (host, set)
}

#[tokio::test]
async fn a_renderer_that_attacks_harms_no_other_job() {
    for (attack, names) in [
        (attack::LOOP, "limit `guest_ms` is 1000"),
        (attack::TRAP, "renderer#render"),
        (attack::ALLOCATE, "limit `memory_bytes`"),
        (attack::RECURSE, "ran out of stack"),
    ] {
        let (_host, set) = rogue_renderer(attack).await;
        let error = set.render("rogue", &job(1)).await.err().unwrap();
        assert!(error.to_string().contains(names), "{error}");
        let outputs = set.render("echoing-renderer", &job(1)).await.unwrap().unwrap();
        assert_eq!(outputs[0].text, "a: b");
    }
}

#[tokio::test]
async fn a_hook_that_attacks_harms_no_other_call() {
    let (_host, plugins) = runtime().await;
    for (attack, names) in [
        (attack::LOOP, "limit `guest_ms` is 500"),
        (attack::TRAP, "validating#review"),
        (attack::ALLOCATE, "limit `memory_bytes`"),
        (attack::RECURSE, "ran out of stack"),
        (attack::POINT_OUTSIDE, "it trapped"),
    ] {
        let rogue = Wat::new("validating-hook").on("validating#review", attack);
        let mut rogue = guest::binding("rogue", Kind::BeforeHook, rogue.component());
        rogue.actions = vec!["attack".into()];
        let set = plugins.build(vec![rogue, guest::passing_hook()]).await.unwrap();
        let error = set.review(operation("attack", "{}")).await.err().unwrap();
        assert!(error.to_string().contains(names), "{error}");
        set.review(operation("behave", "{}")).await.unwrap();
    }
}

#[tokio::test]
async fn a_deployer_that_attacks_is_stopped() {
    let (_host, plugins) = runtime().await;
    let rogue = Wat::new("deployment-platform").on("deployer#describe", attack::LOOP);
    let mut rogue = guest::binding("rogue", Kind::Deployer, rogue.component());
    rogue.limits.wall_ms = Some(100);
    let set = plugins.build(vec![rogue]).await.unwrap();
    let deployer = set.deployer("rogue").unwrap();
    let error = deployer.describe(&crate::deployers::scope()).await.err().unwrap();
    assert!(error.to_string().contains("limit `wall_ms` is 100"), "{error}");
}
