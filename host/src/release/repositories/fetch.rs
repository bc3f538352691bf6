//! Fetches a package's zip when it is first needed.

use std::sync::Arc;

use super::{inventory, source};
use crate::{
    app::App,
    authz::Caller,
    blobs::Stored,
    error::{Error, Result},
    release::package,
    store::{
        blob_refs,
        packages::{self, PackageRow, Repository},
    },
};

// As the original has it.
const UNREAD: &str = "Could not download an deserialize package.";

/// The package with its zip among the blobs: as it is, or fetched now. One of the
/// inventory only for a caller who may download it there.
pub(in crate::release) async fn here(
    app: &App,
    caller: &Arc<Caller>,
    row: PackageRow,
) -> Result<PackageRow> {
    let name = row.repository().to_owned();
    let found = app.store.read(move |view| packages::repository(view, &name)).await?;
    match found {
        Some(it) if it.inventory.is_some() => inventory::here(app, caller, &it, row).await,
        _ if row.is_here() => Ok(row),
        Some(it) if it.is_remote() => fetch(app, &it, row).await,
        _ => Err(missing(&row)),
    }
}

async fn fetch(app: &App, repository: &Repository, row: PackageRow) -> Result<PackageRow> {
    let of_zip = app.repositories.turn_of_zip(row.id);
    let _of_zip = of_zip.lock().await;
    let turn = app.repositories.fetching.acquire().await;
    let _turn = turn.map_err(|it| Error::Internal(it.to_string()))?;
    // Somebody may have fetched it while this waited.
    let id = row.id;
    let row = app.store.read(move |view| packages::find_by_id(view, id)).await?;
    let Some(row) = row else {
        return Err(Error::Conflict(format!("Package with id='{id}' can not be found.")));
    };
    if row.is_here() {
        return Ok(row);
    }
    let of = &row.metadata;
    let stored = source::zip(app, repository, &of.name, &of.version).await;
    let stored = stored.map_err(|it| unfetched(&row, it))?.ok_or_else(|| missing(&row))?;
    check_digest(&row, &stored)?;
    let read = {
        let _seat = app.engine.seat(stored.size)?;
        package::load_blob(app, &stored.sha256, stored.size, &row.metadata).await
    };
    let renderer = read.map_err(|it| unfetched(&row, it))?.metadata.renderer;
    keep(app, row, stored, renderer).await
}

/// Notes that a package's zip is here. What holds it from the collector goes with the
/// change and comes back when that is committed.
pub(super) async fn keep(
    app: &App,
    row: PackageRow,
    stored: Stored,
    renderer: Option<String>,
) -> Result<PackageRow> {
    let keep = app.store.write_unaudited(move |change| {
        let Some(mut row) = packages::find_by_id(change, row.id)? else {
            return Ok((None, stored));
        };
        if row.blob_sha256 != stored.sha256 {
            let owner = packages::blob_owner(row.id);
            if row.is_here() {
                blob_refs::release(change, &row.blob_sha256, &owner);
            }
            row.blob_sha256.clone_from(&stored.sha256);
            row.size_bytes = stored.size;
            row.metadata.renderer = row.metadata.renderer.or(renderer);
            blob_refs::refer(change, &row.blob_sha256, &owner);
            packages::update(change, &mut row)?;
        }
        Ok((Some(row), stored))
    });
    let (row, _stored) = keep.await?;
    row.ok_or_else(|| Error::Conflict("the package was deleted meanwhile".to_owned()))
}

/// What an index says of a zip is believed, or the zip is not.
fn check_digest(row: &PackageRow, stored: &Stored) -> Result<()> {
    let PackageRow { metadata, .. } = row;
    let said = metadata.sha256.as_deref().map(str::trim).filter(|it| !it.is_empty());
    match said {
        Some(said) if !said.eq_ignore_ascii_case(&stored.sha256) => Err(unfetched(
            row,
            Error::Conflict(format!(
                "its SHA-256 is {}, and the index of the repository says {said}",
                stored.sha256
            )),
        )),
        _ => Ok(()),
    }
}

/// A repository does not have what its index says. The first sentence is all that the
/// original lets its clients see; the second is why.
pub(super) fn missing(row: &PackageRow) -> Error {
    Error::Conflict(format!(
        "{UNREAD} Resource {}-{} in package repository {} does not exist.",
        row.metadata.name,
        row.metadata.version,
        row.repository()
    ))
}

// Trouble of our own stays such; everything else is the repository's.
fn unfetched(row: &PackageRow, error: Error) -> Error {
    match error {
        Error::Store { .. } | Error::Busy { .. } | Error::Internal(_) => error,
        other => Error::Conflict(format!(
            "{UNREAD} Package [{}:{}] from repository [{}]: {other}",
            row.metadata.name,
            row.metadata.version,
            row.repository()
        )),
    }
}
