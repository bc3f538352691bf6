//! Archives that try something, and some that do not.

use std::io::Write;

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;

const LIMIT: u64 = 64 << 20;

fn all(_: &str, size_bytes: u64) -> Option<u64> {
    Some(size_bytes)
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(files, SimpleFileOptions::default())
}

fn zip_with(files: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// A zip with one name put in the place of another of the same length, wherever
/// it is written: for names that no writer would write.
fn renamed(files: &[(&str, &[u8])], from: &str, to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = zip(files);
    let places: Vec<_> =
        bytes.windows(from.len()).enumerate().filter(|(_, it)| *it == from.as_bytes()).collect();
    let places: Vec<usize> = places.into_iter().map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[track_caller]
fn refusal(zip: &[u8]) -> String {
    match read(zip, LIMIT, all) {
        Ok(archive) => panic!("taken: {:?}", archive.paths),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check_name(name: &[u8], expected: &str) {
    let from = "x".repeat(name.len());
    let message = refusal(&renamed(&[(&from, b"y")], &from, name));
    assert!(message.contains(expected), "{message}");
}

#[test]
fn only_what_is_wanted_is_unpacked() {
    let zip = zip(&[("a/", b""), ("a/b.yml", b"text"), ("a/c.jar", b"\0\0")]);

    let archive = read(&zip, LIMIT, |path, size| path.ends_with(".yml").then_some(size)).unwrap();

    assert_eq!(archive.files, BTreeMap::from([("a/b.yml".to_owned(), b"text".to_vec())]));
    assert_eq!(archive.paths, ["a/", "a/b.yml", "a/c.jar"]);
}

#[test]
fn what_is_no_zip_is_refused() {
    let good = zip(&[("a", b"text")]);
    for bytes in [&b""[..], b"PK", b"no zip at all", &good[..good.len() / 2], &good[1..9]] {
        assert!(refusal(bytes).starts_with("The package file is not a zip"));
    }
}

#[test]
fn a_name_that_leaves_the_archive_is_refused() {
    for name in
        ["../a", "a/../b", "a/..", "/etc/passwd", "//a", "a//b", "./a", "C:\\win", "C:/win", "a\\b"]
    {
        check_name(name.as_bytes(), "Entry is outside of the target dir: ");
    }
}

#[test]
fn a_name_that_is_no_name_is_refused() {
    check_name(b"a\0b", "control characters");
    check_name(b"a\nb", "control characters");
    check_name(b"a\xffb", "not UTF-8");
    check_name("n".repeat(256).as_bytes(), "too long");
    check_name("long/".repeat(220).as_bytes(), "too long");
}

#[test]
fn equal_names_are_refused() {
    let files: &[(&str, &[u8])] = &[("a/one", b"1"), ("a/two", b"2")];
    assert!(refusal(&renamed(files, "a/two", b"a/one")).contains("two entries are named"));
    assert!(refusal(&zip(&[("a/b", b"1"), ("A/B", b"2")])).contains("differ in case"));
    assert!(refusal(&zip(&[("a", b"1"), ("a/", b"")])).contains("two entries are named"));
}

#[test]
fn links_and_devices_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("a", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let zip = writer.finish().unwrap().into_inner();
    assert!(refusal(&zip).contains("files and folders only"));
}

#[test]
fn an_encrypted_entry_is_refused() {
    let mut bytes = zip(&[("a", b"text")]);
    let central = bytes.windows(4).rposition(|it| it == b"PK\x01\x02").unwrap();
    bytes[central + 8] |= 1;
    bytes[6] |= 1;
    assert!(refusal(&bytes).contains("is encrypted"));
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let zeros = vec![0; 8 << 20];
    assert!(refusal(&zip(&[("a", &zeros)])).contains("more than 100 times"));
}

#[test]
fn a_small_file_may_be_packed_as_tightly_as_it_can() {
    let zeros = vec![0; RATIO_FROM_BYTES as usize];
    let archive = read(&zip(&[("a", &zeros)]), LIMIT, all).unwrap();
    assert_eq!(archive.files["a"].len(), zeros.len());
}

#[test]
fn what_unpacks_to_more_than_the_limit_is_too_large() {
    let zip = zip(&[("a", &[0; 600]), ("b", &[0; 600])]);
    assert!(matches!(read(&zip, 1000, all), Err(Error::TooLarge { limit_bytes: 1000, .. })));
    assert!(read(&zip, 1200, all).is_ok());
}

#[test]
fn what_is_wanted_is_bounded_by_itself() {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let half = vec![7; (WANTED_BYTES_MAX / 2) as usize + 1];
    let zip = zip_with(&[("a", &half), ("b", &half)], stored);
    assert!(matches!(read(&zip, LIMIT, all), Err(Error::TooLarge { .. })));
    assert!(read(&zip, LIMIT, |path, size| (path == "a").then_some(size)).is_ok());
}

#[test]
fn a_false_size_is_found_out() {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for options in [stored, SimpleFileOptions::default()] {
        let mut bytes = zip_with(&[("a", b"twelve bytes")], options);
        let central = bytes.windows(4).rposition(|it| it == b"PK\x01\x02").unwrap();
        bytes[central + 24] = 4;
        bytes[22] = 4;
        assert!(refusal(&bytes).contains("`a` is damaged"));
    }
}

#[test]
fn changed_bytes_are_found_out() {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut bytes = zip_with(&[("a", b"text")], stored);
    let at = bytes.windows(4).position(|it| it == b"text").unwrap();
    bytes[at] = b'T';
    assert!(refusal(&bytes).contains("`a` is damaged"));
}

#[test]
fn entries_that_share_their_bytes_are_refused() {
    let mut bytes = zip(&[("a", b"text"), ("b", b"text")]);
    let second = bytes.windows(4).rposition(|it| it == b"PK\x01\x02").unwrap();
    bytes[second + 42..second + 46].fill(0);
    assert!(refusal(&bytes).contains("overlap"));
}

#[test]
fn too_many_entries_are_refused() {
    let names: Vec<String> = (0..=ENTRIES_MAX).map(|it| it.to_string()).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|it| (it.as_str(), &b""[..])).collect();
    assert!(refusal(&zip(&files)).contains("10001 entries"));
    assert!(read(&zip(&files[1..]), LIMIT, all).is_ok());
}
