//! How an application's instances are, and what is remembered of them.

use chandlery_sdk::{
    deployer::{AppStatus, Instance as Shown, PluginError, State},
    http::{HttpError, Request},
    process::{Phase, ProcessError, State as Process},
    types::Label,
};
use serde::{Deserialize, Serialize};

use crate::{
    host::Host,
    plan::{self, COUNT_MAX, Template},
};

/// Applications that hang are asked no longer than this, together.
const TIMEOUTS_MAX: u32 = 10;
const PROBE_MS: u32 = 500;
const SHUTDOWN_MS: u32 = 2000;

/// What the host keeps for us.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Handle {
    pub(crate) deployment_id: String,
    pub(crate) instances: Vec<Instance>,
    pub(crate) hostname: String,
    pub(crate) startup_probe: Option<String>,
    pub(crate) health_probe: Option<String>,
    /// Whether it may answer `POST /shutdown`.
    pub(crate) shutdown: bool,
    pub(crate) grace_ms: u32,
    /// What further instances are made of; absent where it is too large, or where an
    /// older version of this plugin made the handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<Template>,
}

/// One instance.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    /// The host's name for its process.
    pub(crate) process: String,
}

impl Handle {
    pub(crate) fn read(json: &str) -> Result<Handle, PluginError> {
        let wrong =
            |it| PluginError::permanent("handle", format!("the handle cannot be read: {it}"));
        serde_json::from_str(json).map_err(wrong)
    }

    /// Names of processes that belong to it and are not among its instances, if they
    /// run: what a change of their number began and nobody wrote down.
    pub(crate) fn others(&self) -> Vec<String> {
        let known = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        let template = self.template.iter();
        template.flat_map(|it| (known..COUNT_MAX).map(|index| it.instance(index).process)).collect()
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// When the question is put.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Asked {
    /// Nothing can answer yet, so nothing is asked.
    AfterStart,
    Now,
}

/// Asks applications, and stops when too many of them hang.
#[derive(Default)]
pub(crate) struct Prober {
    timeouts: u32,
}

enum Answer {
    Good,
    Bad,
    /// Nobody listens.
    None,
}

impl Prober {
    fn ask(&mut self, host: &impl Host, port: u16, path: &str) -> Answer {
        if self.timeouts >= TIMEOUTS_MAX {
            return Answer::Bad;
        }
        match host.send(&request("GET", port, path, PROBE_MS)) {
            Ok(response) if (200..300).contains(&response.status) => Answer::Good,
            Ok(_) | Err(HttpError::TooLarge | HttpError::Protocol(_) | HttpError::Tls(_)) => {
                Answer::Bad
            }
            Err(HttpError::Timeout) => {
                self.timeouts += 1;
                Answer::Bad
            }
            Err(HttpError::Denied(_) | HttpError::Dns(_) | HttpError::Connect(_)) => Answer::None,
        }
    }
}

/// Asks a Spring application to end. Whether it does, the stop that follows shows.
pub(crate) fn ask_to_end(host: &impl Host, process: &Process) {
    if let Some(port) = port(process) {
        let _ = host.send(&request("POST", port, "/shutdown", SHUTDOWN_MS));
    }
}

fn request(method: &str, port: u16, path: &str, timeout_ms: u32) -> Request {
    let slash = if path.starts_with('/') { "" } else { "/" };
    Request {
        method: method.to_owned(),
        url: format!("http://127.0.0.1:{port}{slash}{path}"),
        headers: Vec::new(),
        body: None,
        timeout_ms: Some(timeout_ms),
        max_response_bytes: None,
    }
}

/// How an application is.
pub(crate) fn status(
    host: &impl Host,
    prober: &mut Prober,
    handle: &Handle,
    asked: Asked,
) -> AppStatus {
    let names: Vec<String> = handle.instances.iter().map(|it| it.process.clone()).collect();
    let processes = host.status(&names);
    let mut message = None;
    let mut instances = Vec::with_capacity(names.len());
    for (it, process) in handle.instances.iter().zip(processes) {
        let (state, attributes) = match process {
            Ok(process) => {
                let state = state(host, prober, handle, &process, asked);
                if state == State::Failed && message.is_none() {
                    message = process.message.as_ref().map(|why| format!("{}: {why}", it.id));
                }
                (state, attributes(handle, it, &process))
            }
            Err(ProcessError::NotFound) => (State::Undeployed, Vec::new()),
            Err(error) => {
                message = Some(format!("{}: {}", it.id, plan::failure(error).message));
                (State::Unknown, Vec::new())
            }
        };
        instances.push(Shown { id: it.id.clone(), state, attributes });
    }
    AppStatus {
        deployment_id: handle.deployment_id.clone(),
        state: State::of_whole(instances.iter().map(|it| it.state)),
        message,
        instances,
        poll_after_ms: 0,
    }
}

fn state(
    host: &impl Host,
    prober: &mut Prober,
    handle: &Handle,
    process: &Process,
    asked: Asked,
) -> State {
    match process.phase {
        Phase::Starting => return State::Deploying,
        Phase::Exited | Phase::Failed => return State::Failed,
        Phase::Stopped => return State::Undeployed,
        Phase::Running => {}
    }
    let Some(port) = port(process) else { return State::Deployed };
    if asked == Asked::AfterStart {
        return State::Deploying;
    }
    let startup = handle.startup_probe.as_ref().map(|path| prober.ask(host, port, path));
    if matches!(startup, Some(Answer::Bad | Answer::None)) {
        return State::Deploying;
    }
    match (&handle.health_probe, startup) {
        (Some(path), started) => match (prober.ask(host, port, path), started) {
            (Answer::Good, _) => State::Deployed,
            // Before it listens it is not ill, only not there yet.
            (Answer::None, None) => State::Deploying,
            _ => State::Failed,
        },
        (None, Some(_)) => State::Deployed,
        (None, None) => match prober.ask(host, port, "/") {
            Answer::None => State::Deploying,
            Answer::Good | Answer::Bad => State::Deployed,
        },
    }
}

fn attributes(handle: &Handle, instance: &Instance, process: &Process) -> Vec<Label> {
    let mut attributes = vec![
        Label::new("guid", instance.id.clone()),
        Label::new("stderr", process.stderr.clone()),
        Label::new("stdout", process.stdout.clone()),
        Label::new("working.dir", process.workdir.clone()),
    ];
    attributes.extend(process.pid.map(|it| Label::new("pid", it.to_string())));
    if let Some(port) = port(process) {
        attributes.push(Label::new("port", port.to_string()));
        attributes.push(Label::new("url", format!("http://{}:{port}", handle.hostname)));
    }
    attributes
}

fn port(process: &Process) -> Option<u16> {
    process.ports.iter().find(|it| it.name == plan::PORT).map(|it| it.number)
}
