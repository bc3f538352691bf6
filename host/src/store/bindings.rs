//! Bindings that were made on the running server: plugins put to work, under a name.
//!
//! Each change of a binding is a revision, which never changes itself. The row says
//! which of them is in force, and which waits for a grant.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Change, Record, Table, Take, View, find as record, keep, key, prefix};
use crate::{
    capabilities::Grants,
    error::{Error, Result},
    plugins::Limits,
};

// name -> BindingRow.
const BINDINGS: Table = Table("bindings");
// (name, number of the revision, 10 digits) -> Revision.
const REVISIONS: Table = Table("binding_revisions");

/// Bindings, at most.
pub const BINDINGS_MAX: usize = 500;
/// Revisions that are kept of a binding.
pub const REVISIONS_MAX: usize = 50;

/// A binding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BindingRow {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// Rises with each change.
    pub changes: u64,
    /// The last revision's number.
    pub last: u64,
    /// The revision that is in force; none while the first one waits for a grant, and
    /// what the server puts to work by itself goes on.
    pub current: Option<u64>,
    /// The revision that waits for a grant.
    pub pending: Option<u64>,
    /// The revision that a rollback goes to.
    pub previous: Option<u64>,
    /// The plugins of these three, by name and version, which cannot be removed. Filled in
    /// when it is put.
    pub uses: Vec<(String, String)>,
}

/// What a binding was, is, or is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Counts from 1.
    pub number: u64,
    /// What is put to work, and how.
    pub spec: Spec,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who made it.
    pub by: String,
    /// The revision that this one is like, where it was made by going back.
    pub like: Option<u64>,
    /// The revision that going back from this one leads to.
    pub before: Option<u64>,
    /// The capabilities that have to be granted first; none once it was in force.
    pub needs: Vec<String>,
    /// Whether it was ever put in force.
    pub was_in_force: bool,
}

/// A plugin, put to work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = BindingSpec)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The plugin's name.
    pub plugin: String,
    /// Its version; where it is absent, `sha256` says which.
    #[serde(default)]
    pub version: Option<String>,
    /// The component's SHA-256, where the caller wants to be sure.
    #[serde(default)]
    pub sha256: Option<String>,
    /// As what: `policy`, `renderer`, `deployer`, `before-hook`, `after-hook`.
    pub kind: String,
    /// Where it stands among its kind: the lowest first. Those of the configuration
    /// have 0, and come before others of the same number.
    #[serde(default)]
    #[schema(required = false)]
    pub order: i32,
    /// For hooks: the actions that it is asked about or told of, `*` for all.
    #[serde(default)]
    #[schema(required = false)]
    pub actions: Vec<String>,
    /// For hooks: only what lies in these namespaces; a name may end with `*`. All
    /// where it is empty.
    #[serde(default)]
    #[schema(required = false)]
    pub namespaces: Vec<String>,
    /// For hooks: only what belongs to units of these names; a name may end with `*`.
    /// All where it is empty.
    #[serde(default)]
    #[schema(required = false)]
    pub units: Vec<String>,
    /// The plugin's own settings: an object.
    #[serde(default = "nothing")]
    #[schema(required = false, value_type = Object)]
    pub settings: serde_json::Value,
    /// What it may reach. Its secrets are those of the setting `secrets`, by name.
    #[serde(default)]
    #[schema(required = false, value_type = Object)]
    pub grants: Grants,
    /// What a failure means: `closed`, `open` or `ignore`. Each kind has its default.
    #[serde(default)]
    pub fail_mode: Option<String>,
    /// What it may use, where the defaults of its kind do not fit.
    #[serde(default)]
    #[schema(required = false, value_type = Object)]
    pub limits: Limits,
    /// Whether it is in force.
    #[serde(default = "yes")]
    #[schema(required = false, default = true)]
    pub enabled: bool,
}

fn nothing() -> serde_json::Value {
    serde_json::json!({})
}

fn yes() -> bool {
    true
}

impl Record for BindingRow {
    const WHAT: &'static str = "binding";
}

impl Record for Revision {
    const WHAT: &'static str = "binding revision";
}

/// The binding of that name.
pub fn find(view: &(impl View + ?Sized), name: &str) -> Result<Option<BindingRow>> {
    record(view, BINDINGS, name.as_bytes())
}

/// All bindings, by name.
pub fn all(view: &(impl View + ?Sized)) -> Result<Vec<BindingRow>> {
    let rows = view.range(BINDINGS, &[], &[], Take { reverse: false, limit: BINDINGS_MAX })?;
    rows.iter().map(|(_, value)| super::decode(value)).collect()
}

/// A revision of a binding, if it is still kept.
pub fn revision(view: &(impl View + ?Sized), name: &str, number: u64) -> Result<Option<Revision>> {
    record(view, REVISIONS, &revision_key(name, number))
}

/// The last `limit` revisions of a binding below `before`, the newest first.
pub fn revisions(
    view: &(impl View + ?Sized),
    name: &str,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Revision>> {
    let (from, to) = prefix(&[name]);
    let to = before.map_or(to, |it| revision_key(name, it));
    let rows = view.range(REVISIONS, &from, &to, Take { reverse: true, limit })?;
    rows.iter().map(|(_, value)| super::decode(value)).collect()
}

/// Keeps a binding, and the revision that the change made, if it made one. The oldest
/// revisions that are of no more use go.
pub fn put(change: &mut dyn Change, row: &BindingRow, made: Option<&Revision>) -> Result<()> {
    if find(change, &row.name)?.is_none() && all(change)?.len() >= BINDINGS_MAX {
        return Err(Error::Conflict(format!("there are {BINDINGS_MAX} bindings: delete one")));
    }
    if let Some(made) = made {
        keep(change, REVISIONS, &revision_key(&row.name, made.number), made);
    }
    let kept = [row.current, row.pending, row.previous];
    let mut uses = Vec::new();
    for number in kept.into_iter().flatten() {
        let spec = revision(change, &row.name, number)?.map(|it| it.spec);
        uses.extend(spec.and_then(|it| Some((it.plugin, it.version?))));
    }
    let row = BindingRow { uses, ..row.clone() };
    keep(change, BINDINGS, row.name.as_bytes(), &row);
    for old in revisions(change, &row.name, None, REVISIONS_MAX * 2)?.iter().skip(REVISIONS_MAX) {
        if !kept.contains(&Some(old.number)) {
            change.delete(REVISIONS, &revision_key(&row.name, old.number));
        }
    }
    Ok(())
}

/// Drops a binding with its revisions.
pub fn delete(change: &mut dyn Change, name: &str) -> Result<()> {
    change.delete(BINDINGS, name.as_bytes());
    for it in revisions(change, name, None, REVISIONS_MAX * 2)? {
        change.delete(REVISIONS, &revision_key(name, it.number));
    }
    Ok(())
}

/// The bindings that keep a version of a plugin from being removed.
pub fn users(view: &(impl View + ?Sized), plugin: &str, version: &str) -> Result<Vec<String>> {
    let uses = |it: &BindingRow| it.uses.iter().any(|it| it.0 == plugin && it.1 == version);
    Ok(all(view)?.into_iter().filter(uses).map(|it| it.name).collect())
}

fn revision_key(name: &str, number: u64) -> Vec<u8> {
    key(&[name, &format!("{number:010}")])
}
