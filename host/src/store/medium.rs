//! What the engine's bytes lie on: a file, or memory.
//!
//! The seam at which tests forget, tear and refuse writes. A medium outlives the
//! engine over it, so the engine can be opened again over the same bytes.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, IoSliceMut},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, RwLock},
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
        // A new or renamed file is only there after a crash once its folder says so.
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

/// A medium seen through a sheet of glass: writes stay on the glass.
///
/// A database whose disk takes no writes cannot even be opened without one, since
/// opening finishes what the failure left; so that reads go on, it is opened over
/// this until the disk works again.
#[derive(Debug)]
pub(super) struct Glass {
    below: Arc<dyn Medium>,
    sheet: Mutex<Sheet>,
}

#[derive(Debug)]
struct Sheet {
    len: u64,
    // Where what is below ends for good: it was cut there once.
    below_len: u64,
    blocks: BTreeMap<u64, Box<[u8; GLASS_BLOCK]>>,
}

const GLASS_BLOCK: usize = 4096;

impl Glass {
    pub(super) fn over(below: Arc<dyn Medium>) -> io::Result<Glass> {
        let len = below.len()?;
        let sheet = Sheet { len, below_len: len, blocks: BTreeMap::new() };
        Ok(Glass { below, sheet: Mutex::new(sheet) })
    }

    fn sheet(&self) -> MutexGuard<'_, Sheet> {
        self.sheet.lock().expect("nothing panics under this lock")
    }

    // What is below from `offset` on, zeros where it has ended.
    fn read_below(&self, below_len: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = below_len.saturating_sub(offset).min(out.len() as u64) as usize;
        out[there..].fill(0);
        if there > 0 { self.below.read(offset, &mut out[..there]) } else { Ok(()) }
    }
}

impl Medium for Glass {
    fn len(&self) -> io::Result<u64> {
        Ok(self.sheet().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (below_len, over) = {
            let sheet = self.sheet();
            if offset + out.len() as u64 > sheet.len {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let first = offset / GLASS_BLOCK as u64;
            let last = (offset + out.len() as u64).div_ceil(GLASS_BLOCK as u64);
            let over: Vec<_> =
                sheet.blocks.range(first..last).map(|(at, block)| (*at, block.clone())).collect();
            (sheet.below_len, over)
        };
        self.read_below(below_len, offset, out)?;
        for (at, block) in over {
            let start = at * GLASS_BLOCK as u64;
            let from = start.max(offset);
            let to = (start + GLASS_BLOCK as u64).min(offset + out.len() as u64);
            let inside = (from - start) as usize..(to - start) as usize;
            out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(&block[inside]);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut sheet = self.sheet();
        let end = offset + data.len() as u64;
        let mut from = offset;
        while from < end {
            let at = from / GLASS_BLOCK as u64;
            let start = at * GLASS_BLOCK as u64;
            let to = (start + GLASS_BLOCK as u64).min(end);
            if !sheet.blocks.contains_key(&at) {
                let mut block = Box::new([0; GLASS_BLOCK]);
                self.read_below(sheet.below_len, start, &mut block[..])?;
                sheet.blocks.insert(at, block);
            }
            let block = sheet.blocks.get_mut(&at).expect("it was put there above");
            block[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
            from = to;
        }
        sheet.len = sheet.len.max(end);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut sheet = self.sheet();
        if len < sheet.len {
            sheet.below_len = sheet.below_len.min(len);
            sheet.blocks.split_off(&len.div_ceil(GLASS_BLOCK as u64));
            if let Some(block) = sheet.blocks.get_mut(&(len / GLASS_BLOCK as u64)) {
                block[(len % GLASS_BLOCK as u64) as usize..].fill(0);
            }
        }
        sheet.len = len;
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
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20_000u64, proptest::collection::vec(any::<u8>(), 1..6000))
                .prop_map(|(at, data)| Step::Write(at, data)),
            2 => (0..26_000u64).prop_map(Step::SetLen),
            1 => Just(Step::Forget),
        ]
    }

    fn run(medium: &dyn Medium, steps: &[Step]) -> Vec<u8> {
        for step in steps {
            match step {
                Step::Write(at, data) => medium.write(*at, data).unwrap(),
                Step::SetLen(len) => medium.set_len(*len).unwrap(),
                Step::Forget => {
                    medium.sync().unwrap();
                    medium.forget_cached();
                }
            }
        }
        let mut all = vec![0; medium.len().unwrap() as usize];
        medium.read(0, &mut all).unwrap();
        let past = medium.read(all.len() as u64, &mut [0]).unwrap_err();
        assert_eq!(past.kind(), ErrorKind::UnexpectedEof);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn memory_disk_and_glass_behave_alike(
            below in proptest::collection::vec(step(), 0..6),
            steps in proptest::collection::vec(step(), 1..12),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let disk = Arc::new(Disk::open(&folder.path().join("file")).unwrap());
            let memory = Memory::default();
            prop_assert_eq!(run(&memory, &below), run(&*disk, &below));
            let expected = run(&memory, &steps);

            let before = run(&*disk, &[]);
            let glass = Glass::over(disk.clone()).unwrap();
            prop_assert_eq!(&run(&glass, &steps), &expected);
            prop_assert_eq!(run(&*disk, &[]), before, "nothing goes through the glass");
            prop_assert_eq!(run(&*disk, &steps), expected);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_read_past_the_cache_is_fine_on_an_async_worker() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&folder.path().join("file")).unwrap();
        let steps = [Step::Write(0, vec![7; 9000]), Step::Forget];
        let read = tokio::spawn(async move { run(&disk, &steps) }).await.unwrap();
        assert_eq!(read, [7; 9000]);
    }
}
