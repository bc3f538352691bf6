//! `file:` — only what really lies below a configured folder.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use rustix::fs::OFlags;
use tokio_util::io::ReaderStream;

use crate::{
    app::App,
    blobs::Stored,
    error::{Error, Result},
};

/// Reads a file into the blob store.
pub(super) async fn fetch(app: &App, location: &str) -> Result<Stored> {
    let path = path_of(location)?;
    let chunks = read_below(path, app.config.resources.file_roots.clone()).await?;
    app.blobs.put(chunks, app.config.limits.package_bytes_max).await
}

/// Reads a file that really lies below one of these folders.
pub(in crate::release) async fn read_below(
    path: PathBuf,
    roots: Vec<PathBuf>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let opened = tokio::task::spawn_blocking(move || open(&path, &roots)).await;
    let file = opened.map_err(|it| Error::Internal(it.to_string()))??;
    let chunks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 256 << 10);
    Ok(chunks.map_err(|it| Error::store("reading a resource", it)).boxed())
}

fn path_of(location: &str) -> Result<PathBuf> {
    let rest = location.strip_prefix("file:").unwrap_or_default();
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if !path.starts_with('/') || path.contains('\0') {
        return Err(Error::Conflict("it must be `file:` with an absolute path".into()));
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    let decoded = decoded.map_err(|_| Error::Conflict("its path is not UTF-8".into()))?;
    Ok(PathBuf::from(decoded.into_owned()))
}

// Where it lies is asked twice: of its path before it is opened, since opening a
// device or a pipe may do something by itself, and of what was opened, so that no
// link and no renaming in between can lead elsewhere. What lies outside is told from
// what is not there by nothing but the configured folders.
fn open(path: &Path, roots: &[PathBuf]) -> Result<File> {
    let refused = || {
        Error::Conflict(format!(
            "`{}` is not below a folder of `resources.file_roots`",
            path.display()
        ))
    };
    let roots: Vec<PathBuf> = roots.iter().filter_map(|it| it.canonicalize().ok()).collect();
    if roots.is_empty() {
        return Err(refused());
    }
    let is_below = |real: &Path| roots.iter().any(|it| real.starts_with(it));
    let no_file = || Error::Conflict(format!("`{}` is no file", path.display()));
    let found = path.canonicalize();
    let found = found.map_err(|it| unopened(path, &roots, &it).unwrap_or_else(refused))?;
    if !is_below(&found) {
        return Err(refused());
    }
    if !found.metadata().is_ok_and(|it| it.is_file()) {
        return Err(no_file());
    }
    let flags = OFlags::NONBLOCK.bits() as i32;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(&found);
    let file = opened.map_err(|it| unopened(path, &roots, &it).unwrap_or_else(refused))?;
    let real =
        fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_| refused())?;
    if !is_below(&real) {
        return Err(refused());
    }
    match file.metadata().is_ok_and(|it| it.is_file()) {
        true => Ok(file),
        false => Err(no_file()),
    }
}

fn unopened(path: &Path, roots: &[PathBuf], error: &io::Error) -> Option<Error> {
    let folder = path.parent()?.canonicalize().ok()?;
    let below = roots.iter().any(|it| folder.starts_with(it));
    below.then(|| Error::Conflict(format!("`{}` cannot be read: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_below_a_root_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("apps");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("web.jar"), "in").unwrap();
        fs::write(folder.path().join("secret"), "out").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), root.join("up")).unwrap();
        let roots = [root.clone()];

        assert!(open(&root.join("web.jar"), &roots).is_ok());
        for outside in ["link", "../secret", "up/secret"] {
            let error = open(&root.join(outside), &roots).unwrap_err().to_string();
            assert!(error.contains("file_roots"), "{outside}: {error}");
        }
        let missing = open(&root.join("no"), &roots).unwrap_err().to_string();
        assert!(missing.contains("cannot be read"), "{missing}");
        let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        for odd in [root.clone(), root.join("socket")] {
            assert!(open(&odd, &roots).unwrap_err().to_string().contains("is no file"));
        }
        drop(socket);
        assert!(open(&root.join("web.jar"), &[]).unwrap_err().to_string().contains("file_roots"));
    }

    #[test]
    fn a_path_is_absolute() {
        assert_eq!(path_of("file:/a/b").unwrap(), Path::new("/a/b"));
        assert_eq!(path_of("file:///a/b%20c").unwrap(), Path::new("/a/b c"));
        for odd in ["file:a", "file://host/a", "file:"] {
            assert!(path_of(odd).is_err(), "{odd}");
        }
    }
}
