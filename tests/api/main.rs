//! Tests over HTTP, a folder for each family.

mod hooks;
mod inventory;
mod own;
mod release;
mod server;
