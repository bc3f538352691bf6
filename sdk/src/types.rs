//! Data that every kind of plugin shares.

pub use crate::bindings::host::chandlery::types::types::{
    Diagnostic, Label, PluginError, Principal, PrincipalKind, RequestInfo, Severity, Target,
};

impl Label {
    /// Returns a named text.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Label {
        Label { key: key.into(), value: value.into() }
    }
}

impl Diagnostic {
    /// Returns a finding that stops what was being done. `place` is a template's
    /// name, a JSON pointer or a property's name.
    pub fn error(code: &str, place: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: code.to_owned(),
            message: message.into(),
            place: place.into(),
            line: 0,
            column: 0,
            hint: None,
        }
    }

    /// Returns a finding that stops nothing.
    pub fn warning(code: &str, place: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, place, message) }
    }

    /// Adds the place in the text; both count from 1.
    pub fn at(self, line: u32, column: u32) -> Diagnostic {
        Diagnostic { line, column, ..self }
    }

    /// Adds how to mend it.
    pub fn hint(self, hint: impl Into<String>) -> Diagnostic {
        Diagnostic { hint: Some(hint.into()), ..self }
    }
}

impl PluginError {
    /// Returns a failure that the same call would meet again.
    pub fn permanent(code: &str, message: impl Into<String>) -> PluginError {
        PluginError {
            code: code.to_owned(),
            message: message.into(),
            retryable: false,
            retry_after_ms: None,
            details: None,
        }
    }

    /// Returns a failure that may be gone when the same call is made again.
    pub fn temporary(code: &str, message: impl Into<String>) -> PluginError {
        PluginError { retryable: true, ..PluginError::permanent(code, message) }
    }
}
