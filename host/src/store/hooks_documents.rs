//! Hooks documents: which outside places are told of what happens in a namespace
//! or to a unit.
//!
//! Kept beside the namespace and the unit, so that neither an update of the one
//! nor a new release of the other touches them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Change, Record, Table, View, find, keep, key, unit_releases::UnitKey};
use crate::{error::Result, inventory::NamespaceName};

// namespace -> HooksDocument.
pub(super) const NAMESPACE_HOOKS: Table = Table("namespace_hooks");

// (namespace, unit) -> HooksDocument.
pub(super) const UNIT_HOOKS: Table = Table("unit_hooks");

/// The hooks of a namespace or a unit by their kind (`slack`, `events`, `build`),
/// each with its settings by name (`url`, `username`, `icon_emoji`).
///
/// What is kept has been checked: it holds no other kinds and no other names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HooksDocument {
    /// As they were sent; a kind that was sent as `null` has no settings.
    pub hooks: BTreeMap<String, Option<BTreeMap<String, String>>>,
}

impl Record for HooksDocument {
    const WHAT: &'static str = "hooks document";
}

impl HooksDocument {
    /// A setting of a hook: `setting("events", "url")`. Absent where it is empty.
    pub fn setting(&self, hook: &str, name: &str) -> Option<&str> {
        let text = self.hooks.get(hook)?.as_ref()?.get(name)?;
        (!text.is_empty()).then_some(text)
    }
}

/// The hooks of a namespace; an empty document where it has none.
pub fn hooks_of_namespace(view: &dyn View, namespace: &NamespaceName) -> Result<HooksDocument> {
    let found = find(view, NAMESPACE_HOOKS, namespace.as_str().as_bytes())?;
    Ok(found.unwrap_or_default())
}

/// The hooks of a unit; an empty document where it has none.
pub fn hooks_of_unit(view: &dyn View, unit: UnitKey<'_>) -> Result<HooksDocument> {
    Ok(find(view, UNIT_HOOKS, &unit_key(unit))?.unwrap_or_default())
}

/// Puts a document in the place of the one that a namespace had.
pub fn hooks_of_namespace_put(
    change: &mut dyn Change,
    namespace: &NamespaceName,
    document: &HooksDocument,
) {
    put(change, NAMESPACE_HOOKS, namespace.as_str().as_bytes(), document);
}

/// Puts a document in the place of the one that a unit had.
pub fn hooks_of_unit_put(change: &mut dyn Change, unit: UnitKey<'_>, document: &HooksDocument) {
    put(change, UNIT_HOOKS, &unit_key(unit), document);
}

fn put(change: &mut dyn Change, table: Table, key: &[u8], document: &HooksDocument) {
    match document.hooks.is_empty() {
        true => change.delete(table, key),
        false => keep(change, table, key, document),
    }
}

fn unit_key(unit: UnitKey<'_>) -> Vec<u8> {
    key(&[unit.namespace.as_str(), unit.name.as_str()])
}
