//! Versions: numbers of any size with dots between, their order, and the keys
//! that keep this order in the store.
//!
//! `1`, `01` and `1.0` are three different versions. `1` and `01` are equal in
//! order, where the one registered later counts as greater; `1.0` is greater than
//! both, since a version that goes on is greater than where it starts.

use std::{cmp::Ordering, fmt};

/// The longest version, in bytes.
const VERSION_BYTES_MAX: usize = 255;

/// A release's version: complete, without wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

/// What a path says in a version's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionQuery {
    /// `latest`, `@`, `v@`: the greatest.
    Latest,
    /// `v1.2`, `1.2`: exactly that text.
    Exact(Version),
    /// `v1.@`: the greatest of those whose text starts with `1.`.
    Prefix(String),
    /// Anything else.
    Tag(String),
}

impl Version {
    /// Checks a version. `None` where it is none, or one that needs resolving.
    pub fn parse(text: &str) -> Option<Self> {
        let parts_are_numbers =
            || text.split('.').all(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()));
        (text.len() <= VERSION_BYTES_MAX && parts_are_numbers()).then(|| Version(text.to_owned()))
    }

    /// The version as it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares by number, part for part. Equal does not mean the same text.
    pub fn order(&self, other: &Version) -> Ordering {
        order_key(&self.0).cmp(&order_key(&other.0))
    }

    /// The starts of this version's text that end with a dot, the empty one
    /// first, each with what remains.
    pub fn prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        let dots = self.0.match_indices('.').map(|(at, _)| at + 1);
        std::iter::once(0).chain(dots).map(|at| self.0.split_at(at))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VersionQuery {
    /// Reads a path's segment.
    pub fn parse(text: &str) -> Self {
        if matches!(text, "latest" | "@" | "v@") {
            return VersionQuery::Latest;
        }
        let bare = text.strip_prefix('v').unwrap_or(text);
        if let Some(version) = Version::parse(bare) {
            return VersionQuery::Exact(version);
        }
        match bare.strip_suffix(".@").and_then(Version::parse) {
            Some(start) => VersionQuery::Prefix(format!("{start}.")),
            None => VersionQuery::Tag(text.to_owned()),
        }
    }
}

/// True for what the rule for versions allows, unresolved ones among them.
pub fn is_version_or_unresolved(text: &str) -> bool {
    is_unresolved(text) || Version::parse(text).is_some()
}

/// True for `latest`, `@` and `1.@`.
pub fn is_unresolved(text: &str) -> bool {
    matches!(text, "latest" | "@")
        || text.strip_suffix(".@").is_some_and(|it| Version::parse(it).is_some())
}

/// A key whose bytes sort as the versions do: each part without its leading
/// zeros, its length before it. No part is empty, so zero can end a key.
pub fn order_key(version: &str) -> Vec<u8> {
    keyed(version, significant)
}

/// A key whose bytes sort by each part's length, then its text: all versions
/// that start alike are together, and one key means one text.
pub fn text_key(version: &str) -> Vec<u8> {
    keyed(version, |part| part)
}

/// The version that a [`text_key`] was made of, if it was made of one.
pub fn text_of(key: &[u8]) -> Option<String> {
    let (mut parts, mut rest) = (Vec::new(), key);
    while let Some((length, behind)) = rest.split_first() {
        let (part, behind) = behind.split_at_checked(usize::from(*length))?;
        parts.push(std::str::from_utf8(part).ok()?);
        rest = behind;
    }
    Some(parts.join("."))
}

/// A number without its leading zeros.
pub fn significant(digits: &str) -> &str {
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() { &digits[digits.len().saturating_sub(1)..] } else { trimmed }
}

