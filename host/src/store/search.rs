//! What a search finds: the words of each unit, in two orders.
//!
//! By rank and word, so that a page of results is a range that is read in the order
//! in which it is answered; and by unit, so that a change writes the difference
//! alone, and one row tells all that a unit matches. Of a unit there is what its
//! greatest release says.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Change, Record, Table, Take, View, find, keep, key, prefix, unit_releases::UnitKey};
use crate::{
    error::{Error, Result},
    inventory::{NamespaceName, UnitName},
};

// (rank, word, namespace, unit) -> nothing. The best rank is `0`.
pub(super) const SEARCH_WORDS: Table = Table("search_words");

// (namespace, unit) -> SearchedRecord.
pub(super) const SEARCH_UNITS: Table = Table("search_units");

/// How many ranks a word may have.
pub const RANKS: usize = 4;

/// What a search knows of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchedRecord {
    /// Its words by rank, the best first. In each rank they are sorted, with a blank
    /// between, and none is in two.
    pub words: [String; RANKS],
    /// The beginning of its description, to be shown.
    pub description: String,
}

impl Record for SearchedRecord {
    const WHAT: &'static str = "searched unit";
}

impl SearchedRecord {
    /// The first of its words that starts with `start`, and its rank.
    pub fn first(&self, start: &str) -> Option<(usize, &str)> {
        for (rank, words) in self.words.iter().enumerate() {
            if let Some(word) = words.split(' ').find(|it| it.starts_with(start)) {
                return Some((rank, word));
            }
        }
        None
    }

    fn places(&self) -> BTreeSet<(usize, &str)> {
        let ranked = self.words.iter().enumerate();
        ranked
            .flat_map(|(rank, it)| it.split_terminator(' ').map(move |word| (rank, word)))
            .collect()
    }
}

/// A word that a unit has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The word's rank in the unit.
    pub rank: usize,
    /// The word.
    pub word: String,
    /// The unit's namespace.
    pub namespace: NamespaceName,
    /// The unit.
    pub unit: UnitName,
    /// Where the row is.
    pub key: Vec<u8>,
}

/// Keeps what a unit is found by. Writes what is new, and drops what is no more.
pub fn search_put(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    record: &SearchedRecord,
) -> Result<()> {
    let known = search_unit(change, unit)?.unwrap_or_default();
    if known == *record {
        return Ok(());
    }
    let (before, after) = (known.places(), record.places());
    for gone in before.difference(&after) {
        change.delete(SEARCH_WORDS, &word_key(unit, *gone));
    }
    for new in after.difference(&before) {
        change.put(SEARCH_WORDS, &word_key(unit, *new), Vec::new());
    }
    keep(change, SEARCH_UNITS, &unit_key(unit), record);
    Ok(())
}

/// Sees to it that a unit is found no more.
pub fn search_drop(change: &mut dyn Change, unit: UnitKey<'_>) -> Result<()> {
    let Some(known) = search_unit(change, unit)? else { return Ok(()) };
    for gone in known.places() {
        change.delete(SEARCH_WORDS, &word_key(unit, gone));
    }
    change.delete(SEARCH_UNITS, &unit_key(unit));
    Ok(())
}

/// What a unit is found by.
pub fn search_unit(view: &dyn View, unit: UnitKey<'_>) -> Result<Option<SearchedRecord>> {
    find(view, SEARCH_UNITS, &unit_key(unit))
}

/// The words that start with `start`, of all units, the best rank first; within a
/// rank by word, namespace and unit. From behind the row at `after`, or from the
/// first where it is empty.
pub fn search_words(
    view: &dyn View,
    start: &str,
    after: &[u8],
    limit: usize,
) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for rank in 0..RANKS {
        let (first, to) = word_range(rank, start);
        let from = if after < &first[..] { first } else { [after, b"\0"].concat() };
        if from < to && found.len() < limit {
            let take = Take { reverse: false, limit: limit - found.len() };
            for (key, _) in view.range(SEARCH_WORDS, &from, &to, take)? {
                found.push(read(key)?);
            }
        }
    }
    Ok(found)
}

/// Whether a row that [`search_words`] finds for `start` may be at `key`.
pub fn is_place(start: &str, key: &[u8]) -> bool {
    (0..RANKS).map(|rank| word_range(rank, start)).any(|(from, to)| *from <= *key && *key < *to)
}

fn unit_key(unit: UnitKey<'_>) -> Vec<u8> {
    key(&[unit.namespace.as_str(), unit.name.as_str()])
}

fn word_key(unit: UnitKey<'_>, (rank, word): (usize, &str)) -> Vec<u8> {
    key(&[&rank.to_string(), word, unit.namespace.as_str(), unit.name.as_str()])
}

fn word_range(rank: usize, start: &str) -> (Vec<u8>, Vec<u8>) {
    let from = [&prefix(&[&rank.to_string()]).0[..], start.as_bytes()].concat();
    // No text has this byte.
    let to = [&from[..], b"\xff"].concat();
    (from, to)
}

fn read(key: Vec<u8>) -> Result<Found> {
    let unreadable = || Error::Store { doing: "reading a searched word".into(), source: None };
    let text = std::str::from_utf8(&key).map_err(|_| unreadable())?;
    let [rank, word, namespace, unit] =
        text.split('\0').collect::<Vec<_>>().try_into().map_err(|_| unreadable())?;
    Ok(Found {
        rank: rank.parse().map_err(|_| unreadable())?,
        word: word.to_owned(),
        namespace: NamespaceName::parse(namespace)?,
        unit: UnitName::parse(unit)?,
        key,
    })
}
