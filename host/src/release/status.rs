//! How the applications of releases are: asked of the deployers, one call for all
//! applications of an account, and told as the text that clients parse.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    model::{Info, Release, StatusCode},
    platform,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    plugins::{
        PluginSet,
        deployer::{AppStatus, Instance, State},
        types::Label,
    },
    store::releases::{self, ReleaseRow},
};

/// Applications in one call of a deployer.
const BATCH: usize = 64;
/// The operation id of a question that belongs to no operation.
const ASKING: &str = "status";
/// Releases that a list is read in: each may hold megabytes.
const PAGE: usize = 20;

/// Where a list goes on: behind this name and version.
pub type After = (String, u32);

/// How a release is now; the highest version where none is given.
pub async fn status(app: &App, permit: &Permit, name: &str, version: Option<u32>) -> Result<Info> {
    let mut row = find(app, name, version).await?;
    if row.status() != StatusCode::Deleted {
        let fresh = ask(app, &permit.caller.plugins, std::slice::from_ref(&row)).await;
        if let Some(Some(text)) = fresh.into_iter().next() {
            row.release.info.status.platform_status = Some(text);
        }
    }
    Ok(row.release.info)
}

/// How each of these releases is now, by name; those that are not there are left out.
pub async fn statuses(app: &App, permits: &[Permit]) -> Result<BTreeMap<String, Info>> {
    let mut infos = BTreeMap::new();
    for (row, apps) in looked_at(app, permits).await? {
        let fresh = apps.map(|apps| text(&row, &apps));
        let mut info = row.release.info;
        info.status.platform_status = fresh.or(info.status.platform_status);
        infos.insert(row.release.name, info);
    }
    Ok(infos)
}

/// The state of each application of these releases, by the release's name and the
/// application's id on its platform; those that are not there are left out.
pub async fn states(
    app: &App,
    permits: &[Permit],
) -> Result<BTreeMap<String, BTreeMap<String, &'static str>>> {
    let mut states = BTreeMap::new();
    for (row, apps) in looked_at(app, permits).await? {
        let deleted = row.status() == StatusCode::Deleted;
        let known = row.apps.iter().enumerate().filter(|_| !deleted).map(|(index, it)| {
            let now = apps.as_ref().map_or(State::Unknown, |apps| apps[index].state);
            (it.deployment_id.clone(), word(now))
        });
        states.insert(row.release.name.clone(), known.collect());
    }
    Ok(states)
}

/// The highest versions of these releases, and how their applications are now; nothing
/// of one that is deleted or whose platform does not answer. Without their packages,
/// which may be large.
async fn looked_at(
    app: &App,
    permits: &[Permit],
) -> Result<Vec<(ReleaseRow, Option<Vec<AppStatus>>)>> {
    let mut all = Vec::new();
    for permits in permits.chunks(PAGE) {
        let names: Vec<String> = permits.iter().map(|it| it.target.name.clone()).collect();
        let read = app.store.scan(move |view| {
            let rows = names.iter().map(|name| releases::latest(view, name));
            rows.collect::<Result<Vec<_>>>()
        });
        let mut rows: Vec<ReleaseRow> = read.await?.into_iter().flatten().collect();
        for row in &mut rows {
            row.release.pkg.templates.clear();
            row.release.pkg.dependencies.clear();
            row.release.manifest.data.clear();
        }
        let plugins = &permits[0].caller.plugins;
        let (running, gone): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|it| it.status() != StatusCode::Deleted);
        let looked = look(app, plugins, &running).await;
        all.extend(running.into_iter().zip(looked));
        all.extend(gone.into_iter().map(|it| (it, None)));
    }
    Ok(all)
}

/// A release; the highest version where none is given.
pub async fn release(app: &App, _: &Permit, name: &str, version: Option<u32>) -> Result<Release> {
    Ok(find(app, name, version).await?.release)
}

/// Deployed and failed releases whose name contains `part`, with the platform status
/// that was stored last: some of them, and where to go on if there are more.
pub async fn list(
    app: &App,
    _: &Permit,
    part: &str,
    after: Option<After>,
) -> Result<(Vec<Release>, Option<After>)> {
    let part = part.to_owned();
    let rows = app.store.scan(move |view| {
        let after = after.as_ref().map(|(name, version)| (name.as_str(), *version));
        releases::listed(view, &part, after, PAGE)
    });
    let rows = rows.await?;
    let last = rows.last().filter(|_| rows.len() == PAGE);
    let next = last.map(|it| (it.release.name.clone(), it.release.version));
    Ok((rows.into_iter().map(|it| it.release).collect(), next))
}

