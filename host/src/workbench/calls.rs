//! The functions of plugins that the server calls.

use serde::Deserialize;

use crate::plugins::Kind;

/// A function that a case calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Call {
    /// Of all kinds: what is said to the settings.
    CheckSettings,
    /// Of policies.
    Authorize,
    /// Of renderers.
    Render,
    /// Of renderers.
    Check,
    /// Of hooks that are asked before.
    Review,
    /// Of hooks that are told after.
    Deliver,
    /// Of deployers, and so on.
    Describe,
    /// Before anything is started.
    Validate,
    /// Starts an application.
    Deploy,
    /// Ends one.
    Undeploy,
    /// Changes the number of its instances.
    Scale,
    /// Looks at some.
    Status,
    /// Reads a log.
    Logs,
}

impl Call {
    /// The kind that has it; `None` where all have.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Call::CheckSettings => None,
            Call::Authorize => Some(Kind::Policy),
            Call::Render | Call::Check => Some(Kind::Renderer),
            Call::Review => Some(Kind::BeforeHook),
            Call::Deliver => Some(Kind::AfterHook),
            Call::Describe
            | Call::Validate
            | Call::Deploy
            | Call::Undeploy
            | Call::Scale
            | Call::Status
            | Call::Logs => Some(Kind::Deployer),
        }
    }

    /// The one that a case means which names none.
    pub(super) fn of(kind: Kind) -> Call {
        match kind {
            Kind::Policy => Call::Authorize,
            Kind::Renderer => Call::Render,
            Kind::Deployer => Call::Deploy,
            Kind::BeforeHook => Call::Review,
            Kind::AfterHook => Call::Deliver,
        }
    }
}
