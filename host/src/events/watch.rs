//! One who watches: what they want to hear, and how far they are.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, timeout_at},
};

use super::{
    ACTIONS,
    event::{Event, Told},
    gone,
};
use crate::{
    app::App,
    authz::{self, Permit},
    error::Result,
    store::audit,
};

/// Events in one step.
const STEP: usize = 64;
/// Records read from the store in one step.
const PAGE: usize = 256;

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of any of these actions, each whole or a beginning with `*` behind it; of all
    /// where there are none.
    pub actions: Vec<String>,
    /// In any of these namespaces.
    pub namespaces: Vec<String>,
    /// Of things with any of these names.
    pub names: Vec<String>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// These events, in order.
    Events(Vec<Arc<Told>>),
    /// Nothing for a while, up to and with the record of that number.
    Quiet(u64),
    /// Nothing any more, for that reason.
    End(&'static str),
}

/// One who watches.
pub struct Watch {
    app: Arc<App>,
    permits: Vec<Permit>,
    filter: Filter,
    place: Place,
    heard: Instant,
    asked: Instant,
    looked: u64,
}

/// How far a watch is.
pub(super) struct Place {
    /// The number to go on with.
    pub(super) next: u64,
    /// What the tail has looked at.
    pub(super) published: watch::Receiver<u64>,
    /// Given up with the watch.
    pub(super) _seat: OwnedSemaphorePermit,
}

impl Filter {
    /// The first of the wanted actions that nothing is ever called.
    pub fn unknown_action(&self) -> Option<&str> {
        let is_known = |it: &&String| ACTIONS.iter().any(|action| covers(it, action));
        self.actions.iter().find(|it| !is_known(it)).map(String::as_str)
    }

    /// Whether an event is wanted.
    pub fn wants(&self, event: &Told) -> bool {
        let any = |all: &[String], fits: &dyn Fn(&str) -> bool| {
            all.is_empty() || all.iter().any(|it| fits(it))
        };
        any(&self.actions, &|it| covers(it, &event.action))
            && any(&self.namespaces, &|it| it == event.namespace)
            && any(&self.names, &|it| it == event.name)
    }
}

fn covers(pattern: &str, action: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => action == pattern,
    }
}

impl Watch {
    pub(super) fn new(app: Arc<App>, permits: Vec<Permit>, filter: Filter, place: Place) -> Watch {
        let looked = place.next - 1;
        let now = Instant::now();
        Watch { app, permits, filter, place, heard: now, asked: now, looked }
    }

    /// The number behind which the watch goes on: all before it has been looked at.
    pub fn looked(&self) -> u64 {
        self.looked
    }

    /// Waits for what comes next. [`Error::Gone`](crate::error::Error::Gone) where that is told no more: the
    /// watcher was too far behind.
    pub async fn next(&mut self) -> Result<Next> {
        let heartbeat = self.app.events.heartbeat();
        loop {
            if self.app.events.ending.is_cancelled() {
                return Ok(Next::End("the server is stopping"));
            }
            if self.asked.elapsed() >= heartbeat && !self.is_allowed().await? {
                return Ok(Next::End("it may not be watched any more"));
            }
            let until = self.heard + heartbeat;
            let last = *self.place.published.borrow_and_update();
            if self.place.next > last {
                let ending = self.app.events.ending.clone();
                let changed = timeout_at(until, self.place.published.changed());
                let quiet = tokio::select! {
                    changed = changed => changed.is_err(),
                    () = ending.cancelled() => false,
                };
                if quiet {
                    return Ok(self.quiet());
                }
                continue;
            }
            let events = self.step(last).await?;
            self.looked = self.place.next - 1;
            if !events.is_empty() {
                self.heard = Instant::now();
                return Ok(Next::Events(events));
            }
            if Instant::now() >= until {
                return Ok(self.quiet());
            }
        }
    }

    /// The wanted events of one step.
    async fn step(&mut self, last: u64) -> Result<Vec<Arc<Told>>> {
        let next = self.place.next;
        if let Some((mut events, next)) = self.app.events.tail.take(next, last, STEP) {
            events.retain(|it| self.filter.wants(it));
            self.place.next = next;
            return Ok(events);
        }
        let entries = self.app.store.scan(move |view| audit::entries(view, next, PAGE)).await?;
        let events = &self.app.events;
        let is_kept = entries.first().is_none_or(|it| {
            it.at_us >= events.oldest_us() && it.number + events.settings.kept_max > last
        });
        if !is_kept {
            return Err(gone(next - 1, events.kept().await?.0));
        }
        let mut wanted = Vec::new();
        for entry in entries {
            self.place.next = entry.number + 1;
            let Some(event) = Event::of(entry) else { continue };
            let told = Told::from(event);
            if self.filter.wants(&told) {
                wanted.push(Arc::new(told));
            }
            if wanted.len() == STEP {
                break;
            }
        }
        Ok(wanted)
    }

    fn quiet(&mut self) -> Next {
        self.heard = Instant::now();
        Next::Quiet(self.looked)
    }

    /// Asks again: the policy that let this be watched may be another by now.
    async fn is_allowed(&mut self) -> Result<bool> {
        self.asked = Instant::now();
        for permit in &self.permits {
            if !authz::is_still_allowed(&self.app, permit).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_fits_one_of_each_list() {
        let told = Told {
            id: 1,
            action: "release:install".to_owned(),
            namespace: "acme".to_owned(),
            name: "web".to_owned(),
            json: bytes::Bytes::new(),
        };
        let wants = |actions: &[&str], namespaces: &[&str], names: &[&str]| {
            let owned = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect();
            let (actions, names) = (owned(actions), owned(names));
            Filter { actions, namespaces: owned(namespaces), names }.wants(&told)
        };
        assert!(wants(&[], &[], &[]));
        assert!(wants(&["release:install"], &["acme"], &["web"]));
        assert!(wants(&["inventory:*", "release:*"], &["other", "acme"], &[]));
        assert!(wants(&["*"], &[], &[]));
        assert!(!wants(&["release:"], &[], &[]));
        assert!(!wants(&[], &["acm"], &[]));
        assert!(!wants(&[], &["acme"], &["we"]));
    }

    #[test]
    fn an_action_that_is_misspelt_is_found() {
        let unknown = |actions: &[&str]| {
            let actions = actions.iter().map(|it| (*it).to_owned()).collect();
            Filter { actions, ..Filter::default() }.unknown_action().map(str::to_owned)
        };
        assert_eq!(unknown(&[]), None);
        assert_eq!(unknown(&["*", "release:*", "inventory:version:*", "release:install"]), None);
        for bad in ["", "release", "relase:*", "release:instal", "Release:*", "*:install"] {
            assert_eq!(unknown(&["release:*", bad]).as_deref(), Some(bad), "{bad}");
        }
    }
}
