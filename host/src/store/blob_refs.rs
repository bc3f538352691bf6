//! Which records need which blobs.
//!
//! Changed in the same transaction as the record, so that the collector, which
//! drops what nobody refers to, never sees one without the other.

use super::view::{Change, Table, Take, View, key, prefix};
use crate::error::Result;

// (sha256, owner) -> nothing.
const BLOB_REFS: Table = Table("blob_refs");

/// Notes that `owner` needs the blob. Once or twice is the same. The owner is the
/// record's own name: `version/acme/web/1.0.0`.
pub fn refer(change: &mut (impl Change + ?Sized), sha256: &str, owner: &str) {
    change.put(BLOB_REFS, &key(&[sha256, owner]), Vec::new());
}

/// Notes that `owner` no longer needs the blob, if it ever did.
pub fn release(change: &mut (impl Change + ?Sized), sha256: &str, owner: &str) {
    change.delete(BLOB_REFS, &key(&[sha256, owner]));
}

/// Whether anybody needs the blob.
pub fn is_needed(view: &(impl View + ?Sized), sha256: &str) -> Result<bool> {
    let (from, to) = prefix(&[sha256]);
    Ok(!view.range(BLOB_REFS, &from, &to, Take { reverse: false, limit: 1 })?.is_empty())
}

/// Who needs the blob, `limit` of them at the most.
pub fn owners(view: &(impl View + ?Sized), sha256: &str, limit: usize) -> Result<Vec<String>> {
    let (from, to) = prefix(&[sha256]);
    let rows = view.range(BLOB_REFS, &from, &to, Take { reverse: false, limit })?;
    let owner = |key: &[u8]| String::from_utf8_lossy(&key[from.len()..]).into_owned();
    Ok(rows.iter().map(|(key, _)| owner(key)).collect())
}
