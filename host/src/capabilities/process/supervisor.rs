//! The supervisor: which processes there are, and what becomes of each.
//!
//! Starting, stopping and forgetting a process take turns; only its watcher goes on
//! beside them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    process::Child,
    sync::{Mutex as Turn, watch},
    time::{Instant, sleep, timeout},
};

use super::{Grant, Key, blocking, folder, launch, os, outputs, ports::Reservations};
use crate::{
    blobs::Blobs,
    clock::now_ms,
    error::{Error, Result},
    plugins::types::{ProcessError, ProcessOutput, ProcessPhase, ProcessSpec, ProcessState},
    store::{
        Store,
        processes::{self, Process},
    },
};

/// How long a process is watched before a start is called one: a program that
/// cannot run at all says so within it.
const WATCHED_AT_START: Duration = Duration::from_millis(150);
const POLL: Duration = Duration::from_millis(200);
/// Even a killed process may hang in the kernel; nobody waits for that for ever.
const KILL_MAX: Duration = Duration::from_secs(10);
/// Records of ended processes that nobody forgot, for each one that may run.
const RECORDS_PER_PROCESS: usize = 8;

const OUTPUTS: [ProcessOutput; 2] = [ProcessOutput::Stdout, ProcessOutput::Stderr];

/// All that are known, and what it takes to run them.
pub(super) struct Supervisor {
    store: Store,
    blobs: Blobs,
    pub(super) root: PathBuf,
    output_bytes_max: u64,
    pub(super) entries: Mutex<BTreeMap<Key, Arc<Entry>>>,
    reservations: Mutex<Reservations>,
}

/// One named process. Starting, stopping and forgetting take turns; the watcher
/// only ever writes that it ended.
pub(super) struct Entry {
    key: Key,
    turn: Arc<Turn<()>>,
    /// Whether a start has been let in that its record does not show yet.
    starting: AtomicBool,
    writing: Turn<()>,
    pub(super) record: watch::Sender<Option<Process>>,
}

impl Supervisor {
    /// Finds the processes that an earlier server left running.
    pub(super) async fn open(
        store: Store,
        blobs: Blobs,
        root: PathBuf,
        output_bytes_max: u64,
    ) -> Result<Arc<Supervisor>> {
        let root = folder::prepare_root(root).await?;
        let supervisor = Arc::new(Supervisor {
            store,
            blobs,
            root,
            output_bytes_max,
            entries: Mutex::default(),
            reservations: Mutex::default(),
        });
        supervisor.recover().await?;
        outputs::spawn(&supervisor, output_bytes_max);
        Ok(supervisor)
    }

    /// The files that take the outputs of what runs.
    pub(super) fn outputs(&self) -> Vec<PathBuf> {
        let entries = lock(&self.entries);
        let live = entries.values().filter_map(|it| it.record().filter(Process::is_live));
        live.flat_map(|it| OUTPUTS.map(|output| it.output(output))).collect()
    }

    pub(super) async fn start(
        self: &Arc<Self>,
        key: Key,
        grant: &Grant,
        spec: ProcessSpec,
    ) -> Result<ProcessState, ProcessError> {
        // The turn that was checked is the one that is kept: between two of them
        // somebody could forget the entry.
        let (entry, _turn) = loop {
            let entry = self.find_or_add(&key, grant)?;
            let turn = entry.turn.clone().lock_owned().await;
            if self.find(&key).is_some_and(|it| Arc::ptr_eq(&it, &entry)) {
                break (entry, turn);
            }
        };
        let started = self.start_in_turn(&entry, grant, spec).await;
        if entry.record.borrow().is_none() {
            lock(&self.entries).remove(&key);
        }
        started
    }

