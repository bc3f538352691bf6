//! Brings operations on releases to their end, whatever happens in between.
//!
//! Each step is written down before it is taken and after. What an earlier server
//! left open is taken up within seconds of the start: an install is undone, and so is an
//! upgrade that nobody was told of yet; one that waits goes on waiting, and a deletion
//! and a scaling are finished. A release never stays in between, and its stored platform
//! status is kept fresh for lists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    delete,
    model::StatusCode,
    platform::{self, Platform},
    scale, status, steps, upgrade,
};
use crate::{
    app::App,
    clock::now_ms,
    error::{Error, Result},
    plugins::types::PluginError,
    store::{
        operations::{self, Kind, Operation, Phase},
        releases::{self, ReleaseRow},
    },
};

/// How often open operations and young releases are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Releases younger than this are refreshed with every tick.
const YOUNG_MS: u64 = 120_000;
/// All others this often.
const ALL: Duration = Duration::from_secs(600);
/// Releases that one refresh reads at once.
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
/// Open operations that are taken up at once.
const OPEN_MAX: usize = 64;

/// Installs and deletions under way at once; and as many taken up again.
const SEATS: u32 = 16;
/// One that reads a package takes a seat for each such part of it.
const SEAT_BYTES: u64 = 16 << 20;

/// How long a request waits for the end of an operation whose outcome is known.
const TIDYING_MAX: Duration = Duration::from_secs(30);
/// From so many on, signals that nobody waits for are looked for and forgotten.
const SIGNALS_LEAST: usize = 64;

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
    /// Who waits for something to become of a release, by its name.
    signals: Mutex<HashMap<String, Weak<Notify>>>,
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
            signals: Mutex::default(),
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

    /// Is notified whenever an operation on that release ends or is cancelled. Take
    /// it, and begin to listen, before looking at the store.
    pub fn signal(&self, release: &str) -> Arc<Notify> {
        let mut signals = lock(&self.signals);
        if signals.len() >= SIGNALS_LEAST {
            signals.retain(|_, it| it.strong_count() > 0);
        }
        if let Some(known) = signals.get(release).and_then(Weak::upgrade) {
            return known;
        }
        let signal = Arc::new(Notify::new());
        signals.insert(release.to_owned(), Arc::downgrade(&signal));
        signal
    }

    /// Wakes those who wait for something to become of a release.
    pub(super) fn changed(&self, release: &str) {
        let known = lock(&self.signals).get(release).and_then(Weak::upgrade);
        if let Some(signal) = known {
            signal.notify_waiters();
        }
    }

    /// Waits until nobody works on a release, at most until `until`. Gives the operation
    /// that still holds it then.
    pub async fn wait_until_free(
        &self,
        app: &App,
        release: &str,
        until: Instant,
    ) -> Result<Option<Operation>> {
        let signal = self.signal(release);
        loop {
            let changed = signal.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let name = release.to_owned();
            let held = app.store.read(move |view| operations::open_of(view, &name)).await?;
            if held.is_none() {
                return Ok(None);
            }
            if timeout_at(until, changed).await.is_err() {
                return Ok(held);
            }
        }
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
    if let Err(error) = refresh(app, all).await {
        tracing::warn!(%error, "stored statuses could not be refreshed");
    }
}

/// Takes up what nobody works on. Nobody waits for it here: one that takes long
/// must not keep the others.
async fn take_up(app: &Arc<App>) -> Result<()> {
    let mut after = String::new();
    let mut taken = 0;
    while taken < OPEN_MAX {
        let from = after.clone();
        let open = app.store.read(move |view| operations::open(view, &from, OPEN_MAX)).await?;
        let Some(last) = open.last() else { return Ok(()) };
        after = last.release.clone();
        for operation in open {
            if app.engine.is_resting(&operation.id) {
                continue;
            }
            // What only watches needs no seat, and for the rest the next round takes up
            // what there is none for now.
            let seat = match operation.phase {
                Phase::Waiting | Phase::Retiring => None,
                _ => match app.engine.again.clone().try_acquire_owned() {
                    Ok(seat) => Some(seat),
                    Err(_) => return Ok(()),
                },
            };
            let Some(working) = Working::on(app, &operation.id) else { continue };
            let app = app.clone();
            tokio::spawn(async move {
                let _seat = seat;
                go_on(&app, working, &operation.id, &operation.release).await;
            });
            taken += 1;
        }
    }
    Ok(())
}

async fn go_on(app: &Arc<App>, _working: Working, id: &str, release: &str) {
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
    if let Err(error) = ended {
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

async fn refresh(app: &App, all: bool) -> Result<()> {
    if all {
        return refresh_all(app).await;
    }
    let now = now_ms();
    let keys: Vec<(String, u32)> = {
        let mut young = lock(&app.engine.young);
        young.retain(|_, made_ms| now.saturating_sub(*made_ms) < YOUNG_MS);
        young.keys().cloned().collect()
    };
    for keys in keys.chunks(PAGE) {
        let keys = keys.to_vec();
        let read = app.store.read(move |view| {
            let rows = keys.iter().map(|(name, version)| releases::find(view, name, *version));
            rows.collect::<Result<Vec<_>>>()
        });
        let rows = read.await?.into_iter().flatten().collect();
        refresh_rows(app, rows).await?;
    }
    Ok(())
}

async fn refresh_all(app: &App) -> Result<()> {
    let mut after: Option<(String, u32)> = None;
    loop {
        let from = after.clone();
        let read = app.store.read(move |view| {
            let after = from.as_ref().map(|(name, version)| (name.as_str(), *version));
            releases::listed(view, "", after, PAGE)
        });
        let rows = read.await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some((last.release.name.clone(), last.release.version));
        for row in &rows {
            if now_ms().saturating_sub(row.release.info.first_deployed) < YOUNG_MS {
                app.engine.follow(row);
            }
        }
        refresh_rows(app, rows).await?;
    }
}

async fn refresh_rows(app: &App, rows: Vec<ReleaseRow>) -> Result<()> {
    let rows: Vec<ReleaseRow> =
        rows.into_iter().filter(|it| it.status() == StatusCode::Deployed).collect();
    let fresh = status::ask(app, &app.plugins.set(), &rows).await;
    let changed: Vec<(ReleaseRow, String)> = rows
        .into_iter()
        .zip(fresh)
        .filter_map(|(row, text)| Some((row, text?)))
        .filter(|(row, text)| row.release.info.status.platform_status.as_ref() != Some(text))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let kept = app.store.write_unaudited(move |change| {
        for (row, text) in changed {
            let now = releases::find(change, &row.release.name, row.release.version)?;
            // It may have been deleted while the platform was asked.
            if let Some(mut now) = now.filter(|it| it.status() == row.status()) {
                now.release.info.status.platform_status = Some(text);
                releases::put(change, &now)?;
            }
        }
        Ok(())
    });
    kept.await
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
