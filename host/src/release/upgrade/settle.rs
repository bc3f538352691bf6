//! What becomes of an upgrade after its applications were started: they are watched
//! until all of them are healthy, or the time is over, or somebody cancels it.
//!
//! Each decision is written down before it is carried out, and whoever carries it out
//! holds the newest revision of the operation's record. So a cancellation and a
//! success that meet cannot both win, and a server that starts goes on with what the
//! last one had decided.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::*;
use crate::{
    authz::release_target,
    plugins::deployer::{AppStatus, State},
    release::{
        compose::shown,
        engine::{ATTEMPTS_MAX, may_still_run},
        status,
        steps::{Part, take_off},
    },
    store::outbox::{self, Announcement},
};

const RETIRED: &str = "Delete complete";
const NOT_RETIRED: &str = "Could not delete existing application, manual intervention needed.  \
                           Sorry it didn't work out.";
/// Applications in one question to a deployer.
const BATCH: usize = 64;

/// Takes up an upgrade that an earlier attempt has left open.
pub(in crate::release) async fn go_on(app: &Arc<App>, operation: Operation) -> Result<()> {
    match operation.phase {
        // Nobody was told of it, so nobody waits for it.
        Phase::Doing => {
            let why = "the server ended before all applications were started";
            fail(app, operation, steps::NOT_DEPLOYED.to_owned(), why.to_owned()).await
        }
        Phase::Undoing => {
            let why = operation.message.clone().unwrap_or_default();
            steps::undo(app, operation, why).await
        }
        Phase::Waiting => watch(app, operation).await,
        Phase::Retiring => retire(app, operation).await,
        Phase::Done | Phase::Failed => Ok(()),
    }
}

/// Goes on after all was started.
pub(super) async fn to_the_end(app: &Arc<App>, _working: Working, operation: Operation) {
    let Operation { id, release, .. } = operation.clone();
    if let Err(error) = go_on(app, operation).await
        && !app.engine.is_stopping()
    {
        tracing::error!(operation = id, release, %error, "an upgrade could not be brought to its end yet");
    }
}

/// All is started, and what is started is written down.
pub(super) async fn begin_to_wait(
    app: &App,
    operation: &mut Operation,
    row: &ReleaseRow,
) -> Result<()> {
    operation.phase = Phase::Waiting;
    let (mut advanced, row) = (operation.clone(), row.clone());
    let kept = app.store.write_unaudited(move |change| {
        operations::advance(change, &mut advanced)?;
        releases::put(change, &row)?;
        Ok(advanced)
    });
    *operation = kept.await?;
    Ok(())
}

/// How the watch over a new version ends.
enum Verdict {
    Healthy(Vec<AppStatus>),
    Cancelled,
    TooLate,
}

async fn watch(app: &Arc<App>, operation: Operation) -> Result<()> {
    let row = find(app, &operation.release, operation.version).await?;
    let left_ms = operation.deadline_ms.saturating_sub(now_ms()).min(operation.timeout_ms);
    let deadline = Instant::now() + Duration::from_millis(left_ms);
    let pause = Duration::from_millis(app.config.releases.health_check_ms);
    let mut next = (Instant::now() + pause).min(deadline);
    loop {
        let signal = app.engine.signal(&operation.release);
        let changed = signal.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let Some(now) = reread(app, &operation).await? else { return Ok(()) };
        let verdict = if now.cancelled {
            Some(Verdict::Cancelled)
        } else if Instant::now() < next {
            tokio::select! {
                () = sleep_until(next) => {}
                () = changed => {}
                () = app.engine.stopped() => return Ok(()),
            }
            continue;
        } else {
            let is_last = next >= deadline;
            next = (Instant::now() + pause).min(deadline.max(next));
            match healthy(app, &row).await {
                Some(statuses) => Some(Verdict::Healthy(statuses)),
                None => is_last.then_some(Verdict::TooLate),
            }
        };
        let Some(verdict) = verdict else { continue };
        match settle(app, now, &row, verdict).await {
            // Somebody has cancelled it in the very moment.
            Err(Error::Conflict(_))
                if reread(app, &operation).await?.is_some_and(|it| it.cancelled) => {}
            ended => return ended,
        }
    }
}

async fn settle(
    app: &Arc<App>,
    operation: Operation,
    row: &ReleaseRow,
    verdict: Verdict,
) -> Result<()> {
    match verdict {
        Verdict::Healthy(statuses) => {
            let operation = accept(app, operation, row.clone(), &statuses).await?;
            retire(app, operation).await
        }
        Verdict::Cancelled => {
            let left_ms = operation.deadline_ms.saturating_sub(now_ms());
            let waited_ms = operation.timeout_ms.saturating_sub(left_ms);
            let description = format!("Cancelled after {waited_ms} ms.");
            fail(app, operation, description.clone(), description).await
        }
        Verdict::TooLate => {
            let description = format!(
                "Did not detect apps in replacing release as healthy after {} ms.",
                operation.timeout_ms
            );
            fail(app, operation, description.clone(), description).await
        }
    }
}

