//! What may be put to work, and what is said about the rest.

use chandlery::{
    capabilities::{Grants, http},
    plugins::Kind,
};
use chandlery_tests::guest::{self, Wat, attack};
use serde_json::json;

use crate::{refusal, runtime};

#[tokio::test]
async fn what_is_no_component_is_refused_with_a_sentence() {
    for (bytes, part) in [
        (b"#!/bin/sh\n".to_vec(), "not WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "core WebAssembly module"),
        (b"(component)".to_vec(), "WebAssembly text"),
        (Vec::new(), "empty"),
    ] {
        let message = refusal(guest::binding("odd", Kind::Policy, bytes)).await;
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_damaged_component_is_refused_wherever_it_is_cut() {
    let (_host, plugins) = runtime().await;
    let whole = guest::policy("(i32.const 0)");
    for length in (8..whole.len()).step_by(whole.len() / 40) {
        let binding = guest::binding("cut", Kind::Policy, whole[..length].to_vec());
        assert!(plugins.build(vec![binding]).await.is_err(), "{length}");
    }
}

#[tokio::test]
async fn a_component_that_is_too_large_is_refused() {
    let mut binding = guest::allow_all();
    binding.limits.component_bytes = Some(100);
    let message = refusal(binding).await;
    assert!(message.contains("limit `component_bytes` is 100"), "{message}");
}

#[tokio::test]
async fn what_would_take_a_compiler_too_long_is_refused_before_it_begins() {
    let refused = async |text: &str, part: &str| {
        let mut binding = guest::binding("bulk", Kind::Policy, wat::parse_str(text).unwrap());
        binding.limits.component_bytes = Some(64 << 20);
        let message = refusal(binding).await;
        assert!(message.contains(part), "{message}");
    };
    let types = "(type (func))".repeat(100_001);
    refused(&format!("(component (core module {types}))"), "more than 100000 types").await;
    let modules = "(core module)".repeat(1_001);
    refused(&format!("(component {modules})"), "more than 1000 modules").await;
    let nested = "(component ".repeat(22) + &")".repeat(22);
    refused(&nested, "more than 20 deep").await;
    let body = "(drop (i32.const 1))".repeat((2 << 20) / 3 + 1);
    refused(&format!("(component (core module (func {body})))"), "a function of").await;
}

#[tokio::test]
async fn a_component_of_another_kind_is_refused() {
    let message =
        refusal(guest::binding("odd", Kind::Renderer, guest::policy("(i32.const 0)"))).await;
    assert!(
        message.contains("does not export `chandlery:plugin/renderer`, which a renderer must"),
        "{message}"
    );
}

#[tokio::test]
async fn an_import_needs_its_grant() {
    let clock = Wat::new("validating-hook")
        .import("clock", "now")
        .on("validating#review", "(drop (call $clock-now)) (i32.const 0)");
    let mut binding = guest::binding("timely", Kind::BeforeHook, clock.component());
    let message = refusal(binding.clone()).await;
    assert!(message.contains("set `grants.clock`"), "{message}");

    let (_host, plugins) = runtime().await;
    binding.grants = Grants { clock: true, ..Grants::default() };
    let set = plugins.build(vec![binding]).await.unwrap();
    set.review(crate::operation("a", "{}")).await.unwrap();
}

#[tokio::test]
async fn a_grant_of_one_thing_is_not_a_grant_of_another() {
    let hook = Wat::new("validating-hook")
        .import("secrets", "reveal")
        .on("validating#review", "(unreachable)")
        .component();
    let mut binding = guest::binding("curious", Kind::BeforeHook, hook);
    binding.grants.http = Some(http::Grant::default());
    let message = refusal(binding).await;
    assert!(message.contains("set `grants.secrets`"), "{message}");
}

#[tokio::test]
async fn two_bindings_cannot_have_one_name() {
    let (_host, plugins) = runtime().await;
    let twice = vec![guest::allow_all(), guest::allow_all()];
    let error = plugins.build(twice).await.err().unwrap();
    assert!(error.to_string().contains("two plugins have the name `allow-all`"), "{error}");
}

#[tokio::test]
async fn settings_that_the_plugin_finds_wrong_are_refused_with_its_findings() {
    // One finding: severity error, message `no such colour`, place `/colour`.
    let body = "(i32.store8 (i32.const 512) (i32.const 2))
        (i32.store (i32.const 524) (i32.const 1024)) (i32.store (i32.const 528) (i32.const 14))
        (i32.store (i32.const 532) (i32.const 1040)) (i32.store (i32.const 536) (i32.const 7))
        (i32.store (i32.const 0) (i32.const 512)) (i32.store (i32.const 4) (i32.const 1))
        (i32.const 0)";
    let guest = Wat::new("access-policy")
        .on("lifecycle#check-settings", body)
        .data(1024, b"no such colour")
        .data(1040, b"/colour");
    let mut binding = guest::binding("picky", Kind::Policy, guest.component());
    binding.settings = json!({"colour": "loud"});
    let message = refusal(binding).await;
    assert_eq!(message, "its settings are wrong: `/colour`: no such colour");
}

#[tokio::test]
async fn settings_that_the_plugin_does_not_take_are_refused() {
    let body = "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024))
        (i32.store (i32.const 8) (i32.const 7)) (i32.const 0)";
    let guest = Wat::new("access-policy").on("lifecycle#configure", body).data(1024, b"no, sir");
    let message = refusal(guest::binding("stubborn", Kind::Policy, guest.component())).await;
    assert!(message.contains("did not take its settings: no, sir"), "{message}");
}

#[tokio::test]
async fn a_plugin_that_attacks_while_it_is_checked_is_refused() {
    for (attack, part) in [
        // On a busy machine the clock on the wall may be first.
        (attack::LOOP, "limit `"),
        (attack::TRAP, "trapped"),
        (attack::ALLOCATE, "limit `memory_bytes`"),
    ] {
        let guest = Wat::new("access-policy").on("lifecycle#check-settings", attack);
        let message = refusal(guest::binding("rogue", Kind::Policy, guest.component())).await;
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_plugin_that_attacks_while_it_starts_is_refused() {
    let guest = Wat::new("access-policy")
        .module("(func $start (loop $forever (br $forever))) (start $start)");
    let message = refusal(guest::binding("rogue", Kind::Policy, guest.component())).await;
    assert!(message.contains("limit `"), "{message}");
}

#[tokio::test]
async fn a_memory_that_is_too_large_from_the_start_is_refused() {
    let guest = Wat::new("access-policy").pages(1_000);
    let message = refusal(guest::binding("giant", Kind::Policy, guest.component())).await;
    assert!(message.contains("limit `memory_bytes`"), "{message}");
    let guest = Wat::new("access-policy").pages(60_000);
    let message = refusal(guest::binding("giant", Kind::Policy, guest.component())).await;
    assert!(message.contains("memory"), "{message}");
}
