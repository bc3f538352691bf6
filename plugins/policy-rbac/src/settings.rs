//! Reads the settings, and the data set of the same shape:
//!
//! ```json
//! {
//!     "roles": { "auditor": ["inventory:*", "release:list"] },
//!     "bindings": [
//!         { "principal": "user:ana", "role": "owner", "namespaces": ["acme", "team-*"] },
//!         { "group": "*", "role": "reader" }
//!     ]
//! }
//! ```
//!
//! The group `*` is everybody, also those who did not say who they are. Namespaces left
//! out are all.

use chandlery_sdk::policy::Diagnostic;
use serde_json::{Map, Value};

use crate::{
    model::{Binding, Model, Role, Who},
    roles,
};

/// Reads what can be read, with a finding for everything that cannot.
pub(crate) fn read(text: &str) -> (Model, Vec<Diagnostic>) {
    // Asked on every request, most often with nothing: no parser for that.
    if matches!(text.trim(), "" | "{}" | "null") {
        return (Model::new(), Vec::new());
    }
    let mut reader = Reader { findings: Vec::new() };
    let model = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => reader.model(&object),
        Ok(_) => {
            reader.wrong("", "the settings are not a JSON object");
            Model::new()
        }
        Err(error) => {
            reader.wrong("", format!("the settings are no JSON: {error}"));
            Model::new()
        }
    };
    (model, reader.findings)
}

struct Reader {
    findings: Vec<Diagnostic>,
}

impl Reader {
    fn wrong(&mut self, place: &str, message: impl Into<String>) {
        self.findings.push(Diagnostic::error("settings", place, message));
    }

    fn model(&mut self, object: &Map<String, Value>) -> Model {
        self.only(object, "", &["roles", "bindings"]);
        let mut defined = Vec::new();
        match object.get("roles") {
            None => {}
            Some(Value::Object(roles)) => {
                defined = roles.iter().filter_map(|(name, it)| self.role(name, it)).collect();
            }
            Some(_) => {
                self.wrong("/roles", "`roles` is not an object of names and lists of actions")
            }
        }
        let mut bindings = Vec::new();
        match object.get("bindings") {
            None => {}
            Some(Value::Array(list)) => {
                for (index, it) in list.iter().enumerate() {
                    bindings.extend(self.binding(&format!("/bindings/{index}"), it, &defined));
                }
            }
            Some(_) => self.wrong("/bindings", "`bindings` is not a list"),
        }
        Model::of(defined, bindings)
    }

    fn role(&mut self, name: &str, value: &Value) -> Option<Role> {
        let place = format!("/roles/{}", name.replace('~', "~0").replace('/', "~1"));
        if roles::actions(name).is_some() {
            self.wrong(&place, format!("`{name}` is built in: choose another name"));
            return None;
        }
        let actions = self.patterns(&place, value, "actions")?;
        Some(Role { name: name.to_owned(), actions })
    }

    fn binding(&mut self, place: &str, value: &Value, defined: &[Role]) -> Option<Binding> {
        let Value::Object(object) = value else {
            self.wrong(place, "a binding is an object with `principal` or `group`, and `role`");
            return None;
        };
        self.only(object, place, &["principal", "group", "role", "namespaces"]);
        let principal = self.text(object, place, "principal");
        let group = self.text(object, place, "group");
        let who = match (principal, group) {
            (Some(id), None) => Some(Who::Principal(id)),
            (None, Some(group)) if group == "*" => Some(Who::Everybody),
            (None, Some(group)) => Some(Who::Group(group)),
            (Some(_), Some(_)) => {
                self.wrong(place, "both `principal` and `group`: make two bindings of it");
                None
            }
            (None, None) => {
                let named = ["principal", "group"].iter().any(|it| object.contains_key(*it));
                if !named {
                    self.wrong(place, "neither `principal` nor `group`: say who holds the role");
                }
                None
            }
        };
        let role = self.role_name(object, place, defined);
        let namespaces = match object.get("namespaces") {
            None => Some(vec!["*".to_owned()]),
            Some(list) => self.patterns(&format!("{place}/namespaces"), list, "namespaces"),
        };
        self.vain(place, role.as_deref(), namespaces.as_deref());
        Some(Binding { who: who?, role: role?, namespaces: namespaces?, place: place.to_owned() })
    }

    fn role_name(
        &mut self,
        object: &Map<String, Value>,
        place: &str,
        defined: &[Role],
    ) -> Option<String> {
        if !object.contains_key("role") {
            self.wrong(place, "no `role`: say what is held");
        }
        let role = self.text(object, place, "role")?;
        if roles::actions(&role).is_none() && !defined.iter().any(|it| it.name == role) {
            let known = roles::NAMES.join("`, `");
            let what =
                format!("there is no role `{role}`: use `{known}`, or define it under `roles`");
            self.wrong(&format!("{place}/role"), what);
            return None;
        }
        Some(role)
    }

    /// Warns of a role that can never be used where it is held.
    fn vain(&mut self, place: &str, role: Option<&str>, namespaces: Option<&[String]>) {
        let (Some(role @ ("view" | "create")), Some(namespaces)) = (role, namespaces) else {
            return;
        };
        if !namespaces.iter().any(|it| it == "*") {
            self.findings.push(Diagnostic::warning(
                "settings",
                format!("{place}/namespaces"),
                format!("packages and releases lie in no namespace: `{role}` must be held in `*`"),
            ));
        }
    }

    /// A list of names, each of which may end with `*`.
    fn patterns(&mut self, place: &str, value: &Value, what: &str) -> Option<Vec<String>> {
        let Value::Array(list) = value else {
            self.wrong(place, format!("this is not a list of {what}"));
            return None;
        };
        if list.is_empty() {
            self.wrong(place, format!("the list of {what} is empty"));
        }
        let mut patterns = Vec::new();
        for (index, it) in list.iter().enumerate() {
            match it.as_str() {
                Some(text) if is_pattern(text) => patterns.push(text.to_owned()),
                _ => self.wrong(
                    &format!("{place}/{index}"),
                    format!("{it} is no name: `*` may stand at its end only"),
                ),
            }
        }
        Some(patterns)
    }

    fn text(&mut self, object: &Map<String, Value>, place: &str, name: &str) -> Option<String> {
        match object.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.wrong(&format!("{place}/{name}"), format!("`{name}` is not a name"));
                None
            }
        }
    }

    fn only(&mut self, object: &Map<String, Value>, place: &str, known: &[&str]) {
        for name in object.keys().filter(|it| !known.contains(&it.as_str())) {
            let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
            self.wrong(
                &place,
                format!("`{name}` is not known: there are `{}`", known.join("`, `")),
            );
        }
    }
}

fn is_pattern(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    !text.is_empty() && !name.contains(|it: char| it == '*' || it.is_whitespace())
}