fn keyed(version: &str, form: fn(&str) -> &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(version.len() + 8);
    for part in version.split('.').map(form) {
        // A version is at most 255 bytes, so a part's length fits a byte.
        key.push(part.len() as u8);
        key.extend_from_slice(part.as_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::{
        Version, VersionQuery, is_unresolved, is_version_or_unresolved, order_key, text_key,
        text_of,
    };

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is a version"))
    }

    #[test]
    fn versions_are_numbers_with_dots() {
        for text in ["0", "1", "01.002", "1.0.0.0.0", &"9".repeat(255)] {
            assert!(Version::parse(text).is_some(), "{text}");
            assert!(is_version_or_unresolved(text), "{text}");
        }
        let no_versions = [
            "", ".", "1.", ".1", "1..2", "v1", "1-rc", "1.a", "1 ", "-1", "+1", "١", "1\0",
            "latest", "@", "1.@",
        ];
        for text in no_versions.into_iter().chain([&*"9".repeat(256)]) {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn unresolved_versions_pass_the_rule() {
        for text in ["latest", "@", "1.@", "0.0.@"] {
            assert!(is_unresolved(text) && is_version_or_unresolved(text), "{text}");
        }
        for text in [".@", "1@", "v1.@", "LATEST", "1..@", "@.1", "@.@"] {
            assert!(!is_version_or_unresolved(text), "{text}");
        }
    }

    #[test]
    fn a_longer_version_with_the_same_start_is_greater() {
        let ordered = ["0", "0.0.3", "0.1", "1", "1.0", "1.0.0", "1.2", "1.9", "1.10", "2", "10"];
        for (at, lesser) in ordered.iter().enumerate() {
            for greater in &ordered[at + 1..] {
                assert_eq!(
                    version(lesser).order(&version(greater)),
                    Ordering::Less,
                    "{lesser} {greater}"
                );
            }
        }
    }

    #[test]
    fn leading_zeros_do_not_count_in_the_order() {
        for (one, other) in [("1", "01"), ("1.0", "1.000"), ("0", "00"), ("01.002", "1.2")] {
            assert_eq!(version(one).order(&version(other)), Ordering::Equal, "{one} {other}");
            assert_ne!(text_key(one), text_key(other));
        }
    }

    #[test]
    fn a_text_key_gives_its_version_back() {
        for text in ["0", "1", "01.002", "1.0.0.0.0", &"9".repeat(255), "0.1.23.456"] {
            assert_eq!(text_of(&text_key(text)).as_deref(), Some(text));
        }
        assert_eq!(text_of(&[5, b'1']), None);
        assert_eq!(text_of(&[1, 0xff]), None);
    }

    #[test]
    fn numbers_have_any_size() {
        let beyond_64_bits = version("18446744073709551617");
        assert_eq!(version("18446744073709551616").order(&beyond_64_bits), Ordering::Less);
        assert_eq!(version("9").order(&beyond_64_bits), Ordering::Less);
    }

    #[test]
    fn queries_are_read_as_documented() {
        let exact = |it| VersionQuery::Exact(version(it));
        let tag = |it: &str| VersionQuery::Tag(it.to_owned());
        let prefix = |it: &str| VersionQuery::Prefix(it.to_owned());
        for text in ["latest", "@", "v@"] {
            assert_eq!(VersionQuery::parse(text), VersionQuery::Latest);
        }
        assert_eq!(VersionQuery::parse("v1.2.3"), exact("1.2.3"));
        assert_eq!(VersionQuery::parse("1.2.3"), exact("1.2.3"));
        assert_eq!(VersionQuery::parse("v01"), exact("01"));
        assert_eq!(VersionQuery::parse("v1.@"), prefix("1."));
        assert_eq!(VersionQuery::parse("1.2.@"), prefix("1.2."));
        for text in ["production", "v1.x", "1@", "vX", "LATEST", "vlatest", "vv1", "", "v", ".@"] {
            assert_eq!(VersionQuery::parse(text), tag(text));
        }
    }

    #[test]
    fn each_start_up_to_a_dot_is_a_prefix() {
        let starts: Vec<_> =
            version("1.02.3").prefixes().map(|(a, b)| format!("{a}|{b}")).collect();
        assert_eq!(starts, ["|1.02.3", "1.|02.3", "1.02.|3"]);
    }

    // Compares as the documents say, part by part, without the keys.
    fn by_the_rule(a: &str, b: &str) -> Ordering {
        let (mut a, mut b) = (a.split('.'), b.split('.'));
        loop {
            let (left, right) = match (a.next(), b.next()) {
                (None, None) => return Ordering::Equal,
                (None, _) => return Ordering::Less,
                (_, None) => return Ordering::Greater,
                (Some(left), Some(right)) => (left.parse::<u128>(), right.parse::<u128>()),
            };
            match left.unwrap().cmp(&right.unwrap()) {
                Ordering::Equal => continue,
                decided => return decided,
            }
        }
    }

    proptest! {
        #[test]
        fn keys_sort_as_the_rule_says(
            a in "[0-9]{1,3}(\\.[0-9]{1,20}){0,3}",
            b in "[0-9]{1,3}(\\.[0-9]{1,20}){0,3}",
        ) {
            prop_assert_eq!(order_key(&a).cmp(&order_key(&b)), by_the_rule(&a, &b));
            // A start that is shared changes nothing.
            let (c, d) = (format!("7.{a}"), format!("7.{b}"));
            prop_assert_eq!(order_key(&c).cmp(&order_key(&d)), by_the_rule(&a, &b));
        }

        #[test]
        fn one_text_key_means_one_version(a in "[01]{1,3}(\\.[01]{1,2}){0,3}", b in "[01]{1,3}(\\.[01]{1,2}){0,3}") {
            prop_assert_eq!(text_key(&a) == text_key(&b), a == b);
        }
    }
}
