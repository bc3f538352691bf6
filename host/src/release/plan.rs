//! What an operation would do, told before it is done, and done only if that is still
//! what it would do.
//!
//! A plan goes the way of the operation itself: same checks, same renderer, the
//! before-hooks asked with `dry-run`. Its *index* is a digest of everything that the
//! operation would go by; who applies a plan says it, and nothing is claimed where it
//! has become another.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{
    compose::Composition,
    difference::{self, ApplicationDifference},
    install,
    model::{
        ConfigValues, InstallProperties, InstallRequest, PackageIdentifier, Release,
        RollbackRequest, UpgradeProperties, UpgradeRequest,
    },
    overview::{InProgress, PackageName},
    rollback, status,
    upgrade::{self, Planned},
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        operations::{self, Kind},
        releases::{self, ReleaseRow},
    },
};

/// What is to be done with a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// `install`, `upgrade` or `rollback`; an upgrade of what is deployed and else an
    /// install where it is absent.
    pub action: Option<Action>,
    /// The package; not for a rollback.
    pub package: Option<OrderedPackage>,
    /// Values over the package's own: YAML.
    pub values: Option<String>,
    /// The platform account; for an install only.
    pub platform: Option<String>,
    /// Whether applications are started anew although they do not differ; for an
    /// upgrade only.
    pub force: bool,
    /// With `force`, only these besides those that differ.
    pub apps: Vec<String>,
    /// The version that comes back; the one before where it is absent. For a rollback
    /// only.
    pub version: Option<u32>,
    /// How long the applications may take to be healthy, in milliseconds.
    pub timeout_ms: Option<u64>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The release is put on a platform.
    Install,
    /// Another version takes its place.
    Upgrade,
    /// An earlier version comes back.
    Rollback,
}

/// Which package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OrderedPackage {
    /// Its name.
    pub name: String,
    /// Its version; the newest where it is absent.
    pub version: Option<String>,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Plan {
    /// What is done.
    pub action: Action,
    /// The release.
    pub release: String,
    /// The version that it makes.
    pub version: u32,
    /// The version that it takes the place of; null where there is none.
    pub replaces: Option<u32>,
    /// The platform account.
    pub platform: String,
    /// The package.
    pub package: PackageName,
    /// Stands for everything that the operation would go by: for `If-Match` where the
    /// plan is applied.
    pub index: String,
    /// The values that the package is rendered with, all merged.
    #[schema(value_type = Object)]
    pub values: Value,
    /// The manifest.
    pub manifest: String,
    /// What becomes of each application, and where it differs from what is stored.
    pub applications: Vec<ApplicationDifference>,
    /// The applications that would be started.
    pub starts: Vec<String>,
    /// How the applications that run are now; null where none run or their platform
    /// does not answer.
    pub running: Option<Vec<RunningApp>>,
    /// What is being done to the release, which the operation would have to wait for.
    pub in_progress: Option<InProgress>,
}

/// An application that runs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunningApp {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// How many instances there are.
    pub instances: usize,
}

impl Action {
    /// The name that the policy and the hooks know it by.
    pub fn name(self) -> &'static str {
        match self {
            Action::Install => Kind::Install.action(),
            Action::Upgrade => Kind::Upgrade.action(),
            Action::Rollback => Kind::Rollback.action(),
        }
    }
}

impl Order {
    /// Refuses what does not go together, and what an action needs and does not have.
    fn check(&self, action: Action) -> Result<()> {
        let wrong = |field: &str, why: &str| Err(Error::invalid(field, why));
        let is_rollback = action == Action::Rollback;
        if self.package.as_ref().is_some_and(|it| it.name.trim().is_empty()) {
            return wrong("package.name", "a package has a name");
        }
        match &self.package {
            None if !is_rollback => return wrong("package", "it takes the name of a package"),
            Some(_) if is_rollback => {
                return wrong("package", "a rollback brings back the package that was there");
            }
            _ => {}
        }
        if is_rollback && self.values.is_some() {
            return wrong("values", "a rollback brings back the values that were there");
        }
        if !is_rollback && self.version.is_some() {
            return wrong("version", "only a rollback has one; a package's is `package.version`");
        }
        if action != Action::Upgrade && (self.force || !self.apps.is_empty()) {
            return wrong("force", "only an upgrade can be forced");
        }
        if !self.force && !self.apps.is_empty() {
            return wrong("apps", "they are started anew with `force` only");
        }
        if action == Action::Install {
            return match &self.platform {
                None => wrong("platform", "it takes the account of a platform, such as `default`"),
                Some(_) => Ok(()),
            };
        }
        match &self.platform {
            Some(_) => wrong("platform", "a release stays on its platform"),
            None => Ok(()),
        }
    }

