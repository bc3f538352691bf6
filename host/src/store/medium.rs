//! What the engine's bytes lie on: a file, or memory.
//!
//! The seam at which tests forget, tear and refuse writes. A medium outlives the
//! engine over it, so the engine can be opened again over the same bytes.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, IoSliceMut},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::RwLock,
};

use rustix::io::ReadWriteFlags;

/// A growing array of bytes that can be made durable.
pub(super) trait Medium: fmt::Debug + Send + Sync + 'static {
    /// How long it is.
    fn len(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on; it is an error when there are too few bytes.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes; durable only after the next [`sync`](Medium::sync).
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts it, or lengthens it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything that was written durable.
    fn sync(&self) -> io::Result<()>;

    /// Forgets what a cache beneath holds and the disk may not.
    fn forget_cached(&self) {}
}

/// A file.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
}

impl Disk {
    /// Opens the file, which is made where it does not exist, for this user only.
    pub(super) fn open(path: &Path) -> io::Result<Disk> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        // A new file is only there after a crash once its folder says so.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Disk { file })
    }

    /// Reads what the page cache holds and says how much that was.
    fn read_cached(&self, offset: u64, out: &mut [u8]) -> usize {
        let buffers = &mut [IoSliceMut::new(out)];
        rustix::io::preadv2(&self.file, buffers, offset, ReadWriteFlags::NOWAIT).unwrap_or(0)
    }
}

impl Medium for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    // Reads happen on the async workers, because nearly all of them are answered
    // from a cache in a microsecond, where a hop to another thread costs ten. The
    // few that must wait for the disk let the worker's other tasks go first.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let had = self.read_cached(offset, out);
        if had == out.len() {
            return Ok(());
        }
        let rest = &mut out[had..];
        aside(|| self.file.read_exact_at(rest, offset + had as u64))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    // After a failed fsync the kernel calls the lost pages clean: what is read
    // next must come from the disk, not from them.
    fn forget_cached(&self) {
        let advice = rustix::fs::Advice::DontNeed;
        if let Err(error) = rustix::fs::fadvise(&self.file, 0, None, advice) {
            tracing::warn!(%error, "the page cache of the store could not be dropped");
        }
    }
}

/// Memory: for tests, and for trying things out.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bytes: RwLock<Vec<u8>>,
}

impl Medium for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.read().expect("nothing panics under this lock").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.read().expect("nothing panics under this lock");
        let from = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let found = bytes.get(from..).and_then(|it| it.get(..out.len()));
        out.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.write().expect("nothing panics under this lock");
        let from = usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
        if bytes.len() < from + data.len() {
            bytes.resize(from + data.len(), 0);
        }
        bytes[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::InvalidInput)?;
        self.bytes.write().expect("nothing panics under this lock").resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs what may wait for the disk without holding up an async worker.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(it) if it.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(medium: &dyn Medium) {
        medium.set_len(10).unwrap();
        medium.write(8, b"xyz").unwrap();
        assert_eq!(medium.len().unwrap(), 11);

        let mut out = [1; 4];
        medium.read(7, &mut out).unwrap();
        assert_eq!(&out, b"\0xyz");
        medium.forget_cached();
        medium.sync().unwrap();
        medium.read(7, &mut out).unwrap();
        assert_eq!(&out, b"\0xyz");
        assert_eq!(medium.read(8, &mut out).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn memory_and_disk_behave_alike() {
        let folder = tempfile::tempdir().unwrap();
        check(&Memory::default());
        check(&Disk::open(&folder.path().join("file")).unwrap());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_read_past_the_cache_is_fine_on_an_async_worker() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&folder.path().join("file")).unwrap();
        tokio::spawn(async move { check(&disk) }).await.unwrap();
    }
}
