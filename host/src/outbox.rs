//! Delivers events to after-hooks: at least once, in order for each target.
//!
//! One task looks for what is due whenever something was committed, and starts
//! calls of the hooks in force *now*; each call settles its own events. A slow or
//! dead hook holds up nobody else, and no more than `CALLS_MAX` calls of it run at
//! once. What a crash interrupts is still in the store and is told again.
//!
//! A failed event is tried again later and later. It is given up after
//! `GIVEN_UP_AFTER`, or when the hook says so, and kept among the dead letters.
//!
//! What is sent with hooks documents is made ready here first (`gather`).

mod gather;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    task::{Id, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    clock::now_ms,
    error::Result,
    plugins::{Kind, PluginSet, notifying_hook::Outcome},
    store::outbox::{self, Due, Fate, GATHERING, Pending},
};

/// Events in one call of a hook, and their size.
const BATCH_MAX: usize = 64;
const BATCH_BYTES_MAX: u64 = 1 << 20;
/// Calls of one hook at once.
const CALLS_MAX: usize = 4;
/// Calls of one hook at once with notices, which have one event each, since each goes to
/// a URL of its own. URLs that failed before get no more than half of them.
const NOTICE_CALLS_MAX: usize = 16;

/// Between the first attempt and the second; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Between two attempts at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The longest pause that a hook can ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(3600);
/// How old an event gets before it is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(72 * 3600);
/// How old it gets where its hook is not in force any more.
const UNBOUND_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How often to look, whatever happens: a hook may have come into force.
const LOOK: Duration = Duration::from_secs(5);
/// How often to look for events without a hook that have become too old.
const LOOK_UNBOUND: Duration = Duration::from_secs(60);
/// Before trying again where the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long running calls may take to end when the server stops.
const FINISH: Duration = Duration::from_secs(5);
/// Letters of a reason that are kept.
const REASON_MAX: usize = 1000;

/// Starts the deliveries of a server.
pub fn spawn(app: &Arc<App>) {
    let weak = Arc::downgrade(app);
    let commits = app.store.commits();
    app.tasks.spawn("deliveries", |stop| run(weak, commits, stop));
}

// The server is held only while there is something to do, so that it can end.
async fn run(weak: Weak<App>, mut commits: watch::Receiver<u64>, stop: CancellationToken) {
    let mut desk = Desk::default();
    loop {
        commits.mark_unchanged();
        let Some(app) = weak.upgrade() else { return };
        let pause = desk.start_due(&app).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "events that wait for hooks could not be read");
            STORE_PAUSE
        });
        drop(app);
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = commits.changed() => {}
            Some(call) = desk.calls.join_next_with_id() => desk.finished(call),
            () = sleep(pause) => {}
        }
    }
    let finishing = async { while desk.calls.join_next().await.is_some() {} };
    if timeout(FINISH, finishing).await.is_err() {
        tracing::info!("calls of hooks were cut off: their events are told again");
    }
}

/// What is being delivered.
#[derive(Default)]
struct Desk {
    /// Each says whether the hook did its work.
    calls: JoinSet<bool>,
    running: HashMap<Id, Call>,
    /// By the name of the queue.
    queues: HashMap<String, Progress>,
}

/// What is known of a queue while the server runs.
struct Progress {
    /// Lanes that a call is busy with.
    busy: HashSet<String>,
    calls: usize,
    /// Calls with an event that was tried in vain before.
    again: usize,
    /// Events in the next call: one after a failure, so that one bad event does not
    /// take others with it; then twice as many each time.
    batch: usize,
    /// When it was last seen that it is not in force.
    unbound_seen: Option<SystemTime>,
}

/// A call that goes on.
struct Call {
    queue: String,
    lanes: Vec<String>,
    again: bool,
}

impl Default for Progress {
    fn default() -> Self {
        let (busy, batch) = (HashSet::new(), BATCH_MAX);
        Progress { busy, calls: 0, again: 0, batch, unbound_seen: None }
    }
}

