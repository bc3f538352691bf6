//! Write a Chandlery plugin in Rust: implement two traits, name the type once.
//!
//! A plugin is a crate of type `cdylib` with a `chandlery.toml` beside its
//! `Cargo.toml`. Each module named after a kind of plugin holds the traits, the types
//! that they speak of, and `export!`:
//!
//! | module | asked to |
//! |---|---|
//! | [`policy`] | decide who may do what |
//! | [`renderer`] | make text of templates and values |
//! | [`deployer`] | run applications on a platform |
//! | [`before_hook`] | let an operation pass, change it or refuse it |
//! | [`after_hook`] | hear of what was done |
//! | [`hook`] | both |
//!
//! The other modules are what the host lends a plugin while it runs. [`log`] and
//! [`metrics`] are always there. The rest reaches a plugin only where it is listed in
//! `chandlery.toml` and the operator grants it; what a plugin does not call is not in
//! its component at all. In native tests the granted ones panic: keep the rules of a
//! plugin apart from its calls, and test the rules.
//!
//! # A whole plugin
//!
//! `Cargo.toml`:
//!
//! ```toml
//! [package]
//! name = "policy-office-hours"
//! version = "1.0.0"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! chandlery-sdk = "0.1"
//! ```
//!
//! `chandlery.toml`:
//!
//! ```toml
//! kinds = ["policy"]
//! description = "Lets named people in"
//! ```
//!
//! `src/lib.rs`:
//!
//! ```
//! use chandlery_sdk::policy::{
//!     self, Decision, Diagnostic, Lifecycle, PluginError, Policy, Principal, Question, Reach, Target,
//! };
//!
//! struct NamedPeople;
//!
//! impl Lifecycle for NamedPeople {
//!     fn check_settings(_settings: String) -> Vec<Diagnostic> {
//!         Vec::new()
//!     }
//!
//!     fn configure(_settings: String) -> Result<(), String> {
//!         Ok(())
//!     }
//! }
//!
//! impl Policy for NamedPeople {
//!     fn load(_revision: u64, _data: String) -> Result<(), PluginError> {
//!         Ok(())
//!     }
//!
//!     fn authorize(question: Question) -> Result<Decision, PluginError> {
//!         Ok(match named(&question.principal) {
//!             true => Decision::allow("named"),
//!             false => Decision::deny("named", "only people with a name come in"),
//!         })
//!     }
//!
//!     fn filter(question: Question, targets: Vec<Target>) -> Result<Vec<bool>, PluginError> {
//!         Ok(vec![named(&question.principal); targets.len()])
//!     }
//!
//!     fn reach_of(who: Principal, _action: String, _kind: String) -> Result<Reach, PluginError> {
//!         Ok(if named(&who) { Reach::All } else { Reach::None })
//!     }
//! }
//!
//! fn named(principal: &Principal) -> bool {
//!     principal.id != "anonymous"
//! }
//!
//! policy::export!(NamedPeople);
//! # fn main() {}
//! ```
//!
//! A guest serves one call of the host and is thrown away: `configure`, then that
//! call. What a plugin keeps in a `static` or `thread_local!` lasts just that long.
//!
//! # Memory
//!
//! A guest that needs little never asks the host for memory, which is as dear as the
//! rest of a short call: the SDK brings an allocator that takes the first 64 KiB from
//! the module's own memory and leaves what does not fit to the standard one. A plugin
//! that brings a `#[global_allocator]` of its own turns the SDK's off:
//!
//! ```toml
//! chandlery-sdk = { version = "0.1", default-features = false }
//! ```

#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    reason = "generated from wit/, which is documented; the glue passes raw pointers"
)]
pub mod bindings;

pub mod after_hook;
pub mod before_hook;
pub mod deployer;
pub mod hook;
pub mod policy;
pub mod renderer;

#[cfg(any(all(target_arch = "wasm32", feature = "allocator"), test))]
mod memory;

pub mod log;
pub mod metrics;
pub mod types;

pub mod artifacts {
    //! Stored package and artifact bytes, read only, in ranges. Needs the grant
    //! `artifacts`.

    pub use crate::bindings::host::chandlery::host::artifacts::{ArtifactError, Info, read, stat};
}

pub mod clock {
    //! The time. Needs the grant `clock`.

    pub use crate::bindings::host::chandlery::host::clock::{monotonic_ns, now};
}

pub mod http {
    //! Outbound HTTP to the granted origins. Needs the grant `http`.

    pub use crate::bindings::host::chandlery::host::http::{HttpError, Request, Response, send};
}

pub mod process {
    //! Processes that the host runs. Needs the grant `process`; deployers only.

    pub use crate::bindings::host::chandlery::host::process::{
        Output, Phase, Piece, Port, PortRequest, ProcessError, Spec, StartAt, State, forget,
        read_lines, start, status, stop, tail,
    };
}

pub mod random {
    //! Randomness fit for keys. Needs the grant `random`.

    pub use crate::bindings::host::chandlery::host::random::bytes;
}

pub mod secrets {
    //! Secrets that the operator bound to this plugin by name. Needs the grant
    //! `secrets`; prefer `{secret:NAME}` in a header of [`http`](crate::http).

    pub use crate::bindings::host::chandlery::host::secrets::{SecretError, reveal};
}
