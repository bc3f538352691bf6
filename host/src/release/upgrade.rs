//! Puts another version of a release beside the one that runs, and takes that one
//! away once the new one is healthy.
//!
//! Only what differs is started: an application that stays as it is goes over to the
//! new version as it runs. The request is answered when all is started; the rest is
//! `settle`'s, who goes on wherever a crash has left it. Until the new version is
//! healthy the old one is not touched, so whatever happens, one of them runs.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    check::conflict,
    compose::{self, Ask, Composition, Draft},
    difference::{self, Change, Difference, Forced},
    engine::{Working, blob_owner},
    manifest::{self, Application},
    model::{ConfigValues, Release, StatusCode, UpgradeProperties, UpgradeRequest, stated},
    package,
    plan::{self as plans, Action},
    platform::{self, Platform},
    status::unknown,
    steps::{self, Counts, Failure, Place},
    values,
};
use crate::{
    app::App,
    authz::Permit,
    clock::now_ms,
    config::CarriedValues,
    error::{Error, Result},
    store::{
        Outcome, blob_refs,
        operations::{self, Kind, Operation, Phase, Step},
        packages::PackageRow,
        releases::{self, DeployedApp, ReleaseRow},
    },
};

mod settle;

pub(super) use settle::go_on;

const UNDERWAY: &str = "Upgrade install underway";
/// What a caller is told where the new version is the old one.
const SAME: &str =
    "Package to upgrade has no difference than existing deployed/deleted package. Not upgrading.";

/// A new version of a release, beside the one that it is to take the place of.
pub struct Planned {
    /// The version that runs, or the one that was deleted last.
    pub existing: ReleaseRow,
    /// The new version.
    pub composition: Composition,
    /// What differs between the two manifests.
    pub difference: Difference,
    /// The applications that would be started.
    pub deploys: BTreeSet<String>,
    pub(super) platform: Platform,
}

/// A request that has all it needs.
struct Wanted {
    release: String,
    package: String,
    /// The newest where there is none.
    version: Option<String>,
    config_values: ConfigValues,
    forced: Forced,
    timeout_ms: Option<u64>,
}

/// Upgrades a release. The answer comes when everything is started; the work goes on
/// to its end even where the caller goes away.
pub async fn upgrade(app: &Arc<App>, permit: Permit, request: UpgradeRequest) -> Result<Release> {
    upgrade_as(app, permit, request, None).await
}

