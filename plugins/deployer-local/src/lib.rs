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
mod logs;
mod plan;
mod settings;
mod text;

use chandlery_sdk::{
    deployer::{
        self, App, AppStatus, Deployer, Diagnostic, Features, Lifecycle, LogLines, LogPage,
        LogWant, Placement, PluginError, Scope, State,
    },
    process::{Output, Phase, ProcessError, State as Process},
};

use crate::{
    host::{Guest, Host},
    instance::{Asked, Handle, Instance, Prober},
    plan::{COUNT_MAX, Plan},
    settings::Settings,
};

struct Local;

/// The host gives up on an `undeploy` that takes longer; all stops must fit in.
const STOP_MS_MAX: u32 = 100_000;
const MESSAGE_BYTES_MAX: usize = 2000;

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
        Features::SCALE | Features::LOGS
    }

    fn describe(scope: Scope) -> String {
        match Settings::of_account(&scope.settings) {
            Ok(settings) => settings.describe(),
            Err(error) => error.message,
        }
    }

    fn validate(scope: Scope, apps: Vec<App>) -> Vec<Diagnostic> {
        let findings = |app| match plan::check(&scope, app) {
            Ok(()) => plan::warnings(app),
            Err(error) => vec![error],
        };
        apps.iter().flat_map(findings).collect()
    }

    fn deploy(scope: Scope, app: App, _current: Option<String>) -> Result<Placement, PluginError> {
        deploy(&Guest, &scope, &app)
    }

    fn undeploy(_scope: Scope, handle: String) -> Result<AppStatus, PluginError> {
        undeploy(&Guest, &handle)
    }

    fn scale(_scope: Scope, handle: String, count: u32) -> Result<Placement, PluginError> {
        scale(&Guest, &handle, count)
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
        logs::ends(&Guest, &handle, instance.as_deref(), limit_bytes)
    }

    fn read_log(_scope: Scope, handle: String, want: LogWant) -> Result<LogLines, PluginError> {
        logs::read(&Guest, &handle, &want)
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
        let names = plan.processes.iter().map(|(name, _)| name.as_str());
        return Err(take_back(host, names, plan.handle.grace_ms, failure));
    }
    let status = instance::status(host, &mut Prober::default(), &plan.handle, Asked::AfterStart);
    Ok(Placement { handle: plan.handle.to_json(), status })
}

/// All or nothing: what this call or an earlier one has started goes again. Every one
/// is tried, and only when all are gone is the failure for good.
fn take_back<'a>(
    host: &impl Host,
    names: impl DoubleEndedIterator<Item = &'a str>,
    grace_ms: u32,
    failure: PluginError,
) -> PluginError {
    let grace_ms = grace_ms.min(5_000);
    let ended = names.rev().map(|name| end(host, name, grace_ms));
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

/// Further instances go on with the index; the highest go first.
fn scale(host: &impl Host, handle: &str, count: u32) -> Result<Placement, PluginError> {
    let mut handle = Handle::read(handle)?;
    if count > COUNT_MAX {
        let message = format!("it may have {COUNT_MAX} instances, and not {count}");
        return Err(PluginError::permanent("count", message));
    }
    match count as usize > handle.instances.len() {
        true => grow(host, &mut handle, count)?,
        false => {
            // What an attempt that nobody remembers has started goes as well.
            let mut leaving = found(host, &handle.others());
            leaving.extend(handle.instances.drain(count as usize..).map(|it| it.process));
            end_all(host, &handle, &leaving)?;
        }
    }
    let status = instance::status(host, &mut Prober::default(), &handle, Asked::AfterStart);
    Ok(Placement { handle: handle.to_json(), status })
}

fn grow(host: &impl Host, handle: &mut Handle, count: u32) -> Result<(), PluginError> {
    let permanent = |why| PluginError::permanent("unsupported", why);
    let Some(template) = &handle.template else {
        return Err(permanent("it was deployed with more properties than can be remembered"));
    };
    if template.has_one_port() && count > 1 {
        return Err(permanent("several instances cannot share one `server.port`"));
    }
    let mut added: Vec<Instance> = Vec::new();
    for index in handle.instances.len() as u32..count {
        let instance = template.instance(index);
        let spec = template.spec(index)?;
        let name = instance.process.clone();
        added.push(instance);
        let failure = match host.start(&name, &spec) {
            Ok(process) if process.phase != Phase::Failed => continue,
            Ok(process) => why_failed(host, &name, &process),
            Err(error) => plan::failure(error),
        };
        let names = added.iter().map(|it| it.process.as_str());
        return Err(take_back(host, names, handle.grace_ms, failure));
    }
    handle.instances.extend(added);
    Ok(())
}

fn undeploy(host: &impl Host, handle: &str) -> Result<AppStatus, PluginError> {
    let handle = Handle::read(handle)?;
    let mut names: Vec<String> = handle.instances.iter().map(|it| it.process.clone()).collect();
    names.extend(found(host, &handle.others()));
    end_all(host, &handle, &names)?;
    Ok(AppStatus {
        deployment_id: handle.deployment_id,
        state: State::Undeployed,
        message: None,
        instances: Vec::new(),
        poll_after_ms: 0,
    })
}

/// Ends processes: the last first, and every one is tried, whatever becomes of the
/// others.
fn end_all(host: &impl Host, handle: &Handle, names: &[String]) -> Result<(), PluginError> {
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX).max(1);
    let grace_ms = handle.grace_ms.min(STOP_MS_MAX / count);
    if handle.shutdown && grace_ms > 0 {
        let found = host.status(names).into_iter().flatten();
        for process in found.filter(|it| it.phase == Phase::Running) {
            instance::ask_to_end(host, &process);
        }
    }
    let ended: Vec<_> = names.iter().rev().map(|it| end(host, it, grace_ms)).collect();
    ended.into_iter().collect()
}

/// Those of the names that there are processes of.
fn found(host: &impl Host, names: &[String]) -> Vec<String> {
    let states = host.status(names);
    let known = names.iter().zip(states).filter(|(_, state)| state.is_ok());
    known.map(|(name, _)| name.clone()).collect()
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

deployer::export!(Local);

#[cfg(test)]
mod tests;
