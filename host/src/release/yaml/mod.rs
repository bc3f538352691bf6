//! YAML 1.1, as packages are written in it, into JSON values.
//!
//! What differs from a plain YAML 1.1 reader, on purpose:
//!
//! - **Numbers and dates keep their text.** `version: 1.10` stays `1.10`. What is
//!   also a number in JSON becomes a JSON number with the same digits; what JSON
//!   has no word for (`010`, `0x1F`, `1_000`, `1e3`, `12:30:45`, `.inf`, `2020-01-02`)
//!   becomes a string of the source text.
//! - Keys keep their text too: `on: push` has the key `on`.
//! - Depth, nodes and bytes are bounded, aliases counted as what they stand for.
//!
//! The rest is YAML 1.1: `yes`, `no`, `on` and `off` are booleans, `y` and `n`
//! are text, `<<` merges, and of equal keys the last wins. The order of keys is
//! kept. A tag that is not one of YAML's own is refused.

mod compose;
mod scalar;
mod write;

use std::fmt;

use serde_json::Value;

pub use self::{compose::Reader, write::block};

/// Maps, lists and their sum may nest this deep. A guest reads the values with a
/// JSON parser that stops at 128.
pub const DEPTH_MAX: usize = 64;
/// Scalars, lists and maps in one text at the most, aliases expanded.
pub const NODES_MAX: usize = 250_000;
/// Bytes of text at the most, aliases expanded.
pub const BYTES_MAX: usize = 16 << 20;

/// A YAML document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it holds.
    pub value: Value,
    /// The line of its first node, from 1.
    pub line: usize,
}

/// Where and why a text is no YAML that we take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Why.
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for YamlError {}

/// Reads all documents of a text.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    Reader::new(text).documents()
}

/// Reads a text of one document; null where there is none.
pub fn single(text: &str) -> Result<Value, YamlError> {
    Reader::new(text).single()
}

#[cfg(test)]
mod tests;
