//! Settings: one file (TOML), `CHANDLERY_…` variables, flags; the flag wins.

mod checks;
mod explain;
mod lines;
pub mod plugins;
mod repositories;
mod secret;
mod show;
mod sources;
mod web_hook;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::{
    repositories::{RepositoryConfig, repositories},
    secret::Secret,
    show::{show, without_secrets},
    sources::{Flag, Loaded, Origin, Sources},
};
use crate::capabilities::Grants;

/// The settings in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder that holds everything the server keeps.
    pub data: PathBuf,
    /// Marks a test system, whose whole inventory may be wiped by a request.
    pub dev: bool,
    /// Listens on other addresses than loopback although nobody has to say who
    /// they are, since no password is set. Only for a network where the policy in force may trust everyone.
    pub allow_unauthenticated_network: bool,
    /// Names that the server answers to besides the machine's own, `localhost` and
    /// loopback addresses: those of a proxy in front of it. Without a port. Where the
    /// server listens on other addresses than loopback, none means any.
    pub allowed_hosts: Vec<String>,
    /// The one user, by HTTP Basic, where `basic_auth_password` is set.
    pub basic_auth_username: String,
    /// That user's password, or where it is: `env:VARIABLE`, `file:PATH`. Once it is
    /// set, every request needs it.
    pub basic_auth_password: Secret,
    /// Paths that nobody needs the password for: any of `/health`, `/ready` and
    /// `/metrics`.
    pub open_paths: Vec<String>,
    /// What is logged, and how.
    pub log: Log,
    /// Limits on what clients may send.
    pub limits: Limits,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// What those hear who watch what changes.
    pub events: Events,
    /// A URL that is told of every upload in the way Escape's Inventory tells it; nobody
    /// is where it is empty.
    pub web_hook: String,
    /// Plugins, besides and instead of the shipped ones.
    pub plugins: Vec<PluginConfig>,
    /// Whether bindings that were made on the running server are put to work; without
    /// them, one that keeps the server from working can be changed.
    pub stored_bindings: bool,
    /// Secrets for bindings that are made on the running server, by the name that their
    /// grants know them by: name → `env:VARIABLE` or `file:PATH`.
    pub secrets: BTreeMap<String, String>,
    /// Platforms to install releases on: kind → account name → the account's settings.
    pub platforms: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// How releases are upgraded and rolled back.
    pub releases: Releases,
    /// Where resources of applications may come from.
    pub resources: Resources,
    /// Where packages come from, besides the repository `local`, by name.
    pub repositories: BTreeMap<String, RepositoryConfig>,
    /// How often the indexes of remote repositories are read again, in milliseconds; 0
    /// means at start and on demand only.
    pub repository_refresh_ms: u64,
}

/// What is logged, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `info`, or finer: `info,chandlery::plugins=debug`.
    pub level: String,
    /// `human` or `json`.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    Human,
    /// For machines: one JSON object a line.
    Json,
}

/// Limits on what clients may send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A JSON body, in bytes.
    pub json_bytes_max: u64,
    /// A package, in bytes.
    pub package_bytes_max: u64,
    /// The component of a plugin that is installed on the running server, in bytes.
    pub component_bytes_max: u64,
    /// An import of a namespace, in bytes.
    pub import_bytes_max: u64,
    /// Each of the two output files of a process that a deployer runs, in bytes; half as
    /// much again is kept of what came before.
    pub output_bytes_max: u64,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address; 0 means no limit of its own.
    pub connections_per_address_max: usize,
    /// Requests being worked on at once.
    pub requests_max: usize,
    /// The head of an HTTP/1.1 request, in bytes.
    pub head_bytes_max: usize,
    /// Bytes of a body that must arrive each second, once `timeouts.body_ms` is over.
    pub body_bytes_per_second_min: u64,
}

/// How long clients may take.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For the head of a request, from its first byte, in milliseconds.
    pub head_ms: u64,
    /// Between requests, in milliseconds.
    pub idle_ms: u64,
    /// The span over which the rate of a body is judged, in milliseconds.
    pub body_ms: u64,
    /// Without taking a byte of the answer, in milliseconds.
    pub write_ms: u64,
    /// For requests that are under way when the server is told to stop, in milliseconds.
    pub drain_ms: u64,
}

