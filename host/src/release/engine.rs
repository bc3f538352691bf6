//! Brings operations on releases to their end, whatever happens in between.
//!
//! Each step is written down before it is taken and after. What an earlier server
//! left open is taken up within seconds of the start: an install is undone, and so is an
//! upgrade that nobody was told of yet; one that waits goes on waiting, and a deletion
//! and a scaling are finished. A release never stays in between, and its stored platform
//! status is kept fresh for lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    delete,
    platform::{self, Platform},
    scale, steps, upgrade,
};
use crate::{
    app::App,
    error::{Error, Result},
    plugins::types::PluginError,
    store::{
        operations::{self, Kind, Operation, Phase},
        releases::{self, ReleaseRow},
    },
};

mod refresh;
mod signals;

use signals::{Lines, Signals};

/// How often open operations and young releases are looked at.
const TICK: Duration = Duration::from_secs(5);
/// All other releases this often.
const ALL: Duration = Duration::from_secs(600);
/// Releases or operations that are read at once.
const PAGE: usize = 50;
/// What could not be taken off its platform in so many attempts is left, and said
/// to be.
pub(super) const ATTEMPTS_MAX: u32 = 10;
/// How long it rests before the second; twice as long before each further one, up to
/// the most.
const REST: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(60);
/// How long one attempt may take.
const UNDEPLOY_MAX: Duration = Duration::from_secs(120);

/// Installs and deletions under way at once; and as many taken up again.
const SEATS: u32 = 16;
/// One that reads a package takes a seat for each such part of it.
const SEAT_BYTES: u64 = 16 << 20;

/// How long a request waits for the end of an operation whose outcome is known.
const TIDYING_MAX: Duration = Duration::from_secs(30);

/// What this server is working on.
pub struct Engine {
    asked: Arc<Semaphore>,
    again: Arc<Semaphore>,
    working: Mutex<BTreeSet<String>>,
    /// Operations that are not tried again before their time. A server that starts
    /// tries them all at once.
    resting: Mutex<BTreeMap<String, Instant>>,
    /// Young releases, and when they were made.
    young: Mutex<BTreeMap<(String, u32), u64>>,
    signals: Signals,
    lines: Lines,
    stopping: CancellationToken,
}

/// Says that an operation is being worked on, until it is dropped.
pub(super) struct Working {
    app: Arc<App>,
    id: String,
}

impl Default for Engine {
    fn default() -> Self {
        let seats = || Arc::new(Semaphore::new(SEATS as usize));
        Engine {
            asked: seats(),
            again: seats(),
            working: Mutex::default(),
            resting: Mutex::default(),
            young: Mutex::default(),
            signals: Signals::default(),
            lines: Lines::default(),
            stopping: CancellationToken::new(),
        }
    }
}

impl Engine {
    /// Lets one more operation in, which reads a package of that size. The seat goes
    /// with the work, not with who asked for it.
    pub(super) fn seat(&self, package_bytes: u64) -> Result<OwnedSemaphorePermit> {
        let seats = u32::try_from(1 + package_bytes / SEAT_BYTES).unwrap_or(SEATS).min(SEATS);
        self.asked.clone().try_acquire_many_owned(seats).map_err(|_| Error::Busy {
            what: "installs and deletions",
            retry_after: Duration::from_secs(5),
        })
    }

    /// Whether it has been told to stop: no further step is begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Ends when it has been told to stop.
    pub(super) async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Waits for a seat among those that are taken up again.
    pub(super) async fn seat_again(&self) -> Option<OwnedSemaphorePermit> {
        self.again.clone().acquire_owned().await.ok()
    }

    /// Refuses what meets another operation. One whose outcome was told already has
    /// only to tidy up: whoever saw it and goes on waits for that a moment.
    pub(super) async fn free(&self, app: &App, release: &str, wanted: Kind) -> Result<()> {
        let name = release.to_owned();
        let held = app.store.read(move |view| operations::open_of(view, &name)).await?;
        let held = match held {
            Some(it) if it.is_decided() => {
                self.wait_until_free(app, release, Instant::now() + TIDYING_MAX).await?
            }
            held => held,
        };
        held.map_or(Ok(()), |it| Err(operations::busy(wanted, &it)))
    }

