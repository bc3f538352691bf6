//! Tags of units: names that point to a version and can be moved.

use serde::{Deserialize, Serialize};

use super::{
    Change, Record, Table, Take, View, decode, find, keep, key, prefix, unit_releases::UnitKey,
};
use crate::{
    error::{Error, Result},
    inventory::{Tag, Version},
};

// (namespace, unit, tag) -> TagRecord.
pub(super) const TAGS: Table = Table("tags");

/// Where a tag points.
#[derive(Serialize, Deserialize)]
struct TagRecord {
    version: String,
}

impl Record for TagRecord {
    const WHAT: &'static str = "tag";
}

impl TagRecord {
    fn version(self) -> Result<Version> {
        let broken = || Error::Store { doing: "reading a tag's version".into(), source: None };
        Version::parse(&self.version).ok_or_else(broken)
    }
}

/// Finds the version that a tag points to.
pub fn tag(view: &dyn View, unit: UnitKey<'_>, tag: &Tag) -> Result<Option<Version>> {
    let record: Option<TagRecord> = find(view, TAGS, &place(unit, tag))?;
    record.map(TagRecord::version).transpose()
}

/// Makes a tag point to a version.
pub fn tag_put(change: &mut dyn Change, unit: UnitKey<'_>, tag: &Tag, version: &Version) {
    keep(change, TAGS, &place(unit, tag), &TagRecord { version: version.to_string() });
}

/// Drops a tag.
pub fn tag_delete(change: &mut dyn Change, unit: UnitKey<'_>, tag: &Tag) {
    change.delete(TAGS, &place(unit, tag));
}

/// The first `limit` tags of a unit behind `after`, with their versions; from the
/// start where it is empty.
pub fn tags_page(
    view: &dyn View,
    unit: UnitKey<'_>,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, Version)>> {
    let (start, to) = prefix(&[unit.namespace.as_str(), unit.name.as_str()]);
    let behind = if after.is_empty() { "" } else { "\0" };
    let from = [&start[..], after.as_bytes(), behind.as_bytes()].concat();
    let rows = view.range(TAGS, &from, &to, Take { reverse: false, limit })?;
    let tag = |(key, value): (Vec<u8>, Vec<u8>)| {
        let tag = String::from_utf8_lossy(&key[start.len()..]).into_owned();
        Ok((tag, decode::<TagRecord>(&value)?.version()?))
    };
    rows.into_iter().map(tag).collect()
}

fn place(unit: UnitKey<'_>, tag: &Tag) -> Vec<u8> {
    key(&[unit.namespace.as_str(), unit.name.as_str(), tag.as_str()])
}
