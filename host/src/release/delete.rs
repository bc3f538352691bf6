//! Takes a release off its platform.
//!
//! A deletion that a crash has cut off, or that its platform refuses for a while, is
//! finished by the engine: whoever asked for it wanted it gone.

use std::sync::Arc;

use super::{
    compose::shown,
    delete_package,
    engine::{ATTEMPTS_MAX, Working, blob_owner, may_still_run},
    model::{PackageMetadata, Release, StatusCode},
    status::unknown,
    steps::{Part, asked, take_off},
};
use crate::{
    app::App,
    authz::{Permit, release_target},
    clock::now_ms,
    error::{Error, Result},
    store::{
        Change, Outcome, View, blob_refs,
        operations::{self, Kind, Operation, Phase, Step},
        outbox::{self, Announcement},
        packages,
        releases::{self, ReleaseRow},
    },
};

const DESCRIPTION: &str = "Delete complete";

/// Deletes the newest deployed version of a release. Goes on to its end even where
/// the caller goes away.
pub async fn delete(app: &Arc<App>, permit: Permit, name: &str) -> Result<Release> {
    delete_and(app, permit, name, None).await
}

/// The same, and all versions of the package that the release was made of. Those go
/// first, in the transaction that claims the release's name: where they may not go, the
/// release stays as well.
pub async fn delete_with_package(
    app: &Arc<App>,
    permit: Permit,
    of_package: Permit,
    name: &str,
) -> Result<Release> {
    delete_and(app, permit, name, Some(of_package)).await
}

/// The name of the package that would go with a release.
pub async fn package_of(app: &App, _: &Permit, name: &str) -> Result<String> {
    let wanted = name.to_owned();
    let row = app.store.read(move |view| deployed(view, &wanted)).await?;
    Ok(row.release.pkg.metadata.name)
}

