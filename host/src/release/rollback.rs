//! Brings an earlier version of a release back, as a new version.
//!
//! What comes back is exactly what was there: the package, the values and the manifest
//! that the release has kept, whatever became of the package since. Where the settings
//! say so, its values are laid over those of the greatest version instead, and it is
//! rendered anew, as the original's newest releases do.

use std::sync::Arc;

use super::{
    check::conflict,
    compose::{self, Ask, Draft, Rendered},
    difference::Forced,
    install,
    model::{Release, RollbackRequest, StatusCode, stated},
    plan::Action,
    platform::{self, Platform},
    status::unknown,
    upgrade::{self, Planned, carried, replace, running, timeout},
};
use crate::{
    app::App,
    authz::Permit,
    config::CarriedValues,
    error::{Error, Result},
    store::{
        operations::Kind,
        releases::{self, ReleaseRow},
    },
};

// As in the original whose answers are our examples.
const UNDERWAY: &str = "Initial install underway";

/// A request that has all it needs.
struct Wanted {
    release: String,
    /// The one before where there is none.
    version: Option<u32>,
    timeout_ms: Option<u64>,
}

/// Rolls a release back. What runs is replaced as in an upgrade, and the answer comes
/// when all is started; where nothing runs, it is an install, and comes when it is done.
pub async fn rollback(app: &Arc<App>, permit: Permit, request: RollbackRequest) -> Result<Release> {
    rollback_as(app, permit, request, None).await
}

/// The same, if it is still what the plan of that index says.
pub async fn rollback_as(
    app: &Arc<App>,
    permit: Permit,
    request: RollbackRequest,
    index: Option<String>,
) -> Result<Release> {
    let app = app.clone();
    let wanted = Wanted::read(&request)?;
    app.engine.free(&app, &wanted.release, Kind::Rollback).await?;
    let seat = app.engine.seat(0)?;
    let work = async move {
        let timeout_ms = wanted.timeout_ms;
        let planned = planned(&app, &permit, wanted, false).await?;
        planned.expect(index.as_deref(), Action::Rollback)?;
        if planned.existing.status() == StatusCode::Deleted {
            let Planned { composition, platform, .. } = planned;
            let kind = Kind::Rollback;
            return install::put_on_platform(&app, &permit, kind, composition, &platform).await;
        }
        replace(&app, &permit, Kind::Rollback, planned, timeout_ms, seat).await
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

/// What [`rollback`] would do, without doing it: same checks, same hooks, nothing kept.
pub async fn plan(app: &App, permit: &Permit, request: RollbackRequest) -> Result<Planned> {
    planned(app, permit, Wanted::read(&request)?, true).await
}

async fn planned(app: &App, permit: &Permit, wanted: Wanted, is_trial: bool) -> Result<Planned> {
    let (existing, latest) = running(app, &wanted.release).await?;
    let target = target(app, &wanted, &existing).await?;
    let platform = platform::find(app, &existing.release.platform_name)?;
    let draft = draft(app, target, &latest, &platform)?;
    let ask = Ask { action: Kind::Rollback.action(), is_trial, previous: Some(&existing.release) };
    let composition = compose::compose(app, permit, draft, ask).await?;
    upgrade::Planned::of(existing, composition, platform, &Forced::default()).await
}

fn draft(app: &App, target: ReleaseRow, latest: &ReleaseRow, platform: &Platform) -> Result<Draft> {
    let ReleaseRow { release, provenance, .. } = target;
    let (config_values, manifest) = match app.config.releases.rollback_values {
        CarriedValues::Replaced => {
            let renderer_sha256 = provenance.renderer_sha256;
            (release.config_values, Some(Rendered { text: release.manifest.data, renderer_sha256 }))
        }
        CarriedValues::Added => {
            (carried(&latest.release.config_values, release.config_values)?, None)
        }
    };
    Ok(Draft {
        name: release.name,
        version: latest.release.version + 1,
        platform: platform.clone(),
        pkg: release.pkg,
        package_sha256: provenance.package_sha256,
        config_values,
        manifest,
        description: UNDERWAY,
    })
}

/// The version that comes back.
async fn target(app: &App, wanted: &Wanted, existing: &ReleaseRow) -> Result<ReleaseRow> {
    let (name, version) = (wanted.release.clone(), wanted.version);
    let before = existing.release.version;
    let found = app.store.read(move |view| match version {
        Some(version) => releases::find(view, &name, version),
        None => releases::newest_settled_before(view, &name, before),
    });
    let found = found.await?.ok_or_else(|| unknown(&wanted.release, wanted.version))?;
    match found.status() {
        StatusCode::Deployed | StatusCode::Deleted => Ok(found),
        StatusCode::Unknown | StatusCode::Failed => {
            Err(conflict("Rollback version should either be in deployed or deleted status."))
        }
    }
}

impl Wanted {
    /// Reads a request; the original's own sentences say what is missing.
    fn read(request: &RollbackRequest) -> Result<Wanted> {
        let release = stated(request.release_name.as_deref())
            .ok_or_else(|| conflict("Release name must not be empty"))?;
        let version =
            request.version.ok_or_else(|| conflict("Rollback version must not be null"))?;
        let too_small =
            || conflict(&format!("Rollback version can not be less than zero.  Value = {version}"));
        let version = u32::try_from(version).map_err(|_| too_small())?;
        Ok(Wanted {
            release,
            version: (version > 0).then_some(version),
            timeout_ms: timeout(request.timeout)?,
        })
    }
}
