//! Uploads a package into a repository that is kept here.
//!
//! The checks come in the original's order, and with its sentences. What they
//! turn down as an argument that makes no sense is [`Error::Invalid`], what the
//! state of things or the package itself turns down is [`Error::Conflict`].

use bytes::Bytes;
use semver::Version;
use serde_json::Value;

use super::{
    model::PackageMetadata,
    package::{self, TEXT_CHARS_MAX},
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    plugins::Kind,
    store::{
        View, blob_refs,
        outbox::{self, Announcement},
        packages::{self, Repository},
    },
};

/// A package on its way in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UploadRequest {
    /// The package's name.
    pub name: Option<String>,
    /// The repository to keep it in.
    pub repo_name: Option<String>,
    /// The package's version: a semantic one.
    pub version: Option<String>,
    /// `zip`.
    pub extension: Option<String>,
    /// The zip.
    pub package_file: Option<Bytes>,
}

/// A request that has all it needs.
struct Checked {
    repository: String,
    name: String,
    version: String,
    zip: Bytes,
}

/// Keeps a package, and gives what it says of itself.
pub async fn upload(app: &App, permit: Permit, request: UploadRequest) -> Result<PackageMetadata> {
    let wanted = request.repo_name.clone();
    app.store.read(move |view| local_repository(view, wanted.as_deref()).map(drop)).await?;
    let Checked { repository, name, version, zip } = check(request)?;
    let (at, key) = (repository.clone(), (name.clone(), version.clone()));
    app.store.read(move |view| refuse_second(view, &at, &key.0, &key.1)).await?;

    let read = package::read(app, zip.clone(), name.clone(), version.clone()).await?;
    let mut metadata = read.metadata;
    if metadata.name != name || metadata.version != version {
        return Err(Error::Conflict(format!(
            "Package definition in the request [{name}:{version}] differs from one inside the \
             package.yml [{}:{}]",
            metadata.name, metadata.version
        )));
    }
    metadata.repository_name = Some(repository.clone());
    warn_of_renderer(&permit, &metadata);
    let metadata = reviewed(app, &permit, metadata).await?;

    let limit_bytes = app.config.limits.package_bytes_max;
    let body = futures::stream::iter([Ok(zip)]);
    let stored = app.blobs.put(body, limit_bytes).await?;
    let (sha256, size) = (stored.sha256.clone(), stored.size);
    let audit = permit.audit();
    // What holds the collector off goes with the change and comes back when that is
    // committed, so that it outlives a client who leaves in between.
    let kept = app.store.write(audit, move |change| {
        refuse_second(change, &repository, &name, &version)?;
        let repository = match repository.as_str() {
            packages::LOCAL => packages::repository_ensure_local(change)?,
            other => local_repository(change, Some(other))?,
        };
        let metadata = PackageMetadata { repository_id: Some(repository.id), ..metadata };
        let row = packages::insert(change, metadata, sha256, size)?;
        blob_refs::refer(change, &row.blob_sha256, &packages::blob_owner(row.id));
        outbox::announce(change, &Announcement::of(&permit, Some(json(&row.metadata)?)))?;
        Ok((row.metadata, stored))
    });
    let (kept, _stored) = kept.await?;
    Ok(kept)
}

/// The repository of that name, if packages can be uploaded to it.
fn local_repository(view: &(impl View + ?Sized), name: Option<&str>) -> Result<Repository> {
    let found = match name.filter(|it| !it.chars().any(char::is_control)) {
        Some(name) => packages::repository(view, name)?,
        None => None,
    };
    match found {
        None => Err(Error::Conflict(format!(
            "Could not find local repository to upload to named {}",
            name.unwrap_or("null")
        ))),
        Some(it) if !it.local => Err(Error::Conflict(
            "Repository to upload to is not a local database hosted repository.".to_owned(),
        )),
        Some(it) => Ok(it),
    }
}

fn check(request: UploadRequest) -> Result<Checked> {
    let absent = Error::invalid;
    let UploadRequest { name, repo_name, version, extension, package_file } = request;
    let repository = repo_name.ok_or_else(|| absent("repoName", "Repo name can not be null"))?;
    let name = name.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
    let name = name.ok_or_else(|| absent("name", "Name of package can not be null"))?;
    let version = version.ok_or_else(|| absent("version", "Version can not be null"))?;
    let version = version.trim().to_owned();
    if Version::parse(&version).is_err() {
        return Err(Error::Conflict(format!(
            "UploadRequest doesn't have a valid semantic version.  Version = {version}"
        )));
    }
    let extension = extension.ok_or_else(|| absent("extension", "Extension can not be null"))?;
    if extension.trim() != "zip" {
        let message = format!("Extension must be 'zip', not {extension}");
        return Err(Error::invalid("extension", message));
    }
    let bytes = "packageFileAsBytes";
    let zip =
        package_file.ok_or_else(|| absent(bytes, "Package file as bytes must not be null"))?;
    if zip.is_empty() {
        return Err(Error::invalid(bytes, "Package file as bytes must not be empty"));
    }
    check_name(&name, &version)?;
    Ok(Checked { repository, name, version, zip })
}

