//! Finds the hooks documents that an upload is told with, and makes a notice for each
//! URL in them.
//!
//! The upload itself was kept with one row, whoever depends on the unit: what may be
//! much is read here, beside the requests, and kept in steps. An upload that a crash
//! interrupts half-way is gathered again, and its notices have the same ids again.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value, json};

use super::{count_events, now_ms, pause};
use crate::{
    app::App,
    authz::Target,
    error::Result,
    inventory::UnitPlace,
    plugins::PluginSet,
    store::{
        Change, View,
        dependencies::subscribers_page,
        hooks_documents::{HooksDocument, hooks_of_namespace, hooks_of_unit},
        leaving::namespace_is_leaving,
        outbox::{Event, Fate, GATHERING, Notice, Pending, announce_notice, announce_with, settle},
    },
};

/// Units that depend on one and are told of it, at the most.
const DOWNSTREAM_MAX: usize = 1_000;
/// The size of their documents in one event, at the most.
const DOCUMENTS_BYTES_MAX: usize = 1 << 20;
/// Notices kept in one transaction.
const STEP: usize = 50;

/// The hooks documents that go with an event of a unit.
#[derive(Debug, Default)]
struct Documents {
    namespace: HooksDocument,
    unit: HooksDocument,
    /// Of the units whose latest registered release depends on the unit.
    downstream: Vec<(UnitPlace, HooksDocument)>,
    /// Whether there are more of them.
    cut: bool,
}

/// Makes events of the queue [`GATHERING`] ready for the hooks. Says whether it could.
pub(super) async fn gather(app: Arc<App>, set: Arc<PluginSet>, batch: Vec<Pending>) -> bool {
    for pending in batch {
        let Err(error) = gather_one(&app, &set, &pending).await else { continue };
        let event_id = pending.event.id.clone();
        tracing::warn!(%error, event_id, "hooks documents could not be read and are read again");
        let later = Fate::Later(now_ms() + pause(pending.attempt, 0.5).as_millis() as u64);
        let settling = move |change: &mut dyn Change| {
            settle(change, GATHERING, vec![(pending, later)], now_ms())
        };
        // Where this fails as well, the event is still due.
        let _ = app.store.write_unaudited(settling).await;
        return false;
    }
    true
}

async fn gather_one(app: &Arc<App>, set: &PluginSet, pending: &Pending) -> Result<()> {
    let event = &pending.event;
    let hooks = set.document_hooks(&event.action, &event.target);
    let mut notices = Vec::new();
    let mut object = Value::Null;
    if !hooks.is_empty()
        && let Some(place) = place(&event.target)
    {
        let key = place.clone();
        let documents = app.store.scan(move |view| documents(view, &key)).await?;
        if documents.cut {
            let unit = format!("{}/{}", place.namespace, place.unit);
            let limit = DOWNSTREAM_MAX;
            tracing::warn!(unit, limit, "not all units that depend on this one are told of it");
            count_events(GATHERING, "cut", 1);
        }
        object = with(event, "hooks", documents.shown());
        notices = documents.notices(event, &place);
    }
    while notices.len() > STEP {
        let step: Vec<Notice> = notices.drain(..STEP).collect();
        let (event, hooks) = (event.clone(), hooks.clone());
        let keeping = move |change: &mut dyn Change| keep(change, &event, step, &hooks);
        app.store.write_unaudited(keeping).await?;
    }
    let pending = pending.clone();
    let ending = move |change: &mut dyn Change| {
        keep(change, &pending.event, notices, &hooks)?;
        if !object.is_null() {
            announce_with(change, &pending.event, object, hooks)?;
        }
        settle(change, GATHERING, vec![(pending, Fate::Delivered)], now_ms())
    };
    app.store.write_unaudited(ending).await
}

fn keep(
    change: &mut dyn Change,
    event: &Event,
    notices: Vec<Notice>,
    hooks: &[String],
) -> Result<()> {
    notices.into_iter().try_for_each(|it| announce_notice(change, event, it, hooks))
}