impl Desk {
    /// Starts a call for everything that is due, and says how long nothing will be.
    async fn start_due(&mut self, app: &Arc<App>) -> Result<Duration> {
        let set = app.plugins.set();
        let names = set.names().into_iter();
        let in_force = names.filter(|it| it.1 == Kind::AfterHook).map(|it| it.0);
        let in_force = in_force.collect::<HashSet<_>>();

        let mut pause = LOOK;
        for (queue, held) in app.store.read(outbox::queues).await? {
            let (hook, is_notices) = outbox::binding_of(&queue);
            let labels = [("hook", shown(&queue))];
            metrics::gauge!("chandlery_hook_events_waiting", &labels).set(held.waiting as f64);
            metrics::gauge!("chandlery_hook_dead_letters", &labels).set(held.dead as f64);
            if held.waiting == 0 {
                continue;
            }
            if queue == GATHERING || in_force.contains(hook) {
                self.start_calls(app, &set, &queue, is_notices).await?;
            } else {
                self.give_up_unbound(app, &queue).await?;
            }
            let now = now_ms();
            let next = app.store.read(move |view| outbox::next_due(view, &queue, now)).await?;
            if let Some(next) = next {
                pause = pause.min(Duration::from_millis(next.saturating_sub(now)));
            }
        }
        Ok(pause)
    }

    async fn start_calls(
        &mut self,
        app: &Arc<App>,
        set: &Arc<PluginSet>,
        queue: &str,
        is_notices: bool,
    ) -> Result<()> {
        let progress = self.queues.entry(queue.to_owned()).or_default();
        progress.unbound_seen = None;
        let calls_max = if is_notices { NOTICE_CALLS_MAX } else { CALLS_MAX };
        while progress.calls < calls_max {
            let wanted = Due {
                now: now_ms(),
                busy: progress.busy.clone(),
                only_fresh: is_notices && progress.again >= calls_max / 2,
                limit: if is_notices || queue == GATHERING { 1 } else { progress.batch },
                bytes_max: BATCH_BYTES_MAX,
            };
            let name = queue.to_owned();
            let batch = app.store.read(move |view| outbox::due(view, &name, &wanted)).await?;
            if batch.is_empty() {
                break;
            }
            let lanes = batch.iter().map(|it| it.lane.clone()).collect::<Vec<_>>();
            let again = batch.iter().any(|it| it.attempt > 1);
            progress.busy.extend(lanes.iter().cloned());
            progress.calls += 1;
            progress.again += usize::from(again);
            let (app, set, queue) = (app.clone(), set.clone(), queue.to_owned());
            let call = Call { queue: queue.clone(), lanes, again };
            let id = match queue == GATHERING {
                true => self.calls.spawn(gather::gather(app, set, batch)).id(),
                false => self.calls.spawn(deliver(app, set, queue, batch)).id(),
            };
            self.running.insert(id, call);
        }
        Ok(())
    }

    /// Gives up what is too old to wait for a hook that may never come back.
    async fn give_up_unbound(&mut self, app: &Arc<App>, queue: &str) -> Result<()> {
        let progress = self.queues.entry(queue.to_owned()).or_default();
        let since = progress.unbound_seen.and_then(|it| it.elapsed().ok());
        if since.is_some_and(|it| it < LOOK_UNBOUND) {
            return Ok(());
        }
        progress.unbound_seen = Some(SystemTime::now());
        let (name, now) = (queue.to_owned(), now_ms());
        let (busy, only_fresh) = (HashSet::new(), false);
        let wanted = Due { now, busy, only_fresh, limit: BATCH_MAX, bytes_max: u64::MAX };
        let give_up = move |change: &mut dyn crate::store::Change| {
            let due = outbox::due(change, &name, &wanted)?;
            let old = due.into_iter().filter(|it| age(it, now) > UNBOUND_AFTER);
            let why = "no hook of that name has been in force for a day";
            let fates = old.map(|it| (it, Fate::Dead(why.to_owned()))).collect::<Vec<_>>();
            let count = fates.len();
            outbox::settle(change, &name, fates, now)?;
            Ok(count)
        };
        let count = app.store.write_unaudited(give_up).await?;
        if count > 0 {
            count_events(queue, "dead", count as u64);
            let hook = shown(queue);
            tracing::warn!(hook, count, "events given up: no hook of that name is in force");
        }
        Ok(())
    }