pub(super) fn check_name(name: &str, version: &str) -> Result<()> {
    let escapes = name.contains(['/', '\\']) || name.contains("..");
    if escapes || name.chars().any(char::is_control) {
        let file = format!("{name}-{version}.zip");
        return Err(Error::Conflict(format!(
            "Entry is outside of the target dir: {}",
            file.escape_debug()
        )));
    }
    if name.chars().count() > TEXT_CHARS_MAX || version.len() > TEXT_CHARS_MAX {
        return Err(Error::Conflict(format!(
            "The name and the version of a package may have {TEXT_CHARS_MAX} characters each"
        )));
    }
    Ok(())
}

fn refuse_second(
    view: &(impl View + ?Sized),
    repository: &str,
    name: &str,
    version: &str,
) -> Result<()> {
    match packages::is_in(view, repository, name, version)? {
        true => Err(Error::Conflict(format!(
            "Failed to upload the package. Package [{name}:{version}] in Repository \
             [{repository}] already exists."
        ))),
        false => Ok(()),
    }
}

/// Puts the package to the before-hooks. They may change what it says of itself,
/// but not what it is.
async fn reviewed(
    app: &App,
    permit: &Permit,
    metadata: PackageMetadata,
) -> Result<PackageMetadata> {
    let object = json(&metadata)?;
    let amended = |object, metadata: &PackageMetadata| {
        let amended: PackageMetadata =
            serde_json::from_value(object).map_err(|it| format!("it is no package: {it}"))?;
        let is_same = amended.name == metadata.name
            && amended.version == metadata.version
            && amended.repository_name == metadata.repository_name;
        match is_same {
            true => Ok(amended),
            false => {
                Err("the name, version and repository of a package stay as they are".to_owned())
            }
        }
    };
    permit.reviewed(app, metadata, object, None, amended).await
}

/// A package may come before the plugin that it is for.
fn warn_of_renderer(permit: &Permit, metadata: &PackageMetadata) {
    let Some(renderer) = &metadata.renderer else { return };
    let plugins = &permit.caller.plugins;
    if !plugins.names().iter().any(|(name, kind)| name == renderer && *kind == Kind::Renderer) {
        let warning = format!("there is no renderer `{renderer}` that could render this package");
        permit.caller.warnings.add(vec![warning]);
    }
}

fn json(metadata: &PackageMetadata) -> Result<Value> {
    serde_json::to_value(metadata)
        .map_err(|it| Error::Internal(format!("writing a package's metadata: {it}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> UploadRequest {
        UploadRequest {
            name: Some(" log ".into()),
            repo_name: Some("local".into()),
            version: Some("1.0.0 ".into()),
            extension: Some("zip".into()),
            package_file: Some(Bytes::from_static(b"zip")),
        }
    }

    #[track_caller]
    fn message(change: impl FnOnce(&mut UploadRequest)) -> String {
        let mut request = request();
        change(&mut request);
        check(request).err().expect("the request is refused").to_string()
    }

    #[test]
    fn what_is_checked_is_trimmed() {
        let checked = check(request()).unwrap();
        assert_eq!((checked.name.as_str(), checked.version.as_str()), ("log", "1.0.0"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(message(|it| it.repo_name = None), "Repo name can not be null");
        assert_eq!(message(|it| it.name = None), "Name of package can not be null");
        assert_eq!(message(|it| it.name = Some(" ".into())), "Name of package can not be null");
        assert_eq!(message(|it| it.version = None), "Version can not be null");
        assert_eq!(message(|it| it.extension = None), "Extension can not be null");
        assert_eq!(
            message(|it| it.extension = Some("jar".into())),
            "Extension must be 'zip', not jar"
        );
        assert_eq!(message(|it| it.package_file = None), "Package file as bytes must not be null");
        assert_eq!(
            message(|it| it.package_file = Some(Bytes::new())),
            "Package file as bytes must not be empty"
        );
    }

    #[test]
    fn only_semantic_versions_are_taken() {
        for version in ["", "abc", "1abc", "1.abc.2", "a.b.c", "a.b.c.2", "1.0", "1.0.0.RELEASE"] {
            assert_eq!(
                message(|it| it.version = Some(version.into())),
                format!(
                    "UploadRequest doesn't have a valid semantic version.  Version = {version}"
                )
            );
        }
        for version in ["1.0.0", "0.0.1-rc.1", "1.2.3+build.7"] {
            let request = UploadRequest { version: Some(version.into()), ..request() };
            assert!(check(request).is_ok(), "{version}");
        }
    }

    #[test]
    fn a_name_that_is_a_path_is_refused() {
        for name in ["../log", "a/b", "a\\b", "..", "a\0b"] {
            let message = message(|it| it.name = Some(name.into()));
            assert!(message.starts_with("Entry is outside of the target dir: "), "{message}");
        }
        assert!(message(|it| it.name = Some("n".repeat(256))).contains("255 characters"));
    }
}
