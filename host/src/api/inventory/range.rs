//! Which bytes of a package a request wants, and whether it wants any.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};

use super::conditions::has_already;

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The client has these bytes already.
    NotModified,
    /// All of them.
    Whole,
    /// Some of them.
    Part(Range<u64>),
    /// None that there are.
    Unsatisfiable,
}

/// Reads the conditions and the range of a request for `size` bytes of that tag.
pub(super) fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    if has_already(headers, etag) {
        return Wanted::NotModified;
    }
    let Some(range) = text(headers, header::RANGE) else { return Wanted::Whole };
    // A part of something else is of no use: then all of it.
    if text(headers, header::IF_RANGE).is_some_and(|it| it.trim() != etag) {
        return Wanted::Whole;
    }
    // More than one range at once is answered with the whole, as RFC 9110 allows.
    match range.strip_prefix("bytes=").and_then(|it| single(it.trim(), size)) {
        None => Wanted::Whole,
        Some(part) if part.is_empty() => Wanted::Unsatisfiable,
        Some(part) => Wanted::Part(part),
    }
}

// `None` for what is no range; an empty one for what lies outside.
fn single(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        let length = number(last)?;
        return Some(size.saturating_sub(length)..size);
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    (first <= last).then(|| first.min(size)..last.saturating_add(1).min(size))
}

// Numbers that are too large for the type are beyond any size.
fn number(digits: &str) -> Option<u64> {
    let proper = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    proper.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"abc\"";

    fn asked(headers: &[(HeaderName, &str)]) -> Wanted {
        let pairs = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        wanted(&HeaderMap::from_iter(pairs), ETAG, 100)
    }

    #[test]
    fn a_single_range_is_read() {
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-99", 0..100),
            ("bytes=10-19", 10..20),
            ("bytes=10-", 10..100),
            ("bytes=90-1000", 90..100),
            ("bytes=-10", 90..100),
            ("bytes=-1000", 0..100),
            ("bytes=99-99999999999999999999999", 99..100),
        ] {
            assert_eq!(asked(&[(header::RANGE, range)]), Wanted::Part(expected), "{range}");
        }
    }

    #[test]
    fn what_lies_outside_is_unsatisfiable() {
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(asked(&[(header::RANGE, range)]), Wanted::Unsatisfiable, "{range}");
        }
        let headers = HeaderMap::from_iter([(header::RANGE, "bytes=0-".parse().unwrap())]);
        assert_eq!(wanted(&headers, ETAG, 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_range_is_passed_over() {
        for range in [
            "bytes=",
            "bytes=-",
            "bytes=5-1",
            "bytes=a-b",
            "bytes=0-1,5-6",
            "lines=1-2",
            "0-1",
            "bytes=1",
        ] {
            assert_eq!(asked(&[(header::RANGE, range)]), Wanted::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_of_something_else_is_the_whole() {
        let range = (header::RANGE, "bytes=0-9");
        assert_eq!(asked(&[range.clone(), (header::IF_RANGE, ETAG)]), Wanted::Part(0..10));
        for other in ["\"def\"", "W/\"abc\"", "Sun, 22 Nov 2026 00:00:00 GMT"] {
            assert_eq!(
                asked(&[range.clone(), (header::IF_RANGE, other)]),
                Wanted::Whole,
                "{other}"
            );
        }
    }

    #[test]
    fn a_client_that_has_the_bytes_is_told_so() {
        for tags in [ETAG, "*", "\"x\", \"abc\"", "W/\"abc\""] {
            let both = [(header::IF_NONE_MATCH, tags), (header::RANGE, "bytes=0-1")];
            assert_eq!(asked(&both), Wanted::NotModified, "{tags}");
        }
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "\"x\"")]), Wanted::Whole);
    }
}
