//! The Mustache dialect of Skipper's packages: jmustache with its defaults.
//!
//! A [`Template`] is parsed once ([`parse`]), its lines that hold nothing but a
//! section's tag or a comment are taken out ([`tidy`]), and it is rendered over
//! [`json`] values whose order and number text stay as they were written
//! ([`render`]). Values are looked up as jmustache does, texts of errors included;
//! but Java's getters on values are not there, and numbers print as they were
//! written, not as Java would.
//!
//! Whatever the template, the work is bounded: by [`NESTING_MAX`], by
//! [`STEPS_MAX`] and by the output that the job allows.

mod finding;
pub(crate) mod json;
mod lookup;
mod parse;
mod render;
mod tidy;
mod value;

pub(crate) use finding::{Finding, Level};
pub(crate) use parse::Template;
pub(crate) use render::{Job, Renderer};

/// Sections inside each other.
pub(crate) const NESTING_MAX: usize = 32;

/// Tags rendered and contexts searched in one job. Enough for some hundred
/// thousand values, and done within a tenth of a second.
pub(crate) const STEPS_MAX: u32 = 1_000_000;

/// The bytes of one name in a tag.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// Findings in one template; the rest would say nothing new.
pub(crate) const FINDINGS_MAX: usize = 100;

#[cfg(test)]
mod tests;
