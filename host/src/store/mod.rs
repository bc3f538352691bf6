//! Everything that outlives the process but bytes. The only code that knows redb.
//!
//! [`Store::write`] runs a piece of work over a small ordered key-value view
//! ([`view`](self::Change)), in one thread, many pieces a commit (`writer`); the
//! audit record of a change is in its transaction ([`audit`]). [`Store::read`]
//! runs over the last committed state and waits for nobody. Below: `engine` (redb)
//! over `medium` (the file, or memory). A noun's code is plain functions over a
//! view, one file a noun, so several can share a transaction.

pub mod audit;
mod batch;
pub mod bindings;
pub mod blob_refs;
pub mod dependencies;
mod engine;
mod format;
pub mod hooks_documents;
mod ids;
#[cfg(test)]
pub(crate) mod in_memory;
pub mod installed;
pub mod leaving;
mod lock;
mod medium;
pub mod namespaces;
pub mod operations;
pub mod outbox;
pub mod packages;
pub mod processes;
pub mod providers;
mod refusals;
pub mod releases;
pub mod resources;
pub mod search;
mod tables;
pub mod tags;
pub mod unit_releases;
pub mod units;
mod view;
mod writer;
pub mod yanks;

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

pub use audit::{Audit, Outcome};
pub use tables::inventory_tables;
pub use view::{Change, Record, Row, Table, Take, View, decode, encode, find, keep, key, prefix};

use self::{
    engine::{Engine, Snapshot},
    lock::Lock,
    medium::{Disk, Medium, Memory},
    refusals::{Refusals, Verdict},
    writer::{Job, Message, Shared, Trail, Write},
};
use crate::error::{Error, Result};

/// The store. A clone is another handle to the same one; it is closed in good
/// order when the last is dropped.
#[derive(Clone)]
pub struct Store {
    writer: SyncSender<Message>,
    shared: Arc<Shared>,
    refusals: Arc<Refusals>,
}

/// How much the store may use.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for redb's page cache.
    pub cache_bytes: usize,
    /// Writes waiting at the most; more are told to come back.
    pub queue_max: usize,
    /// Writes in one commit at the most.
    pub batch_max: usize,
}

/// A row of some table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptRow {
    /// The table's name.
    pub table: String,
    /// The row's key in it.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Options { cache_bytes: 64 << 20, queue_max: 1024, batch_max: 512 }
    }
}

// name -> a format byte and 32 random bytes.
const SERVER_KEYS: Table = Table("server_keys");

/// How long the answer to a refused request waits for its audit record.
const REFUSED_WAITS: Duration = Duration::from_millis(250);

/// How much is kept of the sentence that refused.
const WHY_BYTES_MAX: usize = 1024;

impl Store {
    /// Opens the store in the data folder, making both where there are none yet.
    pub async fn open(folder: &Path) -> Result<Store> {
        Self::open_with(folder, Options::default()).await
    }

    /// The same within other bounds.
    pub async fn open_with(folder: &Path, options: Options) -> Result<Store> {
        let folder = folder.to_owned();
        let opening = move || -> Result<(Disk, Lock)> {
            let failed = |it| Error::store(format!("opening `{}`", folder.display()), it);
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
            let lock = Lock::take(&folder)?;
            Ok((open_disk(&folder)?, lock))
        };
        let opened = tokio::task::spawn_blocking(opening).await;
        let (disk, lock) = opened.map_err(|it| Error::store("opening it", it))??;
        Self::start(Arc::new(disk), options, Some(lock)).await
    }

    /// A store that is gone with its last handle.
    pub async fn in_memory() -> Result<Store> {
        let options = Options { cache_bytes: 4 << 20, ..Options::default() };
        Self::start(Arc::new(Memory::default()), options, None).await
    }

