//! The steps that put applications on a platform, and take them off again where that
//! fails: the same for each operation that starts something.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    check,
    difference::COUNT,
    engine::{advance, blob_owner, undeploy},
    manifest::{self, Application},
    platform::Platform,
    resource::{self, Resource},
};
use crate::{
    app::App,
    authz::Permit,
    blobs::Stored,
    error::{Error, Result},
    plugins::{
        Deployer,
        deployer::{App as Deployable, AppStatus, Placement},
        types::{Diagnostic, Label, PluginError, Severity},
    },
    store::{
        Change, blob_refs,
        operations::{self, Asked, Operation, Step, StepState},
        releases::DeployedApp,
    },
};

/// The operation id of a question that belongs to no operation.
const COUNTING: &str = "count";

mod undo;

pub(super) use undo::{NOT_DEPLOYED, undo};

/// Why the steps were not all taken.
pub(super) enum Failure {
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

/// How many instances of an application are to run, where it is not what its manifest
/// says.
pub(super) type Counts = BTreeMap<String, u32>;

/// Applications that can be started, in the order of the operation's steps.
pub(super) struct Prepared {
    apps: Vec<Deployable>,
    // Their bytes, until the operation's record says that they are needed.
    _held: Vec<Stored>,
}

/// A platform and its deployer.
pub(super) struct Place<'a> {
    pub(super) platform: &'a Platform,
    pub(super) deployer: &'a Deployer,
}

impl Place<'_> {
    /// Fetches the programs of these applications, the steps of the operation, and has
    /// the deployer check them. Nothing is started yet, and nothing of it kept: that goes
    /// with the next write of the operation, which is to call [`need`].
    pub(super) async fn prepare(
        &self,
        app: &Arc<App>,
        permit: &Permit,
        operation: &mut Operation,
        applications: &[&Application],
        counts: &Counts,
    ) -> Result<Prepared> {
        let prepared = fetch(app, permit, operation, applications, counts).await?;
        let scope = self.platform.scope(&operation.id);
        let findings = self.deployer.validate(&scope, &prepared.apps).await?;
        tell(permit, &operation.release, &findings);
        if let Some(it) = findings.iter().find(|it| it.severity == Severity::Error) {
            return Err(Error::Conflict(said(it)));
        }
        for (step, it) in operation.steps.iter_mut().zip(&prepared.apps) {
            step.app = Some(it.clone());
        }
        Ok(prepared)
    }

    /// How many instances of an application there are.
    pub(super) async fn instances(&self, handle: &str) -> Result<u32> {
        let scope = self.platform.scope(COUNTING);
        let said = self.deployer.status(&scope, &[handle.to_owned()]).await?;
        let status = said.into_iter().next().and_then(std::result::Result::ok);
        Ok(status.map_or(0, |it| u32::try_from(it.instances.len()).unwrap_or(u32::MAX)))
    }

    /// Starts all, one after the other. That a step begins is kept before it is taken, and
    /// what came of it after: with the beginning of the next one, and of the last one with
    /// what the caller keeps next, whichever way it goes on.
    pub(super) async fn start(
        &self,
        app: &App,
        operation: &mut Operation,
        prepared: &Prepared,
    ) -> Result<Vec<AppStatus>, Failure> {
        let scope = self.platform.scope(&operation.id);
        let mut statuses = Vec::with_capacity(prepared.apps.len());
        for (index, deployable) in prepared.apps.iter().enumerate() {
            if app.engine.is_stopping() {
                *operation = advance(app, operation).await?;
                return Err(Failure::Stopping);
            }
            operation.steps[index].state = StepState::Begun;
            *operation = begin_step(app, operation).await?;
            let failed = |why: &str| uninstallable(deployable, self.platform, why);
            let placed = self.deployer.deploy(&scope, deployable, None).await;
            let placed = placed.map_err(|it| failed(&it.to_string()))?;
            let step = &mut operation.steps[index];
            let Placement { handle, status } = placed.map_err(|it: PluginError| {
                // It has left nothing behind, so there is nothing to look for.
                if !it.retryable {
                    step.state = StepState::Undone;
                }
                step.message = Some(it.message.clone());
                failed(&it.message)
            })?;
            step.state = StepState::Done;
            step.handle = Some(handle);
            step.deployment_id = status.deployment_id.clone();
            statuses.push(status);
        }
        Ok(statuses)
    }
}

/// Notes that the programs of an operation are needed, in the transaction that keeps it.
/// Once or twice is the same.
pub(super) fn need(change: &mut (impl Change + ?Sized), operation: &Operation) {
    for it in operation.steps.iter().filter_map(|it| it.app.as_ref()) {
        if let Some(artifact) = &it.artifact {
            blob_refs::refer(change, &artifact.sha256, &blob_owner(operation, &it.name));
        }
    }
}

async fn begin_step(app: &App, operation: &Operation) -> Result<Operation> {
    let mut operation = operation.clone();
    let kept = app.store.write_unaudited(move |change| {
        operations::advance(change, &mut operation)?;
        need(change, &operation);
        Ok(operation)
    });
    kept.await
}

