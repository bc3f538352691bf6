//! Gzipped tars, which is what Escape makes of a release.
//!
//! Such an archive has everything of a release in it, and only little that is wanted
//! here: what is no plain file or folder is passed over, since nothing is unpacked.

use std::io::Read;

use flate2::read::GzDecoder;

use super::{Archive, ENTRIES_MAX, RATIO_FROM_BYTES, RATIO_MAX, WANTED_BYTES_MAX, path, refused};
use crate::error::{Error, Result};

/// Whether it begins as a gzipped file does.
pub(in crate::release) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Reads the files of a gzipped tar that are `wanted`, as [`super::read`] does.
pub(in crate::release) fn read(
    bytes: &[u8],
    limit_bytes: u64,
    wanted: impl Fn(&str, u64) -> Option<u64>,
) -> Result<Archive> {
    let ratio_max = (bytes.len() as u64).saturating_mul(RATIO_MAX).max(RATIO_FROM_BYTES);
    let most = limit_bytes.min(ratio_max);
    let mut tar = ::tar::Archive::new(Bounded { inner: GzDecoder::new(bytes), left: most });
    let mut archive = Archive::default();
    let mut size_bytes: u64 = 0;
    let damaged = |it: std::io::Error| refused(it);
    // Raw: what the headers' extensions say is neither read nor believed.
    for (count, entry) in tar.entries().map_err(damaged)?.raw(true).enumerate() {
        let mut entry = entry.map_err(damaged)?;
        if count == ENTRIES_MAX {
            return Err(refused(format!("it has more than {ENTRIES_MAX} entries")));
        }
        let kind = entry.header().entry_type();
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        let name = entry.path_bytes().into_owned();
        let name = name.strip_prefix(b"./").unwrap_or(&name);
        if name.is_empty() {
            continue;
        }
        let path = path(name)?;
        if kind.is_file()
            && let Some(counts) = wanted(&path, entry.size())
        {
            size_bytes = size_bytes.saturating_add(counts);
            if size_bytes > WANTED_BYTES_MAX {
                return Err(Error::TooLarge {
                    what: "package's text",
                    limit_bytes: WANTED_BYTES_MAX,
                });
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            if archive.files.insert(path.clone(), bytes).is_some() {
                return Err(refused(format!("two entries are named `{path}`")));
            }
        }
        archive.paths.push(path);
    }
    Ok(archive)
}

/// A stream that ends with an error where it is longer than it may be.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            std::io::Error::other("it unpacks to more than is allowed, or than it could hold")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::tar::{Builder, EntryType, Header};
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const LIMIT: u64 = 16 << 20;

    fn packed(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind, bytes) in entries {
            let mut header = Header::new_gnu();
            let field = &mut header.as_old_mut().name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn yaml(path: &str, size_bytes: u64) -> Option<u64> {
        path.ends_with(".yml").then_some(size_bytes)
    }

    #[track_caller]
    fn refusal(bytes: &[u8]) -> String {
        read(bytes, LIMIT, yaml).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wanted_is_read_and_the_rest_passed_over() {
        let bytes = packed(&[
            ("web-v1.0/", EntryType::Directory, b""),
            ("./web-v1.0/package.yml", EntryType::Regular, b"name: web"),
            ("web-v1.0/run.sh", EntryType::Regular, b"exit"),
            ("web-v1.0/link.yml", EntryType::Symlink, b""),
        ]);
        assert!(is_gzip(&bytes));
        let archive = read(&bytes, LIMIT, yaml).unwrap();
        assert_eq!(archive.files.len(), 1);
        assert_eq!(archive.files["web-v1.0/package.yml"], b"name: web");
        assert_eq!(archive.paths, ["web-v1.0/", "web-v1.0/package.yml", "web-v1.0/run.sh"]);
    }

    #[test]
    fn archives_that_try_something_are_refused() {
        for name in ["../up.yml", "/abs.yml", "a/../b.yml", "a\\b.yml"] {
            let message = refusal(&packed(&[(name, EntryType::Regular, b"x")]));
            assert!(message.contains("outside of the target dir"), "{name}: {message}");
        }
        let twice = [("a.yml", EntryType::Regular, &b"x"[..]), ("a.yml", EntryType::Regular, b"y")];
        assert!(refusal(&packed(&twice)).contains("two entries"));
        let many = vec![("a", EntryType::Regular, &b""[..]); ENTRIES_MAX + 1];
        assert!(refusal(&packed(&many)).contains("more than 10000 entries"));
        let large = vec![b'x'; 5 << 20];
        assert!(refusal(&packed(&[("a.yml", EntryType::Regular, &large)])).contains("text"));
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused_before_it_is_all_there() {
        let large = vec![0; (LIMIT + (1 << 20)) as usize];
        let message = refusal(&packed(&[
            ("a", EntryType::Regular, &large),
            ("b.yml", EntryType::Regular, b""),
        ]));
        assert!(message.contains("more than is allowed"), "{message}");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"no tar at all").unwrap();
        refusal(&gzip.finish().unwrap());
        refusal(&packed(&[("a.yml", EntryType::Regular, b"x")])[..20]);
    }
}
