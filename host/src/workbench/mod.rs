//! The author's workbench: a plugin put to the test without a server.
//!
//! A [`Case`] says what the plugin is called with and what it should answer. It
//! runs in the server's own runtime, under the limits and grants of a binding; only what
//! would leave the machine is faked. So a case cannot disagree with what the
//! server does: it is the same code.

mod answer;
mod calls;
mod cases;
mod expect;
mod input;
pub mod project;
mod run;
mod world;

pub use self::{
    cases::{Case, read},
    run::{Outcome, Tested, Workbench},
};
