//! What can be said of a component without running any of it.

use serde::Serialize;

use super::{Kind, cache, load};

/// What a component is, asks for and imports.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// The plugin's name; empty where it has no manifest.
    pub name: String,
    /// Its version; empty where it has no manifest.
    pub version: String,
    /// What it does, in a sentence.
    pub description: String,
    /// What it can be put to work as, by its exports.
    pub kinds: Vec<&'static str>,
    /// For hooks: the actions that it wants to see.
    pub actions: Vec<String>,
    /// The interfaces of `chandlery:host` that it imports.
    pub imports: Vec<String>,
    /// Imports that this server does not offer to anybody.
    pub foreign: Vec<String>,
    /// What its manifest asks for, and why.
    pub capabilities: Vec<Capability>,
    /// The JSON Schema of its settings.
    pub settings: Option<serde_json::Value>,
    /// The versions of the server that it works with.
    pub requires_host: Option<String>,
    /// Its size.
    pub size_bytes: usize,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
}

/// Something that a plugin asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capability {
    /// `http`, `clock`, ...
    pub name: String,
    /// Why; empty where the manifest does not say.
    pub reason: String,
    /// Whether the component imports it. `mutate`, `documents` and secrets that are
    /// only used are no imports.
    pub imported: bool,
}

/// Looks at a component. The error is a sentence.
pub fn facts(bytes: &[u8]) -> Result<Facts, String> {
    let component = load::read(bytes, usize::MAX)?;
    let host = |it: &String| it.strip_prefix("chandlery:host/").map(interface);
    let imports: Vec<String> = component.imports.iter().filter_map(host).collect();
    let is_ours = |it: &&String| it.starts_with("chandlery:");
    let foreign = component.imports.iter().filter(|it| !is_ours(it)).cloned().collect();
    let kinds = Kind::ALL.into_iter().filter(|it| component.is_a(*it)).map(Kind::word).collect();
    let manifest = component.manifest.unwrap_or_default();
    let capabilities = manifest
        .asked()
        .into_iter()
        .map(|(name, reason)| Capability { imported: imports.contains(&name), name, reason })
        .collect();
    Ok(Facts {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        kinds,
        actions: manifest.actions,
        imports,
        foreign,
        capabilities,
        settings: manifest.settings,
        requires_host: manifest.requires_host,
        size_bytes: bytes.len(),
        sha256: cache::digest(bytes),
    })
}

/// `log@0.1.0` → `log`.
fn interface(name: &str) -> String {
    name.split('@').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::shipped::shipped;

    #[test]
    fn a_component_says_what_it_is_and_what_it_wants() {
        let hook = facts(shipped("hook-webhook").unwrap().component).unwrap();
        assert_eq!(hook.kinds, ["before-hook", "after-hook"]);
        assert_eq!(hook.actions, ["*"]);
        assert!(hook.imports.contains(&"http".to_owned()), "{:?}", hook.imports);
        assert!(hook.foreign.is_empty());
        let asked = |name: &str| hook.capabilities.iter().find(|it| it.name == name).unwrap();
        assert!(asked("http").imported && !asked("http").reason.is_empty());
        assert!(!asked("mutate").imported);
        assert!(hook.settings.is_some());
        assert_eq!(hook.sha256, shipped("hook-webhook").unwrap().sha256);
    }

    #[test]
    fn what_is_no_component_is_told_in_a_sentence() {
        assert_eq!(facts(b"hello").unwrap_err(), "it is not WebAssembly");
    }
}
