//! Hooks that are asked before an operation and told after it.

pub use crate::{
    bindings::{
        lifecycle::exports::chandlery::plugin::lifecycle::Guest as Lifecycle,
        notifying::exports::chandlery::plugin::notifying::{Event, Guest as Notifying, Outcome},
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
pub use crate::__export_hook as export;

#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::bindings::lifecycle::export!($plugin with_types_in $crate::bindings::lifecycle);
            $crate::bindings::validating::export!($plugin with_types_in $crate::bindings::validating);
            $crate::bindings::notifying::export!($plugin with_types_in $crate::bindings::notifying);
        };

        // Natively there is no host to export to; the traits are checked all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = {
            fn is_a_plugin<T: $crate::hook::Lifecycle + $crate::hook::Validating + $crate::hook::Notifying>() {}
            is_a_plugin::<$plugin>
        };
    };
}
