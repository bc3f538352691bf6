//! Policies: may this one do this to that?
//!
//! A policy is pure: it imports nothing but [`log`](crate::log) and
//! [`metrics`](crate::metrics), so equal questions get equal answers.

pub use crate::{
    bindings::{
        lifecycle::exports::chandlery::plugin::lifecycle::Guest as Lifecycle,
        policy::exports::chandlery::plugin::policy::{
            Decision, Effect, Guest as Policy, Obligation, Question, Reach,
        },
    },
    types::{Diagnostic, Label, PluginError, Principal, PrincipalKind, Severity, Target},
};

/// Names the type that is the plugin. Once in a plugin, beside the type.
#[doc(inline)]
pub use crate::__export_policy as export;

#[doc(hidden)]
#[macro_export]
macro_rules! __export_policy {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
    $crate::bindings::lifecycle::export!($plugin with_types_in $crate::bindings::lifecycle);
    $crate::bindings::policy::export!($plugin with_types_in $crate::bindings::policy);
        };

        // Natively there is no host to export to; the traits are checked all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = {
            fn is_a_plugin<T: $crate::policy::Lifecycle + $crate::policy::Policy>() {}
            is_a_plugin::<$plugin>
        };
    };
}

impl Decision {
    /// Returns a yes by this rule.
    pub fn allow(rule: impl Into<String>) -> Decision {
        Decision {
            effect: Effect::Allow,
            reason: None,
            rules: vec![rule.into()],
            obligations: Vec::new(),
            cache_ms: 0,
        }
    }

    /// Returns a no by this rule, with the reason that the caller is told.
    pub fn deny(rule: impl Into<String>, reason: impl Into<String>) -> Decision {
        Decision { effect: Effect::Deny, reason: Some(reason.into()), ..Decision::allow(rule) }
    }

    /// Returns the answer that leaves the question to other policies.
    pub fn abstain() -> Decision {
        Decision {
            effect: Effect::Abstain,
            reason: None,
            rules: Vec::new(),
            obligations: Vec::new(),
            cache_ms: 0,
        }
    }
}
