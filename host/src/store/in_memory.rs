//! The smallest engine: enough for the tests of the nouns' own code.

use std::{collections::BTreeMap, ops::Bound};

use super::{Change, Row, Table, Take, View};
use crate::error::Result;

/// Rows in memory, in one transaction without an end.
#[derive(Default)]
pub(crate) struct Rows {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    writes: usize,
}

impl Rows {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How often a row was put or dropped.
    pub(crate) fn writes(&self) -> usize {
        self.writes
    }

    /// Drops the rows of which this is not true, by table and key.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(Table, &[u8]) -> bool) {
        self.rows.retain(|(table, key), _| is_kept(*table, key));
    }
}

impl View for Rows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], take: Take) -> Result<Vec<Row>> {
        if from > to && !to.is_empty() {
            return Ok(Vec::new());
        }
        let from = Bound::Included((table, from.to_vec()));
        let rows = self.rows.range((from, Bound::Unbounded));
        let rows = rows
            .take_while(|((its, key), _)| *its == table && (to.is_empty() || &key[..] < to))
            .map(|((_, key), value)| (key.clone(), value.clone()));
        let mut rows: Vec<_> = rows.collect();
        if take.reverse {
            rows.reverse();
        }
        rows.truncate(take.limit);
        Ok(rows)
    }
}

impl Change for Rows {
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.writes += 1;
        self.rows.insert((table, key.to_vec()), value);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.writes += 1;
        self.rows.remove(&(table, key.to_vec()));
    }
}
