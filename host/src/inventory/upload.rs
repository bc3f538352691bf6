//! Uploading a release's bytes. The first bytes win and never change.

use bytes::Bytes;
use futures::Stream;
use serde_json::json;

use super::{
    clock::rfc3339,
    conditions::{ETag, Expected},
    names::UnitName,
    release_id::{ReleaseId, Which, bad_version},
    resolve::{UnitPlace, standing_release},
    version::Version,
};
use crate::{
    app::App,
    authz::Permit,
    blobs::Stored,
    error::{Error, Result},
    store::{
        Change, View, blob_refs,
        outbox::{Announcement, announce},
        unit_releases::{PackageRecord, UnitReleaseRecord, unit_release_owner, unit_release_put},
    },
};

/// Reads the version in an upload's path, which must be `v` and a whole version.
/// The original reads `name-segment` as a release id, and so answers in its words.
pub fn upload_version(namespace: &str, unit: &UnitName, segment: &str) -> Result<Version> {
    let id = format!("{unit}-{segment}");
    let parsed = ReleaseId::parse(&id).ok().filter(|it| it.name == unit.as_str());
    match parsed {
        Some(ReleaseId { which: Which::Version(text), .. }) if Version::parse(&text).is_some() => {
            Version::parse(&text).ok_or_else(|| bad_version(&id, segment))
        }
        Some(ReleaseId { which: Which::Latest | Which::Version(_), .. }) => Err(Error::invalid(
            "version",
            format!("Can't upload package against unresolved version '{namespace}/{id}'"),
        )),
        _ => Err(bad_version(&id, segment)),
    }
}

/// Sees that the release is there and has no bytes yet, before any are taken in.
pub async fn expect_package(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
    expected: &Expected,
) -> Result<()> {
    let (place, version, expected) = (place.clone(), version.clone(), expected.clone());
    app.store.read(move |view| find_empty(view, &place, &version, &expected).map(drop)).await
}

/// Takes a package's bytes in. They are durable, and nothing points at them yet:
/// dropped, they are collected.
pub async fn take_in(
    app: &App,
    _: &Permit,
    body: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<Stored> {
    app.blobs.put(body, app.config.limits.package_bytes_max).await.map_err(|it| match it {
        Error::TooLarge { limit_bytes, .. } => Error::TooLarge { what: "package", limit_bytes },
        other => other,
    })
}

/// Makes bytes that were taken in the release's package.
pub async fn upload(
    app: &App,
    permit: &Permit,
    place: UnitPlace,
    version: Version,
    stored: Stored,
    expected: Expected,
) -> Result<()> {
    let package = PackageRecord {
        sha256: stored.sha256.clone(),
        size: stored.size,
        uploaded_at: rfc3339(permit.at),
    };
    let object = json!({ "sha256": package.sha256, "size": package.size });
    let fixed = |_, _: &()| Err("the bytes of a package stay as they are".to_owned());
    permit.reviewed(app, (), object.clone(), None, fixed).await?;
    let told = Announcement::of(permit, Some(object)).with_documents(&permit.caller.plugins);

    // What holds the collector off goes with the change and comes back when that is
    // committed, so that it outlives a client who leaves in between.
    let work = move |change: &mut dyn Change| {
        let release = find_empty(change, &place, &version, &expected)?;
        blob_refs::refer(change, &package.sha256, &unit_release_owner(place.key(), &version));
        let changes = release.changes + 1;
        let release = UnitReleaseRecord { package: Some(package), changes, ..release };
        unit_release_put(change, place.key(), &version, &release);
        announce(change, &told)?;
        Ok(stored)
    };
    app.store.write(permit.audit(), work).await?;
    metrics::counter!("escape_uploads").increment(1);
    Ok(())
}

fn find_empty(
    view: &dyn View,
    place: &UnitPlace,
    version: &Version,
    expected: &Expected,
) -> Result<UnitReleaseRecord> {
    let release = standing_release(view, place, version)?;
    let release = release.ok_or_else(|| place.no_release(version))?;
    if release.package.is_some() {
        return Err(Error::AlreadyExists {
            what: "package",
            name: format!("{}-v{version}", place.unit),
        });
    }
    expected.check(&ETag::of_release(&release))?;
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::{UnitName, upload_version};

    fn read(segment: &str) -> Result<String, String> {
        let unit = UnitName::parse("ver").unwrap();
        match upload_version("ns", &unit, segment) {
            Ok(version) => Ok(version.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn an_upload_names_its_version_with_a_v() {
        assert_eq!(read("v1.0"), Ok("1.0".into()));
        assert_eq!(read("v01"), Ok("01".into()));
        for segment in ["1.0", "production", "vX", "", "v", "foo-v1.0", "v1-x", "v1:x", "a:v1"] {
            let expected = format!(
                "Invalid version string in release ID 'ver-{segment}': '{segment}' is not a valid version."
            );
            assert_eq!(read(segment), Err(expected));
        }
        for segment in ["latest", "@", "v@", "v1.@"] {
            let expected =
                format!("Can't upload package against unresolved version 'ns/ver-{segment}'");
            assert_eq!(read(segment), Err(expected));
        }
    }
}
