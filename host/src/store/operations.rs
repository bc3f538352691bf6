//! Operations on releases: what is being done, by whom, how far it is, and what
//! came of it.
//!
//! At most one operation is open for a name: [`begin`] claims the name in the same
//! transaction that keeps the record, and [`advance`] refuses whoever holds an
//! older revision of it. So two servers, or a server and its own past, can never
//! both go on with one.

use serde::{Deserialize, Serialize};

use super::{
    Audit,
    releases::{DeployedApp, Provenance, ReleaseRow},
    view::{self, Change, Record, Table, Take, View, key, prefix},
};
use crate::{
    authz::Principal,
    clock::now_ms,
    error::{Error, Result},
    plugins::deployer::App,
};

/// (release, started in milliseconds of 15 digits, id) → [`Operation`].
const OPERATIONS: Table = Table("operations");
/// (release) → the key of its open operation.
const OPERATIONS_OPEN: Table = Table("operations_open");

/// Ended operations that are kept for each name.
const HISTORY: usize = 50;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// Puts a release on a platform.
    Install,
    /// Puts another version in its place.
    Upgrade,
    /// Brings an earlier version back.
    Rollback,
    /// Changes how many instances run.
    Scale,
    /// Takes it off.
    Delete,
}

impl Kind {
    /// The word that Skipper has for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Install => "INSTALL",
            Kind::Upgrade => "UPGRADE",
            Kind::Rollback => "ROLLBACK",
            Kind::Scale => "SCALE",
            Kind::Delete => "DELETE",
        }
    }

    /// The action that it is asked for by.
    pub fn action(self) -> &'static str {
        match self {
            Kind::Install => "release:install",
            Kind::Upgrade => "release:upgrade",
            Kind::Rollback => "release:rollback",
            Kind::Scale => "release:scale",
            Kind::Delete => "release:delete",
        }
    }
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its steps are being taken.
    Doing,
    /// What was started is watched until it is healthy.
    Waiting,
    /// It is the release now, and the version before is being taken away.
    Retiring,
    /// It did not work, and what it did is being taken back.
    Undoing,
    /// It worked.
    Done,
    /// It did not work; `message` says why, and whether anything is left.
    Failed,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not touched yet.
    Planned,
    /// About to be taken; whether it was, nobody knows until it is settled.
    Begun,
    /// Taken.
    Done,
    /// Taken back.
    Undone,
}

/// One application's part of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The application, as the deployer gets it; absent for a deletion.
    pub app: Option<App>,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// What the deployer gave us to hand back.
    pub handle: Option<String>,
    /// Its id on the platform.
    pub deployment_id: String,
    /// What went wrong, if anything did.
    pub message: Option<String>,
    /// How many instances there are to be; only of a scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

impl Step {
    /// The step that ends or changes what runs.
    pub fn of_deployed(app: &DeployedApp) -> Step {
        Step {
            app: None,
            name: app.name.clone(),
            state: StepState::Planned,
            handle: Some(app.handle.clone()),
            deployment_id: app.deployment_id.clone(),
            message: None,
            count: None,
        }
    }
}

/// Who asked for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Who.
    pub principal: Principal,
    /// With which token.
    pub token: String,
    /// In which request.
    pub request_id: String,
    /// Allowed by which policy.
    pub policy_digest: String,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The same on every attempt.
    pub id: String,
    /// Rises with each write of the record.
    pub revision: u64,
    /// What it does.
    pub kind: Kind,
    /// How far it is.
    pub phase: Phase,
    /// Who asked for it.
    pub asked: Asked,
    /// When, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// What came of it, where that is worth saying.
    pub message: Option<String>,
    /// Attempts to take it to its end.
    pub attempts: u32,
    /// The release's name.
    pub release: String,
    /// Its version.
    pub version: u32,
    /// The account that it runs on.
    pub platform: String,
    /// What the release is made of and by.
    pub provenance: Provenance,
    /// Its steps, in the manifest's order.
    pub steps: Vec<Step>,
    /// The version that it takes the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<u32>,
    /// What goes over from that version as it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<DeployedApp>,
    /// What goes away with that version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Step>,
    /// How long the new version may take to be healthy, in milliseconds.
    #[serde(default)]
    pub timeout_ms: u64,
    /// When that time is over, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub deadline_ms: u64,
    /// Whether somebody has cancelled it while it was waiting.
    #[serde(default)]
    pub cancelled: bool,
    /// What the new version says of itself where it did not come about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Record for Operation {
    const WHAT: &'static str = "operation";
}

impl Operation {
    /// An operation on that release that is about to begin. The release itself is not
    /// kept with it: it holds a whole package, and this is written with each step.
    pub fn new(id: String, kind: Kind, asked: Asked, row: &ReleaseRow, steps: Vec<Step>) -> Self {
        Operation {
            id,
            revision: 0,
            kind,
            phase: Phase::Doing,
            asked,
            started_ms: now_ms(),
            ended_ms: None,
            message: None,
            attempts: 0,
            release: row.release.name.clone(),
            version: row.release.version,
            platform: row.release.platform_name.clone(),
            provenance: row.provenance.clone(),
            steps,
            source: None,
            kept: Vec::new(),
            retired: Vec::new(),
            timeout_ms: 0,
            deadline_ms: 0,
            cancelled: false,
            description: None,
        }
    }

    /// Whether it still has to be brought to an end.
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Done | Phase::Failed)
    }

    /// The audit record of what it changes.
    pub fn audit(&self) -> Audit {
        Audit {
            actor: self.asked.principal.id.clone(),
            token: self.asked.token.clone(),
            action: self.kind.action().to_owned(),
            resource: format!("release//{}/{}", self.release, self.version),
            policy_digest: self.asked.policy_digest.clone(),
            request_id: self.asked.request_id.clone(),
        }
    }

    /// Whether its outcome is known already: who was told of it may go on.
    pub fn is_decided(&self) -> bool {
        self.phase == Phase::Retiring
    }

    fn key(&self) -> Vec<u8> {
        key(&[&self.release, &format!("{:015}", self.started_ms), &self.id])
    }
}

