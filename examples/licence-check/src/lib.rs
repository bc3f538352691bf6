//! Refuses releases whose licence is not among the allowed ones.
//!
//! The member `license` of a release is an SPDX expression: identifiers joined by `AND`
//! and `OR`, with parentheses, and `WITH` before an exception. It is allowed where there
//! is a way to choose at each `OR` so that everything chosen is.

mod expression;
mod settings;

use std::cell::RefCell;

use chandlery_sdk::{
    before_hook::{
        self, Denial, Diagnostic, Lifecycle, Operation, PluginError, Validating, Verdict,
    },
    log,
};
use serde_json::Value;

use crate::settings::{Missing, Settings};

struct LicenceCheck;

// A guest is made for one call: this lasts from `configure` to the end of `review`.
thread_local! {
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

impl Lifecycle for LicenceCheck {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        let wrong = |(place, why): (String, String)| Diagnostic::error("settings", place, why);
        Settings::read(&settings).err().map(wrong).into_iter().collect()
    }

    fn configure(settings: String) -> Result<(), String> {
        log::panics();
        let settings = Settings::read(&settings).map_err(|(place, why)| format!("{place}: {why}"));
        SETTINGS.set(settings?);
        Ok(())
    }
}

impl Validating for LicenceCheck {
    fn review(operation: Operation) -> Result<Verdict, PluginError> {
        let object: Value = serde_json::from_str(&operation.object)
            .map_err(|it| PluginError::permanent("object", it.to_string()))?;
        SETTINGS.with_borrow(|settings| Ok(verdict(settings, &object)))
    }
}

fn verdict(settings: &Settings, object: &Value) -> Verdict {
    let licence = object.get("license").and_then(Value::as_str).unwrap_or_default();
    if licence.trim().is_empty() {
        return missing(settings.missing);
    }
    let refused = match expression::check(licence, |it| settings.allows(it)) {
        Ok(refused) => refused,
        Err(why) => {
            return denial("licence.unreadable", format!("`{licence}` is no licence: {why}"));
        }
    };
    match refused.as_slice() {
        [] => Verdict::Allow,
        some => denial(
            "licence.not-allowed",
            format!("`{licence}` is not allowed here, because of {}", some.join(", ")),
        ),
    }
}

fn missing(what_then: Missing) -> Verdict {
    let message = "the release names no licence";
    match what_then {
        Missing::Allow => Verdict::Allow,
        Missing::Warn => Verdict::AllowWithWarnings(vec![message.to_owned()]),
        Missing::Refuse => denial("licence.missing", message.to_owned()),
    }
}

fn denial(code: &str, message: String) -> Verdict {
    let findings = vec![Diagnostic::error(code, "/license", &message)];
    Verdict::Deny(Denial { code: code.to_owned(), message, findings })
}

before_hook::export!(LicenceCheck);
