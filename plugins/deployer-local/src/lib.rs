//! Runs applications as processes of the server's own machine.
//!
//! A jar runs with `java -jar`, anything else executable runs itself. Each instance
//! is a process of the host, named after the release and the deployment: the host
//! finds it again after a restart, and so do we, since all that we remember is in
//! the handle.
//!
//! What an application is told: `SPRING_APPLICATION_JSON` with its properties and
//! where it is; a program that is no jar gets the same as plain variables
//! (`server.port` is `SERVER_PORT`) and its port as `PORT`, too.

mod host;
mod instance;
mod plan;
mod settings;
mod text;

use chandlery_sdk::{
    deployer::{
        self, App, AppStatus, Deployer, Diagnostic, Features, Lifecycle, LogPage, Placement,
        PluginError, Scope, State,
    },
    process::{Output, Phase, ProcessError, State as Process},
};

use crate::{
    host::{Guest, Host},
    instance::{Asked, Handle, Prober},
    plan::Plan,
    settings::Settings,
};

struct Local;

/// The host gives up on an `undeploy` that takes longer; all stops must fit in.
const STOP_MS_MAX: u32 = 100_000;
const MESSAGE_BYTES_MAX: usize = 2000;
const LOG_BYTES_MAX: u32 = 256 << 10;

impl Lifecycle for Local {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        match settings.trim() {
            "" | "null" | "{}" => Vec::new(),
            _ => {
                let message = "there are no settings here: they belong to the account, below `platforms.local`";
                vec![Diagnostic::error("settings", "/", message)]
            }
        }
    }

    fn configure(_settings: String) -> Result<(), String> {
        Ok(())
    }
}

impl Deployer for Local {
    fn supports() -> Features {
        Features::LOGS
    }

    fn describe(scope: Scope) -> String {
        match Settings::of_account(&scope.settings) {
            Ok(settings) => settings.describe(),
            Err(error) => error.message,
        }
    }

    fn validate(scope: Scope, apps: Vec<App>) -> Vec<Diagnostic> {
        apps.iter().filter_map(|app| plan::check(&scope, app).err()).collect()
    }

    fn deploy(scope: Scope, app: App, _current: Option<String>) -> Result<Placement, PluginError> {
        deploy(&Guest, &scope, &app)
    }

    fn undeploy(_scope: Scope, handle: String) -> Result<AppStatus, PluginError> {
        undeploy(&Guest, &handle)
    }

    fn scale(_scope: Scope, _handle: String, _count: u32) -> Result<Placement, PluginError> {
        Err(PluginError::permanent("unsupported", "an application cannot be scaled while it runs"))
    }

    fn status(_scope: Scope, handles: Vec<String>) -> Vec<Result<AppStatus, PluginError>> {
        status(&Guest, &handles)
    }

    fn logs(
        _scope: Scope,
        handle: String,
        instance: Option<String>,
        _cursor: Option<String>,
        limit_bytes: u32,
    ) -> Result<LogPage, PluginError> {
        logs(&Guest, &handle, instance.as_deref(), limit_bytes)
    }
}

fn deploy(host: &impl Host, scope: &Scope, app: &App) -> Result<Placement, PluginError> {
    let plan = Plan::of(host, scope, app)?;
    for (name, spec) in &plan.processes {
        let failure = match host.start(name, spec) {
            Ok(process) if process.phase != Phase::Failed => continue,
            Ok(process) => why_failed(host, name, &process),
            Err(error) => plan::failure(error),
        };
        return Err(take_back(host, &plan, failure));
    }
    let status = instance::status(host, &mut Prober::default(), &plan.handle, Asked::AfterStart);
    Ok(Placement { handle: plan.handle.to_json(), status })
}

