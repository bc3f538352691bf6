//! Hooks documents of namespaces and units: read, checked, and put in the place of
//! the one before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    conditions::{ETag, Expected},
    json::first,
    names::NamespaceName,
    resolve::{UnitPlace, standing_unit},
    wire,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change, View,
        hooks_documents::{
            HooksDocument, hooks_of_namespace, hooks_of_namespace_put, hooks_of_unit,
            hooks_of_unit_put,
        },
        namespaces, outbox,
        outbox::Announcement,
    },
};

/// A document's members.
pub(super) type Hooks = BTreeMap<String, Option<BTreeMap<String, String>>>;

/// The longest value of a setting, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// The hooks that a namespace may have.
pub(super) const NAMESPACE_HOOKS: &[&str] = &["events", "slack"];

/// The hooks that a unit may have.
pub(super) const UNIT_HOOKS: &[&str] = &["build", "events", "slack"];

/// Reads a document. Whether it makes sense depends on whose it is, and is seen to
/// when that has been found.
pub fn read_hooks(body: &[u8]) -> Result<HooksDocument> {
    Ok(HooksDocument { hooks: first(body)? })
}

/// The entity tag of a document. It is small, and tells itself from others.
pub fn hooks_etag(document: &HooksDocument) -> ETag {
    ETag::of_bytes(&wire::json(document))
}

/// The hooks of a namespace.
pub async fn namespace_hooks(
    app: &App,
    _: &Permit,
    namespace: NamespaceName,
) -> Result<HooksDocument> {
    app.store.read(move |view| existing_of_namespace(view, &namespace)).await
}

/// The hooks of a unit.
pub async fn unit_hooks(app: &App, _: &Permit, place: UnitPlace) -> Result<HooksDocument> {
    app.store.read(move |view| existing_of_unit(view, &place)).await
}

