//! The settings: `{"allowed": ["Apache-2.0"], "missing": "warn"}`.

use serde_json::Value;

/// What is done with a release that names no licence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Missing {
    #[default]
    Refuse,
    Warn,
    Allow,
}

/// What an operator has set.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// In small letters: SPDX does not tell them from large ones.
    allowed: Vec<String>,
    pub(crate) missing: Missing,
}

impl Settings {
    /// Reads them. The error is a place and what is wrong there.
    pub(crate) fn read(text: &str) -> Result<Settings, (String, String)> {
        let wrong = |place: &str, why: &str| (place.to_owned(), why.to_owned());
        let settings: Value =
            serde_json::from_str(text).map_err(|it| wrong("", &it.to_string()))?;
        let Some(list) = settings.get("allowed").and_then(Value::as_array) else {
            return Err(wrong("/allowed", "a list of SPDX identifiers is needed"));
        };
        let mut allowed = Vec::new();
        for (index, it) in list.iter().enumerate() {
            match it.as_str().map(str::trim) {
                Some(name) if !name.is_empty() => allowed.push(name.to_ascii_lowercase()),
                _ => return Err(wrong(&format!("/allowed/{index}"), "it is no SPDX identifier")),
            }
        }
        let missing = match settings.get("missing").map(Value::as_str) {
            None | Some(Some("refuse")) => Missing::Refuse,
            Some(Some("warn")) => Missing::Warn,
            Some(Some("allow")) => Missing::Allow,
            Some(_) => return Err(wrong("/missing", "it is `refuse`, `warn` or `allow`")),
        };
        Ok(Settings { allowed, missing })
    }

    /// Whether a licence, with its exception where it has one, is allowed.
    pub(crate) fn allows(&self, licence: &str) -> bool {
        self.allowed.contains(&licence.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, place) in [
            ("nonsense", ""),
            ("{}", "/allowed"),
            (r#"{"allowed": ["MIT", 5]}"#, "/allowed/1"),
            (r#"{"allowed": [" "]}"#, "/allowed/0"),
            (r#"{"allowed": [], "missing": "shrug"}"#, "/missing"),
        ] {
            assert_eq!(Settings::read(text).unwrap_err().0, place, "{text}");
        }
    }

    #[test]
    fn large_and_small_letters_are_the_same() {
        let settings = Settings::read(r#"{"allowed": ["apache-2.0"], "missing": "warn"}"#).unwrap();
        assert!(settings.allows("Apache-2.0") && !settings.allows("MIT"));
        assert_eq!(settings.missing, Missing::Warn);
    }
}
