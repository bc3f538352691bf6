//! What an unquoted word of YAML 1.1 means.

use serde_json::{Number, Value};

/// The value behind a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => match boolean(text) {
            Some(it) => Value::Bool(it),
            None => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
        },
    }
}

/// The boolean behind a word of YAML 1.1, if it is one.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// The number behind a word, with the word's own digits, if JSON has it too.
fn number(text: &str) -> Option<Number> {
    let first = *text.as_bytes().first()?;
    if first != b'-' && !first.is_ascii_digit() {
        return None;
    }
    let number: Number = text.parse().ok()?;
    // `1e3` would be written `1e+3`.
    (number.as_str() == text).then_some(number)
}
