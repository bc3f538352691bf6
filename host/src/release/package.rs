//! Reads a package out of its zip, and fetches one that is kept.
//!
//! The zip holds one folder `<name>-<version>/` with the metadata, the default
//! values, the templates and, below `packages/`, sub-packages of the same form.
//! What has no meaning is left alone. Files are taken in the order of their names.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::Value;

use super::{
    archive::{self, Archive},
    beside,
    model::{ConfigValues, FileHolder, Package, PackageMetadata, Template},
    yaml,
};
use crate::{
    app::App,
    error::{Error, Result},
    store::packages::{self, PackageRow},
};

/// Sub-packages of sub-packages may go this deep.
pub const DEPTH_MAX: usize = 8;
/// Sub-packages at the most, at whatever depth.
pub const SUB_PACKAGES_MAX: usize = 100;
/// Names, versions and short texts, in characters.
pub const TEXT_CHARS_MAX: usize = 255;
/// The tag that Java's package writer puts on top of its metadata.
const METADATA_TAG: &str = "org.springframework.cloud.skipper.domain.PackageMetadata";

/// The package of that name and version; the newest where there is none.
pub async fn find(app: &App, name: &str, version: Option<&str>) -> Result<PackageRow> {
    let (wanted, given) = (name.to_owned(), version.map(str::to_owned));
    let found = app.store.read(move |view| match &given {
        Some(version) => packages::find(view, &wanted, version),
        None => packages::newest(view, &wanted),
    });
    found.await?.ok_or_else(|| {
        Error::Conflict(match version {
            Some(version) => format!("Can not find package '{name}', version '{version}'"),
            None => format!("Can not find a package named '{name}'"),
        })
    })
}

/// Fetches a package that is kept.
pub async fn load(app: &App, row: &PackageRow) -> Result<Package> {
    let zip: Vec<u8> = app
        .blobs
        .get(&row.blob_sha256, 0..row.size_bytes)
        .await?
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await?;
    let PackageMetadata { name, version, .. } = row.metadata.clone();
    let mut package = read(app, zip.into(), name, version).await?;
    // What a hook changed when the package came is in the row only.
    package.metadata = row.metadata.clone();
    Ok(package)
}

/// Reads the package of that name and version out of its zip, off the async
/// threads.
pub(super) async fn read(app: &App, zip: Bytes, name: String, version: String) -> Result<Package> {
    let limit_bytes = app.config.limits.package_bytes_max;
    let reading = move || unzip(&zip, limit_bytes, &format!("{name}-{version}/"));
    beside(reading).await
}

fn unzip(zip: &[u8], limit_bytes: u64, root: &str) -> Result<Package> {
    let wanted = |path: &str, size_bytes: u64| {
        let wanted = path.starts_with(root) && is_yaml(path);
        // What is kept as base64 is a third larger.
        let base64 = is_manifest(path);
        wanted.then(|| if base64 { size_bytes.div_ceil(3).saturating_mul(4) } else { size_bytes })
    };
    let archive = archive::read(zip, limit_bytes, wanted)?;
    if !archive.paths.iter().any(|it| it.starts_with(root)) {
        let message = "Package is expected to be unpacked, but it doesn't exist";
        return Err(Error::invalid("packageFileAsBytes", message));
    }
    folder(&archive, root, 0, &mut 0)
}

/// Reads the package whose folder is `root`, which ends with a slash. `count` is how
/// many sub-packages there are so far.
fn folder(archive: &Archive, root: &str, depth: usize, count: &mut usize) -> Result<Package> {
    if depth > DEPTH_MAX {
        return Err(Error::Conflict(format!(
            "Sub-packages may be nested {DEPTH_MAX} deep, and `{root}` is deeper"
        )));
    }
    let mut metadata = None;
    let mut package = Package {
        metadata: PackageMetadata::default(),
        templates: Vec::new(),
        dependencies: Vec::new(),
        config_values: None,
        file_holders: Vec::new(),
    };
    let mut sub_packages: BTreeSet<String> = BTreeSet::new();
    for (path, bytes) in below(archive, root) {
        let parts: Vec<&str> = path[root.len()..].split('/').collect();
        match parts.as_slice() {
            [file] if is_one_of(file, ["package.yml", "package.yaml"]) => {
                metadata = Some(parse_metadata(path, text(path, bytes)?)?);
            }
            [file] if is_one_of(file, ["values.yml", "values.yaml"]) => {
                let raw = Some(text(path, bytes)?.to_owned());
                package.config_values = Some(ConfigValues { raw });
            }
            [file] if is_manifest(file) => package
                .file_holders
                .push(FileHolder { bytes: STANDARD.encode(bytes), name: (*file).to_owned() }),
            ["templates", file] if is_yaml(file) && !file.starts_with('.') => {
                let data = text(path, bytes)?.to_owned();
                package.templates.push(Template { name: (*file).to_owned(), data });
            }
            [packages, child, _, ..] if packages.eq_ignore_ascii_case("packages") => {
                sub_packages.insert(format!("{root}{packages}/{child}/"));
            }
            _ => (),
        }
    }
    package.metadata = metadata.ok_or_else(|| {
        Error::Conflict(format!("The package has no `{root}package.yml`, which says what it is"))
    })?;
    *count += sub_packages.len();
    if *count > SUB_PACKAGES_MAX {
        return Err(Error::Conflict(format!(
            "A package may have {SUB_PACKAGES_MAX} sub-packages, theirs counted, and this one has more"
        )));
    }
    for child in sub_packages {
        let mut child = folder(archive, &child, depth + 1, count)?;
        child.metadata.repository_id = None;
        child.metadata.repository_name = None;
        package.dependencies.push(child);
    }
    Ok(package)
}

/// The wanted files below a folder, by their paths.
fn below<'a>(archive: &'a Archive, root: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let files = archive.files.range(root.to_owned()..);
    let files = files.map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    files.take_while(move |(path, _)| path.starts_with(root))
}

fn is_one_of(file: &str, names: [&str; 2]) -> bool {
    names.iter().any(|it| file.eq_ignore_ascii_case(it))
}

fn is_yaml(file: &str) -> bool {
    let ends = |it: &str| {
        file.len() >= it.len()
            && file.as_bytes()[file.len() - it.len()..].eq_ignore_ascii_case(it.as_bytes())
    };
    ends("yml") || ends("yaml")
}

fn is_manifest(file: &str) -> bool {
    file.ends_with("manifest.yml") || file.ends_with("manifest.yaml")
}

fn text<'a>(path: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|_| Error::Conflict(format!("`{path}` in the package is not UTF-8 text")))
}

fn parse_metadata(path: &str, text: &str) -> Result<PackageMetadata> {
    let wrong = |why: String| Error::Conflict(format!("`{path}` in the package: {why}"));
    let reader = yaml::Reader::new(text).with_root_tag(METADATA_TAG).with_words_as_text();
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
    })
}

#[cfg(test)]
mod tests;
