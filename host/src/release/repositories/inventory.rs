//! Repositories of the inventory: a unit whose package holds a `package.yml` is a
//! package of the unit's name and version.
//!
//! Nothing is scanned for: a package is found by its name, that is, by its unit. When
//! it is uploaded, or asked for the first time, it gets a row, and so an id and a place
//! in lists; what the row points at is looked up in the inventory again each time, and
//! only for callers who may download it there.

use std::sync::Arc;

use super::fetch;
use crate::{
    app::App,
    authz::{self, Caller, Permit, Target},
    error::{Error, Result},
    inventory::{self, UnitPlace, Version, VersionQuery, meant},
    release::{model::PackageMetadata, package},
    store::{
        View, blob_refs,
        packages::{self, PackageRow, Repository},
        unit_releases::{PackageRecord, unit_release},
    },
};

/// A unit's version in a repository.
struct Candidate {
    repository: Repository,
    place: UnitPlace,
    version: Version,
    bytes: PackageRecord,
}

/// Looks, beside the request, whether what has been uploaded is a package.
pub fn notice(app: &Arc<App>, place: UnitPlace, version: Version) {
    let namespace = Some(place.namespace.as_str());
    if app.config.repositories.values().all(|it| it.inventory.as_deref() != namespace) {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let (unit, query) = (place.unit.to_string(), VersionQuery::Exact(version));
        let candidates = app.store.read(move |view| candidates(view, &unit, &query));
        let entered = async {
            for it in candidates.await?.into_iter().filter(|it| it.place == place) {
                if kept(&app, &it).await?.is_none() {
                    enter(&app, it).await?;
                }
            }
            Ok::<_, Error>(())
        };
        // It is found when it is asked for.
        if let Err(error) = entered.await {
            tracing::warn!(%place.namespace, %place.unit, %error, "not looked at as a package");
        }
    });
}

/// The package of that name and version, where a namespace has it.
pub(in crate::release) async fn find_version(
    app: &App,
    caller: &Arc<Caller>,
    name: &str,
    version: &str,
) -> Result<Vec<PackageRow>> {
    match Version::parse(version) {
        Some(version) => find(app, caller, name, VersionQuery::Exact(version)).await,
        None => Ok(Vec::new()),
    }
}

/// The package of the unit's latest version, where a namespace has it.
pub(in crate::release) async fn find_newest(
    app: &App,
    caller: &Arc<Caller>,
    name: &str,
) -> Result<Vec<PackageRow>> {
    find(app, caller, name, VersionQuery::Latest).await
}

