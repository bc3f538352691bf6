//! What a change of a binding comes to, found before anything is looked at or built.

use serde_json::{Map, Value};

use super::Origin;
use crate::{
    app::App,
    error::{Error, Result},
    inventory::{ETag, Expected},
    store::bindings::{self, BindingRow, Revision, Spec},
};

/// What to do with a binding.
#[derive(Clone, Debug)]
pub enum What {
    /// Make it, or make it this.
    Put(Box<Spec>),
    /// Change some of it: a merge patch (RFC 7396).
    Patch(Map<String, Value>),
    /// Grant what waits for it: a merge patch of the grants. What it names is decided,
    /// also where it is not granted.
    Grant(Map<String, Value>),
    /// Go back: to that revision, or to the one before.
    Rollback(Option<u64>),
    /// Take it away.
    Delete,
}

/// A binding as it is before a change.
pub(super) struct Before {
    /// None where the server puts it to work by itself, or where it is new.
    pub(super) row: Option<BindingRow>,
    /// What is in force.
    pub(super) spec: Option<Spec>,
    /// The revision that is.
    pub(super) current: Option<Revision>,
    /// The revision that waits.
    pub(super) pending: Option<Revision>,
}

/// What a change comes to.
pub(super) enum Next {
    /// This, from now on.
    Spec(Box<New>),
    /// What waited is dropped.
    NothingPending,
    /// It is no more.
    Gone,
}

/// What is to be in force.
pub(super) struct New {
    pub(super) spec: Spec,
    /// The earlier revision that it is like, and the one before that.
    pub(super) like: Option<(u64, Option<u64>)>,
    /// What has been decided about the capabilities that it wants.
    pub(super) decided: Decided,
}

/// What has been decided about the capabilities that a new version wants.
pub(super) enum Decided {
    /// What the running one had, and what the change grants.
    AsUsual,
    /// All but these.
    AllBut(Vec<String>),
}

/// The entity tag of a binding.
pub(super) fn etag(row: Option<&BindingRow>) -> ETag {
    match row {
        Some(row) => ETag::of(&[&row.made_ms, &row.changes]),
        None => ETag::of(&[&0]),
    }
}

impl Before {
    /// Reads a binding that may be changed here.
    pub(super) async fn read(app: &App, name: &str) -> Result<Before> {
        let configured = app.extend.configured(name);
        if configured.is_some_and(|it| it.origin == Origin::Configuration) {
            return Err(Error::Conflict(format!(
                "`{name}` is in the server's configuration: change it there"
            )));
        }
        let own = configured.map(super::shape::configured_spec);
        let name = name.to_owned();
        app.store
            .read(move |view| {
                let Some(row) = bindings::find(view, &name)? else {
                    return Ok(Before { row: None, spec: own, current: None, pending: None });
                };
                let current = row.current.map(|it| bindings::revision(view, &name, it));
                let current = current.transpose()?.flatten();
                let pending = row.pending.map(|it| bindings::revision(view, &name, it));
                let pending = pending.transpose()?.flatten();
                let spec = current.as_ref().map(|it| it.spec.clone()).or(own);
                Ok(Before { row: Some(row), spec, current, pending })
            })
            .await
    }

    /// Compares it with what the caller knows.
    pub(super) fn expect(&self, name: &str, expected: &Expected) -> Result<()> {
        match (&self.row, &self.spec, expected) {
            (None, None, Expected::Anything) => Ok(()),
            (None, None, _) => Err(Error::Outdated(format!("there is no binding `{name}`"))),
            (row, _, expected) => expected.check(&etag(row.as_ref())),
        }
    }

    fn known(&self, name: &str) -> Result<&Spec> {
        self.spec.as_ref().ok_or_else(|| Error::not_found("binding", name))
    }
}

