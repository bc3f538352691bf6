//! What one call of a guest may use, and the sentence for each thing that runs out.

use std::{error, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::Kind;

/// The largest memory that a place in the pool can hold.
pub(super) const MEMORY_BYTES_MAX: usize = 64 << 20;
/// Memories in one component, at most.
pub(super) const COMPONENT_MEMORIES_MAX: u32 = 4;
/// Table elements of one guest, at most.
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Calls of the host in one call of a guest, at most.
pub(super) const HOST_CALLS_MAX: u32 = 10_000;
/// Log text kept of one call, at most.
pub(super) const LOG_BYTES_MAX: usize = 1 << 20;
/// Log lines kept of one call, at most.
pub(super) const LOG_LINES_MAX: u32 = 1_000;
/// Data of one call in either direction, at most: what the boundary can count, and
/// more than any guest can hold.
pub(super) const TRANSFER_BYTES_MAX: u64 = 1 << 30;
/// Time of one call, at most: a day.
pub(super) const TIME_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// A deployer's handle, at most.
pub(super) const HANDLE_BYTES_MAX: usize = 64 << 10;

/// Limits that an operator may set for a binding. What is absent has the default
/// of its kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of a guest, summed over all of its memories; at most 64 MiB.
    pub memory_bytes: Option<u64>,
    /// Computing time of a call, at most a day; waiting for the host is not counted.
    pub guest_ms: Option<u64>,
    /// Time of a call by the clock on the wall; at most a day. Hooks and deployers only.
    pub wall_ms: Option<u64>,
    /// Bytes that a call may carry over the boundary in either direction; at most 1 GiB.
    pub transfer_bytes: Option<u64>,
    /// The component's size.
    pub component_bytes: Option<u64>,
}

impl Limits {
    /// The size of a component, at most, where nothing is set.
    pub const COMPONENT_BYTES_DEFAULT: usize = 8 << 20;
}

/// The limits in force for a binding.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    pub(super) memory_bytes: usize,
    pub(super) guest: Duration,
    pub(super) wall: Duration,
    pub(super) transfer_bytes: usize,
    pub(super) component_bytes: usize,
}

impl Effective {
    /// The operator's limits over the defaults of the kind.
    pub(super) fn of(kind: Kind, limits: &Limits) -> Effective {
        let (guest_ms, wall_ms, transfer_bytes) = match kind {
            Kind::Policy => (5, 1_000, 256 << 10),
            Kind::Renderer => (50, 5_000, 16 << 20),
            Kind::BeforeHook => (500, 2_000, 4 << 20),
            Kind::AfterHook => (1_000, 10_000, 4 << 20),
            Kind::Deployer => (2_000, 60_000, 4 << 20),
        };
        let memory = limits.memory_bytes.unwrap_or(32 << 20).min(MEMORY_BYTES_MAX as u64);
        let transfer = limits.transfer_bytes.unwrap_or(transfer_bytes).min(TRANSFER_BYTES_MAX);
        let wall = limits.wall_ms.unwrap_or(wall_ms).min(TIME_MS_MAX);
        Effective {
            memory_bytes: memory as usize,
            guest: Duration::from_millis(limits.guest_ms.unwrap_or(guest_ms).min(TIME_MS_MAX)),
            wall: Duration::from_millis(wall),
            transfer_bytes: transfer as usize,
            component_bytes: limits
                .component_bytes
                .map_or(Limits::COMPONENT_BYTES_DEFAULT, |it| it as usize),
        }
    }
}

/// A limit that a guest ran into. Travels through wasmtime as the trap's cause.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Limit {
    /// Computing time.
    Guest(Duration),
    /// Time by the clock on the wall.
    Wall(Duration),
    /// Memory.
    Memory(usize),
    /// Table elements.
    Table,
    /// Calls of the host.
    HostCalls,
    /// Bytes over the boundary.
    Transfer(usize),
    /// Bytes of the object, before a guest is made for it.
    Object { bytes: usize, limit: usize },
    /// Stack.
    Stack,
    /// Bytes of randomness in one call.
    Random(u32),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Guest(it) => {
                write!(f, "it ran out of computing time (limit `guest_ms` is {})", it.as_millis())
            }
            Limit::Wall(it) => {
                write!(f, "it took too long (limit `wall_ms` is {})", it.as_millis())
            }
            Limit::Memory(it) => {
                write!(f, "it needs too much memory (limit `memory_bytes` is {it})")
            }
            Limit::Table => {
                write!(f, "its tables are too large (the limit is {TABLE_ELEMENTS_MAX} elements)")
            }
            Limit::HostCalls => {
                write!(f, "it called the host too often (the limit is {HOST_CALLS_MAX} in a call)")
            }
            Limit::Transfer(it) => {
                write!(f, "its data is too large (limit `transfer_bytes` is {it})")
            }
            Limit::Object { bytes, limit } => write!(
                f,
                "the object is too large for it, with {bytes} bytes (limit `transfer_bytes` is {limit})"
            ),
            Limit::Stack => f.write_str("it ran out of stack (the limit is 262144 bytes)"),
            Limit::Random(it) => {
                write!(f, "it asked for {it} random bytes at once (the limit is 65536)")
            }
        }
    }
}

impl error::Error for Limit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_sets_too_high_is_cut_to_what_can_be_counted() {
        let huge = Some(u64::MAX);
        let limits = Limits {
            memory_bytes: huge,
            guest_ms: huge,
            wall_ms: huge,
            transfer_bytes: huge,
            component_bytes: huge,
        };
        let it = Effective::of(Kind::Deployer, &limits);
        assert!(std::time::Instant::now().checked_add(it.wall).is_some());
        assert_eq!(it.guest, it.wall);
        assert!(u32::try_from(it.transfer_bytes).is_ok());
        assert_eq!(it.memory_bytes, MEMORY_BYTES_MAX);
    }
}
