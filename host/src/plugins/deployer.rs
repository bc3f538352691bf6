//! Deployers: the `chandlery:plugin/deployment-platform` world.

use std::{sync::Arc, time::Duration};

use wasmtime::Store;

use super::{
    bound::{Bound, Linked},
    failure::Failure,
    guest::{Guest, Life},
    limits::HANDLE_BYTES_MAX,
    meter::Function,
    types::{Diagnostic, PluginError},
};
use crate::{
    capabilities::{address, secrets::Secrets},
    error::Result,
    plugins::types::{HttpError, HttpRequest, HttpResponse},
};

mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which is documented")]
    wasmtime::component::bindgen!({
        path: ["../wit/types", "../wit/host", "../wit/plugin"],
        world: "chandlery:plugin/deployment-platform",
        with: {
            "chandlery:types/types@0.1.0": crate::plugins::bindings::chandlery::types::types,
            "chandlery:host/log@0.1.0": crate::plugins::bindings::chandlery::host::log,
            "chandlery:host/metrics@0.1.0": crate::plugins::bindings::chandlery::host::metrics,
            "chandlery:host/http@0.1.0": crate::plugins::bindings::chandlery::host::http,
            "chandlery:host/secrets@0.1.0": crate::plugins::bindings::chandlery::host::secrets,
            "chandlery:host/clock@0.1.0": crate::plugins::bindings::chandlery::host::clock,
            "chandlery:host/random@0.1.0": crate::plugins::bindings::chandlery::host::random,
            "chandlery:host/artifacts@0.1.0": crate::plugins::bindings::chandlery::host::artifacts,
            "chandlery:host/process@0.1.0": crate::plugins::bindings::chandlery::host::process,
        },
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [Clone, PartialEq, serde::Serialize, serde::Deserialize],
    });
}
pub use bindings::exports::chandlery::plugin::deployer::{
    App, AppStatus, Artifact, Features, Instance, LogLines, LogPage, LogPlace, LogText, LogWant,
    Placement, Scope, State,
};

/// Instances and findings in an answer, at most; the rest is cut.
const INSTANCES_MAX: usize = 1_000;
const FINDINGS_MAX: usize = 1_000;
/// Bytes of each part of a place in a log.
const PLACE_BYTES_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 2_000;
// A stop that needs as long as it was given must still be able to say so.
const AFTER_STOP: Duration = Duration::from_secs(5);

/// What a deployer says: an answer, or its own failure.
type Said<T> = std::result::Result<T, PluginError>;

/// A deployer in force. Every call is made in a fresh guest, within the binding's
/// limits.
pub struct Deployer {
    pub(super) bound: Arc<Bound>,
    pre: bindings::DeploymentPlatformPre<Guest>,
}

impl Deployer {
    /// Takes a linked component whose exports are those of the world.
    pub(super) fn new(bound: Arc<Bound>, linked: Linked) -> wasmtime::Result<Deployer> {
        Ok(Deployer { bound, pre: bindings::DeploymentPlatformPre::new(linked)? })
    }

    /// The SHA-256 of the component.
    pub fn digest(&self) -> &str {
        &self.bound.digest
    }

    /// Describes an account.
    pub async fn describe(&self, scope: &Scope) -> Result<String> {
        let text = self
            .call(Function::Describe, self.bound.limits.wall, |mut store| async move {
                let guest = self.guest(&mut store).await?;
                guest.chandlery_plugin_deployer().call_describe(&mut store, scope).await
            })
            .await?;
        Ok(text.chars().take(DESCRIPTION_CHARS_MAX).collect())
    }

    /// Checks applications before anything is started.
    pub async fn validate(&self, scope: &Scope, apps: &[App]) -> Result<Vec<Diagnostic>> {
        let mut findings = self
            .call(Function::Validate, self.bound.limits.wall, |mut store| async move {
                let guest = self.guest(&mut store).await?;
                guest.chandlery_plugin_deployer().call_validate(&mut store, scope, apps).await
            })
            .await?;
        findings.truncate(FINDINGS_MAX);
        Ok(findings)
    }

