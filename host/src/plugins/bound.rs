//! A binding in force: its component compiled, linked and checked, and the two
//! ways to call it.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{Store, component::InstancePre};

use super::{
    FailMode, Kind,
    breaker::Breaker,
    custom_metrics::CustomMetrics,
    engine::Machine,
    failure::Failure,
    guest::{Guest, Life, Slices},
    limits::{Effective, Limit},
    meter::{Function, Meter},
};
use crate::capabilities::{Grants, Services, secrets::Secrets};

/// What all worlds have in common.
pub(super) struct Bound {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The component's SHA-256.
    pub(super) digest: String,
    /// The plugin's settings, as the guest gets them.
    pub(super) settings: String,
    /// What the operator lists and the component imports.
    pub(super) grants: Grants,
    pub(super) secrets: Secrets,
    pub(super) fail_mode: FailMode,
    pub(super) limits: Effective,
    /// Places in the pool that a guest takes.
    pub(super) weight: u32,
    pub(super) machine: Arc<Machine>,
    pub(super) services: Services,
    pub(super) breaker: Breaker,
    pub(super) meter: Meter,
    pub(super) custom: CustomMetrics,
}

/// A component that is linked with what its binding was granted.
pub(super) type Linked = InstancePre<Guest>;

impl Bound {
    /// Calls a guest on this thread, to its end, within `budget` of computing time.
    pub(super) fn inline<T>(
        self: &Arc<Self>,
        function: Function,
        budget: Duration,
        work: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        self.breaker.enter()?;
        let queued = Instant::now();
        let place = self.machine.inline_place(self.weight);
        // A call costs microseconds, and a look at the clock a part of one: only who
        // stood in line has waited.
        let began = if place.has_waited { Instant::now() } else { queued };
        let mut store = Guest::inline(self, budget, began);
        let result = work(&mut store).map_err(|it| Failure::of(it, &self.limits));
        drop(store);
        drop(place);
        self.called(function, began - queued, began.elapsed(), &result);
        result
    }

    /// Calls a guest that may wait for the world outside, within `wall` in all.
    /// `work` gets the store for its own.
    pub(super) async fn hosted<T, F>(
        self: &Arc<Self>,
        function: Function,
        wall: Duration,
        work: impl FnOnce(Life) -> F + Send,
    ) -> Result<T, Failure>
    where
        F: Future<Output = wasmtime::Result<T>> + Send,
    {
        self.hosted_within(function, self.limits.guest, wall, work).await
    }

    /// The same with another budget of computing time.
    pub(super) async fn hosted_within<T, F>(
        self: &Arc<Self>,
        function: Function,
        budget: Duration,
        wall: Duration,
        work: impl FnOnce(Life) -> F + Send,
    ) -> Result<T, Failure>
    where
        F: Future<Output = wasmtime::Result<T>> + Send,
    {
        self.breaker.enter()?;
        let queued = Instant::now();
        let place = self.machine.hosted_place(self.weight).await;
        let waited = queued.elapsed();
        let slices = Slices::new(budget);
        let store = Guest::hosted(self, slices.clone(), wall);
        let result = match tokio::time::timeout(wall, work(store)).await {
            Ok(result) => result.map_err(|it| Failure::of(it, &self.limits)),
            Err(_) => Err(Failure::Limit(Limit::Wall(wall))),
        };
        slices.pause();
        drop(place);
        self.called(function, waited, slices.spent(), &result);
        result
    }

    fn called<T>(
        &self,
        function: Function,
        queued: Duration,
        guest: Duration,
        result: &Result<T, Failure>,
    ) {
        self.meter.called(function, queued, guest, result);
        if let Some(usage) = &self.machine.usage {
            usage.ran(guest);
        }
        self.breaker.leave(result);
    }
}
