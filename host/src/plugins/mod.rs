//! The plugin runtime and the set of plugins in force. The only code that knows
//! wasmtime; one file for each world.

mod bindings;
pub mod deployer;
pub mod notifying_hook;
pub mod policy;
pub mod renderer;
pub mod types;
pub mod validating_hook;

use std::{sync::Arc, time::Duration};

use crate::{
    capabilities::{Grants, Services, secrets::Secrets},
    error::Result,
};

use self::{
    deployer::{App, AppStatus, LogPage, Placement, Scope},
    notifying_hook::{Event, Outcome},
    policy::{Decision, Question},
    renderer::{Job, Output, Template},
    types::{Diagnostic, PluginError},
    validating_hook::Operation,
};

/// What a plugin is put to work as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asked who may do what.
    Policy,
    /// Makes text of templates.
    Renderer,
    /// Runs applications.
    Deployer,
    /// Asked before.
    BeforeHook,
    /// Told after.
    AfterHook,
}

/// What happens when a plugin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailMode {
    /// The request fails. The default of all but after-hooks.
    Closed,
    /// The request goes on, and it is counted and audited.
    Open,
    /// The request goes on.
    Ignore,
}

/// A plugin, put to work.
#[derive(Clone)]
pub struct Binding {
    /// Unique among the bindings.
    pub name: String,
    /// As what.
    pub kind: Kind,
    /// The component's bytes.
    pub component: Arc<[u8]>,
    /// The plugin's own settings.
    pub settings: serde_json::Value,
    /// What it may reach.
    pub grants: Grants,
    /// The secrets behind the granted names.
    pub secrets: Secrets,
    /// For hooks: the actions, `*` for all.
    pub actions: Vec<String>,
    /// What a failure means.
    pub fail_mode: FailMode,
}

/// The runtime and the set in force.
pub struct Plugins {}

impl Plugins {
    /// Starts the runtime with an empty set in force. Compiled code is kept under
    /// `cache`, sealed with `key`.
    pub fn start(_cache: &std::path::Path, _key: [u8; 32], _services: Services) -> Result<Plugins> {
        todo!("the runtime helper fills this in")
    }

    /// The set in force now. A request takes it once and keeps it to its end.
    pub fn set(&self) -> Arc<PluginSet> {
        todo!("the runtime helper fills this in")
    }

    /// Compiles, links and checks a whole new set. Nothing in force is touched.
    pub async fn build(&self, _bindings: Vec<Binding>) -> Result<PluginSet> {
        todo!("the runtime helper fills this in")
    }

    /// Puts a set in force for the requests that begin from now on.
    pub fn swap(&self, _set: PluginSet) {
        todo!("the runtime helper fills this in")
    }
}

/// The plugins in force at one moment: never changed, only swapped whole.
pub struct PluginSet {}

/// What the policies in force said, taken together.
pub struct Decided {
    /// Whether they allow it: nobody denied and somebody allowed.
    pub allowed: bool,
    /// The deciding policy's reason.
    pub reason: Option<String>,
    /// The deciding rules.
    pub rules: Vec<String>,
    /// The deciding component's SHA-256; empty where no policy is in force.
    pub digest: String,
}

impl PluginSet {
    /// Asks the policies, inline. Deny wins, then allow; nobody allows: denied.
    pub fn authorize(&self, _question: &Question) -> Result<Decided> {
        todo!("the runtime helper fills this in")
    }

    /// Asks one policy. For tests and tools.
    pub fn ask(&self, _policy: &str, _question: &Question) -> Result<Decision> {
        todo!("the runtime helper fills this in")
    }

    /// Asks the before-hooks of the action in their order and gives back the
    /// object as they leave it, with their warnings. A no is [`Error::Refused`].
    ///
    /// [`Error::Refused`]: crate::error::Error::Refused
    pub async fn review(&self, _operation: Operation) -> Result<(serde_json::Value, Vec<String>)> {
        todo!("the runtime helper fills this in")
    }

    /// The names of the after-hooks that want to hear of `action`.
    pub fn after_hooks(&self, _action: &str) -> Vec<String> {
        todo!("the runtime helper fills this in")
    }

    /// Tells an after-hook. One outcome an event.
    pub async fn deliver(&self, _hook: &str, _events: &[Event]) -> Result<Vec<Outcome>> {
        todo!("the runtime helper fills this in")
    }

    /// Renders with the renderer of that name.
    pub async fn render(
        &self,
        _renderer: &str,
        _job: &Job,
    ) -> Result<std::result::Result<Vec<Output>, Vec<Diagnostic>>> {
        todo!("the runtime helper fills this in")
    }

    /// Parses templates with the renderer of that name.
    pub async fn check_templates(
        &self,
        _renderer: &str,
        _templates: &[Template],
    ) -> Result<Vec<Diagnostic>> {
        todo!("the runtime helper fills this in")
    }

    /// The SHA-256 of the component behind a binding.
    pub fn digest(&self, _binding: &str) -> Option<&str> {
        todo!("the runtime helper fills this in")
    }

    /// The deployer of that binding's name, if there is one.
    pub fn deployer(&self, _name: &str) -> Option<Arc<Deployer>> {
        todo!("the runtime helper fills this in")
    }
}

/// A deployer in force. Every call is made in a fresh guest, within `limit` at most.
pub struct Deployer {}

impl Deployer {
    /// Describes an account.
    pub async fn describe(&self, _scope: &Scope) -> Result<String> {
        todo!("the runtime helper fills this in")
    }

    /// Checks applications before anything is started.
    pub async fn validate(&self, _scope: &Scope, _apps: &[App]) -> Result<Vec<Diagnostic>> {
        todo!("the runtime helper fills this in")
    }

    /// Starts an application.
    pub async fn deploy(
        &self,
        _scope: &Scope,
        _app: &App,
        _current: Option<&str>,
    ) -> Result<std::result::Result<Placement, PluginError>> {
        todo!("the runtime helper fills this in")
    }

    /// Ends an application. `limit` covers its graceful stop.
    pub async fn undeploy(
        &self,
        _scope: &Scope,
        _handle: &str,
        _limit: Duration,
    ) -> Result<std::result::Result<AppStatus, PluginError>> {
        todo!("the runtime helper fills this in")
    }

    /// Looks at applications, in one call.
    pub async fn status(
        &self,
        _scope: &Scope,
        _handles: &[String],
    ) -> Result<Vec<std::result::Result<AppStatus, PluginError>>> {
        todo!("the runtime helper fills this in")
    }

    /// Reads a log.
    pub async fn logs(
        &self,
        _scope: &Scope,
        _handle: &str,
        _instance: Option<&str>,
        _cursor: Option<&str>,
        _limit_bytes: u32,
    ) -> Result<std::result::Result<LogPage, PluginError>> {
        todo!("the runtime helper fills this in")
    }
}
