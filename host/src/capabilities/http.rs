//! Outbound HTTP, checked and pinned.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secrets::Secrets;
use crate::plugins::types::{HttpError, HttpRequest, HttpResponse};

/// Which origins a binding may reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// `scheme://host[:port][/path-prefix]`, each. A host may be `*.example.org`.
    pub origins: Vec<String>,
    /// Methods; empty means GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Private, loopback or link-local networks that may be reached, as CIDR.
    pub private: Vec<String>,
    /// Loopback ports of the processes that this binding runs itself.
    pub own_processes: bool,
    /// The largest answer, in bytes; 0 means 1 MiB.
    pub response_bytes_max: u32,
}

/// The client.
pub struct Http {}

impl Http {
    /// Sends a request that the grant covers.
    pub async fn send(
        &self,
        _grant: &Grant,
        _own_ports: &[u16],
        _secrets: &Secrets,
        _request: HttpRequest,
        _left: Duration,
    ) -> Result<HttpResponse, HttpError> {
        todo!("the capabilities helper fills this in")
    }
}
