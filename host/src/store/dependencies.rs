//! Which releases name a release as their dependency or extension, and which units
//! want to hear of a unit.
//!
//! Both are kept from the side that is asked: everybody who needs a thing lies
//! under that thing, so that a page of them is a range. Whoever is deleted is found
//! again from its own records: a release from its metadata and number, a unit from
//! the list of what it subscribes to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Change, Record, Row, Table, Take, View, decode, find, keep, key, prefix,
    unit_releases::{UnitKey, kept_version},
};
use crate::{
    error::{Error, Result},
    inventory::{UnitPlace, Version, version::text_key},
};

// (namespace, unit, text key of the version, 0, number of the audit record of the
// dependant's registration, the dependant's namespace, unit and version)
// -> DependencyRecord.
pub(super) const DOWNSTREAM: Table = Table("downstream");

// (namespace, unit, the subscriber's namespace, the subscriber) -> nothing.
pub(super) const SUBSCRIBERS: Table = Table("subscribers");

// (the subscriber's namespace, the subscriber) -> SubscriptionsRecord.
pub(super) const SUBSCRIPTIONS: Table = Table("subscriptions");

/// How one release needs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyRecord {
    /// While it is built.
    pub build: bool,
    /// While it is deployed.
    pub deploy: bool,
    /// It builds on it.
    pub is_extension: bool,
}

/// The units that a unit wants to hear of.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SubscriptionsRecord {
    // (namespace, unit), in order.
    units: Vec<(String, String)>,
}

impl Record for DependencyRecord {
    const WHAT: &'static str = "dependency";
}

impl Record for SubscriptionsRecord {
    const WHAT: &'static str = "subscriptions";
}

/// A registered release, as one that needs others.
#[derive(Clone, Copy, Debug)]
pub struct Dependant<'a> {
    /// The unit.
    pub unit: UnitKey<'a>,
    /// The version.
    pub version: &'a Version,
    /// The number of the audit record of its registration: what was registered
    /// later has a greater one.
    pub recorded: u64,
}

/// A release that needs the one that was asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Downstream {
    /// The unit.
    pub place: UnitPlace,
    /// The version.
    pub version: Version,
    /// How it needs it.
    pub how: DependencyRecord,
}

/// Some of the releases that need one, the last registered first.
#[derive(Debug)]
pub struct DownstreamPage {
    /// The releases.
    pub rows: Vec<Downstream>,
    /// Where this page begins, for walking the same releases again: without those
    /// that were registered since.
    pub start: Option<Vec<u8>>,
    /// Where the next page begins; absent after the last.
    pub next: Option<Vec<u8>>,
}

/// Keeps that a release needs `version` of `unit`, which need not exist.
pub fn downstream_put(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    dependant: Dependant<'_>,
    how: DependencyRecord,
) {
    keep(change, DOWNSTREAM, &downstream_key(unit, version, dependant), &how);
}

/// Drops what [`downstream_put`] has kept.
pub fn downstream_delete(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    dependant: Dependant<'_>,
) {
    change.delete(DOWNSTREAM, &downstream_key(unit, version, dependant));
}

/// A page of the releases that need exactly that one; the first page without `at`.
pub fn downstream_page(
    view: &dyn View,
    unit: UnitKey<'_>,
    version: &Version,
    at: Option<Vec<u8>>,
    limit: usize,
) -> Result<DownstreamPage> {
    let from = downstream_start(unit, version);
    let to = at.unwrap_or_else(|| behind(&from));
    let rows = view.range(DOWNSTREAM, &from, &to, Take { reverse: true, limit })?;
    let start = rows.first().map(|(key, _)| [&key[..], &[0]].concat());
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| key.clone());
    let rows = rows.into_iter().map(|row| read_downstream(row, from.len())).collect::<Result<_>>();
    Ok(DownstreamPage { rows: rows?, start, next })
}

/// Makes `units` those that a unit wants to hear of, in place of what it wanted to
/// hear of before.
pub fn subscriptions_replace(
    change: &mut dyn Change,
    subscriber: UnitKey<'_>,
    units: &BTreeSet<UnitPlace>,
) -> Result<()> {
    let known = subscriptions(change, subscriber)?;
    if known == *units {
        return Ok(());
    }
    for gone in known.difference(units) {
        change.delete(SUBSCRIBERS, &subscriber_key(gone.key(), subscriber));
    }
    for new in units.difference(&known) {
        change.put(SUBSCRIBERS, &subscriber_key(new.key(), subscriber), Vec::new());
    }
    let at = key(&[subscriber.namespace.as_str(), subscriber.name.as_str()]);
    if units.is_empty() {
        change.delete(SUBSCRIPTIONS, &at);
        return Ok(());
    }
    let named = |it: &UnitPlace| (it.namespace.to_string(), it.unit.to_string());
    let record = SubscriptionsRecord { units: units.iter().map(named).collect() };
    keep(change, SUBSCRIPTIONS, &at, &record);
    Ok(())
}

