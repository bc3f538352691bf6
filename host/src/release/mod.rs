//! Releases: packages that are uploaded, rendered and put on a platform.
//!
//! A package comes as a zip, its values are merged by [`values`] and rendered by
//! [`render`] through the renderer in force; [`manifest`] reads what came out.
//! [`model`] holds what the API shows.

pub mod manifest;
pub mod model;
pub mod render;
pub mod values;
pub mod yaml;
