//! Shows the settings in force, one a line, with where each came from.
//!
//! What may be a secret is masked: values under keys that sound like one, and in
//! addresses passwords, users without one, and parts of the query that sound like one. Where a secret is only pointed at (`env:NAME`,
//! `file:PATH`), the pointer is shown.

use std::fmt::Write;

use serde_json::Value;

use super::sources::Loaded;

const MASK: &str = "***";

/// The settings in force as text.
pub fn show(loaded: &Loaded) -> String {
    let mut lines = Vec::new();
    let all = serde_json::to_value(&loaded.config).expect("settings are plain data");
    flatten(&all, String::new(), &mut lines);

    let width = lines.iter().map(|(key, value)| key.len() + value.len()).filter(|it| *it < 60);
    let width = width.max().unwrap_or_default() + 3;
    let mut text = String::new();
    for (key, value) in lines {
        let line = format!("{key} = {value}");
        let origin = loaded.origin(&key);
        writeln!(text, "{line:width$}  # {origin}").expect("a string takes everything");
    }
    text
}

/// Settings of a plugin with what may be a secret masked.
pub fn without_secrets(settings: &Value) -> Value {
    masked_below("", settings)
}

fn masked_below(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(table) => {
            let below = |(name, it): (&String, &Value)| {
                (name.clone(), masked_below(&format!("{key}.{name}"), it))
            };
            Value::Object(table.iter().map(below).collect())
        }
        Value::Array(items) if items.iter().any(|it| it.is_object() || it.is_array()) => {
            items.iter().map(|it| masked_below(key, it)).collect()
        }
        value => masked(key, value),
    }
}

fn flatten(value: &Value, key: String, lines: &mut Vec<(String, String)>) {
    let below = |name: &str| match key.is_empty() {
        true => name.to_owned(),
        false => format!("{key}.{name}"),
    };
    match value {
        Value::Null => {}
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                flatten(value, below(name), lines);
            }
        }
        Value::Array(items) if items.iter().any(|it| it.is_object() || it.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, below(&index.to_string()), lines);
            }
        }
        value => lines.push((key.clone(), masked(&key, value).to_string())),
    }
}

fn masked(key: &str, value: &Value) -> Value {
    if let Value::Array(items) = value
        && !is_secret(key)
    {
        return items.iter().map(|it| masked(key, it)).collect();
    }
    let Value::String(text) = value else {
        return match is_secret(key) && !value.is_boolean() && !is_empty(value) {
            true if !under_grants(key) => MASK.into(),
            _ => value.clone(),
        };
    };
    let pointer = text.starts_with("env:") || text.starts_with("file:");
    if is_secret(key) && !pointer && !text.is_empty() {
        return MASK.into();
    }
    without_secrets_in(text).into()
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|it| it.is_empty())
}

/// Grants hold the names of secrets, never secrets.
fn under_grants(key: &str) -> bool {
    key.split('.').any(|it| it == "grants")
}

/// Whether any part of the key sounds like a secret.
fn is_secret(key: &str) -> bool {
    if key == "basic_auth_username" {
        return false;
    }
    key.split('.').flat_map(words).any(|it| {
        let it = it.to_lowercase();
        let it = it.trim_end_matches('s');
        ["password", "passwd", "passphrase", "secret", "token", "key", "apikey", "credential"]
            .contains(&it)
            || ["auth", "sig", "signature", "pwd"].contains(&it)
            || it == "authorization"
    })
}

/// `apiKey`, `api_key` and `api-key` are each two words.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if letter.is_alphanumeric()
            && let Some(last) = words.last_mut()
        {
            last.push(letter);
        }
    }
    words
}

/// `https://user:password@host/?token=secret` without its secrets. A user without
/// a password is likely to be a token.
fn without_secrets_in(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return text.to_owned() };
    let query = url.query().map(masked_query);
    let query = query.filter(|it| url.query() != Some(it));
    let masked = match (url.password(), url.username()) {
        (Some(_), _) => url.set_password(Some(MASK)),
        (None, "") if query.is_none() => return text.to_owned(),
        (None, "") => Ok(()),
        (None, _) => url.set_username(MASK),
    };
    if masked.is_err() {
        return MASK.to_owned();
    }
    if query.is_some() {
        url.set_query(query.as_deref());
    }
    url.into()
}

fn masked_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_secret(name) && !value.is_empty() => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn shown(plugins: &str) -> String {
        let variables = vec![("CHANDLERY_PLUGINS".to_owned(), plugins.to_owned())];
        show(&Sources { variables, ..Sources::default() }.load().unwrap())
    }

    #[test]
    fn every_value_is_shown_with_its_origin() {
        let text = shown("[]");
        let line = |key: &str| {
            let line = text.lines().find(|it| it.starts_with(&format!("{key} = ")));
            line.unwrap_or_else(|| panic!("{key} is in\n{text}"))
        };
        assert!(line("listen").starts_with("listen = \"127.0.0.1:7577\""));
        assert!(line("listen").ends_with("# default"));
        assert!(line("plugins").ends_with("# variable CHANDLERY_PLUGINS"));
        assert!(line("limits.json_bytes_max").contains(" = 1048576 "));
    }

    #[test]
    fn settings_are_shown_without_their_secrets() {
        let settings = serde_json::json!({
            "urls": [{ "url": "https://a:hunter2@b/", "secret": "hunter2" }], "tokens": ["hunter2"],
            "nested": { "password": { "deep": "hunter2" } }, "colour": "red", "count": 3,
        });
        let shown = without_secrets(&settings);
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_eq!((&shown["colour"], &shown["count"]), (&"red".into(), &3.into()));
        assert_eq!(shown["urls"][0]["url"], "https://a:***@b/");
    }

    #[test]
    fn secrets_are_masked() {
        let text = shown(
            r#"[{"name": "mail", "kind": "after-hook",
                 "settings": {"hook": "https://example.org/in?room=7&access_token=hunter2&x",
                              "mirrors": ["https://hunter2@example.org/", "https://a:hunter2@b/"],
                              "plain": ["https://example.org/?q=1#top", "urn:a"],
                              "url": "https://ana:hunter2@example.org/x", "smtpPassword": "hunter2",
                              "api_key": "hunter2", "tokens": ["hunter2"], "pin-token": 12345,
                              "nested": {"secret": {"deep": "hunter2"}}, "monkey": "banana"},
                 "secrets": {"signing": "env:SIGNING", "other": "hunter2"}}]"#,
        );
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!text.contains("12345"), "{text}");
        assert!(text.contains("https://ana:***@example.org/x"), "{text}");
        assert!(text.contains("https://example.org/in?room=7&access_token=***&x"), "{text}");
        assert!(text.contains(r#"["https://***@example.org/","https://a:***@b/"]"#), "{text}");
        assert!(text.contains(r#"["https://example.org/?q=1#top","urn:a"]"#), "{text}");
        assert!(text.contains("env:SIGNING"), "{text}");
        assert!(text.contains("banana"), "{text}");
    }
}
