//! The plugins in force at one moment, and how the answers of many become one.

use std::sync::Arc;

use super::{
    FailMode, Kind,
    bound::{Bound, Linked},
    build::Ready,
    deployer::Deployer,
    failure::Failure,
    filter::Filter,
    meter::Failed,
    notifying_hook::{Event, NotifyingHook, Outcome},
    policy::{Asked, Decision, Effect, Kept, Policy, Question},
    renderer::{Job, Output, Renderer, Template},
    types::{Diagnostic, Target},
    validating_hook::{Denial, Looked, Operation, ValidatingHook},
};
use crate::error::{Error, Result};

/// The plugins in force at one moment: never changed, only swapped whole.
#[derive(Default)]
pub struct PluginSet {
    policies: Vec<Policy>,
    renderers: Vec<Arc<Renderer>>,
    before_hooks: Vec<ValidatingHook>,
    after_hooks: Vec<NotifyingHook>,
    deployers: Vec<Arc<Deployer>>,
}

/// What the policies in force said, taken together.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Whether they allow it: nobody denied and somebody allowed.
    pub allowed: bool,
    /// The deciding policy's reason.
    pub reason: Option<String>,
    /// The deciding rules.
    pub rules: Vec<String>,
    /// The deciding component's SHA-256; empty where no policy is in force.
    pub digest: String,
    /// The failures that a fail mode of `open` let pass.
    pub passed: Vec<String>,
}

/// What the before-hooks made of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Reviewed {
    /// The object as they leave it.
    pub object: serde_json::Value,
    /// The binding that changed it last; `None` where none did.
    pub changed_by: Option<String>,
    /// What they want the caller to know.
    pub warnings: Vec<String>,
    /// The failures that a fail mode of `open` let pass.
    pub passed: Vec<String>,
}

/// What a component is bound as, and how it does.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundPlugin {
    /// The binding's name.
    pub binding: String,
    /// As what.
    pub kind: Kind,
    /// The capabilities that it was granted, by name.
    pub granted: Vec<&'static str>,
    /// Its last calls that failed, the newest first.
    pub failed: Vec<Failed>,
}

impl PluginSet {
    /// Puts a binding that was made ready at the end of its kind.
    pub(super) fn add(&mut self, ready: &Ready) -> Result<()> {
        let Ready { bound, linked, filter, .. } = ready;
        let added = self.add_parts(filter.clone(), bound.clone(), linked.clone());
        added.map_err(|message| Error::Plugin { plugin: bound.name.clone(), message, source: None })
    }

    /// The same of its parts. The error is a sentence.
    pub(super) fn add_parts(
        &mut self,
        filter: Filter,
        bound: Arc<Bound>,
        linked: Linked,
    ) -> Result<(), String> {
        let word = bound.kind.word();
        self.add_typed(filter, bound, linked)
            .map_err(|it| format!("its exports differ from those of a {word}: {it:#}"))
    }

    fn add_typed(
        &mut self,
        filter: Filter,
        bound: Arc<Bound>,
        linked: Linked,
    ) -> wasmtime::Result<()> {
        match bound.kind {
            Kind::Policy => self.policies.push(Policy::new(bound, linked)?),
            Kind::Renderer => self.renderers.push(Arc::new(Renderer::new(bound, linked)?)),
            Kind::Deployer => self.deployers.push(Arc::new(Deployer::new(bound, linked)?)),
            Kind::BeforeHook => {
                self.before_hooks.push(ValidatingHook::new(bound, filter, linked)?);
            }
            Kind::AfterHook => self.after_hooks.push(NotifyingHook::new(bound, filter, linked)?),
        }
        Ok(())
    }

