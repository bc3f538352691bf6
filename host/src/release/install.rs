//! Puts a package on a platform as a new version of a release.
//!
//! The name is claimed before anything is fetched or started. The release's row
//! comes to be in the one transaction that ends the operation well, so a release
//! that did not come about was never there; its operation record tells of it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    engine::{Working, advance, blob_owner},
    manifest::{self, Application},
    model::{
        ConfigValues, Info, InstallProperties, InstallRequest, Manifest, PackageIdentifier,
        Release, Status, StatusCode,
    },
    package,
    platform::{self, Platform},
    render::{self, Facts},
    resource::{self, Resource},
    status,
};
use crate::{
    app::App,
    authz::Permit,
    blobs::Stored,
    clock::now_ms,
    error::{Error, Result},
    plugins::{
        Deployer,
        deployer::{App as Deployable, AppStatus, Placement},
        types::{Label, PluginError, Severity},
    },
    store::{
        blob_refs,
        operations::{self, Asked, Kind, Operation, Phase, Step, StepState},
        outbox::{self, Announcement},
        packages::{self, PackageRow},
        releases::{self, DeployedApp, Provenance, ReleaseRow},
    },
};

mod check;
mod undo;

pub(super) use undo::undo;

use check::Wanted;

const DESCRIPTION: &str = "Install complete";
const UNDERWAY: &str = "Initial install underway";