    /// Leaves an operation alone for a while after an attempt that did not end it.
    pub(super) fn rest(&self, operation: &Operation) {
        let until = Instant::now() + rest(operation.attempts);
        lock(&self.resting).insert(operation.id.clone(), until);
    }

    /// Whether it is still left alone. Forgets those whose time has come.
    fn is_resting(&self, id: &str) -> bool {
        let now = Instant::now();
        let mut resting = lock(&self.resting);
        resting.retain(|_, until| *until > now);
        resting.contains_key(id)
    }

    /// Follows a release for a while.
    pub(super) fn follow(&self, row: &ReleaseRow) {
        let key = (row.release.name.clone(), row.release.version);
        lock(&self.young).insert(key, row.release.info.first_deployed);
    }
}

impl Working {
    /// Takes an operation up, unless somebody here already works on it.
    pub(super) fn on(app: &Arc<App>, id: &str) -> Option<Working> {
        let is_new = lock(&app.engine.working).insert(id.to_owned());
        is_new.then(|| Working { app: app.clone(), id: id.to_owned() })
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        lock(&self.app.engine.working).remove(&self.id);
    }
}

/// Starts the engine beside the requests.
pub fn spawn(app: &Arc<App>) {
    let weak = Arc::downgrade(app);
    app.tasks.spawn("engine", |stop| run(weak, stop));
}

// The server is held only while there is something to do, so that it can end.
async fn run(weak: Weak<App>, stop: CancellationToken) {
    let mut all_next = Instant::now();
    while let Some(app) = weak.upgrade() {
        let all = Instant::now() >= all_next;
        tokio::select! {
            () = round(&app, all) => {}
            () = stop.cancelled() => {}
        }
        if all {
            all_next = Instant::now() + ALL;
        }
        drop(app);
        if timeout(TICK, stop.cancelled()).await.is_ok() {
            break;
        }
    }
    let Some(app) = weak.upgrade() else { return };
    app.engine.stopping.cancel();
    while !lock(&app.engine.working).is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn round(app: &Arc<App>, all: bool) {
    if let Err(error) = take_up(app).await {
        tracing::error!(%error, "open operations could not be read");
    }
    if let Err(error) = refresh::refresh(app, all).await {
        tracing::warn!(%error, "stored statuses could not be refreshed");
    }
}

/// Takes up what nobody works on. Nobody waits for it here: one that takes long
/// must not keep the others. What there is no seat for stands in line for one; there
/// is one operation for each release at the most.
async fn take_up(app: &Arc<App>) -> Result<()> {
    let mut after = String::new();
    loop {
        let from = after.clone();
        let open = app.store.read(move |view| operations::open(view, &from, PAGE)).await?;
        let Some(last) = open.last() else { return Ok(()) };
        after = last.release.clone();
        for Operation { id, release, phase, .. } in open {
            if app.engine.is_resting(&id) {
                continue;
            }
            let Some(working) = Working::on(app, &id) else { continue };
            let app = app.clone();
            tokio::spawn(async move { take_one_up(&app, working, phase, &id, &release).await });
        }
    }
}

async fn take_one_up(app: &Arc<App>, _working: Working, phase: Phase, id: &str, release: &str) {
    // What only watches needs no seat, and what tidies up after it takes one itself.
    let _seat = match phase {
        Phase::Waiting | Phase::Retiring => None,
        _ => tokio::select! {
            seat = app.engine.seat_again() => seat,
            () = app.engine.stopped() => return,
        },
    };
    go_on(app, id, release).await;
}

async fn go_on(app: &Arc<App>, id: &str, release: &str) {
    // Read again: it may have ended between the list and our taking it up.
    let name = release.to_owned();
    let operation = match app.store.read(move |view| operations::open_of(view, &name)).await {
        Ok(Some(operation)) if operation.id == id => operation,
        Ok(_) => return,
        Err(error) => return tracing::error!(%error, "an open operation could not be read"),
    };
    tracing::info!(operation = id, release, kind = ?operation.kind, "an operation is taken up again");
    let ended = match operation.kind {
        Kind::Upgrade | Kind::Rollback if operation.source.is_some() => {
            upgrade::go_on(app, operation).await
        }
        Kind::Install | Kind::Upgrade | Kind::Rollback => {
            let why = "the server ended before it was complete";
            let why = operation.message.clone().unwrap_or_else(|| why.to_owned());
            steps::undo(app, operation, why).await
        }
        Kind::Scale => scale::go_on(app, operation).await.map(|_| ()),
        Kind::Delete => delete::go_on(app, operation).await.map(|_| ()),
    };
    if let Err(error) = ended
        && !app.engine.is_stopping()
    {
        tracing::error!(operation = id, release, %error, "an operation could not be brought to its end");
    }
}

/// How long to rest after so many attempts.
fn rest(attempts: u32) -> Duration {
    let doubled = 2u32.saturating_pow(attempts.saturating_sub(1));
    REST.saturating_mul(doubled).min(REST_MAX)
}

/// Keeps how far an operation is.
pub(super) async fn advance(app: &App, operation: &Operation) -> Result<Operation> {
    let mut operation = operation.clone();
    let kept = app.store.write_unaudited(move |change| {
        operations::advance(change, &mut operation)?;
        Ok(operation)
    });
    kept.await
}

/// Why something could not be taken off its platform.
pub(super) struct Trouble {
    pub(super) error: Error,
    /// Whether another attempt may go better.
    pub(super) passes: bool,
}

impl Trouble {
    /// A deployer's own failure.
    pub(super) fn of(platform: &Platform, own: PluginError) -> Trouble {
        let plugin = platform.deployer();
        let error = Error::Plugin { plugin, message: own.message, source: None };
        Trouble { error, passes: own.retryable }
    }
}

// One that comes from around the deployer: a trap, a limit, a plugin that is not
// there just now.
impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble { error, passes: true }
    }
}

