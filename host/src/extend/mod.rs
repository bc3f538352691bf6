//! Plugins on the running server: installing them, putting them to work, and changing
//! both while requests go on.
//!
//! What is installed is a version of a plugin, which never changes: its component's
//! bytes are among the blobs, and what the component was found to be is in the store. It
//! is not put to work by that. A binding does that, under a name; each change of one is a
//! revision, and the set in force is swapped whole (`in_force`). The plugins inside the
//! program, and the bindings of the settings, are told beside these.

mod change;
mod in_force;
mod install;
mod listing;
mod names;
mod next;
mod remove;
mod shape;
mod shipped;
mod spec;

pub use self::{
    change::{Asked, Changed, binding_target, change},
    in_force::{Extend, Origin},
    install::{Order, install, take_in},
    listing::{
        Capability, FailedCall, Inspection, Use, Version, Versions, inspect, installed, list,
        versions,
    },
    names::{PluginName, PluginVersion, plugin_target},
    next::What,
    remove::remove,
    shape::{Past, Pending, Shown, binding, bindings_list, history},
};