    /// Whether nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.bounds().next().is_none()
    }

    /// Asks the policies, inline. Deny wins, then allow; nobody allows: denied. A
    /// policy that fails has not said yes: unless another denies, its failure is
    /// the answer.
    pub fn decide(&self, question: Asked<'_>) -> Result<Decided> {
        let mut allowed: Option<Decided> = None;
        let mut failed = None;
        let mut passed = Vec::new();
        for policy in &self.policies {
            match policy.authorize(question) {
                Ok(decision) => match decided(policy, decision) {
                    Some(decided) if !decided.allowed => return Ok(Decided { passed, ..decided }),
                    Some(decided) => allowed = allowed.or(Some(decided)),
                    None => {}
                },
                Err(failure) if passes(&policy.bound, &failure, &mut passed) => {}
                Err(failure) => failed = failed.or(Some((policy, failure))),
            }
        }
        if let Some((policy, failure)) = failed {
            return Err(failure.into_error(&policy.bound.name));
        }
        let decided = allowed.unwrap_or_else(|| self.nobody_allows(question.action));
        Ok(Decided { passed, ..decided })
    }

    fn nobody_allows(&self, action: &str) -> Decided {
        let reason = match self.policies.first() {
            Some(_) => format!("no policy allows `{action}`"),
            None => "no policy is in force".into(),
        };
        let digest = self.policies.first().map(|it| it.bound.digest.clone()).unwrap_or_default();
        let (rules, passed) = (Vec::new(), Vec::new());
        Decided { allowed: false, reason: Some(reason), rules, digest, passed }
    }

    /// The same with a question of its own. For tests and tools.
    pub fn authorize(&self, question: &Question) -> Result<Decided> {
        self.decide(question.asked(&question.facts()))
    }

    /// Asks one policy. For tests and tools.
    pub fn ask(&self, policy: &str, question: &Question) -> Result<Decision> {
        let policy = self.policy(policy)?;
        policy
            .authorize(question.asked(&question.facts()))
            .map_err(|it| it.into_error(&policy.bound.name))
    }

    /// A guest of a policy that is kept between questions. For benchmarks.
    pub fn keep(&self, policy: &str) -> Result<Kept> {
        let policy = self.policy(policy)?;
        policy.keep().map_err(|it| it.into_error(&policy.bound.name))
    }

    /// Whether any before-hook is to be asked about `action` on that target.
    pub fn has_before_hooks(&self, action: &str, target: &Target) -> bool {
        self.before_hooks.iter().any(|it| it.wants(action, target))
    }

    /// Asks the before-hooks of the action in their order. A no is
    /// [`Error::Refused`].
    pub async fn review(&self, mut operation: Operation) -> Result<Reviewed> {
        let mut warnings = Vec::new();
        let mut passed = Vec::new();
        let mut changed_by = None;
        for hook in &self.before_hooks {
            if !hook.wants(&operation.action, &operation.target) {
                continue;
            }
            match hook.review(&operation).await {
                Ok(Ok(reviewed)) => {
                    warnings.extend(reviewed.warnings);
                    if let Some(object) = reviewed.object {
                        operation.object = object;
                        changed_by = Some(hook.bound.name.clone());
                    }
                }
                Ok(Err(denial)) => {
                    return Err(Error::Refused {
                        hook: hook.bound.name.clone(),
                        code: denial.code,
                        message: denial.message,
                    });
                }
                Err(failure) if passes(&hook.bound, &failure, &mut passed) => {}
                Err(failure) => return Err(failure.into_error(&hook.bound.name)),
            }
        }
        let object = serde_json::from_str(&operation.object)
            .map_err(|it| Error::Internal(format!("the reviewed object is not JSON: {it}")))?;
        Ok(Reviewed { object, changed_by, warnings, passed })
    }

    /// Asks one before-hook. For tests and tools: what it finds is not cut down to what a
    /// caller is told.
    pub async fn ask_hook(
        &self,
        hook: &str,
        operation: &Operation,
    ) -> Result<std::result::Result<Looked, Denial>> {
        let Some(hook) = self.before_hooks.iter().find(|it| it.bound.name == hook) else {
            return Err(Error::not_found("before-hook", hook));
        };
        hook.review(operation).await.map_err(|it| it.into_error(&hook.bound.name))
    }

    /// Whether any after-hook wants to hear of `action` on that target.
    pub fn has_after_hooks(&self, action: &str, target: &Target) -> bool {
        self.after_hooks.iter().any(|it| it.wants(action, target))
    }

    /// The names of the after-hooks that want to hear of `action` on that target.
    pub fn after_hooks(&self, action: &str, target: &Target) -> Vec<String> {
        let wanting = self.after_hooks.iter().filter(|it| it.wants(action, target));
        wanting.map(|it| it.bound.name.clone()).collect()
    }

    /// The names of the after-hooks that want to hear of `action` and may know the hooks
    /// documents of namespaces and units.
    pub fn document_hooks(&self, action: &str, target: &Target) -> Vec<String> {
        let mut names = self.after_hooks(action, target);
        names.retain(|it| self.knows_documents(it));
        names
    }

    /// Whether the after-hook of that name may know the hooks documents of namespaces
    /// and units.
    pub fn knows_documents(&self, hook: &str) -> bool {
        let mut hooks = self.after_hooks.iter();
        hooks.any(|it| it.bound.name == hook && it.bound.grants.documents)
    }

    /// Tells an after-hook. One outcome an event.
    pub async fn deliver(&self, hook: &str, events: &[Event]) -> Result<Vec<Outcome>> {
        let Some(hook) = self.after_hooks.iter().find(|it| it.bound.name == hook) else {
            return Err(Error::not_found("after-hook", hook));
        };
        hook.deliver(events).await.map_err(|it| it.into_error(&hook.bound.name))
    }

    /// Renders with the renderer of that name.
    pub async fn render(
        &self,
        renderer: &str,
        job: &Job,
    ) -> Result<std::result::Result<Vec<Output>, Vec<Diagnostic>>> {
        let renderer = self.renderer(renderer)?;
        renderer.render(job).await.map_err(|it| it.into_error(&renderer.bound.name))
    }

    /// Parses templates with the renderer of that name.
    pub async fn check_templates(
        &self,
        renderer: &str,
        templates: &[Template],
    ) -> Result<Vec<Diagnostic>> {
        let renderer = self.renderer(renderer)?;
        renderer.check(templates).await.map_err(|it| it.into_error(&renderer.bound.name))
    }

    /// The SHA-256 of the component behind a binding.
    pub fn digest(&self, binding: &str) -> Option<&str> {
        self.bounds().find(|it| it.name == binding).map(|it| it.digest.as_str())
    }

    /// The bindings of the component of that SHA-256.
    pub fn bound(&self, digest: &str) -> Vec<BoundPlugin> {
        let bound = self.bounds().filter(|it| it.digest == digest);
        bound
            .map(|it| BoundPlugin {
                binding: it.name.clone(),
                kind: it.kind,
                granted: it.grants.names(),
                failed: it.meter.failed(),
            })
            .collect()
    }

    /// The names of the bindings, with their kinds.
    pub fn names(&self) -> Vec<(String, Kind)> {
        self.bounds().map(|it| (it.name.clone(), it.kind)).collect()
    }

    /// The deployer of that binding's name, if there is one.
    pub fn deployer(&self, name: &str) -> Option<Arc<Deployer>> {
        self.deployers.iter().find(|it| it.bound.name == name).cloned()
    }

    /// The name of a binding is its own among those of its kind; a component that is
    /// a hook of both kinds may have one name for both.
    pub(super) fn check_name(&self, ready: &Ready) -> Result<()> {
        let (name, kind) = (&ready.bound.name, ready.bound.kind);
        if name.is_empty() {
            return Err(Error::invalid("name", "a plugin needs a name"));
        }
        let same = |it: &Arc<Bound>| {
            it.name == *name && (it.kind == kind || !it.kind.is_hook() || !kind.is_hook())
        };
        match self.bounds().any(same) {
            true => Err(Error::invalid("name", format!("two plugins have the name `{name}`"))),
            false => Ok(()),
        }
    }

    fn policy(&self, name: &str) -> Result<&Policy> {
        let found = self.policies.iter().find(|it| it.bound.name == name);
        found.ok_or_else(|| Error::not_found("policy", name))
    }

    fn renderer(&self, name: &str) -> Result<&Arc<Renderer>> {
        let found = self.renderers.iter().find(|it| it.bound.name == name);
        found.ok_or_else(|| Error::not_found("renderer", name))
    }

    fn bounds(&self) -> impl Iterator<Item = &Arc<Bound>> {
        let policies = self.policies.iter().map(|it| &it.bound);
        let renderers = self.renderers.iter().map(|it| &it.bound);
        let before = self.before_hooks.iter().map(|it| &it.bound);
        let after = self.after_hooks.iter().map(|it| &it.bound);
        let deployers = self.deployers.iter().map(|it| &it.bound);
        policies.chain(renderers).chain(before).chain(after).chain(deployers)
    }
}

