//! What keeps the collector and the uploads of one blob apart.
//!
//! Many may lease a blob at once; the collector condemns it only while nobody
//! does, and whoever wants to lease a condemned blob waits until it is gone (and
//! then writes it anew).

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::Notify;

/// The blobs that are leased or condemned now.
#[derive(Debug, Default)]
pub(super) struct Leases {
    // By digest: how many leases; none means condemned.
    states: Mutex<HashMap<String, Option<u32>>>,
    spared: Notify,
}

/// Keeps the collector off a blob.
#[derive(Debug)]
pub(super) struct Lease {
    leases: Arc<Leases>,
    sha256: String,
}

/// Keeps everybody but the collector off a blob.
#[derive(Debug)]
pub(super) struct Condemned {
    leases: Arc<Leases>,
    sha256: String,
}

impl Leases {
    /// Leases a blob, whether it is there or not.
    pub(super) async fn take(self: &Arc<Self>, sha256: &str) -> Lease {
        loop {
            let spared = self.spared.notified();
            if self.count_one_more(sha256) {
                return Lease { leases: self.clone(), sha256: sha256.to_owned() };
            }
            spared.await;
        }
    }

    /// Condemns a blob, unless somebody leases it.
    pub(super) fn condemn(self: &Arc<Self>, sha256: &str) -> Option<Condemned> {
        match self.states().entry(sha256.to_owned()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(it) => {
                it.insert(None);
                Some(Condemned { leases: self.clone(), sha256: sha256.to_owned() })
            }
        }
    }

    fn count_one_more(&self, sha256: &str) -> bool {
        match self.states().entry(sha256.to_owned()).or_insert(Some(0)) {
            Some(count) => {
                *count += 1;
                true
            }
            None => false,
        }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<String, Option<u32>>> {
        self.states.lock().expect("nothing panics under this lock")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut states = self.leases.states();
        if let Some(Some(count)) = states.get_mut(&self.sha256) {
            *count -= 1;
            if *count == 0 {
                states.remove(&self.sha256);
            }
        }
    }
}

impl Drop for Condemned {
    fn drop(&mut self) {
        self.leases.states().remove(&self.sha256);
        self.leases.spared.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_leased_blob_is_not_condemned() {
        let leases = Arc::new(Leases::default());
        let (one, two) = (leases.take("a").await, leases.take("a").await);
        assert!(leases.condemn("a").is_none());
        drop(one);
        assert!(leases.condemn("a").is_none());
        assert!(leases.condemn("b").is_some());
        drop(two);
        assert!(leases.condemn("a").is_some());
    }

    #[tokio::test]
    async fn a_condemned_blob_is_leased_once_it_is_gone() {
        let leases = Arc::new(Leases::default());
        let condemned = leases.condemn("a").unwrap();
        assert!(leases.condemn("a").is_none());
        let mut waiting = Box::pin(leases.take("a"));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(condemned);
        drop(waiting.await);
        assert!(leases.states().is_empty());
    }
}
