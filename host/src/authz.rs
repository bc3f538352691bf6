//! May this caller do this? Asked by each handler before it does anything.
//!
//! An operation takes a [`Permit`], and only [`authorize`] makes one for a
//! request, so the compiler checks that the policy was asked. The engine's own
//! background work has [`Permit::system`].

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{
    app::App,
    capabilities::address,
    error::{Error, Result},
    plugins::{PluginSet, policy::Question, validating_hook::Operation},
    store::Audit,
};

pub use crate::plugins::types::{Label, Principal, PrincipalKind, RequestInfo, Target};

/// Who is calling and what came with the call. Made once a request.
#[derive(Clone)]
pub struct Caller {
    /// Who, as the API layer found out.
    pub principal: Principal,
    /// The digest or id of the token that was used; empty without one.
    pub token: String,
    /// The request itself.
    pub request: RequestInfo,
    /// The plugins in force when the request began; it keeps them to its end.
    pub plugins: Arc<PluginSet>,
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
    let question = Question {
        principal: caller.principal.clone(),
        action: action.to_owned(),
        target,
        context: context(app, caller),
    };
    let decided = caller.plugins.authorize(&question);
    if let Ok(decided) = &decided {
        let audit = || audit(caller, action, &question.target, decided.digest.clone());
        note_passed(app, audit, &decided.passed).await;
    }
    let (why, digest, error) = match decided {
        Ok(decided) if decided.allowed => {
            return Ok(Permit {
                caller: caller.clone(),
                action,
                target: question.target,
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
    let audit = audit(caller, action, &question.target, digest);
    if let Err(error) = app.store.refused(audit, why).await {
        tracing::error!(%error, action, "the audit record of a refusal could not be kept");
    }
    Err(error)
}

impl Permit {
    /// The permit of the server's own background work, which no caller asked for:
    /// it goes on with what was allowed before.
    pub fn system(app: &App, action: &'static str, target: Target) -> Permit {
        let received_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let caller = Caller {
            principal: Principal {
                id: "system:engine".to_owned(),
                kind: PrincipalKind::Service,
                groups: Vec::new(),
                roles: Vec::new(),
                claims: Vec::new(),
            },
            token: String::new(),
            request: RequestInfo {
                id: String::new(),
                trace_parent: None,
                remote: None,
                method: String::new(),
                path: String::new(),
                received_at: received_at.as_millis() as u64,
            },
            plugins: app.plugins.set(),
        };
        Permit {
            caller: Arc::new(caller),
            action,
            target,
            policy_digest: String::new(),
            at: SystemTime::now(),
            _only_authorize_makes_one: (),
        }
    }

    /// What the audit record of a change under this permit says.
    pub fn audit(&self) -> Audit {
        audit(&self.caller, self.action, &self.target, self.policy_digest.clone())
    }

    /// Puts the object to the before-hooks of the action: the object as they leave
    /// it, and their warnings. `previous` is what is stored now, if anything. A no
    /// is [`Error::Refused`], and leaves an audit record.
    pub async fn review(
        &self,
        app: &App,
        object: Value,
        previous: Option<Value>,
    ) -> Result<(Value, Vec<String>)> {
        let plugins = &self.caller.plugins;
        if !plugins.has_before_hooks(self.action) {
            return Ok((object, Vec::new()));
        }
        let request = &self.caller.request;
        let from_request = !request.id.is_empty();
        let operation = Operation {
            id: match from_request {
                true => request.id.clone(),
                false => uuid::Uuid::new_v4().to_string(),
            },
            action: self.action.to_owned(),
            target: self.target.clone(),
            actor: self.caller.principal.clone(),
            request: from_request.then(|| request.clone()),
            dry_run: false,
            object: object.to_string(),
            previous: previous.map(|it| it.to_string()),
        };
        match plugins.review(operation).await {
            Ok(reviewed) => {
                note_passed(app, || self.audit(), &reviewed.passed).await;
                Ok((reviewed.object, reviewed.warnings))
            }
            Err(refusal) => {
                if matches!(refusal, Error::Refused { .. } | Error::Plugin { .. })
                    && let Err(error) = app.store.refused(self.audit(), refusal.to_string()).await
                {
                    tracing::error!(%error, "the audit record of a refusal could not be kept");
                }
                Err(refusal)
            }
        }
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
        resource: resource(target),
        policy_digest,
        request_id: caller.request.id.clone(),
    }
}

/// `kind/namespace/name/version`, as far as there is something to say.
fn resource(target: &Target) -> String {
    let version = target.version.as_deref().unwrap_or_default();
    let whole = format!("{}/{}/{}/{version}", target.kind, target.namespace, target.name);
    whole.trim_end_matches('/').to_owned()
}

fn context(app: &App, caller: &Caller) -> Vec<Label> {
    let label = |key: &str, value: &str| Label { key: key.to_owned(), value: value.to_owned() };
    let listen = if address::is_loopback(app.config.listen.ip()) { "loopback" } else { "network" };
    let mut labels = vec![
        label("listen", listen),
        // There is no way to log in yet.
        label("accounts", "none"),
        label("method", &caller.request.method),
    ];
    labels.extend(caller.request.remote.as_deref().map(|it| label("remote", it)));
    labels
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
    }
}
