//! Work beside the requests: the engine, deliveries, collectors.
//!
//! Each has a name, so that `/ready` can tell which one has ended although it
//! should not have, and all of them are told to stop before the store closes.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// The background work of one server.
#[derive(Default)]
pub struct Tasks {
    stop: CancellationToken,
    running: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
}

impl Tasks {
    /// Starts `work`, which ends soon after its token is cancelled and not before.
    pub fn spawn<F>(&self, name: &'static str, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = tokio::spawn(work(self.stop.clone()));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push((name, task));
    }

    /// Each task's name, and whether it still runs.
    pub fn states(&self) -> Vec<(&'static str, bool)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().map(|(name, task)| (*name, !task.is_finished())).collect()
    }

    /// Tells all of them to stop, waits `limit` for it, and cuts off the rest,
    /// whose names it gives back.
    pub async fn stop(&self, limit: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        let tasks =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = Instant::now() + limit;
        let mut late = Vec::new();
        for (name, mut task) in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
                late.push(name);
            }
        }
        late
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop.cancel();
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.iter().for_each(|(_, task)| task.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_heeds_its_token_ends_in_peace() {
        let tasks = Tasks::default();
        tasks.spawn("engine", |stop| async move { stop.cancelled().await });
        assert_eq!(tasks.states(), [("engine", true)]);
        assert!(tasks.stop(Duration::from_secs(60)).await.is_empty());
    }

    #[tokio::test]
    async fn a_task_that_does_not_is_cut_off_and_named() {
        let tasks = Tasks::default();
        tasks.spawn("engine", |_| std::future::pending());
        assert_eq!(tasks.stop(Duration::ZERO).await, ["engine"]);
    }

    #[tokio::test]
    async fn a_task_that_ended_by_itself_is_seen() {
        let tasks = Tasks::default();
        tasks.spawn("engine", |_| async {});
        while tasks.states() != [("engine", false)] {
            tokio::task::yield_now().await;
        }
    }
}