/// Installs a package. Goes on to its end even where the caller goes away.
pub async fn install(app: &Arc<App>, permit: Permit, request: InstallRequest) -> Result<Release> {
    let app = app.clone();
    let wanted = Wanted::read(&request)?;
    check::name_is_free(&app, &wanted.release).await?;
    let package = check::find_package(&app, &wanted).await?;
    let seat = app.engine.seat(package.size_bytes)?;
    let work = async move {
        let _seat = seat;
        put_on_platform(&app, &permit, wanted, package).await
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

async fn put_on_platform(
    app: &Arc<App>,
    permit: &Permit,
    wanted: Wanted,
    package: PackageRow,
) -> Result<Release> {
    let platform = platform::find(app, &wanted.platform)?;
    let deployer = platform.deployer_in(&permit.caller.plugins)?;
    let row = compose(app, permit, &wanted, package, &platform).await?;
    let applications = manifest::read(row.release.manifest.data.clone()).await?;
    check::applications(&applications)?;

    let mut operation = begin_record(permit, &row, &applications);
    let _working = Working::on(app, &operation.id);
    let begun = operation.clone();
    let claim = app.store.write_unaudited(move |change| {
        check::name_is_free_in(change, &begun.release)?;
        check::version_is_next(change, &begun)?;
        operations::begin(change, &begun)
    });
    claim.await?;

    match take_steps(app, permit, &mut operation, &applications, &platform, &deployer).await {
        Ok(statuses) => finish(app, permit, operation, row, &statuses).await,
        Err(Failure::Stopping) => Err(Error::Busy {
            what: "operations while the server is stopping",
            retry_after: std::time::Duration::from_secs(5),
        }),
        Err(Failure::Failed(error)) => {
            let why = error.to_string();
            undo(app, operation, why).await?;
            Err(error)
        }
    }
}

/// The release as it will be, with its manifest, as the before-hooks leave it.
async fn compose(
    app: &Arc<App>,
    permit: &Permit,
    wanted: &Wanted,
    package: PackageRow,
    platform: &Platform,
) -> Result<ReleaseRow> {
    let plugins = &permit.caller.plugins;
    let name = wanted.release.clone();
    let latest = app.store.read(move |view| releases::latest(view, &name)).await?;
    let version = latest.map_or(1, |it| it.release.version + 1);
    let facts = Facts {
        release: wanted.release.clone(),
        revision: version,
        platform: platform.account.clone(),
    };
    let pkg = package::load(app, &package).await?;
    let mut values = wanted.config_values.clone();
    let mut text = render::manifest(plugins, &pkg, values.raw.as_deref(), &facts).await?;

    let now = now_ms();
    let mut release = Release {
        name: wanted.release.clone(),
        version,
        info: Info {
            status: Status { status_code: StatusCode::Unknown, platform_status: None },
            first_deployed: now,
            last_deployed: now,
            deleted: None,
            description: UNDERWAY.to_owned(),
        },
        pkg,
        config_values: values.clone(),
        manifest: Manifest { data: text.clone() },
        platform_name: platform.account.clone(),
    };
    let reviewed = check::review(app, permit, &release).await?;
    if reviewed.config_values != values {
        values = reviewed.config_values;
        text = render::manifest(plugins, &release.pkg, values.raw.as_deref(), &facts).await?;
    } else if reviewed.manifest.data != text {
        text = reviewed.manifest.data;
    }
    release.config_values = values;
    release.manifest.data = text;

    let provenance = Provenance {
        package_sha256: package.blob_sha256,
        manifest_sha256: hex::encode(Sha256::digest(&release.manifest.data)),
        renderer_sha256: plugins.digest(render::RENDERER).unwrap_or_default().to_owned(),
        deployer_sha256: plugins.digest(&platform.deployer()).unwrap_or_default().to_owned(),
        operation_id: Uuid::new_v4().to_string(),
    };
    Ok(ReleaseRow { release, apps: Vec::new(), provenance })
}

fn begin_record(permit: &Permit, row: &ReleaseRow, applications: &[Application]) -> Operation {
    let step = |it: &Application| Step {
        app: None,
        name: it.name.clone(),
        state: StepState::Planned,
        handle: None,
        deployment_id: String::new(),
        message: None,
    };
    let id = row.provenance.operation_id.clone();
    let steps = applications.iter().map(step).collect();
    Operation::new(id, Kind::Install, asked(permit), row, steps)
}

pub(super) fn asked(permit: &Permit) -> Asked {
    Asked {
        principal: permit.caller.principal.clone(),
        token: permit.caller.token.clone(),
        request_id: permit.caller.request.id.clone(),
        policy_digest: permit.policy_digest.clone(),
    }
}

/// Why the steps were not all taken.
enum Failure {
    /// To be undone now.
    Failed(Error),
    /// To be undone by the next server.
    Stopping,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(error)
    }
}

async fn take_steps(
    app: &Arc<App>,
    permit: &Permit,
    operation: &mut Operation,
    applications: &[Application],
    platform: &Platform,
    deployer: &Deployer,
) -> Result<Vec<AppStatus>, Failure> {
    let scope = platform.scope(&operation.id);
    let apps = fetch(app, permit, operation, applications).await?;
    let findings = deployer.validate(&scope, &apps).await?;
    if let Some(it) = findings.into_iter().find(|it| it.severity == Severity::Error) {
        let place = if it.place.is_empty() { String::new() } else { format!("{}: ", it.place) };
        return Err(Error::Conflict(format!("{place}{}", it.message)).into());
    }

    let mut statuses = Vec::with_capacity(apps.len());
    for (index, deployable) in apps.iter().enumerate() {
        if app.engine.is_stopping() {
            return Err(Failure::Stopping);
        }
        operation.steps[index].state = StepState::Begun;
        *operation = advance(app, operation).await?;
        let placed = deployer.deploy(&scope, deployable, None).await;
        let placed = placed.map_err(|it| uninstallable(deployable, platform, &it.to_string()))?;
        let step = &mut operation.steps[index];
        let Placement { handle, status } = placed.map_err(|it: PluginError| {
            // It has left nothing behind, so there is nothing to look for.
            if !it.retryable {
                step.state = StepState::Undone;
            }
            step.message = Some(it.message.clone());
            uninstallable(deployable, platform, &it.message)
        })?;
        step.state = StepState::Done;
        step.handle = Some(handle);
        step.deployment_id = status.deployment_id.clone();
        *operation = advance(app, operation).await?;
        statuses.push(status);
    }
    Ok(statuses)
}

fn uninstallable(app: &Deployable, platform: &Platform, why: &str) -> Error {
    Error::Conflict(format!(
        "Could not install AppDeployRequest [{}, resource = {}]  to platform [{}].  Error Message = [{why}]",
        app.definition_name, app.resource, platform.account
    ))
}

/// Fetches all programs and notes, in one transaction, that they are needed.
async fn fetch(
    app: &Arc<App>,
    permit: &Permit,
    operation: &mut Operation,
    applications: &[Application],
) -> Result<Vec<Deployable>> {
    let mut apps = Vec::with_capacity(applications.len());
    let mut held: Vec<Stored> = Vec::new();
    for it in applications {
        let location = resource::location(&it.resource, it.version.as_deref());
        let resource = resource::fetch(app, &permit.caller, location).await?;
        let (deployable, stored) = deployable(operation, it, resource)?;
        held.extend(match (stored, &deployable.artifact) {
            (None, Some(artifact)) => Some(hold(app, &deployable, &artifact.sha256).await?),
            (stored, _) => stored,
        });
        apps.push(deployable);
    }
    for (step, it) in operation.steps.iter_mut().zip(&apps) {
        step.app = Some(it.clone());
    }
    let mut planned = operation.clone();
    let kept = app.store.write_unaudited(move |change| {
        operations::advance(change, &mut planned)?;
        for it in planned.steps.iter().filter_map(|it| it.app.as_ref()) {
            if let Some(artifact) = &it.artifact {
                blob_refs::refer(change, &artifact.sha256, &blob_owner(&planned, &it.name));
            }
        }
        // Held until this is durable, even where nobody waits for it any more.
        Ok((planned, held))
    });
    let (planned, _held) = kept.await?;
    *operation = planned;
    Ok(apps)
}

/// Holds bytes that another record may let go of at any moment.
async fn hold(app: &App, deployable: &Deployable, sha256: &str) -> Result<Stored> {
    let held = app.blobs.hold(sha256).await?;
    held.ok_or_else(|| {
        let resource = &deployable.resource;
        Error::Conflict(format!("Could not load Resource {resource}. Message = it is gone"))
    })
}

fn deployable(
    operation: &Operation,
    application: &Application,
    resource: Resource,
) -> Result<(Deployable, Option<Stored>)> {
    const GROUP: &str = "spring.cloud.deployer.group";
    const APP_NAME: &str = "spring.cloud.deployer.appName";
    let labels = |texts: &manifest::Texts| -> Vec<Label> {
        texts.iter().map(|(key, value)| Label { key: key.clone(), value: value.clone() }).collect()
    };
    let mut deployment_properties = labels(&application.deployment_properties);
    let group = deployment_properties.iter().find(|it| it.key == GROUP).map(|it| it.value.clone());
    if group.is_none() {
        let value = operation.release.clone();
        deployment_properties.push(Label { key: GROUP.into(), value });
    }
    deployment_properties.retain(|it| it.key != APP_NAME);
    deployment_properties.push(Label { key: APP_NAME.into(), value: application.name.clone() });
    let deployable = Deployable {
        release: operation.release.clone(),
        revision: operation.version,
        name: application.name.clone(),
        definition_name: format!("{}-v{}", application.name, operation.version),
        group: group.unwrap_or_else(|| operation.release.clone()),
        version: application.version.clone(),
        resource: resource.location,
        artifact: resource.artifact,
        application_properties: labels(&application.application_properties),
        deployment_properties,
        count: check::count(application)?,
    };
    Ok((deployable, resource.held))
}

/// The release is there, its operation has ended, and the hooks hear of it: all in
/// one transaction.
async fn finish(
    app: &Arc<App>,
    permit: &Permit,
    mut operation: Operation,
    mut row: ReleaseRow,
    statuses: &[AppStatus],
) -> Result<Release> {
    row.apps = operation.steps.iter().map(deployed).collect();
    row.release.info.description = DESCRIPTION.to_owned();
    row.release.info.status.status_code = StatusCode::Deployed;
    row.release.info.status.platform_status = Some(status::text(&row, statuses));

    operation.phase = Phase::Done;
    operation.ended_ms = Some(now_ms());
    let told = Announcement::of(permit, Some(shown(&row.release)));
    let kept_row = row.clone();
    let kept = app.store.write(operation.audit(), move |change| {
        operations::advance(change, &mut operation)?;
        releases::put(change, &kept_row)?;
        outbox::announce(change, &told)
    });
    kept.await?;
    app.engine.follow(&row);
    Ok(row.release)
}

fn deployed(step: &Step) -> DeployedApp {
    let artifact = step.app.as_ref().and_then(|it| it.artifact.as_ref());
    DeployedApp {
        name: step.name.clone(),
        deployment_id: step.deployment_id.clone(),
        handle: step.handle.clone().unwrap_or_default(),
        artifact_sha256: artifact.map(|it| it.sha256.clone()),
    }
}

/// A release in the API's own shape, for hooks.
pub(super) fn shown(release: &Release) -> serde_json::Value {
    serde_json::to_value(release).expect("a release is plain data")
}