    /// Starts an application.
    pub async fn deploy(
        &self,
        scope: &Scope,
        app: &App,
        current: Option<&str>,
    ) -> Result<Said<Placement>> {
        let current = current.map(str::to_owned);
        self.call(Function::Deploy, self.bound.limits.wall, |mut store| async move {
            let guest = self.guest(&mut store).await?;
            let deployer = guest.chandlery_plugin_deployer();
            let said = deployer.call_deploy(&mut store, scope, app, current.as_ref()).await?;
            match said {
                Ok(placement) => Ok(Ok(checked_placement(placement).map_err(Failure::carried)?)),
                Err(own) => Ok(Err(own)),
            }
        })
        .await
    }

    /// Ends an application. `limit` covers its graceful stop.
    pub async fn undeploy(
        &self,
        scope: &Scope,
        handle: &str,
        limit: Duration,
    ) -> Result<Said<AppStatus>> {
        let wall = limit.max(self.bound.limits.wall).saturating_add(AFTER_STOP);
        let handle = handle.to_owned();
        self.call(Function::Undeploy, wall, |mut store| async move {
            let guest = self.guest(&mut store).await?;
            let deployer = guest.chandlery_plugin_deployer();
            Ok(deployer.call_undeploy(&mut store, scope, &handle).await?.map(bounded))
        })
        .await
    }

    /// Changes the number of instances. `limit` covers the graceful stop of those that
    /// go.
    pub async fn scale(
        &self,
        scope: &Scope,
        handle: &str,
        count: u32,
        limit: Duration,
    ) -> Result<Said<Placement>> {
        let wall = limit.max(self.bound.limits.wall).saturating_add(AFTER_STOP);
        let handle = handle.to_owned();
        self.call(Function::Scale, wall, |mut store| async move {
            let guest = self.guest(&mut store).await?;
            let deployer = guest.chandlery_plugin_deployer();
            match deployer.call_scale(&mut store, scope, &handle, count).await? {
                Ok(placement) => Ok(Ok(checked_placement(placement).map_err(Failure::carried)?)),
                Err(own) => Ok(Err(own)),
            }
        })
        .await
    }

    /// Looks at applications, in one call. One answer a handle.
    pub async fn status(&self, scope: &Scope, handles: &[String]) -> Result<Vec<Said<AppStatus>>> {
        self.call(Function::Status, self.bound.limits.wall, |mut store| async move {
            let guest = self.guest(&mut store).await?;
            let deployer = guest.chandlery_plugin_deployer();
            let said = deployer.call_status(&mut store, scope, handles).await?;
            if said.len() != handles.len() {
                let why = format!("it gave {} answers for {} handles", said.len(), handles.len());
                return Err(Failure::Answer(why).carried());
            }
            Ok(said.into_iter().map(|it| it.map(bounded)).collect())
        })
        .await
    }

    /// Reads a log.
    pub async fn logs(
        &self,
        scope: &Scope,
        handle: &str,
        instance: Option<&str>,
        cursor: Option<&str>,
        limit_bytes: u32,
    ) -> Result<Said<LogPage>> {
        // Half of what fits through: the text comes beside other things.
        let limit_bytes = limit_bytes.min(self.bound.limits.transfer_bytes as u32 / 2);
        let handle = handle.to_owned();
        self.call(Function::Logs, self.bound.limits.wall, |mut store| async move {
            let guest = self.guest(&mut store).await?;
            guest
                .chandlery_plugin_deployer()
                .call_logs(&mut store, scope, &handle, instance, cursor, limit_bytes)
                .await
        })
        .await
    }

