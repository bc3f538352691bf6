//! The host's side of one running guest: what it has used and what it has left.
//!
//! A guest is made for one call and thrown away after it, whatever came of it.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use wasmtime::{
    AsContext, AsContextMut, ResourceLimiter, Store, StoreContext, StoreContextMut, UpdateDeadline,
};

use super::{
    bound::Bound,
    engine::TICK,
    limits::{HOST_CALLS_MAX, Limit, TABLE_ELEMENTS_MAX},
};

// An inline guest's first slice is charged by the wall, so that the many calls
// that end within it never read the clock of the thread.
const FIRST_SLICE_TICKS: u64 = 2;
// A hosted guest lets others run after so many ticks.
const SLICE_TICKS: u64 = 2;
const SLICE_CHARGE_MAX: Duration = Duration::from_millis(4);

/// The store of one guest. Where usage is counted, it says at its end what the guest
/// has used.
pub(super) struct Life(Store<Guest>);

/// What the store of a guest holds.
pub(super) struct Guest {
    /// The binding that it serves.
    pub(super) bound: Arc<Bound>,
    clock: Clock,
    /// When the call must be over, for what waits on its behalf.
    pub(super) ends_at: Instant,
    memory_bytes: usize,
    table_elements: usize,
    host_calls: u32,
    pub(super) log_bytes: usize,
    pub(super) log_lines: u32,
    pub(super) log_dropped: u32,
}

enum Clock {
    /// Inline: the thread's own computing time, so that a thread that was not
    /// scheduled does not cost its guest the budget.
    Thread { budget: Duration, since: Option<Duration> },
    /// Hosted: the slices between host calls and yields.
    Slices(Arc<Slices>),
}

/// Guest time of a hosted call: the sum of its slices.
pub(super) struct Slices {
    began: Instant,
    budget: Duration,
    spent_ns: AtomicU64,
    slice_from_ns: AtomicU64,
}

impl Slices {
    pub(super) fn new(budget: Duration) -> Arc<Slices> {
        Arc::new(Slices {
            began: Instant::now(),
            budget,
            spent_ns: AtomicU64::new(0),
            slice_from_ns: AtomicU64::new(0),
        })
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Charges the slice that ends now. A guest never runs on for long past its
    /// slice: what took longer was a machine that was busy with others.
    pub(super) fn pause(&self) {
        let now = self.now_ns();
        let from = self.slice_from_ns.swap(now, Ordering::Relaxed);
        let slice = now.saturating_sub(from).min(SLICE_CHARGE_MAX.as_nanos() as u64);
        self.spent_ns.fetch_add(slice, Ordering::Relaxed);
    }

    /// Begins a slice: what passed since the pause was not the guest's.
    pub(super) fn resume(&self) {
        self.slice_from_ns.store(self.now_ns(), Ordering::Relaxed);
    }

    /// What the guest has used.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent_ns.load(Ordering::Relaxed))
    }
}

impl Guest {
    /// The store for a call that runs inline, on this thread.
    pub(super) fn inline(bound: &Arc<Bound>, budget: Duration, now: Instant) -> Life {
        let clock = Clock::Thread { budget, since: None };
        // It waits for nothing, so it ends for whoever would wait when it begins.
        Guest::store(bound, clock, now, FIRST_SLICE_TICKS)
    }

    /// The store for a call that may wait.
    pub(super) fn hosted(bound: &Arc<Bound>, slices: Arc<Slices>, wall: Duration) -> Life {
        Guest::store(bound, Clock::Slices(slices), Instant::now() + wall, SLICE_TICKS)
    }

