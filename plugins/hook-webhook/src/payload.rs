//! What is posted, as JSON. The object goes in as the text that it is.

use chandlery_sdk::hook::{Event, Operation, Principal, PrincipalKind, Target};
use serde_json::{Map, Value, json};

/// An event. The same on every attempt, so the number of the attempt is not in it. Its
/// object is handed over apart: not all of it is for everybody.
pub(crate) fn event(event: &Event, object: Option<&str>) -> String {
    let mut facts = json!({
        "id": event.id,
        "sequence": event.sequence,
        "action": event.action,
        "at": event.at,
        "target": target(&event.target),
        "actor": actor(&event.actor),
    });
    if let Some(failure) = &event.failure {
        facts["failure"] = failure.as_str().into();
    }
    with(facts, &[("object", object)])
}

/// An operation to be judged.
pub(crate) fn operation(operation: &Operation) -> String {
    let facts = json!({
        "id": operation.id,
        "action": operation.action,
        "target": target(&operation.target),
        "actor": actor(&operation.actor),
        "dry_run": operation.dry_run,
    });
    let object = Some(operation.object.as_str());
    with(facts, &[("object", object), ("previous", operation.previous.as_deref())])
}

fn target(target: &Target) -> Value {
    let labels = target.labels.iter().map(|it| (it.key.clone(), Value::from(it.value.clone())));
    json!({
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
        "version": target.version,
        "labels": labels.collect::<Map<_, _>>(),
    })
}

fn actor(principal: &Principal) -> Value {
    let kind = match principal.kind {
        PrincipalKind::User => "user",
        PrincipalKind::Service => "service",
        PrincipalKind::Plugin => "plugin",
        PrincipalKind::Anonymous => "anonymous",
    };
    json!({ "id": principal.id, "kind": kind, "groups": principal.groups })
}

/// The facts with members whose values are JSON text already.
fn with(facts: Value, members: &[(&str, Option<&str>)]) -> String {
    let mut text = facts.to_string();
    text.pop();
    for (name, json) in members {
        text += &format!(",\"{name}\":{}", json.unwrap_or("null"));
    }
    text + "}"
}
