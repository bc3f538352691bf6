//! Hooks, put to work as an operator would: the shipped `hook-webhook`, configured,
//! granted, and a receiver that listens on this machine.

mod documents;
mod sink;
mod webhook;

use std::time::Duration;

use chandlery::store::outbox::{self, Queue};
use chandlery_tests::Host;

/// Waits until nothing waits in a hook's queue any more. One that was never there is
/// waited for.
async fn settled(host: &Host, name: &str) -> Queue {
    let mut commits = host.app.store.commits();
    let settling = async {
        loop {
            commits.mark_unchanged();
            let queues = host.app.store.read(outbox::queues).await.expect("it can be read");
            let queue = queues.into_iter().find(|it| it.0 == name);
            if let Some((_, queue)) = queue.filter(|it| it.1.waiting == 0) {
                return queue;
            }
            commits.changed().await.expect("the store is open");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settling).await.expect("the queue gets empty")
}