    async fn start_in_turn(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        grant: &Grant,
        spec: ProcessSpec,
    ) -> Result<ProcessState, ProcessError> {
        let previous = entry.record();
        let spec_sha256 = digest(&spec);
        if let Some(running) = previous.as_ref().filter(|it| it.is_live()) {
            return match running.spec_sha256 == spec_sha256 {
                true => entry.state().ok_or(ProcessError::NotFound),
                false => Err(ProcessError::Conflict),
            };
        }
        let _place = self.take_place(entry, grant)?;
        if let Some(previous) = &previous {
            self.end_remains(previous).await?;
        }

        let known = previous.as_ref().map(|it| it.ports.clone()).unwrap_or_default();
        let ports = self.reserve(entry.key.clone(), spec.ports.clone(), known).await?;
        let process = Process {
            binding: entry.key.0.clone(),
            name: entry.key.1.clone(),
            mark: uuid::Uuid::new_v4().to_string(),
            spec_sha256,
            delete_workdir: spec.delete_workdir,
            phase: ProcessPhase::Starting,
            pid: None,
            started_ticks: None,
            boot: os::boot_id(),
            exit_code: None,
            message: None,
            since_ms: now_ms(),
            ports,
            workdir: launch::workdir(&self.root, &entry.key, &spec),
            stopping: false,
        };
        entry.record.send_replace(Some(process.clone()));
        if let Err(error) = self.write(&process).await {
            self.release_ports(&entry.key, previous.as_ref());
            entry.record.send_replace(previous);
            return Err(failed(error));
        }

        match launch::launch(&self.root, &self.blobs, grant, &process, &spec).await {
            Ok(child) => self.watch_child(entry, &process.mark, child).await,
            Err(why) => {
                self.change(entry, |it| it.settle(ProcessPhase::Failed, Some(why))).await?;
            }
        }
        entry.state().ok_or(ProcessError::NotFound)
    }

    /// Writes down what was started and waits a moment whether it stays.
    async fn watch_child(self: &Arc<Self>, entry: &Arc<Entry>, mark: &str, child: Child) {
        let pid = child.id();
        let started_ticks = pid.and_then(os::stat).map(|it| it.started_ticks);
        let kept = self
            .change(entry, |it| {
                it.pid = pid;
                it.started_ticks = started_ticks;
                it.settle(ProcessPhase::Running, None);
            })
            .await;
        if let Err(error) = kept {
            // The mark still finds it after a restart.
            tracing::warn!(
                process = entry.key.1,
                ?error,
                "a started process could not be recorded"
            );
        }
        self.watch(entry, mark, Some(child));

        let mut record = entry.record.subscribe();
        let ended = record.wait_for(|it| it.as_ref().is_none_or(|it| !it.is_live()));
        if timeout(WATCHED_AT_START, ended).await.is_err() {
            return;
        }
        let Some(process) = entry.record() else { return };
        if process.exit_code == Some(0) || process.stopping {
            return;
        }
        let stderr = folder::tail(process.output(ProcessOutput::Stderr), 512).await;
        let stderr = stderr.unwrap_or_default();
        let why = process.message.unwrap_or_default();
        let message = match stderr.trim() {
            "" => format!("it ended at once: {why}"),
            text => format!("it ended at once: {why}; its standard error ends with: {text}"),
        };
        let failed = self.change(entry, |it| it.settle(ProcessPhase::Failed, Some(message))).await;
        if let Err(error) = failed {
            tracing::warn!(process = entry.key.1, ?error, "a failed start could not be recorded");
        }
    }

    /// Follows a process to its end: as its parent, or else by looking.
    fn watch(self: &Arc<Self>, entry: &Arc<Entry>, mark: &str, child: Option<Child>) {
        let (supervisor, entry, mark) = (self.clone(), entry.clone(), mark.to_owned());
        tokio::spawn(async move {
            let (code, why) = match child {
                Some(mut child) => os::ending(child.wait().await),
                None => {
                    while entry.record().is_some_and(|it| it.mark == mark && is_alive(&it)) {
                        sleep(POLL).await;
                    }
                    (
                        None,
                        "ended; an earlier server had started it, so its exit code is unknown"
                            .into(),
                    )
                }
            };
            let ended = supervisor
                .change(&entry, |it| {
                    if it.mark != mark || !it.is_live() {
                        return;
                    }
                    it.exit_code = code;
                    match it.stopping {
                        true => it.settle(ProcessPhase::Stopped, None),
                        false => it.settle(ProcessPhase::Exited, Some(why)),
                    }
                })
                .await;
            let limit = supervisor.output_bytes_max;
            if let Some(process) = entry.record().filter(|it| it.mark == mark) {
                let paths = OUTPUTS.map(|it| process.output(it));
                let cut = move || {
                    for path in &paths {
                        outputs::bound(path, limit);
                    }
                };
                blocking(cut).await;
            }
            if let Err(error) = ended {
                tracing::warn!(
                    process = entry.key.1,
                    ?error,
                    "an ended process could not be recorded"
                );
            }
        });
    }

