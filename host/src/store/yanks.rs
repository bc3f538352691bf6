//! Which versions are passed over when one is looked for.
//!
//! A yanked version leaves the lists in which `latest` and prefixes are looked up, so
//! that nothing ever has to step over it there, and stands in a list of its own, in
//! the same order, from which the list of all versions is made whole.

use serde::{Deserialize, Serialize};

use super::{
    Change, Row, Table, Take, View,
    unit_releases::{
        UNIT_VERSIONS, UnitKey, kept_version, places_in_order, unit_versions_greatest,
    },
};
use crate::{error::Result, inventory::Version};

// As `UNIT_VERSIONS`, behind the empty start alone.
pub(super) const UNIT_VERSIONS_YANKED: Table = Table("unit_versions_yanked");

/// Why a release should not be used any more. A part of its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct YankRecord {
    /// In words; may be empty.
    pub reason: String,
    /// The version to use instead.
    pub replacement: Option<String>,
    /// When it was yanked.
    pub at: String,
    /// By whom; empty where unknown.
    pub by: String,
}

/// Takes a version out of the lists in which one is looked up.
pub fn unit_version_take_out(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    number: u64,
) {
    for (at, key) in places_in_order(unit, version, number).enumerate() {
        change.delete(UNIT_VERSIONS, &key);
        if at == 0 {
            change.put(UNIT_VERSIONS_YANKED, &key, version.as_str().into());
        }
    }
}

/// Puts it back.
pub fn unit_version_put_back(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    number: u64,
) {
    for (at, key) in places_in_order(unit, version, number).enumerate() {
        change.put(UNIT_VERSIONS, &key, version.as_str().into());
        if at == 0 {
            change.delete(UNIT_VERSIONS_YANKED, &key);
        }
    }
}

/// The version that describes a unit, and whether it is a yanked one: the greatest
/// that is not, and the greatest of all where all are.
pub fn unit_versions_latest(view: &dyn View, unit: UnitKey<'_>) -> Result<Option<(Version, bool)>> {
    if let Some(version) = unit_versions_greatest(view, unit, "")? {
        return Ok(Some((version, false)));
    }
    let (from, to) = unit.following("");
    let rows = view.range(UNIT_VERSIONS_YANKED, &from, &to, Take { reverse: true, limit: 1 })?;
    rows.first().map(|(_, text)| Ok((kept_version(text)?, true))).transpose()
}

