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
    yanks::UNIT_VERSIONS_YANKED,
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
    UNIT_VERSIONS_YANKED,
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

/// The names of the inventory's tables.
pub fn inventory_tables() -> impl Iterator<Item = &'static str> {
    KEYED_BY_NAMESPACE.iter().chain(KEYED_OTHERWISE).map(|it| it.0)
}

/// What a release has under keys that do not begin with its namespace. Called once
/// for each release of a namespace that is deleted, while its rows and its unit's
/// are still there.
pub(super) const OF_A_RELEASE: &[OfRelease] = &[package_reference, ties];

/// The same for units. Called when no release of the namespace is left, while the
/// unit's rows are still there.
pub(super) const OF_A_UNIT: &[OfUnit] = &[searched_words, subscriptions];

type OfRelease = fn(&mut dyn Change, &LeavingRelease<'_>) -> Result<()>;
type OfUnit = fn(&mut dyn Change, UnitKey<'_>, &UnitRecord) -> Result<()>;

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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::{KEYED_BY_NAMESPACE, KEYED_OTHERWISE};

    /// Tables that hold nothing of the inventory.
    const OTHERS: &[&str] = &[
        "audit",
        "audit_head",
        "binding_revisions",
        "bindings",
        "blob_refs",
        "meta",
        "namespaces_leaving",
        "operations",
        "operations_open",
        "package_ids",
        "package_ids_counted",
        "package_last_ids",
        "package_repositories",
        "packages",
        "plugin_manifests",
        "plugins",
        "processes",
        "readiness",
        "release_ids",
        "release_ids_counted",
        "releases",
        "releases_listed",
        "releases_of_packages",
        "releases_numbered",
        "resources",
        "server_keys",
    ];

    #[test]
    fn every_table_there_is_belongs_to_the_inventory_or_to_something_else() {
        let mut found = BTreeSet::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let lists = [KEYED_BY_NAMESPACE, KEYED_OTHERWISE].concat();
        let known: BTreeSet<_> =
            lists.iter().map(|it| it.0).chain(OTHERS.iter().copied()).collect();
        assert!(found.len() > 20, "{found:?}");
        let unknown: Vec<_> = found
            .iter()
            .filter(|it| !known.contains(it.as_str()) && !it.starts_with("outbox_"))
            .collect();
        assert!(unknown.is_empty(), "tables without a place in `store/tables.rs`: {unknown:?}");
        let missing: Vec<_> = known.iter().filter(|it| !found.contains(**it)).collect();
        assert!(missing.is_empty(), "there are no such tables: {missing:?}");
    }

    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") {
                    collect(&path, found);
                }
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            for behind in source.split("Table(\"").skip(1) {
                found.extend(behind.split('"').next().map(str::to_owned));
            }
        }
    }
}
