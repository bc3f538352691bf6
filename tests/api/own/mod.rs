//! Our own endpoints: releases as they really are, and what changes.

mod bindings;
mod events;
mod logs;
mod plan;
mod plugin_commands;
mod plugins;
mod releases;
mod repositories;
mod streams;
mod swaps;

use chandlery_tests::Answer;
use serde_json::Value;

/// Checks an answer that is a problem of that kind, and gives it.
#[track_caller]
fn problem(answer: Answer, status: u16, kind: &str) -> Value {
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body["type"], format!("urn:chandlery:problem:{kind}"), "{body}");
    assert_eq!(body["status"], status, "{body}");
    for member in ["title", "detail", "instance"] {
        assert!(body[member].as_str().is_some_and(|it| !it.is_empty()), "{body}");
    }
    if let Some(id) = body.get("request_id") {
        assert_eq!(id, answer.header("x-request-id"), "{body}");
    }
    body
}