/// The error for a request that meets another operation on the same name.
pub fn busy(wanted: Kind, held: &Operation) -> Error {
    let at = time::OffsetDateTime::from_unix_timestamp((held.started_ms / 1000) as i64);
    let format = &time::format_description::well_known::Rfc3339;
    let since = at.ok().and_then(|it| it.format(format).ok()).unwrap_or_default();
    Error::Held {
        message: format!("Statemachine is not in state ready to do {}", wanted.word()),
        by: format!(
            "`{}` is doing {} of release [{}] since {since} (operation {})",
            held.asked.principal.id,
            held.kind.word(),
            held.release,
            held.id,
        ),
    }
}

/// The open operation of a name.
pub fn open_of(view: &(impl View + ?Sized), release: &str) -> Result<Option<Operation>> {
    match view.get(OPERATIONS_OPEN, &key(&[release]))? {
        Some(row) => view::find(view, OPERATIONS, &row),
        None => Ok(None),
    }
}

/// Open operations, after the one of release `after`.
pub fn open(view: &(impl View + ?Sized), after: &str, limit: usize) -> Result<Vec<Operation>> {
    let from = if after.is_empty() { Vec::new() } else { [after.as_bytes(), b"\0"].concat() };
    let rows = view.range(OPERATIONS_OPEN, &from, b"", Take { reverse: false, limit })?;
    let mut found = Vec::with_capacity(rows.len());
    for (_, row) in rows {
        found.extend(view::find::<Operation>(view, OPERATIONS, &row)?);
    }
    Ok(found)
}

/// The operations of a name, the newest first.
pub fn history(view: &(impl View + ?Sized), release: &str, limit: usize) -> Result<Vec<Operation>> {
    let (from, to) = prefix(&[release]);
    let rows = view.range(OPERATIONS, &from, &to, Take { reverse: true, limit })?;
    rows.iter().map(|(_, value)| view::decode(value)).collect()
}

/// Claims the name and keeps the operation, unless another one holds it.
///
/// It begins after the one before, whatever the clock says: what was done last is read
/// off this order, and a clock may be set back.
pub fn begin(change: &mut (impl Change + ?Sized), operation: &mut Operation) -> Result<()> {
    if let Some(held) = open_of(change, &operation.release)? {
        return Err(busy(operation.kind, &held));
    }
    if let Some(before) = history(change, &operation.release, 1)?.first() {
        operation.started_ms = operation.started_ms.max(before.started_ms + 1);
    }
    forget_oldest(change, &operation.release)?;
    let row = operation.key();
    view::keep(change, OPERATIONS, &row, operation);
    change.put(OPERATIONS_OPEN, &key(&[&operation.release]), row);
    Ok(())
}

/// Keeps how far an operation is; when it has ended, its name is free again.
/// Fails when somebody else has gone on with it.
pub fn advance(change: &mut (impl Change + ?Sized), operation: &mut Operation) -> Result<()> {
    let held = open_of(change, &operation.release)?;
    let is_ours = held.is_some_and(|it| it.id == operation.id && it.revision == operation.revision);
    if !is_ours {
        return Err(Error::Conflict(format!(
            "operation {} of release [{}] was taken over",
            operation.id, operation.release
        )));
    }
    operation.revision += 1;
    view::keep(change, OPERATIONS, &operation.key(), operation);
    if !operation.is_open() {
        change.delete(OPERATIONS_OPEN, &key(&[&operation.release]));
    }
    Ok(())
}

fn forget_oldest(change: &mut (impl Change + ?Sized), release: &str) -> Result<()> {
    let (from, to) = prefix(&[release]);
    let rows = change.range(OPERATIONS, &from, &to, Take { reverse: true, limit: HISTORY * 2 })?;
    for (row, _) in rows.iter().skip(HISTORY - 1) {
        change.delete(OPERATIONS, row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authz::PrincipalKind, store::in_memory::Rows};

    fn operation(id: &str, started_ms: u64) -> Operation {
        let principal = Principal {
            id: "user:ana".to_owned(),
            kind: PrincipalKind::User,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: Vec::new(),
        };
        Operation {
            id: id.to_owned(),
            revision: 0,
            kind: Kind::Scale,
            phase: Phase::Done,
            asked: Asked {
                principal,
                token: String::new(),
                request_id: String::new(),
                policy_digest: String::new(),
            },
            started_ms,
            ended_ms: None,
            message: None,
            attempts: 0,
            release: "a".to_owned(),
            version: 1,
            platform: "default".to_owned(),
            provenance: Provenance::default(),
            steps: Vec::new(),
            source: None,
            kept: Vec::new(),
            retired: Vec::new(),
            timeout_ms: 0,
            deadline_ms: 0,
            cancelled: false,
            description: None,
        }
    }

    #[test]
    fn what_begins_later_is_newer_whatever_the_clock_says() {
        let mut memory = Rows::default();
        for (id, started_ms) in [("first", 5_000), ("set-back", 1_000), ("at-once", 5_001)] {
            let mut begun = operation(id, started_ms);
            begin(&mut memory, &mut begun).unwrap();
            advance(&mut memory, &mut begun).unwrap();
        }
        let history = history(&memory, "a", 9).unwrap();
        let told: Vec<_> = history.iter().map(|it| (it.id.as_str(), it.started_ms)).collect();
        assert_eq!(told, [("at-once", 5_002), ("set-back", 5_001), ("first", 5_000)]);
    }
}
