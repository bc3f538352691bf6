//! Processes that the host runs for deployers.
//!
//! A process outlives the call that started it, and the server. Before it is
//! started its record says so, with a mark of its own that goes into its
//! environment; afterwards the record says which process it became, by pid *and*
//! start time. So whatever moment the server dies at, the next one finds it again,
//! and never takes a stranger with the same pid for it. Needs Linux's `/proc`.

mod folder;
mod launch;
mod lines;
mod os;
mod outputs;
mod ports;
mod supervisor;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::faked::Faked;
use crate::{
    blobs::Blobs,
    error::Result,
    plugins::types::{
        ProcessError, ProcessOutput, ProcessPiece, ProcessSpec, ProcessStart, ProcessState,
    },
    store::{Store, processes::Process},
};

use self::{
    lines::{From, Wanted},
    supervisor::Supervisor,
};

/// Which processes a binding may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Programs by name or absolute path; `{artifact}` allows placed artifacts.
    pub programs: Vec<String>,
    /// Variables of the host's environment that may be passed on: regular expressions.
    pub inherit_env: Vec<String>,
    /// Folders that working folders may be made in, besides the host's own.
    pub workdir_roots: Vec<PathBuf>,
    /// Processes at once; 0 means 256.
    pub count_max: u32,
}

impl Grant {
    fn count_max(&self) -> usize {
        if self.count_max == 0 { 256 } else { self.count_max as usize }
    }
}

/// How long a process may be asked to end before it is killed, at most.
const GRACE_MAX: Duration = Duration::from_secs(600);

/// The binding and the name.
type Key = (String, String);

/// The processes of all bindings.
#[derive(Clone)]
pub struct Processes {
    supervisor: Arc<Supervisor>,
    faked: Option<Arc<dyn Faked>>,
}

impl Processes {
    /// Takes stock. Working folders are made below `root`; processes that an earlier
    /// server left running are found again.
    /// An output of a process is cut where it has more than `output_bytes_max`.
    pub async fn open(
        store: Store,
        blobs: Blobs,
        root: PathBuf,
        output_bytes_max: u64,
    ) -> Result<Processes> {
        let supervisor = Supervisor::open(store, blobs, root, output_bytes_max).await?;
        Ok(Processes { supervisor, faked: None })
    }

    /// The same, but nothing is started: what is granted is, as if by the system.
    pub fn faked(self, faked: Arc<dyn Faked>) -> Processes {
        Processes { faked: Some(faked), ..self }
    }

    /// Starts a process, or finds it running.
    pub async fn start(
        &self,
        binding: &str,
        grant: &Grant,
        name: &str,
        spec: ProcessSpec,
    ) -> Result<ProcessState, ProcessError> {
        let (supervisor, key, grant) = (self.supervisor.clone(), key(binding, name), grant.clone());
        let root = supervisor.root.clone();
        let checked = blocking(move || {
            launch::check(&root, &grant, &key.1, &spec).map(|()| (key, grant, spec))
        });
        let (key, grant, spec) = checked.await?;
        if let Some(faked) = &self.faked {
            return faked.start(&key.1, &spec);
        }
        detached(async move { supervisor.start(key, &grant, spec).await }).await
    }

    /// Looks at a process.
    pub async fn status(&self, binding: &str, name: &str) -> Result<ProcessState, ProcessError> {
        if let Some(faked) = &self.faked {
            return faked.status(name);
        }
        let entry = self.supervisor.find(&key(binding, name)).ok_or(ProcessError::NotFound)?;
        entry.state().ok_or(ProcessError::NotFound)
    }

    /// Ends a process group.
    pub async fn stop(
        &self,
        binding: &str,
        name: &str,
        grace_ms: u32,
    ) -> Result<ProcessState, ProcessError> {
        if let Some(faked) = &self.faked {
            return faked.stop(name);
        }
        let (supervisor, key) = (self.supervisor.clone(), key(binding, name));
        let grace = Duration::from_millis(grace_ms.into()).min(GRACE_MAX);
        detached(async move { supervisor.stop(&key, grace).await }).await
    }

    /// Forgets a process that does not run.
    pub async fn forget(&self, binding: &str, name: &str) -> Result<(), ProcessError> {
        if let Some(faked) = &self.faked {
            return faked.forget(name);
        }
        let (supervisor, key) = (self.supervisor.clone(), key(binding, name));
        detached(async move { supervisor.forget(&key).await }).await
    }

    /// Reads the end of an output.
    pub async fn tail(
        &self,
        binding: &str,
        name: &str,
        output: ProcessOutput,
        max_bytes: u32,
    ) -> Result<String, ProcessError> {
        if let Some(faked) = &self.faked {
            return faked.tail(name, output);
        }
        let process = self.supervisor.find(&key(binding, name)).and_then(|it| it.record());
        let process = process.ok_or(ProcessError::NotFound)?;
        folder::tail(process.output(output), max_bytes).await.map_err(ProcessError::Failed)
    }

    /// Reads on in an output, whole lines at a time; the last one of a process that has
    /// ended needs no end.
    pub async fn lines(
        &self,
        binding: &str,
        name: &str,
        output: ProcessOutput,
        from: ProcessStart,
        max_bytes: u32,
        unfinished: bool,
    ) -> Result<ProcessPiece, ProcessError> {
        let process = self.supervisor.find(&key(binding, name)).and_then(|it| it.record());
        let process = process.ok_or(ProcessError::NotFound)?;
        let wanted = Wanted {
            from: match from {
                ProcessStart::Oldest => From::Oldest,
                ProcessStart::Newest => From::Newest,
                ProcessStart::Behind(place) => From::Behind(place),
            },
            bytes_max: max_bytes.into(),
            unfinished: unfinished || !process.is_live(),
        };
        folder::lines(process.output(output), wanted).await.map_err(ProcessError::Failed)
    }

    /// The loopback ports of a binding's processes.
    pub fn ports(&self, binding: &str) -> Vec<u16> {
        if let Some(faked) = &self.faked {
            return faked.ports();
        }
        let own = self.supervisor.of(binding);
        own.into_iter()
            .filter_map(|it| it.record().filter(Process::is_live))
            .flat_map(|it| it.ports.into_iter().map(|it| it.number))
            .collect()
    }
}

// A call of a guest may be cut off at any moment. What it began is brought to an
// end all the same, so that there is never a process without a record.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, ProcessError>> + Send + 'static,
) -> Result<T, ProcessError> {
    tokio::spawn(work).await.unwrap_or_else(|it| Err(ProcessError::Failed(it.to_string())))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("blocking work does not panic")
}

fn key(binding: &str, name: &str) -> Key {
    (binding.to_owned(), name.to_owned())
}
