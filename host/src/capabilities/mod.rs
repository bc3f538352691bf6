//! What a guest may reach outside of itself, without wasmtime: each capability is
//! checked against the binding's grant here, and only here.
//!
//! `plugins/` turns a guest's import into a call of these. With an empty grant
//! every call is refused; a test says so for each.

pub mod address;
pub mod artifacts;
pub mod faked;
pub mod http;
mod origin;
pub mod process;
pub mod secrets;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What the operator grants a binding. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Outbound HTTP.
    pub http: Option<http::Grant>,
    /// Secrets, by name.
    pub secrets: Option<secrets::Grant>,
    /// The time.
    pub clock: bool,
    /// Randomness.
    pub random: bool,
    /// Stored bytes.
    pub artifacts: Option<artifacts::Grant>,
    /// Processes of the host.
    pub process: Option<process::Grant>,
    /// Whether a before-hook may change the object.
    pub mutate: bool,
    /// Whether an after-hook is told the hooks documents of namespaces and units, whose
    /// addresses may be secrets.
    pub documents: bool,
}

impl Grants {
    /// A door to everything, with nothing behind it: for looking at what a component
    /// imports, never for calling it.
    pub(crate) fn everything() -> Grants {
        Grants {
            http: Some(http::Grant::default()),
            secrets: Some(secrets::Grant::default()),
            clock: true,
            random: true,
            artifacts: Some(artifacts::Grant::default()),
            process: Some(process::Grant::default()),
            mutate: true,
            documents: true,
        }
    }

    /// The names of what is granted, as a manifest asks for them.
    pub fn names(&self) -> Vec<&'static str> {
        let all = [
            ("http", self.http.is_some()),
            ("secrets", self.secrets.is_some()),
            ("clock", self.clock),
            ("random", self.random),
            ("artifacts", self.artifacts.is_some()),
            ("process", self.process.is_some()),
            ("mutate", self.mutate),
            ("documents", self.documents),
        ];
        all.into_iter().filter(|it| it.1).map(|it| it.0).collect()
    }
}

/// The host's side of all capabilities, shared by all guests.
#[derive(Clone)]
pub struct Services {
    /// Outbound HTTP.
    pub http: Arc<http::Http>,
    /// Stored bytes.
    pub artifacts: Arc<artifacts::Artifacts>,
    /// Processes.
    pub processes: Arc<process::Processes>,
    /// What stands in for the world outside; only in tests of plugins.
    pub faked: Option<Arc<dyn faked::Faked>>,
}
