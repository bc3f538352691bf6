//! Hooks that are asked before: the `chandlery:plugin/validating-hook` world.

mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which is documented")]
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        world: "chandlery:plugin/validating-hook",
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
pub use bindings::exports::chandlery::plugin::validating::{Denial, Operation, Verdict};
