//! Policies: the `chandlery:plugin/access-policy` world.

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
