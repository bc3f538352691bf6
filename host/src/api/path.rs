//! Paths as the Inventory's clients know them: matched decoded, and clean.
//!
//! The original decodes a path before it looks for a route, so `a%2Fb` is two
//! segments and `%40` is `@`, and it sends a client with an unclean path to the
//! clean one. axum matches the raw path, so [`read`] brings every path of that
//! family into one spelling first.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

/// What stays encoded inside a path. To a browser a backslash is a slash, and
/// `/\evil.example` another host.
const ENCODED: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`');

/// What a path turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spelling<'a> {
    /// To be matched as it is, or in its one spelling.
    Clean(Cow<'a, str>),
    /// The client should ask for this one.
    Unclean(String),
    /// Not a path: a `%` without two digits, or not from the root.
    Invalid,
}

/// Reads the path of a request.
pub(super) fn read(path: &str) -> Spelling<'_> {
    if !path.starts_with('/') || !encodes_properly(path) {
        return Spelling::Invalid;
    }
    let decoded: Cow<'_, [u8]> = percent_decode_str(path).into();
    if let Some(clean) = cleaned(&decoded) {
        return Spelling::Unclean(encoded(&clean));
    }
    match decoded {
        Cow::Borrowed(_) => Spelling::Clean(Cow::Borrowed(path)),
        // What is no UTF-8 is no name of anything, and is looked for like other such.
        Cow::Owned(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Spelling::Clean(Cow::Owned(encoded(text.as_bytes())))
        }
    }
}

/// Whether each `%` has its two digits.
pub(super) fn encodes_properly(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|it| it.len() >= 2 && it.as_bytes()[..2].iter().all(|digit| digit.is_ascii_hexdigit()))
}

fn encoded(path: &[u8]) -> String {
    percent_encode(path, &ENCODED).to_string()
}

/// The path without empty, `.` and `..` segments, if it has any. Its final slash
/// stays.
fn cleaned(path: &[u8]) -> Option<Vec<u8>> {
    let inner = &path[1..];
    let (inner, slash) = match inner.strip_suffix(b"/") {
        Some(it) => (it, true),
        None => (inner, false),
    };
    let odd = |it: &[u8]| it.is_empty() || it == b"." || it == b"..";
    let whole = inner.is_empty() && !slash;
    if whole || !inner.split(|it| *it == b'/').any(odd) {
        return None;
    }

    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in inner.split(|it| *it == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            it => kept.push(it),
        }
    }
    let mut clean = vec![b'/'];
    clean.extend(kept.join(&b'/'));
    if !kept.is_empty() && slash {
        clean.push(b'/');
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(path: &str, expected: &str) {
        assert_eq!(read(path), Spelling::Clean(Cow::Borrowed(expected)), "{path}");
    }

    fn unclean(path: &str, expected: &str) {
        assert_eq!(read(path), Spelling::Unclean(expected.to_owned()), "{path}");
    }

    #[test]
    fn a_clean_path_stays_as_it_is() {
        for path in ["/", "/a", "/a/", "/a/b", "/v0.0.@/", "/a:b/", "/..a/b..", "/..."] {
            clean(path, path);
        }
    }

    #[test]
    fn encoded_characters_count_as_what_they_are() {
        clean("/v0.0.%40/", "/v0.0.@/");
        clean("/a%2Fb/", "/a/b/");
        clean("/a%20b", "/a%20b");
        clean("/a%25b", "/a%25b");
        clean("/a%3fb%23", "/a%3Fb%23");
        clean("/a%5cb", "/a%5Cb");
        clean("/%00", "/%00");
        clean("/%ff", "/%EF%BF%BD");
    }

    #[test]
    fn an_unclean_path_has_a_clean_one() {
        unclean("//", "/");
        unclean("//a", "/a");
        unclean("/a//b/", "/a/b/");
        unclean("/a/../b", "/b");
        unclean("/a/./b/", "/a/b/");
        unclean("/../../etc", "/etc");
        unclean("/a/%2e%2e/b", "/b");
        unclean("/a%2F%2Fb", "/a/b");
        unclean("/a/..", "/");
        unclean("/a//", "/a/");
        unclean("/%5Cevil.example//", "/%5Cevil.example/");
        unclean("//\\evil.example", "/%5Cevil.example");
    }

    #[test]
    fn what_does_not_decode_is_no_path() {
        for path in ["/%", "/%4", "/%zz", "/a%g0", "*", "", "a/b"] {
            assert_eq!(read(path), Spelling::Invalid, "{path}");
        }
    }
}