    /// Runs `work` in the writer and answers when what it changed is durable,
    /// together with its audit record. When `work` fails nothing is kept.
    ///
    /// `work` must be quick and wait for nothing: all other writes wait for it.
    pub async fn write<T: Send + 'static>(
        &self,
        audit: Audit,
        work: impl FnOnce(&mut dyn Change) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.queue(Trail::Done(audit), work).await
    }

    /// The same for a change that is not simply done: its audit record says `outcome`.
    pub async fn write_as<T: Send + 'static>(
        &self,
        audit: Audit,
        outcome: Outcome,
        work: impl FnOnce(&mut dyn Change) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let outcome = match outcome {
            Outcome::Failed { why } => Outcome::Failed { why: shortened(why) },
            outcome => outcome,
        };
        self.queue(Trail::Told(audit, outcome), work).await
    }

    /// The same for a change that is done, and with which something else is begun.
    pub async fn write_both<T: Send + 'static>(
        &self,
        done: Audit,
        begun: Audit,
        work: impl FnOnce(&mut dyn Change) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.queue(Trail::Both { done, begun }, work).await
    }

    /// The same for bookkeeping of the server's own, which leaves no audit record.
    pub async fn write_unaudited<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Change) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.queue(Trail::None, work).await
    }

    /// Runs `work` over a consistent state. Never waits for writers, and runs right
    /// here, on the async worker: a few rows come from memory in a microsecond, and
    /// where the disk must be waited for, the worker's other tasks go first. For a
    /// walk over many rows there is [`Store::scan`].
    pub async fn read<T>(&self, work: impl FnOnce(&dyn View) -> Result<T>) -> Result<T> {
        let result = work(&*self.current()?);
        self.report(&result);
        result
    }

    /// The same on a thread of its own, for work that takes a while.
    pub async fn scan<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let current = self.current()?;
        let scanning = tokio::task::spawn_blocking(move || work(&*current));
        let result = scanning.await.unwrap_or_else(|it| Err(Error::store("reading", it)));
        self.report(&result);
        result
    }

    /// The first `limit` rows of all tables behind `after`, which is a table and a key
    /// in it: to look at everything there is.
    pub async fn rows(&self, after: Option<(&str, &[u8])>, limit: usize) -> Result<Vec<KeptRow>> {
        let from = after
            .map_or_else(Vec::new, |(table, key)| [table.as_bytes(), b"\0", key, b"\0"].concat());
        let current = self.current()?;
        let reading = move || current.between(&from, &[u8::MAX], Take { reverse: false, limit });
        let reading = tokio::task::spawn_blocking(reading).await;
        let rows = reading.unwrap_or_else(|it| Err(Error::store("reading", it)));
        self.report(&rows);
        let kept = |(place, value): Row| {
            let end = place.iter().position(|it| *it == 0).unwrap_or(place.len());
            let table = String::from_utf8_lossy(&place[..end]).into_owned();
            KeptRow { table, key: place[(end + 1).min(place.len())..].to_vec(), value }
        };
        Ok(rows?.into_iter().map(kept).collect())
    }

    /// Leaves the audit record of a request that was refused, and waits a moment until
    /// it is durable. A flood of refusals of one actor is counted instead
    /// (`refusals`). Whatever this answers, the request stays refused.
    pub async fn refused(&self, audit: Audit, why: String) -> Result<()> {
        self.told(audit, Outcome::Refused { why: shortened(why) }).await
    }

    /// The same for a request that went on although a plugin failed. Both are counted
    /// together.
    pub async fn passed_open(&self, audit: Audit, why: String) -> Result<()> {
        self.told(audit, Outcome::PassedOpen { why: shortened(why) }).await
    }

    async fn told(&self, audit: Audit, outcome: Outcome) -> Result<()> {
        let actor = audit.actor.clone();
        match self.refusals.judge(&actor, Instant::now()) {
            Verdict::Record => {}
            Verdict::CountBegun => {
                self.record_count_later(actor);
                return Ok(());
            }
            Verdict::Counted => return Ok(()),
        }
        let recording = self.queue(Trail::Told(audit, outcome), |_| Ok(()));
        match tokio::time::timeout(REFUSED_WAITS, recording).await {
            // It is queued, and no answer should wait that long for it.
            Err(_) => Ok(()),
            Ok(Err(Error::Busy { .. })) => {
                if self.refusals.count(&actor) == Verdict::CountBegun {
                    self.record_count_later(actor);
                }
                Ok(())
            }
            Ok(it) => it,
        }
    }

    /// Checks the whole audit chain, and says how many records it has.
    pub async fn verify_audit(&self) -> Result<u64> {
        self.scan(|view| audit::verify(view)).await
    }

    /// A random key of the server's own, made when it is first asked for and kept
    /// with the data.
    pub async fn server_key(&self, name: &str) -> Result<[u8; 32]> {
        let name = name.to_owned();
        self.write_unaudited(move |change| {
            if let Some(kept) = change.get(SERVER_KEYS, name.as_bytes())? {
                let key = kept.strip_prefix(&[1]).and_then(|it| it.try_into().ok());
                return key.ok_or_else(|| Error::Store {
                    doing: format!("reading the server key `{name}`: its format is unknown"),
                    source: None,
                });
            }
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|it| Error::Internal(it.to_string()))?;
            change.put(SERVER_KEYS, name.as_bytes(), [&[1], &key[..]].concat());
            Ok(key)
        })
        .await
    }

    /// Whether writes work now.
    pub fn ready(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire)
    }

    /// Changes after each commit, when what it changed can be read.
    pub fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }

    /// Finishes every write that was queued before this, and closes the store. All
    /// handles answer with an error from then on.
    pub async fn close(&self) -> Result<()> {
        for (actor, count) in self.refusals.take_counts() {
            drop(self.writer.try_send(Message::Run(counted(&actor, count))));
        }
        let (reply, closed) = tokio::sync::oneshot::channel();
        let mut message = Message::Close(reply);
        while let Err(full) = self.writer.try_send(message) {
            match full {
                TrySendError::Full(it) => message = it,
                TrySendError::Disconnected(_) => return Ok(()),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        closed.await.unwrap_or(Ok(()))
    }

    fn record_count_later(&self, actor: String) {
        let (writer, refusals) = (self.writer.clone(), self.refusals.clone());
        tokio::spawn(async move {
            tokio::time::sleep(refusals::COUNT_AFTER).await;
            let count = refusals.take_count(&actor);
            if count > 0 && writer.try_send(Message::Run(counted(&actor, count))).is_err() {
                tracing::warn!(actor, count, "a count of audit records could not be recorded");
            }
        });
    }

    async fn start(medium: Arc<dyn Medium>, options: Options, lock: Option<Lock>) -> Result<Store> {
        let shared = Arc::new(Shared::default());
        let (writer, queue) = sync_channel(options.queue_max);
        let opened = writer::start(medium, options, lock, shared.clone(), queue);
        opened.await.map_err(|it| Error::store("starting", it))??;
        Ok(Store { writer, shared, refusals: Arc::default() })
    }

    async fn queue<T: Send + 'static>(
        &self,
        trail: Trail,
        work: impl FnOnce(&mut dyn Change) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (write, answer) = Write::new(trail, work);
        self.writer.try_send(Message::Run(write)).map_err(|it| match it {
            TrySendError::Full(_) => {
                metrics::counter!("chandlery_store_queue_full_total").increment(1);
                Error::Busy { what: "changes", retry_after: Duration::from_secs(1) }
            }
            TrySendError::Disconnected(_) => closed(),
        })?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    fn current(&self) -> Result<Arc<Snapshot>> {
        self.shared.current.load_full().ok_or_else(closed)
    }

    // The writer finds its own failures; those of readers it has to be told of. Once is
    // enough: many readers' failures must not fill the queue.
    fn report<T>(&self, result: &Result<T>) {
        let told = &self.shared.told_to_look;
        if let Err(Error::Store { .. }) = result
            && !told.swap(true, Ordering::AcqRel)
            && self.writer.try_send(Message::Look).is_err()
        {
            told.store(false, Ordering::Release);
        }
    }
}

// A new database gets its name only once it is whole: one that a crash left half
// made would be refused for ever, and must not be mistaken for a damaged one.
fn open_disk(folder: &Path) -> Result<Disk> {
    let failed = |it| Error::store(format!("opening `{}`", folder.display()), it);
    let (path, new) = (folder.join("records.redb"), folder.join("records.redb.new"));
    if !path.try_exists().map_err(failed)? {
        let disk = Disk::open(&new).map_err(failed)?;
        disk.set_len(0).map_err(failed)?;
        Engine::open(Arc::new(disk), 1 << 20)?.close()?;
        std::fs::rename(&new, &path).map_err(failed)?;
    }
    Disk::open(&path).map_err(failed)
}

fn counted(actor: &str, count: u64) -> Box<dyn Job> {
    let audit = Audit { actor: actor.to_owned(), ..Audit::default() };
    let trail = Trail::Told(audit, Outcome::More { count });
    Write::new(trail, |_: &mut dyn Change| Ok(())).0
}

fn shortened(mut why: String) -> String {
    why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
    why
}

fn closed() -> Error {
    Error::Store { doing: "being closed or opened again".into(), source: None }
}

#[cfg(test)]
mod tests;