/// The first `limit` units behind `after` that want to hear of a unit: those whose
/// last registered release depends on or extends any version of it.
pub fn subscribers_page(
    view: &dyn View,
    unit: UnitKey<'_>,
    after: Option<&UnitPlace>,
    limit: usize,
) -> Result<Vec<UnitPlace>> {
    let (start, to) = prefix(&[unit.namespace.as_str(), unit.name.as_str()]);
    let from = match after {
        Some(after) => [&subscriber_key(unit, after.key())[..], &[0]].concat(),
        None => start.clone(),
    };
    let rows = view.range(SUBSCRIBERS, &from, &to, Take { reverse: false, limit })?;
    rows.into_iter().map(|(key, _)| read_place(&key[start.len()..])).collect()
}

fn subscriptions(view: &dyn View, subscriber: UnitKey<'_>) -> Result<BTreeSet<UnitPlace>> {
    let at = key(&[subscriber.namespace.as_str(), subscriber.name.as_str()]);
    let record: SubscriptionsRecord = find(view, SUBSCRIPTIONS, &at)?.unwrap_or_default();
    let place = |(namespace, unit): &(String, String)| {
        UnitPlace::parse(namespace, unit).map_err(|_| unreadable("subscription"))
    };
    record.units.iter().map(place).collect()
}

fn subscriber_key(unit: UnitKey<'_>, subscriber: UnitKey<'_>) -> Vec<u8> {
    key(&[
        unit.namespace.as_str(),
        unit.name.as_str(),
        subscriber.namespace.as_str(),
        subscriber.name.as_str(),
    ])
}

// Of the rows of one release: no part of a version has the length 0, so nothing of
// a longer version follows.
fn downstream_start(unit: UnitKey<'_>, version: &Version) -> Vec<u8> {
    let (start, _) = prefix(&[unit.namespace.as_str(), unit.name.as_str()]);
    [&start, &text_key(version.as_str())[..], &[0]].concat()
}

fn behind(start: &[u8]) -> Vec<u8> {
    [&start[..start.len() - 1], &[1]].concat()
}

fn downstream_key(unit: UnitKey<'_>, version: &Version, dependant: Dependant<'_>) -> Vec<u8> {
    let Dependant { unit: its, version: its_version, recorded } = dependant;
    let tail = key(&[its.namespace.as_str(), its.name.as_str(), its_version.as_str()]);
    [&downstream_start(unit, version)[..], &recorded.to_be_bytes(), &tail].concat()
}

fn read_downstream((key, value): Row, start: usize) -> Result<Downstream> {
    let tail = key.get(start + size_of::<u64>()..).unwrap_or_default();
    let Some(last) = tail.iter().rposition(|it| *it == 0) else {
        return Err(unreadable("dependant"));
    };
    let place = read_place(&tail[..last])?;
    Ok(Downstream { place, version: kept_version(&tail[last + 1..])?, how: decode(&value)? })
}

fn read_place(bytes: &[u8]) -> Result<UnitPlace> {
    let text = str::from_utf8(bytes).ok().and_then(|it| it.split_once('\0'));
    let place = text.and_then(|(namespace, unit)| UnitPlace::parse(namespace, unit).ok());
    place.ok_or_else(|| unreadable("unit"))
}

