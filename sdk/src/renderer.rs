//! Renderers: text from templates and values.
//!
//! A renderer is pure: it imports nothing but [`log`](crate::log) and
//! [`metrics`](crate::metrics), so equal jobs give equal output.

pub use crate::{
    bindings::{
        lifecycle::exports::chandlery::plugin::lifecycle::Guest as Lifecycle,
        renderer::exports::chandlery::plugin::renderer::{
            Guest as Renderer, Job, Output, Template,
        },
    },
    types::{Diagnostic, Severity},
};

/// Names the type that is the plugin. Once in a plugin, beside the type.
#[doc(inline)]
pub use crate::__export_renderer as export;

#[doc(hidden)]
#[macro_export]
macro_rules! __export_renderer {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
    $crate::bindings::lifecycle::export!($plugin with_types_in $crate::bindings::lifecycle);
    $crate::bindings::renderer::export!($plugin with_types_in $crate::bindings::renderer);
        };

        // Natively there is no host to export to; the traits are checked all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = {
            fn is_a_plugin<T: $crate::renderer::Lifecycle + $crate::renderer::Renderer>() {}
            is_a_plugin::<$plugin>
        };
    };
}