    fn store(bound: &Arc<Bound>, clock: Clock, ends_at: Instant, ticks: u64) -> Life {
        let guest = Guest {
            bound: bound.clone(),
            clock,
            ends_at,
            memory_bytes: 0,
            table_elements: 0,
            host_calls: 0,
            log_bytes: 0,
            log_lines: 0,
            log_dropped: 0,
        };
        let mut store = Store::new(&bound.machine.engine, guest);
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(bound.limits.transfer_bytes);
        store.set_epoch_deadline(ticks);
        store.epoch_deadline_callback(|mut store| store.data_mut().clock.ticked());
        if bound.machine.usage.is_some() {
            store.set_fuel(u64::MAX).expect("the engine counts fuel");
        }
        Life(store)
    }

    /// Gives the guest of a kept store a budget for its next call.
    pub(super) fn again(store: &mut Store<Guest>) {
        store.set_epoch_deadline(FIRST_SLICE_TICKS);
        let guest = store.data_mut();
        guest.host_calls = 0;
        if let Clock::Thread { since, .. } = &mut guest.clock {
            *since = None;
        }
    }

    /// Counts a call of the host.
    pub(super) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > HOST_CALLS_MAX {
            return Err(Limit::HostCalls.into());
        }
        Ok(())
    }

    /// Stops charging the guest, for as long as the host works for it.
    pub(super) fn pause(&self) {
        if let Clock::Slices(slices) = &self.clock {
            slices.pause();
        }
    }

    /// Charges the guest again.
    pub(super) fn resume(&self) {
        if let Clock::Slices(slices) = &self.clock {
            slices.resume();
        }
    }

    /// What the call has left by the clock on the wall.
    pub(super) fn left(&self) -> Duration {
        self.ends_at.saturating_duration_since(Instant::now())
    }
}

impl Deref for Life {
    type Target = Store<Guest>;

    fn deref(&self) -> &Store<Guest> {
        &self.0
    }
}

impl DerefMut for Life {
    fn deref_mut(&mut self) -> &mut Store<Guest> {
        &mut self.0
    }
}

impl AsContext for Life {
    type Data = Guest;

    fn as_context(&self) -> StoreContext<'_, Guest> {
        self.0.as_context()
    }
}

impl AsContextMut for Life {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Guest> {
        self.0.as_context_mut()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let guest = self.0.data();
        if let Some(usage) = &guest.bound.machine.usage {
            let left = self.0.get_fuel().unwrap_or(u64::MAX);
            usage.ended(u64::MAX - left, guest.memory_bytes);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.log_dropped > 0 {
            self.bound.meter.log_dropped(self.log_dropped);
        }
    }
}

impl Clock {
    fn ticked(&mut self) -> wasmtime::Result<UpdateDeadline> {
        match self {
            Clock::Thread { budget, since } => {
                let now = thread_time();
                let first = TICK * FIRST_SLICE_TICKS as u32;
                let spent = first + now.saturating_sub(*since.get_or_insert(now));
                if spent >= *budget {
                    return Err(Limit::Guest(*budget).into());
                }
                let left = budget.saturating_sub(spent).div_duration_f64(TICK).ceil();
                Ok(UpdateDeadline::Continue(left as u64))
            }
            Clock::Slices(slices) => {
                slices.pause();
                if slices.spent() >= slices.budget {
                    return Err(Limit::Guest(slices.budget).into());
                }
                // Wasmtime's own yield wakes itself at the front of the queue and
                // starves the timers; tokio's goes to the back.
                let slices = slices.clone();
                let others = async move {
                    tokio::task::yield_now().await;
                    slices.resume();
                };
                Ok(UpdateDeadline::YieldCustom(SLICE_TICKS, Box::pin(others)))
            }
        }
    }
}

/// The computing time of this thread.
fn thread_time() -> Duration {
    let it = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(it.tv_sec as u64, it.tv_nsec as u32)
}

// wasmtime's own limiter counts each memory for itself: two small ones would pass
// a limit that one large one does not.
impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.bound.limits.memory_bytes {
            return Err(Limit::Memory(self.bound.limits.memory_bytes).into());
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS_MAX {
            return Err(Limit::Table.into());
        }
        self.table_elements = total;
        Ok(true)
    }
}
