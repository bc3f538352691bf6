//! What every request goes through, and the process around it.

mod architecture;
mod basic_auth;
mod every_request;
mod health;
mod openapi;
mod process;
mod settings;
mod sites;
mod wire;
