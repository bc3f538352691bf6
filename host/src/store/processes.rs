//! Processes that the host runs: what they are, and which they became.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::view::{self, Change, Record, Table, Take, View};
use crate::{
    clock::now_ms,
    error::Result,
    plugins::types::{Port, ProcessOutput, ProcessPhase, ProcessState},
};

/// (binding, name) → [`Process`].
const PROCESSES: Table = Table("processes");

/// More than all grants together allow.
const ALL: Take = Take { reverse: false, limit: 1_000_000 };

/// A process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Whose it is.
    pub binding: String,
    /// Its name there.
    pub name: String,
    /// Different for every start; the process carries it in its environment.
    pub mark: String,
    /// The digest of what it was started from. The spec itself is not kept: its
    /// environment may hold secrets.
    pub spec_sha256: String,
    /// Whether the working folder goes with the record.
    pub delete_workdir: bool,
    /// Where it is in its life.
    pub phase: ProcessPhase,
    /// The pid that it got, which means nothing without the two that follow.
    pub pid: Option<u32>,
    /// The kernel's start time of that pid.
    pub started_ticks: Option<u64>,
    /// The start of the machine that the ticks count from.
    pub boot: String,
    /// The exit code, where it was seen.
    pub exit_code: Option<i32>,
    /// Why it failed or ended.
    pub message: Option<String>,
    /// Since when it is in this phase.
    pub since_ms: u64,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Its working folder.
    pub workdir: PathBuf,
    /// Whether it was asked to end.
    pub stopping: bool,
}

impl Record for Process {
    const WHAT: &'static str = "process";
}

impl Process {
    /// Whether it runs, or is about to.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, ProcessPhase::Starting | ProcessPhase::Running)
    }

    /// Enters a phase, now.
    pub fn settle(&mut self, phase: ProcessPhase, message: Option<String>) {
        self.phase = phase;
        self.message = message;
        self.since_ms = now_ms();
    }

    /// The file that takes an output.
    pub fn output(&self, output: ProcessOutput) -> PathBuf {
        self.workdir.join(match output {
            ProcessOutput::Stdout => "stdout.log",
            ProcessOutput::Stderr => "stderr.log",
        })
    }

    /// What a guest sees of it.
    pub fn state(&self) -> ProcessState {
        let shown = |path: PathBuf| path.display().to_string();
        ProcessState {
            phase: self.phase,
            pid: self.pid.filter(|_| self.is_live()),
            exit_code: self.exit_code,
            message: self.message.clone(),
            since: self.since_ms,
            ports: self.ports.clone(),
            workdir: shown(self.workdir.clone()),
            stdout: shown(self.output(ProcessOutput::Stdout)),
            stderr: shown(self.output(ProcessOutput::Stderr)),
        }
    }
}

/// Keeps a process.
pub fn keep(change: &mut dyn Change, process: &Process) {
    view::keep(change, PROCESSES, &view::key(&[&process.binding, &process.name]), process);
}

/// Drops a process.
pub fn delete(change: &mut dyn Change, binding: &str, name: &str) {
    change.delete(PROCESSES, &view::key(&[binding, name]));
}

/// All processes.
pub fn all(view: &dyn View) -> Result<Vec<Process>> {
    view.range(PROCESSES, b"", b"", ALL)?.iter().map(|(_, value)| view::decode(value)).collect()
}
