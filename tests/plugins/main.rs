//! What the runtime does with guests, good and bad.

mod attacks;
mod authors;
mod deployers;
mod fairness;
mod hooks;
mod loading;
mod mustache;
mod permits;
mod policies;
mod renderers;
mod swaps;
mod workbench;

use chandlery::{
    authz::{Principal, PrincipalKind, Target},
    error::Error,
    plugins::{Binding, Plugins, policy::Question, validating_hook::Operation},
};
use chandlery_tests::Host;

/// A server whose plugins the tests build and call by themselves.
async fn runtime() -> (Host, Plugins) {
    let host = Host::with(Vec::new()).await;
    let plugins = host.app.plugins.clone();
    (host, plugins)
}

/// What a set of these plugins cannot be built for.
async fn refusal(binding: Binding) -> String {
    let (_host, plugins) = runtime().await;
    match plugins.build(vec![binding]).await {
        Ok(_) => panic!("it was not refused"),
        Err(Error::Plugin { message, .. }) => message,
        Err(error) => error.to_string(),
    }
}

fn principal(id: &str) -> Principal {
    let kind = if id == "anonymous" { PrincipalKind::Anonymous } else { PrincipalKind::User };
    let (groups, roles, claims) = (Vec::new(), Vec::new(), Vec::new());
    Principal { id: id.into(), kind, groups, roles, claims }
}

fn target() -> Target {
    Target {
        kind: "release".into(),
        namespace: String::new(),
        name: "web".into(),
        version: None,
        labels: Vec::new(),
    }
}

fn question(id: &str, action: &str) -> Question {
    Question {
        principal: principal(id),
        action: action.into(),
        target: target(),
        context: Vec::new(),
    }
}

fn operation(action: &str, object: &str) -> Operation {
    Operation {
        id: "op-1".into(),
        action: action.into(),
        target: target(),
        actor: principal("user:ana"),
        request: None,
        dry_run: false,
        object: object.into(),
        previous: None,
    }
}
