//! The plugins inside the program, described as those are that were installed.

use std::sync::LazyLock;

use serde_json::Value;

use super::install::words;
use crate::{
    plugins::{
        Outside,
        shipped::{SHIPPED, Shipped},
    },
    store::installed::{InstalledRow, WantedRow},
};

/// A plugin inside the program.
pub(super) struct Described {
    /// What an installed one would be kept as.
    pub(super) row: InstalledRow,
    /// What it says of itself.
    pub(super) manifest: Option<Value>,
}

static DESCRIBED: LazyLock<Vec<Described>> =
    LazyLock::new(|| SHIPPED.iter().filter_map(described).collect());

/// All of them.
pub(super) fn all() -> &'static [Described] {
    &DESCRIBED
}

/// The one of that name and version.
pub(super) fn find(name: &str, version: &str) -> Option<&'static Described> {
    all().iter().find(|it| it.row.name == name && it.row.version == version)
}

fn described(it: &Shipped) -> Option<Described> {
    let size_bytes = it.component.len() as u64;
    // A test compiles each of them.
    let outside = Outside::read(it.component, size_bytes).ok()?;
    let row = InstalledRow {
        name: it.name.to_owned(),
        version: it.version.to_owned(),
        sha256: it.sha256.to_owned(),
        size_bytes,
        kinds: words(&outside.kinds),
        imports: outside.imports,
        wanted: outside.wanted.into_iter().map(WantedRow::from).collect(),
        findings: Vec::new(),
        compile_ms: 0,
        installed_ms: 0,
        installed_by: String::new(),
        shipped: true,
    };
    Some(Described { row, manifest: outside.manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_plugin_is_described() {
        assert_eq!(all().len(), SHIPPED.len());
        let hook = all().iter().find(|it| it.row.name == "hook-webhook").unwrap();
        assert_eq!(hook.row.kinds, ["before-hook", "after-hook"]);
        assert!(hook.row.wanted.iter().any(|it| it.name == "http" && it.imported));
        assert!(hook.manifest.as_ref().unwrap()["settings"].is_object());
        assert!(find("hook-webhook", &hook.row.version).is_some());
    }
}
