//! What has changed, told to those who watch, in the order in which it changed.
//!
//! An event is an audit record of a change, seen from outside, under the record's own
//! number: so there is one exactly where there is a change, it is as durable, and no
//! write costs a row more. A [`Watch`] is asked for what comes next and keeps no more
//! than its place: one who is slow is behind, and costs nothing. The newest events are
//! read once for all watchers (`tail`); older ones come from the store.

mod event;
mod tail;
mod watch;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::{
    event::{Event, EventTarget, Told, Turn},
    watch::{Filter, Next, Watch},
};
use self::{tail::Tail, watch::Place};
use crate::{
    app::App,
    authz::Permit,
    clock::now_ms,
    config,
    error::{Error, Result},
    store::{Store, View, audit},
    tasks::Tasks,
};

/// What is done to things and changes them: what there are events of.
pub const ACTIONS: [&str; 24] = [
    "binding:write",
    "inventory:namespace:create",
    "inventory:namespace:delete",
    "inventory:namespace:import",
    "inventory:namespace:update",
    "inventory:tag:delete",
    "inventory:tag:set",
    "inventory:unit:update",
    "inventory:version:register",
    "inventory:version:upload",
    "inventory:version:yank",
    "package:delete",
    "package:upload",
    "plugin:add",
    "plugin:delete",
    "release:actuate",
    "release:cancel",
    "release:delete",
    "release:install",
    "release:rollback",
    "release:scale",
    "release:upgrade",
    "repository:refresh",
    "server:wipe",
];

/// What a watcher who finds no room is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is told of changes, and to how many.
pub struct Events {
    store: Store,
    tail: Arc<Tail>,
    room: Arc<Semaphore>,
    ending: CancellationToken,
    settings: config::Events,
}

impl Events {
    /// Begins to look at what changes, beside the requests.
    pub fn start(store: Store, settings: config::Events, tasks: &Tasks) -> Events {
        let tail = Arc::new(Tail::default());
        let (reading, following) = (store.clone(), tail.clone());
        tasks.spawn("events", |stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tail::follow(reading, &following) => {}
            }
        });
        let room = Arc::new(Semaphore::new(settings.watchers_max.min(Semaphore::MAX_PERMITS)));
        Events { store, tail, room, ending: CancellationToken::new(), settings }
    }

    /// Ends all watches, now and to come: the server is stopping.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Ends when all watches do.
    pub(crate) fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    /// How often one who hears nothing hears that.
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.settings.heartbeat_ms)
    }

    /// The first event that can still be told, and the last that there is.
    async fn kept(&self) -> Result<(u64, u64)> {
        let (kept_max, oldest_us) = (self.settings.kept_max, self.oldest_us());
        let find = move |view: &dyn View| {
            let last = audit::head(view)?.number;
            let first = last.saturating_sub(kept_max) + 1;
            Ok((first.max(audit::first_since(view, oldest_us)?), last))
        };
        self.store.read(find).await
    }

    /// Events before that time are told no more: microseconds since 1970.
    fn oldest_us(&self) -> i64 {
        let hours_ms = self.settings.kept_hours.saturating_mul(3_600_000);
        i64::try_from(now_ms().saturating_sub(hours_ms).saturating_mul(1000)).unwrap_or(i64::MAX)
    }
}

/// Begins a watch behind the event of that number; with 0 at the first that is kept,
/// and without a number at the next one to come.
///
/// One permit for each namespace that is watched, or one for all of them.
pub async fn watch(
    app: &Arc<App>,
    permits: Vec<Permit>,
    filter: Filter,
    after: Option<u64>,
) -> Result<Watch> {
    let events = &app.events;
    let seat = events
        .room
        .clone()
        .try_acquire_owned()
        .map_err(|_| Error::Busy { what: "watchers of events", retry_after: RETRY_AFTER })?;
    // Before the last number is read, so that nothing comes in between.
    let published = events.tail.watch();
    let (first, last) = events.kept().await?;
    let next = match after {
        None => last + 1,
        Some(0) => first,
        Some(after) if after > last => {
            return Err(Error::Gone(format!(
                "event {after} is not one of this server, whose last is {last}: its data may have \
                 been restored from an earlier time; begin anew without `Last-Event-ID` and \
                 `after`"
            )));
        }
        Some(after) if after + 1 < first => return Err(gone(after, first)),
        Some(after) => after + 1,
    };
    Ok(Watch::new(app.clone(), permits, filter, Place { next, published, _seat: seat }))
}

fn gone(after: u64, first: u64) -> Error {
    Error::Gone(format!(
        "what changed right behind event {after} is told no more, the first that is kept is \
         {first}: look at how things are now, then begin anew without `Last-Event-ID` and \
         `after`, or with `after=0` at the first that is kept"
    ))
}
