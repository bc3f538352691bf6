//! The repositories that packages come from.
//!
//! Those of the settings are entered into the store before the server answers
//! anything.

mod enter;

pub use enter::enter;
