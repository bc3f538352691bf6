//! Reads a package out of its zip, and fetches one that is kept.
//!
//! The zip holds one folder `<name>-<version>/` with the metadata, the default
//! values, the templates and, below `packages/`, sub-packages of the same form.
//! What has no meaning is left alone. Files are taken in the order of their names.

mod find;

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::TryStreamExt;

pub use self::find::{find, find_by_id, no_version};
pub use super::metadata::TEXT_CHARS_MAX;
use super::{
    archive::{self, Archive},
    beside, metadata,
    model::{ConfigValues, FileHolder, Package, PackageMetadata, Template},
};
use crate::{
    app::App,
    error::{Error, Result},
    store::packages::PackageRow,
};

/// Sub-packages of sub-packages may go this deep.
pub const DEPTH_MAX: usize = 8;
/// Sub-packages at the most, at whatever depth.
pub const SUB_PACKAGES_MAX: usize = 100;

/// Fetches a package that is kept.
pub async fn load(app: &App, row: &PackageRow) -> Result<Package> {
    let mut package = load_blob(app, &row.blob_sha256, row.size_bytes, &row.metadata).await?;
    // What a hook changed when the package came, or an index says, is in the row only.
    package.metadata = row.metadata.clone();
    Ok(package)
}

/// Reads the package of that name and version out of a blob: a zip, or, for what was
/// made for the inventory, a gzipped tar.
pub(super) async fn load_blob(
    app: &App,
    sha256: &str,
    size_bytes: u64,
    metadata: &PackageMetadata,
) -> Result<Package> {
    let bytes: Vec<u8> = app
        .blobs
        .get(sha256, 0..size_bytes)
        .await?
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await?;
    let PackageMetadata { name, version, .. } = metadata;
    // Those of the inventory are named the way Escape names them.
    let roots = [format!("{name}-{version}/"), format!("{name}-v{version}/")];
    let limit_bytes = app.config.limits.package_bytes_max;
    beside(move || unpack(&bytes, limit_bytes, &roots)).await
}

/// Reads the package of that name and version out of its zip, off the async
/// threads.
pub(super) async fn read(app: &App, zip: Bytes, name: String, version: String) -> Result<Package> {
    let limit_bytes = app.config.limits.package_bytes_max;
    let reading = move || unzip(&zip, limit_bytes, &format!("{name}-{version}/"));
    beside(reading).await
}

fn unzip(zip: &[u8], limit_bytes: u64, root: &str) -> Result<Package> {
    let root = [root.to_owned()];
    let archive = archive::read(zip, limit_bytes, wanted(&root))?;
    packed(&archive, &root)
}

fn unpack(bytes: &[u8], limit_bytes: u64, roots: &[String]) -> Result<Package> {
    let archive = match archive::tar::is_gzip(bytes) {
        true => archive::tar::read(bytes, limit_bytes, wanted(roots))?,
        false => archive::read(bytes, limit_bytes, wanted(roots))?,
    };
    packed(&archive, roots)
}

/// Which files are read of a package in one of these folders, and what they count for.
fn wanted(roots: &[String]) -> impl Fn(&str, u64) -> Option<u64> {
    |path: &str, size_bytes: u64| {
        let wanted = roots.iter().any(|root| path.starts_with(root)) && is_yaml(path);
        // What is kept as base64 is a third larger.
        let base64 = is_manifest(path);
        wanted.then(|| if base64 { size_bytes.div_ceil(3).saturating_mul(4) } else { size_bytes })
    }
}

/// Reads the package in the first of these folders that there is.
fn packed(archive: &Archive, roots: &[String]) -> Result<Package> {
    let is_there = |root: &&String| archive.paths.iter().any(|it| it.starts_with(root.as_str()));
    let root = roots.iter().find(is_there).ok_or_else(|| {
        let message = "Package is expected to be unpacked, but it doesn't exist";
        Error::invalid("packageFileAsBytes", message)
    })?;
    folder(archive, root, 0, &mut 0)
}

/// Reads the package whose folder is `root`, which ends with a slash. `count` is how
/// many sub-packages there are so far.
fn folder(archive: &Archive, root: &str, depth: usize, count: &mut usize) -> Result<Package> {
    if depth > DEPTH_MAX {
        return Err(Error::Conflict(format!(
            "Sub-packages may be nested {DEPTH_MAX} deep, and `{root}` is deeper"
        )));
    }
    let mut found = None;
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
                let what = format!("`{path}` in the package");
                found = Some(metadata::parse(&what, text(path, bytes)?)?);
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
    package.metadata = found.ok_or_else(|| {
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

#[cfg(test)]
mod tests;
