//! Lets named people in, and everybody look around.

use std::cell::RefCell;

use chandlery_sdk::policy::{
    self, Decision, Diagnostic, Effect, Lifecycle, PluginError, Policy, Principal, Question, Reach,
    Target,
};
use serde_json::Value;

struct Plugin;

// A guest is made for one call: this lasts from `configure` to the end of `authorize`.
thread_local! {
    static PEOPLE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Lifecycle for Plugin {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        match people(&settings) {
            Ok(_) => Vec::new(),
            Err(why) => vec![Diagnostic::error("settings", "people", why)],
        }
    }

    fn configure(settings: String) -> Result<(), String> {
        PEOPLE.set(people(&settings)?);
        Ok(())
    }
}

impl Policy for Plugin {
    fn authorize(question: Question) -> Result<Decision, PluginError> {
        PEOPLE.with_borrow(|people| Ok(decision(people, &question)))
    }

    // The server does not call these yet.

    fn load(_revision: u64, _data: String) -> Result<(), PluginError> {
        Ok(())
    }

    fn filter(question: Question, targets: Vec<Target>) -> Result<Vec<bool>, PluginError> {
        let ask = |target| Self::authorize(Question { target, ..question.clone() });
        targets.into_iter().map(|it| Ok(ask(it)?.effect == Effect::Allow)).collect()
    }

    fn reach_of(_who: Principal, _action: String, _kind: String) -> Result<Reach, PluginError> {
        Ok(Reach::Each)
    }
}

/// Actions are an open set: what is not known must have an answer, too.
fn decision(people: &[String], question: &Question) -> Decision {
    let who = &question.principal.id;
    if people.contains(who) {
        return Decision::allow("people");
    }
    match question.action.rsplit(':').next() {
        Some("read" | "list" | "download" | "search") => Decision::allow("look"),
        _ => Decision::deny("people", format!("`{who}` may look around, and nothing else")),
    }
}

/// Reads the settings: `{"people": ["user:ana"]}`.
fn people(settings: &str) -> Result<Vec<String>, String> {
    let settings: Value = serde_json::from_str(settings).map_err(|it| it.to_string())?;
    let Some(ids) = settings.get("people") else { return Ok(Vec::new()) };
    let ids = ids.as_array().ok_or("it is no list of ids")?;
    let id = |it: &Value| it.as_str().map(str::to_owned).ok_or("it is no list of ids".into());
    ids.iter().map(id).collect()
}

policy::export!(Plugin);
