//! The applications of a release whose logs there are to read: those of the version
//! that runs, and those that an operation under way has started.

use std::collections::BTreeSet;

use crate::{
    app::App,
    error::{Error, Result},
    plugins::deployer::{LogLines, LogPlace, LogWant},
    release::{
        model::StatusCode,
        platform,
        status::{self, unknown},
    },
    store::{
        View,
        operations::{self, StepState},
        releases::{self, DeployedApp},
    },
};

use super::ASKING;

/// Bytes of an application's log that are read at once.
pub(super) const READ_BYTES: u32 = 64 << 10;

/// An application, and how far its log was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) app: String,
    pub(super) deployment_id: String,
    pub(super) handle: String,
    account: String,
    /// What was read longest ago comes first.
    pub(super) read: Vec<LogPlace>,
    /// Whether the end of the log is behind it, from which it is followed.
    pub(super) begun: bool,
    /// What its deployer said last in place of lines.
    pub(super) trouble: Option<String>,
}

/// What there is to read of a release now.
pub(super) struct Found {
    pub(super) sources: Vec<Source>,
    /// Why nothing will come, where nothing will.
    pub(super) ended: Option<&'static str>,
    pub(super) stamp: Stamp,
}

/// Another one where the release is not as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    operation: Option<(String, u64)>,
}

impl Source {
    fn new(app: DeployedApp, account: &str) -> Source {
        Source {
            app: app.name,
            deployment_id: app.deployment_id,
            handle: app.handle,
            account: account.to_owned(),
            read: Vec::new(),
            begun: false,
            trouble: None,
        }
    }

    /// Asks its deployer for lines.
    pub(super) async fn lines(&self, app: &App, want: LogWant) -> Result<LogLines> {
        let platform = platform::find(app, &self.account)?;
        let deployer = platform.deployer_in(&app.plugins.set())?;
        let said = deployer.read_log(&platform.scope(ASKING), &self.handle, want).await?;
        said.map_err(|own| {
            Error::Conflict(format!(
                "Could not read the log of [{}]: {}",
                self.deployment_id, own.message
            ))
        })
    }

    /// The ids of its instances.
    pub(super) async fn instances(&self, app: &App) -> Result<Vec<String>> {
        let handles = std::slice::from_ref(&self.handle);
        let statuses = status::ask_account(app, &app.plugins.set(), &self.account, handles).await?;
        Ok(statuses.into_iter().flat_map(|it| it.instances).map(|it| it.id).collect())
    }

    /// It has been read up to there.
    pub(super) fn note(&mut self, place: LogPlace) {
        self.read.retain(|it| it.instance != place.instance || it.output != place.output);
        self.read.push(place);
    }
}

/// What there is to read of a release.
pub(super) async fn find(app: &App, name: &str) -> Result<Found> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| found(view, &wanted)).await?;
    found.ok_or_else(|| unknown(name, None))
}

/// The same if it is not as it was at that stamp.
pub(super) async fn changed(app: &App, name: &str, since: Stamp) -> Result<Option<Found>> {
    let wanted = name.to_owned();
    let read = move |view: &dyn View| match stamp(view, &wanted)? == since {
        true => Ok(None),
        false => found(view, &wanted).map(Some),
    };
    match app.store.read(read).await? {
        None => Ok(None),
        Some(found) => found.map(Some).ok_or_else(|| unknown(name, None)),
    }
}

fn stamp(view: &dyn View, name: &str) -> Result<Stamp> {
    let operation = operations::open_of(view, name)?.map(|it| (it.id, it.revision));
    Ok(Stamp { rows: releases::newest_numbered(view, name)?, operation })
}

fn found(view: &dyn View, name: &str) -> Result<Option<Found>> {
    let stamp = stamp(view, name)?;
    let latest = releases::latest(view, name)?;
    let operation = operations::open_of(view, name)?;
    if latest.is_none() && operation.is_none() {
        return Ok(None);
    }
    let last = latest.as_ref().map(|it| it.status());
    let deployed = match last {
        Some(StatusCode::Deployed) => None,
        _ => releases::newest_deployed(view, name)?,
    };
    let mut sources = Vec::new();
    let is_there = |it: &StatusCode| !matches!(it, StatusCode::Deleted | StatusCode::Failed);
    for row in deployed.into_iter().chain(latest.filter(|it| is_there(&it.status()))) {
        let account = row.release.platform_name;
        sources.extend(row.apps.into_iter().map(|it| Source::new(it, &account)));
    }
    for step in operation.iter().flat_map(|it| &it.steps) {
        let is_there = matches!(step.state, StepState::Begun | StepState::Done);
        let Some(handle) = step.handle.clone().filter(|_| is_there && step.app.is_some()) else {
            continue;
        };
        let app = DeployedApp {
            name: step.name.clone(),
            deployment_id: step.deployment_id.clone(),
            handle,
            artifact_sha256: None,
        };
        sources.extend(operation.iter().map(|it| Source::new(app.clone(), &it.platform)));
    }
    let mut known = BTreeSet::new();
    sources.retain(|it| !it.handle.is_empty() && known.insert(it.deployment_id.clone()));
    let ended = match last {
        _ if operation.is_some() || !sources.is_empty() => None,
        Some(StatusCode::Deleted) => Some("the release is deleted"),
        Some(StatusCode::Failed) => Some("nothing of the release runs: its last version failed"),
        _ => None,
    };
    Ok(Some(Found { sources, ended, stamp }))
}
