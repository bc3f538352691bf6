//! How a release really is: what runs, what was last attempted and by whom, and why it
//! did not work, each for itself. The release API has one status for all of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    model::StatusCode,
    status::{self, unknown, word},
};
use crate::{
    app::App,
    authz::Permit,
    clock::{now_ms, shown},
    error::Result,
    plugins::deployer::AppStatus,
    store::{
        View,
        operations::{self, Kind, Operation, Phase, Step, StepState},
        releases::{self, ReleaseRow},
    },
};

/// Names that a page of releases looks at, at most.
const LOOKED_AT_MAX: usize = 500;
/// Operations that are kept of a release, and one that is under way.
const OPERATIONS_MAX: usize = 64;

/// How a release is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Overview {
    /// Its name.
    pub name: String,
    /// The version that is deployed; null where none is.
    pub running: Option<Running>,
    /// What is being done to it; null where nothing is.
    pub in_progress: Option<InProgress>,
    /// What was done to it last, or is being done; null where nothing is remembered.
    pub last_attempt: Option<Attempt>,
    /// Why what was done last did not work; null where it did.
    pub failure: Option<ReleaseFailure>,
}

/// A version that is deployed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Running {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// Its applications, in the manifest's order.
    pub apps: Vec<AppNow>,
    /// When the applications were looked at; null where their platform does not answer.
    pub looked_at: Option<String>,
}

/// A version of a release.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Version {
    /// Its number.
    pub version: u32,
    /// What the server thinks of it.
    pub status: StatusCode,
    /// What it says of itself.
    pub description: String,
    /// The platform account that it is on.
    pub platform: String,
    /// When it was made.
    pub at: String,
    /// The package that it is made of.
    pub package: PackageName,
    /// What it was made of and by.
    pub digests: Digests,
    /// The operation that made it.
    pub operation: String,
}

/// A package's name.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PackageName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// SHA-256 digests; empty where one is not known.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Digests {
    /// The package's zip.
    pub package: String,
    /// The manifest.
    pub manifest: String,
    /// The plugin that rendered it.
    pub renderer: String,
    /// The plugin that deployed it.
    pub deployer: String,
}

/// An application as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AppNow {
    /// Its name.
    pub name: String,
    /// Its id on the platform.
    pub deployment_id: String,
    /// The bytes that it runs, where the server fetched them.
    pub artifact_sha256: Option<String>,
    /// `deploying`, `deployed`, `partial`, `failed`, `error`, `undeployed`, `unknown`.
    pub state: String,
    /// What its platform says of it.
    pub message: Option<String>,
    /// Its instances.
    pub instances: Vec<InstanceNow>,
}

/// An instance of an application.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct InstanceNow {
    /// Its id.
    pub id: String,
    /// Its state, in the words of an application's.
    pub state: String,
}

/// An operation that holds a release.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct InProgress {
    /// Its id.
    pub operation: String,
    /// Who asked for it.
    pub holder: String,
    /// What it does: `release:upgrade`.
    pub action: String,
    /// Since when.
    pub since: String,
    /// For how long, in milliseconds.
    pub age_ms: u64,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Attempt {
    /// Its id.
    pub operation: String,
    /// What it does: `release:upgrade`.
    pub action: String,
    /// `doing`, `waiting`, `retiring`, `undoing`, `done` or `failed`.
    pub phase: String,
    /// The version that it makes, changes or takes away.
    pub version: u32,
    /// Who asked for it.
    pub by: String,
    /// In which request.
    pub request_id: String,
    /// When it began.
    pub started_at: String,
    /// When it ended; null while it has not.
    pub ended_at: Option<String>,
    /// What came of it, where that is worth saying.
    pub message: Option<String>,
    /// Attempts to bring it to its end, after the first.
    pub attempts: u32,
    /// Its part for each application.
    pub steps: Vec<AttemptStep>,
}

/// An operation's part for one application.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AttemptStep {
    /// The application.
    pub app: String,
    /// `planned`, `begun`, `done` or `undone`.
    pub state: String,
    /// What went wrong, if anything did.
    pub message: Option<String>,
}

/// Why something did not work.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReleaseFailure {
    /// Why.
    pub why: String,
    /// What was done.
    pub action: String,
    /// To which version.
    pub version: u32,
    /// In which operation.
    pub operation: String,
    /// When it ended.
    pub at: Option<String>,
}

/// A release in a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its highest version.
    pub latest: Version,
    /// The version that is deployed; null where none is.
    pub running: Option<u32>,
    /// What is being done to it; null where nothing is.
    pub in_progress: Option<InProgress>,
}

