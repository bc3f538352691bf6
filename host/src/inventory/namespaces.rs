//! Adding and updating namespaces.

use serde::Deserialize;
use serde_json::{Value, to_value};

use super::{
    json::{Doc, FromDoc, Misfit, first, members},
    names::NamespaceName,
    read::shown_namespace,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change,
        namespaces::{NamespaceRecord, namespace, namespace_insert, namespace_put},
        outbox::{Announcement, announce},
    },
};

/// Reads the body of a request to add a namespace.
pub fn read_new_namespace(body: &[u8]) -> Result<(NamespaceName, NamespaceRecord)> {
    let Sent { name, record } = first(body)?;
    if name.is_empty() {
        return Err(Error::invalid("name", "Missing name"));
    }
    Ok((NamespaceName::parse(&name)?, record))
}

/// Reads the body of a request to update the namespace of that name.
pub fn read_namespace_update(body: &[u8], named: &str) -> Result<NamespaceRecord> {
    let Sent { name, record } = first(body)?;
    if name != named {
        let message = "Namespace 'name' field doesn't correspond with URL";
        return Err(Error::invalid("name", message));
    }
    Ok(record)
}

/// Adds a namespace.
pub async fn add_namespace(
    app: &App,
    permit: &Permit,
    name: NamespaceName,
    record: NamespaceRecord,
) -> Result<()> {
    let record = reviewed(app, permit, &name, record, None).await?;
    let told = Announcement::of(permit, Some(object_of(&name, &record)?));
    let work = move |change: &mut dyn Change| {
        namespace_insert(change, &name, &record)?;
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Puts what is said of a namespace in the place of all that was said before. What
/// is in it stays.
pub async fn update_namespace(
    app: &App,
    permit: &Permit,
    name: NamespaceName,
    record: NamespaceRecord,
) -> Result<()> {
    let gone = || Error::not_found("namespace", name.as_str());
    let key = name.clone();
    let previous = app.store.read(move |view| namespace(view, &key)).await?.ok_or_else(gone)?;
    let record = reviewed(app, permit, &name, record, Some(previous)).await?;
    let told = Announcement::of(permit, Some(object_of(&name, &record)?));
    let work = move |change: &mut dyn Change| {
        if namespace(change, &name)?.is_none() {
            return Err(Error::not_found("namespace", name.as_str()));
        }
        namespace_put(change, &name, &record)?;
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Asks the before-hooks, which may change all of it but the name.
async fn reviewed(
    app: &App,
    permit: &Permit,
    name: &NamespaceName,
    record: NamespaceRecord,
    previous: Option<NamespaceRecord>,
) -> Result<NamespaceRecord> {
    let object = object_of(name, &record)?;
    let previous = previous.map(|it| object_of(name, &it)).transpose()?;
    let amended = |object: Value, _: &NamespaceRecord| {
        let amended = Amended::deserialize(object).map_err(|it| it.to_string())?;
        let Amended { name: named, description, org_url, logo, permission, is_public } = amended;
        if (&*named, &*permission) != (name.as_str(), "admin") {
            return Err("the name and the permission of a namespace stay as they are".to_owned());
        }
        Ok(NamespaceRecord { description, org_url, logo, is_public })
    };
    permit.reviewed(app, record, object, previous, amended).await
}

fn object_of(name: &NamespaceName, record: &NamespaceRecord) -> Result<Value> {
    let shown = shown_namespace(name.to_string(), record.clone());
    to_value(&shown).map_err(|it| Error::Internal(it.to_string()))
}

/// A namespace as a hook leaves it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amended {
    name: String,
    description: String,
    org_url: String,
    logo: String,
    permission: String,
    is_public: bool,
}

/// A namespace as a client sends it.
#[derive(Debug, Default)]
struct Sent {
    name: String,
    record: NamespaceRecord,
}

impl FromDoc for Sent {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "name" => self.name.read(it),
            "description" => self.record.description.read(it),
            "org_url" => self.record.org_url.read(it),
            "logo" => self.record.logo.read(it),
            "is_public" => self.record.is_public.read(it),
            // Known to the original, which has no use for them here either.
            "permission" => String::new().read(it),
            "hooks" => super::hooks_document::Hooks::new().read(it),
            _ => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{NamespaceRecord, read_namespace_update, read_new_namespace};

    fn added(body: &str) -> Result<(String, NamespaceRecord), String> {
        let read = read_new_namespace(body.as_bytes());
        read.map(|(name, record)| (name.to_string(), record)).map_err(|it| it.to_string())
    }

    #[test]
    fn one_value_is_read_and_what_follows_it_is_not_looked_at() {
        for body in [
            r#"{"name":"gamma"}"#,
            r#"{"name":"gamma"} trailing"#,
            r#"{"name":"gamma"}{"name":5}"#,
            " \n{\"name\":\"gamma\"}\u{0}",
            r#"{"NAME":"delta","Name":"gamma"}"#,
            r#"{"name":"gamma","name":null,"project":7,"units":[],"permission":"read","hooks":{}}"#,
            r#"{"name":"gamma","hooks":{"any":{"a":"b"}},"description":null}"#,
        ] {
            assert_eq!(added(body), Ok(("gamma".into(), NamespaceRecord::default())), "{body}");
        }
    }

    #[test]
    fn what_is_said_of_a_namespace_is_read() {
        let body = r#"{"name":"ns","Description":"d","ORG_URL":"o","logo":"l","is_public":true}"#;
        let record = NamespaceRecord {
            description: "d".into(),
            org_url: "o".into(),
            logo: "l".into(),
            is_public: true,
        };
        assert_eq!(added(body), Ok(("ns".into(), record.clone())));
        assert_eq!(read_namespace_update(body.as_bytes(), "ns").unwrap(), record);
    }

    #[test]
    fn what_is_no_namespace_is_refused() {
        let deep = "[".repeat(100_000);
        let deep_inside = format!("{{\"name\":\"ns\",\"x\":{}", "{\"a\":".repeat(100_000));
        for body in [
            "",
            " ",
            "{",
            "[]",
            "12",
            "\"ns\"",
            "x",
            r#"{"name":5}"#,
            r#"{"name":["ns"]}"#,
            r#"{"name":"ns","is_public":"yes"}"#,
            r#"{"name":"ns","is_public":1}"#,
            r#"{"name":"ns","logo":{}}"#,
            r#"{"name":"ns","permission":1}"#,
            r#"{"name":"ns","hooks":[]}"#,
            r#"{"name":"ns","hooks":{"slack":{"url":1}}}"#,
            r#"{"name":"ns""#,
            &deep,
            &deep_inside,
        ] {
            assert_eq!(added(body), Err("Invalid JSON".into()), "{body:.60}");
            let updated = read_namespace_update(body.as_bytes(), "ns");
            assert_eq!(updated.unwrap_err().to_string(), "Invalid JSON", "{body:.60}");
        }
    }

    #[test]
    fn a_namespace_needs_a_proper_name() {
        for body in ["{}", "null", "null and more", r#"{"name":""}"#, r#"{"name":null}"#] {
            assert_eq!(added(body), Err("Missing name".into()), "{body}");
        }
        let cases = [
            ("Bad", "Invalid name 'Bad'"),
            ("a/b", "Invalid name 'a/b'"),
            ("..", "Invalid name '..'"),
            ("a\\u0000b", "Invalid name 'a\0b'"),
            ("ünit", "Invalid name 'ünit'"),
            ("\\ud800", "Invalid name '\u{fffd}'"),
            ("list", "The name 'list' is a protected variable."),
        ];
        for (name, message) in cases {
            assert_eq!(added(&format!("{{\"name\":\"{name}\"}}")), Err(message.into()));
        }
    }

    #[test]
    fn an_update_names_what_its_path_names() {
        for body in ["null", "{}", r#"{"name":"other"}"#, r#"{"name":"NS"}"#] {
            let refused = read_namespace_update(body.as_bytes(), "ns").unwrap_err().to_string();
            assert_eq!(refused, "Namespace 'name' field doesn't correspond with URL", "{body}");
        }
    }
}
