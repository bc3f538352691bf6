//! A disk that fails: an error is the answer, never a lie, and it passes.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64},
};

use super::*;

/// Memory that fails from a call on, once or until it is told to stop.
#[derive(Debug, Default)]
struct Failing {
    below: Memory,
    calls: AtomicU64,
    from: AtomicU64,
    until: AtomicU64,
    reads_work: AtomicBool,
}

impl Failing {
    fn from_call(from: u64, until: u64) -> Arc<Failing> {
        let it = Failing::default();
        it.below.write(0, &new_database()).unwrap();
        it.from.store(from, Ordering::SeqCst);
        it.until.store(until, Ordering::SeqCst);
        Arc::new(it)
    }

    fn mend(&self) {
        self.until.store(0, Ordering::SeqCst);
    }

    fn call(&self, is_read: bool) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let failing = (self.from.load(Ordering::SeqCst)..self.until.load(Ordering::SeqCst))
            .contains(&call)
            && !(is_read && self.reads_work.load(Ordering::SeqCst));
        if failing { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

impl Medium for Failing {
    fn len(&self) -> io::Result<u64> {
        self.call(true)?;
        self.below.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.call(true)?;
        self.below.read(offset, out)
    }

    // What was written before the failure may be there or not: half of it is.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Err(error) = self.call(false) {
            self.below.write(offset, &data[..data.len() / 2])?;
            return Err(error);
        }
        self.below.write(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(false)?;
        self.below.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.call(false)
    }
}

async fn put(store: &Store, number: u32) -> Result<()> {
    let work = move |change: &mut dyn Change| {
        keep(change, THINGS, &number.to_be_bytes(), &Thing(number));
        change.put(THINGS, b"filler", vec![number as u8; 5000]);
        Ok(())
    };
    store.write(by("ana"), work).await
}

/// Writes until it works again, and says whether it ever did not.
async fn put_at_last(store: &Store, number: u32) -> u32 {
    let mut failures = 0;
    while let Err(error) = put(store, number).await {
        assert!(matches!(error, Error::Store { .. }), "{error}");
        failures += 1;
        assert!(failures < 10_000, "the store never worked again");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    failures
}

async fn start(medium: &Arc<Failing>) -> Result<Store> {
    let options = Options { cache_bytes: 1 << 16, ..Options::default() };
    Store::start(medium.clone(), options, None).await
}

/// Reads until it works: the failure may be met here, or the store be opened again.
async fn read_at_last<T, F: Future<Output = Result<T>>>(read: impl Fn() -> F) -> T {
    let mut failures = 0;
    loop {
        match read().await {
            Ok(found) => return found,
            Err(error) => assert!(matches!(error, Error::Store { .. }), "{error}"),
        }
        failures += 1;
        assert!(failures < 10_000, "the store was never read again");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn check_all(store: &Store, acknowledged: &[u32]) {
    for number in acknowledged.iter().copied() {
        let found = || store.read(move |view| find::<Thing>(view, THINGS, &number.to_be_bytes()));
        assert_eq!(read_at_last(found).await, Some(Thing(number)));
    }
    let records = read_at_last(|| store.verify_audit()).await;
    assert!(records >= acknowledged.len() as u64);
}

#[tokio::test]
async fn an_error_at_any_call_is_an_error_answer_and_nothing_acknowledged_is_lost() {
    const WRITES: u32 = 12;
    let clean = Failing::from_call(0, 0);
    let store = start(&clean).await.unwrap();
    for number in 0..WRITES {
        put(&store, number).await.unwrap();
    }
    store.close().await.unwrap();
    let calls = clean.calls.load(Ordering::SeqCst);
    assert!(calls > 100, "{calls}");

    let mut failed = 0;
    for fail_at in 0..calls {
        let medium = Failing::from_call(fail_at, fail_at + 1);
        let store = match start(&medium).await {
            Ok(it) => it,
            // The first try to open met the failure: the second does not.
            Err(_) => start(&medium).await.unwrap(),
        };
        let mut acknowledged = Vec::new();
        for number in 0..WRITES {
            if put(&store, number).await.is_ok() {
                acknowledged.push(number);
            } else {
                failed += 1;
                // While the store is being opened again.
                check_all(&store, &acknowledged).await;
            }
        }
        failed += put_at_last(&store, WRITES).await;
        acknowledged.push(WRITES);
        assert!(store.ready());
        check_all(&store, &acknowledged).await;
        drop(store.close().await);

        let store = start(&medium).await.unwrap();
        check_all(&store, &acknowledged).await;
    }
    assert!(failed > 0, "the failures were met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_while_the_store_is_opened_again_finds_what_there_is_or_an_error() {
    const WRITES: u32 = 12;
    for fail_at in 20..160 {
        let medium = Failing::from_call(fail_at, fail_at + 1);
        let store = match start(&medium).await {
            Ok(it) => it,
            Err(_) => start(&medium).await.unwrap(),
        };
        let acknowledged = Arc::new(AtomicU64::new(0));
        let reader = {
            let (store, acknowledged) = (store.clone(), acknowledged.clone());
            tokio::spawn(async move {
                while acknowledged.load(Ordering::SeqCst) <= u64::from(WRITES) {
                    let known = acknowledged.load(Ordering::SeqCst) as u32;
                    for number in 0..known {
                        let key = number.to_be_bytes();
                        let found = store.read(move |view| find::<Thing>(view, THINGS, &key));
                        let found = found.await;
                        assert!(
                            found.as_ref().is_ok_and(|it| *it == Some(Thing(number)))
                                || matches!(found, Err(Error::Store { .. })),
                            "{number} of {known}, failed at {fail_at}: {found:?}"
                        );
                    }
                    tokio::task::yield_now().await;
                }
            })
        };
        for number in 0..=WRITES {
            put_at_last(&store, number).await;
            acknowledged.store(u64::from(number) + 1, Ordering::SeqCst);
        }
        reader.await.unwrap();
        drop(store.close().await);
    }
}

#[tokio::test]
async fn while_the_disk_takes_no_writes_reads_go_on_and_then_writes_do() {
    let medium = Failing::from_call(0, 0);
    medium.reads_work.store(true, Ordering::SeqCst);
    // Much more than the cache holds, so that reads must go to the disk.
    let store = start(&medium).await.unwrap();
    let many = |change: &mut dyn Change| {
        for number in 0..200u32 {
            change.put(THINGS, &number.to_be_bytes(), vec![number as u8; 4000]);
        }
        Ok(())
    };
    store.write(by("ana"), many).await.unwrap();

    medium.until.store(u64::MAX, Ordering::SeqCst);
    assert!(put(&store, 1000).await.is_err());
    assert!(put(&store, 1001).await.is_err());
    assert!(!store.ready());
    let read = || {
        store.read(|view| {
            let take = Take { reverse: false, limit: 1000 };
            Ok(view.range(THINGS, &0u32.to_be_bytes(), &200u32.to_be_bytes(), take)?.len())
        })
    };
    // Between the failure and the opening behind glass there is a moment of errors.
    let mut tries = 0;
    while read().await.is_err() {
        tries += 1;
        assert!(tries < 500, "reads do not go on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(read().await.unwrap(), 200);
    assert!(put(&store, 1002).await.is_err());

    medium.mend();
    put_at_last(&store, 1003).await;
    assert!(store.ready());
    assert_eq!(read().await.unwrap(), 200);
    check_all(&store, &[1003]).await;
}

#[tokio::test]
async fn a_failure_that_only_a_reader_met_passes_too() {
    let medium = Failing::from_call(0, 0);
    let store = start(&medium).await.unwrap();
    let many = |change: &mut dyn Change| {
        for number in 0..200u32 {
            change.put(THINGS, &number.to_be_bytes(), vec![number as u8; 4000]);
        }
        Ok(())
    };
    store.write_unaudited(many).await.unwrap();
    let read = || {
        store.read(|view| {
            Ok(view.range(THINGS, b"", b"", Take { reverse: false, limit: 1000 })?.len())
        })
    };
    assert_eq!(read().await.unwrap(), 200);

    let now = medium.calls.load(Ordering::SeqCst);
    medium.from.store(now, Ordering::SeqCst);
    medium.until.store(now + 1, Ordering::SeqCst);
    assert!(read().await.is_err());
    let mut tries = 0;
    while read().await.is_err() {
        tries += 1;
        assert!(tries < 500, "reads never worked again");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    put_at_last(&store, 1).await;
}