/// Which releases are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A part of their names, in any case.
    pub part: String,
    /// On that platform account.
    pub platform: Option<String>,
    /// Whose highest version has that status.
    pub status: Option<StatusCode>,
}

/// Something in the history of a release.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Past {
    /// A version.
    Version(Version),
    /// An operation.
    Operation(Attempt),
}

/// A place in a history: below that version, and before the operation that began then
/// and has that id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Versions below it are still to come.
    pub version: u32,
    /// Operations that began before this are still to come, in milliseconds,
    pub started_ms: u64,
    /// and of those that began in the same, the ones with a smaller id.
    pub id: String,
}

/// How a release is; its applications as they are now.
pub async fn overview(app: &App, permit: &Permit, name: &str) -> Result<Overview> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| {
        let running = releases::newest_deployed(view, &wanted)?;
        let exists = running.is_some() || releases::latest(view, &wanted)?.is_some();
        let last = operations::history(view, &wanted, 1)?.into_iter().next();
        Ok((running, exists || last.is_some(), last))
    });
    let (running, exists, last) = found.await?;
    if !exists {
        return Err(unknown(name, None));
    }
    let running = match running {
        Some(row) => {
            let looked = status::look(app, &permit.caller.plugins, std::slice::from_ref(&row));
            Some(Running::of(&row, looked.await.into_iter().next().flatten()))
        }
        None => None,
    };
    let failed = last.as_ref().filter(|it| it.phase == Phase::Failed);
    Ok(Overview {
        name: name.to_owned(),
        running,
        in_progress: last.as_ref().filter(|it| it.is_open()).map(InProgress::of),
        failure: failed.map(|it| ReleaseFailure {
            why: it.message.clone().or_else(|| it.description.clone()).unwrap_or_default(),
            action: it.kind.action().to_owned(),
            version: it.version,
            operation: it.id.clone(),
            at: it.ended_ms.map(shown),
        }),
        last_attempt: last.as_ref().map(Attempt::of),
    })
}

/// Up to `limit` releases behind the name `after`, by name, and where to go on if there
/// may be more. A page may be short and still name a next one.
pub async fn list(
    app: &App,
    _: &Permit,
    wanted: Wanted,
    after: String,
    limit: usize,
) -> Result<(Vec<Listed>, Option<String>)> {
    app.store.scan(move |view| page(view, &wanted, &after, limit)).await
}

fn page(
    view: &dyn View,
    wanted: &Wanted,
    after: &str,
    limit: usize,
) -> Result<(Vec<Listed>, Option<String>)> {
    let part = wanted.part.to_lowercase();
    let (mut found, mut last) = (Vec::new(), after.to_owned());
    for _ in 0..LOOKED_AT_MAX {
        let Some(name) = releases::name_behind(view, &last)? else { return Ok((found, None)) };
        last = name;
        if !last.to_lowercase().contains(&part) {
            continue;
        }
        let Some(row) = releases::latest(view, &last)? else { continue };
        let fits = wanted.platform.as_ref().is_none_or(|it| *it == row.release.platform_name)
            && wanted.status.is_none_or(|it| it == row.status());
        if !fits {
            continue;
        }
        let running = match row.status() {
            StatusCode::Deployed => Some(row.release.version),
            _ => releases::newest_deployed(view, &last)?.map(|it| it.release.version),
        };
        let in_progress = operations::open_of(view, &last)?.as_ref().map(InProgress::of);
        let latest = Version::of(&row);
        found.push(Listed { name: last.clone(), latest, running, in_progress });
        if found.len() == limit {
            break;
        }
    }
    Ok((found, Some(last)))
}

/// Up to `limit` versions and operations of a release, the newest first, and where to
/// go on if there are more.
pub async fn history(
    app: &App,
    _: &Permit,
    name: &str,
    before: Option<Before>,
    limit: usize,
) -> Result<(Vec<Past>, Option<Before>)> {
    let wanted = name.to_owned();
    let found = app.store.scan(move |view| past(view, &wanted, before, limit)).await?;
    found.ok_or_else(|| unknown(name, None))
}

type Page = (Vec<Past>, Option<Before>);