    pub(super) async fn stop(
        &self,
        key: &Key,
        grace: Duration,
    ) -> Result<ProcessState, ProcessError> {
        let entry = self.find(key).ok_or(ProcessError::NotFound)?;
        let _turn = entry.turn.lock().await;
        let process = entry.record().ok_or(ProcessError::NotFound)?;
        if !process.is_live() {
            self.end_remains(&process).await?;
            return entry.state().ok_or(ProcessError::NotFound);
        }
        self.change(&entry, |it| it.stopping = true).await?;
        if is_alive(&process) {
            os::terminate_group(process.pid.unwrap_or(0));
        }
        self.wait_for_end(&process, grace).await?;

        let mut record = entry.record.subscribe();
        let ended = record.wait_for(|it| it.as_ref().is_none_or(|it| !it.is_live()));
        if timeout(KILL_MAX, ended).await.is_err() {
            self.change(&entry, |it| it.settle(ProcessPhase::Stopped, None)).await?;
        }
        entry.state().ok_or(ProcessError::NotFound)
    }

    /// Waits until neither the process nor anything that it started is left; after
    /// `grace` they are killed.
    async fn wait_for_end(&self, process: &Process, grace: Duration) -> Result<(), ProcessError> {
        let deadline = Instant::now() + grace;
        loop {
            let leader = is_alive(process);
            let left = if leader { Vec::new() } else { remains(process).await };
            if !leader && left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline + KILL_MAX {
                return Err(ProcessError::Failed("it does not end, even when killed".into()));
            }
            if Instant::now() >= deadline {
                if leader {
                    os::kill_group(process.pid.unwrap_or(0));
                }
                os::kill_all(&remains(process).await);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills what an ended process has left behind. The mark finds it even where nobody
    /// saw which pid it got.
    async fn end_remains(&self, process: &Process) -> Result<(), ProcessError> {
        self.wait_for_end(process, Duration::ZERO).await
    }

    pub(super) async fn forget(&self, key: &Key) -> Result<(), ProcessError> {
        let entry = self.find(key).ok_or(ProcessError::NotFound)?;
        let _turn = entry.turn.lock().await;
        let process = entry.record().ok_or(ProcessError::NotFound)?;
        if process.is_live() {
            return Err(ProcessError::Failed("it still runs: stop it first".into()));
        }
        self.end_remains(&process).await?;
        if process.delete_workdir {
            folder::remove(process.workdir.clone()).await.map_err(ProcessError::Failed)?;
        }
        let stored = key.clone();
        let forgotten = self.store.write_unaudited(move |change| {
            processes::delete(change, &stored.0, &stored.1);
            Ok(())
        });
        forgotten.await.map_err(failed)?;
        self.release_ports(key, None);
        entry.record.send_replace(None);
        lock(&self.entries).remove(key);
        Ok(())
    }

    /// Takes stock of what an earlier server has left.
    async fn recover(self: &Arc<Self>) -> Result<()> {
        let records = self.store.read(|view| processes::all(view)).await?;
        if records.is_empty() {
            return Ok(());
        }
        let marks = blocking(os::all_marked).await;
        for mut process in records {
            let was_live = process.is_live();
            let leader = marks.get(&process.mark).and_then(|it| os::leader(it));
            if process.phase == ProcessPhase::Starting {
                match leader {
                    Some(stat) => {
                        process.pid = Some(stat.pid);
                        process.started_ticks = Some(stat.started_ticks);
                        process.settle(ProcessPhase::Running, None);
                    }
                    None => {
                        let why = "the server ended before it was started";
                        process.settle(ProcessPhase::Failed, Some(why.into()));
                    }
                }
            } else if was_live && !is_alive(&process) {
                match process.stopping {
                    true => process.settle(ProcessPhase::Stopped, None),
                    false => {
                        let why = "ended while the server was not running";
                        process.settle(ProcessPhase::Exited, Some(why.into()));
                    }
                }
            }
            self.adopt(process, was_live).await?;
        }
        Ok(())
    }

    async fn adopt(self: &Arc<Self>, process: Process, was_live: bool) -> Result<()> {
        let key = (process.binding.clone(), process.name.clone());
        lock(&self.reservations).take(&key, &process.ports);
        if was_live {
            self.write(&process).await?;
        }
        let (mark, live) = (process.mark.clone(), process.is_live());
        let entry = Arc::new(Entry::new(key.clone(), Some(process)));
        lock(&self.entries).insert(key, entry.clone());
        if live {
            tracing::info!(process = entry.key.1, "a process of an earlier server still runs");
            self.watch(&entry, &mark, None);
        }
        Ok(())
    }

    /// The processes of a binding.
    pub(super) fn of(&self, binding: &str) -> Vec<Arc<Entry>> {
        let entries = lock(&self.entries);
        let own = entries.range((binding.to_owned(), String::new())..);
        own.take_while(|(key, _)| key.0 == binding).map(|(_, entry)| entry.clone()).collect()
    }

    pub(super) fn find(&self, key: &Key) -> Option<Arc<Entry>> {
        lock(&self.entries).get(key).cloned()
    }

    fn find_or_add(&self, key: &Key, grant: &Grant) -> Result<Arc<Entry>, ProcessError> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(key) {
            return Ok(entry.clone());
        }
        let records = entries.keys().filter(|it| it.0 == key.0).count();
        if records >= grant.count_max() * RECORDS_PER_PROCESS {
            return Err(ProcessError::Quota);
        }
        let entry = Arc::new(Entry::new(key.clone(), None));
        entries.insert(key.clone(), entry.clone());
        Ok(entry)
    }

    /// A place among the processes that the grant allows. Counted and taken under one
    /// lock: of many starts at once no more are let in than there are places.
    fn take_place(&self, entry: &Arc<Entry>, grant: &Grant) -> Result<Place, ProcessError> {
        let entries = lock(&self.entries);
        let own = entries.values().filter(|it| it.key.0 == entry.key.0);
        if own.filter(|it| it.counts()).count() >= grant.count_max() {
            return Err(ProcessError::Quota);
        }
        entry.starting.store(true, Ordering::Release);
        Ok(Place(entry.clone()))
    }

    async fn reserve(
        self: &Arc<Self>,
        key: Key,
        requests: Vec<crate::plugins::types::PortRequest>,
        known: Vec<crate::plugins::types::Port>,
    ) -> Result<Vec<crate::plugins::types::Port>, ProcessError> {
        let supervisor = self.clone();
        blocking(move || lock(&supervisor.reservations).reserve(&key, &requests, &known))
            .await
            .map_err(ProcessError::Failed)
    }

    fn release_ports(&self, key: &Key, keep: Option<&Process>) {
        let kept = keep.map(|it| it.ports.as_slice()).unwrap_or_default();
        lock(&self.reservations).take(key, kept);
    }

    /// Changes a record, in memory and then on the disk.
    async fn change(
        &self,
        entry: &Entry,
        how: impl FnOnce(&mut Process),
    ) -> Result<(), ProcessError> {
        let _writing = entry.writing.lock().await;
        let mut how = Some(how);
        entry.record.send_modify(|it| {
            if let (Some(process), Some(how)) = (it.as_mut(), how.take()) {
                how(process);
            }
        });
        match entry.record() {
            Some(process) => self.write(&process).await.map_err(failed),
            None => Ok(()),
        }
    }

    pub(super) async fn write(&self, process: &Process) -> Result<()> {
        let process = process.clone();
        let kept = self.store.write_unaudited(move |change| {
            processes::keep(change, &process);
            Ok(())
        });
        kept.await
    }
}

impl Entry {
    fn new(key: Key, record: Option<Process>) -> Entry {
        let record = watch::Sender::new(record);
        Entry {
            key,
            turn: Arc::default(),
            starting: AtomicBool::new(false),
            writing: Turn::new(()),
            record,
        }
    }

    /// Whether it counts as one that runs.
    fn counts(&self) -> bool {
        self.starting.load(Ordering::Acquire)
            || self.record.borrow().as_ref().is_some_and(Process::is_live)
    }

    pub(super) fn record(&self) -> Option<Process> {
        self.record.borrow().clone()
    }

    pub(super) fn state(&self) -> Option<ProcessState> {
        self.record.borrow().as_ref().map(Process::state)
    }
}

/// A start that has been let in, until its record says what became of it.
struct Place(Arc<Entry>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.starting.store(false, Ordering::Release);
    }
}

fn is_alive(process: &Process) -> bool {
    let (Some(pid), Some(started_ticks)) = (process.pid, process.started_ticks) else {
        return false;
    };
    process.boot == os::boot_id() && os::is_alive(pid, started_ticks)
}

/// What a process has started and has not ended: by its mark, and by its group, since a
/// program may drop the mark from its environment.
async fn remains(process: &Process) -> Vec<u32> {
    let process = process.clone();
    let find = move || {
        let mut found = os::all_marked().remove(&process.mark).unwrap_or_default();
        if let (Some(pid), Some(started_ticks)) = (process.pid, process.started_ticks)
            && process.boot == os::boot_id()
        {
            found.extend(os::group(pid, started_ticks));
        }
        found
    };
    blocking(find).await
}

fn failed(error: Error) -> ProcessError {
    ProcessError::Failed(error.to_string())
}

fn digest(spec: &ProcessSpec) -> String {
    hex::encode(Sha256::digest(serde_json::to_vec(spec).expect("a spec is plain data")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
