//! The newest events, read and written out once for all who watch.
//!
//! Nothing is read while nobody watches. Whoever is further behind than what is kept
//! here reads the store.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use super::event::{Event, Told};
use crate::{
    error::Result,
    store::{Store, View, audit},
};

/// Events kept for all.
const EVENTS_MAX: usize = 1024;
/// Records in one look at the store.
const PAGE: usize = 256;
/// How far behind the store it is worth going on record by record.
const BEHIND_MAX: u64 = 4096;
/// Between two looks: under load watchers are woken so often, and no more.
const PAUSE: Duration = Duration::from_millis(10);
/// After the store could not be read.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The newest events.
#[derive(Default)]
pub(super) struct Tail {
    ring: Mutex<Ring>,
    /// The last number that was looked at.
    published: watch::Sender<u64>,
    arrived: Notify,
}

/// All events with numbers from `from` on, up to the last that was published.
#[derive(Default)]
struct Ring {
    from: u64,
    events: VecDeque<Arc<Told>>,
}

impl Tail {
    /// Follows the number of the last record that was looked at.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        let published = self.published.subscribe();
        self.arrived.notify_one();
        published
    }

    /// At most `limit` events with numbers from `next` up to `last`, and the number to
    /// go on with; `None` where they are not kept here.
    pub(super) fn take(&self, next: u64, last: u64, limit: usize) -> Option<(Vec<Arc<Told>>, u64)> {
        let ring = self.lock();
        if next < ring.from {
            return None;
        }
        let from = ring.events.partition_point(|it| it.id < next);
        let kept = ring.events.iter().skip(from).take_while(|it| it.id <= last);
        let taken: Vec<_> = kept.take(limit).cloned().collect();
        let next = match taken.last() {
            Some(event) if taken.len() == limit => event.id + 1,
            _ => last + 1,
        };
        Some((taken, next))
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is kept: it goes on with `from`.
    fn begin(&self, from: u64) {
        let mut ring = self.lock();
        ring.events.clear();
        ring.from = from;
    }

    fn keep(&self, events: Vec<Told>) {
        let mut ring = self.lock();
        ring.events.extend(events.into_iter().map(Arc::new));
        while ring.events.len() > EVENTS_MAX {
            let Some(dropped) = ring.events.pop_front() else { break };
            ring.from = dropped.id + 1;
        }
    }

    fn publish(&self, last: u64) {
        self.published.send_if_modified(|it| {
            let is_new = *it < last;
            *it = last.max(*it);
            is_new
        });
    }
}

/// Reads what is committed, as long as somebody watches.
pub(super) async fn follow(store: Store, tail: &Tail) {
    let mut commits = store.commits();
    let mut last = None;
    loop {
        if tail.published.is_closed() {
            last = None;
            tail.begin(u64::MAX);
            tail.arrived.notified().await;
            continue;
        }
        commits.mark_unchanged();
        match look(&store, tail, &mut last).await {
            Ok(true) => {}
            // Only ends with the store.
            Ok(false) if commits.changed().await.is_err() => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "what changed could not be read for those who watch");
                sleep(AFTER_FAILURE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Reads on behind `last`, and says whether there is more.
async fn look(store: &Store, tail: &Tail, last: &mut Option<u64>) -> Result<bool> {
    let from = *last;
    let read = move |view: &dyn View| {
        let head = audit::head(view)?.number;
        let near = from.filter(|it| head.saturating_sub(*it) <= BEHIND_MAX);
        let entries = match near {
            Some(last) => audit::entries(view, last + 1, PAGE)?,
            None => Vec::new(),
        };
        Ok((head, near, entries))
    };
    let (head, near, entries) = store.read(read).await?;
    let looked = match near {
        Some(last) => entries.last().map_or(last, |it| it.number),
        None => {
            tail.begin(head + 1);
            head
        }
    };
    tail.keep(entries.into_iter().filter_map(Event::of).map(Told::from).collect());
    tail.publish(looked);
    *last = Some(looked);
    Ok(looked < head)
}
