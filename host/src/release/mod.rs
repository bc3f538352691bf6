//! Releases: packages that are uploaded, rendered and put on a platform.
//!
//! A package comes as a zip ([`archive`]) and is read by [`package`], its values
//! are merged by [`values`] and rendered by [`render`] through the renderer in
//! force; [`manifest`] reads what came out. [`model`] holds what the API shows.

pub mod archive;
pub mod manifest;
pub mod model;
pub mod package;
pub mod render;
pub mod values;
pub mod yaml;
