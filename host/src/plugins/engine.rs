//! The one wasmtime engine, its clock, and the lines that callers wait in.
//!
//! Guests live in a pool that is reserved at start, so making one costs
//! microseconds. Two lines stand in front of it: one for the calls that run
//! inline on the caller's thread and always come to an end, one for the calls
//! that wait for the world outside. Neither can starve the other, and a full
//! pool makes callers wait, never fail.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmparser::WasmFeatures;
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use super::limits::{COMPONENT_MEMORIES_MAX, MEMORY_BYTES_MAX};
use crate::error::{Error, Result};

/// How often a running guest is asked whether its time is up.
pub(super) const TICK: Duration = Duration::from_millis(1);

// Places in the pool, counted in memories: most guests have one.
const INLINE_PLACES: u32 = 128;
const HOSTED_PLACES: u32 = 384;
const PLACES: u32 = INLINE_PLACES + HOSTED_PLACES;
const TABLES_A_PLACE: u32 = 4;

// The ticker goes to sleep after so many ticks without a guest.
const IDLE_TICKS: u32 = 200;

/// The engine with what is shared by all calls.
pub(super) struct Machine {
    /// The engine.
    pub(super) engine: Engine,
    /// What a guest's monotonic clock counts from.
    pub(super) started: Instant,
    /// What guests use, where that is counted.
    pub(super) usage: Option<Usage>,
    ticker: Ticker,
    inline: Semaphore,
    hosted: Semaphore,
    /// Inline calls that are done again on a thread of their own: no more at once
    /// than there are processors.
    pub(super) long: Semaphore,
    /// One compiler at a time: it uses all processors by itself.
    pub(super) compiling: Arc<Semaphore>,
}

/// What guests have used, all calls together.
#[derive(Default)]
pub(super) struct Usage(Mutex<Used>);

/// What one or more calls used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Instructions, as wasmtime counts them: the same for the same input.
    pub fuel: u64,
    /// Computing time.
    pub guest: Duration,
    /// The most memory that one guest had, over all of its memories.
    pub memory_bytes: usize,
}

impl Usage {
    /// Adds a guest that has ended.
    pub(super) fn ended(&self, fuel: u64, memory_bytes: usize) {
        let mut used = self.0.lock().expect("nothing panics in here");
        used.fuel += fuel;
        used.memory_bytes = used.memory_bytes.max(memory_bytes);
    }

    /// Adds the time of a call.
    pub(super) fn ran(&self, guest: Duration) {
        self.0.lock().expect("nothing panics in here").guest += guest;
    }

    /// What was used since this was asked last.
    pub(super) fn take(&self) -> Used {
        std::mem::take(&mut *self.0.lock().expect("nothing panics in here"))
    }
}

/// A place in the pool and a running clock, for one guest.
pub(super) struct Place<'a> {
    /// Whether the pool was full. Of inline calls only.
    pub(super) has_waited: bool,
    _permit: SemaphorePermit<'a>,
    _running: Running<'a>,
}

impl Machine {
    /// Reserves the pool; where the address space is too small for it, guests are
    /// made one by one, which is slower.
    pub(super) fn start() -> Result<Machine> {
        Machine::with(config, None)
    }

    /// The same engine, counting what guests use: their instructions as fuel.
    pub(super) fn counting() -> Result<Machine> {
        let counting = |allocation| {
            let mut config = config(allocation);
            config.consume_fuel(true);
            config
        };
        Machine::with(counting, Some(Usage::default()))
    }

