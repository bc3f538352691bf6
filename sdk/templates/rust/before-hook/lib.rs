//! Refuses releases that lack what the settings require.

use std::cell::RefCell;

use chandlery_sdk::{
    before_hook::{
        self, Denial, Diagnostic, Lifecycle, Operation, PluginError, Validating, Verdict,
    },
    log,
};
use serde_json::Value;

struct Plugin;

// A guest is made for one call: this lasts from `configure` to the end of `review`.
thread_local! {
    static REQUIRED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Lifecycle for Plugin {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        match required(&settings) {
            Ok(_) => Vec::new(),
            Err(why) => vec![Diagnostic::error("settings", "required", why)],
        }
    }

    fn configure(settings: String) -> Result<(), String> {
        log::panics();
        REQUIRED.set(required(&settings)?);
        Ok(())
    }
}

impl Validating for Plugin {
    fn review(operation: Operation) -> Result<Verdict, PluginError> {
        let object: Value = serde_json::from_str(&operation.object)
            .map_err(|it| PluginError::permanent("object", it.to_string()))?;
        REQUIRED.with_borrow(|required| Ok(verdict(required, &object)))
    }
}

fn verdict(required: &[String], object: &Value) -> Verdict {
    match required.iter().find(|name| is_missing(object, name)) {
        None => Verdict::Allow,
        Some(name) => Verdict::Deny(Denial {
            code: "metadata.missing".to_owned(),
            message: format!("a release needs a `{name}`"),
            findings: Vec::new(),
        }),
    }
}

fn is_missing(object: &Value, name: &str) -> bool {
    object.get(name).is_none_or(|it| it.is_null() || it == "")
}

/// Reads the settings: `{"required": ["license"]}`.
fn required(settings: &str) -> Result<Vec<String>, String> {
    let settings: Value = serde_json::from_str(settings).map_err(|it| it.to_string())?;
    let Some(names) = settings.get("required") else { return Ok(Vec::new()) };
    let names = names.as_array().ok_or("it is no list of names")?;
    let name = |it: &Value| it.as_str().map(str::to_owned).ok_or("it is no list of names".into());
    names.iter().map(name).collect()
}

before_hook::export!(Plugin);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_text_is_missing() {
        assert!(is_missing(&json!({"license": ""}), "license"));
        assert!(!is_missing(&json!({"license": "MIT"}), "license"));
    }
}
