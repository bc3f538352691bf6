//! May this caller do this? Asked by each handler before it does anything.
//!
//! An operation takes a [`Permit`], and only [`authorize`] makes one for a
//! request, so the compiler checks that the policy was asked.

use std::{sync::Arc, time::SystemTime};

use crate::{app::App, error::Result, plugins::PluginSet};

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

/// Puts the question to the policies in force.
pub async fn authorize(
    _app: &App,
    _caller: &Arc<Caller>,
    _action: &'static str,
    _target: Target,
) -> Result<Permit> {
    todo!("the runtime helper fills this in")
}
