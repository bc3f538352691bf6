//! Reads the indexes of remote repositories, and takes in what is new.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{
    index::{self, Index},
    source,
};
use crate::{
    app::App,
    authz::Permit,
    clock::now_ms,
    error::{Error, Result},
    release::{beside, model::PackageMetadata},
    store::{
        outbox::{self, Announcement},
        packages::{self, Repository},
    },
};

/// Indexes that are read at once.
const AT_ONCE: usize = 4;
/// Packages that one transaction takes in, or drops.
const BATCH: usize = 64;
/// Packages of one remote repository at the most.
const PACKAGES_MAX: u64 = 100_000;

/// How reading an index went.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RepositoryRefresh)]
pub struct Refresh {
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What came of it.
    pub outcome: Refreshed,
    /// Packages in the index.
    pub entries: usize,
    /// Those that were not known.
    pub added: usize,
    /// Those that are described in another way than before, and not fetched yet.
    pub changed: usize,
    /// Documents that were left out.
    pub skipped: usize,
    /// Why, for the first of them.
    pub notes: Vec<String>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// What came of reading an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Refreshed {
    /// It was read.
    Read,
    /// There is none.
    Missing,
    /// It could not be read.
    Failed,
}

/// Reads all indexes in the background: now, and as often as the settings say.
pub fn spawn(app: &Arc<App>) {
    let weak = Arc::downgrade(app);
    app.tasks.spawn("repositories", |stop| run(weak, stop));
}

