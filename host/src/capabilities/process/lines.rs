//! Reading on in an output, whole lines at a time.
//!
//! A place in an output counts from the first byte that was ever written there, so it
//! stays the same when the output is cut. How much has been cut away stands in a small
//! file beside it, with a word that is another one for each file: a place of an output
//! that has been removed since is not taken for one in its successor.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use super::{folder, outputs::earlier};
use crate::plugins::types::ProcessPiece;

/// Bytes of the file that says how much was cut away.
const COUNT_BYTES_MAX: u64 = 128;

/// Held for reading while an output is read and for writing while one is cut: what is
/// beside it must be of the same moment.
pub(super) static CUTTING: RwLock<()> = RwLock::new(());

/// What is wanted of an output.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Behind that place; `oldest` and `newest` begin anew.
    pub(super) from: From,
    /// The most to read.
    pub(super) bytes_max: u64,
    /// Whether a line that has no end yet is wanted, too.
    pub(super) unfinished: bool,
}

/// Where to begin.
#[derive(Clone, Debug)]
pub(super) enum From {
    /// With the first line that is kept.
    Oldest,
    /// So that the last line is the last of the piece.
    Newest,
    /// Behind an earlier piece.
    Behind(String),
}

/// How much of an output was cut away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Tells this file from others of its name; empty where nobody wrote it down.
    word: String,
    /// What lies before the first byte of the file.
    cut: u64,
    /// Where that which is kept of it begins.
    kept_from: u64,
}

impl Count {
    /// Writes one down for a file that has none. Without it places are only less sure.
    pub(super) fn begin(output: &Path) {
        if Count::read(output) == Count::default() {
            let _ = Count::new().write(output);
        }
    }

    fn new() -> Count {
        let word = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        Count { word, ..Count::default() }
    }

    /// Notes that `size` bytes go, of which those from `kept_from` on are kept beside.
    pub(super) fn cut(output: &Path, size: u64, kept_from: u64) {
        let mut count = match Count::read(output) {
            it if it == Count::default() => Count::new(),
            it => it,
        };
        count.kept_from = count.cut.saturating_add(kept_from);
        count.cut = count.cut.saturating_add(size);
        if count.write(output).is_err() {
            // No count is better than a wrong one.
            let _ = fs::remove_file(beside(output));
        }
    }

    fn read(output: &Path) -> Count {
        let read = || {
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(folder::flags())
                .open(beside(output))
                .and_then(folder::plain)?;
            let mut text = String::new();
            file.take(COUNT_BYTES_MAX).read_to_string(&mut text).map(|_| text)
        };
        let text = read().unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        let mut next = || words.next().unwrap_or_default();
        let (word, cut, kept_from) = (next().to_owned(), next().parse(), next().parse());
        match (cut, kept_from) {
            (Ok(cut), Ok(kept_from)) if word.len() <= 32 && kept_from <= cut => {
                Count { word, cut, kept_from }
            }
            _ => Count::default(),
        }
    }

    fn write(&self, output: &Path) -> io::Result<()> {
        let path = beside(output);
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".new");
        let unfinished = PathBuf::from(unfinished);
        let _ = fs::remove_file(&unfinished);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        let written = writeln!(file, "{} {} {}", self.word, self.cut, self.kept_from)
            .and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}

fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".at");
    name.into()
}

/// A file that holds a part of an output.
struct Part {
    file: Option<File>,
    /// Its first byte, and the one behind its last.
    from: u64,
    to: u64,
}

impl Part {
    fn open(path: &Path, from: u64) -> io::Result<Part> {
        match OpenOptions::new().read(true).custom_flags(folder::flags()).open(path) {
            Err(it) if it.kind() == io::ErrorKind::NotFound => {
                Ok(Part { file: None, from, to: from })
            }
            opened => {
                let file = folder::plain(opened?)?;
                let to = from.saturating_add(file.metadata()?.len());
                Ok(Part { file: Some(file), from, to })
            }
        }
    }

    /// Adds what it has from `at` on.
    fn read(&mut self, at: u64, bytes_max: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(at - self.from))?;
        // No more than it had when it was looked at.
        file.take(bytes_max.min(self.to - at)).read_to_end(bytes).map(|_| ())
    }
}