/// What a change comes to, before anything is looked at.
pub(super) async fn next(app: &App, name: &str, before: &Before, what: What) -> Result<Next> {
    let changed = |spec, decided| Next::Spec(Box::new(New { spec, like: None, decided }));
    Ok(match what {
        What::Put(spec) => changed(*spec, Decided::AsUsual),
        What::Patch(patch) => changed(patched(before.known(name)?, patch)?, Decided::AsUsual),
        What::Grant(grants) => {
            before.known(name)?;
            let Some(pending) = &before.pending else {
                let message = format!("nothing of the binding `{name}` waits for a grant");
                return Err(Error::Conflict(message));
            };
            let left = pending.needs.iter().filter(|it| !grants.contains_key(*it)).cloned();
            let left = Decided::AllBut(left.collect());
            let patch = Map::from_iter([("grants".to_owned(), Value::Object(grants))]);
            changed(patched(&pending.spec, patch)?, left)
        }
        What::Rollback(None) if before.pending.is_some() => Next::NothingPending,
        What::Rollback(to) => {
            before.known(name)?;
            let revision = earlier(app, name, before, to).await?;
            let like = Some((revision.like.unwrap_or(revision.number), revision.before));
            let decided = Decided::AllBut(Vec::new());
            Next::Spec(Box::new(New { spec: revision.spec, like, decided }))
        }
        What::Delete => match &before.row {
            Some(_) => Next::Gone,
            None => {
                before.known(name)?;
                return Err(Error::Conflict(format!(
                    "the server puts `{name}` to work by itself: disable it, or put something \
                     else in its place"
                )));
            }
        },
    })
}

/// The revision to go back to.
async fn earlier(app: &App, name: &str, before: &Before, to: Option<u64>) -> Result<Revision> {
    let previous = before.row.as_ref().and_then(|it| it.previous);
    let Some(number) = to.or(previous) else {
        return Err(Error::Conflict(format!("there is nothing before it that `{name}` was")));
    };
    let key = name.to_owned();
    let found = app.store.read(move |view| bindings::revision(view, &key, number)).await?;
    match found {
        Some(revision) if revision.was_in_force => Ok(revision),
        Some(_) => Err(Error::Conflict(format!("revision {number} was never in force"))),
        None => Err(Error::not_found("revision", number.to_string())),
    }
}

/// A spec with a merge patch applied. Naming the version or the digest alone leaves the
/// other to be found.
fn patched(spec: &Spec, patch: Map<String, Value>) -> Result<Spec> {
    let mut whole = serde_json::to_value(spec).expect("a spec is plain data");
    for (named, other) in [("version", "sha256"), ("sha256", "version"), ("plugin", "sha256")] {
        if patch.contains_key(named) && !patch.contains_key(other) {
            whole[other] = Value::Null;
        }
    }
    json_patch::merge(&mut whole, &Value::Object(patch));
    read(whole)
}

/// Reads a spec; the error names the member that is wrong.
fn read(json: Value) -> Result<Spec> {
    serde_path_to_error::deserialize::<_, Spec>(json).map_err(|it| {
        let field = it.path().to_string();
        let field = if field == "." { String::new() } else { field };
        Error::invalid(field, format!("it is no binding: {}", it.inner()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> Spec {
        let json = json!({
            "plugin": "gate", "version": "1.0.0", "sha256": "ab", "kind": "policy",
            "settings": { "a": 1, "b": { "c": 2 } },
        });
        read(json).unwrap()
    }

    fn patch(json: Value) -> Result<Spec> {
        let Value::Object(patch) = json else { panic!("a patch is an object") };
        patched(&spec(), patch)
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_takes_away() {
        let it = patch(json!({ "order": 3, "settings": { "a": null, "b": { "d": 1 } } })).unwrap();
        assert_eq!((it.order, it.plugin.as_str()), (3, "gate"));
        assert_eq!(it.settings, json!({ "b": { "c": 2, "d": 1 } }));
        assert_eq!(it.sha256.as_deref(), Some("ab"));
    }

    #[test]
    fn another_version_is_not_held_against_the_old_digest() {
        let it = patch(json!({ "version": "2.0.0" })).unwrap();
        assert_eq!((it.version.as_deref(), it.sha256), (Some("2.0.0"), None));
        let it = patch(json!({ "sha256": "cd" })).unwrap();
        assert_eq!((it.version, it.sha256.as_deref()), (None, Some("cd")));
        let it = patch(json!({ "version": "2.0.0", "sha256": "cd" })).unwrap();
        assert_eq!((it.version.as_deref(), it.sha256.as_deref()), (Some("2.0.0"), Some("cd")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, field) in [
            (json!({ "order": "first" }), "order"),
            (json!({ "grants": { "http": { "origins": 1 } } }), "grants.http.origins"),
            (json!({ "limits": { "wall_ms": -1 } }), "limits.wall_ms"),
        ] {
            let Err(Error::Invalid { field: named, .. }) = patch(json) else { panic!("{field}") };
            assert_eq!(named, field);
        }
        assert!(patch(json!({ "colour": "red" })).is_err());
        assert!(patch(json!({ "kind": null })).is_err());
    }
}
