//! A process's working folder: its artifact, and the files that take its output.
//!
//! The process may write there what it likes, so nothing in it is trusted: no link
//! is followed, and what is opened must be a plain file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use futures::StreamExt;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::{
    blocking,
    lines::{self, Wanted},
    outputs,
};
use crate::{
    blobs::Blobs,
    error::{Error, Result},
    plugins::types::ProcessPiece,
};

const TAIL_BYTES_MAX: u32 = 1 << 20;

/// Makes the folder that working folders go into, and returns its real path.
pub(super) async fn prepare_root(root: PathBuf) -> Result<PathBuf> {
    let shown = root.display().to_string();
    let prepared = blocking(move || -> io::Result<PathBuf> {
        make(&root)?;
        root.canonicalize()
    });
    let real =
        prepared.await.map_err(|it| Error::store(format!("preparing folder `{shown}`"), it))?;
    match real.to_str() {
        Some(_) => Ok(real),
        None => Err(Error::invalid("data", format!("`{shown}` is not UTF-8"))),
    }
}

/// Makes a folder that only we can look into.
pub(super) fn make(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a folder with all that is in it. Gone is gone.
pub(super) async fn remove(path: PathBuf) -> Result<(), String> {
    let shown = path.display().to_string();
    match blocking(move || fs::remove_dir_all(path)).await {
        Err(it) if it.kind() != io::ErrorKind::NotFound => {
            Err(format!("folder `{shown}` cannot be removed: {it}"))
        }
        _ => Ok(()),
    }
}

/// Copies a blob to `path`, checked against its digest on the way.
pub(super) async fn place(
    blobs: &Blobs,
    sha256: &str,
    path: &Path,
    executable: bool,
) -> Result<(), String> {
    let problem = |it: Error| format!("artifact `sha256:{sha256}` cannot be read: {it}");
    let size = blobs.size(sha256).await.map_err(problem)?;
    let size = size.ok_or_else(|| format!("artifact `sha256:{sha256}` is not stored"))?;
    let unfinished = path.with_file_name(format!(".{}.part", uuid::Uuid::new_v4()));
    let placed = async {
        let mut file = create(&unfinished, executable)?;
        let mut digest = Sha256::new();
        let mut chunks = blobs.get(sha256, 0..size).await.map_err(problem)?;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(problem)?;
            digest.update(&chunk);
            file =
                blocking(move || file.write_all(&chunk).map(|()| file)).await.map_err(unwritten)?;
        }
        drop(file);
        if hex::encode(digest.finalize()) != sha256 {
            return Err(format!("artifact `sha256:{sha256}` is damaged"));
        }
        fs::rename(&unfinished, path).map_err(unwritten)
    };
    let placed = placed.await;
    if placed.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    placed
}

fn create(path: &Path, executable: bool) -> Result<File, String> {
    let mode = if executable { 0o500 } else { 0o400 };
    let created = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    created.map_err(unwritten)
}

fn unwritten(error: io::Error) -> String {
    format!("the artifact cannot be placed: {error}")
}

/// Opens a file that takes an output; what an earlier start wrote stays.
pub(super) fn open_output(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags())
        .open(path)?;
    let file = plain(file)?;
    lines::Count::begin(path);
    Ok(file)
}

/// The last bytes of an output.
pub(super) async fn tail(path: PathBuf, max_bytes: u32) -> Result<String, String> {
    let limit = u64::from(max_bytes.min(TAIL_BYTES_MAX));
    match blocking(move || outputs::last(&path, limit)).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(it) => Err(format!("the output cannot be read: {it}")),
    }
}

/// Reads on in an output.
pub(super) async fn lines(path: PathBuf, mut wanted: Wanted) -> Result<ProcessPiece, String> {
    wanted.bytes_max = wanted.bytes_max.min(TAIL_BYTES_MAX.into());
    let read = blocking(move || lines::read(&path, &wanted)).await;
    read.map_err(|it| format!("the output cannot be read: {it}"))
}

// Not to be led elsewhere by a link, and not to wait at a pipe.
pub(super) fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32
}

pub(super) fn plain(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no plain file")),
    }
}
