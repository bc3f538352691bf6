//! What plugins are called.

use semver::Version;

use crate::{
    authz::Target,
    error::{Error, Result},
};

const NAME_BYTES_MAX: usize = 64;
const VERSION_BYTES_MAX: usize = 64;

/// The name of a plugin or a binding: it can stand in a path, a key and a header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginName(String);

/// The version of a plugin: a semantic one, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginVersion(String);

impl PluginName {
    /// Reads a name. `field` is what the caller calls it.
    pub fn parse(field: &str, text: &str) -> Result<PluginName> {
        let inside =
            |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_.".contains(&it);
        let first = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
        let proper = text.len() <= NAME_BYTES_MAX
            && text.bytes().next().is_some_and(first)
            && text.bytes().all(inside);
        match proper {
            true => Ok(PluginName(text.to_owned())),
            false => Err(Error::invalid(
                field,
                format!(
                    "a name has small letters, digits, `-`, `_` and `.`, begins with a letter or \
                     a digit, and is at most {NAME_BYTES_MAX} long"
                ),
            )),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PluginVersion {
    /// Reads a version.
    pub fn parse(field: &str, text: &str) -> Result<PluginVersion> {
        match text.len() <= VERSION_BYTES_MAX && Version::parse(text).is_ok() {
            true => Ok(PluginVersion(text.to_owned())),
            false => {
                let message = format!(
                    "a plugin's version is a semantic one like `1.2.0`, at most \
                     {VERSION_BYTES_MAX} long"
                );
                Err(Error::invalid(field, message))
            }
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a question about a plugin is about; about all without a name.
pub fn plugin_target(name: &str, version: Option<&str>) -> Target {
    Target {
        kind: "plugin".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
        labels: Vec::new(),
    }
}

/// For sorting: the greatest last. What is no version comes first.
pub(super) fn by_version(version: &str) -> Option<Version> {
    Version::parse(version).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_anywhere() {
        for good in ["a", "hook-webhook", "0.x_y", &"a".repeat(64)] {
            assert_eq!(PluginName::parse("name", good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".", "A", "a b", "a/b", "a\0", "ü", "a@1", &"a".repeat(65)] {
            assert!(PluginName::parse("name", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_is_a_semantic_one() {
        for good in ["1.0.0", "0.1.0-rc.1+build"] {
            assert_eq!(PluginVersion::parse("version", good).unwrap().as_str(), good);
        }
        for bad in ["", "1", "1.0", "v1.0.0", "1.0.0/x", "1.0.0 "] {
            assert!(PluginVersion::parse("version", bad).is_err(), "{bad}");
        }
        assert!(by_version("10.0.0") > by_version("9.0.0"));
    }
}
