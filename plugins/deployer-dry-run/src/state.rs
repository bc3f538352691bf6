//! What the programme makes of the time that has passed.

use chandlery_sdk::{
    deployer::{AppStatus, Instance, State},
    types::Label,
};

use crate::{handle::Handle, program::Program};

/// How an application would be.
pub(crate) fn status(handle: &Handle, program: &Program, now: u64) -> AppStatus {
    let all = handle.started.iter().enumerate();
    let instances: Vec<Instance> = all
        .filter_map(|(index, started)| {
            Some(Instance {
                id: handle.id(index),
                state: state(program, index, *started, now)?,
                attributes: attributes(handle, program, index, *started),
            })
        })
        .collect();
    let state = State::of_whole(instances.iter().map(|it| it.state));
    let failed = matches!(state, State::Failed | State::Error);
    AppStatus {
        deployment_id: handle.deployment_id.clone(),
        state,
        message: failed.then(|| "it is told to fail".to_owned()),
        instances,
        poll_after_ms: program.poll_after_ms,
    }
}

/// The state of an instance; nothing where the platform knows it no more.
fn state(program: &Program, index: usize, started: u64, now: u64) -> Option<State> {
    let age = now.saturating_sub(started);
    let over = |limit: Option<u64>| limit.is_some_and(|it| age >= it);
    if over(program.vanishes_after) {
        return None;
    }
    if over(program.fails_after) {
        return Some(State::Failed);
    }
    if !over(program.deployed_after) || program.deployed_at.is_some_and(|it| now < it) {
        return Some(State::Deploying);
    }
    match program.failing_instances.contains(&index) {
        true => Some(State::Failed),
        false => Some(program.becomes),
    }
}

fn attributes(handle: &Handle, program: &Program, index: usize, started: u64) -> Vec<Label> {
    let id = handle.id(index);
    let mut attributes = vec![
        Label::new("guid", &id),
        Label::new("operation", &handle.operation),
        Label::new("resource", &handle.resource),
        Label::new("started", started.to_string()),
    ];
    attributes.extend(handle.version.as_ref().map(|it| Label::new("version", it)));
    attributes.extend(handle.artifact_sha256.as_ref().map(|it| Label::new("artifact.sha256", it)));
    for (key, value) in &handle.properties {
        attributes.push(Label::new(format!("property.{key}"), value));
    }
    for (name, value) in &program.attributes {
        let value = value.replace("{index}", &index.to_string()).replace("{id}", &id);
        attributes.retain(|it| it.key != *name);
        attributes.push(Label::new(name, value));
    }
    attributes
}

/// The log of an instance, or of all.
pub(crate) fn log(handle: &Handle, program: &Program, instance: Option<&str>, now: u64) -> String {
    let said = said(handle, program, instance, now);
    said.into_iter().map(|(_, text)| format!("stdout:\n{text}")).collect()
}

/// What each instance says, or the one of that id: its id, and the text.
pub(crate) fn said(
    handle: &Handle,
    program: &Program,
    instance: Option<&str>,
    now: u64,
) -> Vec<(String, String)> {
    let mut said = Vec::new();
    for (index, started) in handle.started.iter().enumerate() {
        let id = handle.id(index);
        if instance.is_some_and(|it| it != id) || state(program, index, *started, now).is_none() {
            continue;
        }
        let text = match &program.log {
            Some(log) => format!("{log}\n"),
            None => format!(
                "{started} would have started {id}, which is {} of {}\n",
                handle.definition_name, handle.resource
            ),
        };
        said.push((id, text));
    }
    said
}
