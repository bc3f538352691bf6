//! Changes how many instances of an application run. No new version comes of it.
//!
//! To be told the same number again changes nothing, so what a crash has cut off is
//! simply taken up again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;

use super::{
    check::{self, conflict},
    compose::shown,
    engine::{Trouble, Working, advance},
    model::{Release, ScaleItem, ScaleRequest, StatusCode},
    platform, status,
    status::unknown,
    steps::{asked, stopping},
};
use crate::{
    app::App,
    authz::{Permit, release_target},
    clock::now_ms,
    error::{Error, Result},
    store::{
        Outcome, View,
        operations::{self, Kind, Operation, Phase, Step, StepState},
        outbox::{self, Announcement},
        releases::{self, ReleaseRow},
    },
};

/// How long one application may take.
const SCALE_MAX: Duration = Duration::from_secs(120);

/// Scales applications of what runs of a release. Those that it does not have are left
/// out; a release that is deleted stays as it is.
pub async fn scale(
    app: &Arc<App>,
    permit: Permit,
    name: &str,
    request: ScaleRequest,
) -> Result<Release> {
    let wanted = counts(&request)?;
    warn_of_properties(&permit, &request);
    app.engine.free(app, name, Kind::Scale).await?;
    let seat = app.engine.seat(0)?;
    let (app, name) = (app.clone(), name.to_owned());
    let work = async move {
        let _seat = seat;
        let row = running(&app, &name).await?;
        let request = reviewed(&app, &permit, &row, request).await?;
        let wanted = if request == wanted { wanted } else { request };
        let row = carry_out(&app, &permit, row, &wanted).await?;
        let mut release = row.release.clone();
        if row.status() != StatusCode::Deleted {
            let plugins = &permit.caller.plugins;
            let fresh = status::ask(&app, plugins, std::slice::from_ref(&row)).await;
            if let Some(Some(text)) = fresh.into_iter().next() {
                release.info.status.platform_status = Some(text);
            }
        }
        Ok(release)
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

/// What a deployer is asked is a number. The original's local platform has no use for more
/// either, and says nothing.
fn warn_of_properties(permit: &Permit, request: &ScaleRequest) {
    let has_some = |it: &&ScaleItem| it.properties.as_ref().is_some_and(|it| !it.is_empty());
    let warnings = request.scale.iter().flatten().filter(has_some).map(|it| {
        let name = it.name.as_deref().unwrap_or_default();
        format!("application [{name}]: `scale.properties` have no effect")
    });
    permit.caller.warnings.add(warnings.collect());
}

/// How many instances, by the application's name.
type Counts = BTreeMap<String, u32>;

fn counts(request: &ScaleRequest) -> Result<Counts> {
    let mut counts = Counts::new();
    for it in request.scale.iter().flatten() {
        let name = it.name.as_deref().map(str::trim).unwrap_or_default();
        if name.is_empty() {
            return Err(conflict("`scale.name` must not be empty"));
        }
        let count = it.count.ok_or_else(|| conflict("`scale.count` must not be null"))?;
        let count = u32::try_from(count).ok().filter(|it| *it <= check::COUNT_MAX);
        let count = count.ok_or_else(|| {
            let most = check::COUNT_MAX;
            conflict(&format!("`scale.count` of application [{name}] must be from 0 to {most}"))
        })?;
        counts.insert(name.to_owned(), count);
    }
    Ok(counts)
}

/// What runs of the release, or else its greatest version.
async fn running(app: &App, name: &str) -> Result<ReleaseRow> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| match releases::newest_deployed(view, &wanted)? {
        None => releases::latest(view, &wanted),
        found => Ok(found),
    });
    found.await?.ok_or_else(|| unknown(name, None))
}

/// Puts the numbers to the before-hooks, who may change them.
async fn reviewed(
    app: &App,
    permit: &Permit,
    row: &ReleaseRow,
    request: ScaleRequest,
) -> Result<Counts> {
    let counts_of = |request: &ScaleRequest| counts(request);
    let object = json!({ "name": row.release.name, "version": row.release.version,
        "scale": request.scale });
    let amended = |object, request: &ScaleRequest| {
        let amended: ScaleRequest =
            serde_json::from_value(object).map_err(|it| format!("it is no scaling: {it}"))?;
        let names = |it: &ScaleRequest| -> Vec<Option<String>> {
            let items: Vec<&ScaleItem> = it.scale.iter().flatten().collect();
            items.into_iter().map(|it| it.name.clone()).collect()
        };
        if names(&amended) != names(request) {
            return Err("only `count`s may change".to_owned());
        }
        counts_of(&amended).map_err(|it| it.to_string())?;
        Ok(amended)
    };
    let previous = Some(shown(&row.release));
    let request = permit.reviewed(app, request, object, previous, amended).await?;
    counts(&request)
}

