//! Bindings as they are told: those of the settings and of the server's own beside those
//! that were made on the running server.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    in_force::{Configured, Origin, Standing},
    listing::Capability,
    names::PluginName,
    next::etag,
    spec,
};
use crate::{
    app::App,
    authz::Permit,
    clock::shown,
    config,
    error::{Error, Result},
    inventory::ETag,
    store::{
        View,
        bindings::{self, BindingRow, Revision, Spec},
        installed,
    },
};

/// A binding.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Binding)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Where it comes from: `stored` for one that was made on the running server,
    /// `shipped` for one that the server puts to work by itself, `configuration`.
    pub origin: &'static str,
    /// `in-force`; `disabled`; `needs-grant` where nothing of it is in force yet;
    /// `broken`; `left-aside` where the server was started without those that are stored.
    pub state: &'static str,
    /// Why it is broken; null where it is not.
    pub why: Option<String>,
    /// The number of the revision; null where it was not made on the running server.
    pub revision: Option<u64>,
    /// When that was made; null where it was not made on the running server.
    pub changed_at: Option<String>,
    /// Who made it; null where it was not made on the running server.
    pub changed_by: Option<String>,
    /// What is put to work, and how.
    pub spec: Spec,
    /// What waits for a grant; null where nothing does.
    pub pending: Option<Pending>,
}

/// A revision that waits for a grant.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = BindingPending)]
pub struct Pending {
    /// Its number.
    pub revision: u64,
    /// When it was asked for.
    pub asked_at: String,
    /// Who asked.
    pub asked_by: String,
    /// What its plugin wants that the one in force does not.
    pub needs: Vec<Capability>,
    /// What would be put to work, and how.
    pub spec: Spec,
}

/// A revision of a binding.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = BindingRevision)]
pub struct Past {
    /// Its number.
    pub revision: u64,
    /// When it was made.
    pub at: String,
    /// Who made it.
    pub by: String,
    /// `in-force`, `pending`, `earlier`, or `never` for one that was never in force.
    pub state: &'static str,
    /// The revision that it is like, where it was made by going back.
    pub like: Option<u64>,
    /// What it was.
    pub spec: Spec,
}

/// A page of all bindings, by name, and the name that the next page is behind.
pub async fn bindings_list(
    app: &App,
    _: &Permit,
    after: Option<String>,
    limit: usize,
) -> Result<(Vec<Shown>, Option<String>)> {
    let configured = app.extend.all_configured().iter().map(|it| it.binding.name.clone());
    let mut names: BTreeSet<String> = configured.collect();
    let stored = app.store.read(|view| bindings::all(view)).await?;
    names.extend(stored.into_iter().map(|it| it.name));
    let after = after.unwrap_or_default();
    let mut wanted = names.into_iter().filter(|it| *it > after);
    let page: Vec<String> = wanted.by_ref().take(limit).collect();
    let next = page.last().cloned().filter(|_| wanted.next().is_some());
    let mut shown = Vec::with_capacity(page.len());
    for name in page {
        shown.push(one(app, &name).await?.map(|it| it.0));
    }
    Ok((shown.into_iter().flatten().collect(), next))
}

/// A binding, with its entity tag.
pub async fn binding(app: &App, _: &Permit, name: &PluginName) -> Result<(Shown, ETag)> {
    let found = one(app, name.as_str()).await?;
    found.ok_or_else(|| Error::not_found("binding", name.as_str()))
}

/// A page of the revisions of a binding, the newest first, and the number that the next
/// page is below.
pub async fn history(
    app: &App,
    _: &Permit,
    name: &PluginName,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<Past>, Option<u64>)> {
    let key = name.as_str().to_owned();
    let found = app.store.read(move |view| {
        let Some(row) = bindings::find(view, &key)? else { return Ok(None) };
        Ok(Some((row, bindings::revisions(view, &key, before, limit + 1)?)))
    });
    let Some((row, mut revisions)) = found.await? else {
        return match app.extend.configured(name.as_str()) {
            Some(_) => Ok((Vec::new(), None)),
            None => Err(Error::not_found("binding", name.as_str())),
        };
    };
    let is_last = revisions.len() <= limit;
    revisions.truncate(limit);
    let next = revisions.last().map(|it| it.number).filter(|_| !is_last);
    Ok((revisions.into_iter().map(|it| past(&row, it)).collect(), next))
}

