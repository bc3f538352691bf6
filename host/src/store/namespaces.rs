//! Namespaces, by name.

use serde::{Deserialize, Serialize};

use super::{Change, Record, Table, Take, View, decode, find, keep, leaving::namespace_is_leaving};
use crate::{
    error::{Error, Result},
    inventory::NamespaceName,
};

// namespace -> NamespaceRecord.
pub(super) const NAMESPACES: Table = Table("namespaces");

// namespace -> nothing, for each that is public.
pub(super) const PUBLIC_NAMESPACES: Table = Table("namespaces_public");

/// How much of a page is read at once, and after how much it is full: a logo may be
/// as large as a request.
const PIECE_ROWS: usize = 10;
const PAGE_BYTES: usize = 1 << 20;

/// What is kept of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// What it is for.
    pub description: String,
    /// Where its people are found.
    pub org_url: String,
    /// Opaque text.
    pub logo: String,
    /// Whether everybody may read it.
    pub is_public: bool,
}

impl Record for NamespaceRecord {
    const WHAT: &'static str = "namespace";
}

/// Finds a namespace.
pub fn namespace(view: &dyn View, name: &NamespaceName) -> Result<Option<NamespaceRecord>> {
    find(view, NAMESPACES, name.as_str().as_bytes())
}

/// Keeps a new namespace. Fails where one of that name is there, or is still being
/// deleted: what was in the old one must never be found in the new one.
pub fn namespace_insert(
    change: &mut dyn Change,
    name: &NamespaceName,
    record: &NamespaceRecord,
) -> Result<()> {
    if namespace(change, name)?.is_some() {
        return Err(Error::AlreadyExists { what: "namespace", name: name.to_string() });
    }
    if namespace_is_leaving(change, name)? {
        return Err(Error::Conflict(format!(
            "the namespace `{name}` is being deleted: try again when that is done"
        )));
    }
    namespace_put(change, name, record)
}

/// Keeps what has changed of a namespace.
pub fn namespace_put(
    change: &mut dyn Change,
    name: &NamespaceName,
    record: &NamespaceRecord,
) -> Result<()> {
    let key = name.as_str().as_bytes();
    keep(change, NAMESPACES, key, record);
    if record.is_public {
        change.put(PUBLIC_NAMESPACES, key, Vec::new());
    } else if change.get(PUBLIC_NAMESPACES, key)?.is_some() {
        change.delete(PUBLIC_NAMESPACES, key);
    }
    Ok(())
}

/// Some namespaces, by name, and behind which name to go on.
pub struct NamespacesPage {
    /// The namespaces.
    pub namespaces: Vec<(String, NamespaceRecord)>,
    /// Behind which name the next page begins; absent after the last.
    pub next: Option<String>,
}

/// The first `limit` namespaces behind `after` by name, or fewer where they are
/// large; from the start where it is empty.
pub fn namespaces_page(view: &dyn View, after: &str, limit: usize) -> Result<NamespacesPage> {
    let mut namespaces = Vec::new();
    let (mut from, mut bytes) = (behind(after), 0);
    while namespaces.len() < limit && bytes < PAGE_BYTES {
        let piece = Take { reverse: false, limit: PIECE_ROWS.min(limit - namespaces.len()) };
        let rows = view.range(NAMESPACES, &from, &[], piece)?;
        let is_last = rows.len() < piece.limit;
        for (key, value) in rows {
            bytes += value.len();
            namespaces.push((String::from_utf8_lossy(&key).into_owned(), decode(&value)?));
        }
        if is_last {
            return Ok(NamespacesPage { namespaces, next: None });
        }
        from = behind(namespaces.last().map_or("", |(name, _)| name));
    }
    let next = namespaces.last().map(|(name, _)| name.clone());
    Ok(NamespacesPage { namespaces, next })
}

/// The names of the first `limit` public namespaces behind `after`; from the start
/// where it is empty.
pub fn namespaces_public(view: &dyn View, after: &str, limit: usize) -> Result<Vec<String>> {
    let take = Take { reverse: false, limit };
    let rows = view.range(PUBLIC_NAMESPACES, &behind(after), &[], take)?;
    Ok(rows.into_iter().map(|(key, _)| String::from_utf8_lossy(&key).into_owned()).collect())
}

fn behind(name: &str) -> Vec<u8> {
    if name.is_empty() { Vec::new() } else { [name.as_bytes(), b"\0"].concat() }
}
