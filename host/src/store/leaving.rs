//! Deleting namespaces with everything in them, and emptying the inventory.
//!
//! A small namespace goes in one transaction. A large one is marked in the first
//! and has gone, for whoever looks for it, from then on; its rows follow in
//! transactions of a bounded size, and with the last of them goes the mark. As long
//! as that is there the name cannot be taken again, so that nothing old is ever
//! found under it. Which rows those are is said in `tables`.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use super::{
    Change, Record, Row, Table, Take, View, find, keep,
    namespaces::{NAMESPACES, PUBLIC_NAMESPACES, namespaces_page},
    prefix,
    tables::{KEYED_BY_NAMESPACE, KEYED_OTHERWISE, LeavingRelease, OF_A_RELEASE, OF_A_UNIT},
    unit_releases::{
        KeptRelease, UnitKey, unit_release_delete, unit_release_metadata, unit_releases_page,
    },
    units::units_page,
};
use crate::{
    error::{Error, Result},
    inventory::{NamespaceName, UnitName},
};

// namespace -> LeavingRecord, while rows of it are left.
const NAMESPACES_LEAVING: Table = Table("namespaces_leaving");

/// What one transaction deletes at the most, give or take a release.
const ROWS_AT_ONCE: usize = 2_000;
const BYTES_AT_ONCE: usize = 4 << 20;

/// Rows read at once.
const PIECE_ROWS: usize = 64;

/// A namespace that is being deleted. That it is there says it all.
#[derive(Serialize, Deserialize)]
struct LeavingRecord {}

impl Record for LeavingRecord {
    const WHAT: &'static str = "leaving namespace";
}

/// How far a deletion has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Nothing is left.
    Gone,
    /// It can be found no more; its rows go in further transactions.
    Begun,
}

/// How far the emptying of the inventory has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptying {
    /// Nothing is left.
    Empty,
    /// There is more to do.
    Begun,
    /// What is left is namespaces that are being deleted.
    Leaving,
}

/// Whether a namespace of that name is being deleted.
pub fn namespace_is_leaving(view: &dyn View, name: &NamespaceName) -> Result<bool> {
    let mark: Option<LeavingRecord> = find(view, NAMESPACES_LEAVING, name.as_str().as_bytes())?;
    Ok(mark.is_some())
}

/// A namespace that is being deleted, if there is one.
pub fn namespace_leaving(view: &dyn View) -> Result<Option<NamespaceName>> {
    let rows = view.range(NAMESPACES_LEAVING, &[], &[], Take { reverse: false, limit: 1 })?;
    rows.into_iter().next().map(|(key, _)| name_of(&key)).transpose()
}

/// Deletes a namespace, or begins to.
pub fn namespace_delete(change: &mut dyn Change, name: &NamespaceName) -> Result<Leaving> {
    delete_some(&mut Bounded::over(change), name)
}

/// Goes on with a deletion that has begun.
pub fn namespace_delete_more(change: &mut dyn Change, name: &NamespaceName) -> Result<Leaving> {
    match namespace_is_leaving(change, name)? {
        true => namespace_delete(change, name),
        false => Ok(Leaving::Gone),
    }
}

/// Deletes namespaces until there are none, or one transaction has done enough.
pub fn inventory_empty(change: &mut dyn Change) -> Result<Emptying> {
    let mut change = Bounded::over(change);
    loop {
        let page = namespaces_page(&change, "", PIECE_ROWS)?;
        for (name, _) in &page.namespaces {
            let left = delete_some(&mut change, &name_of(name.as_bytes())?)?;
            if left == Leaving::Begun || change.is_full() {
                return Ok(Emptying::Begun);
            }
        }
        if page.namespaces.is_empty() {
            break;
        }
    }
    if namespace_leaving(&change)?.is_some() {
        return Ok(Emptying::Leaving);
    }
    // Nothing of a namespace is left. This is what belongs to none.
    for table in [KEYED_BY_NAMESPACE, KEYED_OTHERWISE].concat() {
        if !delete_range(&mut change, table, &[], &[])? {
            return Ok(Emptying::Begun);
        }
    }
    Ok(Emptying::Empty)
}

