//! Everything a request can reach, built once at start-up.

use std::sync::Arc;

use crate::{blobs::Blobs, config::Config, plugins::Plugins, store::Store};

/// The running server's parts.
pub struct App {
    /// The settings in force.
    pub config: Arc<Config>,
    /// Records: everything but bytes that outlives the process.
    pub store: Store,
    /// Package bytes, by digest.
    pub blobs: Blobs,
    /// The plugin runtime and the set in force.
    pub plugins: Plugins,
}