async fn find(
    app: &App,
    caller: &Arc<Caller>,
    name: &str,
    query: VersionQuery,
) -> Result<Vec<PackageRow>> {
    let wanted = name.to_owned();
    let candidates = app.store.read(move |view| candidates(view, &wanted, &query)).await?;
    let mut found = Vec::new();
    let mut denied = None;
    for candidate in candidates {
        match row_of(app, caller, candidate).await {
            Ok(row) => found.extend(row),
            Err(error @ Error::Denied(_)) => denied = Some(error),
            Err(error) => return Err(error),
        }
    }
    match denied {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn candidates(view: &dyn View, name: &str, query: &VersionQuery) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for repository in packages::repositories(view)? {
        let Some(namespace) = &repository.inventory else { continue };
        let Ok(place) = UnitPlace::parse(namespace, name) else { continue };
        let Some(version) = meant(view, &place, query.clone())? else { continue };
        let release = unit_release(view, place.key(), &version)?;
        if let Some(bytes) = release.and_then(|it| it.package) {
            found.push(Candidate { repository, place, version, bytes });
        }
    }
    Ok(found)
}

/// The row of a unit's version, made now if it is a package and was not asked for yet.
async fn row_of(
    app: &App,
    caller: &Arc<Caller>,
    candidate: Candidate,
) -> Result<Option<PackageRow>> {
    if let Some(row) = kept(app, &candidate).await? {
        return here(app, caller, &candidate.repository, row).await.map(Some);
    }
    may_download(app, caller, &candidate.place, &candidate.version).await?;
    enter(app, candidate).await
}

async fn kept(app: &App, candidate: &Candidate) -> Result<Option<PackageRow>> {
    let Candidate { repository, place, version, .. } = candidate;
    let (at, name, text) =
        (repository.name.clone(), place.unit.to_string(), version.as_str().to_owned());
    app.store.read(move |view| packages::find_in(view, &at, &name, &text)).await
}

/// Makes the row, if it is a package.
async fn enter(app: &App, candidate: Candidate) -> Result<Option<PackageRow>> {
    let Candidate { repository, place, version, bytes } = candidate;
    let metadata = described(&repository, &place, &version);
    let Some(read) = read(app, &bytes, &metadata).await? else { return Ok(None) };
    let metadata = PackageMetadata {
        name: metadata.name,
        version: metadata.version,
        repository_id: metadata.repository_id,
        repository_name: metadata.repository_name,
        ..read
    };
    let Some(held) = app.blobs.hold(&bytes.sha256).await? else { return Ok(None) };
    let insert = app.store.write_unaudited(move |change| {
        let PackageMetadata { name, version, .. } = &metadata;
        if let Some(row) = packages::find_in(change, &repository.name, name, version)? {
            return Ok((row, held));
        }
        let row = packages::insert(change, metadata, held.sha256.clone(), held.size)?;
        blob_refs::refer(change, &row.blob_sha256, &packages::blob_owner(row.id));
        Ok((row, held))
    });
    let (row, _held) = insert.await?;
    Ok(Some(row))
}

/// The package with the bytes that the inventory has of it now.
pub(super) async fn here(
    app: &App,
    caller: &Arc<Caller>,
    repository: &Repository,
    row: PackageRow,
) -> Result<PackageRow> {
    let PackageMetadata { name, version, .. } = &row.metadata;
    let place = UnitPlace::parse(repository.inventory.as_deref().unwrap_or_default(), name)?;
    let Some(version) = Version::parse(version) else {
        return Err(Error::Internal(format!("package `{name}` has the version `{version}`")));
    };
    let permit = may_download(app, caller, &place, &version).await?;
    let gone = || fetch::missing(&row);
    let bytes = match inventory::package(app, &permit, &place, &version).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound { .. }) => {
            let left = row.clone();
            app.store.write_unaudited(move |change| packages::delete(change, &left)).await?;
            return Err(gone());
        }
        Err(error) => return Err(error),
    };
    if bytes.sha256 == row.blob_sha256 {
        return Ok(row);
    }
    let metadata = described(repository, &place, &version);
    let renderer = match read(app, &bytes, &metadata).await? {
        Some(read) => read.renderer,
        None => return Err(gone()),
    };
    let held = app.blobs.hold(&bytes.sha256).await?.ok_or_else(gone)?;
    fetch::keep(app, row, held, renderer).await
}

/// What a package's row says for sure; the rest is in the package.
fn described(repository: &Repository, place: &UnitPlace, version: &Version) -> PackageMetadata {
    PackageMetadata {
        name: place.unit.to_string(),
        version: version.as_str().to_owned(),
        repository_id: Some(repository.id),
        repository_name: Some(repository.name.clone()),
        ..PackageMetadata::default()
    }
}

/// What the package says of itself; nothing where it is no package of this kind.
async fn read(
    app: &App,
    bytes: &PackageRecord,
    metadata: &PackageMetadata,
) -> Result<Option<PackageMetadata>> {
    let _seat = app.engine.seat(bytes.size)?;
    match package::load_blob(app, &bytes.sha256, bytes.size, metadata).await {
        Ok(package) => Ok(Some(package.metadata)),
        Err(error @ (Error::Store { .. } | Error::Busy { .. } | Error::Internal(_))) => Err(error),
        Err(error) => {
            let PackageMetadata { name, version, .. } = metadata;
            tracing::info!(name, version, why = %error, "a unit is not installable as a package");
            Ok(None)
        }
    }
}

async fn may_download(
    app: &App,
    caller: &Arc<Caller>,
    place: &UnitPlace,
    version: &Version,
) -> Result<Permit> {
    let target = Target {
        kind: "version".into(),
        namespace: place.namespace.to_string(),
        name: place.unit.to_string(),
        version: Some(version.to_string()),
        labels: Vec::new(),
    };
    authz::authorize(app, caller, "inventory:version:download", target).await
}
