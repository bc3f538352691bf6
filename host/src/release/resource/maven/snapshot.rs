//! Which file a snapshot is: what `maven-metadata.xml` in its folder says.
//!
//! A repository that takes snapshots gives each a name of its own,
//! `web-1.0-20260102.030405-6.jar`, and writes into the folder which is the newest. Of its
//! XML only elements and their text are read; anything that could stand for something else
//! is refused.

use super::{Coordinates, is_plain};
use crate::error::{Error, Result};

/// Elements in each other.
const DEPTH_MAX: usize = 16;

/// What a repository says of the snapshots in a folder.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Metadata {
    /// There are no names of their own.
    is_local_copy: bool,
    timestamp: String,
    build_number: String,
    last_updated: String,
    files: Vec<File>,
}

/// The newest file of a kind.
#[derive(Debug, Default, PartialEq)]
struct File {
    extension: String,
    classifier: String,
    version: String,
    updated: String,
}

/// The newest file for somebody's coordinates.
#[derive(Debug, PartialEq)]
pub(super) struct Newest {
    /// The version in its name; that of the folder where it has none of its own.
    pub(super) version: String,
    /// When it came: digits, the later the greater.
    pub(super) updated: String,
}

impl Metadata {
    /// Reads the text of such a file.
    pub(super) fn read(xml: &str) -> Result<Metadata> {
        let mut metadata = Metadata::default();
        let mut file = File::default();
        let read = elements(xml, |path, text| {
            let Some(of_snapshots) = path.strip_prefix(&["metadata", "versioning"]) else { return };
            match of_snapshots {
                ["lastUpdated"] => metadata.last_updated = text.to_owned(),
                ["snapshot", "timestamp"] => metadata.timestamp = text.to_owned(),
                ["snapshot", "buildNumber"] => metadata.build_number = text.to_owned(),
                ["snapshot", "localCopy"] => metadata.is_local_copy = text == "true",
                ["snapshotVersions", "snapshotVersion", field] => match *field {
                    "extension" => file.extension = text.to_owned(),
                    "classifier" => file.classifier = text.to_owned(),
                    "value" => file.version = text.to_owned(),
                    "updated" => file.updated = text.to_owned(),
                    _ => {}
                },
                ["snapshotVersions", "snapshotVersion"] => {
                    metadata.files.push(std::mem::take(&mut file));
                }
                _ => {}
            }
        });
        match read {
            Some(()) => Ok(metadata),
            None => Err(Error::Conflict("its `maven-metadata.xml` cannot be read".to_owned())),
        }
    }

    /// The newest file for these coordinates; nothing where there is none.
    pub(super) fn newest(&self, wanted: &Coordinates) -> Result<Option<Newest>> {
        let classifier = wanted.classifier.as_deref().unwrap_or_default();
        let mut files = self.files.iter();
        let file = files.find(|it| it.extension == wanted.extension && it.classifier == classifier);
        let base = wanted.version.strip_suffix("SNAPSHOT").unwrap_or_default();
        let updated = |own: &str| {
            let all = if own.is_empty() { &self.last_updated } else { own };
            all.chars().filter(char::is_ascii_digit).collect()
        };
        let newest = match file {
            Some(it) => Newest { version: it.version.clone(), updated: updated(&it.updated) },
            None if self.is_local_copy => {
                Newest { version: wanted.version.clone(), updated: updated("") }
            }
            None if self.timestamp.is_empty() || !self.files.is_empty() => return Ok(None),
            None => {
                let version = format!("{base}{}-{}", self.timestamp, self.build_number);
                Newest { version, updated: updated("") }
            }
        };
        match newest.version.starts_with(base) && is_plain(&newest.version) {
            true => Ok(Some(newest)),
            false => Err(Error::Conflict(
                "its `maven-metadata.xml` names a file that is no snapshot of it".to_owned(),
            )),
        }
    }
}