fn unreadable(what: &str) -> Error {
    Error::Store { doing: format!("reading the name of a {what}"), source: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::in_memory::Rows;

    const PLAIN: DependencyRecord =
        DependencyRecord { build: true, deploy: true, is_extension: false };

    fn place(text: &str) -> UnitPlace {
        let (namespace, unit) = text.split_once('/').unwrap();
        UnitPlace::parse(namespace, unit).unwrap()
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn needs(rows: &mut Rows, recorded: u64, dependant: (&str, &str), needed: (&str, &str)) {
        let (unit, its_version) = (place(dependant.0), version(dependant.1));
        let dependant = Dependant { unit: unit.key(), version: &its_version, recorded };
        downstream_put(rows, place(needed.0).key(), &version(needed.1), dependant, PLAIN);
    }

    fn downstream(rows: &Rows, unit: &str, at_version: &str, limit: usize) -> Vec<String> {
        let (mut at, mut all) = (None, Vec::new());
        loop {
            let (unit, version) = (place(unit), version(at_version));
            let page = downstream_page(rows, unit.key(), &version, at, limit).unwrap();
            let shown = |it: &Downstream| {
                format!("{}/{}-v{}", it.place.namespace, it.place.unit, it.version)
            };
            all.extend(page.rows.iter().map(shown));
            at = page.next;
            if at.is_none() {
                return all;
            }
        }
    }

    #[test]
    fn dependants_are_listed_by_exact_release_the_last_registered_first() {
        let mut rows = Rows::default();
        // Neighbours that must never show: longer, equal in order, another unit.
        for (unit, version) in
            [("ns/lib", "1.0"), ("ns/lib", "01"), ("ns/lib-x", "1"), ("ns-x/lib", "1")]
        {
            needs(&mut rows, 9, ("a0/other", "1"), (unit, version));
        }
        needs(&mut rows, 300, ("a0/web", "1.0"), ("ns/lib", "1"));
        needs(&mut rows, 2, ("z0/web", "2"), ("ns/lib", "1"));
        needs(&mut rows, 255, ("b0/web", "3"), ("ns/lib", "1"));
        for limit in [1, 2, 3, 100] {
            let expected = ["a0/web-v1.0", "b0/web-v3", "z0/web-v2"];
            assert_eq!(downstream(&rows, "ns/lib", "1", limit), expected);
        }
        assert_eq!(downstream(&rows, "ns/lib", "2", 5), Vec::<String>::new());
    }

    #[test]
    fn a_walk_can_be_repeated_without_what_came_since() {
        let mut rows = Rows::default();
        for (number, unit) in [(1, "ns/aa"), (2, "ns/bb")] {
            needs(&mut rows, number, (unit, "1"), ("ns/lib", "1"));
        }
        let (lib, one) = (place("ns/lib"), version("1"));
        let first = downstream_page(&rows, lib.key(), &one, None, 10).unwrap();
        needs(&mut rows, 3, ("ns/cc", "1"), ("ns/lib", "1"));
        let again = downstream_page(&rows, lib.key(), &one, first.start, 10).unwrap();
        assert_eq!(again.rows, first.rows);
        assert_eq!(downstream(&rows, "ns/lib", "1", 10).len(), 3);
    }

    #[test]
    fn what_is_dropped_is_gone() {
        let mut rows = Rows::default();
        needs(&mut rows, 1, ("ns/web", "1"), ("ns/lib", "1"));
        let (web, lib, one) = (place("ns/web"), place("ns/lib"), version("1"));
        let dependant = Dependant { unit: web.key(), version: &one, recorded: 1 };
        downstream_delete(&mut rows, lib.key(), &one, dependant);
        assert_eq!(downstream(&rows, "ns/lib", "1", 10), Vec::<String>::new());
    }

    fn subscribe(rows: &mut Rows, subscriber: &str, units: &[&str]) {
        let units = units.iter().map(|it| place(it)).collect();
        subscriptions_replace(rows, place(subscriber).key(), &units).unwrap();
    }

    fn subscribers(rows: &Rows, unit: &str, limit: usize) -> Vec<String> {
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let page = subscribers_page(rows, place(unit).key(), after.as_ref(), limit).unwrap();
            all.extend(page.iter().map(|it| format!("{}/{}", it.namespace, it.unit)));
            after = page.last().cloned();
            if page.len() < limit {
                return all;
            }
        }
    }

    #[test]
    fn a_unit_is_heard_of_by_those_that_named_it_last() {
        let mut rows = Rows::default();
        subscribe(&mut rows, "ns/web", &["ns/lib", "other/base"]);
        subscribe(&mut rows, "ns/web-x", &["ns/lib"]);
        subscribe(&mut rows, "a0/web", &["ns/lib"]);
        subscribe(&mut rows, "a0/web", &["ns/lib"]);
        for limit in [1, 2, 3, 100] {
            assert_eq!(subscribers(&rows, "ns/lib", limit), ["a0/web", "ns/web", "ns/web-x"]);
        }
        subscribe(&mut rows, "ns/web", &["other/base", "ns/new"]);
        assert_eq!(subscribers(&rows, "ns/lib", 10), ["a0/web", "ns/web-x"]);
        assert_eq!(subscribers(&rows, "other/base", 10), ["ns/web"]);
        assert_eq!(subscribers(&rows, "ns/new", 10), ["ns/web"]);
        for subscriber in ["ns/web", "ns/web-x", "a0/web"] {
            subscribe(&mut rows, subscriber, &[]);
        }
        assert_eq!(rows.len(), 0);
    }
}
