//! Puts a package on a platform as a new version of a release.
//!
//! The name is claimed before anything is fetched or started. The release's row
//! comes to be in the one transaction that ends the operation well, so a release
//! that did not come about was never there; its operation record tells of it.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    check::{self, conflict},
    compose::{self, Ask, Composition, Draft, shown},
    engine::Working,
    manifest::Application,
    model::{
        ConfigValues, InstallProperties, InstallRequest, PackageIdentifier, Release, StatusCode,
    },
    package,
    plan::{self as plans, Action},
    platform::{self, Platform},
    status,
    steps::{self, Counts, Failure, Place},
};
use crate::{
    app::App,
    authz::Permit,
    clock::now_ms,
    error::{Error, Result},
    plugins::deployer::AppStatus,
    store::{
        Outcome, View,
        operations::{self, Kind, Operation, Phase},
        outbox::{self, Announcement},
        packages::{self, PackageRow},
        releases::{self, ReleaseRow},
    },
};

mod request;

use request::Wanted;

const DESCRIPTION: &str = "Install complete";
const UNDERWAY: &str = "Initial install underway";

/// Installs a package. Goes on to its end even where the caller goes away.
pub async fn install(app: &Arc<App>, permit: Permit, request: InstallRequest) -> Result<Release> {
    install_as(app, permit, request, None).await
}

/// The same, if it is still what the plan of that index says.
pub async fn install_as(
    app: &Arc<App>,
    permit: Permit,
    request: InstallRequest,
    index: Option<String>,
) -> Result<Release> {
    let wanted = Wanted::read(&request)?;
    install_wanted(app, permit, wanted, index).await
}

