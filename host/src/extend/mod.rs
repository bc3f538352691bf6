//! Plugins on the running server: installing them, looking at them, taking them away.
//!
//! What is installed is a version of a plugin, which never changes: its component's
//! bytes are among the blobs, and what the component was found to be is in the store. It
//! is not put to work by that. The plugins inside the program are listed beside those.

mod install;
mod listing;
mod names;
mod remove;
mod shipped;

use tokio::sync::Semaphore;

pub use self::{
    install::{Order, install, take_in},
    listing::{
        Capability, FailedCall, Inspection, Use, Version, Versions, inspect, installed, list,
        versions,
    },
    names::{PluginName, PluginVersion, plugin_target},
    remove::remove,
};

/// What there is of this while the server runs.
pub struct Extend {
    /// One component at a time is held whole and compiled.
    installing: Semaphore,
}

impl Default for Extend {
    fn default() -> Self {
        Extend { installing: Semaphore::new(1) }
    }
}
