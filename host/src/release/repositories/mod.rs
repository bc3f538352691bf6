//! The repositories that packages come from.
//!
//! Those of the settings are entered into the store before the server answers
//! anything ([`enter`]). The indexes of the remote ones are read beside the requests,
//! when the server starts, on a schedule and on demand ([`refresh`]): what is new in
//! one becomes a package without a zip, and what has gone from it stays. A package's
//! zip is fetched when it is first needed (`fetch`).

mod enter;
mod fetch;
mod index;
mod inventory;
mod read;
mod refresh;
mod source;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use tokio::sync::{Mutex as Turn, Semaphore};

pub use self::{
    enter::enter,
    inventory::notice,
    read::{Shown, State, bytes, index_pages, index_tag, repository, shown, zip},
    refresh::{Refresh, Refreshed, refresh, spawn},
};
pub(super) use self::{
    fetch::here,
    inventory::{find_newest, find_version},
};
use super::resource::web::Login;
use crate::{
    capabilities::secrets,
    config::Config,
    error::{Error, Result},
};

/// Zips that are fetched at once.
const FETCHES: usize = 4;

/// What this server knows of its repositories besides what is stored.
pub struct Repositories {
    logins: BTreeMap<String, Login>,
    /// How the last reading of each index went, and when it began.
    refreshes: Mutex<BTreeMap<String, (Instant, Refresh)>>,
    turns: Mutex<BTreeMap<String, Arc<Turn<()>>>>,
    fetching: Semaphore,
    /// Whose zip is being fetched, by the package's id.
    fetched: Mutex<BTreeMap<u64, Weak<Turn<()>>>>,
}

impl Repositories {
    /// Takes the passwords out of the settings.
    pub fn take(config: &mut Config) -> Result<Repositories> {
        let mut logins = BTreeMap::new();
        for (name, it) in &mut config.repositories {
            let given = std::mem::take(&mut it.password);
            if given.is_empty() {
                continue;
            }
            let field = format!("repositories.{name}.password");
            let password = match secrets::pointed_at(given.expose()) {
                None => given.expose().to_owned(),
                Some(Ok(read)) => String::from_utf8(read)
                    .map_err(|_| Error::invalid(&field, "what it points at is not UTF-8"))?,
                Some(Err(why)) => return Err(Error::invalid(field, why)),
            };
            let username = it.username.clone();
            logins.insert(name.clone(), Login { username, password });
        }
        Ok(Repositories {
            logins,
            refreshes: Mutex::default(),
            turns: Mutex::default(),
            fetching: Semaphore::new(FETCHES),
            fetched: Mutex::default(),
        })
    }

    /// Who asks at that repository.
    fn login(&self, repository: &str) -> Option<&Login> {
        self.logins.get(repository)
    }

    /// How the last reading of that repository's index went.
    fn last(&self, repository: &str) -> Option<Refresh> {
        let refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        refreshes.get(repository).map(|(_, it)| it.clone())
    }

    /// The same, if that reading began after `asked`.
    fn last_since(&self, repository: &str, asked: Instant) -> Option<Refresh> {
        let refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, refresh) = refreshes.get(repository)?;
        (*began >= asked).then(|| refresh.clone())
    }

    fn note(&self, repository: &str, began: Instant, refresh: Refresh) {
        let mut refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        refreshes.insert(repository.to_owned(), (began, refresh));
    }

    /// A zip is fetched by one at a time: who comes later finds it here.
    fn turn_of_zip(&self, package: u64) -> Arc<Turn<()>> {
        let mut turns = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, it| it.strong_count() > 0);
        if let Some(turn) = turns.get(&package).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(package, Arc::downgrade(&turn));
        turn
    }

    /// An index is read by one at a time.
    fn turn(&self, repository: &str) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(repository.to_owned()).or_default().clone()
    }
}
