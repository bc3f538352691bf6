//! The only code that knows HTTP: paths, bodies, headers and status codes.
//!
//! [`Api`] answers one request; [`Server`] brings requests to it from the network.

mod basic_auth;
mod body;
mod caller;
mod family;
mod framing;
mod health;
mod inventory;
mod metrics;
mod openapi;
mod path;
mod release;
mod router;
mod routes;
mod serve;
mod site;
mod v1;
mod wire;

pub use self::{
    caller::Peer,
    router::Api,
    serve::{Answers, Server},
};
