//! Deletes every version of a package, unless a release needs one.
//!
//! A release has its own copy, so what is deleted takes nothing from releases; the
//! rule keeps people from losing what they would install again.

use serde_json::json;

use super::model::StatusCode;
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change, View,
        operations::{self, Kind, Operation, Phase},
        outbox::{self, Announcement},
        packages::{self, PackageRow},
        releases,
    },
};

/// Versions of one name that one transaction drops.
const BATCH: usize = 256;

/// Deletes all versions of a package.
pub async fn delete_package(app: &App, permit: Permit, name: &str) -> Result<()> {
    let deletable = check(app, name, None).await?;
    reviewed(app, &permit, &deletable).await?;
    let name = name.to_owned();
    loop {
        let (permit, name) = (permit.clone(), name.clone());
        let deleted =
            app.store.write(permit.audit(), move |change| drop_some(change, &permit, &name, None));
        if deleted.await? {
            return Ok(());
        }
    }
}

/// The packages of that name, if all of them may be deleted while `exempt`, a release
/// and its version, is not counted.
pub(super) async fn check(
    app: &App,
    name: &str,
    exempt: Option<(String, u32)>,
) -> Result<Vec<PackageRow>> {
    let name = name.to_owned();
    app.store.scan(move |view| deletable(view, &name, exempt.as_ref())).await
}

/// Puts what is to be deleted to the before-hooks.
pub(super) async fn reviewed(app: &App, permit: &Permit, rows: &[PackageRow]) -> Result<()> {
    let object = json!(rows.iter().map(|it| &it.metadata).collect::<Vec<_>>());
    let fixed = |_, _: &()| Err("what is deleted can only be let pass or kept".to_owned());
    permit.reviewed(app, (), object.clone(), Some(object), fixed).await
}

/// Drops packages of that name, and says whether none is left; then the after-hooks
/// are told.
pub(super) fn drop_some(
    change: &mut dyn Change,
    permit: &Permit,
    name: &str,
    exempt: Option<&(String, u32)>,
) -> Result<bool> {
    let rows = deletable(change, name, exempt)?;
    for row in rows.iter().take(BATCH) {
        packages::delete(change, row)?;
    }
    let done = rows.len() <= BATCH;
    if done {
        let told = json!(rows.iter().map(|it| &it.metadata).collect::<Vec<_>>());
        outbox::announce(change, &Announcement::of(permit, Some(told)))?;
    }
    Ok(done)
}

fn deletable(
    view: &(impl View + ?Sized),
    name: &str,
    exempt: Option<&(String, u32)>,
) -> Result<Vec<PackageRow>> {
    let rows = packages::of_name(view, name)?;
    if rows.is_empty() {
        return Err(Error::Conflict(format!("Can not find a package named '{name}'")));
    }
    let underway = underway(view)?;
    let mut in_use = Vec::new();
    for row in &rows {
        let repository = row.repository();
        let local = packages::repository(view, repository)?.is_some_and(|it| it.local);
        if !local {
            return Err(Error::Undeletable(format!(
                "Can not delete package [{name}], associated repository [{repository}] is remote."
            )));
        }
        let mut active = active(view, row, exempt)?;
        let makes_use = |it: &&(String, String)| row.is_here() && it.1 == row.blob_sha256;
        for (release, _) in underway.iter().filter(makes_use) {
            if !active.contains(release) {
                active.push(release.clone());
            }
        }
        if !active.is_empty() {
            in_use.push(format!(
                "Can not delete Package Metadata [{name}:{}] in Repository [{repository}]. Not \
                 all releases of this package have the status DELETED. Active Releases [{}]",
                row.metadata.version,
                active.join(",")
            ));
        }
    }
    match in_use.is_empty() {
        true => Ok(rows),
        false => Err(Error::Undeletable(in_use.join(","))),
    }
}

/// The releases that are being made, each with the digest of the zip that it is made of:
/// there may be no version of them yet.
fn underway(view: &(impl View + ?Sized)) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let open = operations::open(view, &after, BATCH)?;
        let Some(last) = open.last() else { return Ok(found) };
        after = last.release.clone();
        let makes = |it: &Operation| {
            matches!(it.kind, Kind::Install | Kind::Upgrade | Kind::Rollback)
                && matches!(it.phase, Phase::Doing | Phase::Waiting)
        };
        let making = open.into_iter().filter(makes);
        found.extend(making.map(|it| (it.release, it.provenance.package_sha256)));
    }
}

/// The releases made of exactly that package whose newest version that did not fail,
/// of those made of it, is not deleted.
fn active(
    view: &(impl View + ?Sized),
    row: &PackageRow,
    exempt: Option<&(String, u32)>,
) -> Result<Vec<String>> {
    let mut active: Vec<String> = Vec::new();
    let mut judged: Option<String> = None;
    // The newest version of a name comes first.
    for (name, version) in releases::made_of(view, &row.metadata)? {
        if judged.as_ref() == Some(&name) {
            continue;
        }
        let found = releases::find(view, &name, version)?;
        let Some(release) = found.filter(|it| it.status() != StatusCode::Failed) else { continue };
        let exempted = exempt.is_some_and(|it| *it == (name.clone(), version));
        if release.status() != StatusCode::Deleted && !exempted {
            active.push(name.clone());
        }
        judged = Some(name);
    }
    Ok(active)
}
