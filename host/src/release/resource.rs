//! Where an application's program comes from: fetched into the blob store, by
//! digest, before anything is started.
//!
//! `inventory://namespace/unit/version`, `file:` below configured folders,
//! `http(s)://` at public or configured addresses, `maven://` from configured
//! repositories with its checksum. What cannot have changed is not fetched twice: a
//! release of a Maven repository, and what a web server still knows by its `ETag`. `docker:` is passed on: the platform fetches it.

mod cached;
pub(super) mod file;
mod inventory;
mod maven;
pub(super) mod web;

use std::sync::Arc;

use crate::{
    app::App,
    authz::Caller,
    blobs::Stored,
    error::{Error, Result},
    plugins::deployer::Artifact,
};

/// A resource that is ready to be deployed.
pub struct Resource {
    /// Its address, complete with its version.
    pub location: String,
    /// Its bytes, unless the platform fetches them.
    pub artifact: Option<Artifact>,
    /// Holds the bytes from the collector until a record points at them.
    pub held: Option<Stored>,
}

/// The complete address of a resource and its version.
pub fn location(resource: &str, version: Option<&str>) -> String {
    let Some(version) = version else { return resource.to_owned() };
    if resource.starts_with("maven") || resource.starts_with("docker") {
        return match resource.ends_with(&format!(":{version}")) {
            true => resource.to_owned(),
            false => format!("{resource}:{version}"),
        };
    }
    if resource.starts_with(inventory::SCHEME) {
        return match resource.ends_with(&format!("/{version}")) {
            true => resource.to_owned(),
            false => format!("{resource}/{version}"),
        };
    }
    format!("{resource}-{version}.jar")
}

/// Fetches what is at `location`. What lies in the inventory only for a caller who
/// may download it there.
pub async fn fetch(app: &App, caller: &Arc<Caller>, location: String) -> Result<Resource> {
    let scheme = location.split_once(':').map(|(it, _)| it).unwrap_or_default().to_owned();
    let fetched = match scheme.as_str() {
        "docker" => return Ok(Resource { location, artifact: None, held: None }),
        "inventory" => inventory::fetch(app, caller, &location).await,
        "file" => file::fetch(app, &location).await.map(Fetched::from),
        "http" | "https" => web::fetch(app, &location).await.map(Fetched::from),
        "maven" => maven::fetch(app, &location).await.map(Fetched::from),
        _ => Err(Error::Conflict(
            "its scheme must be `inventory`, `file`, `http`, `https`, `maven` or `docker`".into(),
        )),
    };
    let Fetched { sha256, size, held, file_name } =
        fetched.map_err(|error| unloadable(&location, error))?;
    let uri = format!("sha256:{sha256}");
    let file_name = file_name.unwrap_or_else(|| last_part(&location));
    let artifact = Artifact { uri, sha256, size, file_name };
    Ok(Resource { location, artifact: Some(artifact), held })
}

struct Fetched {
    sha256: String,
    size: u64,
    held: Option<Stored>,
    file_name: Option<String>,
}

impl From<Stored> for Fetched {
    fn from(stored: Stored) -> Self {
        let sha256 = stored.sha256.clone();
        Fetched { sha256, size: stored.size, held: Some(stored), file_name: None }
    }
}

/// The last part of an address, fit to be a file's name.
fn last_part(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let last = path.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |it: char| if it.is_ascii_alphanumeric() || "-_.".contains(it) { it } else { '_' };
    let name: String = last.chars().map(plain).take(120).collect();
    match name.trim_start_matches('.') {
        "" => "artifact".to_owned(),
        name => name.to_owned(),
    }
}

// Trouble of our own stays such; everything else is the address's fault.
fn unloadable(location: &str, error: Error) -> Error {
    match error {
        Error::Store { .. } | Error::Busy { .. } | Error::Internal(_) | Error::Denied(_) => error,
        other => Error::Conflict(format!("Could not load Resource {location}. Message = {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_completes_an_address_as_its_scheme_wants_it() {
        for (resource, version, expected) in [
            ("maven://g:a", Some("1.0"), "maven://g:a:1.0"),
            ("maven://g:a:1.0", Some("1.0"), "maven://g:a:1.0"),
            ("docker:image", Some("2"), "docker:image:2"),
            ("file:/apps/web", Some("1.0"), "file:/apps/web-1.0.jar"),
            ("http://h/web", Some("1.0"), "http://h/web-1.0.jar"),
            ("inventory://acme/web", Some("1.0"), "inventory://acme/web/1.0"),
            ("inventory://acme/web/1.0", Some("1.0"), "inventory://acme/web/1.0"),
            ("file:/apps/web", None, "file:/apps/web"),
        ] {
            assert_eq!(location(resource, version), expected);
        }
    }

    #[test]
    fn a_file_name_is_plain_whatever_the_address() {
        assert_eq!(last_part("http://h/a/web-1.0.jar?x=/y"), "web-1.0.jar");
        assert_eq!(last_part("file:/a/..%2f b"), "_2f_b");
        assert_eq!(last_part("http://h/.hidden/"), "hidden");
        assert_eq!(last_part("http:///"), "http_");
    }
}
