//! Keeps what processes write from filling the disk.
//!
//! A process writes into its output files by itself, so that it needs no server to go
//! on. A server looks at the files each second, and ten times as often while one grows
//! fast: one that is over the limit is cut to nothing, after its last half has been put
//! beside it. The files are open for appending only, so the process goes on at the
//! start. What it writes between the copy and the cut is lost.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use tokio::time::sleep;

use super::{blocking, folder, lines, supervisor::Supervisor};

const CALM: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_millis(100);

/// The file beside an output that holds what came before.
pub(super) fn earlier(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Looks at all outputs for as long as there is a supervisor.
pub(super) fn spawn(supervisor: &Arc<Supervisor>, bytes_max: u64) {
    let weak = Arc::downgrade(supervisor);
    tokio::spawn(watch(weak, bytes_max));
}

async fn watch(supervisor: Weak<Supervisor>, bytes_max: u64) {
    let mut sizes: BTreeMap<PathBuf, u64> = BTreeMap::new();
    loop {
        let Some(all) = supervisor.upgrade().map(|it| it.outputs()) else { return };
        let mut rest = CALM;
        if !all.is_empty() || !sizes.is_empty() {
            let before = sizes;
            let looked = blocking(move || look(&all, &before, bytes_max));
            let (now, fast) = looked.await;
            sizes = now;
            if fast {
                rest = BUSY;
            }
        }
        sleep(rest).await;
    }
}

/// Cuts what is too large. Gives the sizes, and whether one of the files grows fast.
fn look(
    outputs: &[PathBuf],
    before: &BTreeMap<PathBuf, u64>,
    bytes_max: u64,
) -> (BTreeMap<PathBuf, u64>, bool) {
    let mut sizes = BTreeMap::new();
    let mut fast = false;
    for path in outputs {
        let Ok(size) = fs::symlink_metadata(path).map(|it| it.len()) else { continue };
        let grown = size.saturating_sub(before.get(path).copied().unwrap_or(0));
        fast |= grown > bytes_max / 8;
        let left = if size > bytes_max { bound(path, bytes_max) } else { size };
        sizes.insert(path.clone(), left);
    }
    (sizes, fast)
}

/// Cuts an output that is over its limit, and gives the size that it has then.
pub(super) fn bound(path: &Path, bytes_max: u64) -> u64 {
    match cut(path, bytes_max) {
        Ok(size) => size,
        Err(error) => {
            let path = path.display();
            tracing::warn!(%path, %error, "an output could not be cut to its limit");
            0
        }
    }
}

fn cut(path: &Path, bytes_max: u64) -> io::Result<u64> {
    let opened = OpenOptions::new().read(true).write(true).custom_flags(folder::flags()).open(path);
    let mut file = match opened {
        Err(it) if it.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => folder::plain(opened?)?,
    };
    let size = file.metadata()?.len();
    if size <= bytes_max {
        return Ok(size);
    }
    let _cutting = lines::CUTTING.write().unwrap_or_else(PoisonError::into_inner);
    // Where the disk is full, the last half is given up: the cut matters more.
    let kept = keep(&mut file, path, size, bytes_max / 2);
    let gone = file.metadata()?.len();
    let kept_from = if kept.is_ok() { size.saturating_sub(bytes_max / 2) } else { gone };
    lines::Count::cut(path, gone, kept_from);
    file.set_len(0)?;
    kept.map(|()| 0)
}

fn keep(file: &mut File, path: &Path, size: u64, bytes: u64) -> io::Result<()> {
    let beside = earlier(path);
    // Not the file of an earlier cut: who is reading that goes on reading it.
    let _ = fs::remove_file(&beside);
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
    file.seek(SeekFrom::Start(size.saturating_sub(bytes)))?;
    let copied = created.and_then(|mut to| io::copy(&mut file.take(bytes), &mut to));
    if copied.is_err() {
        let _ = fs::remove_file(&beside);
    }
    copied.map(|_| ())
}

/// The last bytes of an output, with what came before it where it is short.
pub(super) fn last(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let end = end_of(path, bytes)?;
    let missing = bytes.saturating_sub(end.len() as u64);
    if missing == 0 {
        return Ok(end);
    }
    let mut all = end_of(&earlier(path), missing)?;
    all.extend_from_slice(&end);
    Ok(all)
}

fn end_of(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = match OpenOptions::new().read(true).custom_flags(folder::flags()).open(path) {
        Err(it) if it.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => folder::plain(opened?)?,
    };
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_over_its_limit_keeps_its_last_half_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdout.log");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(cut(&path, 10).unwrap(), 10);
        assert_eq!(cut(&path, 8).unwrap(), 0);
        fs::write(&path, "ab").unwrap();
        assert_eq!(last(&path, 100).unwrap(), b"6789ab");
        assert_eq!(last(&path, 3).unwrap(), b"9ab");
        assert_eq!(last(&path, 1).unwrap(), b"b");
        assert_eq!(last(&folder.path().join("none"), 5).unwrap(), b"");
    }

    #[test]
    fn what_is_no_plain_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("stdout.log"), folder.path().join("other"));
        fs::write(&other, "0123456789").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(cut(&path, 1).is_err());
        fs::remove_file(&path).unwrap();
        // A link in the place of the kept half is replaced, not followed.
        fs::write(&path, "abcdef").unwrap();
        std::os::unix::fs::symlink(&other, earlier(&path)).unwrap();
        cut(&path, 4).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"0123456789");
        assert_eq!(last(&path, 9).unwrap(), b"ef");
    }
}