/// Takes what a step has started off its platform.
pub(super) async fn undeploy(
    app: &App,
    operation: &Operation,
    handle: &str,
) -> Result<(), Trouble> {
    let platform = platform::find(app, &operation.platform)?;
    let deployer = platform.deployer_in(&app.plugins.set())?;
    let scope = platform.scope(&operation.id);
    let undeployed = deployer.undeploy(&scope, handle, UNDEPLOY_MAX).await?;
    undeployed.map(|_| ()).map_err(|it| Trouble::of(&platform, it))
}

/// Says in the log what an operation that has ended may have left running, and gives
/// the sentence for its record; `None` where nothing is left.
pub(super) fn may_still_run(operation: &Operation, left: &[&str]) -> Option<String> {
    if left.is_empty() {
        return None;
    }
    let Operation { id, release, kind, .. } = operation;
    tracing::error!(operation = id, release, ?kind, ?left, "ended, and these may still run");
    Some(format!("these may still run: {}", left.join(", ")))
}

/// Whose an application's bytes are, in the blobs' list of references.
pub(super) fn blob_owner(operation: &Operation, app: &str) -> String {
    releases::blob_owner(&operation.release, operation.version, app)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rest_is_twice_as_long_as_the_one_before_up_to_a_minute() {
        let rests: Vec<u64> = (1..=6).map(|it| rest(it).as_secs()).collect();
        assert_eq!(rests, [5, 10, 20, 40, 60, 60]);
        assert_eq!(rest(u32::MAX), REST_MAX);
    }

    #[test]
    fn no_more_operations_than_seats_are_let_in_and_a_large_package_takes_several() {
        let engine = Engine::default();
        let large = engine.seat(4 * SEAT_BYTES).unwrap();
        let seats: Vec<_> = (5..SEATS).map(|_| engine.seat(0).unwrap()).collect();
        assert!(matches!(engine.seat(0), Err(Error::Busy { .. })));
        drop(large);
        drop(engine.seat(0).unwrap());
        drop(seats);
        drop(engine.seat(u64::MAX).unwrap());
    }
}