async fn carry_out(
    app: &Arc<App>,
    permit: &Permit,
    row: ReleaseRow,
    wanted: &Counts,
) -> Result<ReleaseRow> {
    let apps = row.apps.iter().filter(|it| wanted.contains_key(&it.name));
    let steps: Vec<Step> = apps
        .map(|it| Step { count: wanted.get(&it.name).copied(), ..Step::of_deployed(it) })
        .collect();
    if row.status() != StatusCode::Deployed || steps.is_empty() {
        return Ok(row);
    }
    let id = uuid::Uuid::new_v4().to_string();
    let mut operation = Operation::new(id, Kind::Scale, asked(permit), &row, steps);
    let _working = Working::on(app, &operation.id);
    let claim = app.store.write_as(operation.audit(), Outcome::Begun, move |change| {
        operations::begin(change, &mut operation)?;
        is_still_running(change, &operation)?;
        Ok(operation)
    });
    go_on(app, claim.await?).await
}

fn is_still_running(view: &(impl View + ?Sized), begun: &Operation) -> Result<()> {
    match releases::newest_deployed(view, &begun.release)? {
        Some(it) if it.release.version == begun.version => Ok(()),
        _ => {
            let name = &begun.release;
            Err(conflict(&format!("Release [{name}] has changed meanwhile: try again")))
        }
    }
}

/// Takes the steps that are left, and ends the operation. The first that fails ends it,
/// too; what was scaled before stays so.
pub(super) async fn go_on(app: &Arc<App>, mut operation: Operation) -> Result<ReleaseRow> {
    operation.attempts += 1;
    let mut failure: Option<Error> = None;
    for index in 0..operation.steps.len() {
        if operation.steps[index].state == StepState::Done {
            continue;
        }
        if app.engine.is_stopping() {
            return Err(stopping());
        }
        operation.steps[index].state = StepState::Begun;
        operation = advance(app, &operation).await?;
        match scale_one(app, &operation, &operation.steps[index]).await {
            Ok(handle) => {
                operation.steps[index].state = StepState::Done;
                operation.steps[index].handle = Some(handle);
            }
            Err(trouble) => {
                let step = &mut operation.steps[index];
                let why = format!("Could not scale application [{}]: {}", step.name, trouble.error);
                step.message = Some(why.clone());
                failure = Some(Error::Conflict(why));
                break;
            }
        }
        operation = advance(app, &operation).await?;
    }
    let row = finish(app, operation, failure.as_ref().map(ToString::to_string)).await?;
    failure.map_or(Ok(row), Err)
}

async fn scale_one(app: &App, operation: &Operation, step: &Step) -> Result<String, Trouble> {
    let platform = platform::find(app, &operation.platform)?;
    let deployer = platform.deployer_in(&app.plugins.set())?;
    let handle = step.handle.as_deref().unwrap_or_default();
    let count = step.count.unwrap_or(1);
    let scaled = deployer.scale(&platform.scope(&operation.id), handle, count, SCALE_MAX).await?;
    scaled.map(|it| it.handle).map_err(|it| Trouble::of(&platform, it))
}

/// The new handles are kept, and the operation has ended, well or not.
async fn finish(
    app: &App,
    mut operation: Operation,
    failure: Option<String>,
) -> Result<ReleaseRow> {
    let (name, version) = (operation.release.clone(), operation.version);
    let found = app.store.read(move |view| releases::find(view, &name, version)).await?;
    let mut row = found.ok_or_else(|| unknown(&operation.release, Some(version)))?;
    for step in operation.steps.iter().filter(|it| it.state == StepState::Done) {
        if let Some(app) = row.apps.iter_mut().find(|it| it.name == step.name) {
            app.handle = step.handle.clone().unwrap_or_default();
        }
    }
    operation.phase = if failure.is_none() { Phase::Done } else { Phase::Failed };
    operation.message = failure.clone();
    operation.ended_ms = Some(now_ms());
    let target = release_target(&operation.release, Some(version));
    let actor = operation.asked.principal.clone();
    let action = Kind::Scale.action();
    let mut told =
        Announcement::new(&app.plugins.set(), action, target, actor, Some(shown(&row.release)));
    if let Some(why) = &failure {
        told = told.failed(why);
    }
    let (audit, release) = (operation.audit(), operation.release.clone());
    let kept = row.clone();
    let write = move |change: &mut dyn crate::store::Change| {
        operations::advance(change, &mut operation)?;
        releases::put(change, &kept)?;
        outbox::announce(change, &told)
    };
    match failure {
        None => app.store.write(audit, write).await?,
        Some(why) => app.store.write_as(audit, Outcome::Failed { why }, write).await?,
    }
    app.engine.changed(&release);
    Ok(row)
}