    /// Reads on in a log.
    pub async fn read_log(
        &self,
        scope: &Scope,
        handle: &str,
        mut want: LogWant,
    ) -> Result<Said<LogLines>> {
        let limit = self.bound.limits.transfer_bytes as u32 / 2;
        want.limit_bytes = want.limit_bytes.min(limit);
        let handle = handle.to_owned();
        self.call(Function::ReadLog, self.bound.limits.wall, |mut store| async move {
            let guest = self.guest(&mut store).await?;
            let deployer = guest.chandlery_plugin_deployer();
            match deployer.call_read_log(&mut store, scope, &handle, &want).await? {
                Ok(lines) => Ok(Ok(checked_lines(lines).map_err(Failure::carried)?)),
                Err(own) => Ok(Err(own)),
            }
        })
        .await
    }

    /// Sends a request to something that it runs, on behalf of a client: where its own
    /// grant lets it reach, and nowhere else. Its secrets are not the client's to name.
    pub async fn send(
        &self,
        mut request: HttpRequest,
        limit: Duration,
    ) -> std::result::Result<HttpResponse, HttpError> {
        let Some(grant) = &self.bound.grants.http else {
            let why = format!("`{}` has no grant `http`", self.bound.name);
            return Err(HttpError::Denied(why));
        };
        let services = &self.bound.services;
        let mut own_ports = Vec::new();
        if grant.own_processes {
            own_ports = services.processes.ports(&self.bound.name);
            request.url = on_loopback(&request.url, &own_ports)?;
        }
        services.http.send(grant, &own_ports, &Secrets::default(), request, limit).await
    }

    async fn guest(
        &self,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<bindings::DeploymentPlatform> {
        let guest = self.pre.instantiate_async(&mut *store).await?;
        guest
            .chandlery_plugin_lifecycle()
            .call_configure(&mut *store, &self.bound.settings)
            .await?
            .map_err(|why| Failure::Settings(why).carried())?;
        Ok(guest)
    }

    async fn call<T, F>(
        &self,
        function: Function,
        wall: Duration,
        work: impl FnOnce(Life) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = wasmtime::Result<T>> + Send,
    {
        let said = self.bound.hosted(function, wall, work).await;
        said.map_err(|it| it.into_error(&self.bound.name))
    }
}

/// The URL of an own process by the address at which it is reached from here, whatever
/// the name is that others know this machine by.
fn on_loopback(url: &str, own_ports: &[u16]) -> std::result::Result<String, HttpError> {
    let mut parsed = address::parse(url)?;
    let is_own = parsed.port_or_known_default().is_some_and(|it| own_ports.contains(&it));
    if parsed.scheme() == "http" && is_own && parsed.set_host(Some("127.0.0.1")).is_err() {
        return Err(HttpError::Denied("the URL has no host".into()));
    }
    Ok(parsed.into())
}

/// What it must remember is JSON of a bounded size.
fn checked_placement(mut placement: Placement) -> std::result::Result<Placement, Failure> {
    if placement.handle.len() > HANDLE_BYTES_MAX {
        return Err(Failure::Answer(format!(
            "its handle has {} bytes (the limit is {HANDLE_BYTES_MAX})",
            placement.handle.len()
        )));
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&placement.handle) {
        return Err(Failure::Answer(format!("its handle is not JSON: {error}")));
    }
    placement.status = bounded(placement.status);
    Ok(placement)
}

/// Places are handed out to clients, so they are small.
fn checked_lines(lines: LogLines) -> std::result::Result<LogLines, Failure> {
    let sizes = |it: &LogPlace| [&it.instance, &it.output, &it.position].map(String::len);
    match lines.texts.iter().flat_map(|it| sizes(&it.place)).max() {
        Some(bytes) if bytes > PLACE_BYTES_MAX => Err(Failure::Answer(format!(
            "a place in its log has {bytes} bytes (the limit is {PLACE_BYTES_MAX})"
        ))),
        _ => Ok(lines),
    }
}

fn bounded(mut status: AppStatus) -> AppStatus {
    status.instances.truncate(INSTANCES_MAX);
    status
}