/// Reads a piece of an output.
pub(super) fn read(path: &Path, wanted: &Wanted) -> io::Result<ProcessPiece> {
    let _uncut = CUTTING.read().unwrap_or_else(PoisonError::into_inner);
    let count = Count::read(path);
    let mut newest = Part::open(path, count.cut)?;
    let mut older = match count.cut {
        0 => Part { file: None, from: 0, to: 0 },
        _ => Part::open(&earlier(path), count.kept_from)?,
    };
    // Never more than was there: a longer file is not the one that was kept.
    older.to = older.to.min(newest.from);
    if older.from == older.to {
        (older.from, older.to) = (newest.from, newest.from);
    }

    let (mut at, mut gap, mut is_amid) = match &wanted.from {
        From::Oldest => (older.from, false, true),
        From::Newest => (newest.to.saturating_sub(wanted.bytes_max).max(older.from), false, true),
        From::Behind(place) => match behind(place, &count.word) {
            Some(at) => (at, false, false),
            // Another file has come in its place; without a word, perhaps not.
            None => (older.from, count.word.is_empty(), true),
        },
    };
    if at < older.from || at > newest.to {
        (at, gap, is_amid) = (older.from, true, true);
    } else if at >= older.to && at < newest.from {
        (at, gap, is_amid) = (newest.from, true, true);
    }

    let mut bytes = Vec::new();
    let mut breaks = false;
    if at < older.to {
        older.read(at, wanted.bytes_max, &mut bytes)?;
        // What came between the two is lost.
        breaks = older.to < newest.from;
    }
    let read = at + bytes.len() as u64;
    if read >= newest.from {
        newest.read(read, wanted.bytes_max - bytes.len() as u64, &mut bytes)?;
        breaks = false;
    }
    let is_full = bytes.len() as u64 >= wanted.bytes_max;
    let is_last = at + bytes.len() as u64 >= newest.to;
    let ends = breaks && !is_full || wanted.unfinished && is_last;
    let from = if is_amid && at > 0 { whole_from(&bytes) } else { 0 };
    let to = match bytes[from..].iter().rposition(|it| *it == b'\n') {
        _ if ends => bytes.len(),
        Some(last) => from + last + 1,
        None if is_full && from == 0 => whole_characters(&bytes),
        None => from,
    };
    let next = at + to as u64;
    let more = next < newest.to && (is_full || breaks);
    let text = String::from_utf8_lossy(&bytes[from..to]).into_owned();
    Ok(ProcessPiece { text, next: format!("{}.{next:x}", count.word), gap, more })
}

/// The byte that a place is behind, where it is a place of that file.
fn behind(place: &str, word: &str) -> Option<u64> {
    let (of, at) = place.split_once('.')?;
    u64::from_str_radix(at, 16).ok().filter(|_| of == word)
}

/// Where the first line begins that is there whole; the beginning, where there is one
/// line only.
fn whole_from(bytes: &[u8]) -> usize {
    match bytes.iter().position(|it| *it == b'\n') {
        Some(end) if end + 1 < bytes.len() => end + 1,
        _ => 0,
    }
}

