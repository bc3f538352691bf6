//! What wasmtime makes of `wit/types` and `wit/host`, once, for all worlds.

#![allow(missing_docs, reason = "generated from wit/, which is documented")]

wasmtime::component::bindgen!({
    inline: "
        package chandlery:shared;
        world shared {
            import chandlery:types/types@0.1.0;
            import chandlery:host/log@0.1.0;
            import chandlery:host/metrics@0.1.0;
            import chandlery:host/http@0.1.0;
            import chandlery:host/secrets@0.1.0;
            import chandlery:host/clock@0.1.0;
            import chandlery:host/random@0.1.0;
            import chandlery:host/artifacts@0.1.0;
            import chandlery:host/process@0.1.0;
        }
    ",
    path: ["../wit/types", "../wit/host"],
    world: "chandlery:shared/shared",
    imports: {
        "chandlery:host/http": async | trappable,
        "chandlery:host/artifacts": async | trappable,
        "chandlery:host/process": async | trappable,
        default: trappable,
    },
    additional_derives: [Clone, PartialEq, serde::Serialize, serde::Deserialize],
});
