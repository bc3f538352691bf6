//! Namespaces, by name.

use serde::{Deserialize, Serialize};

use super::{Change, Record, Table, Take, View, decode, find, keep};
use crate::{error::Result, inventory::NamespaceName};

// namespace -> NamespaceRecord.
const NAMESPACES: Table = Table("namespaces");

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

/// Keeps a namespace.
pub fn namespace_put(change: &mut dyn Change, name: &NamespaceName, record: &NamespaceRecord) {
    keep(change, NAMESPACES, name.as_str().as_bytes(), record);
}

/// The first `limit` namespaces behind `after` by name; from the start where it
/// is empty.
pub fn namespaces_page(
    view: &dyn View,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, NamespaceRecord)>> {
    let from = if after.is_empty() { Vec::new() } else { [after.as_bytes(), b"\0"].concat() };
    let rows = view.range(NAMESPACES, &from, &[], Take { reverse: false, limit })?;
    let namespace = |(key, value): (Vec<u8>, Vec<u8>)| {
        Ok((String::from_utf8_lossy(&key).into_owned(), decode(&value)?))
    };
    rows.into_iter().map(namespace).collect()
}