/// The rows of both lists with `from <= key < to`, greatest first.
pub(super) fn rows_of_both(
    view: &dyn View,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<Row>> {
    let take = Take { reverse: true, limit };
    let mut rows = view.range(UNIT_VERSIONS, from, to, take)?;
    let yanked = view.range(UNIT_VERSIONS_YANKED, from, to, take)?;
    if !yanked.is_empty() {
        rows.extend(yanked);
        rows.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        rows.truncate(limit);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        inventory::{NamespaceName, UnitName, version::order_key},
        store::{
            in_memory::Rows,
            unit_releases::{
                UnitReleaseRecord, unit_release_delete, unit_release_insert,
                unit_versions_greatest_next, unit_versions_page,
            },
        },
    };

    // A unit, and beside it the plain truth of which of its versions are yanked.
    struct Unit {
        rows: Rows,
        namespace: NamespaceName,
        name: UnitName,
        versions: Vec<(Version, bool)>,
    }

    impl Unit {
        fn new(versions: &[String]) -> Self {
            let namespace = NamespaceName::parse("ns").unwrap();
            let name = UnitName::parse("app").unwrap();
            let mut unit = Unit { rows: Rows::default(), namespace, name, versions: Vec::new() };
            for text in versions {
                let version = Version::parse(text).unwrap();
                if unit.versions.iter().all(|(it, _)| *it != version) {
                    let record = unit.record(unit.versions.len());
                    let key = UnitKey { namespace: &unit.namespace, name: &unit.name };
                    unit_release_insert(&mut unit.rows, key, &version, &record, b"{}");
                    unit.versions.push((version, false));
                }
            }
            unit
        }

        fn record(&self, at: usize) -> UnitReleaseRecord {
            UnitReleaseRecord { number: at as u64 + 1, ..UnitReleaseRecord::default() }
        }

        fn key(&self) -> UnitKey<'_> {
            UnitKey { namespace: &self.namespace, name: &self.name }
        }

        fn turn(&mut self, at: usize) {
            let (version, yanked) = &mut self.versions[at];
            let key = UnitKey { namespace: &self.namespace, name: &self.name };
            *yanked = !*yanked;
            let turn = if *yanked { unit_version_take_out } else { unit_version_put_back };
            turn(&mut self.rows, key, version, at as u64 + 1);
        }

        /// By looking at all of them.
        fn greatest_by_the_rule(&self, start: &str, of_all: bool) -> Option<&Version> {
            let fitting = self.versions.iter().enumerate().filter_map(|(at, (it, yanked))| {
                let rest = it.as_str().strip_prefix(start).filter(|it| !it.is_empty())?;
                (of_all || !yanked).then(|| ((order_key(rest), at), it))
            });
            fitting.max_by_key(|(key, _)| key.clone()).map(|(_, it)| it)
        }

        fn list(&self, limit: usize) -> Vec<Version> {
            let (mut at, mut all) = (None, Vec::new());
            loop {
                let page = unit_versions_page(&self.rows, self.key(), at, limit).unwrap();
                all.extend(page.versions);
                at = page.next;
                if at.is_none() {
                    return all;
                }
            }
        }

        fn check(&self, starts: &[String], limit: usize) {
            for start in starts {
                let found = unit_versions_greatest(&self.rows, self.key(), start).unwrap();
                assert_eq!(found.as_ref(), self.greatest_by_the_rule(start, false), "{start}");
                let next = unit_versions_greatest_next(&self.rows, self.key(), start).unwrap();
                let numbers = self.versions.iter().filter_map(|(it, _)| {
                    let rest = it.as_str().strip_prefix(start)?;
                    rest.split('.').next()?.parse::<u64>().ok()
                });
                assert_eq!(next, numbers.max().map(|it| it.to_string()), "next of {start}");
            }
            let some_left = self.greatest_by_the_rule("", false).map(|it| (it, false));
            let latest = some_left.or(self.greatest_by_the_rule("", true).map(|it| (it, true)));
            let found = unit_versions_latest(&self.rows, self.key()).unwrap();
            assert_eq!(found.as_ref().map(|(it, yanked)| (it, *yanked)), latest);

            let mut all: Vec<_> = self.versions.iter().enumerate().collect();
            all.sort_by_key(|(at, (it, _))| Reverse((order_key(it.as_str()), *at)));
            let all: Vec<_> = all.into_iter().map(|(_, (it, _))| it.clone()).collect();
            assert_eq!(self.list(limit), all);
        }
    }

    proptest! {
        #[test]
        fn resolving_agrees_with_a_look_at_all_versions_whatever_is_yanked(
            versions in prop::collection::vec("[0-2]{1,2}(\\.[0-2]{1,2}){0,3}", 0..16),
            turns in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
            limit in 1usize..6,
        ) {
            let mut unit = Unit::new(&versions);
            let mut starts = vec![String::new()];
            for (version, _) in &unit.versions {
                starts.extend(version.prefixes().map(|(start, _)| start.to_owned()));
            }
            unit.check(&starts, limit);
            for turn in turns {
                if !unit.versions.is_empty() {
                    unit.turn(turn.index(unit.versions.len()));
                    unit.check(&starts, limit);
                }
            }
            for at in 0..unit.versions.len() {
                let yanked = unit.versions[at].1.then(YankRecord::default);
                let record = UnitReleaseRecord { yanked, ..unit.record(at) };
                let key = UnitKey { namespace: &unit.namespace, name: &unit.name };
                unit_release_delete(&mut unit.rows, key, &unit.versions[at].0, &record);
            }
            prop_assert_eq!(unit.rows.len(), 0);
        }
    }
}