fn past(view: &dyn View, name: &str, before: Option<Before>, limit: usize) -> Result<Option<Page>> {
    let latest = releases::latest(view, name)?.map_or(0, |it| it.release.version);
    let all = operations::history(view, name, OPERATIONS_MAX)?;
    if latest == 0 && all.is_empty() {
        return Ok(None);
    }
    let start = Before { version: u32::MAX, started_ms: u64::MAX, id: String::new() };
    let mut at = before.unwrap_or(start);
    let mut operations = all
        .iter()
        .filter(|it| (it.started_ms, it.id.as_str()) < (at.started_ms, at.id.as_str()))
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    let mut version = next_version(view, name, at.version.min(latest + 1))?;
    let mut found = Vec::new();
    while found.len() < limit {
        let row_is_newer = match (&version, operations.peek()) {
            (None, None) => return Ok(Some((found, None))),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(row), Some(operation)) => row.release.info.first_deployed > operation.started_ms,
        };
        if let Some(row) = version.take_if(|_| row_is_newer) {
            at.version = row.release.version;
            found.push(Past::Version(Version::of(&row)));
            version = next_version(view, name, at.version)?;
        } else if let Some(operation) = operations.next() {
            (at.started_ms, at.id) = (operation.started_ms, operation.id.clone());
            found.push(Past::Operation(Attempt::of(operation)));
        }
    }
    let is_whole = version.is_none() && operations.peek().is_none();
    Ok(Some((found, (!is_whole).then_some(at))))
}

/// The greatest version below that one: one row at a time, as each may be large.
fn next_version(view: &dyn View, name: &str, below: u32) -> Result<Option<ReleaseRow>> {
    for version in (1..below).rev() {
        if let Some(row) = releases::find(view, name, version)? {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

impl Running {
    fn of(row: &ReleaseRow, apps: Option<Vec<AppStatus>>) -> Running {
        let looked_at = apps.as_ref().map(|_| shown(now_ms()));
        let apps_now = row.apps.iter().enumerate().map(|(index, it)| {
            let now = apps.as_ref().and_then(|apps| apps.get(index));
            let instances = now.map(|it| it.instances.as_slice()).unwrap_or_default();
            AppNow {
                name: it.name.clone(),
                deployment_id: it.deployment_id.clone(),
                artifact_sha256: it.artifact_sha256.clone(),
                state: now.map_or("unknown", |it| word(it.state)).to_owned(),
                message: now.and_then(|it| it.message.clone()),
                instances: instances
                    .iter()
                    .map(|it| InstanceNow { id: it.id.clone(), state: word(it.state).to_owned() })
                    .collect(),
            }
        });
        Running { version: Version::of(row), apps: apps_now.collect(), looked_at }
    }
}

impl Version {
    fn of(row: &ReleaseRow) -> Version {
        let ReleaseRow { release, provenance, .. } = row;
        Version {
            version: release.version,
            status: row.status(),
            description: release.info.description.clone(),
            platform: release.platform_name.clone(),
            at: shown(release.info.first_deployed),
            package: PackageName {
                name: release.pkg.metadata.name.clone(),
                version: release.pkg.metadata.version.clone(),
            },
            digests: Digests {
                package: provenance.package_sha256.clone(),
                manifest: provenance.manifest_sha256.clone(),
                renderer: provenance.renderer_sha256.clone(),
                deployer: provenance.deployer_sha256.clone(),
            },
            operation: provenance.operation_id.clone(),
        }
    }
}

impl InProgress {
    /// What is said of an operation to those who meet it.
    pub fn of(operation: &Operation) -> InProgress {
        InProgress {
            operation: operation.id.clone(),
            holder: operation.asked.principal.id.clone(),
            action: operation.kind.action().to_owned(),
            since: shown(operation.started_ms),
            age_ms: now_ms().saturating_sub(operation.started_ms),
        }
    }
}

impl Attempt {
    fn of(operation: &Operation) -> Attempt {
        let phase = match operation.phase {
            Phase::Doing => "doing",
            Phase::Waiting => "waiting",
            Phase::Retiring => "retiring",
            Phase::Undoing => "undoing",
            Phase::Done => "done",
            Phase::Failed => "failed",
        };
        Attempt {
            operation: operation.id.clone(),
            action: Kind::action(operation.kind).to_owned(),
            phase: phase.to_owned(),
            version: operation.version,
            by: operation.asked.principal.id.clone(),
            request_id: operation.asked.request_id.clone(),
            started_at: shown(operation.started_ms),
            ended_at: operation.ended_ms.map(shown),
            message: operation.message.clone(),
            attempts: operation.attempts,
            steps: operation.steps.iter().map(AttemptStep::of).collect(),
        }
    }
}

impl AttemptStep {
    fn of(step: &Step) -> AttemptStep {
        let state = match step.state {
            StepState::Planned => "planned",
            StepState::Begun => "begun",
            StepState::Done => "done",
            StepState::Undone => "undone",
        };
        AttemptStep {
            app: step.name.clone(),
            state: state.to_owned(),
            message: step.message.clone(),
        }
    }
}
