//! Units, by namespace and name.

use serde::{Deserialize, Serialize};

use super::{Change, Record, Table, Take, View, decode, find, keep, key, prefix};
use crate::{
    error::Result,
    inventory::{NamespaceName, UnitName, Version},
};

// (namespace, unit) -> UnitRecord.
pub(super) const UNITS: Table = Table("units");

/// What is kept of a unit. All of it follows from its releases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Of the latest release.
    pub description: String,
    /// Of the latest release.
    pub logo: String,
    /// The greatest version that is not yanked; the greatest of all where all are.
    pub latest_version: String,
    /// Whether all are.
    #[serde(default)]
    pub all_yanked: bool,
    /// Who registered last; empty where unknown.
    pub uploaded_by: String,
    /// When a release was registered last.
    pub uploaded_at: String,
    /// Releases registered so far; the number of the last of them.
    pub releases: u64,
    /// The number of the audit record of its first release, which tells it from others
    /// that have had its name.
    #[serde(default)]
    pub birth: u64,
    /// How often it or the list of its versions was changed.
    #[serde(default)]
    pub changes: u64,
    /// How often its tags were changed.
    #[serde(default)]
    pub tag_changes: u64,
}

impl Record for UnitRecord {
    const WHAT: &'static str = "unit";
}

impl UnitRecord {
    /// True where a new release of that version becomes the latest: of two that
    /// are equal in order the later one counts as greater.
    pub fn is_followed_by(&self, version: &Version) -> bool {
        self.all_yanked || self.latest().is_none_or(|latest| latest.order(version).is_le())
    }

    /// The version that counts as the latest.
    pub fn latest(&self) -> Option<Version> {
        Version::parse(&self.latest_version)
    }
}

/// Finds a unit.
pub fn unit(
    view: &dyn View,
    namespace: &NamespaceName,
    name: &UnitName,
) -> Result<Option<UnitRecord>> {
    find(view, UNITS, &key(&[namespace.as_str(), name.as_str()]))
}

/// Keeps a unit.
pub fn unit_put(
    change: &mut dyn Change,
    namespace: &NamespaceName,
    name: &UnitName,
    record: &UnitRecord,
) {
    keep(change, UNITS, &key(&[namespace.as_str(), name.as_str()]), record);
}

/// Drops a unit.
pub(super) fn unit_delete(change: &mut dyn Change, namespace: &NamespaceName, name: &UnitName) {
    change.delete(UNITS, &key(&[namespace.as_str(), name.as_str()]));
}

/// The first `limit` units of a namespace behind `after` by name; from the start
/// where it is empty.
pub fn units_page(
    view: &dyn View,
    namespace: &NamespaceName,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, UnitRecord)>> {
    let (start, to) = prefix(&[namespace.as_str()]);
    let from =
        if after.is_empty() { start.clone() } else { prefix(&[namespace.as_str(), after]).0 };
    let rows = view.range(UNITS, &from, &to, Take { reverse: false, limit })?;
    let unit = |(key, value): (Vec<u8>, Vec<u8>)| {
        let name = String::from_utf8_lossy(&key[start.len()..]).into_owned();
        Ok((name, decode(&value)?))
    };
    rows.into_iter().map(unit).collect()
}
