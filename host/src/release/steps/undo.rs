//! Takes back what an operation has started.

use super::*;
use crate::{
    clock::now_ms,
    release::{
        engine::{ATTEMPTS_MAX, Trouble, may_still_run, undeploy},
        platform,
    },
    store::operations::Phase,
};

/// Undoes an install and ends it as failed. What cannot be undone now is tried
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
        tracing::warn!(release, ?left, "an install could not be undone yet");
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
    undeploy(app, operation, index).await
}

async fn give_up(app: &Arc<App>, mut operation: Operation, left: &[&str]) -> Result<()> {
    let why = operation.message.take().unwrap_or_default();
    operation.message = Some(match may_still_run(&operation, left) {
        None => why.clone(),
        Some(left) => format!("{why}; and {left}"),
    });
    operation.phase = Phase::Failed;
    operation.ended_ms = Some(now_ms());
    let audit = operation.audit();
    let kept = app.store.write_unaudited(move |change| {
        operations::advance(change, &mut operation)?;
        for it in operation.steps.iter().filter_map(|it| it.app.as_ref()) {
            if let Some(artifact) = &it.artifact {
                blob_refs::release(change, &artifact.sha256, &blob_owner(&operation, &it.name));
            }
        }
        Ok(())
    });
    kept.await?;
    app.store.refused(audit, why).await
}
