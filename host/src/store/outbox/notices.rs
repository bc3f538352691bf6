//! Notices: an event, addressed to one URL that a hooks document names.
//!
//! An upload is kept once, with what it tells of, in the queue [`GATHERING`]. Whoever
//! takes it from there (`crate::outbox`) finds the documents and keeps a notice for
//! each URL, in a lane of the URL's own: a dead URL holds up nobody else.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Event, keep_event, next_sequence};
use crate::{
    error::Result,
    store::{Change, key},
};

/// The queue of events that wait for hooks documents. No hook has such a name.
pub const GATHERING: &str = "\u{1f}gathering";

/// Behind a hook's name: the queue of its notices.
const NOTICES: &str = "\u{1f}notices";

/// The queue of a hook's notices.
pub fn notices_of(hook: &str) -> String {
    format!("{hook}{NOTICES}")
}

/// The hook of a queue, and whether the queue holds its notices.
pub fn binding_of(queue: &str) -> (&str, bool) {
    match queue.strip_suffix(NOTICES) {
        Some(hook) => (hook, true),
        None => (queue, false),
    }
}

/// What one URL is told of an event.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What tells the URL from all others: notices to one keep their order.
    pub lane: String,
    /// What tells the notice from all others of the event.
    pub address: String,
    /// The event's object for it.
    pub object: Value,
}

/// Keeps an event for these hooks, with another object.
pub fn announce_with(
    change: &mut dyn Change,
    of: &Event,
    object: Value,
    hooks: Vec<String>,
) -> Result<()> {
    let sequence = next_sequence(change)?;
    let event = Event { sequence, object: Some(object), hooks, lane: None, ..of.clone() };
    keep_event(change, &event)
}

/// Keeps a notice of an event for these hooks. Its id is the same however often that
/// is done.
pub fn announce_notice(
    change: &mut dyn Change,
    of: &Event,
    notice: Notice,
    hooks: &[String],
) -> Result<()> {
    let sequence = next_sequence(change)?;
    let id = hex::encode(Sha256::digest(format!("{}\0{}", of.id, notice.address)));
    let lane = hex::encode(Sha256::digest(&notice.lane));
    // Three parts, as the lanes of targets have.
    let lane = String::from_utf8(key(&["notice", "", &lane])).expect("it is made of text");
    let event = Event {
        id: id[..32].to_owned(),
        sequence,
        object: Some(notice.object),
        hooks: hooks.iter().map(|it| notices_of(it)).collect(),
        lane: Some(lane),
        ..of.clone()
    };
    keep_event(change, &event)
}