/// Which steps of an operation end what they speak of.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Its own.
    Steps,
    /// Those of the version that it takes the place of.
    Retired,
}

impl Part {
    fn of(self, operation: &mut Operation) -> &mut Vec<Step> {
        match self {
            Part::Steps => &mut operation.steps,
            Part::Retired => &mut operation.retired,
        }
    }
}

/// Takes applications off their platform, each in its own step. Gives what is to be
/// tried again; what cannot be taken off for good has a message in its step.
pub(super) async fn take_off(
    app: &App,
    operation: &mut Operation,
    part: Part,
) -> Result<Vec<String>> {
    let mut again: Vec<String> = Vec::new();
    for index in 0..part.of(operation).len() {
        if part.of(operation)[index].state == StepState::Done {
            continue;
        }
        if app.engine.is_stopping() {
            return Err(stopping());
        }
        part.of(operation)[index].state = StepState::Begun;
        *operation = advance(app, operation).await?;
        let handle = part.of(operation)[index].handle.clone().unwrap_or_default();
        let undeployed = undeploy(app, operation, &handle).await;
        let release = operation.release.clone();
        let step = &mut part.of(operation)[index];
        match undeployed {
            Ok(()) => {
                step.state = StepState::Done;
                step.message = None;
            }
            Err(trouble) => {
                let why = trouble.error.to_string();
                tracing::warn!(release, app = step.name, error = why, "not undeployed");
                match trouble.passes {
                    true => again.push(format!("{}: {why}", step.name)),
                    false => step.state = StepState::Done,
                }
                step.message = Some(why);
            }
        }
        *operation = advance(app, operation).await?;
    }
    Ok(again)
}

/// The step that an application will be.
pub(super) fn planned(it: &Application) -> Step {
    Step {
        app: None,
        name: it.name.clone(),
        state: StepState::Planned,
        handle: None,
        deployment_id: String::new(),
        message: None,
        count: None,
    }
}

/// Who asks, for the operation's record.
pub(super) fn asked(permit: &Permit) -> Asked {
    Asked {
        principal: permit.caller.principal.clone(),
        token: permit.caller.token.clone(),
        request_id: permit.caller.request.id.clone(),
        policy_digest: permit.policy_digest.clone(),
    }
}

/// What a step has put on the platform.
pub(super) fn deployed(step: &Step) -> DeployedApp {
    let artifact = step.app.as_ref().and_then(|it| it.artifact.as_ref());
    DeployedApp {
        name: step.name.clone(),
        deployment_id: step.deployment_id.clone(),
        handle: step.handle.clone().unwrap_or_default(),
        artifact_sha256: artifact.map(|it| it.sha256.clone()),
    }
}

/// The answer to a request whose work the next server takes up.
pub(super) fn stopping() -> Error {
    Error::Busy {
        what: "operations while the server is stopping",
        retry_after: Duration::from_secs(5),
    }
}

fn uninstallable(app: &Deployable, platform: &Platform, why: &str) -> Error {
    Error::Conflict(format!(
        "Could not install AppDeployRequest [{}, resource = {}]  to platform [{}].  Error Message = [{why}]",
        app.definition_name, app.resource, platform.account
    ))
}

/// Passes on what a deployer only warns of.
fn tell(permit: &Permit, release: &str, findings: &[Diagnostic]) {
    let warnings = findings.iter().filter(|it| it.severity == Severity::Warning).map(said);
    let warnings: Vec<String> = warnings.collect();
    for warning in &warnings {
        tracing::warn!(release, "{warning}");
    }
    permit.caller.warnings.add(warnings);
}

fn said(finding: &Diagnostic) -> String {
    match finding.place.as_str() {
        "" => finding.message.clone(),
        place => format!("{place}: {}", finding.message),
    }
}

/// Fetches all programs.
async fn fetch(
    app: &Arc<App>,
    permit: &Permit,
    operation: &Operation,
    applications: &[&Application],
    counts: &Counts,
) -> Result<Prepared> {
    let mut apps = Vec::with_capacity(applications.len());
    let mut held: Vec<Stored> = Vec::new();
    for it in applications {
        let location = resource::location(&it.resource, it.version.as_deref());
        let resource = resource::fetch(app, &permit.caller, location).await?;
        let (deployable, stored) =
            deployable(operation, it, counts.get(&it.name).copied(), resource)?;
        held.extend(match (stored, &deployable.artifact) {
            (None, Some(artifact)) => Some(hold(app, &deployable, &artifact.sha256).await?),
            (stored, _) => stored,
        });
        apps.push(deployable);
    }
    Ok(Prepared { apps, _held: held })
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
    count: Option<u32>,
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
    if let Some(count) = count {
        deployment_properties.retain(|it| it.key != COUNT);
        deployment_properties.push(Label { key: COUNT.into(), value: count.to_string() });
    }
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
        count: count.map_or_else(|| check::count(application), Ok)?,
    };
    Ok((deployable, resource.held))
}
