//! Policies: the `chandlery:plugin/access-policy` world. Called inline: a fresh
//! guest costs less than handing the question to another thread.

use std::{sync::Arc, time::Instant};

use super::{
    bound::{Bound, Linked},
    failure::Failure,
    guest::{Guest, Life},
    meter::Function,
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

/// A policy in force.
pub(super) struct Policy {
    pub(super) bound: Arc<Bound>,
    pre: bindings::AccessPolicyPre<Guest>,
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
        Ok(Policy { bound, pre: bindings::AccessPolicyPre::new(linked)? })
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
    pub(super) fn authorize(&self, question: &Question) -> Result<Decision, Failure> {
        self.bound.inline(Function::Authorize, self.bound.limits.guest, |store| {
            let policy = self.pre.instantiate(&mut *store)?;
            policy
                .chandlery_plugin_lifecycle()
                .call_configure(&mut *store, &self.bound.settings)?
                .map_err(|why| Failure::Settings(why).carried())?;
            policy
                .chandlery_plugin_policy()
                .call_authorize(&mut *store, question)?
                .map_err(|own| Failure::Own(own).carried())
        })
    }
}
