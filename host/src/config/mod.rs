//! Settings: one file (TOML), `CHANDLERY_…` variables, flags; the flag wins.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::capabilities::Grants;

/// The settings in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder that holds everything the server keeps.
    pub data: PathBuf,
    /// Offers what only a test system should: wiping the store.
    pub dev: bool,
    /// Limits on what clients may send.
    pub limits: Limits,
    /// Plugins, besides and instead of the shipped ones.
    pub plugins: Vec<PluginConfig>,
    /// Platforms to install releases on: kind → account name → the account's settings.
    pub platforms: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// Where resources of applications may come from.
    pub resources: Resources,
}

/// Limits on what clients may send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A JSON body, in bytes.
    pub json_bytes_max: u64,
    /// A package, in bytes.
    pub package_bytes_max: u64,
    /// Connections at once.
    pub connections_max: usize,
}

/// A plugin to put to work.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginConfig {
    /// The binding's name. The name of a shipped plugin's binding replaces it.
    pub name: String,
    /// The component's file; absent for a shipped plugin.
    pub path: Option<PathBuf>,
    /// The shipped plugin to use; absent with a `path`.
    pub shipped: Option<String>,
    /// `policy`, `renderer`, `deployer`, `before-hook`, `after-hook` or `hook`;
    /// checked against the component's exports.
    pub kind: String,
    /// The plugin's own settings.
    pub settings: serde_json::Value,
    /// What it may reach.
    pub grants: Grants,
    /// Where its secrets come from: name → `env:VARIABLE` or `file:PATH`.
    pub secrets: BTreeMap<String, String>,
    /// For hooks: actions it is asked about or told of, `*` for all.
    pub actions: Vec<String>,
    /// `closed`, `open` or `ignore`; each kind has its default.
    pub fail_mode: Option<String>,
}

/// Where resources of applications may come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Folders that `file:` may read below.
    pub file_roots: Vec<PathBuf>,
    /// Private networks that `http:` may reach, as CIDR.
    pub http_private: Vec<String>,
    /// Maven repositories, in the order they are asked; Maven Central where empty.
    pub maven_repositories: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 7577)),
            data: PathBuf::from("./data"),
            dev: false,
            limits: Limits::default(),
            plugins: Vec::new(),
            platforms: BTreeMap::new(),
            resources: Resources::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { json_bytes_max: 1 << 20, package_bytes_max: 512 << 20, connections_max: 4096 }
    }
}
