//! The types of `wit/` that the rest of the host speaks.

pub use super::bindings::chandlery::{
    host::{
        artifacts::{ArtifactError, Info as ArtifactInfo},
        http::{HttpError, Request as HttpRequest, Response as HttpResponse},
        log::Level as LogLevel,
        process::{
            Output as ProcessOutput, Phase as ProcessPhase, Piece as ProcessPiece, Port,
            PortRequest, ProcessError, Spec as ProcessSpec, StartAt as ProcessStart,
            State as ProcessState,
        },
        secrets::SecretError,
    },
    types::types::{
        Diagnostic, Label, PluginError, Principal, PrincipalKind, RequestInfo, Severity, Target,
    },
};
