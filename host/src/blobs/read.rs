//! Giving bytes out, and finding those that have changed on the disk.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::Path,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore};
use sha2::{Digest, Sha256};

use super::{blocking, failed, place};
use crate::error::{Error, Result};

/// How much is read at once.
const STEP_BYTES: u64 = 256 << 10;

/// Streams a range of a blob, or all of it; all of it is checked.
pub(super) async fn stream(
    objects: &dyn ObjectStore,
    sha256: &str,
    range: Option<Range<u64>>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let place = place(sha256).ok_or_else(|| Error::not_found("blob", sha256))?;
    if range.as_ref().is_some_and(|it| it.is_empty()) && !is_empty_digest(sha256) {
        return Ok(stream::empty().boxed());
    }
    let wanted = range.filter(|it| !it.is_empty()).map(GetRange::Bounded);
    let options = GetOptions { range: wanted, ..GetOptions::default() };
    let found = objects.get_opts(&place, options).await.map_err(|error| match error {
        object_store::Error::NotFound { .. } => Error::not_found("blob", sha256),
        error => failed("reading a blob", error),
    })?;
    let whole = found.range == (0..found.meta.size);
    let parts = match found.payload {
        GetResultPayload::File(file, _) => from_file(file, found.range).boxed(),
        GetResultPayload::Stream(it) => it.map_err(|it| failed("reading a blob", it)).boxed(),
    };
    Ok(if whole { checked(parts, sha256).boxed() } else { parts })
}

/// Copies all of a blob to a file, which is gone again when the digest is wrong.
pub(super) async fn copy_to(objects: &dyn ObjectStore, sha256: &str, path: &Path) -> Result<()> {
    let mut parts = stream(objects, sha256, None).await?;
    let to = path.to_owned();
    let copying = |it| failed("copying a blob", it);
    let mut file = blocking(move || File::create(to)).await?.map_err(copying)?;
    let copied = async {
        while let Some(part) = parts.try_next().await? {
            let writing = move || file.write_all(&part).map(|()| file);
            file = blocking(writing).await?.map_err(copying)?;
        }
        Ok(())
    };
    let copied = copied.await;
    if copied.is_err() {
        let path = path.to_owned();
        drop(blocking(move || std::fs::remove_file(path)).await);
    }
    copied
}

fn from_file(file: File, range: Range<u64>) -> impl futures::Stream<Item = Result<Bytes>> {
    stream::try_unfold((file, range), |(file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let read = blocking(move || read_step(file, range)).await?;
        read.map(Some).map_err(|it| failed("reading a blob", it))
    })
}

fn read_step(mut file: File, range: Range<u64>) -> io::Result<(Bytes, (File, Range<u64>))> {
    let length = (range.end - range.start).min(STEP_BYTES);
    let mut part = vec![0; length as usize];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut part)?;
    Ok((part.into(), (file, range.start + length..range.end)))
}

/// Holds each part back until there is another, and the last until the digest is
/// known to be right, so that nobody gets the whole of something wrong.
fn checked(
    parts: BoxStream<'static, Result<Bytes>>,
    sha256: &str,
) -> impl futures::Stream<Item = Result<Bytes>> + use<> {
    struct Checking {
        parts: BoxStream<'static, Result<Bytes>>,
        held: Option<Bytes>,
        hash: Sha256,
        sha256: String,
        done: bool,
    }
    let checking =
        Checking { parts, held: None, hash: Sha256::new(), sha256: sha256.to_owned(), done: false };
    stream::try_unfold(checking, |mut it| async move {
        while !it.done {
            match it.parts.try_next().await? {
                Some(part) => {
                    it.hash.update(&part);
                    if let Some(before) = it.held.replace(part) {
                        return Ok(Some((before, it)));
                    }
                }
                None => {
                    it.done = true;
                    if hex::encode(it.hash.finalize_reset()) != it.sha256 {
                        return Err(changed(&it.sha256));
                    }
                }
            }
        }
        Ok(it.held.take().map(|last| (last, it)))
    })
}

fn changed(sha256: &str) -> Error {
    metrics::counter!("chandlery_blobs_damaged_total").increment(1);
    tracing::error!(sha256, "a blob's bytes are no longer those that were stored");
    let doing = format!("reading blob `{sha256}`: its bytes have changed since they were stored");
    Error::Store { doing, source: None }
}

fn is_empty_digest(sha256: &str) -> bool {
    sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
}