async fn delete_and(
    app: &Arc<App>,
    permit: Permit,
    name: &str,
    of_package: Option<Permit>,
) -> Result<Release> {
    let (app, name) = (app.clone(), name.to_owned());
    app.engine.free(&app, &name, Kind::Delete).await?;
    let seat = app.engine.seat(0)?;
    let work = async move {
        let _seat = seat;
        let wanted = name.clone();
        let row = app.store.read(move |view| deployed(view, &wanted)).await?;
        let leaving = match of_package {
            Some(permit) => Some(Leaving::check(&app, permit, &row).await?),
            None => None,
        };
        let object = shown(&row.release);
        let fixed = |_, _: &()| Err("what is deleted can only be let pass or kept".to_owned());
        permit.reviewed(&app, (), object.clone(), Some(object), fixed).await?;
        if row.apps.is_empty() {
            if let Some(leaving) = leaving {
                leaving.rest(&app).await?;
            }
            return Ok(row.release);
        }
        let mut operation = record(&permit, &row);
        let _working = Working::on(&app, &operation.id);
        let (with, begun) = (leaving.clone(), operation.audit());
        let claim = move |change: &mut dyn Change| {
            let now = deployed(change, &operation.release)?;
            if now.release.version != operation.version {
                return Err(Error::Conflict(format!(
                    "Release [{}] has changed meanwhile: try again",
                    operation.release
                )));
            }
            operations::begin(change, &mut operation)?;
            Ok((operation, with.map_or(Ok(true), |it| it.some(change))?))
        };
        let operation = match leaving {
            None => app.store.write_as(begun, Outcome::Begun, claim).await?.0,
            Some(leaving) => {
                let (operation, is_whole) =
                    app.store.write_both(leaving.permit.audit(), begun, claim).await?;
                if !is_whole {
                    leaving.rest(&app).await?;
                }
                operation
            }
        };
        match go_on(&app, operation).await? {
            Ended::Deleted(release) => Ok(*release),
            Ended::NotYet(why) => Err(Error::Conflict(why)),
        }
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

/// The package that goes with a release.
#[derive(Clone)]
struct Leaving {
    permit: Permit,
    name: String,
    /// The release that does not keep it.
    exempt: (String, u32),
}

impl Leaving {
    /// Checks that it may go.
    async fn check(app: &App, permit: Permit, row: &ReleaseRow) -> Result<Leaving> {
        let PackageMetadata { name, repository_name, .. } = &row.release.pkg.metadata;
        let repository = repository_name.clone().unwrap_or_else(|| packages::LOCAL.to_owned());
        let found = app.store.read(move |view| packages::repository(view, &repository)).await?;
        if !found.is_some_and(|it| it.local) {
            return Err(Error::Undeletable(format!(
                "Can't delete package: {name} from non-local repository"
            )));
        }
        let exempt = (row.release.name.clone(), row.release.version);
        let packages = delete_package::check(app, name, Some(exempt.clone())).await?;
        delete_package::reviewed(app, &permit, &packages).await?;
        Ok(Leaving { permit, name: name.clone(), exempt })
    }

    /// Drops some versions of it, and says whether none is left.
    fn some(&self, change: &mut dyn Change) -> Result<bool> {
        delete_package::drop_some(change, &self.permit, &self.name, Some(&self.exempt))
    }

    /// Drops all that are left.
    async fn rest(self, app: &App) -> Result<()> {
        loop {
            let leaving = self.clone();
            let dropped = app.store.write(self.permit.audit(), move |change| leaving.some(change));
            if dropped.await? {
                return Ok(());
            }
        }
    }
}

/// The release to delete, unless somebody is busy with it.
fn deployed(view: &(impl View + ?Sized), name: &str) -> Result<ReleaseRow> {
    if let Some(held) = operations::open_of(view, name)? {
        return Err(operations::busy(Kind::Delete, &held));
    }
    releases::newest_deployed(view, name)?.ok_or_else(|| unknown(name, None))
}

fn record(permit: &Permit, row: &ReleaseRow) -> Operation {
    let steps = row.apps.iter().map(Step::of_deployed).collect();
    Operation::new(uuid::Uuid::new_v4().to_string(), Kind::Delete, asked(permit), row, steps)
}

/// How an attempt has ended.
pub(super) enum Ended {
    /// The release is gone.
    Deleted(Box<Release>),
    /// The engine tries again; the sentence is for whoever asked.
    NotYet(String),
}

/// Takes the steps that are left and, unless some of them are to be tried again, ends
/// the operation.
pub(super) async fn go_on(app: &Arc<App>, mut operation: Operation) -> Result<Ended> {
    operation.attempts += 1;
    let again = take_off(app, &mut operation, Part::Steps).await?;
    if !again.is_empty() && operation.attempts < ATTEMPTS_MAX {
        app.engine.rest(&operation);
        return Ok(Ended::NotYet(format!(
            "Release [{}] is not deleted yet, and the server goes on trying (operation {}): {}",
            operation.release,
            operation.id,
            again.join("; ")
        )));
    }
    finish(app, operation).await.map(|it| Ended::Deleted(Box::new(it)))
}

// As in the original, what cannot be taken off does not keep the release; the
// operation's record tells of it.
async fn finish(app: &App, mut operation: Operation) -> Result<Release> {
    let (name, version) = (operation.release.clone(), operation.version);
    let found = app.store.read(move |view| releases::find(view, &name, version)).await?;
    let mut row = found.ok_or_else(|| unknown(&operation.release, Some(version)))?;
    row.release.info.status.status_code = StatusCode::Deleted;
    row.release.info.status.platform_status = None;
    row.release.info.description = DESCRIPTION.to_owned();

    let left: Vec<&str> = operation
        .steps
        .iter()
        .filter(|it| it.message.is_some())
        .map(|it| it.name.as_str())
        .collect();
    operation.message = may_still_run(&operation, &left);
    operation.phase = Phase::Done;
    operation.ended_ms = Some(now_ms());
    let told = announcement(app, &operation, &row);
    // Nobody else changes it while the operation holds its name.
    let kept_row = row.clone();
    let kept = app.store.write(operation.audit(), move |change| {
        operations::advance(change, &mut operation)?;
        releases::put(change, &kept_row)?;
        for it in &kept_row.apps {
            if let Some(sha256) = &it.artifact_sha256 {
                blob_refs::release(change, sha256, &blob_owner(&operation, &it.name));
            }
        }
        outbox::announce(change, &told)
    });
    kept.await?;
    app.engine.changed(&row.release.name);
    Ok(row.release)
}

// Made from the record, not from a permit: it may be another server that ends it.
fn announcement(app: &App, operation: &Operation, row: &ReleaseRow) -> Announcement {
    let target = release_target(&row.release.name, Some(row.release.version));
    let actor = operation.asked.principal.clone();
    let object = Some(shown(&row.release));
    Announcement::new(&app.plugins.set(), "release:delete", target, actor, object)
}
