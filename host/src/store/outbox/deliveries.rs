//! A hook's queue: its lanes, what is due in them, and what became of it.

use std::collections::HashSet;

use super::{
    super::{Change, Table, Take, View, decode, encode, find, keep, key, prefix},
    records::{DeadLetter, Delivery, Event, Lane, Queue, ordinal},
};
use crate::error::Result;

/// Sequence → [`Event`], while any hook still waits for it.
pub(super) const EVENTS: Table = Table("outbox_events");
/// (hook, lane, sequence) → [`Delivery`].
const ROWS: Table = Table("outbox_rows");
/// (hook, lane) → [`Lane`].
const LANES: Table = Table("outbox_lanes");
/// (hook, due, sequence, lane) → nothing: the lanes, by when their first event is due.
const DUE: Table = Table("outbox_due");
/// Hook → [`Queue`].
pub(super) const QUEUES: Table = Table("outbox_queues");
/// (hook, sequence) → [`DeadLetter`].
const DEAD: Table = Table("outbox_dead");

/// Dead letters kept for each hook; beyond, the oldest go.
const DEAD_MAX: u64 = 10_000;
pub(super) const DEAD_BYTES_MAX: u64 = 64 << 20;

/// Events in a lane that is not a target's: what one URL can have before it.
const LANE_WAITING_MAX: u64 = 1_000;

/// Hooks looked at in one pass.
const HOOKS_MAX: usize = 1_000;

/// The first event of a lane, due to be delivered.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The lane: settle it before asking for its next event.
    pub lane: String,
    /// The event.
    pub event: Event,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// What became of a pending event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The hook has it.
    Delivered,
    /// Not before this moment, in milliseconds since the Unix epoch.
    Later(u64),
    /// Given up, and why.
    Dead(String),
}

/// The hooks that have a queue or dead letters, with how much.
pub fn queues(view: &dyn View) -> Result<Vec<(String, Queue)>> {
    let rows = view.range(QUEUES, b"", b"", Take { reverse: false, limit: HOOKS_MAX })?;
    rows.iter().map(|(hook, bytes)| Ok((text(hook), decode(bytes)?))).collect()
}

/// Which of a hook's events are asked for.
#[derive(Clone, Debug)]
pub struct Due {
    /// The moment, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Lanes that are passed over.
    pub busy: HashSet<String>,
    /// Whether lanes are passed over whose first event was tried in vain before.
    pub only_fresh: bool,
    /// Events at the most.
    pub limit: usize,
    /// Their size at the most, unless the first alone is larger.
    pub bytes_max: u64,
}

/// Lanes looked at that are passed over since their first event was tried in vain.
const STALE_MAX: usize = 1_000;

/// Events of `hook` that are due, one a lane, longest due first.
pub fn due(view: &dyn View, hook: &str, wanted: &Due) -> Result<Vec<Pending>> {
    let Due { now, busy, only_fresh, limit, bytes_max } = wanted;
    let from = prefix(&[hook]).0;
    let to = key(&[hook, &ordinal(now + 1)]);
    let passed_over = busy.len() + if *only_fresh { STALE_MAX } else { 0 };
    let take = Take { reverse: false, limit: limit + passed_over };

    let mut found = Vec::new();
    let mut bytes = 0;
    for (row, _) in view.range(DUE, &from, &to, take)? {
        let (_, sequence, lane) = due_parts(hook, &row);
        if busy.contains(&lane) || found.len() == *limit {
            continue;
        }
        let tried = find::<Lane>(view, LANES, &key(&[hook, &lane]))?.map_or(0, |it| it.attempts);
        if *only_fresh && tried > 0 {
            continue;
        }
        let Some(event) = find::<Event>(view, EVENTS, sequence.as_bytes())? else { continue };
        let row = find::<Delivery>(view, ROWS, &key(&[hook, &lane, &sequence]))?;
        bytes += row.map_or(0, |it| it.bytes);
        if bytes > *bytes_max && !found.is_empty() {
            break;
        }
        found.push(Pending { lane, event, attempt: tried.saturating_add(1) });
    }
    Ok(found)
}

/// When the next lane of `hook` is due after `now`.
pub fn next_due(view: &dyn View, hook: &str, now: u64) -> Result<Option<u64>> {
    let from = key(&[hook, &ordinal(now + 1)]);
    let to = prefix(&[hook]).1;
    let rows = view.range(DUE, &from, &to, Take { reverse: false, limit: 1 })?;
    Ok(rows.first().map(|(row, _)| due_parts(hook, row).0))
}

/// Records what became of events. What was settled before is left alone.
pub fn settle(
    change: &mut dyn Change,
    hook: &str,
    fates: Vec<(Pending, Fate)>,
    now: u64,
) -> Result<()> {
    for (pending, fate) in fates {
        let Pending { lane, event, attempt } = pending;
        let sequence = ordinal(event.sequence);
        let row_key = key(&[hook, &lane, &sequence]);
        let Some(row) = find::<Delivery>(change, ROWS, &row_key)? else { continue };
        let Some(old) = find::<Lane>(change, LANES, &key(&[hook, &lane]))? else { continue };
        change.delete(DUE, &due_key(hook, old.due, event.sequence, &lane));

        match fate {
            Fate::Later(due) => {
                let lane_of_it = Lane { due, attempts: attempt, ..old };
                put_lane(change, hook, &lane, event.sequence, lane_of_it);
            }
            Fate::Delivered => finish(change, hook, (&lane, old), &event, row, now)?,
            Fate::Dead(why) => {
                bury(change, hook, &event, attempt, why, now)?;
                finish(change, hook, (&lane, old), &event, row, now)?;
            }
        }
    }
    Ok(())
}

