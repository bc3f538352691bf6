//! Rows that are durable in the log and wait to be put in their places.
//!
//! What changes together lies all over the file, so to put every row in its place at
//! once means a page for nearly each, and another above it. A commit therefore writes
//! its rows in one piece, to the log, and keeps them here, where readers look first. When
//! many have come they are set aside, and each later commit puts some of them in their
//! places, in order of place: what lies together then shares its pages. A part of the
//! log goes when all of its rows are where they belong. What is left of it is read when
//! the database is opened; to put a row in its place twice does no harm.
//!
//! Rows lie in layers, the newest first, each with a filter that tells most of what is
//! not in it. Of layers that are alike in size one is made, so that there are few.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    mem,
    ops::Range,
    sync::Arc,
};

use crate::error::{Error, Result};

/// A piece of the log at the most, but for larger rows: what fits a block of pages.
const PIECE_BYTES: usize = 60 << 10;

/// What a row is taken to cost besides its bytes.
const ROW_BYTES: usize = 64;

/// Pieces of the log that one commit drops at the most.
const PIECES_DROPPED: u64 = 64;

/// A row at its place; one without a value is dropped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) place: Arc<[u8]>,
    pub(super) value: Option<Arc<[u8]>>,
    hash: u64,
}

impl Entry {
    fn new(place: &[u8], value: Option<&[u8]>) -> Entry {
        Entry { place: place.into(), value: value.map(Arc::from), hash: hash(place) }
    }

    fn bytes(&self) -> usize {
        ROW_BYTES + self.place.len() + self.value.as_ref().map_or(0, |it| it.len())
    }
}

/// Rows in order of place, each place once.
#[derive(Debug, Default)]
struct Layer {
    entries: Vec<Entry>,
    // A bit map of two bits for each row; its length is a power of two.
    filter: Vec<u64>,
    bytes: usize,
}

impl Layer {
    fn of(entries: Vec<Entry>) -> Layer {
        let words = (entries.len() / 4).next_power_of_two();
        let mut layer = Layer { filter: vec![0; words], bytes: 0, entries };
        for entry in &layer.entries {
            for bit in bits(entry.hash, words) {
                layer.filter[bit / 64] |= 1 << (bit % 64);
            }
            layer.bytes += entry.bytes();
        }
        layer
    }

    /// Both, with this one's rows in place of the other's.
    fn over(&self, below: &Layer) -> Layer {
        let mut entries = Vec::with_capacity(self.entries.len() + below.entries.len());
        let both = Merged { heads: vec![&self.entries, &below.entries], reverse: false };
        entries.extend(both.cloned());
        Layer::of(entries)
    }

    fn at(&self, place: &[u8], hash: u64) -> Option<&Entry> {
        let is_set = |bit: usize| self.filter[bit / 64] & (1 << (bit % 64)) != 0;
        if !bits(hash, self.filter.len()).into_iter().all(is_set) {
            return None;
        }
        let found = self.entries.binary_search_by(|it| (*it.place).cmp(place)).ok()?;
        Some(&self.entries[found])
    }

    fn between(&self, from: &[u8], to: &[u8]) -> &[Entry] {
        let behind = |place: &[u8]| self.entries.partition_point(|it| *it.place < *place);
        &self.entries[behind(from)..behind(to)]
    }
}

/// The rows that wait at some moment, whatever comes after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers(Vec<Arc<Layer>>);

impl Layers {
    /// What waits for a place, if anything does.
    pub(super) fn at(&self, place: &[u8]) -> Option<&Entry> {
        if self.0.is_empty() {
            return None;
        }
        let hash = hash(place);
        self.0.iter().find_map(|it| it.at(place, hash))
    }