/// Shows each element as it ends: its path from the root, and its text. Nothing where the
/// text is not well-formed, as far as that matters here.
fn elements(xml: &str, mut see: impl FnMut(&[&str], &str)) -> Option<()> {
    let mut path: Vec<&str> = Vec::new();
    let mut rest = xml;
    let mut text = "";
    let mut is_xml = false;
    while let Some(at) = rest.find('<') {
        text = if text.is_empty() { rest[..at].trim() } else { text };
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = &comment[comment.find("-->")? + 3..];
            continue;
        }
        let end = rest.find('>')?;
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        match tag.bytes().next()? {
            b'?' => {}
            // Where a text could stand for another one.
            b'!' => return None,
            b'/' => {
                if path.last() != Some(&tag[1..].trim()) {
                    return None;
                }
                see(&path, text);
                path.pop();
                text = "";
            }
            _ => {
                let (tag, is_empty) = match tag.strip_suffix('/') {
                    Some(tag) => (tag, true),
                    None => (tag, false),
                };
                path.push(tag.split_whitespace().next()?);
                is_xml = true;
                text = "";
                if path.len() > DEPTH_MAX {
                    return None;
                }
                if is_empty {
                    see(&path, "");
                    path.pop();
                }
            }
        }
    }
    (path.is_empty() && is_xml).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <!-- <versioning> --><metadata modelVersion="1.1.0">
          <groupId>org.acme</groupId><artifactId>web</artifactId>
          <versioning>
            <snapshot><timestamp>20260102.030405</timestamp><buildNumber>6</buildNumber></snapshot>
            <lastUpdated>20260102030405</lastUpdated>
            <snapshotVersions>
              <snapshotVersion>
                <extension>jar</extension><value>1.0-20260102.030405-6</value>
                <updated>20260102030405</updated>
              </snapshotVersion>
              <snapshotVersion>
                <classifier>exec</classifier><extension>jar</extension>
                <value>1.0-20260101.000000-5</value><updated>20260101000000</updated>
              </snapshotVersion>
            </snapshotVersions><empty/>
          </versioning>
        </metadata>"#;

    fn newest(xml: &str, location: &str) -> Result<Option<(String, String)>> {
        let newest = Metadata::read(xml)?.newest(&Coordinates::parse(location)?)?;
        Ok(newest.map(|it| (it.version, it.updated)))
    }

    fn found(version: &str, updated: &str) -> Option<(String, String)> {
        Some((version.to_owned(), updated.to_owned()))
    }

    #[test]
    fn the_newest_file_of_each_kind_is_named() {
        assert_eq!(
            newest(WHOLE, "maven://org.acme:web:1.0-SNAPSHOT").unwrap(),
            found("1.0-20260102.030405-6", "20260102030405")
        );
        assert_eq!(
            newest(WHOLE, "maven://org.acme:web:jar:exec:1.0-SNAPSHOT").unwrap(),
            found("1.0-20260101.000000-5", "20260101000000")
        );
        assert_eq!(newest(WHOLE, "maven://org.acme:web:zip:1.0-SNAPSHOT").unwrap(), None);
    }

    #[test]
    fn an_old_repository_names_one_for_all_and_a_copy_none() {
        let of = |snapshot: &str| {
            format!(
                "<metadata><versioning><snapshot>{snapshot}</snapshot>\
                 <lastUpdated>20260102</lastUpdated></versioning></metadata>"
            )
        };
        let old = of("<timestamp>20260102.030405</timestamp><buildNumber>6</buildNumber>");
        let location = "maven://org.acme:web:zip:1.0-SNAPSHOT";
        assert_eq!(newest(&old, location).unwrap(), found("1.0-20260102.030405-6", "20260102"));
        let copy = of("<localCopy>true</localCopy>");
        assert_eq!(newest(&copy, location).unwrap(), found("1.0-SNAPSHOT", "20260102"));
        assert_eq!(newest(&of(""), location).unwrap(), None);
    }

    #[test]
    fn what_leads_elsewhere_or_is_no_xml_is_refused() {
        let location = "maven://org.acme:web:1.0-SNAPSHOT";
        for value in ["2.0-20260102.030405-6", "1.0-../../x", "1.0-a/b", ""] {
            let xml = WHOLE.replace("1.0-20260102.030405-6", value);
            assert!(newest(&xml, location).is_err(), "{value}");
        }
        for xml in [
            "",
            "text",
            "<metadata>",
            "<metadata></other>",
            "<metadata",
            "<!-- <metadata/>",
            "<!DOCTYPE metadata [<!ENTITY a \"b\">]><metadata/>",
            "<metadata><![CDATA[x]]></metadata>",
            "<>",
            "</a>",
            &"<a>".repeat(100_000),
        ] {
            assert!(Metadata::read(xml).is_err(), "{}", &xml[..xml.len().min(40)]);
        }
        assert_eq!(Metadata::read("<metadata/>").unwrap(), Metadata::default());
    }
}
