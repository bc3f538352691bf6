//! What a caller knows of a thing, and whether that is still so.
//!
//! An entity tag is made of what is kept beside a thing: the digest of what never
//! changes, and a count of the changes of what does. It costs no look at the thing
//! itself, and changes whenever the bytes of the answer do.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    store::{unit_releases::UnitReleaseRecord, units::UnitRecord},
};

/// The strong entity tag of a thing as it is now, in its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// Of what is told from others by these parts. They hold no quotes.
    pub fn of(parts: &[&dyn std::fmt::Display]) -> Self {
        let mut text = String::with_capacity(64);
        for (at, part) in parts.iter().enumerate() {
            let sign = if at == 0 { '"' } else { '-' };
            write!(text, "{sign}{part}").expect("a string takes all that is written");
        }
        text.push('"');
        ETag(text)
    }

    /// Of a release's metadata.
    pub fn of_release(release: &UnitReleaseRecord) -> Self {
        ETag::of(&[&release.digest, &release.changes])
    }

    /// Of a unit, and of the list of its versions.
    pub fn of_unit(unit: &UnitRecord) -> Self {
        ETag::of(&[&unit.birth, &unit.changes])
    }

    /// Of a unit's tags.
    pub fn of_tags(unit: &UnitRecord) -> Self {
        ETag::of(&[&unit.birth, &"tags", &unit.tag_changes])
    }

    /// Of an answer that is whole in memory anyway.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        ETag::of(&[&digest(bytes)])
    }

    /// As it stands in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a caller expects of the thing that is to be changed (`If-Match`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    #[default]
    Anything,
    /// That it exists.
    Existing,
    /// That its entity tag is one of these.
    OneOf(Vec<String>),
}

impl Expected {
    /// Compares with the thing as it is. Call it in the closure of the write, so that
    /// nobody comes in between.
    pub fn check(&self, current: &ETag) -> Result<()> {
        match self {
            Expected::OneOf(tags) if !tags.iter().any(|it| it == current.as_str()) => {
                let current = current.as_str();
                Err(Error::Outdated(format!(
                    "it has been changed: its `ETag` is {current}, which `If-Match` does not name"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// What bytes are told from others by: 128 bits, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_expected_passes() {
        let current = ETag::of(&[&"ab", &3]);
        assert_eq!(current.as_str(), "\"ab-3\"");
        Expected::Anything.check(&current).unwrap();
        Expected::Existing.check(&current).unwrap();
        let named = |it: &str| Expected::OneOf(vec!["\"x\"".into(), it.into()]);
        named("\"ab-3\"").check(&current).unwrap();
        for other in ["\"ab-4\"", "W/\"ab-3\"", "ab-3", ""] {
            let refused = named(other).check(&current).unwrap_err();
            assert!(matches!(refused, Error::Outdated(_)), "{other}");
            assert!(refused.to_string().contains("\"ab-3\""));
        }
        assert!(Expected::OneOf(Vec::new()).check(&current).is_err());
    }

    #[test]
    fn different_bytes_have_different_digests() {
        assert_eq!(digest(b"a").len(), 32);
        assert_ne!(ETag::of_bytes(b"a"), ETag::of_bytes(b"b"));
    }
}
