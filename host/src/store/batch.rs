//! Operations that are committed together, each as if it were alone.
//!
//! An operation sees the last committed state and what the batch's earlier
//! operations did to it. What it changes itself is noted, so that a failed
//! operation is taken back without a trace and its neighbours never notice.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    ops::Bound,
};

use sha2::{Digest, Sha256};

use super::{
    engine::{Snapshot, place, places},
    view::{Change, Row, Table, Take, View},
};
use crate::error::Result;

/// What was in a batch at a place: nothing yet, or a row that is put or dropped.
type Replaced = Option<Option<Vec<u8>>>;

/// The changes of a batch over a committed state.
pub(super) struct Batch<'a> {
    base: &'a Snapshot,
    // By place; without a value it is dropped.
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    // What the running operation replaced in `rows`, the oldest first.
    undo: Vec<(Vec<u8>, Replaced)>,
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
        Batch { base, rows: BTreeMap::new(), undo: Vec::new(), size_bytes: 0 }
    }

    /// Keeps what the running operation did; the next one begins.
    pub(super) fn accept(&mut self) {
        self.undo.clear();
    }

    /// Takes back what the running operation did; the next one begins.
    pub(super) fn take_back(&mut self) {
        for (place, old) in self.undo.drain(..).rev() {
            match old {
                Some(old) => self.rows.insert(place, old),
                None => self.rows.remove(&place),
            };
        }
    }

    /// The digests of the rows that the running operation changed so far.
    pub(super) fn digests(&self) -> Result<Digests> {
        let (mut before, mut after) = (Sha256::new(), Sha256::new());
        let mut seen = BTreeSet::new();
        let mut olds = BTreeMap::new();
        for (place, old) in &self.undo {
            if seen.insert(place) {
                let old = match old {
                    Some(inside) => inside.clone(),
                    None => self.base.at(place)?,
                };
                olds.insert(place, old);
            }
        }
        for (place, old) in olds {
            hash_row(&mut before, place, old.as_deref());
            hash_row(&mut after, place, self.rows[place].as_deref());
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
        let old = match self.rows.entry(place.clone()) {
            Entry::Occupied(mut it) => Some(it.insert(value)),
            Entry::Vacant(it) => {
                it.insert(value);
                None
            }
        };
        self.undo.push((place, old));
    }
}

impl View for Batch<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let place = place(table, key);
        match self.rows.get(&place) {
            Some(inside) => Ok(inside.clone()),
            None => self.base.at(&place),
        }
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], take: Take) -> Result<Vec<Row>> {
        let (from, to) = places(table, from, to);
        if from >= to {
            return Ok(Vec::new());
        }
        let bounds = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
        let changed: Vec<_> = self.rows.range::<[u8], _>(bounds).collect();

        // Each changed row hides at most one row beneath it.
        let beneath = Take { limit: take.limit.saturating_add(changed.len()), ..take };
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> =
            self.base.between(&from, &to, beneath)?.into_iter().collect();
        for (place, value) in changed {
            match value {
                Some(value) => rows.insert(place.clone(), value.clone()),
                None => rows.remove(place),
            };
        }
        let cut = |(mut place, value): Row| {
            place.drain(..=table.0.len());
            (place, value)
        };
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
