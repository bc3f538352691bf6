//! What wit-bindgen makes of `wit/`.
//!
//! Each interface is generated once, in a world of its own, and the others refer to
//! it: a `Label` is a `Label` and a `Lifecycle` is a `Lifecycle` whatever kind of
//! plugin speaks of it. The `export!` of a kind puts its interfaces together, which
//! makes the very world of that kind in `wit/plugin`.

/// What plugins import.
pub mod host {
    wit_bindgen::generate!({
        inline: "
            package chandlery:sdk-host@0.1.0;
            world host {
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
        generate_all,
        generate_unused_types: true,
        additional_derives: [Clone, PartialEq],
        disable_custom_section_link_helpers: true,
        disable_run_ctors_once_workaround: true,
    });
}

/// What all plugins export.
pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "
            package chandlery:sdk-lifecycle@0.1.0;
            world lifecycle-plugin {
                export chandlery:plugin/lifecycle@0.1.0;
            }
        ",
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        with: {
            "chandlery:types/types@0.1.0": crate::bindings::host::chandlery::types::types,
        },
        additional_derives: [Clone, PartialEq],
        pub_export_macro: true,
        default_bindings_module: "chandlery_sdk::bindings::lifecycle",
        disable_custom_section_link_helpers: true,
        disable_run_ctors_once_workaround: true,
    });
}

/// What policies export.
pub mod policy {
    wit_bindgen::generate!({
        inline: "
            package chandlery:sdk-policy@0.1.0;
            world policy-plugin {
                include chandlery:plugin/pure-host@0.1.0;
                export chandlery:plugin/policy@0.1.0;
            }
        ",
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        with: {
            "chandlery:types/types@0.1.0": crate::bindings::host::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::bindings::host::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::bindings::host::chandlery::host::metrics,
        },
        additional_derives: [Clone, PartialEq],
        pub_export_macro: true,
        default_bindings_module: "chandlery_sdk::bindings::policy",
        disable_custom_section_link_helpers: true,
        disable_run_ctors_once_workaround: true,
    });
}

/// What renderers export.
pub mod renderer {
    wit_bindgen::generate!({
        inline: "
            package chandlery:sdk-renderer@0.1.0;
            world renderer-plugin {
                include chandlery:plugin/pure-host@0.1.0;
                export chandlery:plugin/renderer@0.1.0;
            }
        ",
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        with: {
            "chandlery:types/types@0.1.0": crate::bindings::host::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::bindings::host::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::bindings::host::chandlery::host::metrics,
        },
        additional_derives: [Clone, PartialEq],
        pub_export_macro: true,
        default_bindings_module: "chandlery_sdk::bindings::renderer",
        disable_custom_section_link_helpers: true,
        disable_run_ctors_once_workaround: true,
    });
}

/// What deployers export.
pub mod deployer {
    wit_bindgen::generate!({
        inline: "
            package chandlery:sdk-deployer@0.1.0;
            world deployer-plugin {
                include chandlery:plugin/network-host@0.1.0;
                import chandlery:host/process@0.1.0;
                export chandlery:plugin/deployer@0.1.0;
            }
        ",
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        with: {
            "chandlery:types/types@0.1.0": crate::bindings::host::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::bindings::host::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::bindings::host::chandlery::host::metrics,
            "chandlery:host/http@0.1.0": crate::bindings::host::chandlery::host::http,
            "chandlery:host/secrets@0.1.0": crate::bindings::host::chandlery::host::secrets,
            "chandlery:host/clock@0.1.0": crate::bindings::host::chandlery::host::clock,
            "chandlery:host/random@0.1.0": crate::bindings::host::chandlery::host::random,
            "chandlery:host/artifacts@0.1.0": crate::bindings::host::chandlery::host::artifacts,
            "chandlery:host/process@0.1.0": crate::bindings::host::chandlery::host::process,
        },
        additional_derives: [Clone, PartialEq],
        pub_export_macro: true,
        default_bindings_module: "chandlery_sdk::bindings::deployer",
        disable_custom_section_link_helpers: true,
        disable_run_ctors_once_workaround: true,
    });
}

/// What hooks that are asked before export.
pub mod validating {
    wit_bindgen::generate!({
        inline: "
            package chandlery:sdk-validating@0.1.0;
            world validating-plugin {
                include chandlery:plugin/network-host@0.1.0;
                export chandlery:plugin/validating@0.1.0;
            }
        ",
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        with: {
            "chandlery:types/types@0.1.0": crate::bindings::host::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::bindings::host::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::bindings::host::chandlery::host::metrics,
            "chandlery:host/http@0.1.0": crate::bindings::host::chandlery::host::http,
            "chandlery:host/secrets@0.1.0": crate::bindings::host::chandlery::host::secrets,
            "chandlery:host/clock@0.1.0": crate::bindings::host::chandlery::host::clock,
            "chandlery:host/random@0.1.0": crate::bindings::host::chandlery::host::random,
            "chandlery:host/artifacts@0.1.0": crate::bindings::host::chandlery::host::artifacts,
        },
        additional_derives: [Clone, PartialEq],
        pub_export_macro: true,
        default_bindings_module: "chandlery_sdk::bindings::validating",
        disable_custom_section_link_helpers: true,
        disable_run_ctors_once_workaround: true,
    });
}

/// What hooks that are told after export.
pub mod notifying {
    wit_bindgen::generate!({
        inline: "
            package chandlery:sdk-notifying@0.1.0;
            world notifying-plugin {
                include chandlery:plugin/network-host@0.1.0;
                export chandlery:plugin/notifying@0.1.0;
            }
        ",
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        with: {
            "chandlery:types/types@0.1.0": crate::bindings::host::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::bindings::host::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::bindings::host::chandlery::host::metrics,
            "chandlery:host/http@0.1.0": crate::bindings::host::chandlery::host::http,
            "chandlery:host/secrets@0.1.0": crate::bindings::host::chandlery::host::secrets,
            "chandlery:host/clock@0.1.0": crate::bindings::host::chandlery::host::clock,
            "chandlery:host/random@0.1.0": crate::bindings::host::chandlery::host::random,
            "chandlery:host/artifacts@0.1.0": crate::bindings::host::chandlery::host::artifacts,
        },
        additional_derives: [Clone, PartialEq],
        pub_export_macro: true,
        default_bindings_module: "chandlery_sdk::bindings::notifying",
        disable_custom_section_link_helpers: true,
        disable_run_ctors_once_workaround: true,
    });
}