/// A decision as part of the whole; `None` where it is not the policy's to say.
fn decided(policy: &Policy, decision: Decision) -> Option<Decided> {
    let mut allowed = match decision.effect {
        Effect::Allow => true,
        Effect::Deny => false,
        Effect::Abstain => return None,
    };
    let mut reason = decision.reason;
    for obligation in &decision.obligations {
        if !allowed {
            break;
        }
        if obligation.kind == "log" {
            tracing::info!(
                policy = policy.bound.name,
                rules = ?decision.rules,
                params = ?obligation.params.iter().map(|it| (&it.key, &it.value)).collect::<Vec<_>>(),
                "a policy wants this to be logged"
            );
        } else if obligation.binding {
            allowed = false;
            reason = Some(format!(
                "the policy allows it only with `{}`, which this server cannot do",
                obligation.kind
            ));
        }
    }
    let digest = policy.bound.digest.clone();
    Some(Decided { allowed, reason, rules: decision.rules, digest, passed: Vec::new() })
}

/// Whether the fail mode lets a failure pass. Says so in the log, once here; one that
/// passes `open` is added to `passed`, for the audit.
fn passes(bound: &Bound, failure: &Failure, passed: &mut Vec<String>) -> bool {
    match bound.fail_mode {
        FailMode::Closed => false,
        FailMode::Open => {
            tracing::warn!(plugin = bound.name, %failure, "a plugin failed, going on without it");
            bound.meter.passed_open();
            passed.push(format!("plugin `{}` failed and was passed: {failure}", bound.name));
            true
        }
        FailMode::Ignore => {
            tracing::debug!(plugin = bound.name, %failure, "a plugin failed, going on without it");
            true
        }
    }
}
