//! Moving a namespace between servers: all that belongs to it as one stream.
//!
//! The stream is a tar of plain files, in this order: `manifest.json`; for each release,
//! in the order of registration, `releases/N/metadata.json` (exactly as stored),
//! `releases/N/facts.json` and, where it has one, `releases/N/package`; `units/N.json`
//! for what units have beside their releases; `end.json` with the counts and the SHA-256
//! of every byte before it, so that a stream that was cut off is never taken for a whole
//! one. Nothing else is understood, not even another spelling of a header.

mod beside;
mod claims;
mod export;
mod import;
mod reader;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use export::export;
pub use import::{Importing, Summary, begin_import, import};

use crate::store::{
    hooks_documents::HooksDocument, namespaces::NamespaceRecord, unit_releases::PackageRecord,
    yanks::YankRecord,
};

/// The form of the stream. Raised when older servers could not read it.
const FORMAT: u32 = 1;

/// The size of a block, which headers have and contents are filled up to.
const BLOCK: usize = 512;

/// Tags in one entry of a unit, at the most.
const TAGS_MAX: usize = 200;

/// What stands first: whose stream this is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// The program that wrote it.
    server: String,
    namespace: String,
    record: NamespaceRecord,
    hooks: HooksDocument,
}

/// What a server knows of a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    /// Which release of its unit it is.
    number: u64,
    uploaded_by: String,
    uploaded_at: String,
    downloads: u64,
    package: Option<PackageRecord>,
    yanked: Option<YankRecord>,
}

/// What belongs to a unit and to no release of it. A unit with many tags has several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitFacts {
    unit: String,
    hooks: HooksDocument,
    /// Tag to version.
    tags: BTreeMap<String, String>,
}

/// What stands last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    releases: u64,
    packages: u64,
    units: u64,
    /// Of all bytes before this entry.
    sha256: String,
}

/// The names of entries.
mod name {
    pub(super) const MANIFEST: &str = "manifest.json";
    pub(super) const RELEASES: &str = "releases/";
    pub(super) const UNITS: &str = "units/";
    pub(super) const END: &str = "end.json";

    pub(super) fn metadata(number: u64) -> String {
        format!("{RELEASES}{number:012}/metadata.json")
    }

    pub(super) fn facts(number: u64) -> String {
        format!("{RELEASES}{number:012}/facts.json")
    }

    pub(super) fn package(number: u64) -> String {
        format!("{RELEASES}{number:012}/package")
    }

    pub(super) fn unit(number: u64) -> String {
        format!("{UNITS}{number:012}.json")
    }
}

/// The only header that an entry of that name and size can have. `None` for a name
/// that no entry has.
fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).ok()?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Some(*header.as_bytes())
}

/// How many zeros follow contents of that size.
fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_its_name_and_size() {
        for size in [0, 1, 511, 512, 1 << 40] {
            let bytes = header(&name::package(7), size).unwrap();
            let read = tar::Header::from_byte_slice(&bytes);
            assert_eq!(read.entry_size().unwrap(), size);
            assert_eq!(&*read.path_bytes(), b"releases/000000000007/package");
        }
        assert_eq!(header("../x", 1), None);
    }

    #[test]
    fn contents_are_filled_up_to_a_block() {
        for (size, expected) in [(0, 0), (1, 511), (512, 0), (513, 511)] {
            assert_eq!(padding(size), expected);
        }
    }
}
