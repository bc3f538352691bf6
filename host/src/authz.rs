//! May this caller do this? Asked by each handler before it does anything.
//!
//! An operation takes a [`Permit`], and only [`authorize`] makes one, so the compiler
//! checks that the policy was asked. The engine's own background work goes on with
//! what was allowed before, under the record of it.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use serde_json::Value;

use crate::{
    app::App,
    capabilities::address,
    error::{Error, Result},
    plugins::{
        PluginSet, Reviewed,
        policy::{Asked, Fact},
        validating_hook::Operation,
    },
    store::Audit,
};

/// How much of a text that a caller chose goes into an audit record, which is kept
/// for ever.
const AUDITED_BYTES_MAX: usize = 1024;

pub use crate::plugins::types::{Label, Principal, PrincipalKind, RequestInfo, Target};

/// Warnings that one request gathers, at most; the rest is only logged.
const WARNINGS_MAX: usize = 20;

/// Who is calling and what came with the call. Made once a request.
pub struct Caller {
    /// Who, as the API layer found out.
    pub principal: Principal,
    /// The digest or id of the token that was used; empty without one.
    pub token: String,
    /// The request itself.
    pub request: RequestInfo,
    /// The plugins in force when the request began; it keeps them to its end.
    pub plugins: Arc<PluginSet>,
    /// What the caller should know, to go out with the answer.
    pub warnings: Warnings,
}

/// Warnings for the caller of one request.
#[derive(Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Takes what was gathered.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nothing panics under this lock"))
    }

    /// Adds some; what is too much is dropped.
    pub fn add(&self, warnings: Vec<String>) {
        let mut gathered = self.0.lock().expect("nothing panics under this lock");
        let left = WARNINGS_MAX.saturating_sub(gathered.len());
        gathered.extend(warnings.into_iter().take(left));
    }
}

/// Shows that the policy was asked and said yes.
#[derive(Clone)]
#[expect(clippy::manual_non_exhaustive, reason = "that would let the rest of this crate make one")]
pub struct Permit {
    /// Who asked.
    pub caller: Arc<Caller>,
    /// What was asked for.
    pub action: &'static str,
    /// What it is done to.
    pub target: Target,
    /// The digest of the policy that decided; empty where none was in force.
    pub policy_digest: String,
    /// When it was decided.
    pub at: SystemTime,
    _only_authorize_makes_one: (),
}

/// Puts the question to the policies in force. A no leaves an audit record, and so
/// does a policy that fails: it has not said yes.
pub async fn authorize(
    app: &App,
    caller: &Arc<Caller>,
    action: &'static str,
    target: Target,
) -> Result<Permit> {
    let decided = caller.plugins.decide(Asked {
        principal: &caller.principal,
        action,
        target: &target,
        context: &context(app, caller),
    });
    if let Ok(decided) = &decided {
        let audit = || audit(caller, action, &target, decided.digest.clone());
        note_passed(app, audit, &decided.passed).await;
    }
    let (why, digest, error) = match decided {
        Ok(decided) if decided.allowed => {
            return Ok(Permit {
                caller: caller.clone(),
                action,
                target,
                policy_digest: decided.digest,
                at: SystemTime::now(),
                _only_authorize_makes_one: (),
            });
        }
        Ok(decided) => {
            let why = decided.reason.unwrap_or_else(|| format!("`{action}` is not allowed"));
            (why.clone(), decided.digest, Error::Denied(why))
        }
        Err(error) => (error.to_string(), String::new(), error),
    };
    let audit = audit(caller, action, &target, digest);
    if let Err(error) = app.store.refused(audit, why).await {
        tracing::error!(%error, action, "the audit record of a refusal could not be kept");
    }
    Err(error)
}

