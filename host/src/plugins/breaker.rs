//! Keeps a binding that fails again and again from being asked each time.
//!
//! Five failures in a row open it for a second; then one call is let through, and
//! each further failure doubles the wait, up to a minute. A "no" is no failure, and
//! running out of room for the data of one call does not count as one: one caller's
//! hostile input must not take the answer from all others.
//!
//! Policies and renderers have none: a call of theirs costs milliseconds at most.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{Kind, failure::Failure, limits::Limit};

const FAILURES_TO_OPEN: u32 = 5;
const OPEN_FIRST: Duration = Duration::from_secs(1);
const OPEN_MAX: Duration = Duration::from_secs(60);

/// The state of one binding of one generation.
#[derive(Default)]
pub(super) struct Breaker {
    off: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// The breaker of a binding of that kind.
    pub(super) fn of(kind: Kind) -> Breaker {
        Breaker { off: matches!(kind, Kind::Policy | Kind::Renderer), ..Breaker::default() }
    }

    /// May the guest be called?
    pub(super) fn enter(&self) -> Result<(), Failure> {
        if self.off { Ok(()) } else { self.enter_at(Instant::now) }
    }

    /// Learns what came of a call.
    pub(super) fn leave<T>(&self, result: &Result<T, Failure>) {
        match result {
            _ if self.off => {}
            Ok(_) => self.succeeded(),
            Err(Failure::Limit(Limit::Memory(_) | Limit::Transfer(_) | Limit::Object { .. })) => {}
            Err(_) => self.failed(Instant::now()),
        }
    }

    fn enter_at(&self, now: impl FnOnce() -> Instant) -> Result<(), Failure> {
        let mut state = self.state.lock().expect("nothing panics in here");
        let Some(until) = state.open_until else { return Ok(()) };
        let now = now();
        if now < until {
            return Err(Failure::Open);
        }
        // This call is the trial; the others wait for what becomes of it.
        state.open_until = Some(now + OPEN_FIRST);
        Ok(())
    }

    fn succeeded(&self) {
        let mut state = self.state.lock().expect("nothing panics in here");
        if state.failures > 0 {
            *state = State::default();
        }
    }

    fn failed(&self, now: Instant) {
        let mut state = self.state.lock().expect("nothing panics in here");
        state.failures = state.failures.saturating_add(1);
        if let Some(doublings) = state.failures.checked_sub(FAILURES_TO_OPEN) {
            let wait = OPEN_FIRST.saturating_mul(1 << doublings.min(6)).min(OPEN_MAX);
            state.open_until = Some(now + wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_it_and_a_trial_closes_it() {
        let breaker = Breaker::default();
        let start = Instant::now();
        for _ in 0..4 {
            breaker.failed(start);
        }
        assert!(breaker.enter_at(|| start).is_ok());
        breaker.failed(start);
        assert!(breaker.enter_at(|| start).is_err());

        let later = start + OPEN_FIRST;
        assert!(breaker.enter_at(|| later).is_ok(), "one trial");
        assert!(breaker.enter_at(|| later).is_err(), "only one");
        breaker.succeeded();
        assert!(breaker.enter_at(|| later).is_ok());
    }

    #[test]
    fn each_failed_trial_doubles_the_wait_up_to_a_minute() {
        let breaker = Breaker::default();
        let start = Instant::now();
        for _ in 0..6 {
            breaker.failed(start);
        }
        assert!(breaker.enter_at(|| start + Duration::from_millis(1999)).is_err());
        assert!(breaker.enter_at(|| start + Duration::from_secs(2)).is_ok());
        for _ in 0..100 {
            breaker.failed(start);
        }
        assert!(breaker.enter_at(|| start + OPEN_MAX).is_ok());
    }

    #[test]
    fn what_the_size_of_the_input_decides_does_not_open_it() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.leave::<()>(&Err(Failure::Limit(Limit::Memory(1))));
            breaker.leave::<()>(&Err(Failure::Limit(Limit::Transfer(1))));
        }
        assert!(breaker.enter().is_ok());
        for _ in 0..5 {
            breaker.leave::<()>(&Err(Failure::Trap("it trapped".into())));
        }
        assert!(breaker.enter().is_err());
    }

    #[test]
    fn a_success_between_failures_starts_the_count_anew() {
        let breaker = Breaker::default();
        let start = Instant::now();
        for _ in 0..4 {
            breaker.failed(start);
        }
        breaker.succeeded();
        breaker.failed(start);
        assert!(breaker.enter_at(|| start).is_ok());
    }
}
