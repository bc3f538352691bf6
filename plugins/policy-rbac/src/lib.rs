//! The default policy: who holds which role in which namespaces.
//!
//! Without any binding there are three servers to tell apart. One that only its own
//! machine can reach, and that knows no accounts, is open: whoever can ask could as
//! well read its files. One that knows a single user is open to that user. Any other
//! is closed until a binding says who may do what.

mod model;
mod roles;
mod settings;

use std::cell::RefCell;

use chandlery_sdk::policy::{
    self, Decision, Diagnostic, Lifecycle, PluginError, Policy, Principal, PrincipalKind, Question,
    Reach, Severity, Target,
};

use model::Model;

/// Kinds of things that lie in no namespace.
const NOWHERE: [&str; 6] = ["package", "repository", "release", "plugin", "binding", "server"];

struct Rbac;

thread_local! {
    static MODEL: RefCell<Model> = const { RefCell::new(Model::new()) };
}

impl Lifecycle for Rbac {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        settings::read(&settings).1
    }

    fn configure(settings: String) -> Result<(), String> {
        let (model, findings) = settings::read(&settings);
        refuse(&findings)?;
        MODEL.set(model);
        Ok(())
    }
}

impl Policy for Rbac {
    fn load(_revision: u64, data: String) -> Result<(), PluginError> {
        let (model, findings) = settings::read(&data);
        refuse(&findings).map_err(|it| PluginError::permanent("config", it))?;
        MODEL.with_borrow_mut(|it| it.load(model));
        Ok(())
    }

    fn authorize(question: Question) -> Result<Decision, PluginError> {
        Ok(MODEL.with_borrow(|model| decide(model, &question)))
    }

    fn filter(question: Question, targets: Vec<Target>) -> Result<Vec<bool>, PluginError> {
        Ok(MODEL.with_borrow(|model| {
            targets.iter().map(|it| rule(model, &question, it).is_some()).collect()
        }))
    }

    fn reach_of(principal: Principal, action: String, kind: String) -> Result<Reach, PluginError> {
        Ok(MODEL.with_borrow(|model| reach(model, &principal, &action, &kind)))
    }
}

policy::export!(Rbac);

fn refuse(findings: &[Diagnostic]) -> Result<(), String> {
    match findings.iter().find(|it| it.severity == Severity::Error) {
        Some(error) => Err(format!("`{}`: {}", error.place, error.message)),
        None => Ok(()),
    }
}

fn decide(model: &Model, question: &Question) -> Decision {
    match rule(model, question, &question.target) {
        Some(rule) => Decision::allow(rule),
        None => Decision::deny("no role", why(question)),
    }
}

/// The rule that says yes, if one does.
fn rule(model: &Model, question: &Question, target: &Target) -> Option<String> {
    if question.action == "server:read" {
        return Some("everybody".to_owned());
    }
    if model.is_empty() && is_open(question) {
        return Some("open".to_owned());
    }
    let namespace = namespace_of(target);
    // The server has resolved roles for the namespace of the question, and for no other.
    if namespace == namespace_of(&question.target) {
        let held = |it: &&String| model.role_allows(it, &question.action);
        if let Some(role) = question.principal.roles.iter().find(held) {
            return Some(format!("roles/{role}"));
        }
    }
    model
        .bindings_of(&question.principal, &question.action)
        .find(|it| it.covers(namespace))
        .map(|it| it.place.clone())
}

/// What a list may hold. Says `each` wherever it takes more than the principal and the
/// action to know.
fn reach(model: &Model, principal: &Principal, action: &str, kind: &str) -> Reach {
    if action == "server:read" {
        return Reach::All;
    }
    if model.is_empty() || !principal.roles.is_empty() {
        return Reach::Each;
    }
    let mut namespaces = Vec::new();
    for binding in model.bindings_of(principal, action) {
        for pattern in &binding.namespaces {
            match pattern.strip_suffix('*') {
                Some("") => return Reach::All,
                Some(_) => return Reach::Each,
                None => namespaces.push(pattern.clone()),
            }
        }
    }
    namespaces.sort();
    namespaces.dedup();
    // What lies in no namespace is held by nobody whose roles have some.
    match namespaces.is_empty() || NOWHERE.contains(&kind) {
        true => Reach::None,
        false => Reach::Namespaces(namespaces),
    }
}

fn is_open(question: &Question) -> bool {
    let says = |key: &str, value: &str| {
        question.context.iter().any(|it| it.key == key && it.value == value)
    };
    let known = question.principal.kind != PrincipalKind::Anonymous;
    says("accounts", "single") && known || says("listen", "loopback") && says("accounts", "none")
}

/// The namespace that a target lies in, or is; empty for what lies in none.
fn namespace_of(target: &Target) -> &str {
    match target.namespace.as_str() {
        "" if target.kind == "namespace" => &target.name,
        namespace => namespace,
    }
}

fn why(question: &Question) -> String {
    let place = match namespace_of(&question.target) {
        "" => "in all namespaces".to_owned(),
        namespace => format!("in the namespace `{namespace}`"),
    };
    let who = match question.principal.id.as_str() {
        "" | "anonymous" => "somebody who did not say who they are",
        id => id,
    };
    format!(
        "`{}` is not allowed for {who}: it takes a role that allows it {place}; give one under \
         `bindings` in the settings of `policy-rbac`",
        question.action
    )
}

#[cfg(test)]
mod tests;
