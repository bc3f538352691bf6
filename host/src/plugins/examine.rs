//! What a component is, found out before it is put to work as anything.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Binding, FailMode, Kind, Limits, PluginSet,
    build::{self, Prepared},
    cache::Cache,
    engine::Machine,
    filter::Filter,
    load,
};
use crate::capabilities::{Grants, Services, secrets::Secrets};

/// The name that a guest has in logs and metrics while nobody has bound it.
const NOBODY: &str = "examined";

/// What a component is, and that it works.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// What it says of itself.
    pub outside: Outside,
    /// What it says of empty settings: what it needs, where it needs any.
    pub findings: Vec<String>,
    /// How long it took to be compiled, or to be found among what was compiled before.
    pub compile_ms: u64,
}

/// What a component says of itself, before any of it is compiled.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The kinds that it can be put to work as: one at least.
    pub kinds: Vec<Kind>,
    /// The interfaces that it imports, with their versions.
    pub imports: Vec<String>,
    /// The capabilities that it imports or asks for.
    pub wanted: Vec<Wanted>,
    /// The name in its manifest; empty without one.
    pub name: String,
    /// The version in its manifest; empty without one.
    pub version: String,
    /// Its manifest, where it has one.
    pub manifest: Option<Value>,
}

/// A capability that a component wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name: `http`.
    pub name: String,
    /// What it is wanted for, in the plugin's own words.
    pub reason: Option<String>,
    /// Whether the component really imports it.
    pub imported: bool,
}

impl Outside {
    /// Reads a component of at most `bytes_max` bytes. The error is a sentence, or
    /// several, one a line.
    pub fn read(bytes: &[u8], bytes_max: u64) -> Result<Outside, String> {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Outside::of(&load::read(bytes, bytes_max)?)
    }

    fn of(component: &load::Component) -> Result<Outside, String> {
        let manifest = component.manifest.clone().unwrap_or_default();
        Ok(Outside {
            kinds: component.kinds()?,
            imports: component.imports.clone(),
            wanted: component.wanted(),
            name: manifest.name,
            version: manifest.version,
            manifest: component.written.clone(),
        })
    }
}

/// Reads, compiles and links a component, holds it against the worlds of its kinds, and
/// starts a guest that can reach nothing. The error is a sentence, or several, one a
/// line.
pub(super) async fn examine(
    machine: &Arc<Machine>,
    cache: &Arc<Cache>,
    services: &Services,
    bytes: &Arc<[u8]>,
    bytes_max: u64,
) -> Result<Examined, String> {
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let prepared = build::prepared(machine, cache, bytes, bytes_max, Outside::of);
    let (Prepared { digest, linked, weight, compile_ms, .. }, outside) = prepared.await?;
    let bound = |kind| build::bound(machine, services, &nobodys(kind), digest.clone(), weight);
    let mut set = PluginSet::default();
    for kind in &outside.kinds {
        set.add_parts(Filter::default(), bound(*kind), linked.clone())?;
    }
    let first = *outside.kinds.first().ok_or("it is no plugin of any kind")?;
    let findings = build::says_of_settings(&bound(first), &linked).await?;
    Ok(Examined { sha256: digest, outside, findings, compile_ms })
}

fn nobodys(kind: Kind) -> Binding {
    Binding {
        name: NOBODY.to_owned(),
        kind,
        component: Arc::from([]),
        settings: json!({}),
        grants: Grants::everything(),
        secrets: Secrets::default(),
        actions: Vec::new(),
        namespaces: Vec::new(),
        units: Vec::new(),
        fail_mode: FailMode::Closed,
        limits: Limits::default(),
    }
}
