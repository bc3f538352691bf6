//! A medium that is written to in order.
//!
//! redb writes its pages one by one, as its cache has them: in no order. What comes in
//! order, neighbours together, costs the kernel a fraction.

use std::{
    collections::BTreeMap,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use super::medium::Medium;

/// Holds back what is written until it is to be durable.
#[derive(Debug)]
pub(super) struct Gathered {
    below: Arc<dyn Medium>,
    held: Mutex<Held>,
    // Whether anything is held: readers need not ask for the lock where nothing is.
    holds: AtomicBool,
}

// Pieces that do not overlap, by where they begin.
#[derive(Debug, Default)]
struct Held {
    pieces: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

/// What is held back at the most.
const HELD_BYTES: usize = 8 << 20;

/// What is written at once at the most, but for what came larger.
const WRITTEN_BYTES: usize = 1 << 20;

impl Gathered {
    pub(super) fn over(below: Arc<dyn Medium>) -> Gathered {
        Gathered { below, held: Mutex::default(), holds: AtomicBool::new(false) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("nothing panics under this lock")
    }

    // Nothing is held any more then, whether it could be written or not.
    fn let_go(&self, held: &mut Held) -> io::Result<()> {
        let Held { pieces, .. } = mem::take(held);
        let mut pieces = pieces.into_iter().peekable();
        let written = (|| {
            while let Some((at, mut data)) = pieces.next() {
                while let Some((_, next)) = pieces.next_if(|(next_at, next)| {
                    *next_at == at + data.len() as u64 && data.len() + next.len() <= WRITTEN_BYTES
                }) {
                    data.extend(next);
                }
                self.below.write(at, &data)?;
            }
            Ok(())
        })();
        self.holds.store(false, Ordering::Release);
        written
    }
}

impl Held {
    /// The piece that overlaps with these bytes, if any does.
    fn overlapping(&self, offset: u64, length: usize) -> Option<(u64, &Vec<u8>)> {
        let (at, piece) = self.pieces.range(..offset + length as u64).next_back()?;
        (at + piece.len() as u64 > offset).then_some((*at, piece))
    }
}

impl Medium for Gathered {
    fn len(&self) -> io::Result<u64> {
        self.let_go(&mut self.held())?;
        self.below.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.holds.load(Ordering::Acquire) {
            let mut held = self.held();
            if let Some((at, piece)) = held.overlapping(offset, out.len()) {
                let inside = offset.checked_sub(at).and_then(|from| {
                    let from = usize::try_from(from).ok()?;
                    piece.get(from..from + out.len())
                });
                if let Some(inside) = inside {
                    out.copy_from_slice(inside);
                    return Ok(());
                }
                self.let_go(&mut held)?;
            }
        }
        self.below.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut held = self.held();
        let is_the_same = |(at, piece): (u64, &Vec<u8>)| (at, piece.len()) == (offset, data.len());
        match held.overlapping(offset, data.len()).map(is_the_same) {
            None => held.bytes += data.len(),
            Some(true) => (),
            Some(false) => {
                self.let_go(&mut held)?;
                held.bytes += data.len();
            }
        }
        held.pieces.insert(offset, data.to_vec());
        self.holds.store(true, Ordering::Release);
        if held.bytes >= HELD_BYTES { self.let_go(&mut held) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.let_go(&mut self.held())?;
        self.below.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.let_go(&mut self.held())?;
        self.below.sync()
    }

    fn forget_cached(&self) {
        self.below.forget_cached();
    }
}
