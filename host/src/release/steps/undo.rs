//! Takes back what an operation has started. A version that was to take the place of
//! another one stays, as failed; the other one is not touched.

use super::*;
use crate::{
    authz::release_target,
    clock::now_ms,
    release::{
        compose::shown,
        engine::{ATTEMPTS_MAX, Trouble, may_still_run},
        model::StatusCode,
        platform,
    },
    store::{
        Outcome,
        operations::Phase,
        outbox::{self, Announcement},
        releases::{self, ReleaseRow},
    },
};

/// What a version says of itself that could not be started.
pub(in crate::release) const NOT_DEPLOYED: &str = "Could not deploy app.";
/// And one that could not be taken off again, either.
const NOT_UNDONE: &str = "Could not delete replacing release application, Manual intervention \
                          needed.  Sorry it didn't work out.";

/// Undoes an operation and ends it as failed. What cannot be undone now is tried
/// again by the engine.
pub(in crate::release) async fn undo(
    app: &Arc<App>,
    mut operation: Operation,
    why: String,
) -> Result<()> {
    operation.phase = Phase::Undoing;
    operation.message = Some(why);
    operation.attempts += 1;
    operation = advance(app, &operation).await?;

    let mut left: Vec<String> = Vec::new();
    let mut again = false;
    for index in (0..operation.steps.len()).rev() {
        if !matches!(operation.steps[index].state, StepState::Begun | StepState::Done) {
            continue;
        }
        if app.engine.is_stopping() {
            return Ok(());
        }
        match undo_step(app, &mut operation, index).await {
            Ok(()) => {
                operation.steps[index].state = StepState::Undone;
                operation.steps[index].message = None;
            }
            Err(trouble) => {
                let step = &mut operation.steps[index];
                step.message = Some(trouble.error.to_string());
                left.push(step.name.clone());
                again |= trouble.passes;
            }
        }
        operation = advance(app, &operation).await?;
    }
    if again && operation.attempts < ATTEMPTS_MAX {
        app.engine.rest(&operation);
        let release = &operation.release;
        tracing::warn!(release, ?left, "an operation could not be undone yet");
        return Ok(());
    }
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    give_up(app, operation, &left).await
}

async fn undo_step(app: &Arc<App>, operation: &mut Operation, index: usize) -> Result<(), Trouble> {
    let platform = platform::find(app, &operation.platform)?;
    let deployer = platform.deployer_in(&app.plugins.set())?;
    let scope = platform.scope(&operation.id);
    let step = &operation.steps[index];
    let handle = match (&step.handle, &step.app) {
        (Some(handle), _) => handle.clone(),
        (None, None) => return Ok(()),
        // Nobody knows whether it was started. The same call again finds it, or
        // starts it; where it fails, what the first one started may still run.
        (None, Some(deployable)) => {
            let placed = deployer.deploy(&scope, deployable, None).await?;
            placed.map_err(|it| Trouble::of(&platform, it))?.handle
        }
    };
    operation.steps[index].handle = Some(handle);
    let handle = operation.steps[index].handle.clone().unwrap_or_default();
    undeploy(app, operation, &handle).await
}

async fn give_up(app: &Arc<App>, mut operation: Operation, left: &[&str]) -> Result<()> {
    let mut why = operation.message.take().unwrap_or_default();
    if let Some(left) = may_still_run(&operation, left) {
        why = format!("{why}; and {left}");
    }
    operation.message = Some(why.clone());
    operation.phase = Phase::Failed;
    operation.ended_ms = Some(now_ms());
    let failed = failed(app, &operation, left.is_empty()).await?;
    let target = release_target(&operation.release, Some(operation.version));
    let (action, actor) = (operation.kind.action(), operation.asked.principal.clone());
    let object = failed.as_ref().map(|row| shown(&row.release));
    let told = Announcement::new(&app.plugins.set(), action, target, actor, object).failed(&why);
    let (audit, release) = (operation.audit(), operation.release.clone());
    let kept = app.store.write_as(audit, Outcome::Failed { why }, move |change| {
        operations::advance(change, &mut operation)?;
        let started = operation.steps.iter().filter_map(|it| it.app.as_ref());
        let started = started.filter_map(|it| Some((&it.name, &it.artifact.as_ref()?.sha256)));
        let kept = operation.kept.iter();
        let kept = kept.filter_map(|it| Some((&it.name, it.artifact_sha256.as_ref()?)));
        for (name, sha256) in started.chain(kept) {
            blob_refs::release(change, sha256, &blob_owner(&operation, name));
        }
        if let Some(row) = failed {
            releases::put(change, &row)?;
        }
        outbox::announce(change, &told)
    });
    kept.await?;
    app.engine.changed(&release);
    Ok(())
}

/// The version that was to come about, if it was there to be seen.
async fn failed(app: &App, operation: &Operation, is_clean: bool) -> Result<Option<ReleaseRow>> {
    let (name, version) = (operation.release.clone(), operation.version);
    let found = app.store.read(move |view| releases::find(view, &name, version)).await?;
    let Some(mut row) = found.filter(|it| it.status() == StatusCode::Unknown) else {
        return Ok(None);
    };
    let description = operation.description.clone();
    row.release.info.description = match is_clean {
        true => description.unwrap_or_else(|| NOT_DEPLOYED.to_owned()),
        false => NOT_UNDONE.to_owned(),
    };
    row.release.info.status.status_code = StatusCode::Failed;
    row.release.info.status.platform_status = None;
    Ok(Some(row))
}
