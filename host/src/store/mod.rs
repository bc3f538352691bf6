//! Everything that outlives the process but bytes. The only code that knows redb.

pub mod outbox;
pub mod packages;
pub mod processes;
mod view;

pub use view::{Change, Record, Row, Table, Take, View, decode, encode, find, keep, key, prefix};

use crate::error::Result;

/// The store.
#[derive(Clone)]
pub struct Store {}

/// Who did what, for the audit record that a change leaves.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// The actor's id: `user:alice`, `anonymous`, `system:engine`.
    pub actor: String,
    /// The token used, by id; empty without one.
    pub token: String,
    /// The action: `inventory:version:register`.
    pub action: String,
    /// What it was done to: `kind/namespace/name/version`.
    pub resource: String,
    /// The digest of the policy that decided.
    pub policy_digest: String,
    /// The request's id; empty for background work.
    pub request_id: String,
}

impl Store {
    /// Opens the store in a folder, which is made where it is missing.
    pub async fn open(_folder: &std::path::Path) -> Result<Store> {
        todo!("the store helper fills this in")
    }

    /// Takes no more writes and waits for those that were taken.
    pub async fn close(&self) -> Result<()> {
        todo!("the store helper fills this in")
    }

    /// The server's own secret of that name, made at first use.
    pub async fn server_key(&self, _name: &str) -> Result<[u8; 32]> {
        todo!("the store helper fills this in")
    }

    /// Runs `work` in the writer and answers when what it changed is durable,
    /// together with its audit record. When `work` fails nothing is kept.
    pub async fn write<T: Send + 'static>(
        &self,
        _audit: Audit,
        _work: impl FnOnce(&mut dyn Change) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        todo!("the store helper fills this in")
    }

    /// The same for bookkeeping of the server's own, which leaves no audit record.
    pub async fn write_unaudited<T: Send + 'static>(
        &self,
        _work: impl FnOnce(&mut dyn Change) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        todo!("the store helper fills this in")
    }

    /// Runs `work` over a consistent state. Never waits for writers.
    pub async fn read<T: Send + 'static>(
        &self,
        _work: impl FnOnce(&dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        todo!("the store helper fills this in")
    }

    /// Leaves the audit record of a request that was refused.
    pub async fn refused(&self, _audit: Audit, _why: String) -> Result<()> {
        todo!("the store helper fills this in")
    }
}
