//! Downloading a release's bytes, and counting how often.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::stream::BoxStream;

use super::{resolve::UnitPlace, version::Version};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change, Store,
        unit_releases::{PackageRecord, unit_release, unit_release_downloads_add},
    },
};

/// Releases whose downloads may wait to be counted at once.
const WAITING_MAX: usize = 10_000;

/// Finds a release's package.
pub async fn package(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Result<PackageRecord> {
    let key = (place.clone(), version.clone());
    let release = app.store.read(move |view| unit_release(view, key.0.key(), &key.1)).await?;
    let package = release.and_then(|it| it.package);
    package.ok_or_else(|| place.no_release(version))
}

/// Reads a package, or a range of it. A read that starts at the start counts as a
/// download; one that goes on where another broke off does not.
pub async fn download(
    app: &App,
    _: &Permit,
    place: UnitPlace,
    version: Version,
    package: &PackageRecord,
    range: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let from_the_start = range.start == 0;
    let stream = app.blobs.get(&package.sha256, range).await.map_err(|it| match it {
        // The record promised them: that they are gone is no fault of the caller.
        Error::NotFound { .. } => Error::store("reading a package", it),
        other => other,
    })?;
    if from_the_start {
        app.downloads.count(place, version).await;
        metrics::counter!("escape_downloads").increment(1);
    }
    Ok(stream)
}

/// Counts downloads without a commit for each: while one commit runs, those that
/// come in are summed up for the next.
#[derive(Clone)]
pub struct Downloads {
    store: Store,
    waiting: Arc<Mutex<Waiting>>,
    // Held by whoever is writing.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Waiting {
    counts: HashMap<(UnitPlace, Version), u64>,
    somebody_writes: bool,
}

impl Downloads {
    /// Counts into that store.
    pub fn new(store: Store) -> Self {
        Downloads { store, waiting: Arc::default(), turn: Arc::default() }
    }

    /// Counts one download. Waits only where too many others wait to be counted.
    pub async fn count(&self, place: UnitPlace, version: Version) {
        let key = (place, version);
        if self.is_full_for(&key) {
            self.flush().await;
        }
        let mut waiting = self.waiting();
        *waiting.counts.entry(key).or_default() += 1;
        if !std::mem::replace(&mut waiting.somebody_writes, true) {
            let this = self.clone();
            tokio::spawn(async move { while this.flush().await && this.is_anything_left() {} });
        }
    }

    /// Returns when all that was counted before is in the store; false where the
    /// store could not take it, so that it still waits.
    pub async fn flush(&self) -> bool {
        let _turn = self.turn.lock().await;
        let counts = std::mem::take(&mut self.waiting().counts);
        if counts.is_empty() {
            return true;
        }
        let counts = Arc::new(counts);
        let kept = counts.clone();
        let Err(error) = self.store.write_unaudited(move |change| add(change, &kept)).await else {
            return true;
        };
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "downloads could not be counted yet");
        let mut waiting = self.waiting();
        waiting.somebody_writes = false;
        for (key, more) in counts.iter() {
            *waiting.counts.entry(key.clone()).or_default() += more;
        }
        false
    }

    fn is_full_for(&self, key: &(UnitPlace, Version)) -> bool {
        let waiting = self.waiting();
        waiting.counts.len() >= WAITING_MAX && !waiting.counts.contains_key(key)
    }

    // Looking and giving up the writing are one step, so that nobody who counts in
    // between relies on a writer that has gone.
    fn is_anything_left(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.somebody_writes = !waiting.counts.is_empty();
        waiting.somebody_writes
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(change: &mut dyn Change, counts: &HashMap<(UnitPlace, Version), u64>) -> Result<()> {
    for ((place, version), more) in counts {
        if unit_release(change, place.key(), version)?.is_some() {
            unit_release_downloads_add(change, place.key(), version, *more)?;
        }
    }
    Ok(())
}
