//! Plugins that were installed on the running server, by name and version.
//!
//! A row holds what the component was found to be, and points at its bytes among the
//! blobs. A version never changes: it is inserted once and deleted when nothing uses it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Change, Record, Table, Take, View, blob_refs, find as record, keep, key, prefix};
use crate::error::{Error, Result};

// (name, version) -> InstalledRow.
const PLUGINS: Table = Table("plugins");
// (name, version) -> the component's own manifest, where it has one.
const MANIFESTS: Table = Table("plugin_manifests");

/// Versions of one plugin, at most.
pub const VERSIONS_MAX: usize = 100;

/// A version of a plugin, as it was found to be when it was installed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstalledRow {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The component among the blobs: lower-case hexadecimal.
    pub sha256: String,
    /// The component's size.
    pub size_bytes: u64,
    /// What it can be put to work as: `policy`, `renderer`, and so on.
    pub kinds: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The capabilities that it imports or asks for.
    pub wanted: Vec<WantedRow>,
    /// What it says of empty settings.
    pub findings: Vec<String>,
    /// How long it took to be compiled.
    pub compile_ms: u64,
    /// When it was installed, in milliseconds since the Unix epoch.
    pub installed_ms: u64,
    /// Who installed it: `user:ana`.
    pub installed_by: String,
    /// Whether it is one that the server brought along.
    pub shipped: bool,
}

/// A capability that a component wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WantedRow {
    /// Its name.
    pub name: String,
    /// What for, in the plugin's own words.
    pub reason: Option<String>,
    /// Whether it is imported.
    pub imported: bool,
}

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Manifest(Value);

impl Record for InstalledRow {
    const WHAT: &'static str = "plugin";
}

impl Record for Manifest {
    const WHAT: &'static str = "plugin manifest";
}

/// A version of a plugin.
pub fn find(
    view: &(impl View + ?Sized),
    name: &str,
    version: &str,
) -> Result<Option<InstalledRow>> {
    record(view, PLUGINS, &key(&[name, version]))
}

/// What the component of a version says of itself.
pub fn manifest(view: &(impl View + ?Sized), name: &str, version: &str) -> Result<Option<Value>> {
    Ok(record::<Manifest>(view, MANIFESTS, &key(&[name, version]))?.map(|it| it.0))
}

/// All versions of a plugin: no more than [`VERSIONS_MAX`].
pub fn of_name(view: &(impl View + ?Sized), name: &str) -> Result<Vec<InstalledRow>> {
    let (from, to) = prefix(&[name]);
    rows(view, &from, &to, VERSIONS_MAX)
}

/// The first `limit` versions of all plugins behind that name and version, by name and
/// version as text.
pub fn behind(
    view: &(impl View + ?Sized),
    after: Option<(&str, &str)>,
    limit: usize,
) -> Result<Vec<InstalledRow>> {
    let from = match after {
        Some((name, version)) => [key(&[name, version]).as_slice(), b"\0"].concat(),
        None => Vec::new(),
    };
    rows(view, &from, &[], limit)
}

/// Keeps a version. The blob has to be there, and to be held.
pub fn insert(change: &mut dyn Change, row: &InstalledRow, manifest: Option<&Value>) -> Result<()> {
    let key = key(&[&row.name, &row.version]);
    if change.get(PLUGINS, &key)?.is_some() {
        let name = format!("{} {}", row.name, row.version);
        return Err(Error::AlreadyExists { what: "plugin", name });
    }
    if of_name(change, &row.name)?.len() == VERSIONS_MAX {
        return Err(Error::Conflict(format!(
            "{VERSIONS_MAX} versions of `{}` are installed: remove one that is not used",
            row.name
        )));
    }
    blob_refs::refer(change, &row.sha256, &blob_owner(&row.name, &row.version));
    keep(change, PLUGINS, &key, row);
    if let Some(manifest) = manifest {
        keep(change, MANIFESTS, &key, &Manifest(manifest.clone()));
    }
    Ok(())
}

/// Drops a version; its bytes are collected once nobody else needs them.
pub fn delete(change: &mut dyn Change, row: &InstalledRow) {
    let key = key(&[&row.name, &row.version]);
    change.delete(PLUGINS, &key);
    change.delete(MANIFESTS, &key);
    blob_refs::release(change, &row.sha256, &blob_owner(&row.name, &row.version));
}

fn blob_owner(name: &str, version: &str) -> String {
    format!("plugin/{name}/{version}")
}

fn rows(
    view: &(impl View + ?Sized),
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<InstalledRow>> {
    let rows = view.range(PLUGINS, from, to, Take { reverse: false, limit })?;
    rows.iter().map(|(_, value)| super::decode(value)).collect()
}
