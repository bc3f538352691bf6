//! What a package says of itself, as it is written in a `package.yml` and, one
//! document for each package, in the `index.yml` of a repository.
//!
//! Values are scalars, taken as the text that they are; a null is a null. The tag of
//! Java's package writer is taken, any other refused. `renderer` is a key of our own:
//! the renderer that its templates are written for, where that is not the default.

use std::fmt::Write;

use serde_json::Value;

use super::{model::PackageMetadata, yaml};
use crate::error::{Error, Result};

/// Names, versions and short texts, in characters.
pub const TEXT_CHARS_MAX: usize = 255;
/// The tag that Java's package writer puts on top of its metadata.
const TAG: &str = "org.springframework.cloud.skipper.domain.PackageMetadata";

/// Reads a package's metadata; `what` is what errors call the text.
pub fn parse(what: &str, text: &str) -> Result<PackageMetadata> {
    let wrong = |why: String| Error::Conflict(format!("{what}: {why}"));
    let reader = yaml::Reader::new(text).with_root_tag(TAG).with_words_as_text();
    let value = reader.single().map_err(|it| wrong(it.to_string()))?;
    let Value::Object(map) = value else {
        return Err(wrong("it must be a map".to_owned()));
    };
    let field = |key: &str, chars_max: usize| {
        let text = match map.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(it)) => it.clone(),
            Some(it @ (Value::Number(_) | Value::Bool(_))) => it.to_string(),
            Some(_) => return Err(wrong(format!("`{key}` must be a text"))),
        };
        match text.chars().count() > chars_max {
            true => Err(wrong(format!("`{key}` is longer than {chars_max} characters"))),
            false => Ok(Some(text)),
        }
    };
    let short = |key: &str| field(key, TEXT_CHARS_MAX);
    let long = |key: &str| field(key, usize::MAX);
    let needed = |key: &str| {
        let found = short(key)?.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        found.ok_or_else(|| wrong(format!("`{key}` is missing")))
    };
    Ok(PackageMetadata {
        api_version: short("apiVersion")?,
        origin: short("origin")?,
        repository_id: None,
        repository_name: short("repositoryName")?,
        kind: short("kind")?,
        name: needed("name")?,
        display_name: short("displayName")?,
        version: needed("version")?,
        package_source_url: long("packageSourceUrl")?,
        package_home_url: long("packageHomeUrl")?,
        tags: long("tags")?,
        maintainer: short("maintainer")?,
        description: long("description")?,
        sha256: short("sha256")?,
        icon_url: long("iconUrl")?,
        renderer: short("renderer")?.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()),
    })
}

/// Writes a package's metadata as a document of an `index.yml`: what is null is left
/// out, since the original reads it as the text `null`.
pub fn document(metadata: &PackageMetadata) -> String {
    let PackageMetadata {
        api_version,
        origin,
        repository_id: _,
        repository_name: _,
        kind,
        name,
        display_name,
        version,
        package_source_url,
        package_home_url,
        tags,
        maintainer,
        description,
        sha256,
        icon_url,
        renderer,
    } = metadata;
    let (name, version) = (Some(name.clone()), Some(version.clone()));
    let fields = [
        ("apiVersion", api_version),
        ("origin", origin),
        ("kind", kind),
        ("name", &name),
        ("displayName", display_name),
        ("version", &version),
        ("packageSourceUrl", package_source_url),
        ("packageHomeUrl", package_home_url),
        ("tags", tags),
        ("maintainer", maintainer),
        ("description", description),
        ("sha256", sha256),
        ("iconUrl", icon_url),
        ("renderer", renderer),
    ];
    let mut text = "---\n".to_owned();
    for (key, value) in fields {
        if let Some(value) = value {
            writeln!(text, "{key}: {}", quoted(value)).expect("a string takes everything");
        }
    }
    text
}

/// In double quotes, with whatever YAML does not call printable escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for it in text.chars() {
        match it {
            '"' | '\\' => quoted.extend(['\\', it]),
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                write!(quoted, "\\u{:04x}", u32::from(it)).expect("a string takes everything");
            }
            it if it.is_control() => {
                write!(quoted, "\\u{:04x}", u32::from(it)).expect("a string takes everything");
            }
            it => quoted.push(it),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            name in "[a-z]{1,9}",
            version in "[0-9.]{1,9}",
            description in ".*|\\PC*|[\"\\\\:#\n\t -]*",
            kind in proptest::option::of("yes|no|null|~|1\\.10|010|2020-01-02| x |"),
        ) {
            let metadata = PackageMetadata {
                name,
                version,
                description: Some(description),
                kind,
                ..PackageMetadata::default()
            };
            let read = parse("a document", &document(&metadata)).unwrap();
            prop_assert_eq!(read, metadata);
        }
    }

    #[test]
    fn what_is_null_is_not_written() {
        let metadata = PackageMetadata {
            name: "log".into(),
            version: "1.10".into(),
            renderer: Some("template-other".into()),
            ..PackageMetadata::default()
        };
        assert_eq!(
            document(&metadata),
            "---\nname: \"log\"\nversion: \"1.10\"\nrenderer: \"template-other\"\n"
        );
    }
}
