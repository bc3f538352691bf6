//! One server a data folder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::error::{Error, Result};

/// Holds a data folder for this process. The kernel lets go of it however the
/// process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder, or says who has it.
    pub(super) fn take(folder: &Path) -> Result<Lock> {
        let failed = |it| Error::store(format!("locking `{}`", folder.display()), it);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        tell(&mut file).map_err(failed)?;
        Ok(Lock { _file: file })
    }
}

// Only for whoever comes second: the lock itself is the kernel's.
fn tell(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn in_use(folder: &Path, file: &mut File) -> Error {
    let mut who = String::new();
    let known = file.take(20).read_to_string(&mut who).is_ok() && who.parse::<u32>().is_ok();
    let who = if known { format!(" (process {who})") } else { String::new() };
    Error::Conflict(format!(
        "the data folder `{}` is in use by another server{who}: stop that one, or give this one \
         another folder with `--data`",
        folder.display()
    ))
}
