//! Finds the package that a request means, with its zip among the blobs.

use std::sync::Arc;

use crate::{
    app::App,
    authz::Caller,
    error::{Error, Result},
    release::repositories,
    store::packages::{self, PackageRow, compare_versions},
};

/// The package of that name, if there is one: of that version, from the repository of the
/// highest order, or the newest there is.
pub async fn find(
    app: &App,
    caller: &Arc<Caller>,
    name: &str,
    version: Option<&str>,
) -> Result<Option<PackageRow>> {
    let (wanted, at) = (name.to_owned(), version.map(str::to_owned));
    let kept = app.store.read(move |view| match &at {
        Some(version) => packages::find(view, &wanted, version),
        None => packages::newest(view, &wanted),
    });
    let kept = kept.await?;
    let more = match version {
        Some(version) => repositories::find_version(app, caller, name, version).await,
        None => repositories::find_newest(app, caller, name).await,
    };
    let more = match more {
        // There is another one, and nothing has to be told of this one.
        Err(Error::Denied(_)) if kept.is_some() => Vec::new(),
        more => more?,
    };
    let found = match more.is_empty() {
        true => kept,
        false => best(app, kept.into_iter().chain(more).collect()).await?,
    };
    match found {
        Some(found) => repositories::here(app, caller, found).await.map(Some),
        None => Ok(None),
    }
}

/// There is no such version of a package.
pub fn no_version(name: &str, version: &str) -> Error {
    Error::Conflict(format!("Can not find package '{name}', version '{version}'"))
}

/// The package with that id.
pub async fn find_by_id(app: &App, caller: &Arc<Caller>, id: u64) -> Result<PackageRow> {
    let found = app.store.read(move |view| packages::find_by_id(view, id)).await?;
    let found = found
        .ok_or_else(|| Error::Conflict(format!("Package with id='{id}' can not be found.")))?;
    repositories::here(app, caller, found).await
}

/// The greatest version, and of equal ones that of the highest repository; the store
/// knows nothing of what lies in the inventory.
async fn best(app: &App, rows: Vec<PackageRow>) -> Result<Option<PackageRow>> {
    app.store
        .read(move |view| {
            let mut best: Option<(Option<i64>, PackageRow)> = None;
            for row in rows {
                let order = packages::repository(view, row.repository())?;
                let order = order.and_then(|it| it.repo_order);
                let above = |(its, it): &(Option<i64>, PackageRow)| {
                    compare_versions(&row.metadata.version, &it.metadata.version)
                        .then(order.cmp(its))
                };
                if best.as_ref().is_none_or(|it| above(it).is_gt()) {
                    best = Some((order, row));
                }
            }
            Ok(best.map(|(_, row)| row))
        })
        .await
}
