//! Deployers: applications on a platform.
//!
//! A deployer keeps no state: what it must remember goes into the handle, which the
//! host stores and hands back.

pub use crate::{
    bindings::{
        deployer::exports::chandlery::plugin::deployer::{
            App, AppStatus, Artifact, Features, Guest as Deployer, Handle, Instance, LogPage,
            Placement, Scope, State,
        },
        lifecycle::exports::chandlery::plugin::lifecycle::Guest as Lifecycle,
    },
    types::{Diagnostic, Label, PluginError, Severity},
};

/// Names the type that is the plugin. Once in a plugin, beside the type.
#[doc(inline)]
pub use crate::__export_deployer as export;

#[doc(hidden)]
#[macro_export]
macro_rules! __export_deployer {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
    $crate::bindings::lifecycle::export!($plugin with_types_in $crate::bindings::lifecycle);
    $crate::bindings::deployer::export!($plugin with_types_in $crate::bindings::deployer);
        };

        // Natively there is no host to export to; the traits are checked all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = {
            fn is_a_plugin<T: $crate::deployer::Lifecycle + $crate::deployer::Deployer>() {}
            is_a_plugin::<$plugin>
        };
    };
}
