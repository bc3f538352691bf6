//! The one thread that writes: takes what is queued, decides, applies, commits once.
//!
//! While a commit waits for the disk the queue fills, and what is in it is the next
//! batch: many clients share a commit, a single one waits for nobody. Answers go
//! out after the commit and never before. When a commit fails, every operation of
//! its batch gets the error, and the thread opens the database again by itself;
//! until that works, writes are answered with an error at once and what has been
//! read into memory can still be read.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use metrics::{counter, gauge, histogram};
use tokio::sync::{oneshot, watch};

use super::{
    Options,
    audit::{self, Audit, Head, Outcome},
    batch::Batch,
    engine::{Engine, Snapshot},
    format,
    lock::Lock,
    medium::{Glass, Medium},
    view::Change,
};
use crate::error::{Error, Result, Source};

/// How long between two tries to open a database that failed.
const RETRY: Duration = Duration::from_millis(100);

/// How often a disk that stays broken is worth a line in the log.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// How long readers of a failed database may take to finish once it works again.
const READERS_FINISH: Duration = Duration::from_millis(250);

/// What the writer is asked.
pub(super) enum Message {
    /// Run this.
    Run(Box<dyn Job>),
    /// A reader saw the disk fail.
    Look,
    /// Finish what came before this, close, and say so.
    Close(oneshot::Sender<Result<()>>),
}

/// An operation in the queue.
pub(super) trait Job: Send {
    /// Does it, and says whether it succeeded.
    fn run(&mut self, batch: &mut Batch<'_>, head: &mut Head) -> bool;

    /// Sends the answer; with a failure, that instead.
    fn answer(self: Box<Self>, failure: Option<Error>);

    /// When it was queued.
    fn since(&self) -> Instant;
}

/// What the writer and the readers share.
#[derive(Default)]
pub(super) struct Shared {
    /// The last committed state; none before the store is open and after it is closed.
    pub(super) current: ArcSwapOption<Snapshot>,
    /// Whether writes work.
    pub(super) writable: AtomicBool,
    /// Whether a [`Message::Look`] is in the queue.
    pub(super) told_to_look: AtomicBool,
    /// Counts commits, for those who wait for one.
    pub(super) commits: watch::Sender<u64>,
}

/// The audit record that an operation leaves when it succeeds.
pub(super) enum Trail {
    /// None.
    None,
    /// That it was done, with the digests of what it changed.
    Done(Audit),
    /// Something else.
    Told(Audit, Outcome),
    /// That one thing was done, and another begun.
    Both {
        /// What was done.
        done: Audit,
        /// What was begun.
        begun: Audit,
    },
}

impl Trail {
    fn leave(&self, batch: &mut Batch<'_>, head: &mut Head) -> Result<()> {
        match self {
            Trail::None => {}
            Trail::Done(audit) => {
                let outcome = batch.digests()?.into();
                audit::append(batch, head, audit, outcome);
            }
            Trail::Told(audit, outcome) => audit::append(batch, head, audit, outcome.clone()),
            Trail::Both { done, begun } => {
                let outcome = batch.digests()?.into();
                audit::append(batch, head, done, outcome);
                audit::append(batch, head, begun, Outcome::Begun);
            }
        }
        Ok(())
    }
}

/// A queued write: the work, and who waits for it.
pub(super) struct Write<T, F> {
    trail: Trail,
    work: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    since: Instant,
}

impl<T, F> Write<T, F> {
    pub(super) fn new(trail: Trail, work: F) -> (Box<Self>, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = oneshot::channel();
        let write = Write { trail, work: Some(work), outcome: None, reply, since: Instant::now() };
        (Box::new(write), answer)
    }
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&mut dyn Change) -> Result<T> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>, head: &mut Head) -> bool {
        let Some(work) = self.work.take() else { return false };
        let outcome = work(batch).and_then(|it| {
            self.trail.leave(batch, head)?;
            Ok(it)
        });
        let succeeded = outcome.is_ok();
        self.outcome = Some(outcome);
        succeeded
    }

    fn answer(self: Box<Self>, failure: Option<Error>) {
        let answer = match (failure, self.outcome) {
            (Some(failure), _) => Err(failure),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(Error::Internal("an operation of the store panicked".into())),
        };
        // Nobody listens any more where the client has gone: the change stands.
        drop(self.reply.send(answer));
    }

    fn since(&self) -> Instant {
        self.since
    }
}

/// The writer's own things.
struct Writer {
    medium: Arc<dyn Medium>,
    options: Options,
    shared: Arc<Shared>,
    queue: Receiver<Message>,
    open: Option<Open>,
    // While the disk takes no writes, reads go on over what it still gives.
    behind_glass: Option<Engine>,
    complained: Option<Instant>,
    // Held until the thread ends.
    _lock: Option<Lock>,
}

