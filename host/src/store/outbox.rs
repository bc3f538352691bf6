//! What after-hooks are still to hear: events, durable with the change that they
//! tell of, until every hook that wanted them has them.
//!
//! An operation calls [`announce`] inside its write's closure, so an event exists
//! exactly when its change does. Nothing is kept where no hook wants it.
//! `crate::outbox` delivers: it takes what is [`due`] and [`settle`]s it.
//!
//! Events of one target form a *lane* of a hook. Only the first event of a lane
//! is ever due, so a later one cannot overtake it; lanes do not wait for each
//! other. What a hook never takes ends in its dead letters. Both a hook's queue
//! and its dead letters are bounded in rows and in bytes.
//!
//! Besides a queue for each hook there is one for each hook's *notices* and one of
//! events that wait for the hooks documents that they are sent with ([`Notice`]).

mod deliveries;
mod notices;
mod records;

pub use deliveries::{Due, Fate, Pending, dead_letters, due, next_due, queues, settle};
pub use notices::{GATHERING, Notice, announce_notice, announce_with, binding_of, notices_of};
pub use records::{DeadLetter, Event, Queue};

use super::{Change, Table, find, keep};
use crate::{
    authz::{Permit, Principal, Target},
    clock::now_ms,
    error::Result,
    plugins::PluginSet,
};

use self::records::{Delivery, Numbers, ordinal};

/// `"numbers"` → the last sequence number given.
const NUMBERS: Table = Table("outbox_numbers");

/// At most this many events wait for a hook, and this many bytes. An event for a
/// full queue goes straight to the dead letters.
const WAITING_MAX: u64 = 100_000;
const WAITING_BYTES_MAX: u64 = 256 << 20;

/// Something that happened, and who wants to hear of it.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The event's id: the same on every attempt to deliver it.
    id: String,
    action: String,
    target: Target,
    actor: Principal,
    object: Option<serde_json::Value>,
    failure: Option<String>,
    /// The hooks of the request's generation of plugins that want the action.
    hooks: Vec<String>,
}

impl Announcement {
    /// Whether any after-hook wants to hear of what `permit` allowed: without one, no
    /// object need be made for [`Announcement::of`].
    pub fn is_wanted(permit: &Permit) -> bool {
        permit.caller.plugins.has_after_hooks(permit.action, &permit.target)
    }

    /// What `permit` allowed, told to the after-hooks that were in force when the
    /// request began. `object` is what is stored, in the API's own shape.
    pub fn of(permit: &Permit, object: Option<serde_json::Value>) -> Self {
        let Permit { caller, action, target, .. } = permit;
        Self::new(&caller.plugins, action, target.clone(), caller.principal.clone(), object)
    }

    /// What the server did on its own, told to the after-hooks of `plugins`.
    pub fn new(
        plugins: &PluginSet,
        action: &str,
        target: Target,
        actor: Principal,
        object: Option<serde_json::Value>,
    ) -> Self {
        let hooks = plugins.after_hooks(action, &target);
        let id = match hooks.is_empty() {
            true => String::new(),
            false => uuid::Uuid::new_v4().to_string(),
        };
        Announcement { id, action: action.to_owned(), target, actor, object, failure: None, hooks }
    }

    /// The same, of what was begun and did not work.
    pub fn failed(mut self, why: &str) -> Self {
        self.failure = Some(why.to_owned());
        self
    }

    /// The same, but hooks that may know the hooks documents hear of it together with
    /// these, once they have been gathered.
    pub fn with_documents(mut self, plugins: &PluginSet) -> Self {
        let before = self.hooks.len();
        self.hooks.retain(|it| !plugins.knows_documents(it));
        if self.hooks.len() < before {
            self.hooks.push(GATHERING.to_owned());
        }
        self
    }
}

/// Gives the event a number and keeps it for each hook that wants it. Call it in
/// the closure of the write that it tells of.
pub fn announce(change: &mut dyn Change, announcement: &Announcement) -> Result<()> {
    if announcement.hooks.is_empty() {
        return Ok(());
    }
    let sequence = next_sequence(change)?;
    keep_event(change, &Event::new(announcement, sequence, now_ms()))
}

/// Puts an event in its queues, or among the dead letters of those that are full.
fn keep_event(change: &mut dyn Change, event: &Event) -> Result<()> {
    let bytes = super::encode(event);
    let size = bytes.len() as u64;

    let mut taken = false;
    for hook in &event.hooks {
        let queue = deliveries::queue(change, hook)?;
        let why = if queue.waiting >= WAITING_MAX || queue.waiting_bytes + size > WAITING_BYTES_MAX
        {
            format!("{} events already wait for this hook", queue.waiting)
        } else if event.lane.is_some() && deliveries::is_full(change, hook, event)? {
            "too many events already wait for this URL".to_owned()
        } else {
            deliveries::enqueue(change, hook, event, Delivery { bytes: size })?;
            taken = true;
            continue;
        };
        deliveries::bury(change, hook, event, 0, why, now_ms())?;
    }
    if taken {
        change.put(deliveries::EVENTS, ordinal(event.sequence).as_bytes(), bytes);
    }
    Ok(())
}

fn next_sequence(change: &mut dyn Change) -> Result<u64> {
    let mut numbers = find::<Numbers>(change, NUMBERS, b"numbers")?.unwrap_or_default();
    numbers.last += 1;
    keep(change, NUMBERS, b"numbers", &numbers);
    Ok(numbers.last)
}

#[cfg(test)]
mod tests;
