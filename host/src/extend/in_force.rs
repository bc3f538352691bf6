//! What is in force, and where each part of it comes from.
//!
//! Three origins, by name: what the configuration says stands above what was changed on
//! the running server, and that above what the server puts to work by itself. Whatever
//! changes, a whole new set is made of the parts and swapped in.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use tokio::sync::{Mutex, Semaphore};

use super::spec;
use crate::{
    blobs::Blobs,
    config::{Config, plugins},
    error::{Error, Result, chain},
    plugins::{Binding, FailMode, Kind, PluginSet, Plugins, Ready},
    store::{
        Store, View,
        bindings::{self, Revision},
    },
};

/// Plugins that are installed and put to work while the server runs.
pub struct Extend {
    /// One component at a time is held whole and compiled.
    pub(super) installing: Semaphore,
    /// Held while what is in force changes, so that no change is lost.
    pub(super) changing: Mutex<()>,
    configured: Vec<Configured>,
    stored: RwLock<BTreeMap<String, Standing>>,
    /// Whether what was changed on the running server is left aside.
    rescue: bool,
}

/// Where a binding comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The settings name it.
    Configuration,
    /// The server puts it to work by itself.
    Shipped,
    /// It was made on the running server.
    Stored,
}

/// A binding that was there when the server started.
pub(super) struct Configured {
    pub(super) origin: Origin,
    /// Without its component.
    pub(super) binding: Binding,
    pub(super) ready: Ready,
}

/// How a binding that was made on the running server stands.
#[derive(Clone)]
pub(super) enum Standing {
    /// In force, in that place among its kind.
    Ready(i32, Ready),
    /// Switched off.
    Off,
    /// It could not be put to work when the server started.
    Broken(String),
}

impl Origin {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Configuration => "configuration",
            Origin::Shipped => "shipped",
            Origin::Stored => "stored",
        }
    }
}

impl Extend {
    /// Makes everything ready that is to be in force, and puts it there.
    pub(crate) async fn start(
        config: &Arc<Config>,
        store: &Store,
        blobs: &Blobs,
        plugins: &Plugins,
        bindings: Vec<Binding>,
    ) -> Result<Extend> {
        let mut configured = Vec::new();
        for binding in bindings {
            let ready = plugins.ready(&binding).await?;
            let origin = match plugins::is_unasked(config, &binding) {
                true => Origin::Shipped,
                false => Origin::Configuration,
            };
            let binding = Binding { component: Arc::from([]), ..binding };
            configured.push(Configured { origin, binding, ready });
        }
        let extend = Extend {
            installing: Semaphore::new(1),
            changing: Mutex::default(),
            configured,
            stored: RwLock::default(),
            rescue: !config.stored_bindings,
        };
        if !extend.rescue {
            let stored = extend.load(config, store, blobs, plugins).await?;
            *extend.stored.write().expect("nothing panics under this lock") = stored;
        }
        plugins.swap(extend.set(plugins, None)?);
        Ok(extend)
    }

    async fn load(
        &self,
        config: &Arc<Config>,
        store: &Store,
        blobs: &Blobs,
        plugins: &Plugins,
    ) -> Result<BTreeMap<String, Standing>> {
        let mut stored = BTreeMap::new();
        for (name, revision) in store.read(|view| current(view)).await? {
            if self.configured(&name).is_some_and(|it| it.origin == Origin::Configuration) {
                tracing::warn!(
                    binding = name,
                    "the configuration has a binding of this name: the one that was made on the \
                     running server is not in force"
                );
            }
            let standing = match revision.spec.enabled {
                false => Standing::Off,
                true => match ready(config, blobs, plugins, &name, &revision).await {
                    Ok(ready) => Standing::Ready(revision.spec.order, ready),
                    Err(error) => broken(&name, &revision, error)?,
                },
            };
            stored.insert(name, standing);
        }
        Ok(stored)
    }

    /// The set that is in force with one binding made on the running server changed:
    /// put in that place, or taken away.
    pub(super) fn set(
        &self,
        plugins: &Plugins,
        changed: Option<(&str, Option<&Standing>)>,
    ) -> Result<PluginSet> {
        let mut stored = self.stored.read().expect("nothing panics under this lock").clone();
        match changed {
            _ if self.rescue => stored.clear(),
            Some((name, Some(standing))) => drop(stored.insert(name.to_owned(), standing.clone())),
            Some((name, None)) => drop(stored.remove(name)),
            None => {}
        }
        let mut line: Vec<(i32, &Ready)> = Vec::new();
        for it in &self.configured {
            match stored.get(&it.binding.name).filter(|_| it.origin == Origin::Shipped) {
                Some(Standing::Ready(order, ready)) => line.push((*order, ready)),
                Some(_) => {}
                None => line.push((0, &it.ready)),
            }
        }
        for (name, standing) in &stored {
            if let Standing::Ready(order, ready) = standing
                && self.configured(name).is_none()
            {
                line.push((*order, ready));
            }
        }
        line.sort_by_key(|it| it.0);
        plugins.assemble(line.into_iter().map(|it| it.1))
    }

    /// Keeps in mind how a binding stands from now on.
    pub(super) fn stands(&self, name: &str, standing: Option<Standing>) {
        if self.rescue {
            return;
        }
        let mut stored = self.stored.write().expect("nothing panics under this lock");
        match standing {
            Some(standing) => stored.insert(name.to_owned(), standing),
            None => stored.remove(name),
        };
    }

    /// How a binding that was made on the running server stands; none where it is left
    /// aside.
    pub(super) fn standing(&self, name: &str) -> Option<Standing> {
        self.stored.read().expect("nothing panics under this lock").get(name).cloned()
    }

    /// The binding of that name that was there when the server started.
    pub(super) fn configured(&self, name: &str) -> Option<&Configured> {
        self.configured.iter().find(|it| it.binding.name == name)
    }

    /// All bindings that were there when the server started.
    pub(super) fn all_configured(&self) -> &[Configured] {
        &self.configured
    }
}

/// Makes a revision of a binding ready to be put in force.
pub(super) async fn ready(
    config: &Arc<Config>,
    blobs: &Blobs,
    plugins: &Plugins,
    name: &str,
    revision: &Revision,
) -> Result<Ready> {
    let binding = spec::binding(config, blobs, name, &revision.spec).await?;
    plugins.ready(&binding).await
}

fn current(view: &dyn View) -> Result<Vec<(String, Revision)>> {
    let mut found = Vec::new();
    for row in bindings::all(view)? {
        let Some(number) = row.current else { continue };
        if let Some(revision) = bindings::revision(view, &row.name, number)? {
            found.push((row.name, revision));
        }
    }
    Ok(found)
}

/// What becomes of a binding that cannot be put to work when the server starts. Without
/// a policy or a hook that may say no, more would be allowed than should be: that keeps
/// the server from starting.
fn broken(name: &str, revision: &Revision, error: Error) -> Result<Standing> {
    let kind = spec::kind(&revision.spec.kind)?;
    let mode = plugins::fail_mode("fail_mode", revision.spec.fail_mode.as_deref(), kind)?;
    let why = chain(&error);
    if matches!(kind, Kind::Policy) || (kind == Kind::BeforeHook && mode == FailMode::Closed) {
        return Err(Error::invalid(
            "stored_bindings",
            format!(
                "the binding `{name}`, which was made on the running server, cannot be put to \
                 work: {why}; `--set stored_bindings=false` starts the server without such \
                 bindings, so that it can be changed"
            ),
        ));
    }
    tracing::error!(binding = name, error = why, "a binding could not be put to work");
    Ok(Standing::Broken(why))
}
