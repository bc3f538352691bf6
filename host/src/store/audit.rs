//! Who did what: a record in the same transaction as the change itself.
//!
//! Each record holds the hash of the one before it, and the head of the chain is
//! kept apart, so a record that was changed, removed or moved is found
//! ([`verify`]). Order is by number; the clock is only told, never trusted. The
//! digests are the transaction's own, over every row that the change touched.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    batch::Digests,
    view::{Change, Record, Table, Take, View, decode, encode, find, keep},
};
use crate::error::{Error, Result};

// number, 8 bytes big-endian -> Entry. Never changed, never deleted.
const AUDIT: Table = Table("audit");

// "head" -> Head.
const AUDIT_HEAD: Table = Table("audit_head");

/// Who did what, for the audit record that a change leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The actor's id: `user:alice`, `anonymous`, `system:engine`.
    pub actor: String,
    /// The token used, by id; empty without one.
    pub token: String,
    /// The action: `inventory:version:register`.
    pub action: String,
    /// What it was done to: `kind/namespace/name/version`.
    pub resource: String,
    /// The digest of the policy that decided.
    pub policy_digest: String,
    /// The request's id; empty for background work.
    pub request_id: String,
}

/// One audit record, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1, without a gap.
    pub number: u64,
    /// When, by the wall clock: microseconds since 1970.
    pub at_us: i64,
    /// The actor's id.
    pub actor: String,
    /// The token used, by id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The action.
    pub action: String,
    /// What it was done to.
    pub resource: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The digest of the policy that decided.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy_digest: String,
    /// The request's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The hash of the record before this one; of nothing for the first.
    pub previous: String,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done {
        /// The digest of all rows that it changed, before.
        before: String,
        /// And after.
        after: String,
    },
    /// It was begun, and takes a while: its end is a record of its own.
    Begun,
    /// It was begun and did not work.
    Failed {
        /// Why.
        why: String,
    },
    /// It was refused, with this sentence.
    Refused {
        /// Why.
        why: String,
    },
    /// It went on although a plugin failed, as the operator wants of that plugin.
    PassedOpen {
        /// Which plugin, and how it failed.
        why: String,
    },
    /// More was refused, or went on although a plugin failed, than is kept one by one:
    /// so many of both together, of this actor, since the last record of the kind.
    #[serde(alias = "refused-more")]
    More {
        /// How many.
        count: u64,
    },
}

/// The chain's last number and hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last record's number; 0 while there is none.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

impl From<Digests> for Outcome {
    fn from(digests: Digests) -> Self {
        Outcome::Done { before: digests.before, after: digests.after }
    }
}

impl Record for Entry {
    const WHAT: &'static str = "audit";
}

impl Record for Head {
    const WHAT: &'static str = "audit head";
}

/// The chain's end.
pub fn head(view: &(impl View + ?Sized)) -> Result<Head> {
    Ok(find(view, AUDIT_HEAD, b"head")?.unwrap_or_default())
}

/// At most `limit` records from `number` on, in order.
pub fn entries(view: &(impl View + ?Sized), number: u64, limit: usize) -> Result<Vec<Entry>> {
    let rows = view.range(AUDIT, &number.to_be_bytes(), b"", Take { reverse: false, limit })?;
    rows.iter().map(|(_, value)| decode(value)).collect()
}

/// The number of the first record that was made at that time or later, in microseconds
/// since 1970; one more than the last where there is none. Takes it that the clock
/// never went back.
pub fn first_since(view: &(impl View + ?Sized), at_us: i64) -> Result<u64> {
    let (mut low, mut high) = (1, head(view)?.number + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match find::<Entry>(view, AUDIT, &middle.to_be_bytes())? {
            Some(entry) if entry.at_us >= at_us => high = middle,
            _ => low = middle + 1,
        }
    }
    Ok(low)
}

/// Walks the whole chain, and says how many records it has or what is wrong with it.
pub fn verify(view: &(impl View + ?Sized)) -> Result<u64> {
    const STEP: usize = 1000;
    let mut end = Head::default();
    loop {
        let from = (end.number + 1).to_be_bytes();
        let rows = view.range(AUDIT, &from, b"", Take { reverse: false, limit: STEP })?;
        for (key, value) in &rows {
            end = follow(&end, key, value)?;
        }
        if rows.len() < STEP {
            break;
        }
    }
    // Below the first number there is nothing to see either.
    if !view.range(AUDIT, b"", &1u64.to_be_bytes(), Take { reverse: false, limit: 1 })?.is_empty() {
        return Err(broken("there is a record before the first"));
    }
    let head = head(view)?;
    if head != end {
        return Err(broken(format!(
            "it ends with record {} and should end with record {}",
            end.number, head.number
        )));
    }
    Ok(end.number)
}

/// Adds a record to the chain.
pub(super) fn append(change: &mut dyn Change, head: &mut Head, audit: &Audit, outcome: Outcome) {
    let number = head.number + 1;
    let now_us = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000;
    let entry = Entry {
        number,
        at_us: i64::try_from(now_us).unwrap_or(i64::MAX),
        actor: audit.actor.clone(),
        token: audit.token.clone(),
        action: audit.action.clone(),
        resource: audit.resource.clone(),
        outcome,
        policy_digest: audit.policy_digest.clone(),
        request_id: audit.request_id.clone(),
        previous: head.hash.clone(),
    };
    let bytes = encode(&entry);
    *head = Head { number, hash: hash(&bytes) };
    change.put(AUDIT, &number.to_be_bytes(), bytes);
    keep(change, AUDIT_HEAD, b"head", head);
}

fn follow(end: &Head, key: &[u8], value: &[u8]) -> Result<Head> {
    let number = end.number + 1;
    let entry: Entry = decode(value)?;
    if key != number.to_be_bytes() || entry.number != number {
        return Err(broken(format!("record {number} is not where it belongs")));
    }
    if entry.previous != end.hash {
        return Err(broken(format!("record {number} does not follow the one before it")));
    }
    Ok(Head { number, hash: hash(value) })
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::Store { doing: format!("checking the audit chain: {what}"), source: None }
}
