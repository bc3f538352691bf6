//! Chandlery: one server that keeps an organisation's releases and puts them to
//! work, extended by sandboxed WebAssembly plugins.
//!
//! A request goes handler ([`api`]) → operation ([`inventory`], [`release`]) →
//! [`store`], [`blobs`] or [`plugins`], and stops. `axum` appears only under
//! `api`, `redb` only under `store`, `wasmtime` only under `plugins`.

pub mod api;
pub mod app;
pub mod authz;
pub mod blobs;
pub mod capabilities;
pub mod cli;
mod clock;
pub mod config;
pub mod error;
pub mod events;
pub mod extend;
pub mod inventory;
pub mod log;
pub mod login;
mod open_files;
pub mod outbox;
pub mod plugins;
pub mod release;
pub mod store;
pub mod tasks;
pub mod workbench;