async fn install_wanted(
    app: &Arc<App>,
    permit: Permit,
    wanted: Wanted,
    index: Option<String>,
) -> Result<Release> {
    let app = app.clone();
    app.engine.free(&app, &wanted.release, Kind::Install).await?;
    name_is_free(&app, &wanted.release, Kind::Install).await?;
    let package = wanted.package(&app, &permit).await?;
    let seat = app.engine.seat(package.size_bytes)?;
    let work = async move {
        let _seat = seat;
        let ask = Ask { action: permit.action, is_trial: false, previous: None };
        let (composition, platform) = composed(&app, &permit, wanted, package, ask).await?;
        plans::expect(index.as_deref(), Action::Install, None, &composition, &BTreeSet::new())?;
        put_on_platform(&app, &permit, Kind::Install, composition, &platform).await
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

/// What the package of an id is called, if there is one.
pub async fn identifier_of(app: &App, id: u64) -> Result<Option<PackageIdentifier>> {
    let found = app.store.read(move |view| packages::find_by_id(view, id)).await?;
    Ok(found.map(|it| PackageIdentifier {
        repository_name: it.metadata.repository_name,
        package_name: Some(it.metadata.name),
        package_version: Some(it.metadata.version),
    }))
}

/// The same with the package of an id.
pub async fn install_by_id(
    app: &Arc<App>,
    permit: Permit,
    id: u64,
    properties: InstallProperties,
) -> Result<Release> {
    let wanted = Wanted::of_id(id, &properties)?;
    install_wanted(app, permit, wanted, None).await
}

/// What [`install`] would do, without doing it: same checks, same hooks, nothing kept.
pub async fn plan(app: &App, permit: &Permit, request: InstallRequest) -> Result<Composition> {
    let wanted = Wanted::read(&request)?;
    name_is_free(app, &wanted.release, Kind::Install).await?;
    let package = wanted.package(app, permit).await?;
    let ask = Ask { action: Kind::Install.action(), is_trial: true, previous: None };
    let (composition, _) = composed(app, permit, wanted, package, ask).await?;
    Ok(composition)
}

async fn composed(
    app: &App,
    permit: &Permit,
    wanted: Wanted,
    package: PackageRow,
    ask: Ask<'_>,
) -> Result<(Composition, Platform)> {
    let platform = platform::find(app, &wanted.platform)?;
    let name = wanted.release.clone();
    let latest = app.store.read(move |view| releases::latest(view, &name)).await?;
    let draft = Draft {
        name: wanted.release,
        version: latest.map_or(1, |it| it.release.version + 1),
        platform: platform.clone(),
        pkg: package::load(app, &package).await?,
        package_sha256: package.blob_sha256,
        config_values: wanted.config_values,
        manifest: None,
        description: UNDERWAY,
    };
    Ok((compose::compose(app, permit, draft, ask).await?, platform))
}

/// Claims the name, starts all applications and keeps the release. Where that fails,
/// what was started is undone, and there never was such a release.
pub(super) async fn put_on_platform(
    app: &Arc<App>,
    permit: &Permit,
    kind: Kind,
    composition: Composition,
    platform: &Platform,
) -> Result<Release> {
    let Composition { row, applications, .. } = composition;
    let deployer = platform.deployer_in(&permit.caller.plugins)?;
    let planned = applications.iter().map(steps::planned).collect();
    let id = row.provenance.operation_id.clone();
    let mut operation = Operation::new(id, kind, steps::asked(permit), &row, planned);
    let _working = Working::on(app, &operation.id);
    let claim = app.store.write_as(operation.audit(), Outcome::Begun, move |change| {
        name_is_free_in(change, &operation.release, kind)?;
        releases::is_next(change, &operation.release, operation.version)?;
        operations::begin(change, &mut operation)?;
        Ok(operation)
    });
    let mut operation = claim.await?;

    let started = async {
        let place = Place { platform, deployer: &deployer };
        let apps: Vec<&Application> = applications.iter().collect();
        let prepared = place.prepare(app, permit, &mut operation, &apps, &Counts::new()).await?;
        place.start(app, &mut operation, &prepared).await
    };
    match started.await {
        Ok(statuses) => finish(app, permit, operation, row, &statuses).await,
        Err(Failure::Stopping) => Err(steps::stopping()),
        Err(Failure::Failed(error)) => {
            steps::undo(app, operation, error.to_string()).await?;
            Err(error)
        }
    }
}

/// The release is there, its operation has ended, and the hooks hear of it: all in
/// one transaction.
async fn finish(
    app: &Arc<App>,
    permit: &Permit,
    mut operation: Operation,
    mut row: ReleaseRow,
    statuses: &[AppStatus],
) -> Result<Release> {
    row.apps = operation.steps.iter().map(steps::deployed).collect();
    row.release.info.description = DESCRIPTION.to_owned();
    row.release.info.status.status_code = StatusCode::Deployed;
    row.release.info.status.platform_status = Some(status::text(&row, statuses));

    operation.phase = Phase::Done;
    operation.ended_ms = Some(now_ms());
    let told = Announcement::of(permit, Some(shown(&row.release)));
    let kept_row = row.clone();
    let kept = app.store.write(operation.audit(), move |change| {
        operations::advance(change, &mut operation)?;
        releases::put(change, &kept_row)?;
        outbox::announce(change, &told)
    });
    kept.await?;
    app.engine.changed(&row.release.name);
    app.engine.follow(&row);
    Ok(row.release)
}

/// Refuses a name that is held by an operation or by a release that is not deleted.
fn name_is_free_in(view: &(impl View + ?Sized), name: &str, wanted: Kind) -> Result<()> {
    if let Some(held) = operations::open_of(view, name)? {
        return Err(operations::busy(wanted, &held));
    }
    match releases::latest_not_failed(view, name)? {
        Some(it) if it.status() != StatusCode::Deleted => Err(conflict(&format!(
            "Release with the name [{name}] already exists and it is not deleted."
        ))),
        _ => Ok(()),
    }
}

/// The same, over what is stored now.
async fn name_is_free(app: &App, name: &str, wanted: Kind) -> Result<()> {
    let name = name.to_owned();
    app.store.read(move |view| name_is_free_in(view, &name, wanted)).await
}