/// What those hear who watch what changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Watchers at once.
    pub watchers_max: usize,
    /// The last so many changes can be told again to one who comes back.
    pub kept_max: u64,
    /// And none that is older than so many hours.
    pub kept_hours: u64,
    /// How often a watcher who hears nothing hears that, in milliseconds.
    pub heartbeat_ms: u64,
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
    /// `policy`, `renderer`, `deployer`, `before-hook` or `after-hook`; checked
    /// against the component's exports.
    pub kind: String,
    /// The plugin's own settings.
    pub settings: serde_json::Value,
    /// What it may reach.
    pub grants: Grants,
    /// Where its secrets come from: name → `env:VARIABLE` or `file:PATH`.
    pub secrets: BTreeMap<String, String>,
    /// For hooks: actions it is asked about or told of, `*` for all.
    pub actions: Vec<String>,
    /// For hooks: only what lies in these namespaces, which may end with `*`; all where
    /// it is empty.
    pub namespaces: Vec<String>,
    /// For hooks: only what belongs to units of these names, which may end with `*`; all
    /// where it is empty.
    pub units: Vec<String>,
    /// `closed`, `open` or `ignore`; each kind has its default.
    pub fail_mode: Option<String>,
    /// What it may use, where the defaults of its kind do not fit.
    pub limits: crate::plugins::Limits,
}

/// How releases are upgraded and rolled back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Releases {
    /// How long between two looks at whether a new version is healthy, in milliseconds.
    pub health_check_ms: u64,
    /// How long it may take to be healthy where the request does not say, in
    /// milliseconds.
    pub health_timeout_ms: u64,
    /// What becomes of the values of the version before, in an upgrade that has values of
    /// its own: `added` under these, or `replaced` by them.
    pub upgrade_values: CarriedValues,
    /// What becomes of them in a rollback: `replaced`, so that exactly what was there
    /// comes back, or `added` under those that come back.
    pub rollback_values: CarriedValues,
    /// Followers of logs at once.
    pub log_followers_max: usize,
}

/// What becomes of the values of the version before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CarriedValues {
    /// They lie under the new ones.
    Added,
    /// They are gone.
    Replaced,
}

/// Where resources of applications may come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Folders that `file:` may read below.
    pub file_roots: Vec<PathBuf>,
    /// Private networks that `http:` may reach, as CIDR.
    pub http_private: Vec<String>,
    /// Maven repositories, in the order they are asked; Maven Central where empty.
    /// A repository that wants a password is a table of `url`, `username` and `password`.
    pub maven_repositories: Vec<MavenRepository>,
    /// For how long a Maven snapshot that was looked up is taken as it was found, in
    /// milliseconds; with 0 its repositories are asked each time.
    pub snapshot_check_ms: u64,
    /// Fetched bytes that are kept for the next time, in all; releases keep theirs
    /// beyond that.
    pub cache_bytes_max: u64,
}

/// A Maven repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum MavenRepository {
    /// One that asks for no password.
    Url(String),
    /// One that does.
    Login {
        /// Its address.
        url: String,
        /// Who asks.
        username: String,
        /// That user's password, or where it is: `env:VARIABLE`, `file:PATH`.
        password: Secret,
    },
}

impl MavenRepository {
    /// Its address.
    pub fn url(&self) -> &str {
        match self {
            MavenRepository::Url(url) | MavenRepository::Login { url, .. } => url,
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        Resources {
            file_roots: Vec::new(),
            http_private: Vec::new(),
            maven_repositories: Vec::new(),
            snapshot_check_ms: 0,
            cache_bytes_max: 4 << 30,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 7577)),
            data: PathBuf::from("./data"),
            dev: false,
            allow_unauthenticated_network: false,
            allowed_hosts: Vec::new(),
            basic_auth_username: "escape".to_owned(),
            basic_auth_password: Secret::default(),
            open_paths: Vec::new(),
            log: Log::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            events: Events::default(),
            web_hook: String::new(),
            plugins: Vec::new(),
            stored_bindings: true,
            secrets: BTreeMap::new(),
            platforms: BTreeMap::new(),
            releases: Releases::default(),
            resources: Resources::default(),
            repositories: BTreeMap::new(),
            repository_refresh_ms: 600_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            json_bytes_max: 1 << 20,
            package_bytes_max: 512 << 20,
            component_bytes_max: 64 << 20,
            import_bytes_max: 64 << 30,
            output_bytes_max: 16 << 20,
            connections_max: 4096,
            connections_per_address_max: 0,
            requests_max: 512,
            head_bytes_max: 64 << 10,
            body_bytes_per_second_min: 1 << 10,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            head_ms: 10_000,
            idle_ms: 60_000,
            body_ms: 5_000,
            write_ms: 30_000,
            drain_ms: 30_000,
        }
    }
}

impl Default for Releases {
    fn default() -> Self {
        Releases {
            health_check_ms: 1_000,
            health_timeout_ms: 300_000,
            upgrade_values: CarriedValues::Added,
            rollback_values: CarriedValues::Replaced,
            log_followers_max: 64,
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Events { watchers_max: 1024, kept_max: 1_000_000, kept_hours: 7 * 24, heartbeat_ms: 15_000 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { level: "info".to_owned(), format: LogFormat::Human }
    }
}
