//! Hooks that are told after an operation: at least once, in order for each target.

pub use crate::{
    bindings::{
        lifecycle::exports::chandlery::plugin::lifecycle::Guest as Lifecycle,
        notifying::exports::chandlery::plugin::notifying::{Event, Guest as Notifying, Outcome},
    },
    types::{Diagnostic, Label, Principal, PrincipalKind, Severity, Target},
};

/// Names the type that is the plugin. Once in a plugin, beside the type.
#[doc(inline)]
pub use crate::__export_after_hook as export;

#[doc(hidden)]
#[macro_export]
macro_rules! __export_after_hook {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
    $crate::bindings::lifecycle::export!($plugin with_types_in $crate::bindings::lifecycle);
    $crate::bindings::notifying::export!($plugin with_types_in $crate::bindings::notifying);
        };

        // Natively there is no host to export to; the traits are checked all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = {
            fn is_a_plugin<T: $crate::after_hook::Lifecycle + $crate::after_hook::Notifying>() {}
            is_a_plugin::<$plugin>
        };
    };
}