/// A database that works.
struct Open {
    engine: Engine,
    head: Head,
}

/// Starts the thread, and says when the database is open.
pub(super) fn start(
    medium: Arc<dyn Medium>,
    options: Options,
    lock: Option<Lock>,
    shared: Arc<Shared>,
    queue: Receiver<Message>,
) -> oneshot::Receiver<Result<()>> {
    let (opened, answer) = oneshot::channel();
    let run = move || {
        let mut writer = Writer {
            medium,
            options,
            shared,
            queue,
            open: None,
            behind_glass: None,
            complained: None,
            _lock: lock,
        };
        let first = writer.open_database();
        if first.is_err() {
            // The folder is free again when its opener hears of the failure.
            drop(writer);
            drop(opened.send(first));
            return;
        }
        drop(opened.send(first));
        writer.run();
    };
    let spawned = thread::Builder::new().name("store-writer".into()).spawn(run);
    if let Err(error) = spawned {
        // The thread's end of the channel is gone, which the opener hears.
        tracing::error!(%error, "the store's writer thread could not be started");
    }
    answer
}

impl Writer {
    fn run(mut self) {
        let mut next_try = Instant::now();
        loop {
            if self.open.as_ref().is_none_or(|it| it.engine.failed()) && next_try <= Instant::now()
            {
                self.reopen();
                next_try = Instant::now() + RETRY;
            }
            let works = self.open.as_ref().is_some_and(|it| !it.engine.failed());
            let first = if works {
                self.queue.recv().map_err(RecvTimeoutError::from)
            } else {
                self.queue.recv_timeout(RETRY)
            };
            match first {
                Ok(Message::Run(job)) => {
                    if let Some(close) = self.run_batch(job) {
                        return self.close(Some(close));
                    }
                }
                Ok(Message::Look) => self.shared.told_to_look.store(false, Ordering::Release),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Close(reply)) => return self.close(Some(reply)),
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            }
        }
    }

    /// Runs `first` and what is queued behind it, and commits it all at once.
    fn run_batch(&mut self, first: Box<dyn Job>) -> Option<oneshot::Sender<Result<()>>> {
        let Some(open) = self.open.as_mut().filter(|it| !it.engine.failed()) else {
            first.answer(Some(unwritable()));
            return None;
        };
        let Some(base) = self.shared.current.load_full() else {
            first.answer(Some(unwritable()));
            return None;
        };
        let mut batch = Batch::over(&base);
        let mut head = open.head.clone();
        let mut jobs = Vec::new();
        let mut close = None;
        let mut next = Some(first);
        // Found once a batch: before the first, nobody may be listening yet.
        let waits = histogram!("chandlery_store_queue_wait_seconds");
        while let Some(mut job) = next.take() {
            waits.record(job.since().elapsed());
            run_job(job.as_mut(), &mut batch, &mut head);
            jobs.push(job);
            if jobs.len() >= self.options.batch_max || batch.size_bytes() >= BATCH_BYTES {
                break;
            }
            match self.queue.try_recv() {
                Ok(Message::Run(job)) => next = Some(job),
                Ok(Message::Close(reply)) => close = Some(reply),
                Ok(Message::Look) => self.shared.told_to_look.store(false, Ordering::Release),
                Err(_) => {}
            }
        }
        histogram!("chandlery_store_batch_size").record(jobs.len() as f64);
        let failure = if batch.is_empty() { None } else { commit(open, &batch, head).err() };
        drop(batch);
        match &failure {
            None => publish(&self.shared, open),
            Some(error) => {
                counter!("chandlery_store_failures_total").increment(1);
                self.shared.writable.store(false, Ordering::Release);
                log("the store failed to commit and will be opened again", error);
            }
        }
        for job in jobs {
            job.answer(failure.as_ref().map(|_| commit_failed()));
        }
        close
    }

    /// Opens the database, checks that it is ours to open, and publishes its state.
    fn open_database(&mut self) -> Result<()> {
        let open = || -> Result<(Open, Snapshot)> {
            let engine = Engine::open(self.medium.clone(), self.options.cache_bytes)?;
            let snapshot = engine.snapshot()?;
            let mut batch = Batch::over(&snapshot);
            format::admit(&mut batch)?;
            batch.accept();
            if !batch.is_empty() {
                engine.commit(&mut batch.rows())?;
            }
            let snapshot = engine.snapshot()?;
            let head = audit::head(&snapshot)?;
            Ok((Open { engine, head }, snapshot))
        };
        // A damaged file may make redb panic: that is a failure to open like any other.
        let (open, snapshot) = catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|panic| {
            let why = format!("opening it: it is damaged: {}", said(&*panic));
            Err(Error::Store { doing: why, source: None })
        })?;
        let readers = self.shared.current.swap(Some(Arc::new(snapshot)));
        self.shared.writable.store(true, Ordering::Release);
        let before = self.open.replace(open).map(|it| it.engine);
        let_readers_finish(readers, self.behind_glass.take().or(before));
        Ok(())
    }

    fn reopen(&mut self) {
        if let Some(old) = &self.open {
            old.engine.fence();
        }
        self.shared.writable.store(false, Ordering::Release);
        self.medium.forget_cached();
        match self.open_database() {
            Ok(()) => {
                counter!("chandlery_store_reopened_total").increment(1);
                self.complained = None;
                tracing::info!("the store was opened again after a failure");
            }
            Err(error) => {
                if self.complained.is_none_or(|it| it.elapsed() > COMPLAIN_EVERY) {
                    log("the store cannot be opened again yet", &error);
                    self.complained = Some(Instant::now());
                }
                self.read_behind_glass();
            }
        }
    }

    /// Lets reads go on while the disk takes no writes. Where it gives no reads
    /// either, there is what is in memory.
    fn read_behind_glass(&mut self) {
        if self.behind_glass.as_ref().is_some_and(|it| !it.failed()) {
            return;
        }
        let open = || -> Result<(Engine, Snapshot)> {
            let glass =
                Glass::over(self.medium.clone()).map_err(|it| Error::store("reading", it))?;
            let engine = Engine::open(Arc::new(glass), self.options.cache_bytes)?;
            let snapshot = engine.snapshot()?;
            Ok((engine, snapshot))
        };
        if let Ok(Ok((engine, snapshot))) = catch_unwind(AssertUnwindSafe(open)) {
            self.shared.current.store(Some(Arc::new(snapshot)));
            self.behind_glass = Some(engine);
        }
    }

    fn close(mut self, reply: Option<oneshot::Sender<Result<()>>>) {
        self.shared.writable.store(false, Ordering::Release);
        self.shared.current.store(None);
        let closed = match self.open.take() {
            Some(open) => open.engine.close(),
            None => Ok(()),
        };
        drop(self._lock.take());
        if let Some(reply) = reply {
            drop(reply.send(closed));
        }
    }
}