/// The same, if it is still what the plan of that index says.
pub async fn upgrade_as(
    app: &Arc<App>,
    permit: Permit,
    request: UpgradeRequest,
    index: Option<String>,
) -> Result<Release> {
    let app = app.clone();
    let wanted = Wanted::read(request)?;
    app.engine.free(&app, &wanted.release, Kind::Upgrade).await?;
    let (existing, latest) = running(&app, &wanted.release).await?;
    let package = wanted.package(&app, &permit).await?;
    let seat = app.engine.seat(package.size_bytes)?;
    let work = async move {
        let timeout_ms = wanted.timeout_ms;
        let planned = planned(&app, &permit, wanted, package, (existing, latest), false).await?;
        planned.expect(index.as_deref(), Action::Upgrade)?;
        replace(&app, &permit, Kind::Upgrade, planned, timeout_ms, seat).await
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

/// What [`upgrade`] would do, without doing it: same checks, same hooks, nothing kept.
/// That nothing differs is no error here.
pub async fn plan(app: &App, permit: &Permit, request: UpgradeRequest) -> Result<Planned> {
    let wanted = Wanted::read(request)?;
    let found = running(app, &wanted.release).await?;
    let package = wanted.package(app, permit).await?;
    planned(app, permit, wanted, package, found, true).await
}

async fn planned(
    app: &App,
    permit: &Permit,
    wanted: Wanted,
    package: PackageRow,
    (existing, latest): (ReleaseRow, ReleaseRow),
    is_trial: bool,
) -> Result<Planned> {
    let platform = platform::find(app, &existing.release.platform_name)?;
    let config_values = match app.config.releases.upgrade_values {
        CarriedValues::Added => carried(&latest.release.config_values, wanted.config_values)?,
        CarriedValues::Replaced => wanted.config_values,
    };
    let draft = Draft {
        name: wanted.release,
        version: latest.release.version + 1,
        platform: platform.clone(),
        pkg: package::load(app, &package).await?,
        package_sha256: package.blob_sha256,
        config_values,
        manifest: None,
        description: UNDERWAY,
    };
    let ask = Ask { action: Kind::Upgrade.action(), is_trial, previous: Some(&existing.release) };
    let composition = compose::compose(app, permit, draft, ask).await?;
    Planned::of(existing, composition, platform, &wanted.forced).await
}

/// The values of a request over those of the version before, where both have some: a
/// request without any gets none, as in the original.
pub(super) fn carried(before: &ConfigValues, wanted: ConfigValues) -> Result<ConfigValues> {
    let given = |it: &ConfigValues| it.raw.clone().filter(|it| !it.trim().is_empty());
    match (given(before), given(&wanted)) {
        (Some(before), Some(over)) => {
            Ok(ConfigValues { raw: Some(values::carried(&before, &over)?) })
        }
        _ => Ok(wanted),
    }
}

/// The version that an upgrade starts from, and the greatest one.
pub(super) async fn running(app: &App, name: &str) -> Result<(ReleaseRow, ReleaseRow)> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| {
        let existing = releases::newest_settled(view, &wanted)?;
        Ok(existing.zip(releases::latest(view, &wanted)?))
    });
    found.await?.ok_or_else(|| unknown(name, None))
}

impl Planned {
    pub(super) async fn of(
        existing: ReleaseRow,
        composition: Composition,
        platform: Platform,
        forced: &Forced,
    ) -> Result<Planned> {
        let old = manifest::read(existing.release.manifest.data.clone()).await?;
        let difference = difference::between(&old, &composition.applications);
        let mut deploys = difference.to_deploy(forced)?;
        if !deploys.is_empty() || !difference.is_empty() {
            // What does not run is started whether it differs or not.
            let runs = |name: &String| {
                existing.status() == StatusCode::Deployed
                    && existing.apps.iter().any(|it| it.name == *name)
            };
            let stays = difference.named(|it| it != Change::Removed);
            deploys.extend(stays.into_iter().filter(|it| !runs(it)));
        }
        Ok(Planned { existing, composition, difference, deploys, platform })
    }

    /// Refuses to go on where this is not what is expected.
    pub(super) fn expect(&self, index: Option<&str>, action: Action) -> Result<()> {
        let Planned { existing, composition, deploys, .. } = self;
        plans::expect(index, action, Some(existing), composition, deploys)
    }

    /// Whether an upgrade would change anything.
    pub fn changes_something(&self) -> bool {
        !self.deploys.is_empty() || !self.difference.is_empty()
    }
}

