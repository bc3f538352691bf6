//! Hooks that are told after: the `chandlery:plugin/notifying-hook` world.

use std::sync::Arc;

use super::{
    bound::{Bound, Linked},
    failure::Failure,
    filter::Filter,
    meter::Function,
    types::Target,
};

mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which is documented")]
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        world: "chandlery:plugin/notifying-hook",
        with: {
            "chandlery:types/types@0.1.0": crate::plugins::bindings::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::plugins::bindings::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::plugins::bindings::chandlery::host::metrics,
            "chandlery:host/http@0.1.0": crate::plugins::bindings::chandlery::host::http,
            "chandlery:host/secrets@0.1.0": crate::plugins::bindings::chandlery::host::secrets,
            "chandlery:host/clock@0.1.0": crate::plugins::bindings::chandlery::host::clock,
            "chandlery:host/random@0.1.0": crate::plugins::bindings::chandlery::host::random,
            "chandlery:host/artifacts@0.1.0": crate::plugins::bindings::chandlery::host::artifacts,
        },
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [Clone, PartialEq, serde::Serialize, serde::Deserialize],
    });
}
pub use bindings::exports::chandlery::plugin::notifying::{Event, Outcome};

/// A hook in force.
pub(super) struct NotifyingHook {
    pub(super) bound: Arc<Bound>,
    filter: Filter,
    pre: bindings::NotifyingHookPre<super::guest::Guest>,
}

impl NotifyingHook {
    /// Takes a linked component whose exports are those of the world.
    pub(super) fn new(
        bound: Arc<Bound>,
        filter: Filter,
        linked: Linked,
    ) -> wasmtime::Result<NotifyingHook> {
        Ok(NotifyingHook { bound, filter, pre: bindings::NotifyingHookPre::new(linked)? })
    }

    /// Whether it is to be told.
    pub(super) fn wants(&self, action: &str, target: &Target) -> bool {
        self.filter.wants(action, target)
    }

    /// Tells it. One outcome an event: a missing one is to be tried again, one too
    /// many is nobody's.
    pub(super) async fn deliver(&self, events: &[Event]) -> Result<Vec<Outcome>, Failure> {
        let wall = self.bound.limits.wall;
        let mut outcomes = self
            .bound
            .hosted(Function::Deliver, wall, |mut store| async move {
                let hook = self.pre.instantiate_async(&mut store).await?;
                hook.chandlery_plugin_lifecycle()
                    .call_configure(&mut store, &self.bound.settings)
                    .await?
                    .map_err(|why| Failure::Settings(why).carried())?;
                hook.chandlery_plugin_notifying().call_deliver(&mut store, events).await
            })
            .await?;
        outcomes.resize(events.len(), Outcome::Retry(None));
        Ok(outcomes)
    }
}
