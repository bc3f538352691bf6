//! The small ordered key-value view that the nouns' code is written against.
//!
//! It is all that a second engine has to offer: `get`, `range`, `put` and
//! `delete` inside a transaction. Keys are bytes in order; [`key`] makes them
//! from parts.

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// A named, ordered map from bytes to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub &'static str);

/// Which way, and how many rows at the most.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// From the greatest key down.
    pub reverse: bool,
    /// Rows at the most.
    pub limit: usize,
}

/// One row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// A consistent state of the store, to read from.
pub trait View {
    /// The value under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The rows with `from <= key < to`, in order; `to` empty means to the end.
    fn range(&self, table: Table, from: &[u8], to: &[u8], take: Take) -> Result<Vec<Row>>;
}

/// A state of the store that can be changed. What is put can be read back in the
/// same transaction; none of it is kept unless the operation succeeds.
pub trait Change: View {
    /// Keeps `value` under `key`.
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>);

    /// Drops what is under `key`, if anything.
    fn delete(&mut self, table: Table, key: &[u8]);
}

/// A kept thing: JSON after one byte that tells its format.
///
/// A record written by an older release is read by [`Record::upgrade`]; one by a
/// newer release is an error that says so.
pub trait Record: Serialize + DeserializeOwned {
    /// What it is called in errors.
    const WHAT: &'static str;
    /// The format written now. Counts from 1.
    const FORMAT: u8 = 1;

    /// Reads a record of an older format.
    fn upgrade(format: u8, _json: &[u8]) -> Result<Self> {
        Err(unreadable(Self::WHAT, format!("format {format} has no reader")))
    }
}

/// Makes a key from parts, so that keys sort by their parts in turn. Parts must
/// not hold NUL: names never do.
pub fn key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// The range `(from, to)` of all keys that start with `parts`, each whole.
pub fn prefix(parts: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let from = [parts.join("\0").as_bytes(), b"\0"].concat();
    let to = [parts.join("\0").as_bytes(), b"\x01"].concat();
    (from, to)
}

/// Turns a record into bytes.
pub fn encode<T: Record>(record: &T) -> Vec<u8> {
    let mut bytes = vec![T::FORMAT];
    serde_json::to_writer(&mut bytes, record).expect("records are plain data");
    bytes
}

/// Turns bytes into a record.
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T> {
    let Some((&format, json)) = bytes.split_first() else {
        return Err(unreadable(T::WHAT, "it is empty".into()));
    };
    match format {
        0 => Err(unreadable(T::WHAT, "its format is 0".into())),
        it if it == T::FORMAT => {
            serde_json::from_slice(json).map_err(|it| unreadable(T::WHAT, it.to_string()))
        }
        it if it < T::FORMAT => T::upgrade(it, json),
        it => Err(unreadable(
            T::WHAT,
            format!(
                "it has format {it}, and this server reads up to {}: use a newer one",
                T::FORMAT
            ),
        )),
    }
}

/// Reads a record.
pub fn find<T: Record>(view: &(impl View + ?Sized), table: Table, key: &[u8]) -> Result<Option<T>> {
    view.get(table, key)?.map(|it| decode(&it)).transpose()
}

/// Keeps a record.
pub fn keep<T: Record>(change: &mut (impl Change + ?Sized), table: Table, key: &[u8], record: &T) {
    change.put(table, key, encode(record));
}

fn unreadable(what: &str, why: String) -> Error {
    Error::Store { doing: format!("reading a {what} record: {why}"), source: None }
}
