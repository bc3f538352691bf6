//! Changing a binding: built and checked whole beside what is in force, then kept, then
//! put in force at once.
//!
//! One change at a time. Nothing in force moves before the change is durable, and no
//! request fails when it does: those under way end with the set that they began with. A
//! crash in between is none: the server starts with what was kept.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    in_force::{self, Standing},
    names::PluginName,
    next::{Before, Decided, New, Next, What, next},
    shipped, spec,
};
use crate::{
    app::App,
    authz::{self, Permit},
    blobs::Stored,
    clock::now_ms,
    error::{Error, Result},
    inventory::Expected,
    plugins::{Kind, PluginSet, shipped::SHIPPED},
    store::{
        Change,
        bindings::{self, BindingRow, Revision, Spec},
        installed::{self, InstalledRow},
        outbox::{Announcement, announce},
    },
};

/// A change of a binding.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The binding.
    pub name: PluginName,
    /// What to do with it.
    pub what: What,
    /// What the caller knows of it.
    pub expected: Expected,
    /// Whether it is done even where the caller could change nothing after it.
    pub force: bool,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is new, and in force.
    Made,
    /// It is in force.
    Done,
    /// It waits for a grant.
    NeedsGrant,
}

/// Changes a binding. A caller who leaves does not stop it half-way.
pub async fn change(app: &Arc<App>, permit: Permit, asked: Asked) -> Result<Changed> {
    let work = carry_out(app.clone(), permit, asked).in_current_span();
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|it| Err(Error::Internal(format!("changing a binding: {it}"))))
}

async fn carry_out(app: Arc<App>, permit: Permit, asked: Asked) -> Result<Changed> {
    let _turn = app.extend.changing.lock().await;
    let name = asked.name.as_str();
    let before = Before::read(&app, name).await?;
    before.expect(name, &asked.expected)?;
    match next(&app, name, &before, asked.what).await? {
        Next::Spec(new) => put(&app, &permit, name, before, *new, asked.force).await,
        Next::NothingPending => drop_pending(&app, &permit, name, before).await,
        Next::Gone => delete(&app, &permit, name, before, asked.force).await,
    }
}

async fn put(
    app: &Arc<App>,
    permit: &Permit,
    name: &str,
    before: Before,
    mut new: New,
    force: bool,
) -> Result<Changed> {
    let plugin = spec::resolve(app, &mut new.spec).await?;
    spec::check(&new.spec, &plugin)?;
    let is_same = before.current.is_some() && before.spec.as_ref() == Some(&new.spec);
    if is_same && before.pending.is_none() && new.like.is_none() {
        return Ok(Changed::Done);
    }
    let needs = needs(app, &before, &new, &plugin).await?;
    let replaced = before.current.as_ref().map(|it| it.number);
    let revision = Revision {
        number: before.row.as_ref().map_or(1, |it| it.last + 1),
        spec: new.spec,
        at_ms: now_ms(),
        by: permit.caller.principal.id.clone(),
        like: new.like.map(|it| it.0),
        before: new.like.map_or(replaced, |it| it.1),
        was_in_force: needs.is_empty(),
        needs,
    };
    let object = object(name, &revision);
    let previous = before.current.as_ref().map(|it| self::object(name, it));
    let fixed = |_, _: &()| Err("a binding stays as it was asked for".to_owned());
    permit.reviewed(app, (), object.clone(), previous, fixed).await?;

    let mut set = None;
    if revision.was_in_force {
        let standing = standing(app, permit, name, &revision).await?;
        let built = app.extend.set(&app.plugins, Some((name, Some(&standing))))?;
        let touched = [before.spec.as_ref(), Some(&revision.spec)];
        guard(app, permit, name, &built, touched, force)?;
        set = Some((built, standing));
    }
    let row = row(name, &before, &revision);
    let pinned = pinned(app, &plugin).await?;
    let told = Announcement::of(permit, Some(object));
    let (found, is_new) = (before.row.clone(), before.row.is_none());
    let work = move |change: &mut dyn Change| {
        unmoved(change, &row.name, &found)?;
        keep_plugin(change, &plugin, pinned.is_some())?;
        bindings::put(change, &row, Some(&revision))?;
        announce(change, &told)?;
        Ok(pinned)
    };
    app.store.write(permit.audit(), work).await?;
    let Some((set, standing)) = set else { return Ok(Changed::NeedsGrant) };
    app.extend.stands(name, Some(standing));
    app.plugins.swap(set);
    tracing::info!(binding = name, "a binding was changed");
    Ok(if is_new { Changed::Made } else { Changed::Done })
}

/// What has to be granted first.
async fn needs(
    app: &App,
    before: &Before,
    new: &New,
    plugin: &InstalledRow,
) -> Result<Vec<String>> {
    if let Decided::AllBut(left) = &new.decided {
        return Ok(left.clone());
    }
    let Some(mut running) = before.spec.clone() else { return Ok(Vec::new()) };
    let running_plugin = spec::resolve(app, &mut running).await?;
    Ok(spec::needs(&running_plugin, plugin, &running.grants, &new.spec.grants))
}

/// How a binding is going to stand: made ready, where it is on.
async fn standing(app: &App, permit: &Permit, name: &str, revision: &Revision) -> Result<Standing> {
    if !revision.spec.enabled {
        return Ok(Standing::Off);
    }
    match in_force::ready(&app.config, &app.blobs, &app.plugins, name, revision).await {
        Ok(ready) => Ok(Standing::Ready(revision.spec.order, ready)),
        Err(Error::Plugin { message, .. }) => {
            permit.note(app, &message).await;
            Err(Error::invalid("", message))
        }
        Err(other) => Err(other),
    }
}