fn documents(view: &dyn View, place: &UnitPlace) -> Result<Documents> {
    let mut documents = Documents {
        namespace: hooks_of_namespace(view, &place.namespace)?,
        unit: hooks_of_unit(view, place.key())?,
        ..Documents::default()
    };
    let mut bytes = 0;
    let subscribers = subscribers_page(view, place.key(), None, DOWNSTREAM_MAX + 1)?;
    documents.cut = subscribers.len() > DOWNSTREAM_MAX;
    for unit in subscribers.into_iter().take(DOWNSTREAM_MAX) {
        // There for a little while only.
        if namespace_is_leaving(view, &unit.namespace)? {
            continue;
        }
        let document = hooks_of_unit(view, unit.key())?;
        bytes += size(&document);
        if bytes > DOCUMENTS_BYTES_MAX {
            documents.cut = true;
            break;
        }
        documents.downstream.push((unit, document));
    }
    Ok(documents)
}

impl Documents {
    /// As the Inventory's web hook shows them.
    fn shown(&self) -> Value {
        let downstream = self.downstream.iter().map(|(_, document)| json!(document));
        json!({
            "project_hooks": self.namespace,
            "unit_hooks": self.unit,
            "downstream_hooks": downstream.collect::<Vec<_>>(),
        })
    }

    /// A notice for each URL. The `build` of a unit is for what it depends on: told of
    /// its own uploads, it would build for ever.
    fn notices(&self, event: &Event, place: &UnitPlace) -> Vec<Notice> {
        let mut notices = Notices { event, seen: BTreeSet::new(), list: Vec::new() };
        notices.add(&self.namespace, &["slack", "events"], None);
        notices.add(&self.unit, &["slack", "events"], None);
        for (unit, document) in self.downstream.iter().filter(|(unit, _)| unit != place) {
            notices.add(document, &["slack", "events", "build"], Some(unit));
        }
        notices.list
    }
}

struct Notices<'a> {
    event: &'a Event,
    seen: BTreeSet<String>,
    list: Vec<Notice>,
}

impl Notices<'_> {
    fn add(&mut self, document: &HooksDocument, kinds: &[&str], downstream: Option<&UnitPlace>) {
        for kind in kinds {
            let Some(url) = document.setting(kind, "url") else { continue };
            let mut to = Map::new();
            to.insert("type".to_owned(), json!(kind));
            to.insert("url".to_owned(), json!(url));
            for name in ["username", "icon_emoji"] {
                if let Some(text) = document.setting(kind, name) {
                    to.insert(name.to_owned(), json!(text));
                }
            }
            // A team's builds are one for each unit; one message is enough for its
            // people, whatever names the URL.
            let mut address = vec![*kind, url];
            if let Some(unit) = downstream {
                let unit =
                    json!({ "project": unit.namespace.as_str(), "unit": unit.unit.as_str() });
                to.insert("downstream".to_owned(), unit);
            }
            let unit = downstream.filter(|_| *kind == "build");
            let unit = unit.map(|it| format!("{}/{}", it.namespace, it.unit)).unwrap_or_default();
            address.push(&unit);
            let address = address.join("\0");
            if self.seen.insert(address.clone()) {
                let object = with(self.event, "to", Value::Object(to));
                self.list.push(Notice { lane: [*kind, url].join("\0"), address, object });
            }
        }
    }
}

/// The event's object with one more member.
fn with(event: &Event, name: &str, value: Value) -> Value {
    let mut object = match &event.object {
        Some(Value::Object(it)) => it.clone(),
        _ => Map::new(),
    };
    object.insert(name.to_owned(), value);
    Value::Object(object)
}

fn place(target: &Target) -> Option<UnitPlace> {
    UnitPlace::parse(&target.namespace, &target.name).ok()
}

fn size(document: &HooksDocument) -> usize {
    serde_json::to_vec(document).map_or(0, |it| it.len())
}
