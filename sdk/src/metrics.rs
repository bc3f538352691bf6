//! Metrics of the plugin's own, served with the host's under the prefix
//! `chandlery_plugin_custom_`. Always there, never an error.
//!
//! In native tests they go nowhere.

use crate::types::Label;

/// Adds to a counter.
pub fn count(name: &str, by: u64, labels: &[Label]) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::host::chandlery::host::metrics::count(name, by, labels);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (name, by, labels);
}

/// Records one value of a histogram.
pub fn observe(name: &str, value: f64, labels: &[Label]) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::host::chandlery::host::metrics::observe(name, value, labels);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (name, value, labels);
}