fn delete_some(change: &mut Bounded<'_>, name: &NamespaceName) -> Result<Leaving> {
    let key = name.as_str().as_bytes();
    change.delete(NAMESPACES, key);
    change.delete(PUBLIC_NAMESPACES, key);
    let all_gone = delete_releases(change, name)?
        && delete_units(change, name)?
        && delete_keyed(change, name)?;
    if all_gone {
        change.delete(NAMESPACES_LEAVING, key);
        return Ok(Leaving::Gone);
    }
    keep(change, NAMESPACES_LEAVING, key, &LeavingRecord {});
    Ok(Leaving::Begun)
}

// Each of these says whether it has come to its end.

fn delete_releases(change: &mut Bounded<'_>, namespace: &NamespaceName) -> Result<bool> {
    let mut at = None;
    loop {
        let page = unit_releases_page(change, namespace, at, PIECE_ROWS)?;
        for KeptRelease { unit, version, record } in &page.releases {
            if change.is_full() {
                return Ok(false);
            }
            let unit = UnitKey { namespace, name: unit };
            let metadata = unit_release_metadata(change, unit, version)?.unwrap_or_default();
            let release = LeavingRelease { unit, version, record, metadata: &metadata };
            for rows_elsewhere in OF_A_RELEASE {
                rows_elsewhere(change, &release)?;
            }
            unit_release_delete(change, unit, version, record);
        }
        at = page.next;
        if at.is_none() {
            return Ok(true);
        }
    }
}

fn delete_units(change: &mut Bounded<'_>, namespace: &NamespaceName) -> Result<bool> {
    let mut after = String::new();
    loop {
        let units = units_page(change, namespace, &after, PIECE_ROWS)?;
        for (name, record) in &units {
            if change.is_full() {
                return Ok(false);
            }
            let unit = unit_name(name)?;
            for rows_elsewhere in OF_A_UNIT {
                rows_elsewhere(change, UnitKey { namespace, name: &unit }, record)?;
            }
            super::units::unit_delete(change, namespace, &unit);
        }
        match units.last() {
            Some((name, _)) => after.clone_from(name),
            None => return Ok(true),
        }
    }
}

fn delete_keyed(change: &mut Bounded<'_>, namespace: &NamespaceName) -> Result<bool> {
    let (from, to) = prefix(&[namespace.as_str()]);
    for table in KEYED_BY_NAMESPACE {
        change.delete(*table, namespace.as_str().as_bytes());
        if !delete_range(change, *table, &from, &to)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn delete_range(change: &mut Bounded<'_>, table: Table, from: &[u8], to: &[u8]) -> Result<bool> {
    let mut from = from.to_vec();
    loop {
        if change.is_full() {
            return Ok(false);
        }
        let rows = change.range(table, &from, to, Take { reverse: false, limit: PIECE_ROWS })?;
        for (key, _) in &rows {
            change.delete(table, key);
        }
        match rows.last() {
            // What lies before has been deleted, and need not be passed over again.
            Some((last, _)) if rows.len() == PIECE_ROWS => from = [last, &b"\0"[..]].concat(),
            _ => return Ok(true),
        }
    }
}

fn name_of(key: &[u8]) -> Result<NamespaceName> {
    let name = std::str::from_utf8(key).ok().and_then(|it| NamespaceName::parse(it).ok());
    name.ok_or_else(|| unreadable("a namespace's name"))
}

fn unit_name(text: &str) -> Result<UnitName> {
    UnitName::parse(text).map_err(|_| unreadable("a unit's name"))
}

fn unreadable(what: &str) -> Error {
    Error::Store { doing: format!("reading {what}"), source: None }
}

/// A change that counts what it does, so that it can end in time.
struct Bounded<'a> {
    change: &'a mut dyn Change,
    rows: usize,
    bytes: Cell<usize>,
}

impl<'a> Bounded<'a> {
    fn over(change: &'a mut dyn Change) -> Self {
        Bounded { change, rows: 0, bytes: Cell::new(0) }
    }

    fn is_full(&self) -> bool {
        self.rows >= ROWS_AT_ONCE || self.bytes.get() >= BYTES_AT_ONCE
    }

    fn read(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }
}

impl View for Bounded<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.change.get(table, key)?;
        self.read(found.as_ref().map_or(0, Vec::len));
        Ok(found)
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], take: Take) -> Result<Vec<Row>> {
        let rows = self.change.range(table, from, to, take)?;
        self.read(rows.iter().map(|(_, value)| value.len()).sum());
        Ok(rows)
    }
}

impl Change for Bounded<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.rows += 1;
        self.change.put(table, key, value);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.rows += 1;
        self.change.delete(table, key);
    }
}