    fn finished(&mut self, call: std::result::Result<(Id, bool), tokio::task::JoinError>) {
        let (id, well) = call.unwrap_or_else(|error| {
            tracing::error!(%error, "a delivery panicked");
            (error.id(), false)
        });
        let Some(call) = self.running.remove(&id) else { return };
        let Some(progress) = self.queues.get_mut(&call.queue) else { return };
        progress.calls -= 1;
        progress.again -= usize::from(call.again);
        for lane in call.lanes {
            progress.busy.remove(&lane);
        }
        progress.batch = if well { (progress.batch * 2).min(BATCH_MAX) } else { 1 };
    }
}

/// Tells a hook and settles what it answers. Says whether the hook did its work.
async fn deliver(app: Arc<App>, set: Arc<PluginSet>, queue: String, batch: Vec<Pending>) -> bool {
    let events = batch.iter().map(|it| it.event.for_hook(it.attempt)).collect::<Vec<_>>();
    let (hook, _) = outbox::binding_of(&queue);
    let answer = set.deliver(hook, &events).await;
    if let Err(error) = &answer {
        tracing::warn!(hook, %error, events = events.len(), "a hook failed and is tried again");
    }
    let well = answer.is_ok();
    let outcomes = answer.unwrap_or_default().into_iter().map(Some);
    let outcomes = outcomes.chain(std::iter::repeat_with(|| None));

    let now = now_ms();
    let mut fates = Vec::new();
    for (pending, outcome) in batch.into_iter().zip(outcomes) {
        let fate = fate(&pending, outcome.unwrap_or(Outcome::Retry(None)), now);
        note(&queue, &pending, &fate, now);
        fates.push((pending, fate));
    }
    let name = queue.clone();
    let settled = app.store.write_unaudited(move |it| outbox::settle(it, &name, fates, now)).await;
    if let Err(error) = settled {
        tracing::warn!(hook = shown(&queue), %error, "deliveries could not be settled: they are told again");
        sleep(STORE_PAUSE).await;
    }
    well
}

/// What becomes of an event after this outcome.
fn fate(pending: &Pending, outcome: Outcome, now: u64) -> Fate {
    match outcome {
        Outcome::Done => Fate::Delivered,
        Outcome::Drop(reason) => Fate::Dead(reason.chars().take(REASON_MAX).collect()),
        Outcome::Retry(_) if age(pending, now) > GIVEN_UP_AFTER => {
            let attempts = pending.attempt;
            Fate::Dead(format!("tried {attempts} times in three days without success"))
        }
        Outcome::Retry(asked) => {
            let asked = Duration::from_millis(u64::from(asked.unwrap_or(0))).min(ASKED_PAUSE_MAX);
            let pause = pause(pending.attempt, jitter()).max(asked);
            Fate::Later(now + pause.as_millis() as u64)
        }
    }
}

fn note(queue: &str, pending: &Pending, fate: &Fate, now: u64) {
    let outcome = match fate {
        Fate::Delivered => "delivered",
        Fate::Later(_) => "retried",
        Fate::Dead(_) => "dead",
    };
    count_events(queue, outcome, 1);
    match fate {
        Fate::Delivered => {
            let lag = age(pending, now).as_secs_f64();
            metrics::histogram!("chandlery_hook_lag_seconds", "hook" => shown(queue)).record(lag);
        }
        Fate::Later(_) => {}
        Fate::Dead(reason) => {
            let (event_id, attempts) = (pending.event.id.as_str(), pending.attempt);
            tracing::warn!(
                hook = shown(queue),
                event_id,
                attempts,
                reason,
                "an event was given up"
            );
        }
    }
}

