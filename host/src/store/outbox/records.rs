//! The outbox's records, and the texts that its keys are made of.

use serde::{Deserialize, Serialize};

use super::{
    super::{Record, key},
    Announcement,
};
use crate::{
    authz::{Principal, Target},
    plugins::notifying_hook,
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The same on every attempt to deliver it.
    pub id: String,
    /// Rises with each event of this server.
    pub sequence: u64,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub target: Target,
    /// Who did it.
    pub actor: Principal,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The object as it was stored.
    pub object: Option<serde_json::Value>,
    /// Why it did not work, where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The queues that it was put in.
    pub hooks: Vec<String>,
    /// The lane, where it is not the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
}

impl Event {
    pub(super) fn new(announcement: &Announcement, sequence: u64, at: u64) -> Self {
        let Announcement { id, action, target, actor, object, failure, hooks } =
            announcement.clone();
        Event { id, sequence, action, target, actor, at, object, failure, hooks, lane: None }
    }

    /// The lane that it waits in.
    pub(super) fn lane(&self) -> String {
        self.lane.clone().unwrap_or_else(|| lane_of(&self.target))
    }

    /// The event as a hook sees it.
    pub fn for_hook(&self, attempt: u32) -> notifying_hook::Event {
        notifying_hook::Event {
            id: self.id.clone(),
            sequence: self.sequence,
            action: self.action.clone(),
            target: self.target.clone(),
            actor: self.actor.clone(),
            at: self.at,
            object: self.object.as_ref().map(ToString::to_string),
            failure: self.failure.clone(),
            attempt,
        }
    }
}

impl Record for Event {
    const WHAT: &'static str = "event";
}

/// An event that a hook never took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The whole event.
    pub event: Event,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in milliseconds since the Unix epoch.
    pub at: u64,
}

impl Record for DeadLetter {
    const WHAT: &'static str = "dead letter";
}

/// How much a hook has before it, and behind it in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Events that wait.
    pub waiting: u64,
    /// Their size.
    pub waiting_bytes: u64,
    /// Dead letters.
    pub dead: u64,
    /// Their size.
    pub dead_bytes: u64,
}

impl Record for Queue {
    const WHAT: &'static str = "hook's queue";
}

/// The last sequence number given.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Numbers {
    pub(super) last: u64,
}

impl Record for Numbers {
    const WHAT: &'static str = "outbox's numbers";
}

/// One event that waits for one hook.
#[derive(Serialize, Deserialize)]
pub(super) struct Delivery {
    /// The event's size.
    pub(super) bytes: u64,
}

impl Record for Delivery {
    const WHAT: &'static str = "delivery";
}

/// A target's line of events before a hook. It exists while an event waits in it.
#[derive(Serialize, Deserialize)]
pub(super) struct Lane {
    /// When its first event is due, in milliseconds since the Unix epoch.
    pub(super) due: u64,
    /// How often its first event was tried in vain.
    pub(super) attempts: u32,
    /// Events in it; only counted in lanes that are not a target's.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) waiting: u64,
}

fn is_none(waiting: &u64) -> bool {
    *waiting == 0
}

impl Record for Lane {
    const WHAT: &'static str = "lane";
}

/// The lane of a target: versions of one thing share theirs, so a hook hears of
/// them in the order in which they were made.
fn lane_of(target: &Target) -> String {
    let part = |text: &str| text.replace('\0', "\u{fffd}");
    let parts = [part(&target.kind), part(&target.namespace), part(&target.name)];
    String::from_utf8(key(&parts.each_ref().map(String::as_str))).expect("made of text")
}

/// A number as text that sorts like the number.
pub(super) fn ordinal(number: u64) -> String {
    format!("{number:016x}")
}
