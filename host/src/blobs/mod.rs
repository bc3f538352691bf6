//! Package bytes, by SHA-256, on the disk or in an S3-compatible store.
//!
//! A blob is durable before any record points at it. Bytes that no record needs
//! are collected.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{Stream, stream::BoxStream};

use crate::error::Result;

/// The blob store.
#[derive(Clone)]
pub struct Blobs {}

/// Bytes that are durable, and held from the collector until this is dropped: put
/// the record that points at them before that.
pub struct Stored {
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

impl Blobs {
    /// Opens the blob store in a folder.
    pub async fn open(_folder: &Path) -> Result<Blobs> {
        todo!("the store helper fills this in")
    }

    /// Takes a stream in, at most `limit_bytes` of it.
    pub async fn put(
        &self,
        _body: impl Stream<Item = Result<Bytes>> + Send,
        _limit_bytes: u64,
    ) -> Result<Stored> {
        todo!("the store helper fills this in")
    }

    /// The size of a blob, if it is there.
    pub async fn size(&self, _sha256: &str) -> Result<Option<u64>> {
        todo!("the store helper fills this in")
    }

    /// Reads a range of a blob.
    pub async fn get(
        &self,
        _sha256: &str,
        _range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        todo!("the store helper fills this in")
    }

    /// Copies a blob to a file of that name, for a program to use.
    pub async fn copy_to(&self, _sha256: &str, _path: &Path) -> Result<()> {
        todo!("the store helper fills this in")
    }

    /// The folder for unfinished uploads, on the same disk.
    pub fn staging(&self) -> PathBuf {
        todo!("the store helper fills this in")
    }
}
