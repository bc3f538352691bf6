//! Which tables hold what belongs to a namespace. Deleting one, and emptying the
//! whole inventory, go by these lists alone.
//!
//! **Whoever adds a table to the inventory adds it here.** A test registers
//! everything there is, deletes it, and looks at every row of the store: a table
//! that is missing here makes it fail.

use std::collections::BTreeSet;

use super::{
    Change, Table, blob_refs,
    dependencies::{DOWNSTREAM, SUBSCRIBERS, SUBSCRIPTIONS, subscriptions_replace},
    hooks_documents::{NAMESPACE_HOOKS, UNIT_HOOKS},
    namespaces::{NAMESPACES, PUBLIC_NAMESPACES},
    providers::{PROVIDED, PROVIDERS},
    search::{SEARCH_UNITS, SEARCH_WORDS, search_drop},
    tags::TAGS,
    unit_releases::{
        UNIT_RELEASE_DOWNLOADS, UNIT_RELEASE_METADATA, UNIT_RELEASES, UNIT_VERSIONS, UnitKey,
        UnitReleaseRecord, unit_release_owner,
    },
    units::{UNITS, UnitRecord},
};
use crate::{
    error::Result,
    inventory::{Ties, Version},
};

/// Tables whose keys are a namespace's name, or begin with it and a NUL, and whose
/// rows under such a key are that namespace's own. They need nothing more than
/// being here.
pub(super) const KEYED_BY_NAMESPACE: &[Table] = &[
    NAMESPACES,
    PUBLIC_NAMESPACES,
    NAMESPACE_HOOKS,
    UNIT_RELEASES,
    UNIT_RELEASE_METADATA,
    UNIT_RELEASE_DOWNLOADS,
    UNIT_VERSIONS,
    UNITS,
    UNIT_HOOKS,
    TAGS,
    SEARCH_UNITS,
    SUBSCRIPTIONS,
    PROVIDED,
];

/// The inventory's other tables. What a namespace has in them is found from its
/// releases ([`OF_A_RELEASE`]) and its units ([`OF_A_UNIT`]). They are emptied with
/// the whole inventory.
pub(super) const KEYED_OTHERWISE: &[Table] = &[SEARCH_WORDS, DOWNSTREAM, SUBSCRIBERS, PROVIDERS];

/// What a release has under keys that do not begin with its namespace. Called once
/// for each release of a namespace that is deleted, while its rows and its unit's
/// are still there.
pub(super) const OF_A_RELEASE: &[fn(&mut dyn Change, &LeavingRelease<'_>) -> Result<()>] =
    &[package_reference, ties];

/// The same for units. Called when no release of the namespace is left, while the
/// unit's rows are still there.
pub(super) const OF_A_UNIT: &[fn(&mut dyn Change, UnitKey<'_>, &UnitRecord) -> Result<()>] =
    &[searched_words, subscriptions];

/// A release that is about to be deleted with its namespace.
pub(super) struct LeavingRelease<'a> {
    /// Its unit.
    pub(super) unit: UnitKey<'a>,
    /// Its version.
    pub(super) version: &'a Version,
    /// What is kept of it.
    pub(super) record: &'a UnitReleaseRecord,
    /// Its metadata, as JSON.
    pub(super) metadata: &'a [u8],
}

// Without it the bytes are nobody's, and the collector takes them.
fn package_reference(change: &mut dyn Change, release: &LeavingRelease<'_>) -> Result<()> {
    if let Some(package) = &release.record.package {
        let owner = unit_release_owner(release.unit, release.version);
        blob_refs::release(change, &package.sha256, &owner);
    }
    Ok(())
}

fn searched_words(change: &mut dyn Change, unit: UnitKey<'_>, _: &UnitRecord) -> Result<()> {
    search_drop(change, unit)
}

// What others need of it stays, as theirs.
fn ties(change: &mut dyn Change, release: &LeavingRelease<'_>) -> Result<()> {
    let ties = Ties::read(release.metadata)?;
    ties.delete(change, release.unit, release.version, release.record.recorded)
}

fn subscriptions(change: &mut dyn Change, unit: UnitKey<'_>, _: &UnitRecord) -> Result<()> {
    subscriptions_replace(change, unit, &BTreeSet::new())
}
