//! What a guest can call: counted, charged to the host, and passed on to the
//! capability with the binding's grant. Checks against a grant are made there,
//! not here.

use wasmtime::component::{HasSelf, Linker};

use super::{
    bindings::chandlery::{
        host::{artifacts, clock, http, log, metrics, process, random, secrets},
        types::types,
    },
    guest::Guest,
    limits::{LOG_BYTES_MAX, LOG_LINES_MAX, Limit},
    load::Component,
    types::Label,
};
use crate::clock::now_ms;

const RANDOM_BYTES_MAX: u32 = 64 << 10;

/// Links exactly what the component imports. [`Component::check`] has refused
/// whatever was not granted before this.
pub(super) fn link(linker: &mut Linker<Guest>, component: &Component) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    log::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    metrics::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    let wanted = |interface| component.imports_host(interface);
    if wanted("http") {
        http::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if wanted("secrets") {
        secrets::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if wanted("clock") {
        clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if wanted("random") {
        random::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if wanted("artifacts") {
        artifacts::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if wanted("process") {
        process::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    Ok(())
}

impl types::Host for Guest {}

impl log::Host for Guest {
    fn enabled(&mut self, level: log::Level) -> wasmtime::Result<bool> {
        self.host_call()?;
        if self.bound.services.faked.is_some() {
            // As in a server that was not told otherwise.
            return Ok(!matches!(level, log::Level::Trace | log::Level::Debug));
        }
        Ok(match level {
            log::Level::Trace => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
            log::Level::Debug => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
            log::Level::Info => tracing::enabled!(target: "plugin", tracing::Level::INFO),
            log::Level::Warn => tracing::enabled!(target: "plugin", tracing::Level::WARN),
            log::Level::Error => tracing::enabled!(target: "plugin", tracing::Level::ERROR),
        })
    }

    fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<Label>,
    ) -> wasmtime::Result<()> {
        self.host_call()?;
        let bytes = fields.iter().map(|it| it.key.len() + it.value.len()).sum::<usize>();
        self.log_bytes = self.log_bytes.saturating_add(message.len() + bytes);
        self.log_lines += 1;
        if self.log_bytes > LOG_BYTES_MAX || self.log_lines > LOG_LINES_MAX {
            self.log_dropped += 1;
            return Ok(());
        }
        if let Some(faked) = &self.bound.services.faked {
            faked.log(level, &message, &fields);
        }
        let plugin = self.bound.name.as_str();
        let fields = Fields(&fields);
        match level {
            log::Level::Trace => {
                tracing::trace!(target: "plugin", plugin, %fields, "{message}");
            }
            log::Level::Debug => {
                tracing::debug!(target: "plugin", plugin, %fields, "{message}");
            }
            log::Level::Info => tracing::info!(target: "plugin", plugin, %fields, "{message}"),
            log::Level::Warn => tracing::warn!(target: "plugin", plugin, %fields, "{message}"),
            log::Level::Error => tracing::error!(target: "plugin", plugin, %fields, "{message}"),
        }
        Ok(())
    }
}

/// A guest's fields, `key="value"` each. Their names are the guest's, so they
/// cannot be fields of ours.
struct Fields<'a>(&'a [Label]);

impl std::fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, label) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}={:?}", label.key, label.value)?;
        }
        Ok(())
    }
}

impl metrics::Host for Guest {
    fn count(&mut self, name: String, by: u64, labels: Vec<Label>) -> wasmtime::Result<()> {
        self.host_call()?;
        self.bound.custom.count(&name, by, &labels);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64, labels: Vec<Label>) -> wasmtime::Result<()> {
        self.host_call()?;
        self.bound.custom.observe(&name, value, &labels);
        Ok(())
    }
}

impl clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        Ok(self.bound.services.faked.as_ref().map_or_else(now_ms, |it| it.now_ms()))
    }

    fn monotonic_ns(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        if let Some(faked) = &self.bound.services.faked {
            return Ok(faked.monotonic_ns());
        }
        Ok(self.bound.machine.started.elapsed().as_nanos() as u64)
    }
}

impl random::Host for Guest {
    fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.host_call()?;
        if len > RANDOM_BYTES_MAX {
            return Err(Limit::Random(len).into());
        }
        let mut bytes = vec![0; len as usize];
        if let Some(faked) = &self.bound.services.faked {
            faked.random(&mut bytes);
            return Ok(bytes);
        }
        getrandom::fill(&mut bytes)
            .map_err(|it| wasmtime::Error::msg(format!("no randomness: {it}")))?;
        Ok(bytes)
    }
}

impl secrets::Host for Guest {
    fn reveal(&mut self, name: String) -> wasmtime::Result<Result<Vec<u8>, secrets::SecretError>> {
        self.host_call()?;
        Ok(self.bound.secrets.reveal(&name))
    }
}