    fn with(
        config: impl Fn(InstanceAllocationStrategy) -> Config,
        usage: Option<Usage>,
    ) -> Result<Machine> {
        let engine = match Engine::new(&config(pool())) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "no address space for the guest pool, plugins will run slower"
                );
                Engine::new(&config(InstanceAllocationStrategy::OnDemand))
                    .map_err(|it| Error::Internal(format!("the plugin engine: {it:#}")))?
            }
        };
        let ticker = Ticker::start(engine.weak())?;
        let inline = Semaphore::new(INLINE_PLACES as usize);
        let hosted = Semaphore::new(HOSTED_PLACES as usize);
        let processors = thread::available_parallelism().map_or(1, |it| it.get());
        let long = Semaphore::new(processors.min(INLINE_PLACES as usize / 2));
        let compiling = Arc::new(Semaphore::new(1));
        let started = Instant::now();
        Ok(Machine { engine, started, usage, ticker, inline, hosted, long, compiling })
    }

    /// A place for a call that runs to its end on this thread. Holders never wait
    /// for anything, so blocking here is short.
    pub(super) fn inline_place(&self, weight: u32) -> Place<'_> {
        let (permit, has_waited) = match self.inline.try_acquire_many(weight) {
            Ok(permit) => (permit, false),
            Err(_) => {
                let waiting = futures::executor::block_on(self.inline.acquire_many(weight));
                (waiting.expect("the line is never closed"), true)
            }
        };
        Place { has_waited, _permit: permit, _running: self.ticker.running() }
    }

    /// A place for a call that may wait for the world outside.
    pub(super) async fn hosted_place(&self, weight: u32) -> Place<'_> {
        let permit = self.hosted.acquire_many(weight).await.expect("the line is never closed");
        Place { has_waited: false, _permit: permit, _running: self.ticker.running() }
    }
}

/// How many places a component takes.
pub(super) fn weight(memories: u32, tables: u32) -> u32 {
    memories.max(tables.div_ceil(TABLES_A_PLACE)).max(1)
}

fn config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(allocation)
        .memory_init_cow(true)
        .epoch_interruption(true)
        // The machinery of component-model async costs every call and serves no
        // world of ours.
        .concurrency_support(false)
        .max_wasm_stack(256 << 10)
        .async_stack_size(1 << 20)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32))
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        // Renderers must give the same text for the same input on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    // What no guest needs is so much less compiler to be attacked through.
    for feature in [
        WasmFeatures::THREADS,
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::MULTI_MEMORY,
        WasmFeatures::TAIL_CALL,
        WasmFeatures::RELAXED_SIMD,
        WasmFeatures::GC,
        WasmFeatures::EXCEPTIONS,
        WasmFeatures::FUNCTION_REFERENCES,
        WasmFeatures::STACK_SWITCHING,
        WasmFeatures::WIDE_ARITHMETIC,
        WasmFeatures::CUSTOM_PAGE_SIZES,
        WasmFeatures::LEGACY_EXCEPTIONS,
    ] {
        config.wasm_features(feature, false);
    }
    config
}

fn pool() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(PLACES)
        .total_core_instances(PLACES * 20)
        .total_memories(PLACES)
        .total_tables(PLACES * TABLES_A_PLACE)
        .total_stacks(HOSTED_PLACES)
        .max_memories_per_component(COMPONENT_MEMORIES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        // Slots are reset by copying the pages that were touched, which the
        // kernel names, instead of handing pages back and faulting them in again.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// A thread that advances the engine's epoch while guests run. Nothing else runs
/// on it, so a busy executor cannot hold the clock back.
struct Ticker {
    shared: Arc<Shared>,
    thread: thread::Thread,
}

#[derive(Default)]
struct Shared {
    live: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// A guest is running: the clock ticks.
struct Running<'a>(&'a Shared);

impl Ticker {
    fn start(engine: EngineWeak) -> Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let handle = thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || tick(&engine, &seen))
            .map_err(|it| Error::Internal(format!("the plugin clock: {it}")))?;
        Ok(Ticker { shared, thread: handle.thread().clone() })
    }

    fn running(&self) -> Running<'_> {
        self.shared.live.fetch_add(1, Ordering::SeqCst);
        // The thread looks at `live` again after it has said that it sleeps, so
        // one of the two sees the other.
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &EngineWeak, shared: &Shared) {
    let mut idle = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        idle = if shared.live.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
        if idle < IDLE_TICKS {
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        while shared.live.load(Ordering::SeqCst) == 0 && !shared.ended.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
        idle = 0;
    }
}
