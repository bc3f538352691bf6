//! The plugin's settings.

use crate::engine::{
    Finding,
    json::{self, Json},
};

/// What an operator may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether `{{x}}` is escaped for HTML, as Skipper does. `{{{x}}}` never is.
    pub(crate) escape: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { escape: true }
    }
}

impl Settings {
    /// Reads settings, or says all that is wrong with them, each with its place as
    /// a JSON pointer.
    pub(crate) fn read(text: &str) -> Result<Settings, Vec<(String, Finding)>> {
        let bad = |place: String, what: String, hint: &str| {
            (place, Finding::error("settings.invalid", what).hint(hint))
        };
        let object = match json::parse(text) {
            Ok(Json::Object(it)) => it,
            Ok(Json::Null) => return Ok(Settings::default()),
            Ok(_) => {
                let what = "the settings must be an object".to_owned();
                return Err(vec![bad(String::new(), what, "write `{}` for none")]);
            }
            Err(why) => {
                let what = format!("the settings are no JSON: {why}");
                return Err(vec![bad(String::new(), what, "write `{}` for none")]);
            }
        };
        let mut settings = Settings::default();
        let mut findings = Vec::new();
        for (key, value) in object.iter() {
            match (key, value) {
                ("escape", Json::Bool(it)) => settings.escape = *it,
                ("escape", _) => {
                    let what = "`escape` must be true or false".to_owned();
                    let hint = "false prints `{{x}}` as it is; true escapes it for HTML";
                    findings.push(bad("/escape".to_owned(), what, hint));
                }
                (key, _) => {
                    let what = format!("`{key}` is not a setting of this plugin");
                    let place = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                    findings.push(bad(place, what, "the settings are: `escape`"));
                }
            }
        }
        if findings.is_empty() { Ok(settings) } else { Err(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_the_default_and_can_be_switched_off() {
        for (text, escape) in [
            ("{}", true),
            ("null", true),
            (r#"{"escape":true}"#, true),
            (r#"{"escape":false}"#, false),
        ] {
            assert_eq!(Settings::read(text), Ok(Settings { escape }), "{text}");
        }
    }

    #[test]
    fn each_wrong_setting_is_named() {
        let check = |text: &str, expected: &[&str]| {
            let places = Settings::read(text).unwrap_err().into_iter().map(|it| it.0);
            assert_eq!(places.collect::<Vec<_>>(), expected, "{text}");
        };
        check(r#"{"escape": "no", "strict": 1, "a/b": 2}"#, &["/escape", "/strict", "/a~1b"]);
        check("[]", &[""]);
        check("{", &[""]);
    }
}