/// Stops a batch that has grown too large to be quick.
const BATCH_BYTES: usize = 8 << 20;

fn run_job(job: &mut dyn Job, batch: &mut Batch<'_>, head: &mut Head) {
    let before = head.clone();
    let ran = catch_unwind(AssertUnwindSafe(|| job.run(batch, head)));
    if let Ok(true) = ran {
        return batch.accept();
    }
    batch.take_back();
    *head = before;
    if let Err(panic) = ran {
        counter!("chandlery_store_panics_total").increment(1);
        tracing::error!(panic = said(&*panic), "an operation of the store panicked");
    }
}

fn commit(open: &mut Open, batch: &Batch<'_>, head: Head) -> Result<()> {
    let started = Instant::now();
    let committed = catch_unwind(AssertUnwindSafe(|| open.engine.commit(&mut batch.rows())));
    committed.unwrap_or_else(|panic| {
        open.engine.distrust();
        Err(Error::store("committing", Source::from(said(&*panic))))
    })?;
    open.head = head;
    counter!("chandlery_store_commits_total").increment(1);
    histogram!("chandlery_store_commit_seconds").record(started.elapsed());
    Ok(())
}

fn publish(shared: &Shared, open: &Open) {
    match open.engine.snapshot() {
        Ok(snapshot) => shared.current.store(Some(Arc::new(snapshot))),
        // What was committed stands, and is seen when the database is open again. Until
        // then nobody may be shown the state before it.
        Err(error) => {
            shared.current.store(None);
            open.engine.distrust();
            log("the state after a commit could not be read", &error);
        }
    }
    shared.commits.send_modify(|count| *count += 1);
    if let Some(age) = open.engine.oldest_snapshot() {
        gauge!("chandlery_store_oldest_reader_seconds").set(age);
    }
}

// A new commit may reuse pages that the old engine's readers still look at. They
// are short, so they get a moment; then they get errors.
fn let_readers_finish(readers: Option<Arc<Snapshot>>, old: Option<Engine>) {
    let patience = Instant::now() + READERS_FINISH;
    if let Some(readers) = readers {
        while Arc::strong_count(&readers) > 1 && Instant::now() < patience {
            thread::sleep(Duration::from_millis(1));
        }
    }
    drop(old);
}

fn log(what: &str, error: &Error) {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, source, "{what}");
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

fn unwritable() -> Error {
    Error::Store { doing: "waiting for the disk to work again".into(), source: None }
}

fn commit_failed() -> Error {
    let doing = "committing: whether the change was kept is not known";
    Error::Store { doing: doing.into(), source: None }
}