    fn identifier(&self) -> PackageIdentifier {
        let package = self.package.clone().unwrap_or_default();
        PackageIdentifier {
            repository_name: None,
            package_name: Some(package.name),
            package_version: package.version,
        }
    }

    fn install(&self, name: &str) -> InstallRequest {
        InstallRequest {
            package_identifier: Some(self.identifier()),
            install_properties: Some(InstallProperties {
                release_name: Some(name.to_owned()),
                config_values: Some(ConfigValues { raw: self.values.clone() }),
                platform_name: self.platform.clone(),
            }),
        }
    }

    fn upgrade(&self, name: &str) -> UpgradeRequest {
        UpgradeRequest {
            package_identifier: Some(self.identifier()),
            upgrade_properties: Some(UpgradeProperties {
                release_name: Some(name.to_owned()),
                config_values: Some(ConfigValues { raw: self.values.clone() }),
            }),
            timeout: self.timeout(),
            force: Some(self.force),
            app_names: Some(self.apps.clone()),
        }
    }

    fn rollback(&self, name: &str) -> RollbackRequest {
        RollbackRequest {
            release_name: Some(name.to_owned()),
            version: Some(self.version.unwrap_or_default().into()),
            timeout: self.timeout(),
        }
    }

    fn timeout(&self) -> Option<i64> {
        self.timeout_ms.map(|it| i64::try_from(it).unwrap_or(i64::MAX))
    }
}

/// What an order does to the release of that name: what it says, or what the release
/// needs. Refuses an order that makes no sense, and, where it `was_planned`, one that
/// made sense for the release as it was then.
pub async fn action_of(app: &App, name: &str, order: &Order, was_planned: bool) -> Result<Action> {
    let wanted = name.to_owned();
    let deployed = app.store.read(move |view| releases::newest_deployed(view, &wanted)).await?;
    let needed = if deployed.is_some() { Action::Upgrade } else { Action::Install };
    let action = order.action.unwrap_or(needed);
    let other = if needed == Action::Upgrade { Action::Install } else { Action::Upgrade };
    let has_moved = match order.action {
        None => order.check(action).is_err() && order.check(other).is_ok(),
        Some(_) => action == Action::Install && needed == Action::Upgrade,
    };
    if was_planned && has_moved {
        let is = if deployed.is_some() { "is deployed" } else { "is not deployed any more" };
        return Err(Error::Outdated(format!(
            "this is not what was planned any more: `{name}` {is}; plan again and look at it"
        )));
    }
    order.check(action)?;
    Ok(action)
}

/// Tells what would be done.
pub async fn plan(
    app: &App,
    permit: &Permit,
    name: &str,
    action: Action,
    order: &Order,
) -> Result<Plan> {
    let wanted = name.to_owned();
    let open = app.store.read(move |view| operations::open_of(view, &wanted)).await?;
    let in_progress = open.as_ref().map(InProgress::of);
    let planned = match action {
        Action::Install => {
            let composition = install::plan(app, permit, order.install(name)).await?;
            return Ok(of_install(composition, in_progress));
        }
        Action::Upgrade => upgrade::plan(app, permit, order.upgrade(name)).await?,
        Action::Rollback => rollback::plan(app, permit, order.rollback(name)).await?,
    };
    let running = running(app, permit, &planned.existing).await;
    Ok(of_planned(action, planned, running, in_progress))
}

