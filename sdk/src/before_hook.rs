//! Hooks that are asked before an operation.
//!
//! They may let it pass, change it or refuse it, and must have no side effects.

pub use crate::{
    bindings::{
        lifecycle::exports::chandlery::plugin::lifecycle::Guest as Lifecycle,
        validating::exports::chandlery::plugin::validating::{
            Denial, Guest as Validating, Operation, Verdict,
        },
    },
    types::{
        Diagnostic, Label, PluginError, Principal, PrincipalKind, RequestInfo, Severity, Target,
    },
};

/// Names the type that is the plugin. Once in a plugin, beside the type.
#[doc(inline)]
pub use crate::__export_before_hook as export;

#[doc(hidden)]
#[macro_export]
macro_rules! __export_before_hook {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::bindings::lifecycle::export!($plugin with_types_in $crate::bindings::lifecycle);
            $crate::bindings::validating::export!($plugin with_types_in $crate::bindings::validating);
        };

        // Natively there is no host to export to; the traits are checked all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = {
            fn is_a_plugin<T: $crate::before_hook::Lifecycle + $crate::before_hook::Validating>() {}
            is_a_plugin::<$plugin>
        };
    };
}
