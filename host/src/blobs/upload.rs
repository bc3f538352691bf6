//! Taking bytes in: to a file in the staging folder, hashed on the way, then to
//! their name, durable.
//!
//! The disk is only waited for off the async threads, and in steps of
//! [`STEP_BYTES`], so that an upload holds that much memory whatever its size.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{blocking, failed, place};
use crate::error::{Error, Result};

/// How much is gathered before a thread is asked to write it.
const STEP_BYTES: usize = 512 << 10;

/// A whole upload, durable under a name of its own. Dropped, it is gone.
pub(super) struct Staged {
    file: NamedTempFile,
    pub(super) sha256: String,
    pub(super) size: u64,
}

/// Where uploads go.
pub(super) enum Target {
    /// To a folder on the disk that they were staged on.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Its sub-folders that are known to outlive a crash, by first byte.
        shards: Box<[AtomicBool; 256]>,
    },
    /// To an object store, which answers for its own durability.
    Objects(Arc<dyn ObjectStore>),
}

impl Target {
    pub(super) fn folder(path: PathBuf) -> Target {
        Target::Folder { path, shards: Box::new([const { AtomicBool::new(false) }; 256]) }
    }

    /// Moves an upload to its name. What was there has the same bytes.
    pub(super) async fn keep(self: &Arc<Self>, staged: Staged) -> Result<()> {
        if let Target::Objects(objects) = &**self {
            return send(objects, staged).await;
        }
        let target = self.clone();
        let moving = blocking(move || target.keep_in_folder(staged)).await?;
        moving.map_err(|it| failed("keeping an upload", it))
    }

    fn keep_in_folder(&self, staged: Staged) -> io::Result<()> {
        let Target::Folder { path, shards } = self else { return Ok(()) };
        let shard = path.join(&staged.sha256[..2]);
        let index = usize::from_str_radix(&staged.sha256[..2], 16).expect("a digest is hex");
        // Another upload may have made the folder and not have synced it yet: who
        // does not know that it lasts makes it last.
        if !shards[index].load(Ordering::Acquire) {
            fs::create_dir_all(&shard)?;
            sync_folder(path)?;
            shards[index].store(true, Ordering::Release);
        }
        staged.file.persist(shard.join(&staged.sha256)).map_err(|it| it.error)?;
        sync_folder(&shard)
    }
}

/// Writes a stream to a file of its own.
pub(super) async fn stage(
    folder: &Path,
    body: impl Stream<Item = Result<Bytes>> + Send,
    limit_bytes: u64,
) -> Result<Staged> {
    let mut body = pin!(body);
    let mut writing = Writing { folder: folder.to_owned(), file: None, hash: Sha256::new() };
    let (mut size, mut gathered, mut gathered_bytes) = (0u64, Vec::new(), 0);
    while let Some(part) = body.next().await {
        let part = part?;
        size += part.len() as u64;
        if size > limit_bytes {
            return Err(Error::TooLarge { what: "package", limit_bytes });
        }
        gathered_bytes += part.len();
        gathered.push(part);
        if gathered_bytes >= STEP_BYTES {
            let parts = std::mem::take(&mut gathered);
            gathered_bytes = 0;
            writing = step(move || writing.append(&parts)).await?;
        }
    }
    step(move || writing.append(&gathered)?.finish(size)).await
}

/// Makes what a folder lists outlive a crash.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

struct Writing {
    folder: PathBuf,
    file: Option<NamedTempFile>,
    hash: Sha256,
}

impl Writing {
    fn append(mut self, parts: &[Bytes]) -> io::Result<Writing> {
        if self.file.is_none() {
            self.file = Some(NamedTempFile::with_prefix_in("upload-", &self.folder)?);
        }
        let file = self.file.as_mut().expect("it was made above");
        for part in parts {
            self.hash.update(part);
            file.write_all(part)?;
        }
        Ok(self)
    }

    fn finish(self, size: u64) -> io::Result<Staged> {
        let file = self.file.expect("the last append made it");
        file.as_file().sync_all()?;
        Ok(Staged { file, sha256: hex::encode(self.hash.finalize()), size })
    }
}

async fn step<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    blocking(work).await?.map_err(|it| failed("writing an upload", it))
}

async fn send(objects: &Arc<dyn ObjectStore>, staged: Staged) -> Result<()> {
    let sending = |it| failed("sending an upload", it);
    let place = place(&staged.sha256).expect("a digest is a blob's name");
    let mut parts = WriteMultipart::new(objects.put_multipart(&place).await.map_err(sending)?);
    let mut file = tokio::fs::File::from_std(
        staged.file.reopen().map_err(|it| failed("sending an upload", it))?,
    );
    let mut buffer = vec![0; STEP_BYTES];
    loop {
        let read = tokio::io::AsyncReadExt::read(&mut file, &mut buffer).await;
        let read = read.map_err(|it| failed("sending an upload", it))?;
        if read == 0 {
            break;
        }
        parts.wait_for_capacity(4).await.map_err(sending)?;
        parts.write(&buffer[..read]);
    }
    parts.finish().await.map_err(sending)?;
    Ok(())
}
