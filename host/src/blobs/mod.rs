//! Package bytes, by SHA-256, on the disk or in an S3-compatible store.
//!
//! A blob is durable before any record points at it: it is written to a staging
//! folder while it is hashed, fsynced, and moved to its name. From then on a lease
//! keeps the collector off it until the record that points at it
//! ([`crate::store::blob_refs`]) is committed. Bytes that no record needs are
//! collected; nothing else ever is.

mod collect;
mod lease;
mod read;
mod upload;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path as Place};

pub use collect::Collected;

use self::{
    lease::{Lease, Leases},
    upload::Target,
};
use crate::error::{Error, Result};

/// The blob store.
#[derive(Clone)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    target: Arc<Target>,
    leases: Arc<Leases>,
    staging: PathBuf,
}

/// Bytes that are durable, and held from the collector until this is dropped: put
/// the record that points at them before that.
#[derive(Debug)]
pub struct Stored {
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    _lease: Lease,
}

impl Blobs {
    /// Opens the blob store in a folder, which only this server may use. What
    /// unfinished uploads left there is dropped.
    pub async fn open(folder: &Path) -> Result<Blobs> {
        let folder = folder.to_owned();
        let opening = move || -> std::io::Result<(PathBuf, PathBuf)> {
            let (objects, staging) = (folder.join("objects"), folder.join("staging"));
            std::fs::create_dir_all(&objects)?;
            std::fs::create_dir_all(&staging)?;
            upload::sync_folder(&folder)?;
            for left in std::fs::read_dir(&staging)? {
                let left = left?.path();
                if left.is_dir() {
                    std::fs::remove_dir_all(left)?;
                } else {
                    std::fs::remove_file(left)?;
                }
            }
            Ok((objects, staging))
        };
        let (folder, staging) = blocking(opening).await?.map_err(|it| failed("opening it", it))?;
        let objects =
            LocalFileSystem::new_with_prefix(&folder).map_err(|it| failed("opening it", it))?;
        Ok(Blobs {
            objects: Arc::new(objects),
            target: Arc::new(Target::folder(folder)),
            leases: Arc::default(),
            staging,
        })
    }

    /// The same over any object store. Uploads are still gathered in a local folder.
    pub fn over(objects: Arc<dyn ObjectStore>, staging: &Path) -> Blobs {
        let target = Arc::new(Target::Objects(objects.clone()));
        Blobs { objects, target, leases: Arc::default(), staging: staging.to_owned() }
    }

    /// Takes a stream in, at most `limit_bytes` of it. When it fails, or is dropped
    /// half-way, nothing is left.
    pub async fn put(
        &self,
        body: impl Stream<Item = Result<Bytes>> + Send,
        limit_bytes: u64,
    ) -> Result<Stored> {
        let staged = upload::stage(&self.staging, body, limit_bytes).await?;
        let lease = self.leases.take(&staged.sha256).await;
        let (sha256, size) = (staged.sha256.clone(), staged.size);
        self.target.keep(staged).await?;
        Ok(Stored { sha256, size, _lease: lease })
    }

    /// Holds a blob that is there already from the collector, so that another record
    /// can point at it.
    pub async fn hold(&self, sha256: &str) -> Result<Option<Stored>> {
        if place(sha256).is_none() {
            return Ok(None);
        }
        let lease = self.leases.take(sha256).await;
        let size = self.size(sha256).await?;
        Ok(size.map(|size| Stored { sha256: sha256.to_owned(), size, _lease: lease }))
    }

    /// The size of a blob, if it is there.
    pub async fn size(&self, sha256: &str) -> Result<Option<u64>> {
        let Some(place) = place(sha256) else { return Ok(None) };
        match self.objects.head(&place).await {
            Ok(it) => Ok(Some(it.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("looking for a blob", error)),
        }
    }

    /// Reads a range of a blob. Where that is all of it, its digest is checked, and a
    /// stream of bytes that have changed ends with an error before its last part.
    pub async fn get(
        &self,
        sha256: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        read::stream(&*self.objects, sha256, Some(range)).await
    }

    /// Copies a blob to a file of that name, for a program to use. Its digest is
    /// checked; when it is wrong there is no file.
    pub async fn copy_to(&self, sha256: &str, path: &Path) -> Result<()> {
        read::copy_to(&*self.objects, sha256, path).await
    }

    /// The folder for unfinished uploads, on the same disk. It is emptied at start.
    pub fn staging(&self) -> PathBuf {
        self.staging.clone()
    }
}

/// Where a blob lies; none for what cannot be a blob's name.
fn place(sha256: &str) -> Option<Place> {
    let hexadecimal = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    if sha256.len() != 64 || !sha256.bytes().all(hexadecimal) {
        return None;
    }
    Some(Place::from_iter([&sha256[..2], sha256]))
}

fn failed(doing: &str, source: impl Into<crate::error::Source>) -> Error {
    Error::store(format!("{doing} (blobs)"), source)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|it| failed("working", it))
}

#[cfg(test)]
mod tests;
