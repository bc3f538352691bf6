//! The only code that knows HTTP: paths, bodies, headers and status codes.
//!
//! [`Api`] answers one request; [`serve`] brings requests to it from the network.

mod caller;
mod family;
mod health;
mod inventory;
mod metrics;
mod path;
mod release;
mod router;

pub use self::{caller::Peer, router::Api};
