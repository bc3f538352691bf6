//! Power cuts: at every sync of a workload, what might be on the disk is opened.
//!
//! The disk is taken to keep what was synced, and of what was only written any
//! part, in any order, torn at its sectors.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicUsize},
    },
};

use super::*;
use crate::store::{audit, engine::Engine};

const SECTOR: usize = 512;
const CLIENTS: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

/// Told what is synced and what is only written, before the latter is synced too.
type AtSync = Box<dyn Fn(&[u8], &[Op]) + Send + Sync>;

/// Memory that knows what of it would outlive a power cut.
struct Forgetful {
    now: Memory,
    disk: Mutex<(Vec<u8>, Vec<Op>)>,
    at_sync: AtSync,
}

impl std::fmt::Debug for Forgetful {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forgetful")
    }
}

impl Forgetful {
    fn new(image: Vec<u8>, at_sync: impl Fn(&[u8], &[Op]) + Send + Sync + 'static) -> Forgetful {
        let now = Memory::default();
        now.write(0, &image).unwrap();
        Forgetful { now, disk: Mutex::new((image, Vec::new())), at_sync: Box::new(at_sync) }
    }
}

impl Medium for Forgetful {
    fn len(&self) -> io::Result<u64> {
        self.now.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.now.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.lock().unwrap().1.push(Op::Write(offset, data.to_vec()));
        self.now.write(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.lock().unwrap().1.push(Op::SetLen(len));
        self.now.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        let (disk, pending) = &mut *self.disk.lock().unwrap();
        (self.at_sync)(disk, pending);
        for op in pending.drain(..) {
            apply(disk, &op, |_| true);
        }
        Ok(())
    }
}

fn apply(image: &mut Vec<u8>, op: &Op, mut keeps: impl FnMut(usize) -> bool) {
    match op {
        Op::SetLen(len) => {
            if keeps(0) {
                image.resize(*len as usize, 0);
            }
        }
        Op::Write(offset, data) => {
            let mut done = 0;
            while done < data.len() {
                let at = *offset as usize + done;
                let length = (SECTOR - at % SECTOR).min(data.len() - done);
                if keeps(at) {
                    if image.len() < at + length {
                        image.resize(at + length, 0);
                    }
                    image[at..at + length].copy_from_slice(&data[done..done + length]);
                }
                done += length;
            }
        }
    }
}

// Small and repeatable: a failing image can be made again from its number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// The images that a power cut just now might leave.
fn images(disk: &[u8], pending: &[Op], seed: u64, random: usize) -> Vec<Vec<u8>> {
    let mut images = vec![disk.to_vec()];
    let whole = |images: &mut Vec<Vec<u8>>, until: usize| {
        let mut image = disk.to_vec();
        pending[..until].iter().for_each(|op| apply(&mut image, op, |_| true));
        images.push(image);
    };
    whole(&mut images, pending.len());
    whole(&mut images, pending.len() / 2);
    let mut dice = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..random {
        let mut image = disk.to_vec();
        pending.iter().for_each(|op| apply(&mut image, op, |_| dice.next().is_multiple_of(2)));
        images.push(image);
    }
    images
}

/// The workload's promise: each client counts up, in two rows at once.
fn check(engine: &Engine, acknowledged: &[u32], sent: &[u32], what: &str) {
    let view = engine.snapshot().unwrap();
    let mut counted = 0;
    for client in 0..CLIENTS {
        let count = |side: &str| {
            let found = find::<Thing>(&view, THINGS, &key(&[side, &client.to_string()])).unwrap();
            found.map_or(0, |it| it.0)
        };
        let (left, right) = (count("left"), count("right"));
        assert_eq!(left, right, "{what}: half of a change is visible");
        assert!(left >= acknowledged[client], "{what}: an acknowledged change is lost");
        assert!(left <= sent[client], "{what}: a change that nobody asked for");
        counted += left;
    }
    let records = audit::verify(&view).unwrap();
    assert_eq!(records, u64::from(counted), "{what}: not a record a change");
}

type Counts = Arc<[AtomicU32; CLIENTS]>;

fn read(counts: &Counts) -> Vec<u32> {
    counts.iter().map(|it| it.load(Ordering::SeqCst)).collect()
}

/// Opens an image, now and then with a power cut at each sync of that.
fn open_and_check(image: Vec<u8>, acknowledged: &[u32], sent: &[u32], what: &str, deep: bool) {
    let (acks, sents, name) = (acknowledged.to_vec(), sent.to_vec(), what.to_owned());
    let cuts = AtomicUsize::new(0);
    let at_sync = move |disk: &[u8], pending: &[Op]| {
        if deep {
            let cut = cuts.fetch_add(1, Ordering::SeqCst);
            for image in images(disk, pending, cut as u64, 2) {
                let what = format!("{name}, then cut {cut} of its recovery");
                open_and_check(image, &acks, &sents, &what, false);
            }
        }
    };
    let engine = Engine::open(Arc::new(Forgetful::new(image, at_sync)), 1 << 18)
        .unwrap_or_else(|it| panic!("{what}: {it}: {:?}", std::error::Error::source(&it)));
    check(&engine, acknowledged, sent, what);
}

async fn crash_at_every_sync(writes: u32, random: usize) -> usize {
    let counts = || -> Counts { Arc::new([const { AtomicU32::new(0) }; CLIENTS]) };
    let (acknowledged, sent) = (counts(), counts());
    let opened = Arc::new(AtomicUsize::new(0));
    let (acks, sents, number) = (acknowledged.clone(), sent.clone(), opened.clone());
    let at_sync = move |disk: &[u8], pending: &[Op]| {
        let (acks, sents) = (read(&acks), read(&sents));
        for image in images(disk, pending, number.load(Ordering::SeqCst) as u64, random) {
            let image_number = number.fetch_add(1, Ordering::SeqCst);
            let what = format!("image {image_number}");
            open_and_check(image, &acks, &sents, &what, image_number % 16 == 0);
        }
    };
    let medium = Arc::new(Forgetful::new(new_database(), at_sync));
    let store = Store::start(medium, Options::default(), None).await.unwrap();
    let clients = (0..CLIENTS).map(|client| {
        let (store, acknowledged, sent) = (store.clone(), acknowledged.clone(), sent.clone());
        tokio::spawn(async move {
            for count in 1..=writes / CLIENTS as u32 {
                sent[client].store(count, Ordering::SeqCst);
                let work = move |change: &mut dyn Change| {
                    for side in ["left", "right"] {
                        keep(change, THINGS, &key(&[side, &client.to_string()]), &Thing(count));
                    }
                    // Some bulk, so that the file grows and frees pages.
                    let filler = vec![count as u8; (count as usize * 977) % 9000];
                    change.put(THINGS, &key(&["filler", &(count % 7).to_string()]), filler);
                    Ok(())
                };
                store.write(by("ana"), work).await.unwrap();
                acknowledged[client].store(count, Ordering::SeqCst);
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    store.close().await.unwrap();
    opened.load(Ordering::SeqCst)
}

#[tokio::test]
async fn after_a_power_cut_at_any_sync_what_was_acknowledged_is_there_and_whole() {
    let times: usize =
        std::env::var("CHANDLERY_CRASH_TIMES").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    let opened = crash_at_every_sync(100 * times as u32, 2 * times).await;
    assert!(opened > 200, "only {opened} images were opened");
}
