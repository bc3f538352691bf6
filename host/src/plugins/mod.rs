//! The plugin runtime and the set of plugins in force. The only code that knows
//! wasmtime; one file for each world.

mod bindings;
mod bound;
mod breaker;
mod build;
mod cache;
mod custom_metrics;
pub mod deployer;
mod engine;
mod examine;
mod failure;
mod filter;
mod guest;
mod imports;
pub mod inspect;
mod limits;
mod load;
mod meter;
pub mod notifying_hook;
pub mod policy;
pub mod renderer;
mod set;
pub mod shipped;
pub mod types;
pub mod validating_hook;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;

pub use self::{
    build::Ready,
    deployer::Deployer,
    engine::Used,
    examine::{Examined, Outside, Wanted},
    limits::Limits,
    meter::Failed,
    set::{BoundPlugin, Decided, PluginSet, Reviewed},
    validating_hook::Looked,
};
use self::{
    cache::Cache,
    engine::{Machine, Usage},
};
use crate::{
    capabilities::{Grants, Services, secrets::Secrets},
    error::Result,
};

/// Sets that are kept for going back to.
const KEPT: usize = 3;

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
    /// For hooks: only what lies in these namespaces; all where it is empty.
    pub namespaces: Vec<String>,
    /// For hooks: only what belongs to units of these names; all where it is empty.
    pub units: Vec<String>,
    /// What a failure means.
    pub fail_mode: FailMode,
    /// What it may use; the defaults of its kind where nothing is set.
    pub limits: Limits,
}

/// The runtime and the set in force.
#[derive(Clone)]
pub struct Plugins {
    shared: Arc<Shared>,
}

struct Shared {
    machine: Arc<Machine>,
    cache: Arc<Cache>,
    services: Services,
    in_force: ArcSwap<PluginSet>,
    // Newest first. Held while a set is swapped, so that none is lost.
    earlier: Mutex<VecDeque<Arc<PluginSet>>>,
}

impl Plugins {
    /// Starts the runtime with an empty set in force. Compiled code is kept under
    /// `cache`, sealed with `key`.
    pub fn start(cache: &Path, key: [u8; 32], services: Services) -> Result<Plugins> {
        Plugins::on(Machine::start()?, cache, key, services)
    }

    /// The same runtime, counting what guests use: for tests of plugins.
    pub fn counting(cache: &Path, key: [u8; 32], services: Services) -> Result<Plugins> {
        Plugins::on(Machine::counting()?, cache, key, services)
    }

    fn on(machine: Machine, cache: &Path, key: [u8; 32], services: Services) -> Result<Plugins> {
        let shared = Shared {
            machine: Arc::new(machine),
            cache: Arc::new(Cache::open(cache, key)?),
            services,
            in_force: ArcSwap::default(),
            earlier: Mutex::default(),
        };
        Ok(Plugins { shared: Arc::new(shared) })
    }

    /// What guests have used since this was asked last; nothing where it is not counted.
    pub fn used(&self) -> Used {
        self.shared.machine.usage.as_ref().map(Usage::take).unwrap_or_default()
    }

    /// The set in force now. A request takes it once and keeps it to its end.
    pub fn set(&self) -> Arc<PluginSet> {
        self.shared.in_force.load_full()
    }

    /// Compiles, links and checks a whole new set. Nothing in force is touched.
    pub async fn build(&self, bindings: Vec<Binding>) -> Result<PluginSet> {
        let mut ready = Vec::with_capacity(bindings.len());
        for binding in &bindings {
            ready.push(self.ready(binding).await?);
        }
        self.assemble(&ready)
    }

    /// Compiles, links and checks one binding, for any number of sets.
    pub async fn ready(&self, binding: &Binding) -> Result<Ready> {
        let Shared { machine, cache, services, .. } = &*self.shared;
        let ready = build::ready(machine, cache, services, binding).await?;
        PluginSet::default().add(&ready)?;
        Ok(ready)
    }

    /// A set of what is ready, in that order.
    pub fn assemble<'a>(&self, parts: impl IntoIterator<Item = &'a Ready>) -> Result<PluginSet> {
        let mut set = PluginSet::default();
        for ready in parts {
            set.check_name(ready)?;
            set.add(ready)?;
        }
        Ok(set)
    }

    /// Finds out what a component of at most `bytes_max` bytes is: reads, compiles and
    /// links it, and starts a guest of it that can reach nothing. The error says what
    /// is wrong with it.
    pub async fn examine(&self, component: &Arc<[u8]>, bytes_max: u64) -> Result<Examined, String> {
        let Shared { machine, cache, services, .. } = &*self.shared;
        examine::examine(machine, cache, services, component, bytes_max).await
    }

    /// Puts a set in force for the requests that begin from now on. The last three
    /// are kept for [`Plugins::rollback`], but not the empty one of the start, which
    /// denies everything.
    pub fn swap(&self, set: PluginSet) {
        let mut earlier = self.shared.earlier.lock().expect("nothing panics in here");
        let before = self.shared.in_force.swap(Arc::new(set));
        if !before.is_empty() {
            earlier.push_front(before);
            earlier.truncate(KEPT);
        }
    }

    /// Puts the set before this one in force again. False where none is kept.
    pub fn rollback(&self) -> bool {
        let mut earlier = self.shared.earlier.lock().expect("nothing panics in here");
        let Some(set) = earlier.pop_front() else { return false };
        self.shared.in_force.store(set);
        true
    }
}

impl Kind {
    fn is_hook(self) -> bool {
        matches!(self, Kind::BeforeHook | Kind::AfterHook)
    }
}
