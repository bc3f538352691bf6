//! Policies: the `chandlery:plugin/access-policy` world. Called inline: a fresh
//! guest costs less than handing the question to another thread.

use std::{sync::Arc, time::Instant};

use wasmtime::component::{ComponentExportIndex, ComponentType, Lower};

use super::{
    bound::{Bound, Linked},
    failure::Failure,
    guest::{Guest, Life},
    meter::Function,
    types::{PluginError, Principal, Target},
};

mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which is documented")]
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        world: "chandlery:plugin/access-policy",
        with: {
            "chandlery:types/types@0.1.0": crate::plugins::bindings::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::plugins::bindings::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::plugins::bindings::chandlery::host::metrics,
        },
        imports: { default: trappable },
        additional_derives: [Clone, PartialEq, serde::Serialize, serde::Deserialize],
    });
}
pub use bindings::exports::chandlery::plugin::policy::{
    Decision, Effect, Obligation, Question, Reach,
};

/// A [`Question`] that owns nothing: all that it takes is there already, with the
/// request.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct Asked<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What for.
    pub action: &'a str,
    /// What it is done to.
    pub target: &'a Target,
    /// How the request came.
    pub context: &'a [Fact<'a>],
}

/// A label that owns nothing.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct Fact<'a> {
    /// Its name.
    pub key: &'a str,
    /// The text behind it.
    pub value: &'a str,
}

impl Question {
    /// What of it is no text of its own.
    pub(super) fn facts(&self) -> Vec<Fact<'_>> {
        self.context.iter().map(|it| Fact { key: &it.key, value: &it.value }).collect()
    }

    /// The same question, borrowed.
    pub(super) fn asked<'a>(&'a self, context: &'a [Fact<'a>]) -> Asked<'a> {
        let Question { principal, action, target, .. } = self;
        Asked { principal, action, target, context }
    }
}

/// A policy in force.
pub(super) struct Policy {
    pub(super) bound: Arc<Bound>,
    pre: bindings::AccessPolicyPre<Guest>,
    called: Called,
}

/// What a question calls. To look up the other exports of the world as well in each
/// fresh guest, and to compare all of their types, is a tenth of the whole call.
struct Called {
    configure: ComponentExportIndex,
    authorize: ComponentExportIndex,
}

/// A guest that is kept.
pub struct Kept {
    store: Life,
    policy: bindings::AccessPolicy,
}

impl Kept {
    /// Asks.
    pub fn authorize(&mut self, question: &Question) -> crate::error::Result<Decision> {
        Guest::again(&mut self.store);
        let bound = self.store.data().bound.clone();
        self.policy
            .chandlery_plugin_policy()
            .call_authorize(&mut self.store, question)
            .map_err(|it| Failure::of(it, &bound.limits))
            .and_then(|it| it.map_err(Failure::Own))
            .map_err(|it| it.into_error(&bound.name))
    }
}

impl Policy {
    /// Takes a linked component whose exports are those of the world.
    pub(super) fn new(bound: Arc<Bound>, linked: Linked) -> wasmtime::Result<Policy> {
        let pre = bindings::AccessPolicyPre::new(linked)?;
        let called = Called {
            configure: export(&pre, "chandlery:plugin/lifecycle@0.1.0", "configure")?,
            authorize: export(&pre, "chandlery:plugin/policy@0.1.0", "authorize")?,
        };
        Ok(Policy { bound, pre, called })
    }

    /// Makes a guest that is kept between questions. For benchmarks only: what one
    /// caller's question leaves in it, the next caller's finds.
    pub(super) fn keep(&self) -> Result<Kept, Failure> {
        let failed = |it| Failure::of(it, &self.bound.limits);
        let mut store = Guest::inline(&self.bound, self.bound.limits.guest, Instant::now());
        let policy = self.pre.instantiate(&mut store).map_err(failed)?;
        policy
            .chandlery_plugin_lifecycle()
            .call_configure(&mut store, &self.bound.settings)
            .map_err(failed)?
            .map_err(Failure::Settings)?;
        Ok(Kept { store, policy })
    }

    /// Asks. A policy that fails has not said yes.
    pub(super) fn authorize(&self, question: Asked<'_>) -> Result<Decision, Failure> {
        self.bound.inline(Function::Authorize, self.bound.limits.guest, |store| {
            let guest = self.pre.instance_pre().instantiate(&mut *store)?;
            let Called { configure, authorize } = &self.called;
            let configure =
                guest.get_typed_func::<(&str,), (Result<(), String>,)>(&mut *store, configure)?;
            let (configured,) = configure.call(&mut *store, (&self.bound.settings,))?;
            configured.map_err(|why| Failure::Settings(why).carried())?;
            let authorize = guest
                .get_typed_func::<(Asked<'_>,), (Result<Decision, PluginError>,)>(
                    &mut *store,
                    authorize,
                )?;
            let (decision,) = authorize.call(&mut *store, (question,))?;
            decision.map_err(|own| Failure::Own(own).carried())
        })
    }
}

fn export(
    pre: &bindings::AccessPolicyPre<Guest>,
    interface: &str,
    function: &str,
) -> wasmtime::Result<ComponentExportIndex> {
    let component = pre.instance_pre().component();
    component
        .get_export_index(None, interface)
        .and_then(|it| component.get_export_index(Some(&it), function))
        .ok_or_else(|| wasmtime::Error::msg(format!("no export `{interface}#{function}`")))
}