/// What a binding that was there when the server started is. Its settings are shown as
/// `config show` does it.
pub(super) fn configured_spec(it: &Configured) -> Spec {
    spec::of_configured(&it.binding, it.ready.plugin(), it.ready.version(), it.ready.digest())
}

async fn one(app: &App, name: &str) -> Result<Option<(Shown, ETag)>> {
    let configured = app.extend.configured(name);
    let key = name.to_owned();
    let row = app.store.read(move |view| kept(view, &key)).await?;
    match (configured, row) {
        (Some(it), _) if it.origin == Origin::Configuration => {
            Ok(Some((own(it, None), etag(None))))
        }
        (own_one, Some(kept)) => {
            let tag = etag(Some(&kept.row));
            Ok(stored(app, name, own_one, kept).map(|it| (it, tag)))
        }
        (Some(it), None) => Ok(Some((own(it, None), etag(None)))),
        (None, None) => Ok(None),
    }
}

/// What is kept of a binding.
struct Kept {
    row: BindingRow,
    current: Option<Revision>,
    pending: Option<Pending>,
}

fn kept(view: &dyn View, name: &str) -> Result<Option<Kept>> {
    let Some(row) = bindings::find(view, name)? else { return Ok(None) };
    let revision = |number: Option<u64>| {
        let found = number.map(|it| bindings::revision(view, name, it));
        found.transpose().map(Option::flatten)
    };
    let (current, pending) = (revision(row.current)?, revision(row.pending)?);
    let pending = pending.map(|it| waiting(view, it)).transpose()?;
    Ok(Some(Kept { row, current, pending }))
}

fn waiting(view: &dyn View, it: Revision) -> Result<Pending> {
    let version = it.spec.version.as_deref().unwrap_or_default();
    let plugin = installed::find(view, &it.spec.plugin, version)?;
    let wanted = plugin.map(|it| it.wanted).unwrap_or_default();
    let needs = wanted.into_iter().filter(|wanted| it.needs.contains(&wanted.name));
    let needs = needs.map(|it| Capability {
        name: it.name,
        reason: it.reason,
        imported: it.imported,
        granted: Vec::new(),
    });
    Ok(Pending {
        revision: it.number,
        asked_at: shown(it.at_ms),
        asked_by: it.by,
        needs: needs.collect(),
        spec: it.spec,
    })
}

fn stored(app: &App, name: &str, own_one: Option<&Configured>, kept: Kept) -> Option<Shown> {
    let Kept { row, current, pending } = kept;
    let stored = |state, spec: Spec, pending| Shown {
        name: row.name.clone(),
        origin: Origin::Stored.word(),
        state,
        why: None,
        revision: None,
        changed_at: None,
        changed_by: None,
        spec,
        pending,
    };
    match (current, own_one, pending) {
        (Some(current), _, pending) => {
            let (state, why) = match app.extend.standing(name) {
                Some(Standing::Ready(..)) => ("in-force", None),
                Some(Standing::Off) => ("disabled", None),
                Some(Standing::Broken(why)) => ("broken", Some(why)),
                None => ("left-aside", None),
            };
            Some(Shown {
                why,
                revision: Some(current.number),
                changed_at: Some(shown(current.at_ms)),
                changed_by: Some(current.by),
                ..stored(state, current.spec, pending)
            })
        }
        // Nothing of it has been in force: what is, is the server's own.
        (None, Some(it), pending) => Some(own(it, pending)),
        (None, None, Some(it)) => Some(stored("needs-grant", it.spec.clone(), Some(it))),
        (None, None, None) => None,
    }
}

fn own(it: &Configured, pending: Option<Pending>) -> Shown {
    let mut spec = configured_spec(it);
    spec.settings = config::without_secrets(&spec.settings);
    Shown {
        name: it.binding.name.clone(),
        origin: it.origin.word(),
        state: "in-force",
        why: None,
        revision: None,
        changed_at: None,
        changed_by: None,
        spec,
        pending,
    }
}

fn past(row: &BindingRow, it: Revision) -> Past {
    let state = match it.number {
        number if row.current == Some(number) => "in-force",
        number if row.pending == Some(number) => "pending",
        _ if it.was_in_force => "earlier",
        _ => "never",
    };
    Past {
        revision: it.number,
        at: shown(it.at_ms),
        by: it.by,
        state,
        like: it.like,
        spec: it.spec,
    }
}
