//! Release ids: `[project/]name-v1.0`, `[project/]name-latest`, `[project/]name:tag`.
//!
//! Behind a colon there may be a version as well (`name:v1.0`, `name:1.0`,
//! `name:v1.@`, `name:latest`): Escape's last command line reads it so.

use std::fmt;

use super::version::{VersionQuery, is_version_or_unresolved};
use crate::error::{Error, Result};

/// A release id, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseId {
    /// The namespace; `_` where none is said.
    pub project: String,
    /// The unit. Not checked: an id may name what cannot exist.
    pub name: String,
    /// Which of its releases.
    pub which: Which,
}

/// Which release of a unit is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The greatest version.
    Latest,
    /// A version, or the greatest that starts so: `1.0`, `1.@`.
    Version(String),
    /// The one with that tag.
    Tag(String),
}

impl ReleaseId {
    /// Reads an id with or without a project.
    pub fn parse(text: &str) -> Result<Self> {
        let (project, rest) = text.split_once('/').unwrap_or(("_", text));
        let (name, which) = unqualified(rest)?;
        Ok(ReleaseId { project: project.to_owned(), name: name.to_owned(), which })
    }

    /// True where the id does not name one release by itself.
    pub fn needs_resolving(&self) -> bool {
        match &self.which {
            Which::Version(version) => version.ends_with(".@"),
            Which::Latest | Which::Tag(_) => true,
        }
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.name)?;
        match &self.which {
            Which::Latest => f.write_str("-latest"),
            Which::Version(version) => write!(f, "-v{version}"),
            Which::Tag(tag) => write!(f, ":{tag}"),
        }
    }
}

/// Says that a release id's version is none, in the original's words.
pub fn bad_version(id: &str, version: &str) -> Error {
    Error::invalid(
        "release_id",
        format!("Invalid version string in release ID '{id}': '{version}' is not a valid version."),
    )
}

fn bad_tag(id: &str, tag: &str) -> Error {
    Error::invalid("release_id", format!("Invalid tag '{tag}' in release string '{id}'"))
}

fn bad_format(id: &str) -> Error {
    let id = if id.is_empty() { "''" } else { id };
    Error::invalid("release_id", format!("Invalid release format: {id}."))
}

impl From<VersionQuery> for Which {
    fn from(query: VersionQuery) -> Self {
        match query {
            VersionQuery::Latest => Which::Latest,
            VersionQuery::Exact(version) => Which::Version(version.to_string()),
            VersionQuery::Prefix(start) => Which::Version(format!("{start}@")),
            VersionQuery::Tag(tag) => Which::Tag(tag),
        }
    }
}

fn unqualified(id: &str) -> Result<(&str, Which)> {
    if let Some((name, text)) = id.split_once(':') {
        return match text {
            "" => Err(bad_tag(id, text)),
            _ if text.contains(':') => Err(bad_format(id)),
            _ => Ok((name, Which::from(VersionQuery::parse(text)))),
        };
    }
    let (name, text) = id.rsplit_once('-').ok_or_else(|| bad_format(id))?;
    let marked = text == "latest" || text == "@" || text.starts_with('v');
    let which = version(text).filter(|_| marked).ok_or_else(|| bad_version(id, text))?;
    Ok((name, which))
}

fn version(text: &str) -> Option<Which> {
    if matches!(text, "latest" | "@" | "v@") {
        return Some(Which::Latest);
    }
    let bare = text.strip_prefix('v').unwrap_or(text);
    if matches!(bare, "latest" | "@") {
        return None;
    }
    is_version_or_unresolved(bare).then(|| Which::Version(bare.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::ReleaseId;

    #[test]
    fn ids_are_read_as_documented() {
        let cases = [
            ("name-v1.0", "_/name-v1.0"),
            ("p/name-v1.0", "p/name-v1.0"),
            ("p/name-with-dashes-v01", "p/name-with-dashes-v01"),
            ("name-latest", "_/name-latest"),
            ("name-@", "_/name-latest"),
            ("name-v@", "_/name-latest"),
            ("name-v1.@", "_/name-v1.@"),
            ("project/a/name-v1", "project/a/name-v1"),
            ("p/name:production", "p/name:production"),
            ("p/name:v1.0", "p/name-v1.0"),
            ("p/name:1.0", "p/name-v1.0"),
            ("p/name:v1.@", "p/name-v1.@"),
            ("p/name:latest", "p/name-latest"),
            ("p/name:@", "p/name-latest"),
            ("p/name:v@", "p/name-latest"),
            ("p/name:1.@", "p/name-v1.@"),
            ("p/name:vX", "p/name:vX"),
            ("p/name:vlatest", "p/name:vlatest"),
            ("p/name:1@", "p/name:1@"),
            ("p/name:with blanks-and-v1", "p/name:with blanks-and-v1"),
            ("p/a-v1:live", "p/a-v1:live"),
        ];
        for (text, expected) in cases {
            assert_eq!(ReleaseId::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused_in_the_originals_words() {
        let no_version = |id: &str, version: &str| super::bad_version(id, version).to_string();
        let cases = [
            ("name", "Invalid release format: name.".to_owned()),
            ("p/name", "Invalid release format: name.".to_owned()),
            ("a:b:c", "Invalid release format: a:b:c.".to_owned()),
            ("p/a:b:c", "Invalid release format: a:b:c.".to_owned()),
            ("a::", "Invalid release format: a::.".to_owned()),
            ("", "Invalid release format: ''.".to_owned()),
            ("p/", "Invalid release format: ''.".to_owned()),
            ("name:a/b", "Invalid release format: b.".to_owned()),
            ("name:", "Invalid tag '' in release string 'name:'".to_owned()),
            ("name-", no_version("name-", "")),
            ("name-vlatest", no_version("name-vlatest", "vlatest")),
            ("name-LATEST", no_version("name-LATEST", "LATEST")),
            ("name-v1.", no_version("name-v1.", "v1.")),
            ("name-v1-rc", no_version("name-v1-rc", "rc")),
            ("name-v.@", no_version("name-v.@", "v.@")),
            ("type-name", no_version("type-name", "name")),
            ("p/name-1.0", no_version("name-1.0", "1.0")),
            ("name-vX", no_version("name-vX", "vX")),
            ("name-v", no_version("name-v", "v")),
        ];
        for (text, expected) in cases {
            assert_eq!(ReleaseId::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
