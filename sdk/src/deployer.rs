//! Deployers: applications on a platform.
//!
//! A deployer keeps no state: what it must remember goes into the handle, which the
//! host stores and hands back.

pub use crate::{
    bindings::{
        deployer::exports::chandlery::plugin::deployer::{
            App, AppStatus, Artifact, Features, Guest as Deployer, Handle, Instance, LogLines,
            LogPage, LogPlace, LogText, LogWant, Placement, Scope, State,
        },
        lifecycle::exports::chandlery::plugin::lifecycle::Guest as Lifecycle,
    },
    types::{Diagnostic, Label, PluginError, Severity},
};

impl State {
    /// Returns the state of a whole whose parts are in these states: theirs where they are
    /// all the same, else that of the part that needs to be looked at first.
    pub fn of_whole(parts: impl IntoIterator<Item = State>) -> State {
        let parts: Vec<State> = parts.into_iter().collect();
        let any = |wanted: &[State]| parts.iter().any(|it| wanted.contains(it));
        match parts.as_slice() {
            [] => State::Unknown,
            [first, rest @ ..] if rest.iter().all(|it| it == first) => *first,
            _ if any(&[State::Error]) => State::Error,
            _ if any(&[State::Deploying]) => State::Deploying,
            _ if any(&[State::Deployed, State::Partial]) => State::Partial,
            _ if any(&[State::Failed]) => State::Failed,
            _ => State::Partial,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::State::{self, *};

    #[test]
    fn a_whole_is_as_the_part_that_needs_to_be_looked_at_first() {
        let cases: [(&[State], State); 11] = [
            (&[], Unknown),
            (&[Deployed], Deployed),
            (&[Failed, Failed], Failed),
            (&[Undeployed, Undeployed], Undeployed),
            (&[Deployed, Deploying, Error], Error),
            (&[Deployed, Deploying, Failed], Deploying),
            (&[Deployed, Failed], Partial),
            (&[Partial, Undeployed], Partial),
            (&[Undeployed, Failed], Failed),
            (&[Undeployed, Unknown], Partial),
            (&[Deployed, Unknown], Partial),
        ];
        for (parts, whole) in cases {
            assert_eq!(State::of_whole(parts.iter().copied()), whole, "{parts:?}");
        }
    }
}
