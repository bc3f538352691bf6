//! The index of a repository: a document for each package in it, in the form of a
//! `package.yml`.
//!
//! Every document is read by itself and within its own limits, so that one that is
//! no good costs nothing but itself.

use crate::release::{metadata, model::PackageMetadata, upload};

/// Packages in one index at the most; those behind are left out.
const ENTRIES_MAX: usize = 10_000;
/// A document may have this many bytes.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// So many reasons for leaving something out are kept.
const NOTES_MAX: usize = 10;

/// What an index says.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Its packages, in its order.
    pub(super) packages: Vec<PackageMetadata>,
    /// How many documents were left out.
    pub(super) skipped: usize,
    /// Why, for the first of them.
    pub(super) notes: Vec<String>,
}

/// Reads the index of the repository of that name.
pub(super) fn read(bytes: &[u8], repository: &str) -> Index {
    let mut index = Index::default();
    let text = String::from_utf8_lossy(bytes);
    for (line, document) in documents(&text) {
        let what = format!("the document on line {line} of the index");
        if index.packages.len() == ENTRIES_MAX {
            index.skip(format!("{what} and those behind: {ENTRIES_MAX} packages are read"));
            break;
        }
        match package(&what, document) {
            Ok(mut package) => {
                package.repository_name = Some(repository.to_owned());
                index.packages.push(package);
            }
            Err(why) => index.skip(why),
        }
    }
    index
}

impl Index {
    /// Notes that something is left out.
    pub(super) fn skip(&mut self, why: String) {
        self.skipped += 1;
        if self.notes.len() < NOTES_MAX {
            self.notes.push(why.chars().take(500).collect());
        }
    }
}

fn package(what: &str, document: &str) -> Result<PackageMetadata, String> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(format!("{what} is larger than {DOCUMENT_BYTES_MAX} bytes"));
    }
    let package = metadata::parse(what, document).map_err(|it| it.to_string())?;
    // It becomes a part of a path.
    upload::check_name(&package.name, &package.version).map_err(|it| format!("{what}: {it}"))?;
    let odd = |it: char| it.is_control() || matches!(it, '/' | '\\');
    match package.version.contains(odd) || package.version.contains("..") {
        true => Err(format!("{what}: its version cannot be a part of a path")),
        false => Ok(package),
    }
}

/// The documents of a text that hold something, each with the line it begins on. A
/// line that begins with `---` and ends there, or goes on behind a space, begins one,
/// whatever is open: YAML says so.
fn documents(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut begins = vec![(1, 0)];
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end_matches(['\n', '\r']);
        if number > 0 && (bare == "---" || bare.starts_with("--- ") || bare.starts_with("---\t")) {
            begins.push((number + 1, at));
        }
        at += line.len();
    }
    let ends: Vec<usize> = begins.iter().skip(1).map(|(_, at)| *at).chain([text.len()]).collect();
    let pieces = begins.into_iter().zip(ends).map(|((line, from), to)| (line, &text[from..to]));
    pieces.filter(|(_, piece)| holds_something(piece))
}

fn holds_something(document: &str) -> bool {
    let rest = document.trim_start_matches('\u{feff}');
    let rest = rest.strip_prefix("---").unwrap_or(rest);
    let empty = |line: &str| {
        line.is_empty() || line == "..." || line.starts_with('#') || line.starts_with('%')
    };
    !rest.lines().map(str::trim).all(empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let index = read(text.as_bytes(), "test");
        assert_eq!(index.notes, Vec::<String>::new(), "{text}");
        index.packages.into_iter().map(|it| format!("{}:{}", it.name, it.version)).collect()
    }

    #[test]
    fn each_document_is_a_package() {
        let text = "\
---
# Samples
---
apiVersion: skipper.spring.io/v1
name: log
version: 1.10
appVersion: ignored
---
!!org.springframework.cloud.skipper.domain.PackageMetadata
name: time
version: 2.0.0.RELEASE
origin: null
packageFile: null
--- # the last
{name: one, version: 1}
...
";
        assert_eq!(names(text), ["log:1.10", "time:2.0.0.RELEASE", "one:1"]);
        assert_eq!(names(""), Vec::<String>::new());
        assert_eq!(names("name: log\r\nversion: 1\r\n---\r\nname: b\r\nversion: 2\r\n").len(), 2);
        let index = read(b"name: log\nversion: 1\nrepositoryName: other", "test");
        assert_eq!(index.packages[0].repository_name.as_deref(), Some("test"));
    }

    #[test]
    fn what_is_no_package_is_left_out_and_said() {
        let text = "\
name: log
---
name: ../up
version: 1
---
name: a
version: 1/../../2
---
- list
---
a: [
---
!!javax.script.ScriptEngineManager []
---
name: good
version: 1
";
        let index = read(text.as_bytes(), "test");
        assert_eq!(index.packages.len(), 1);
        assert_eq!((index.skipped, index.notes.len()), (6, 6));
        assert!(index.notes[0].contains("line 1 of the index: `version` is missing"));
        assert!(index.notes[1].contains("line 2 of the index: Entry is outside"), "{index:?}");
        assert!(index.notes[5].contains("is not known here"), "{index:?}");
    }

    #[test]
    fn an_alias_bomb_costs_one_document() {
        let mut bomb = "name: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("k{level}: &a{level} [{aliases}]\n");
        }
        let index = read(format!("{bomb}---\nname: good\nversion: 1\n").as_bytes(), "test");
        assert_eq!((index.packages.len(), index.skipped), (1, 1));
        assert!(index.notes[0].contains("aliases expanded"), "{index:?}");
    }

    #[test]
    fn more_than_there_may_be_is_left_out() {
        let text = "name: a\nversion: 1\n---\n".repeat(ENTRIES_MAX + 2);
        let index = read(text.as_bytes(), "test");
        assert_eq!((index.packages.len(), index.skipped), (ENTRIES_MAX, 1));
        let long = format!("name: a\nversion: 1\ndescription: {}", "x".repeat(DOCUMENT_BYTES_MAX));
        assert_eq!(read(long.as_bytes(), "test").skipped, 1);
    }
}