    /// What waits for places from one to before another, in order.
    pub(super) fn between(&self, from: &[u8], to: &[u8], reverse: bool) -> Merged<'_> {
        let heads = self.0.iter().map(|it| it.between(from, to)).filter(|it| !it.is_empty());
        Merged { heads: heads.collect(), reverse }
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|it| it.bytes).sum()
    }

    fn push(&mut self, layer: Layer) {
        let mut newest = layer;
        while let Some(next) = self.0.first()
            && newest.entries.len() * 2 >= next.entries.len()
        {
            newest = newest.over(next);
            self.0.remove(0);
        }
        self.0.insert(0, Arc::new(newest));
    }

    fn into_one(self) -> Arc<Layer> {
        let mut layers = self.0.into_iter();
        let Some(mut one) = layers.next() else { return Arc::default() };
        for below in layers {
            one = Arc::new(one.over(&below));
        }
        one
    }
}

/// The rows of several layers in order, of each place the newest.
pub(super) struct Merged<'a> {
    // The newest first.
    heads: Vec<&'a [Entry]>,
    reverse: bool,
}

impl<'a> Merged<'a> {
    /// The next row.
    pub(super) fn peek(&self) -> Option<&'a Entry> {
        let ends = self.heads.iter().filter_map(|it| self.end(it));
        // Of equal ones `min_by` gives the first.
        ends.min_by(|one, other| {
            let order = one.place.cmp(&other.place);
            if self.reverse { order.reverse() } else { order }
        })
    }

    fn end(&self, entries: &'a [Entry]) -> Option<&'a Entry> {
        if self.reverse { entries.last() } else { entries.first() }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        let next = self.peek()?;
        for at in 0..self.heads.len() {
            let entries = self.heads[at];
            if self.end(entries).is_some_and(|it| it.place == next.place) {
                let last = entries.len() - 1;
                self.heads[at] = if self.reverse { &entries[..last] } else { &entries[1..] };
            }
        }
        Some(next)
    }
}

/// All rows that wait, and which of them are on their way.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    recent: Layers,
    aside: Option<Aside>,
    // The pieces of the log that are there, and the first that is needed.
    pieces: Range<u64>,
    needed: u64,
}

/// Rows that are being put in their places.
#[derive(Clone, Debug)]
struct Aside {
    layer: Arc<Layer>,
    done: usize,
    // Behind the last piece of the log that tells of them.
    pieces_end: u64,
}

/// What one commit does.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// What is added to the log.
    pub(super) pieces: Vec<(u64, Vec<u8>)>,
    /// What is dropped from it.
    pub(super) dropped: Range<u64>,
    fresh: Option<Layer>,
    layer: Arc<Layer>,
    moved: Range<usize>,
}

impl Step {
    /// What is put in its place.
    pub(super) fn moved(&self) -> &[Entry] {
        &self.layer.entries[self.moved.clone()]
    }

    /// Whether it does nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.dropped.is_empty() && self.moved.is_empty()
    }
}

