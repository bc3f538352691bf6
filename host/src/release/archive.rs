//! Reads an uploaded zip, or (`tar`) a gzipped tar, in memory and within limits.
//!
//! Nothing is ever unpacked to the disk, and only what is wanted is unpacked at
//! all. Names are judged as they stand in the archive, before anything makes them
//! harmless: an archive that tries something is refused whole.

pub(super) mod tar;

use std::{
    collections::{BTreeMap, HashSet},
    io::{Cursor, Read},
};

use zip::{
    read::{Config, ZipFileEntry, ZipReadOptions},
    // The stable reader takes in all entries before it says how many there are, and
    // drops those whose name comes twice.
    unstable::read::ZipIterable,
};

use crate::error::{Error, Result};

/// Entries at the most.
pub const ENTRIES_MAX: usize = 10_000;
/// An entry may be this many times as large as it is packed...
pub const RATIO_MAX: u64 = 100;
/// ... once it is larger than this.
pub const RATIO_FROM_BYTES: u64 = 1 << 20;
/// What is wanted may come to this, unpacked. It is kept with every release, and sent
/// wherever one is shown.
pub const WANTED_BYTES_MAX: u64 = 4 << 20;
/// A path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// A name in a path, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// What a zip writes before each entry, without its name and its extra field.
const LOCAL_HEADER_BYTES: u64 = 30;

type Source<'a> = Cursor<&'a [u8]>;

/// What was read of an archive.
#[derive(Debug, Default)]
pub struct Archive {
    /// The wanted files, by their path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The paths of all entries, those of folders with a slash at their end.
    pub paths: Vec<String>,
}

/// Reads the files of a zip that are `wanted`: asked with a path and a size in bytes,
/// it says how many bytes that file counts for. All entries together may unpack to
/// `limit_bytes`.
pub fn read(
    zip: &[u8],
    limit_bytes: u64,
    wanted: impl Fn(&str, u64) -> Option<u64>,
) -> Result<Archive> {
    let mut entries = ZipIterable::try_new(Cursor::new(zip), Config::default()).map_err(no_zip)?;
    if entries.len() > ENTRIES_MAX {
        return Err(refused(format!(
            "it has {} entries, {ENTRIES_MAX} are allowed",
            entries.len()
        )));
    }
    let mut source = Cursor::new(zip);
    let mut checks = Checks { limit_bytes, ..Checks::default() };
    let mut archive = Archive::default();
    let mut to_read = Vec::new();
    let mut size_bytes: u64 = 0;
    for entry in entries.files().map_err(no_zip)? {
        let entry = entry.map_err(no_zip)?;
        let path = checks.entry(&entry)?;
        if !path.ends_with('/')
            && let Some(bytes) = wanted(&path, entry.size())
        {
            size_bytes = size_bytes.saturating_add(bytes);
            to_read.push((path.clone(), entry));
        }
        archive.paths.push(path);
    }
    checks.overlap()?;

    // Unpacking comes last: by now the whole archive has shown itself harmless.
    if size_bytes > WANTED_BYTES_MAX {
        return Err(Error::TooLarge { what: "package's text", limit_bytes: WANTED_BYTES_MAX });
    }
    for (path, entry) in to_read {
        let bytes = unpack(&path, entry, &mut source)?;
        archive.files.insert(path, bytes);
    }
    Ok(archive)
}

/// What is known of the entries so far.
#[derive(Default)]
struct Checks {
    limit_bytes: u64,
    size_bytes: u64,
    names: HashSet<String>,
    ranges: Vec<(u64, u64)>,
}

impl Checks {
    /// Checks an entry without unpacking it, and gives its path.
    fn entry(&mut self, entry: &ZipFileEntry<'_>) -> Result<String> {
        let path = path(entry.name_raw())?;
        if !self.names.insert(path.trim_end_matches('/').to_lowercase()) {
            return Err(refused(format!("two entries are named `{path}`, or differ in case only")));
        }
        if entry.encrypted() {
            return Err(refused(format!("`{path}` is encrypted")));
        }
        let kind = entry.unix_mode().unwrap_or_default() & 0o170_000;
        if entry.is_symlink() || !matches!(kind, 0 | 0o100_000 | 0o040_000) {
            return Err(refused(format!("`{path}` is a link or a device: files and folders only")));
        }
        let (size, packed) = (entry.size(), entry.compressed_size());
        if size > RATIO_FROM_BYTES && size / RATIO_MAX > packed {
            return Err(refused(format!(
                "`{path}` unpacks to more than {RATIO_MAX} times its packed size"
            )));
        }
        self.size_bytes = self.size_bytes.saturating_add(size);
        if self.size_bytes > self.limit_bytes {
            return Err(Error::TooLarge {
                what: "unpacked package",
                limit_bytes: self.limit_bytes,
            });
        }
        let head = LOCAL_HEADER_BYTES + entry.name_raw().len() as u64;
        let start = entry.header_start();
        self.ranges.push((start, start.saturating_add(head).saturating_add(packed)));
        Ok(path)
    }

    /// Entries that share bytes are how a small zip becomes a large one.
    fn overlap(&mut self) -> Result<()> {
        self.ranges.sort_unstable();
        match self.ranges.windows(2).any(|it| it[0].1 > it[1].0) {
            true => Err(refused("its entries overlap")),
            false => Ok(()),
        }
    }
}

fn unpack(path: &str, entry: ZipFileEntry<'_>, source: &mut Source<'_>) -> Result<Vec<u8>> {
    let size = entry.size();
    let damaged = |why: String| refused(format!("`{path}` is damaged: {why}"));
    let file =
        entry.with_reader(source, ZipReadOptions::new()).map_err(|it| damaged(it.to_string()))?;
    let mut bytes = Vec::new();
    file.take(size + 1).read_to_end(&mut bytes).map_err(|it| damaged(it.to_string()))?;
    match bytes.len() as u64 == size {
        true => Ok(bytes),
        false => Err(damaged(format!("it says that it has {size} bytes, and has not"))),
    }
}

/// The path that a raw name is, if it stays inside of the archive.
fn path(raw: &[u8]) -> Result<String> {
    let Ok(path) = std::str::from_utf8(raw) else {
        return Err(refused(format!(
            "the name `{}` is not UTF-8",
            String::from_utf8_lossy(raw).escape_debug()
        )));
    };
    let shown: String = path.chars().take(PATH_BYTES_MAX).collect();
    let shown = shown.escape_debug();
    if path.is_empty() || path.chars().any(char::is_control) {
        return Err(refused(format!("the name `{shown}` is empty or holds control characters")));
    }
    let drive = path.as_bytes().get(1) == Some(&b':');
    let parts = path.strip_suffix('/').unwrap_or(path).split('/');
    if path.contains('\\') || drive || parts.clone().any(|it| matches!(it, "" | "." | "..")) {
        return Err(Error::Conflict(format!("Entry is outside of the target dir: {shown}")));
    }
    if path.len() > PATH_BYTES_MAX || parts.clone().any(|it| it.len() > NAME_BYTES_MAX) {
        return Err(refused(format!(
            "the name `{shown}` is too long: {NAME_BYTES_MAX} bytes for each part and \
             {PATH_BYTES_MAX} for all are allowed"
        )));
    }
    Ok(path.to_owned())
}

fn no_zip(error: zip::result::ZipError) -> Error {
    refused(error.to_string())
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::Conflict(format!("The package file is not a zip that can be taken: {why}"))
}

#[cfg(test)]
mod tests;
