//! Dropping what no record needs.
//!
//! Safe at any moment: a blob is only dropped while it is condemned, that is,
//! while nobody leases it; whoever wrote a record under an earlier lease had
//! committed it before the lease ended, so a state of the store taken after the
//! condemnation shows it. A crash leaves a blob too many at the worst, and the
//! next round finds it.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use tokio::task::JoinHandle;

use super::{Blobs, blocking, failed};
use crate::{
    error::Result,
    store::{Store, blob_refs},
};

/// How long a foreign file may lie in the staging folder untouched.
const STAGING_STALE: Duration = Duration::from_secs(60 * 60);

/// What a round of the collector did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that were dropped.
    pub blobs: u64,
    /// How large they were together.
    pub bytes: u64,
}

impl Blobs {
    /// Drops the blobs that no record needs and that are older than `grace`.
    pub async fn collect(&self, store: &Store, grace: Duration) -> Result<Collected> {
        let mut collected = Collected::default();
        let mut found = self.objects.list(None);
        while let Some(object) = found.try_next().await.map_err(|it| failed("listing", it))? {
            if is_older(SystemTime::from(object.last_modified), grace)
                && self.collect_one(store, &object).await?
            {
                collected.blobs += 1;
                collected.bytes += object.size;
            }
        }
        let staging = self.staging();
        blocking(move || clear_staging(staging)).await?.map_err(|it| failed("clearing", it))?;
        metrics::counter!("chandlery_blobs_collected_total").increment(collected.blobs);
        Ok(collected)
    }

    /// Collects at intervals, for as long as the task is not aborted.
    pub fn spawn_collector(
        &self,
        store: Store,
        every: Duration,
        grace: Duration,
    ) -> JoinHandle<()> {
        let blobs = self.clone();
        tokio::spawn(async move {
            let mut rounds = tokio::time::interval(every);
            rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                rounds.tick().await;
                match blobs.collect(&store, grace).await {
                    Ok(Collected { blobs: 0, .. }) => {}
                    Ok(it) => {
                        tracing::info!(
                            blobs = it.blobs,
                            bytes = it.bytes,
                            "dropped unneeded blobs"
                        );
                    }
                    Err(error) => tracing::warn!(%error, "blobs could not be collected"),
                }
            }
        })
    }

    async fn collect_one(&self, store: &Store, object: &ObjectMeta) -> Result<bool> {
        let Some(sha256) = object.location.filename().map(str::to_owned) else {
            return Ok(false);
        };
        // Not ours to judge.
        if super::place(&sha256).is_none_or(|it| it != object.location) {
            return Ok(false);
        }
        let needed = |sha256: String| store.read(move |view| blob_refs::is_needed(view, &sha256));
        if needed(sha256.clone()).await? {
            return Ok(false);
        }
        let Some(condemned) = self.leases.condemn(&sha256) else { return Ok(false) };
        // Asked again: what was committed before the condemnation is seen only now.
        if needed(sha256).await? {
            return Ok(false);
        }
        // In a task of its own: whoever stops the collector half-way does not stop the
        // deletion, which must be over before the condemnation is.
        let (objects, place) = (self.objects.clone(), object.location.clone());
        let dropping = tokio::spawn(async move {
            let dropped = objects.delete(&place).await;
            drop(condemned);
            dropped
        });
        match dropping.await.map_err(|it| failed("dropping a blob", it))? {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed("dropping a blob", error)),
        }
    }
}

// Uploads drop their own files; this is for what somebody else put there.
fn clear_staging(staging: PathBuf) -> std::io::Result<()> {
    for left in std::fs::read_dir(staging)? {
        let left = left?;
        let Ok(meta) = left.metadata() else { continue };
        if meta.is_file() && is_older(meta.modified()?, STAGING_STALE) {
            drop(std::fs::remove_file(left.path()));
        }
    }
    Ok(())
}

// A time to come is young: the clock was set back.
fn is_older(than: SystemTime, grace: Duration) -> bool {
    SystemTime::now().duration_since(than).is_ok_and(|age| age >= grace)
}
