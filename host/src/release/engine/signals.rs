//! Waiting for something to become of a release, without asking again and again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use tokio::{
    sync::{Mutex as Turn, Notify, OwnedMutexGuard},
    time::{Instant, timeout_at},
};

use super::{Engine, lock};
use crate::{
    app::App,
    error::Result,
    store::operations::{self, Operation},
};

/// From so many on, signals that nobody waits for are looked for and forgotten.
const SIGNALS_LEAST: usize = 64;

/// Who waits, by the release's name.
#[derive(Default)]
pub(super) struct Signals(Mutex<HashMap<String, Weak<Notify>>>);

/// Lines of those who wait for a release to do something with it, by its name.
#[derive(Default)]
pub(super) struct Lines(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Engine {
    /// Is notified whenever an operation on that release ends or is cancelled. Take
    /// it, and begin to listen, before looking at the store.
    pub fn signal(&self, release: &str) -> Arc<Notify> {
        let mut signals = lock(&self.signals.0);
        if signals.len() >= SIGNALS_LEAST {
            signals.retain(|_, it| it.strong_count() > 0);
        }
        if let Some(known) = signals.get(release).and_then(Weak::upgrade) {
            return known;
        }
        let signal = Arc::new(Notify::new());
        signals.insert(release.to_owned(), Arc::downgrade(&signal));
        signal
    }

    /// Wakes those who wait for something to become of a release.
    pub(in crate::release) fn changed(&self, release: &str) {
        let known = lock(&self.signals.0).get(release).and_then(Weak::upgrade);
        if let Some(signal) = known {
            signal.notify_waiters();
        }
    }

    /// Stands in line for a release among those who wait for it, at most until `until`.
    /// It is one's turn as long as one keeps what this gives.
    pub async fn turn(&self, release: &str, until: Instant) -> Option<OwnedMutexGuard<()>> {
        let line = {
            let mut lines = lock(&self.lines.0);
            lines.retain(|_, it| it.strong_count() > 0);
            match lines.get(release).and_then(Weak::upgrade) {
                Some(known) => known,
                None => {
                    let line = Arc::new(Turn::new(()));
                    lines.insert(release.to_owned(), Arc::downgrade(&line));
                    line
                }
            }
        };
        timeout_at(until, line.lock_owned()).await.ok()
    }

    /// Waits until nobody works on a release, at most until `until`. Gives the operation
    /// that still holds it then.
    pub async fn wait_until_free(
        &self,
        app: &App,
        release: &str,
        until: Instant,
    ) -> Result<Option<Operation>> {
        let signal = self.signal(release);
        loop {
            let changed = signal.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let name = release.to_owned();
            let held = app.store.read(move |view| operations::open_of(view, &name)).await?;
            if held.is_none() {
                return Ok(None);
            }
            if timeout_at(until, changed).await.is_err() {
                return Ok(held);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_release_is_woken_and_nobody_else() {
        let engine = Engine::default();
        let (mine, other) = (engine.signal("a"), engine.signal("b"));
        let (mine, other) = (mine.notified(), other.notified());
        tokio::pin!(mine, other);
        mine.as_mut().enable();
        other.as_mut().enable();

        engine.changed("a");
        engine.changed("nobody waits for this");

        mine.await;
        assert!(!other.as_mut().enable());
    }

    #[tokio::test]
    async fn those_who_wait_for_a_release_take_turns_in_the_order_in_which_they_came() {
        let engine = Arc::new(Engine::default());
        let later = Instant::now() + std::time::Duration::from_secs(600);
        let first = engine.turn("a", later).await.unwrap();
        assert!(engine.turn("b", later).await.is_some(), "another release has a line of its own");
        assert!(engine.turn("a", Instant::now()).await.is_none(), "who cannot wait goes");
        let came = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for index in 0..5 {
            let mut turn = Box::pin({
                let (engine, came) = (engine.clone(), came.clone());
                async move {
                    let _turn = engine.turn("a", later).await.unwrap();
                    lock(&came).push(index);
                }
            });
            assert!(futures::poll!(&mut turn).is_pending());
            waiting.push(turn);
        }
        drop(first);
        waiting.reverse();
        futures::future::join_all(waiting).await;
        assert_eq!(*lock(&came), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_forgotten() {
        let engine = Engine::default();
        let held = engine.signal("held");
        for index in 0..SIGNALS_LEAST * 3 {
            engine.signal(&index.to_string());
        }
        assert!(lock(&engine.signals.0).len() <= SIGNALS_LEAST);
        assert!(Arc::ptr_eq(&held, &engine.signal("held")));
    }
}