/// Claims the name, starts what differs, and leaves the rest to [`settle`]. The release
/// as it is then is the answer.
pub(super) async fn replace(
    app: &Arc<App>,
    permit: &Permit,
    kind: Kind,
    planned: Planned,
    timeout_ms: Option<u64>,
    seat: OwnedSemaphorePermit,
) -> Result<Release> {
    if !planned.changes_something() {
        return Err(Error::Unchanged(SAME.to_owned()));
    }
    let deployer = planned.platform.deployer_in(&permit.caller.plugins)?;
    let place = Place { platform: &planned.platform, deployer: &deployer };
    let operation = record(app, permit, kind, &planned, timeout_ms);
    let working = Working::on(app, &operation.id)
        .ok_or_else(|| Error::Internal("a new operation is under way already".to_owned()))?;
    let Planned { existing, composition, difference, deploys, .. } = planned;
    let mut operation = claim(app, operation, existing.release.version, existing.status()).await?;
    tracing::info!(
        release = operation.release,
        version = operation.version,
        differences = difference.summary(),
        "an upgrade begins"
    );

    let Composition { mut row, applications, .. } = composition;
    let changed: Vec<&Application> =
        applications.iter().filter(|it| deploys.contains(&it.name)).collect();
    let counts = counts(&place, &existing, &changed).await;
    let prepared = place.prepare(app, permit, &mut operation, &changed, &counts).await;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        // There is no new version yet, so there is none that failed.
        Err(error) => {
            steps::undo(app, operation, error.to_string()).await?;
            return Err(error);
        }
    };
    let names: Vec<&str> = applications.iter().map(|it| it.name.as_str()).collect();
    row.apps = placed(&operation, &names);
    appear(app, &mut operation, &row).await?;

    let started = place.start(app, &mut operation, &prepared).await;
    row.apps = placed(&operation, &names);
    match started {
        Ok(_) => {
            settle::begin_to_wait(app, &mut operation, &row).await?;
            drop(seat);
            let app = app.clone();
            tokio::spawn(async move { settle::to_the_end(&app, working, operation).await });
            Ok(row.release)
        }
        Err(Failure::Stopping) => Err(steps::stopping()),
        Err(Failure::Failed(error)) => {
            settle::fail(app, operation, steps::NOT_DEPLOYED.to_owned(), error.to_string()).await?;
            row.release.info.status.status_code = StatusCode::Failed;
            row.release.info.description = steps::NOT_DEPLOYED.to_owned();
            Ok(row.release)
        }
    }
}

fn record(
    app: &App,
    permit: &Permit,
    kind: Kind,
    planned: &Planned,
    timeout_ms: Option<u64>,
) -> Operation {
    let Planned { existing, composition, deploys, .. } = planned;
    let row = &composition.row;
    let starts = |it: &&Application| deploys.contains(&it.name);
    let started = composition.applications.iter().filter(starts).map(steps::planned).collect();
    let id = row.provenance.operation_id.clone();
    let mut operation = Operation::new(id, kind, steps::asked(permit), row, started);
    operation.source = Some(existing.release.version);
    operation.timeout_ms = timeout_ms.unwrap_or(app.config.releases.health_timeout_ms);
    if existing.status() == StatusCode::Deployed {
        let stays = |it: &DeployedApp| {
            let is_wanted = composition.applications.iter().any(|app| app.name == it.name);
            is_wanted && !deploys.contains(&it.name)
        };
        let (kept, retired): (Vec<_>, Vec<_>) =
            existing.apps.iter().cloned().partition(|it| stays(it));
        operation.kept = kept;
        operation.retired = retired.iter().map(Step::of_deployed).collect();
    }
    operation
}

async fn claim(
    app: &App,
    mut operation: Operation,
    source: u32,
    status: StatusCode,
) -> Result<Operation> {
    let claim = app.store.write_as(operation.audit(), Outcome::Begun, move |change| {
        let name = operation.release.clone();
        operations::begin(change, &mut operation)?;
        releases::is_next(change, &name, operation.version)?;
        // It may have been deleted since it was looked at.
        match releases::newest_settled(change, &name)? {
            Some(it) if it.release.version == source && it.status() == status => Ok(operation),
            _ => Err(conflict(&format!("Release [{name}] has changed meanwhile: try again"))),
        }
    });
    claim.await
}