// The server is held only while there is something to do, so that it can end.
async fn run(weak: Weak<App>, stop: CancellationToken) {
    while let Some(app) = weak.upgrade() {
        let every = app.config.repository_refresh_ms;
        tokio::select! {
            () = round(&app) => {}
            () = stop.cancelled() => return,
        }
        drop(app);
        let rest = async {
            match every {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        };
        tokio::select! {
            () = rest => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn round(app: &Arc<App>) {
    if let Err(error) = drop_those_that_left(app).await {
        tracing::error!(%error, "what is left of repositories could not be dropped");
    }
    let all = match app.store.read(|view| packages::repositories(view)).await {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(%error, "the repositories could not be read");
            return;
        }
    };
    let remote = all.into_iter().filter(Repository::is_remote);
    stream::iter(remote)
        .for_each_concurrent(AT_ONCE, |repository| async move {
            let turn = app.repositories.turn(&repository.name);
            let _turn = turn.lock().await;
            read(app, &repository).await;
        })
        .await;
}

/// Reads the index of a repository now. What went wrong with it is in the answer.
pub async fn refresh(app: &Arc<App>, permit: Permit, name: &str) -> Result<Refresh> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| packages::repository(view, &wanted)).await?;
    let repository = found.ok_or_else(|| Error::not_found("repository", name))?;
    if !repository.is_remote() {
        return Err(Error::Conflict(format!(
            "repository `{name}` is not remote: it has no index that could be read"
        )));
    }
    let fixed = |_, _: &()| Err("an index is read or not".to_owned());
    permit.reviewed(app, (), serde_json::json!({ "name": name }), None, fixed).await?;

    let (app, asked) = (app.clone(), Instant::now());
    // Goes on to its end even where the caller goes away.
    let work = async move {
        let turn = app.repositories.turn(&repository.name);
        let _turn = turn.lock().await;
        // Of many who wait for their turn, the first has read it for all.
        let refresh = match app.repositories.last_since(&repository.name, asked) {
            Some(refresh) => refresh,
            None => read(&app, &repository).await,
        };
        let told = serde_json::to_value(&refresh)
            .map_err(|it| Error::Internal(format!("writing how an index was read: {it}")))?;
        let told = Announcement::of(&permit, Some(told));
        let audit = permit.audit();
        app.store.write(audit, move |change| outbox::announce(change, &told)).await?;
        Ok(refresh)
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

/// Reads the index of a repository, and notes how that went.
async fn read(app: &App, repository: &Repository) -> Refresh {
    let (name, began) = (repository.name.as_str(), Instant::now());
    let done = take_in(app, repository).await;
    let nothing = |outcome, failure| Refresh {
        at_ms: now_ms(),
        outcome,
        entries: 0,
        added: 0,
        changed: 0,
        skipped: 0,
        notes: Vec::new(),
        failure,
    };
    let refresh = match done {
        Ok(Some(refresh)) => {
            let Refresh { entries, added, changed, skipped, notes, .. } = &refresh;
            tracing::info!(repository = name, entries, added, changed, skipped, "an index is read");
            if let Some(note) = notes.first() {
                tracing::warn!(
                    repository = name,
                    skipped,
                    "a part of an index is left out: {note}"
                );
            }
            refresh
        }
        Ok(None) => {
            tracing::warn!(repository = name, "there is no index");
            nothing(Refreshed::Missing, None)
        }
        Err(error) => {
            let why = error.to_string();
            tracing::warn!(repository = name, why, "an index could not be read");
            nothing(Refreshed::Failed, Some(why))
        }
    };
    metrics::gauge!("chandlery_repository_refresh_ok", "repository" => name.to_owned())
        .set(if refresh.outcome == Refreshed::Failed { 0.0 } else { 1.0 });
    app.repositories.note(name, began, refresh.clone());
    refresh
}

async fn take_in(app: &App, repository: &Repository) -> Result<Option<Refresh>> {
    let Some(bytes) = source::index(app, repository).await? else { return Ok(None) };
    let name = repository.name.clone();
    let mut index = beside(move || Ok(index::read(&bytes, &name))).await?;
    let packages = std::mem::take(&mut index.packages);
    let entries = packages.len();
    let (mut added, mut changed) = (0, 0);
    for batch in packages.chunks(BATCH) {
        let taken = take_in_batch(app, repository, batch).await?;
        added += taken.added;
        changed += taken.changed;
        if taken.full {
            index.skip(format!("a repository may have {PACKAGES_MAX} packages, and has them"));
            break;
        }
    }
    let Index { skipped, notes, .. } = index;
    let at_ms = now_ms();
    let outcome = Refreshed::Read;
    Ok(Some(Refresh { at_ms, outcome, entries, added, changed, skipped, notes, failure: None }))
}

#[derive(Default)]
struct Taken {
    added: usize,
    changed: usize,
    full: bool,
}

/// Takes in what is new of some packages. Where nothing is, nothing is written.
async fn take_in_batch(
    app: &App,
    repository: &Repository,
    of: &[PackageMetadata],
) -> Result<Taken> {
    let name = repository.name.clone();
    let batch = of.to_vec();
    let news = app.store.read(move |view| {
        let mut news = Vec::new();
        for it in batch {
            match packages::find_in(view, &name, &it.name, &it.version)? {
                Some(kept) if kept.is_here() || is_same(&kept.metadata, &it) => (),
                _ => news.push(it),
            }
        }
        Ok(news)
    });
    let news = news.await?;
    if news.is_empty() {
        return Ok(Taken::default());
    }
    let name = repository.name.clone();
    let write = app.store.write_unaudited(move |change| {
        let mut taken = Taken::default();
        for it in news {
            let Some(repository) = packages::repository(change, &name)? else { return Ok(taken) };
            let metadata = PackageMetadata { repository_id: Some(repository.id), ..it };
            match packages::find_in(change, &name, &metadata.name, &metadata.version)? {
                None if repository.packages >= PACKAGES_MAX => taken.full = true,
                None => {
                    packages::insert(change, metadata, String::new(), 0)?;
                    taken.added += 1;
                }
                Some(kept) if kept.is_here() || is_same(&kept.metadata, &metadata) => (),
                Some(mut kept) => {
                    kept.metadata = metadata;
                    packages::update(change, &mut kept)?;
                    taken.changed += 1;
                }
            }
        }
        Ok(taken)
    });
    write.await
}

fn is_same(kept: &PackageMetadata, new: &PackageMetadata) -> bool {
    let id = kept.repository_id;
    *kept == PackageMetadata { repository_id: id, ..new.clone() }
}

/// Drops what is left of remote repositories that the settings do not have any more.
async fn drop_those_that_left(app: &App) -> Result<()> {
    for repository in app.store.read(|view| packages::leaving(view)).await? {
        let name = repository.name.clone();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (wanted, at) = (name.clone(), after.take());
            let page = app
                .store
                .scan(move |view| packages::page_of_repository(view, &wanted, at.as_deref()));
            let (rows, next) = page.await?;
            for batch in rows.chunks(BATCH) {
                let batch = batch.to_vec();
                let drop = app.store.write_unaudited(move |change| {
                    batch.iter().try_for_each(|row| packages::delete(change, row))
                });
                drop.await?;
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let left = name.clone();
        app.store
            .write_unaudited(move |change| {
                packages::repository_left(change, &left);
                Ok(())
            })
            .await?;
        tracing::info!(repository = name, "what was left of a repository is gone");
    }
    Ok(())
}