/// The record as it is now, if it is still this operation's turn to be watched.
async fn reread(app: &App, operation: &Operation) -> Result<Option<Operation>> {
    let name = operation.release.clone();
    let now = app.store.read(move |view| operations::open_of(view, &name)).await?;
    Ok(now.filter(|it| it.id == operation.id && it.phase == Phase::Waiting))
}

/// The status of all applications, if all of them are deployed.
async fn healthy(app: &App, row: &ReleaseRow) -> Option<Vec<AppStatus>> {
    let mut statuses = Vec::with_capacity(row.apps.len());
    for batch in row.apps.chunks(BATCH) {
        let handles: Vec<String> = batch.iter().map(|it| it.handle.clone()).collect();
        let account = &row.release.platform_name;
        let asked = status::ask_account(app, &app.plugins.set(), account, &handles).await;
        match asked {
            Ok(found) => statuses.extend(found),
            Err(error) => {
                let release = &row.release.name;
                tracing::warn!(release, %error, "whether a release is healthy is unknown");
                return None;
            }
        }
    }
    statuses.iter().all(|it| it.state == State::Deployed).then_some(statuses)
}

/// The new version is the release from now on; what is left is to take the old one away.
async fn accept(
    app: &App,
    mut operation: Operation,
    mut row: ReleaseRow,
    statuses: &[AppStatus],
) -> Result<Operation> {
    row.release.info.description = complete(operation.kind).to_owned();
    row.release.info.status.status_code = StatusCode::Deployed;
    row.release.info.status.platform_status = Some(status::text(&row, statuses));
    operation.phase = Phase::Retiring;
    let told = announcement(app, &operation, &row);
    app.engine.follow(&row);
    let kept = app.store.write(operation.audit(), move |change| {
        operations::advance(change, &mut operation)?;
        releases::put(change, &row)?;
        outbox::announce(change, &told)?;
        Ok(operation)
    });
    kept.await
}

fn complete(kind: Kind) -> &'static str {
    match kind {
        Kind::Rollback => "Rollback complete",
        _ => "Upgrade complete",
    }
}

/// Takes away what the new version does not have of the old one, and ends the
/// operation.
async fn retire(app: &Arc<App>, mut operation: Operation) -> Result<()> {
    let _seat = tokio::select! {
        seat = app.engine.seat_again() => seat,
        () = app.engine.stopped() => return Ok(()),
    };
    operation.attempts += 1;
    let again = take_off(app, &mut operation, Part::Retired).await?;
    if !again.is_empty() && operation.attempts < ATTEMPTS_MAX {
        app.engine.rest(&operation);
        let release = &operation.release;
        tracing::warn!(release, ?again, "the version before could not be taken away yet");
        return Ok(());
    }
    let source = operation.source.unwrap_or_default();
    let mut row = find(app, &operation.release, source).await?;
    let left: Vec<&str> = operation
        .retired
        .iter()
        .filter(|it| it.message.is_some())
        .map(|it| it.name.as_str())
        .collect();
    let is_clean = left.is_empty();
    operation.message = may_still_run(&operation, &left);
    if row.status() == StatusCode::Deployed {
        let status = if is_clean { StatusCode::Deleted } else { StatusCode::Failed };
        row.release.info.status.status_code = status;
        row.release.info.status.platform_status = None;
        row.release.info.description = if is_clean { RETIRED } else { NOT_RETIRED }.to_owned();
    }
    operation.phase = Phase::Done;
    operation.ended_ms = Some(now_ms());
    let mut audit = operation.audit();
    audit.resource = format!("release//{}/{source}?status=retired", operation.release);
    let told = (!is_clean).then(|| announcement(app, &operation, &row));
    let release = operation.release.clone();
    let kept = app.store.write(audit, move |change| {
        operations::advance(change, &mut operation)?;
        releases::put(change, &row)?;
        for it in &row.apps {
            if let Some(sha256) = &it.artifact_sha256 {
                let owner = releases::blob_owner(&row.release.name, source, &it.name);
                blob_refs::release(change, sha256, &owner);
            }
        }
        told.iter().try_for_each(|it| outbox::announce(change, it))
    });
    kept.await?;
    app.engine.changed(&release);
    Ok(())
}

/// The new version did not come about: what was started of it goes, and the old one
/// stays as it is.
pub(super) async fn fail(
    app: &Arc<App>,
    mut operation: Operation,
    description: String,
    why: String,
) -> Result<()> {
    operation.description = Some(description);
    steps::undo(app, operation, why).await
}

// Made from the record, not from a permit: it may be another server that ends it.
fn announcement(app: &App, operation: &Operation, row: &ReleaseRow) -> Announcement {
    let target = release_target(&row.release.name, Some(row.release.version));
    let actor = operation.asked.principal.clone();
    let object = Some(shown(&row.release));
    Announcement::new(&app.plugins.set(), operation.kind.action(), target, actor, object)
}

async fn find(app: &App, name: &str, version: u32) -> Result<ReleaseRow> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| releases::find(view, &wanted, version)).await?;
    found.ok_or_else(|| unknown(name, Some(version)))
}