/// The new version comes to be, `UNKNOWN`, with the bytes that it needs of its own and
/// those that it shares with the old.
async fn appear(app: &App, operation: &mut Operation, row: &ReleaseRow) -> Result<()> {
    let (mut advanced, row) = (operation.clone(), row.clone());
    advanced.deadline_ms = now_ms().saturating_add(advanced.timeout_ms);
    let kept = app.store.write_unaudited(move |change| {
        operations::advance(change, &mut advanced)?;
        releases::put(change, &row)?;
        steps::need(change, &advanced);
        for it in &advanced.kept {
            if let Some(sha256) = &it.artifact_sha256 {
                blob_refs::refer(change, sha256, &blob_owner(&advanced, &it.name));
            }
        }
        Ok(advanced)
    });
    *operation = kept.await?;
    Ok(())
}

/// The applications of the new version as far as they are on the platform, in the
/// manifest's order.
fn placed(operation: &Operation, names: &[&str]) -> Vec<DeployedApp> {
    let of = |name: &&str| {
        let kept = operation.kept.iter().find(|it| it.name == *name).cloned();
        let step = || operation.steps.iter().find(|it| it.name == *name).map(steps::deployed);
        kept.or_else(step).filter(|it| !it.handle.is_empty())
    };
    names.iter().filter_map(of).collect()
}

/// How many instances run of those that are started anew, where their manifest does
/// not ask for another number than before.
async fn counts(place: &Place<'_>, existing: &ReleaseRow, changed: &[&Application]) -> Counts {
    let mut counts = Counts::new();
    if existing.status() != StatusCode::Deployed {
        return counts;
    }
    let Ok(old) = manifest::read(existing.release.manifest.data.clone()).await else {
        return counts;
    };
    for it in changed {
        let before = old.iter().find(|old| old.name == it.name);
        let deployed = existing.apps.iter().find(|app| app.name == it.name);
        let (Some(before), Some(deployed)) = (before, deployed) else { continue };
        let asks_for_another = super::check::count(before).ok() != super::check::count(it).ok();
        if asks_for_another {
            continue;
        }
        match place.instances(&deployed.handle).await {
            Ok(0) => {}
            Ok(count) => {
                counts.insert(it.name.clone(), count);
            }
            Err(error) => {
                tracing::warn!(app = it.name, %error, "how many instances run is unknown");
            }
        }
    }
    counts
}

impl Wanted {
    /// Reads a request; the original's own sentences say what is missing.
    fn read(request: UpgradeRequest) -> Result<Wanted> {
        let missing = |what: &str| conflict(&format!("{what} must not be null"));
        let empty = |what: &str| conflict(&format!("{what} must not be empty"));
        let UpgradeProperties { release_name, config_values } =
            request.upgrade_properties.ok_or_else(|| missing("Upgrade properties"))?;
        let package = request.package_identifier.ok_or_else(|| missing("Package identifier"))?;
        let names = request.app_names.unwrap_or_default();
        Ok(Wanted {
            release: stated(release_name.as_deref()).ok_or_else(|| empty("Release name"))?,
            package: stated(package.package_name.as_deref())
                .ok_or_else(|| empty("Package name"))?,
            version: stated(package.package_version.as_deref()),
            config_values: config_values.unwrap_or_default(),
            forced: Forced {
                force: request.force.unwrap_or_default(),
                names: names.iter().filter_map(|it| stated(Some(it))).collect(),
            },
            timeout_ms: timeout(request.timeout)?,
        })
    }

    /// The package that is meant. In the words of the original, which has a version of
    /// `null` where none was asked for.
    async fn package(&self, app: &App, permit: &Permit) -> Result<PackageRow> {
        let version = self.version.as_deref();
        let found = package::find(app, &permit.caller, &self.package, version).await?;
        found.ok_or_else(|| package::no_version(&self.package, version.unwrap_or("null")))
    }
}

/// How long to wait for the new version to be healthy, in milliseconds.
pub(super) fn timeout(asked: Option<i64>) -> Result<Option<u64>> {
    let Some(asked) = asked else { return Ok(None) };
    let wrong = || conflict(&format!("`timeout` can not be less than zero.  Value = {asked}"));
    u64::try_from(asked).map(Some).map_err(|_| wrong())
}