impl Waiting {
    /// What the log tells: its pieces with their numbers, in order.
    pub(super) fn read(pieces: impl Iterator<Item = Result<(u64, Vec<u8>)>>) -> Result<Waiting> {
        let mut rows = BTreeMap::new();
        let mut found: Option<Range<u64>> = None;
        for piece in pieces {
            let (number, bytes) = piece?;
            found = Some(found.map_or(number, |it| it.start)..number + 1);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let entry = read_row(&mut rest).ok_or_else(|| Error::Store {
                    doing: format!("opening it: piece {number} of its log is damaged"),
                    source: None,
                })?;
                rows.insert(entry.place.clone(), entry);
            }
        }
        let mut waiting = Waiting::default();
        if let Some(pieces) = found {
            waiting.needed = pieces.start;
            waiting.pieces = pieces;
        }
        if !rows.is_empty() {
            waiting.recent.push(Layer::of(rows.into_values().collect()));
        }
        Ok(waiting)
    }

    /// What readers look at before they look at the places.
    pub(super) fn layers(&self) -> Layers {
        let aside = self.aside.iter().map(|it| it.layer.clone());
        Layers(self.recent.0.iter().cloned().chain(aside).collect())
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.recent.0.is_empty() && self.aside.is_none() && self.pieces.is_empty()
    }

    /// How many pieces the log has.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        (self.pieces.end - self.pieces.start) as usize
    }

    /// A commit of these rows, which come in order of place. It puts somewhat more in place
    /// than comes.
    pub(super) fn commit<'a>(
        &self,
        rows: &mut dyn Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Step {
        let entries: Vec<_> = rows.map(|(place, value)| Entry::new(place, value)).collect();
        if entries.is_empty() {
            return Step::default();
        }
        let pieces = (self.pieces.end..).zip(pieces_of(&entries)).collect();
        let fresh = Layer::of(entries);
        let step = self.step(fresh.bytes + fresh.bytes / 2);
        Step { pieces, fresh: Some(fresh), ..step }
    }

    /// A commit that only puts about so many bytes in place.
    pub(super) fn settle(&mut self, bytes: usize) -> Step {
        if self.aside.is_none() {
            self.set_aside();
        }
        self.step(bytes)
    }

    fn step(&self, bytes: usize) -> Step {
        let dropped_end = self.needed.min(self.pieces.start + PIECES_DROPPED);
        let step = Step { dropped: self.pieces.start..dropped_end, ..Step::default() };
        let Some(aside) = &self.aside else { return step };
        let (mut end, mut moved) = (aside.done, 0);
        while let Some(entry) = aside.layer.entries.get(end)
            && moved < bytes
        {
            moved += entry.bytes();
            end += 1;
        }
        Step { layer: aside.layer.clone(), moved: aside.done..end, ..step }
    }

    /// Goes on from a commit that is durable. With more than `max` bytes, rows are set
    /// aside.
    pub(super) fn done(&mut self, step: Step, max: usize) {
        self.pieces.end += step.pieces.len() as u64;
        self.pieces.start += step.dropped.end - step.dropped.start;
        if let Some(aside) = &mut self.aside {
            aside.done = step.moved.end.max(aside.done);
            if aside.done == aside.layer.entries.len() {
                self.needed = aside.pieces_end;
                self.aside = None;
            }
        }
        if let Some(fresh) = step.fresh {
            self.recent.push(fresh);
        }
        if self.aside.is_none() && self.recent.bytes() >= max {
            self.set_aside();
        }
    }

    fn set_aside(&mut self) {
        if !self.recent.0.is_empty() {
            let layer = mem::take(&mut self.recent).into_one();
            self.aside = Some(Aside { layer, done: 0, pieces_end: self.pieces.end });
        }
    }
}

// (length of the place, place, 0 or the value's length and 1, value), and so on.
fn pieces_of(entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::with_capacity(PIECE_BYTES)];
    for Entry { place, value, .. } in entries {
        let piece = pieces.last_mut().expect("there is one from the start");
        let size = 12 + place.len() + value.as_ref().map_or(0, |it| it.len());
        let piece = if !piece.is_empty() && piece.len() + size > PIECE_BYTES {
            pieces.push(Vec::with_capacity(PIECE_BYTES));
            pieces.last_mut().expect("it was just put there")
        } else {
            piece
        };
        piece.extend((place.len() as u32).to_be_bytes());
        piece.extend_from_slice(place);
        let length = value.as_ref().map_or(0, |it| it.len() as u64 + 1);
        piece.extend(length.to_be_bytes());
        piece.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    pieces
}

fn read_row(rest: &mut &[u8]) -> Option<Entry> {
    let (length, behind) = rest.split_first_chunk()?;
    let (place, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (length, behind) = behind.split_first_chunk()?;
    let length = u64::from_be_bytes(*length);
    let (value, behind) =
        behind.split_at_checked(usize::try_from(length.saturating_sub(1)).ok()?)?;
    *rest = behind;
    Some(Entry::new(place, (length > 0).then_some(value)))
}

fn hash(place: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(place);
    hasher.finish()
}

fn bits(hash: u64, words: usize) -> [usize; 2] {
    let mask = words * 64 - 1;
    [hash as usize & mask, (hash >> 32) as usize & mask]
}