/// How many bytes there are before a character that is not there whole.
fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(4);
    let begun = bytes[last..].iter().rposition(|it| *it >= 0xc0).map(|it| last + it);
    match begun {
        Some(at) if at > 0 && std::str::from_utf8(&bytes[at..]).is_err() => at,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::{super::outputs, *};

    struct Output {
        _folder: TempDir,
        path: PathBuf,
    }

    impl Output {
        fn new(text: &str) -> Output {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("stdout.log");
            Count::begin(&path);
            fs::write(&path, text).unwrap();
            Output { _folder: folder, path }
        }

        fn add(&self, text: &[u8]) {
            let mut file = OpenOptions::new().append(true).open(&self.path).unwrap();
            file.write_all(text).unwrap();
        }

        fn read(&self, from: From, bytes_max: u64) -> ProcessPiece {
            read(&self.path, &Wanted { from, bytes_max, unfinished: false }).unwrap()
        }

        fn behind(&self, piece: &ProcessPiece, bytes_max: u64) -> ProcessPiece {
            self.read(From::Behind(piece.next.clone()), bytes_max)
        }
    }

    #[test]
    fn lines_are_read_on_and_a_line_waits_for_its_end() {
        let output = Output::new("one\ntwo\nthr");
        let first = output.read(From::Newest, 100);
        assert_eq!((&*first.text, first.gap, first.more), ("one\ntwo\n", false, false));
        let none = output.behind(&first, 100);
        assert_eq!((&*none.text, &none.next), ("", &first.next));
        output.add(b"ee\nfo");
        assert_eq!(output.behind(&none, 100).text, "three\n");
        let wanted = Wanted { from: From::Oldest, bytes_max: 100, unfinished: true };
        assert_eq!(read(&output.path, &wanted).unwrap().text, "one\ntwo\nthree\nfo");
    }

    #[test]
    fn the_newest_lines_are_whole() {
        let output = Output::new("one\ntwo\nthree\n");
        assert_eq!(output.read(From::Newest, 9).text, "three\n");
        assert_eq!(output.read(From::Newest, 11).text, "two\nthree\n");
        assert_eq!(output.read(From::Newest, 14).text, "one\ntwo\nthree\n");
        assert_eq!(output.read(From::Newest, 4).text, "ree\n", "of a long line, its end");
        assert_eq!(output.read(From::Newest, 0).text, "");
        assert_eq!(Output::new("").read(From::Newest, 9).text, "");
    }

    #[test]
    fn a_piece_ends_with_a_line_or_in_a_line_that_is_longer() {
        let output = Output::new("one\ntwo\nthree and more\n");
        let first = output.read(From::Oldest, 6);
        assert_eq!((&*first.text, first.more), ("one\n", true));
        let second = output.behind(&first, 4);
        assert_eq!((&*second.text, second.more), ("two\n", true));
        let third = output.behind(&second, 6);
        assert_eq!((&*third.text, third.more), ("three ", true));
        assert_eq!(output.behind(&third, 100).text, "and more\n");
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let output = Output::new("aäöü\n");
        let first = output.read(From::Oldest, 4);
        assert_eq!(first.text, "aä");
        let second = output.behind(&first, 3);
        assert_eq!(second.text, "ö");
        assert_eq!(output.behind(&second, 100).text, "ü\n");
        let broken = Output::new("");
        broken.add(b"\xff\xfe\xfd\xfc\xfb");
        assert!(!broken.read(From::Oldest, 2).text.is_empty());
    }

    #[test]
    fn a_place_stays_true_when_the_output_is_cut() {
        let output = Output::new("one\ntwo\nthree\nfour\n");
        let early = output.read(From::Oldest, 9);
        assert_eq!(early.text, "one\ntwo\n");
        let late = output.behind(&early, 6);
        assert_eq!(late.text, "three\n");
        // The last 9 of 19 bytes are kept, so from within `three` on.
        outputs::bound(&output.path, 18);
        assert_eq!(fs::metadata(&output.path).unwrap().len(), 0);
        output.add(b"five\n");
        let rest = output.behind(&late, 100);
        assert_eq!((&*rest.text, rest.gap), ("four\nfive\n", false));
        let rest = output.behind(&early, 100);
        assert_eq!((&*rest.text, rest.gap), ("four\nfive\n", true));
        assert_eq!(output.read(From::Oldest, 100).text, "four\nfive\n");
        assert_eq!(output.read(From::Newest, 7).text, "five\n");
    }

    #[test]
    fn what_was_lost_is_told() {
        let output = Output::new("one\ntwo\nthree\nfour\n");
        let first = output.read(From::Oldest, 4);
        for _ in 0..2 {
            outputs::bound(&output.path, 10);
            output.add(b"again and again\n");
        }
        let mut rest = output.behind(&first, 100);
        assert!(rest.gap, "{rest:?}");
        let mut text = rest.text.clone();
        while rest.more {
            rest = output.behind(&rest, 100);
            text += &rest.text;
        }
        assert!(text.ends_with("again and again\n"), "{text}");
        assert!(!output.behind(&rest, 100).gap);
    }

    #[test]
    fn a_place_of_another_file_is_none_of_this_one() {
        let (one, other) = (Output::new("a\nb\n"), Output::new("longer\nthan that\n"));
        let place = one.read(From::Oldest, 100).next;
        let read = other.read(From::Behind(place), 100);
        assert_eq!((&*read.text, read.gap), ("longer\nthan that\n", false));
        for bad in ["", ".", "x", "x.y", "....", "\u{0}.5"] {
            assert_eq!(other.read(From::Behind(bad.into()), 100).text, "longer\nthan that\n");
        }
    }

    #[test]
    fn a_count_that_makes_no_sense_is_none() {
        let output = Output::new("a\n");
        for bad in ["", "a", "a 1", "a 1 2", "a -1 0", "a 1 x", &"a".repeat(1000)] {
            fs::write(beside(&output.path), bad).unwrap();
            assert_eq!(Count::read(&output.path), Count::default(), "{bad}");
            assert_eq!(output.read(From::Oldest, 100).text, "a\n");
        }
    }
}
