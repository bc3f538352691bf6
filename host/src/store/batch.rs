//! Operations that are committed together, each as if it were alone.
//!
//! An operation sees the last committed state and what the batch's earlier
//! operations did to it. What it changes itself lies over both until it has
//! succeeded, so that a failed operation leaves no trace and its neighbours never
//! notice.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use sha2::{Digest, Sha256};

use super::{
    engine::{Snapshot, place, places},
    view::{Change, Row, Table, Take, View},
};
use crate::error::Result;

/// Rows by place; one without a value is dropped.
type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The changes of a batch over a committed state.
pub(super) struct Batch<'a> {
    base: &'a Snapshot,
    // Of the operations that succeeded.
    rows: Rows,
    // Of the running operation, over `rows`.
    running: Rows,
    // What the running operation found in `base`. It mostly changes what it has looked
    // at, and its digests want to know what was there.
    found: RefCell<HashMap<Vec<u8>, Option<Vec<u8>>>>,
    size_bytes: usize,
}

/// SHA-256 over the rows that an operation changed, before and after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digests {
    /// In lower-case hexadecimal.
    pub(super) before: String,
    /// The same.
    pub(super) after: String,
}

impl<'a> Batch<'a> {
    /// Nothing changed yet.
    pub(super) fn over(base: &'a Snapshot) -> Self {
        let (rows, running, found) = Default::default();
        Batch { base, rows, running, found, size_bytes: 0 }
    }

    /// Keeps what the running operation did; the next one begins.
    pub(super) fn accept(&mut self) {
        self.rows.extend(std::mem::take(&mut self.running));
        self.found.get_mut().clear();
    }

    /// Takes back what the running operation did; the next one begins.
    pub(super) fn take_back(&mut self) {
        self.running.clear();
        self.found.get_mut().clear();
    }

    /// The digests of the rows that the running operation changed so far.
    pub(super) fn digests(&self) -> Result<Digests> {
        let (mut before, mut after) = (Sha256::new(), Sha256::new());
        let found = self.found.borrow();
        for (place, new) in &self.running {
            hash_row(&mut after, place, new.as_deref());
            match self.rows.get(place).or_else(|| found.get(place)) {
                Some(old) => hash_row(&mut before, place, old.as_deref()),
                None => hash_row(&mut before, place, self.base.at(place)?.as_deref()),
            }
        }
        Ok(Digests { before: hex::encode(before.finalize()), after: hex::encode(after.finalize()) })
    }

    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How much was put, taken back or not.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The rows to commit.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(place, value)| (place.as_slice(), value.as_deref()))
    }

    fn set(&mut self, place: Vec<u8>, value: Option<Vec<u8>>) {
        self.size_bytes += place.len() + value.as_ref().map_or(0, Vec::len);
        self.running.insert(place, value);
    }

    /// What the batch has done to the rows between two places, in order.
    fn changed(&self, from: &[u8], to: &[u8]) -> BTreeMap<&Vec<u8>, Option<&Vec<u8>>> {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let layers = [&self.rows, &self.running];
        let rows = layers.into_iter().flat_map(|it| it.range::<[u8], _>(bounds));
        rows.map(|(place, value)| (place, value.as_ref())).collect()
    }
}

impl View for Batch<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let place = place(table, key);
        if let Some(inside) = self.running.get(&place).or_else(|| self.rows.get(&place)) {
            return Ok(inside.clone());
        }
        let mut found = self.found.borrow_mut();
        if let Some(beneath) = found.get(&place) {
            return Ok(beneath.clone());
        }
        let beneath = self.base.at(&place)?;
        found.insert(place, beneath.clone());
        Ok(beneath)
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], take: Take) -> Result<Vec<Row>> {
        let (from, to) = places(table, from, to);
        if from >= to {
            return Ok(Vec::new());
        }
        let changed = self.changed(&from, &to);
        let cut = |(mut place, value): Row| {
            place.drain(..=table.0.len());
            (place, value)
        };
        // Each changed row hides at most one row beneath it.
        let beneath = Take { limit: take.limit.saturating_add(changed.len()), ..take };
        let beneath = self.base.between(&from, &to, beneath)?;
        if changed.is_empty() {
            return Ok(beneath.into_iter().map(cut).collect());
        }
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = beneath.into_iter().collect();
        for (place, value) in changed {
            match value {
                Some(value) => rows.insert(place.clone(), value.clone()),
                None => rows.remove(place),
            };
        }
        let rows = rows.into_iter().map(cut);
        Ok(if take.reverse {
            rows.rev().take(take.limit).collect()
        } else {
            rows.take(take.limit).collect()
        })
    }
}

impl Change for Batch<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.set(place(table, key), Some(value));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.set(place(table, key), None);
    }
}

fn hash_row(hash: &mut Sha256, place: &[u8], value: Option<&[u8]>) {
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(place);
    match value {
        Some(value) => part(value),
        None => hash.update(u64::MAX.to_be_bytes()),
    }
}