/// Does what was planned. With `index`, only if that is still the plan's: else it is
/// [`Error::Outdated`], and nothing is changed.
pub async fn apply(
    app: &Arc<App>,
    permit: Permit,
    name: &str,
    action: Action,
    order: &Order,
    index: Option<String>,
) -> Result<Release> {
    match action {
        Action::Install => install::install_as(app, permit, order.install(name), index).await,
        Action::Upgrade => upgrade::upgrade_as(app, permit, order.upgrade(name), index).await,
        Action::Rollback => rollback::rollback_as(app, permit, order.rollback(name), index).await,
    }
}

/// Refuses to go on where what is expected is not what would be done.
pub(super) fn expect(
    expected: Option<&str>,
    action: Action,
    existing: Option<&ReleaseRow>,
    composition: &Composition,
    deploys: &BTreeSet<String>,
) -> Result<()> {
    let index = index(action, existing, composition, deploys);
    match expected.is_none_or(|it| it == index) {
        true => Ok(()),
        false => Err(Error::Outdated(format!(
            "this is not what was planned any more: the index is `{index}` now; plan again and \
             look at it"
        ))),
    }
}

/// A digest of everything that an operation goes by.
fn index(
    action: Action,
    existing: Option<&ReleaseRow>,
    composition: &Composition,
    deploys: &BTreeSet<String>,
) -> String {
    let ReleaseRow { release, provenance, .. } = &composition.row;
    let by = serde_json::json!([
        action,
        release.name,
        release.version,
        release.platform_name,
        existing.map(|it| (it.release.version, it.status(), &it.provenance.operation_id)),
        // Another one as soon as an application is scaled.
        existing.map(|it| it.apps.iter().map(|it| &it.handle).collect::<Vec<_>>()),
        provenance.package_sha256,
        provenance.manifest_sha256,
        provenance.renderer_sha256,
        provenance.deployer_sha256,
        release.config_values.raw,
        deploys,
    ]);
    hex::encode(Sha256::digest(by.to_string()))
}

fn of_install(composition: Composition, in_progress: Option<InProgress>) -> Plan {
    let deploys = BTreeSet::new();
    let index = index(Action::Install, None, &composition, &deploys);
    let applications = difference::between(&[], &composition.applications).applications;
    let starts = composition.applications.iter().map(|it| it.name.clone()).collect();
    let plan = (Action::Install, None, index, applications, starts);
    told(plan, composition, None, in_progress)
}

fn of_planned(
    action: Action,
    planned: Planned,
    running: Option<Vec<RunningApp>>,
    in_progress: Option<InProgress>,
) -> Plan {
    let Planned { existing, composition, difference, deploys, .. } = planned;
    let index = index(action, Some(&existing), &composition, &deploys);
    let replaces = Some(existing.release.version);
    let starts = composition.applications.iter().map(|it| it.name.clone());
    let starts = starts.filter(|it| deploys.contains(it)).collect();
    let plan = (action, replaces, index, difference.applications, starts);
    told(plan, composition, running, in_progress)
}

type Made = (Action, Option<u32>, String, Vec<ApplicationDifference>, Vec<String>);

fn told(
    (action, replaces, index, applications, starts): Made,
    composition: Composition,
    running: Option<Vec<RunningApp>>,
    in_progress: Option<InProgress>,
) -> Plan {
    let Composition { row, values, .. } = composition;
    let metadata = row.release.pkg.metadata;
    Plan {
        action,
        release: row.release.name,
        version: row.release.version,
        replaces,
        platform: row.release.platform_name,
        package: PackageName { name: metadata.name, version: metadata.version },
        index,
        values: Value::Object(values),
        manifest: row.release.manifest.data,
        applications,
        starts,
        running,
        in_progress,
    }
}

async fn running(app: &App, permit: &Permit, row: &ReleaseRow) -> Option<Vec<RunningApp>> {
    if row.status() != super::model::StatusCode::Deployed {
        return None;
    }
    let looked = status::look(app, &permit.caller.plugins, std::slice::from_ref(row)).await;
    let now = looked.into_iter().next().flatten()?;
    let apps = row.apps.iter().zip(now).map(|(app, now)| RunningApp {
        name: app.name.clone(),
        state: status::word(now.state).to_owned(),
        instances: now.instances.len(),
    });
    Some(apps.collect())
}