/// Asks again what was allowed before, of the policies that are in force now.
pub async fn is_still_allowed(app: &App, permit: &Permit) -> Result<bool> {
    let caller = Arc::new(Caller {
        principal: permit.caller.principal.clone(),
        token: permit.caller.token.clone(),
        request: permit.caller.request.clone(),
        plugins: app.plugins.set(),
        warnings: Warnings::default(),
    });
    match authorize(app, &caller, permit.action, permit.target.clone()).await {
        Ok(_) => Ok(true),
        Err(Error::Denied(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why a set of plugins would not let the caller do something; none where it would.
pub(crate) fn would_allow(
    app: &App,
    caller: &Caller,
    plugins: &PluginSet,
    action: &str,
    target: Target,
) -> Result<Option<String>> {
    let decided = plugins.decide(Asked {
        principal: &caller.principal,
        action,
        target: &target,
        context: &context(app, caller),
    })?;
    let why = || decided.reason.unwrap_or_else(|| format!("`{action}` is not allowed"));
    Ok((!decided.allowed).then(why))
}

/// The target that a release is, or a version of one.
pub(crate) fn release_target(name: &str, version: Option<u32>) -> Target {
    Target {
        kind: "release".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        version: version.map(|it| it.to_string()),
        labels: Vec::new(),
    }
}

/// What the before-hooks are asked.
struct Put<'a> {
    action: &'a str,
    dry_run: bool,
    object: Value,
    previous: Option<Value>,
}

impl Permit {
    /// What the audit record of a change under this permit says.
    pub fn audit(&self) -> Audit {
        audit(&self.caller, self.action, &self.target, self.policy_digest.clone())
    }

    /// The same of one part of what was allowed.
    pub fn audit_of(&self, part: &Target) -> Audit {
        audit(&self.caller, self.action, part, self.policy_digest.clone())
    }

    /// Leaves an audit record of why what was allowed was not done after all.
    pub async fn note(&self, app: &App, why: &str) {
        if let Err(error) = app.store.refused(self.audit(), why.to_owned()).await {
            tracing::error!(%error, "the audit record of a refusal could not be kept");
        }
    }

    /// Whether any before-hook is to be asked: without one, no object need be made for
    /// [`Permit::reviewed`].
    pub fn is_reviewed(&self) -> bool {
        self.caller.plugins.has_before_hooks(self.action, &self.target)
    }

    /// Puts a thing to the before-hooks of the action, as `object`, and gives it as
    /// they leave it. `previous` is what is stored now, if anything. A no is
    /// [`Error::Refused`], and leaves an audit record.
    ///
    /// `read` makes the thing of a changed object, or says why it cannot be what was
    /// asked about: the fault of the hook that changed it last.
    pub async fn reviewed<T>(
        &self,
        app: &App,
        thing: T,
        object: Value,
        previous: Option<Value>,
        read: impl FnOnce(Value, &T) -> Result<T, String>,
    ) -> Result<T> {
        let question = self.question(self.action, object, previous);
        self.put_to_hooks(app, thing, question, read).await
    }

    /// The same for something that is only planned: the hooks of `action` are asked what
    /// they would say if it were done, and know that it is not.
    pub async fn tried<T>(
        &self,
        app: &App,
        action: &str,
        thing: T,
        object: Value,
        previous: Option<Value>,
        read: impl FnOnce(Value, &T) -> Result<T, String>,
    ) -> Result<T> {
        let question = Put { dry_run: true, ..self.question(action, object, previous) };
        self.put_to_hooks(app, thing, question, read).await
    }

    fn question<'a>(&self, action: &'a str, object: Value, previous: Option<Value>) -> Put<'a> {
        Put { action, dry_run: false, object, previous }
    }

    async fn put_to_hooks<T>(
        &self,
        app: &App,
        thing: T,
        asked: Put<'_>,
        read: impl FnOnce(Value, &T) -> Result<T, String>,
    ) -> Result<T> {
        if !self.caller.plugins.has_before_hooks(asked.action, &self.target) {
            return Ok(thing);
        }
        let reviewed = self.review(app, &asked).await?;
        for warning in &reviewed.warnings {
            tracing::warn!(action = asked.action, resource = resource(&self.target), "{warning}");
        }
        self.caller.warnings.add(reviewed.warnings);
        match reviewed.changed_by {
            Some(plugin) if reviewed.object != asked.object => {
                let amended = read(reviewed.object, &thing).map_err(|why| Error::Plugin {
                    plugin,
                    message: format!("what it made of the object cannot be: {why}"),
                    source: None,
                });
                self.note_refusal(app, &amended).await;
                amended
            }
            _ => Ok(thing),
        }
    }

    async fn review(&self, app: &App, asked: &Put<'_>) -> Result<Reviewed> {
        let request = &self.caller.request;
        let operation = Operation {
            id: request.id.clone(),
            action: asked.action.to_owned(),
            target: self.target.clone(),
            actor: self.caller.principal.clone(),
            request: Some(request.clone()),
            dry_run: asked.dry_run,
            object: asked.object.to_string(),
            previous: asked.previous.as_ref().map(ToString::to_string),
        };
        let reviewed = self.caller.plugins.review(operation).await;
        if let Ok(reviewed) = &reviewed {
            note_passed(app, || self.audit(), &reviewed.passed).await;
        }
        self.note_refusal(app, &reviewed).await;
        reviewed
    }

    /// Leaves an audit record where a hook, or a hook's failure, ended the request.
    async fn note_refusal<T>(&self, app: &App, result: &Result<T>) {
        let Err(refusal @ (Error::Refused { .. } | Error::Plugin { .. })) = result else { return };
        self.note(app, &refusal.to_string()).await;
    }
}

/// Leaves an audit record of each failure that a fail mode of `open` let pass.
async fn note_passed(app: &App, audit: impl Fn() -> Audit, passed: &[String]) {
    for why in passed {
        if let Err(error) = app.store.passed_open(audit(), why.clone()).await {
            tracing::error!(%error, "the audit record of a passed failure could not be kept");
        }
    }
}

fn audit(caller: &Caller, action: &str, target: &Target, policy_digest: String) -> Audit {
    Audit {
        actor: caller.principal.id.clone(),
        token: caller.token.clone(),
        action: action.to_owned(),
        resource: cut(resource(target)),
        policy_digest,
        request_id: cut(caller.request.id.clone()),
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(AUDITED_BYTES_MAX));
    text
}

/// `kind/namespace/name/version`, as far as there is something to say, and the labels
/// behind it: `tag/acme/web/1.0?tag=live`.
fn resource(target: &Target) -> String {
    let version = target.version.as_deref().unwrap_or_default();
    let whole = format!("{}/{}/{}/{version}", target.kind, target.namespace, target.name);
    let mut whole = whole.trim_end_matches('/').to_owned();
    for (at, label) in target.labels.iter().enumerate() {
        let sign = if at == 0 { '?' } else { '&' };
        whole.push_str(&format!("{sign}{}={}", label.key, label.value));
    }
    whole
}

fn context<'a>(app: &App, caller: &'a Caller) -> Vec<Fact<'a>> {
    let listen = if address::is_loopback(app.config.listen.ip()) { "loopback" } else { "network" };
    let remote = caller.request.remote.as_deref();
    let facts = [
        ("listen", Some(listen)),
        ("accounts", Some(if app.login.is_some() { "single" } else { "none" })),
        ("method", Some(caller.request.method.as_str())),
        ("remote", remote),
    ];
    facts.into_iter().filter_map(|(key, value)| Some(Fact { key, value: value? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_ends_with_its_last_known_part() {
        let mut target = Target {
            kind: "namespace".into(),
            namespace: "acme".into(),
            name: String::new(),
            version: None,
            labels: Vec::new(),
        };
        assert_eq!(resource(&target), "namespace/acme");
        target.kind = "release".into();
        target.namespace = String::new();
        target.name = "web".into();
        assert_eq!(resource(&target), "release//web");
        target.version = Some("2".into());
        assert_eq!(resource(&target), "release//web/2");
        let label = |key: &str| Label { key: key.into(), value: "x y".into() };
        target.labels = vec![label("tag"), label("other")];
        assert_eq!(resource(&target), "release//web/2?tag=x y&other=x y");
    }

    #[test]
    fn what_is_audited_is_cut_at_a_character() {
        assert_eq!(cut("short".into()), "short");
        let long = format!("a{}", "ä".repeat(1 << 20));
        assert_eq!(cut(long).len(), AUDITED_BYTES_MAX - 1);
    }
}
