//! From what a plugin answered to JSON, in the words of `wit/`.

use serde_json::{Value, json};

use crate::plugins::{
    Looked,
    deployer::{AppStatus, LogPage, Placement, State},
    notifying_hook::Outcome,
    policy::{Decision, Effect},
    renderer::Output,
    types::{Diagnostic, Label, PluginError, Severity},
    validating_hook::Denial,
};

/// A before-hook's. `mutate` is the object as the patch leaves it.
pub(super) fn verdict(it: Result<Looked, Denial>) -> Value {
    match it {
        Ok(Looked { object: Some(object), .. }) => json!({"mutate": parsed(&object)}),
        Ok(it) if !it.warnings.is_empty() => json!({"allow-with-warnings": it.warnings}),
        Ok(_) => json!("allow"),
        Err(it) => json!({"deny": {
            "code": it.code,
            "message": it.message,
            "findings": findings(&it.findings),
        }}),
    }
}

/// An after-hook's.
pub(super) fn outcomes(all: &[Outcome]) -> Value {
    all.iter()
        .map(|it| match it {
            Outcome::Done => json!("done"),
            Outcome::Retry(None) => json!("retry"),
            Outcome::Retry(Some(after_ms)) => json!({"retry": after_ms}),
            Outcome::Drop(why) => json!({"drop": why}),
        })
        .collect()
}

/// A policy's.
pub(super) fn decision(it: &Decision) -> Value {
    let effect = match it.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
        Effect::Abstain => "abstain",
    };
    let obligations: Vec<Value> = it
        .obligations
        .iter()
        .map(|it| json!({"kind": it.kind, "params": labels(&it.params), "binding": it.binding}))
        .collect();
    json!({
        "effect": effect,
        "reason": it.reason,
        "rules": it.rules,
        "obligations": obligations,
        "cache-ms": it.cache_ms,
    })
}

/// A renderer's.
pub(super) fn rendered(it: &Result<Vec<Output>, Vec<Diagnostic>>) -> Value {
    match it {
        Ok(outputs) => {
            let output = |it: &Output| {
                json!({
                    "name": it.name, "text": it.text, "findings": findings(&it.findings),
                })
            };
            json!({"outputs": outputs.iter().map(output).collect::<Value>()})
        }
        Err(it) => json!({"findings": findings(it)}),
    }
}

/// What was found, alone.
pub(super) fn found(it: &[Diagnostic]) -> Value {
    json!({"findings": findings(it)})
}

/// A deployer's.
pub(super) fn placement(it: Result<Placement, PluginError>) -> Value {
    match it {
        Ok(it) => json!({"handle": parsed(&it.handle), "status": app_status(&it.status)}),
        Err(it) => error(&it),
    }
}

/// A deployer's, of one application.
pub(super) fn status(it: &Result<AppStatus, PluginError>) -> Value {
    match it {
        Ok(it) => app_status(it),
        Err(it) => error(it),
    }
}

/// A deployer's.
pub(super) fn log_page(it: Result<LogPage, PluginError>) -> Value {
    match it {
        Ok(it) => json!({"text": it.text, "next": it.next}),
        Err(it) => error(&it),
    }
}

/// One label a member; a list where a name comes twice.
pub(super) fn labels(all: &[Label]) -> Value {
    let is_twice = |(index, it): (usize, &Label)| all[..index].iter().any(|one| one.key == it.key);
    if all.iter().enumerate().any(is_twice) {
        return all.iter().map(|it| json!({"key": it.key, "value": it.value})).collect();
    }
    Value::Object(all.iter().map(|it| (it.key.clone(), json!(it.value))).collect())
}

fn app_status(it: &AppStatus) -> Value {
    let instances: Vec<Value> = it
        .instances
        .iter()
        .map(|it| {
            json!({
                "id": it.id, "state": state(it.state), "attributes": labels(&it.attributes),
            })
        })
        .collect();
    json!({
        "deployment-id": it.deployment_id,
        "state": state(it.state),
        "message": it.message,
        "instances": instances,
        "poll-after-ms": it.poll_after_ms,
    })
}

fn state(it: State) -> &'static str {
    match it {
        State::Unknown => "unknown",
        State::Deploying => "deploying",
        State::Deployed => "deployed",
        State::Partial => "partial",
        State::Failed => "failed",
        State::Undeployed => "undeployed",
        State::Error => "error",
    }
}

fn error(it: &PluginError) -> Value {
    json!({"error": {
        "code": it.code,
        "message": it.message,
        "retryable": it.retryable,
        "retry-after-ms": it.retry_after_ms,
        "details": it.details.as_deref().map(parsed),
    }})
}

fn findings(all: &[Diagnostic]) -> Value {
    all.iter()
        .map(|it| {
            let severity = match it.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            json!({
                "severity": severity,
                "code": it.code,
                "message": it.message,
                "place": it.place,
                "line": it.line,
                "column": it.column,
                "hint": it.hint,
            })
        })
        .collect()
}

/// JSON text as what it says; what is none stays a text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