/// The newest dead letters of `hook`, newest first.
pub fn dead_letters(view: &dyn View, hook: &str, limit: usize) -> Result<Vec<DeadLetter>> {
    let (from, to) = prefix(&[hook]);
    let rows = view.range(DEAD, &from, &to, Take { reverse: true, limit })?;
    rows.iter().map(|(_, bytes)| decode(bytes)).collect()
}

/// Adds an event to the end of its lane.
pub(super) fn enqueue(
    change: &mut dyn Change,
    hook: &str,
    event: &Event,
    delivery: Delivery,
) -> Result<()> {
    let lane = event.lane();
    let mut queue = queue(change, hook)?;
    queue.waiting += 1;
    queue.waiting_bytes += delivery.bytes;
    keep(change, QUEUES, hook.as_bytes(), &queue);
    keep(change, ROWS, &key(&[hook, &lane, &ordinal(event.sequence)]), &delivery);
    let counted = u64::from(event.lane.is_some());
    match find::<Lane>(change, LANES, &key(&[hook, &lane]))? {
        None => {
            let fresh = Lane { due: event.at, attempts: 0, waiting: counted };
            put_lane(change, hook, &lane, event.sequence, fresh);
        }
        Some(known) if counted > 0 => {
            let longer = Lane { waiting: known.waiting + counted, ..known };
            keep(change, LANES, &key(&[hook, &lane]), &longer);
        }
        Some(_) => {}
    }
    Ok(())
}

/// Whether no more events may wait in the event's lane, one that is counted.
pub(super) fn is_full(view: &dyn Change, hook: &str, event: &Event) -> Result<bool> {
    let lane = find::<Lane>(view, LANES, &key(&[hook, &event.lane()]))?;
    Ok(lane.is_some_and(|it| it.waiting >= LANE_WAITING_MAX))
}

/// How much a hook has.
pub(super) fn queue(view: &(impl View + ?Sized), hook: &str) -> Result<Queue> {
    Ok(find::<Queue>(view, QUEUES, hook.as_bytes())?.unwrap_or_default())
}

/// Puts an event among the dead letters, and lets the oldest go where there are
/// too many.
pub(super) fn bury(
    change: &mut dyn Change,
    hook: &str,
    event: &Event,
    attempts: u32,
    reason: String,
    now: u64,
) -> Result<()> {
    let letter = DeadLetter { event: event.clone(), reason, attempts, at: now };
    let bytes = encode(&letter);
    let mut queue = queue(change, hook)?;
    queue.dead += 1;
    queue.dead_bytes += bytes.len() as u64;
    change.put(DEAD, &key(&[hook, &ordinal(event.sequence)]), bytes);

    while queue.dead > 1 && (queue.dead > DEAD_MAX || queue.dead_bytes > DEAD_BYTES_MAX) {
        let (from, to) = prefix(&[hook]);
        let oldest = change.range(DEAD, &from, &to, Take { reverse: false, limit: 1 })?;
        let Some((key, bytes)) = oldest.into_iter().next() else { break };
        change.delete(DEAD, &key);
        queue.dead -= 1;
        queue.dead_bytes = queue.dead_bytes.saturating_sub(bytes.len() as u64);
    }
    keep(change, QUEUES, hook.as_bytes(), &queue);
    Ok(())
}

/// Takes the first event out of its lane; the next is due at once. The event goes
/// when no other hook waits for it.
fn finish(
    change: &mut dyn Change,
    hook: &str,
    (lane, old): (&str, Lane),
    event: &Event,
    row: Delivery,
    now: u64,
) -> Result<()> {
    let sequence = ordinal(event.sequence);
    change.delete(ROWS, &key(&[hook, lane, &sequence]));
    let mut queue = queue(change, hook)?;
    queue.waiting = queue.waiting.saturating_sub(1);
    queue.waiting_bytes = queue.waiting_bytes.saturating_sub(row.bytes);
    keep(change, QUEUES, hook.as_bytes(), &queue);

    match first_in(change, hook, lane)? {
        Some(next) => {
            let waiting = old.waiting.saturating_sub(1);
            put_lane(change, hook, lane, next, Lane { due: now, attempts: 0, waiting });
        }
        None => change.delete(LANES, &key(&[hook, lane])),
    }
    for other in &event.hooks {
        if change.get(ROWS, &key(&[other, lane, &sequence]))?.is_some() {
            return Ok(());
        }
    }
    change.delete(EVENTS, sequence.as_bytes());
    Ok(())
}

fn put_lane(change: &mut dyn Change, hook: &str, name: &str, first: u64, lane: Lane) {
    change.put(DUE, &due_key(hook, lane.due, first, name), Vec::new());
    keep(change, LANES, &key(&[hook, name]), &lane);
}

/// The sequence of the first event in a lane.
fn first_in(view: &(impl View + ?Sized), hook: &str, lane: &str) -> Result<Option<u64>> {
    let (from, to) = prefix(&[hook, lane]);
    let rows = view.range(ROWS, &from, &to, Take { reverse: false, limit: 1 })?;
    Ok(rows.first().and_then(|(key, _)| number(&text(&key[from.len()..]))))
}

fn due_key(hook: &str, due: u64, sequence: u64, lane: &str) -> Vec<u8> {
    key(&[hook, &ordinal(due), &ordinal(sequence), lane])
}

/// The moment, the sequence and the lane in a key of [`DUE`].
fn due_parts(hook: &str, row: &[u8]) -> (u64, String, String) {
    let rest = text(&row[hook.len() + 1..]);
    let mut parts = rest.splitn(3, '\0');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (due, sequence, lane) = (part(), part(), part());
    (number(&due).unwrap_or(0), sequence, lane)
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
