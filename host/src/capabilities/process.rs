//! Processes that the host runs for deployers.

use serde::{Deserialize, Serialize};

use crate::plugins::types::{ProcessError, ProcessOutput, ProcessSpec, ProcessState};

/// Which processes a binding may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Programs by name or absolute path; `{artifact}` allows placed artifacts.
    pub programs: Vec<String>,
    /// Variables of the host's environment that may be passed on: regular expressions.
    pub inherit_env: Vec<String>,
    /// Folders that working folders may be made in, besides the host's own.
    pub workdir_roots: Vec<std::path::PathBuf>,
    /// Processes at once; 0 means 256.
    pub count_max: u32,
}

/// The supervisor.
pub struct Processes {}

impl Processes {
    /// Starts a process, or finds it running.
    pub async fn start(
        &self,
        _binding: &str,
        _grant: &Grant,
        _name: &str,
        _spec: ProcessSpec,
    ) -> Result<ProcessState, ProcessError> {
        todo!("the capabilities helper fills this in")
    }

    /// Looks at a process.
    pub async fn status(&self, _binding: &str, _name: &str) -> Result<ProcessState, ProcessError> {
        todo!("the capabilities helper fills this in")
    }

    /// Ends a process group.
    pub async fn stop(
        &self,
        _binding: &str,
        _name: &str,
        _grace_ms: u32,
    ) -> Result<ProcessState, ProcessError> {
        todo!("the capabilities helper fills this in")
    }

    /// Forgets a process that does not run.
    pub async fn forget(&self, _binding: &str, _name: &str) -> Result<(), ProcessError> {
        todo!("the capabilities helper fills this in")
    }

    /// Reads the end of an output.
    pub async fn tail(
        &self,
        _binding: &str,
        _name: &str,
        _output: ProcessOutput,
        _max_bytes: u32,
    ) -> Result<String, ProcessError> {
        todo!("the capabilities helper fills this in")
    }

    /// The loopback ports of a binding's processes.
    pub fn ports(&self, _binding: &str) -> Vec<u16> {
        todo!("the capabilities helper fills this in")
    }
}