/// Puts a document in the place of a namespace's.
pub async fn replace_namespace_hooks(
    app: &App,
    permit: &Permit,
    namespace: NamespaceName,
    document: HooksDocument,
    expected: Expected,
) -> Result<()> {
    let previous = namespace_hooks(app, permit, namespace.clone()).await?;
    check(&document, NAMESPACE_HOOKS)?;
    let object = |it: &HooksDocument| json!({ "name": namespace.as_str(), "hooks": it });
    let told = reviewed(app, permit, object(&document), object(&previous)).await?;
    let work = move |change: &mut dyn Change| {
        let now = existing_of_namespace(change, &namespace)?;
        expected.check(&hooks_etag(&now))?;
        hooks_of_namespace_put(change, &namespace, &document);
        outbox::announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Puts a document in the place of a unit's.
pub async fn replace_unit_hooks(
    app: &App,
    permit: &Permit,
    place: UnitPlace,
    document: HooksDocument,
    expected: Expected,
) -> Result<()> {
    let previous = unit_hooks(app, permit, place.clone()).await?;
    check(&document, UNIT_HOOKS)?;
    let object = |it: &HooksDocument| json!({ "name": place.unit.as_str(), "project": place.namespace.as_str(), "hooks": it });
    let told = reviewed(app, permit, object(&document), object(&previous)).await?;
    let work = move |change: &mut dyn Change| {
        let now = existing_of_unit(change, &place)?;
        expected.check(&hooks_etag(&now))?;
        hooks_of_unit_put(change, place.key(), &document);
        outbox::announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Asks the before-hooks, which can only let the document pass or refuse it.
async fn reviewed(
    app: &App,
    permit: &Permit,
    object: Value,
    previous: Value,
) -> Result<Announcement> {
    let fixed = |_, _: &()| Err("a hooks document can only be let pass or refused".to_owned());
    permit.reviewed(app, (), object.clone(), Some(previous), fixed).await?;
    Ok(Announcement::of(permit, Some(object)))
}

fn existing_of_namespace(view: &dyn View, name: &NamespaceName) -> Result<HooksDocument> {
    match namespaces::namespace(view, name)? {
        Some(_) => hooks_of_namespace(view, name),
        None => Err(Error::not_found("namespace", name.as_str())),
    }
}

fn existing_of_unit(view: &dyn View, place: &UnitPlace) -> Result<HooksDocument> {
    let UnitPlace { namespace, unit } = place;
    match standing_unit(view, place)? {
        Some(_) => hooks_of_unit(view, place.key()),
        None => Err(Error::not_found("unit", format!("{namespace}/{unit}"))),
    }
}

/// Checks that a document holds nothing else than the hooks that it may have.
pub(super) fn check(document: &HooksDocument, allowed: &[&str]) -> Result<()> {
    for (hook, settings) in &document.hooks {
        if !allowed.contains(&hook.as_str()) {
            return Err(Error::invalid(hook, format!("Unknown hook type '{hook}'")));
        }
        for (name, value) in settings.iter().flatten() {
            check_setting(hook, name, value)?;
        }
    }
    Ok(())
}

fn check_setting(hook: &str, name: &str, value: &str) -> Result<()> {
    // Two blanks: the original's words.
    let (names, unknown): (&[&str], _) = match hook {
        "slack" => (&["url", "username", "icon_emoji"], "Unknown  hook configuration key"),
        _ => (&["url"], "Unknown hook configuration key"),
    };
    let field = format!("{hook}.{name}");
    if !names.contains(&name) {
        return Err(Error::invalid(field, format!("{unknown} '{name}'")));
    }
    if value.len() > VALUE_BYTES_MAX {
        let message =
            format!("The hook configuration key '{name}' is longer than {VALUE_BYTES_MAX} bytes");
        return Err(Error::invalid(field, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NAMESPACE_HOOKS, UNIT_HOOKS, check, read_hooks};

    fn checked(body: &str, allowed: &[&str]) -> Result<String, String> {
        let document = read_hooks(body.as_bytes()).map_err(|it| it.to_string())?;
        check(&document, allowed).map_err(|it| it.to_string())?;
        Ok(serde_json::to_string(&document).unwrap())
    }

    #[test]
    fn a_document_is_kept_as_it_was_sent() {
        for body in [
            "{}",
            r#"{"events":{"url":"http://a"}}"#,
            r#"{"events":{},"slack":{}}"#,
            r#"{"slack":null}"#,
            r#"{"slack":{"icon_emoji":":ship:","url":"","username":"x"}}"#,
        ] {
            assert_eq!(checked(body, NAMESPACE_HOOKS).as_deref(), Ok(body));
            assert_eq!(checked(body, UNIT_HOOKS).as_deref(), Ok(body));
        }
        let build = r#"{"build":{"url":"http://a"}}"#;
        assert_eq!(checked(build, UNIT_HOOKS).as_deref(), Ok(build));
        assert_eq!(checked("null", UNIT_HOOKS).as_deref(), Ok("{}"));
        assert_eq!(checked("{} {\"x\":1}", UNIT_HOOKS).as_deref(), Ok("{}"));
        let empty = r#"{"events":{"url":null}}"#;
        assert_eq!(checked(empty, UNIT_HOOKS).as_deref(), Ok(r#"{"events":{"url":""}}"#));
    }

    #[test]
    fn what_is_unknown_is_refused_in_the_originals_words() {
        let unknown = |hook: &str| Err(format!("Unknown hook type '{hook}'"));
        assert_eq!(checked(r#"{"build":{}}"#, NAMESPACE_HOOKS), unknown("build"));
        for hook in ["Slack", "", "webhook"] {
            assert_eq!(checked(&json!({ hook: {} }).to_string(), UNIT_HOOKS), unknown(hook));
        }
        let key =
            |hook: &str| checked(&json!({ hook: { "channel": "x" } }).to_string(), UNIT_HOOKS);
        assert_eq!(key("slack"), Err("Unknown  hook configuration key 'channel'".into()));
        assert_eq!(key("events"), Err("Unknown hook configuration key 'channel'".into()));
        assert_eq!(key("build"), Err("Unknown hook configuration key 'channel'".into()));
        let long = json!({ "events": { "url": "x".repeat(4097) } }).to_string();
        let message = "The hook configuration key 'url' is longer than 4096 bytes";
        assert_eq!(checked(&long, UNIT_HOOKS), Err(message.into()));
    }

    #[test]
    fn what_is_no_document_is_invalid_json() {
        for body in [
            "",
            "[]",
            "1",
            "\"x\"",
            "{",
            r#"{"slack":[]}"#,
            r#"{"slack":"url"}"#,
            r#"{"slack":{"url":1}}"#,
            r#"{"slack":{"url":{}}}"#,
            &"{\"slack\":".repeat(100_000),
        ] {
            assert_eq!(checked(body, UNIT_HOOKS), Err("Invalid JSON".into()), "{body:.40}");
        }
    }
}