pub(super) async fn find(app: &App, name: &str, version: Option<u32>) -> Result<ReleaseRow> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| match version {
        Some(version) => releases::find(view, &wanted, version),
        None => releases::latest(view, &wanted),
    });
    found.await?.ok_or_else(|| unknown(name, version))
}

/// The error for a release that is not there, in the words of the API.
pub fn unknown(name: &str, version: Option<u32>) -> Error {
    match version {
        Some(version) => Error::not_found("release version", format!("{name}/{version}")),
        None => Error::not_found("release", name),
    }
}

/// The platform status of each row, or nothing where its deployer did not answer.
pub async fn ask(app: &App, plugins: &PluginSet, rows: &[ReleaseRow]) -> Vec<Option<String>> {
    let answers = look(app, plugins, rows).await;
    let texts = rows.iter().zip(answers).map(|(row, apps)| apps.map(|apps| text(row, &apps)));
    texts.collect()
}

/// How the applications of each row are now, in their order; nothing for a row whose
/// deployer did not answer.
pub async fn look(
    app: &App,
    plugins: &PluginSet,
    rows: &[ReleaseRow],
) -> Vec<Option<Vec<AppStatus>>> {
    let mut accounts: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (row, it) in rows.iter().enumerate() {
        let apps = (0..it.apps.len()).map(|app| (row, app));
        accounts.entry(&it.release.platform_name).or_default().extend(apps);
    }
    let mut answers: Vec<Vec<Option<AppStatus>>> =
        rows.iter().map(|it| vec![None; it.apps.len()]).collect();
    for (account, places) in accounts {
        for batch in places.chunks(BATCH) {
            let handles: Vec<String> =
                batch.iter().map(|&(row, app)| rows[row].apps[app].handle.clone()).collect();
            match ask_account(app, plugins, account, &handles).await {
                Ok(statuses) => {
                    for (&(row, app), status) in batch.iter().zip(statuses) {
                        answers[row][app] = Some(status);
                    }
                }
                Err(error) => {
                    tracing::warn!(platform = account, %error, "a platform's status is unknown");
                }
            }
        }
    }
    answers.into_iter().map(|apps| apps.into_iter().collect()).collect()
}

/// How applications of an account are; one answer a handle.
pub(super) async fn ask_account(
    app: &App,
    plugins: &PluginSet,
    account: &str,
    handles: &[String],
) -> Result<Vec<AppStatus>> {
    let platform = platform::find(app, account)?;
    let deployer = platform.deployer_in(plugins)?;
    let answers = deployer.status(&platform.scope(ASKING), handles).await?;
    if answers.len() != handles.len() {
        return Err(Error::Plugin {
            plugin: platform.deployer(),
            message: format!("{} answers to {} handles", answers.len(), handles.len()),
            source: None,
        });
    }
    Ok(answers.into_iter().map(|it| it.unwrap_or_else(|error| unsure(error.message))).collect())
}

fn unsure(message: String) -> AppStatus {
    AppStatus {
        deployment_id: String::new(),
        state: State::Unknown,
        message: Some(message),
        instances: Vec::new(),
        poll_after_ms: 0,
    }
}

/// The platform status of a release: a JSON array, one object for each application.
pub fn text(row: &ReleaseRow, statuses: &[AppStatus]) -> String {
    let apps = row.apps.iter().zip(statuses).map(|(app, status)| {
        let id = if status.deployment_id.is_empty() {
            &app.deployment_id
        } else {
            &status.deployment_id
        };
        let instances: Map<String, Value> = status
            .instances
            .iter()
            .map(|it| (it.id.clone(), instance(row, &app.name, it)))
            .collect();
        json!({ "deploymentId": id, "instances": instances, "state": word(status.state) })
    });
    Value::Array(apps.collect()).to_string()
}

fn instance(row: &ReleaseRow, app: &str, instance: &Instance) -> Value {
    let mut attributes: BTreeMap<&str, &str> = instance
        .attributes
        .iter()
        .map(|Label { key, value }| (key.as_str(), value.as_str()))
        .collect();
    let version = row.release.version.to_string();
    attributes.insert("skipper.application.name", app);
    attributes.insert("skipper.release.name", &row.release.name);
    attributes.insert("skipper.release.version", &version);
    json!({ "id": instance.id, "state": word(instance.state), "attributes": attributes })
}

pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Deploying => "deploying",
        State::Deployed => "deployed",
        State::Partial => "partial",
        State::Failed => "failed",
        State::Undeployed => "undeployed",
        State::Error => "error",
    }
}