fn count_events(queue: &str, outcome: &'static str, count: u64) {
    let labels = [("hook", shown(queue)), ("outcome", outcome.to_owned())];
    metrics::counter!("chandlery_hook_events_total", &labels).increment(count);
}

/// A queue's name for people: `chat`, `chat:notices`, `:gathering`.
fn shown(queue: &str) -> String {
    queue.replace('\u{1f}', ":")
}

/// The pause after an attempt: twice the one before, and up to a fifth more or
/// less, so that what failed together does not come back together.
fn pause(attempt: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    doubled.min(LONGEST_PAUSE).mul_f64(0.8 + 0.4 * jitter)
}

/// Something between 0 and 1.
fn jitter() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

fn age(pending: &Pending, now: u64) -> Duration {
    Duration::from_millis(now.saturating_sub(pending.event.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authz::{Principal, PrincipalKind, Target},
        store::outbox::Event,
    };

    const NOW: u64 = 1_800_000_000_000;

    fn pending(age: Duration, attempt: u32) -> Pending {
        let actor = Principal {
            id: "user:ana".to_owned(),
            kind: PrincipalKind::User,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: Vec::new(),
        };
        let target = Target {
            kind: "unit".to_owned(),
            namespace: "acme".to_owned(),
            name: "web".to_owned(),
            version: None,
            labels: Vec::new(),
        };
        let event = Event {
            id: "e-1".to_owned(),
            sequence: 1,
            action: "inventory:version:register".to_owned(),
            target,
            actor,
            at: NOW - age.as_millis() as u64,
            object: None,
            failure: None,
            hooks: vec!["mail".to_owned()],
            lane: None,
        };
        Pending { lane: "unit".to_owned(), event, attempt }
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_differ() {
        for (attempt, expected_ms) in [(1, 250), (2, 500), (5, 4000), (12, 512_000), (13, 600_000)]
        {
            assert_eq!(pause(attempt, 0.5), Duration::from_millis(expected_ms), "{attempt}");
        }
        assert_eq!(pause(u32::MAX, 0.5), LONGEST_PAUSE);
        assert_eq!(pause(1, 0.0), Duration::from_millis(200));
        assert_eq!(pause(1, 1.0), Duration::from_millis(300));
        assert!((0.0..=1.0).contains(&jitter()));
    }

    #[test]
    fn a_hook_can_ask_for_a_longer_pause_but_not_for_any() {
        let later = |asked, attempt| match fate(&pending(LOOK, attempt), Outcome::Retry(asked), NOW)
        {
            Fate::Later(due) => due - NOW,
            other => panic!("{other:?}"),
        };
        assert!((200..=300).contains(&later(None, 1)));
        assert!((200..=300).contains(&later(Some(10), 1)));
        assert_eq!(later(Some(5_000), 1), 5_000);
        assert_eq!(later(Some(u32::MAX), 1), 3_600_000);
    }

    #[test]
    fn an_event_is_given_up_when_the_hook_says_so_or_after_three_days() {
        let dropped = fate(&pending(LOOK, 1), Outcome::Drop("x".repeat(5000)), NOW);
        assert_eq!(dropped, Fate::Dead("x".repeat(1000)));

        let old = GIVEN_UP_AFTER + LOOK;
        let late = fate(&pending(old, 9), Outcome::Retry(None), NOW);
        assert_eq!(late, Fate::Dead("tried 9 times in three days without success".to_owned()));
        assert_eq!(fate(&pending(old, 9), Outcome::Done, NOW), Fate::Delivered);
    }
}
