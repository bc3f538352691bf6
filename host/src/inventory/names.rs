//! The names of namespaces and units.
//!
//! A name that was parsed holds no NUL, slash or blank, so it may become a part of
//! a store key or of a file name as it is.

use std::fmt;

use crate::error::{Error, Result};

/// The longest name, in bytes. The original has no limit of its own; its
/// databases stop at 32 and 128.
const NAME_BYTES_MAX: usize = 255;

/// Words of Escape's script language, which no unit or namespace may take.
const PROTECTED: [&str; 6] = ["this", "string", "integer", "list", "dict", "func"];

/// A unit's name: `web`, `web-2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitName(String);

/// A namespace's name: as a unit's, or `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceName(String);

impl UnitName {
    /// Checks a unit's name.
    pub fn parse(text: &str) -> Result<Self> {
        check("name", text)?;
        Ok(UnitName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NamespaceName {
    /// Checks a namespace's name.
    pub fn parse(text: &str) -> Result<Self> {
        if text != "_" {
            check("namespace", text)?;
        }
        Ok(NamespaceName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(field: &str, text: &str) -> Result<()> {
    if !is_name(text) {
        return Err(Error::invalid(field, format!("Invalid name '{text}'")));
    }
    if PROTECTED.contains(&text) {
        return Err(Error::invalid(field, format!("The name '{text}' is a protected variable.")));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (2..=NAME_BYTES_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[1..].iter().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::{NamespaceName, UnitName};

    #[test]
    fn names_are_two_or_more_of_few_characters() {
        for name in ["ab", "web-2", "a_", "a-", "search", "units", "bool", &"a".repeat(255)] {
            assert!(UnitName::parse(name).is_ok(), "{name}");
            assert!(NamespaceName::parse(name).is_ok(), "{name}");
        }
        let hostile =
            ["", "a", "A", "Web", "9a", "-a", "a.b", "a/b", "..", "a b", "a\0b", "ä-b", "a\n"];
        for name in hostile.into_iter().chain([&*"a".repeat(256)]) {
            let error = UnitName::parse(name).unwrap_err();
            assert_eq!(error.to_string(), format!("Invalid name '{name}'"));
            assert!(NamespaceName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_a_namespace_may_be_an_underscore() {
        assert!(NamespaceName::parse("_").is_ok());
        assert!(UnitName::parse("_").is_err());
    }

    #[test]
    fn words_of_the_script_language_are_protected() {
        for name in super::PROTECTED {
            let expected = format!("The name '{name}' is a protected variable.");
            assert_eq!(UnitName::parse(name).unwrap_err().to_string(), expected);
            assert_eq!(NamespaceName::parse(name).unwrap_err().to_string(), expected);
        }
    }
}