/// All or nothing: what this call or an earlier one has started goes again. Every one
/// is tried, and only when all are gone is the failure for good.
fn take_back(host: &impl Host, plan: &Plan, failure: PluginError) -> PluginError {
    let grace_ms = plan.handle.grace_ms.min(5_000);
    let ended = plan.processes.iter().rev().map(|(name, _)| end(host, name, grace_ms));
    let left: Vec<String> = ended.filter_map(|it| it.err()).map(|it| it.message).collect();
    if left.is_empty() {
        return PluginError { retryable: false, ..failure };
    }
    let message = format!("{}; and not all of it has ended: {}", failure.message, left.join("; "));
    PluginError::temporary(&failure.code, text::shorten(&message, MESSAGE_BYTES_MAX))
}

fn why_failed(host: &impl Host, name: &str, process: &Process) -> PluginError {
    let why = process.message.clone().unwrap_or_else(|| "it could not be started".to_owned());
    let stderr = host.tail(name, Output::Stderr, 1024).unwrap_or_default();
    let message = match stderr.trim() {
        "" => why,
        text if why.contains(text) => why,
        text => format!("{why}; its standard error ends with: {text}"),
    };
    PluginError::permanent("start", text::shorten(&message, MESSAGE_BYTES_MAX))
}

fn undeploy(host: &impl Host, handle: &str) -> Result<AppStatus, PluginError> {
    let handle = Handle::read(handle)?;
    let count = u32::try_from(handle.instances.len()).unwrap_or(u32::MAX).max(1);
    let grace_ms = handle.grace_ms.min(STOP_MS_MAX / count);
    if handle.shutdown && grace_ms > 0 {
        for process in running(host, &handle) {
            instance::ask_to_end(host, &process);
        }
    }
    // Every one is tried, whatever becomes of the others.
    let ended: Vec<_> =
        handle.instances.iter().map(|it| end(host, &it.process, grace_ms)).collect();
    ended.into_iter().collect::<Result<(), _>>()?;
    Ok(AppStatus {
        deployment_id: handle.deployment_id,
        state: State::Undeployed,
        message: None,
        instances: Vec::new(),
        poll_after_ms: 0,
    })
}

fn running(host: &impl Host, handle: &Handle) -> Vec<Process> {
    let names: Vec<String> = handle.instances.iter().map(|it| it.process.clone()).collect();
    let found = host.status(&names).into_iter().flatten();
    found.filter(|it| it.phase == Phase::Running).collect()
}

/// Stops a process and forgets it. What is not there any more is fine.
fn end(host: &impl Host, name: &str, grace_ms: u32) -> Result<(), PluginError> {
    match host.stop(name, grace_ms) {
        Ok(_) => {}
        Err(ProcessError::NotFound) => return Ok(()),
        Err(error) => return Err(plan::failure(error)),
    }
    match host.forget(name) {
        Ok(()) | Err(ProcessError::NotFound) => Ok(()),
        Err(error) => Err(plan::failure(error)),
    }
}

fn status(host: &impl Host, handles: &[String]) -> Vec<Result<AppStatus, PluginError>> {
    let mut prober = Prober::default();
    let one = |handle: &String| {
        let handle = Handle::read(handle)?;
        Ok(instance::status(host, &mut prober, &handle, Asked::Now))
    };
    handles.iter().map(one).collect()
}

fn logs(
    host: &impl Host,
    handle: &str,
    instance: Option<&str>,
    limit_bytes: u32,
) -> Result<LogPage, PluginError> {
    let handle = Handle::read(handle)?;
    let wanted: Vec<_> =
        handle.instances.iter().filter(|it| instance.is_none_or(|id| id == it.id)).collect();
    let pieces = u32::try_from(wanted.len() * 2).unwrap_or(u32::MAX).max(1);
    let each = limit_bytes.min(LOG_BYTES_MAX) / pieces;
    let mut text = String::new();
    for it in wanted {
        for (name, output) in [("stderr", Output::Stderr), ("stdout", Output::Stdout)] {
            let piece = match host.tail(&it.process, output, each) {
                Ok(piece) => piece,
                Err(ProcessError::NotFound) => String::new(),
                Err(error) => return Err(plan::failure(error)),
            };
            if !piece.is_empty() {
                text += &format!("{name}:\n{piece}\n");
            }
        }
    }
    Ok(LogPage { text, next: None })
}

deployer::export!(Local);

#[cfg(test)]
mod tests;