impl http::Host for Guest {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> wasmtime::Result<Result<http::Response, http::HttpError>> {
        self.host_call()?;
        let Some(grant) = &self.bound.grants.http else {
            return Ok(Err(http::HttpError::Denied("`grants.http` is not set".into())));
        };
        let bound = &self.bound;
        let own_ports = if grant.own_processes {
            bound.services.processes.ports(&bound.name)
        } else {
            Vec::new()
        };
        self.pause();
        let http = &bound.services.http;
        let answer = http.send(grant, &own_ports, &bound.secrets, request, self.left()).await;
        self.resume();
        Ok(answer)
    }
}

impl artifacts::Host for Guest {
    async fn stat(
        &mut self,
        uri: String,
    ) -> wasmtime::Result<Result<artifacts::Info, artifacts::ArtifactError>> {
        self.host_call()?;
        let Some(grant) = &self.bound.grants.artifacts else {
            return Ok(Err(artifacts::ArtifactError::Denied));
        };
        self.pause();
        let answer = self.bound.services.artifacts.stat(grant, &uri).await;
        self.resume();
        Ok(answer)
    }

    async fn read(
        &mut self,
        uri: String,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, artifacts::ArtifactError>> {
        self.host_call()?;
        let Some(grant) = &self.bound.grants.artifacts else {
            return Ok(Err(artifacts::ArtifactError::Denied));
        };
        // No more than could be handed over: the answer is fewer bytes, as at the
        // end of the artifact.
        let len = len.min(self.bound.limits.transfer_bytes as u32);
        self.pause();
        let answer = self.bound.services.artifacts.read(grant, &uri, offset, len).await;
        self.resume();
        Ok(answer)
    }
}

impl Guest {
    fn process_grant(&self) -> Result<&crate::capabilities::process::Grant, process::ProcessError> {
        let denied = || process::ProcessError::Denied("`grants.process` is not set".into());
        self.bound.grants.process.as_ref().ok_or_else(denied)
    }
}

impl process::Host for Guest {
    async fn start(
        &mut self,
        name: String,
        spec: process::Spec,
    ) -> wasmtime::Result<Result<process::State, process::ProcessError>> {
        self.host_call()?;
        let grant = match self.process_grant() {
            Ok(grant) => grant,
            Err(denied) => return Ok(Err(denied)),
        };
        self.pause();
        let processes = &self.bound.services.processes;
        let answer = processes.start(&self.bound.name, grant, &name, spec).await;
        self.resume();
        Ok(answer)
    }

    async fn status(
        &mut self,
        names: Vec<String>,
    ) -> wasmtime::Result<Vec<Result<process::State, process::ProcessError>>> {
        self.host_call()?;
        if let Err(denied) = self.process_grant() {
            return Ok(names.iter().map(|_| Err(denied.clone())).collect());
        }
        self.pause();
        let mut answers = Vec::with_capacity(names.len());
        for name in &names {
            answers.push(self.bound.services.processes.status(&self.bound.name, name).await);
        }
        self.resume();
        Ok(answers)
    }

    async fn stop(
        &mut self,
        name: String,
        grace_ms: u32,
    ) -> wasmtime::Result<Result<process::State, process::ProcessError>> {
        self.host_call()?;
        if let Err(denied) = self.process_grant() {
            return Ok(Err(denied));
        }
        self.pause();
        let processes = &self.bound.services.processes;
        let answer = processes.stop(&self.bound.name, &name, grace_ms).await;
        self.resume();
        Ok(answer)
    }

    async fn forget(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<(), process::ProcessError>> {
        self.host_call()?;
        if let Err(denied) = self.process_grant() {
            return Ok(Err(denied));
        }
        self.pause();
        let answer = self.bound.services.processes.forget(&self.bound.name, &name).await;
        self.resume();
        Ok(answer)
    }

    async fn tail(
        &mut self,
        name: String,
        output: process::Output,
        max_bytes: u32,
    ) -> wasmtime::Result<Result<String, process::ProcessError>> {
        self.host_call()?;
        if let Err(denied) = self.process_grant() {
            return Ok(Err(denied));
        }
        let max_bytes = max_bytes.min(self.bound.limits.transfer_bytes as u32);
        self.pause();
        let processes = &self.bound.services.processes;
        let answer = processes.tail(&self.bound.name, &name, output, max_bytes).await;
        self.resume();
        Ok(answer)
    }

    async fn read_lines(
        &mut self,
        name: String,
        output: process::Output,
        start: process::StartAt,
        max_bytes: u32,
        unfinished: bool,
    ) -> wasmtime::Result<Result<process::Piece, process::ProcessError>> {
        self.host_call()?;
        if let Err(denied) = self.process_grant() {
            return Ok(Err(denied));
        }
        let max_bytes = max_bytes.min(self.bound.limits.transfer_bytes as u32);
        self.pause();
        let (binding, processes) = (&self.bound.name, &self.bound.services.processes);
        let answer = processes.lines(binding, &name, output, start, max_bytes, unfinished).await;
        self.resume();
        Ok(answer)
    }
}
