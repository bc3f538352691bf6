//! redb: one file, one table of rows, one durable commit a batch.
//!
//! The only file that names redb's types. Our tables are prefixes of one redb
//! table's keys, so a state is opened once a commit and not once a table. Every
//! commit saves what redb needs to start again at once after a kill
//! (`quick_repair`): leaving it out of a single last commit would bring back the
//! full repair, 4 s a GiB.

use std::{
    io,
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use redb::{
    Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, StorageBackend,
    TableDefinition,
};

use super::{
    medium::Medium,
    view::{Row, Table, Take, View},
};
use crate::error::{Error, Result};

// (table, NUL, key) -> value. Both as the nouns made them.
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// The row's place in the one redb table.
pub(super) fn place(table: Table, key: &[u8]) -> Vec<u8> {
    [table.0.as_bytes(), b"\0", key].concat()
}

/// The places `(from, to)` of the rows of `table` with `from <= key < to`.
pub(super) fn places(table: Table, from: &[u8], to: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let end = if to.is_empty() { [table.0.as_bytes(), b"\x01"].concat() } else { place(table, to) };
    (place(table, from), end)
}

/// An open database.
pub(super) struct Engine {
    database: Database,
    health: Arc<Health>,
    snapshots: Mutex<Vec<(Instant, std::sync::Weak<()>)>>,
}

/// Whether an engine can still be trusted to write, and may.
#[derive(Debug, Default)]
struct Health {
    failed: AtomicBool,
    fenced: AtomicBool,
}

impl Engine {
    /// Opens the database on `medium`, making it where there is none yet, and
    /// finishing or undoing what a crash left.
    pub(super) fn open(medium: Arc<dyn Medium>, cache_bytes: usize) -> Result<Engine> {
        let health = Arc::new(Health::default());
        let backend = Backend { medium, health: health.clone() };
        let database = Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(backend)
            .map_err(opening)?;
        let engine = Engine { database, health, snapshots: Mutex::default() };
        engine.commit(&mut std::iter::empty())?;
        Ok(engine)
    }

    /// The last committed state.
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        let reading =
            || -> Result<_, redb::Error> { Ok(self.database.begin_read()?.open_table(ROWS)?) };
        let rows = reading().map_err(|it| Error::store("reading", it))?;
        let alive = Arc::new(());
        let mut snapshots = self.snapshots.lock().expect("nothing panics under this lock");
        snapshots.retain(|(_, it)| it.strong_count() > 0);
        snapshots.push((Instant::now(), Arc::downgrade(&alive)));
        Ok(Snapshot { rows, _alive: alive })
    }

    /// How long ago the oldest state that somebody still reads was taken.
    pub(super) fn oldest_snapshot(&self) -> Option<Duration> {
        let snapshots = self.snapshots.lock().expect("nothing panics under this lock");
        snapshots.iter().find(|(_, it)| it.strong_count() > 0).map(|(at, _)| at.elapsed())
    }

    /// Makes these rows durable, all or none; a row without a value is dropped.
    pub(super) fn commit<'a>(
        &self,
        rows: &mut dyn Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<()> {
        let mut committing = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_quick_repair(true);
            {
                let mut table = transaction.open_table(ROWS)?;
                for (place, value) in &mut *rows {
                    match value {
                        Some(value) => drop(table.insert(place, value)?),
                        None => drop(table.remove(place)?),
                    }
                }
            }
            transaction.commit()?;
            Ok(())
        };
        committing().map_err(|it| {
            self.distrust();
            Error::store("committing: whether the change was kept is not known", it)
        })
    }

    /// Says that something failed that the medium did not tell.
    pub(super) fn distrust(&self) {
        self.health.failed.store(true, Ordering::Release);
    }

    /// Whether something failed after which redb has to be opened again.
    pub(super) fn failed(&self) -> bool {
        self.health.failed.load(Ordering::Acquire)
    }

    /// From now on this engine writes nothing, so that another can be opened over
    /// the same medium while this one's last readers finish.
    pub(super) fn fence(&self) {
        self.health.fenced.store(true, Ordering::Release);
    }

    /// Closes the database in good order. Its snapshots then give what they have in
    /// memory, and errors for the rest; so they do when it is dropped.
    pub(super) fn close(self) -> Result<()> {
        self.database.close().map_err(|it| Error::store("closing", it))
    }
}

/// One committed state, whatever is committed after it.
pub(super) struct Snapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    _alive: Arc<()>,
}

impl Snapshot {
    /// The value at a place.
    pub(super) fn at(&self, place: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.rows.get(place).map_err(|it| Error::store("reading", it))?;
        Ok(found.map(|it| it.value().to_vec()))
    }

    /// The rows from one place to before another, with their places.
    pub(super) fn between(&self, from: &[u8], to: &[u8], take: Take) -> Result<Vec<Row>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let mut range =
            self.rows.range::<&[u8]>(bounds).map_err(|it| Error::store("reading", it))?;
        let mut rows = Vec::new();
        while rows.len() < take.limit {
            let next = if take.reverse { range.next_back() } else { range.next() };
            let Some(row) = next else { break };
            let (place, value) = row.map_err(|it| Error::store("reading", it))?;
            rows.push((place.value().to_vec(), value.value().to_vec()));
        }
        Ok(rows)
    }
}

impl View for Snapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.at(&place(table, key))
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], take: Take) -> Result<Vec<Row>> {
        let (from, to) = places(table, from, to);
        let mut rows = self.between(&from, &to, take)?;
        for (key, _) in &mut rows {
            key.drain(..=table.0.len());
        }
        Ok(rows)
    }
}

/// What redb reads and writes: our medium, behind a fence.
///
/// It offers no locks: the data folder has one of its own, taken before this.
#[derive(Debug)]
struct Backend {
    medium: Arc<dyn Medium>,
    health: Arc<Health>,
}

impl Backend {
    fn reading<T>(&self, what: impl FnOnce(&dyn Medium) -> io::Result<T>) -> io::Result<T> {
        what(&*self.medium).inspect_err(|_| self.health.failed.store(true, Ordering::Release))
    }

    fn writing<T>(&self, what: impl FnOnce(&dyn Medium) -> io::Result<T>) -> io::Result<T> {
        if self.health.fenced.load(Ordering::Acquire) {
            return Err(io::Error::other("the store is being opened again"));
        }
        what(&*self.medium).inspect_err(|_| self.health.failed.store(true, Ordering::Release))
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.reading(|it| it.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.reading(|it| it.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writing(|it| it.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writing(|it| it.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.writing(|it| it.write(offset, data))
    }
}

fn opening(error: DatabaseError) -> Error {
    if let DatabaseError::UpgradeRequired(format) = error {
        let why = format!(
            "opening it: its file has the database format {format}, which this server no longer \
             reads: open it once with the release that wrote it"
        );
        return Error::Store { doing: why, source: None };
    }
    Error::store("opening it", error)
}
