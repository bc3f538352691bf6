//! Audit records of refusals, bounded.
//!
//! Every refusal leaves a record, and so does a plugin's failure that was let pass,
//! but whoever causes them must not be able to fill the disk by asking again: beyond
//! a rate, those of one actor are counted, and the count is recorded with the next
//! one that is, or a while later by itself.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Records of one actor in a burst.
const BURST: f64 = 200.0;

/// Records of one actor a second, in the long run.
const PER_SECOND: f64 = 20.0;

/// Actors that are told apart. Further ones share a rate.
const ACTORS_MAX: usize = 1024;

/// Stands for the actors beyond [`ACTORS_MAX`].
const OTHERS: &str = "others";

/// When a count is recorded, if no refusal takes it along earlier.
pub(super) const COUNT_AFTER: Duration = Duration::from_secs(10);

/// What each actor was refused lately.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    actors: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    counted: u64,
}

/// What to do with a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Record it.
    Record,
    /// It was counted, and is the first since the count was last recorded.
    CountBegun,
    /// It was counted.
    Counted,
}

impl Refusals {
    /// Judges one more refusal of `actor`.
    pub(super) fn judge(&self, actor: &str, now: Instant) -> Verdict {
        let mut actors = self.actors.lock().expect("nothing panics under this lock");
        if actors.len() >= ACTORS_MAX && !actors.contains_key(actor) {
            actors.retain(|_, it| !it.is_idle(now));
        }
        let known = actors.len() < ACTORS_MAX || actors.contains_key(actor);
        let name = if known { actor } else { OTHERS };
        let full = Bucket { tokens: BURST, filled: now, counted: 0 };
        let bucket = actors.entry(name.to_owned()).or_insert(full);
        bucket.fill(now);
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Verdict::Record;
        }
        bucket.count()
    }

    /// Counts a refusal that could not be recorded.
    pub(super) fn count(&self, actor: &str) -> Verdict {
        let mut actors = self.actors.lock().expect("nothing panics under this lock");
        match actors.get_mut(actor) {
            Some(bucket) => bucket.count(),
            None => Verdict::Counted,
        }
    }

    /// Takes what was counted of `actor`, to be recorded.
    pub(super) fn take_count(&self, actor: &str) -> u64 {
        let mut actors = self.actors.lock().expect("nothing panics under this lock");
        actors.get_mut(actor).map_or(0, |it| std::mem::take(&mut it.counted))
    }

    /// Takes all that was counted.
    pub(super) fn take_counts(&self) -> Vec<(String, u64)> {
        let mut actors = self.actors.lock().expect("nothing panics under this lock");
        let counts = actors.iter_mut().filter(|(_, it)| it.counted > 0);
        counts.map(|(actor, it)| (actor.clone(), std::mem::take(&mut it.counted))).collect()
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * PER_SECOND).min(BURST);
        self.filled = now;
    }

    fn count(&mut self) -> Verdict {
        self.counted += 1;
        metrics::counter!("chandlery_audit_refusals_counted_total").increment(1);
        if self.counted == 1 { Verdict::CountBegun } else { Verdict::Counted }
    }

    fn is_idle(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.counted == 0 && self.tokens + passed * PER_SECOND >= BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_a_rate_refusals_are_counted_and_none_is_forgotten() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let verdicts: Vec<_> = (0..300).map(|_| refusals.judge("eve", start)).collect();
        let of = |wanted| verdicts.iter().filter(|it| **it == wanted).count();
        assert_eq!(of(Verdict::Record), 200);
        assert_eq!(of(Verdict::CountBegun), 1);
        assert_eq!(of(Verdict::Counted), 99);
        assert_eq!(refusals.judge("ana", start), Verdict::Record, "others are not held up");

        assert_eq!(refusals.take_count("eve"), 100);
        assert_eq!(refusals.take_count("eve"), 0);
        assert_eq!(refusals.judge("eve", start + Duration::from_secs(1)), Verdict::Record);
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let recorded = (0..5000)
            .filter(|it| refusals.judge(&format!("user:{it}"), start) == Verdict::Record)
            .count();
        assert_eq!(recorded, ACTORS_MAX + BURST as usize);
        assert!(refusals.actors.lock().unwrap().len() <= ACTORS_MAX + 1);
        let counted: u64 = refusals.take_counts().iter().map(|(_, count)| count).sum();
        assert_eq!(counted as usize, 5000 - recorded);
        let later = start + Duration::from_secs(3600);
        assert_eq!(refusals.judge("user:new", later), Verdict::Record);
        assert!(refusals.actors.lock().unwrap().len() < 10, "idle ones are forgotten");
    }
}