/// Refuses a set that nobody could change any more.
fn guard(
    app: &App,
    permit: &Permit,
    name: &str,
    set: &PluginSet,
    touched: [Option<&Spec>; 2],
    force: bool,
) -> Result<()> {
    let policy = Kind::Policy.word();
    if !touched.into_iter().flatten().any(|it| it.kind == policy) {
        return Ok(());
    }
    if set.names().iter().all(|it| it.1 != Kind::Policy) {
        return Err(Error::Conflict(
            "without any policy everything is denied, and nobody could change that: put another \
             one to work first"
                .into(),
        ));
    }
    if force {
        return Ok(());
    }
    let target = binding_target(name);
    let why = match authz::would_allow(app, &permit.caller, set, permit.action, target) {
        Ok(None) => return Ok(()),
        Ok(Some(why)) => why,
        Err(error) => error.to_string(),
    };
    Err(Error::Conflict(format!(
        "after this you could change no binding any more ({why}): `force=true` does it all the same"
    )))
}

/// What a question about a binding is about; about all without a name.
pub fn binding_target(name: &str) -> authz::Target {
    authz::Target {
        kind: "binding".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        version: None,
        labels: Vec::new(),
    }
}

/// What hooks see of a binding. Settings may hold what is nobody's business.
fn object(name: &str, revision: &Revision) -> Value {
    let mut object = serde_json::to_value(&revision.spec).expect("a spec is plain data");
    if let Some(members) = object.as_object_mut() {
        members.remove("settings");
        members.insert("name".to_owned(), name.into());
        members.insert("revision".to_owned(), json!(revision.number));
        members.insert("needs".to_owned(), json!(revision.needs));
    }
    object
}

/// The binding after a change.
fn row(name: &str, before: &Before, made: &Revision) -> BindingRow {
    let old = before.row.as_ref();
    let in_force = made.was_in_force;
    BindingRow {
        name: name.to_owned(),
        made_ms: old.map_or(made.at_ms, |it| it.made_ms),
        changes: old.map_or(1, |it| it.changes + 1),
        last: made.number,
        current: if in_force { Some(made.number) } else { old.and_then(|it| it.current) },
        pending: (!in_force).then_some(made.number),
        previous: if in_force { made.before } else { old.and_then(|it| it.previous) },
        uses: Vec::new(),
    }
}

/// A shipped plugin's bytes among the blobs, so that the binding keeps them when another
/// release of the server brings others along.
async fn pinned(app: &App, plugin: &InstalledRow) -> Result<Option<Stored>> {
    let shipped = SHIPPED.iter().find(|it| plugin.shipped && it.sha256 == plugin.sha256);
    let Some(shipped) = shipped else { return Ok(None) };
    let bytes = stream::iter([Ok(Bytes::from_static(shipped.component))]);
    app.blobs.put(bytes, u64::MAX).await.map(Some)
}

/// Sees that the plugin is still there; one that was shipped is kept.
fn keep_plugin(change: &mut dyn Change, plugin: &InstalledRow, pinned: bool) -> Result<()> {
    if installed::find(change, &plugin.name, &plugin.version)?.is_some() {
        return Ok(());
    }
    if !pinned {
        let message = format!("`{}` {} was removed meanwhile", plugin.name, plugin.version);
        return Err(Error::Conflict(message));
    }
    let manifest = shipped::find(&plugin.name, &plugin.version).and_then(|it| it.manifest.as_ref());
    installed::insert(change, plugin, manifest)
}

/// Sees that nobody else has changed it meanwhile.
fn unmoved(change: &dyn Change, name: &str, found: &Option<BindingRow>) -> Result<()> {
    match bindings::find(change, name)? == *found {
        true => Ok(()),
        false => Err(Error::Outdated(format!("the binding `{name}` has just been changed"))),
    }
}

/// Drops the revision that waits for a grant.
async fn drop_pending(app: &App, permit: &Permit, name: &str, before: Before) -> Result<Changed> {
    let (Some(found), Some(pending)) = (before.row, before.pending) else {
        return Err(Error::not_found("binding", name));
    };
    let object = object(name, &pending);
    let fixed = |_, _: &()| Err("a binding stays as it was asked for".to_owned());
    permit.reviewed(app, (), object.clone(), Some(object.clone()), fixed).await?;
    let told = Announcement::of(permit, Some(object));
    let work = move |change: &mut dyn Change| {
        let row = BindingRow { pending: None, changes: found.changes + 1, ..found.clone() };
        unmoved(change, &row.name, &Some(found))?;
        match row.current {
            Some(_) => bindings::put(change, &row, None)?,
            // Nothing of it was ever in force.
            None => bindings::delete(change, &row.name)?,
        }
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await?;
    Ok(Changed::Done)
}

async fn delete(
    app: &App,
    permit: &Permit,
    name: &str,
    before: Before,
    force: bool,
) -> Result<Changed> {
    let object = before.current.as_ref().or(before.pending.as_ref()).map(|it| object(name, it));
    let fixed = |_, _: &()| Err("there is nothing to change in a deletion".to_owned());
    permit.reviewed(app, (), object.clone().unwrap_or_default(), object.clone(), fixed).await?;
    let set = app.extend.set(&app.plugins, Some((name, None)))?;
    guard(app, permit, name, &set, [before.spec.as_ref(), None], force)?;
    let told = Announcement::of(permit, object);
    let (key, found) = (name.to_owned(), before.row);
    let work = move |change: &mut dyn Change| {
        unmoved(change, &key, &found)?;
        bindings::delete(change, &key)?;
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await?;
    app.extend.stands(name, None);
    app.plugins.swap(set);
    tracing::info!(binding = name, "a binding was deleted");
    Ok(Changed::Done)
}
