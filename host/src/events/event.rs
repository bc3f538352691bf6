//! An event, made of an audit record.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    clock,
    store::audit::{Entry, Outcome},
};

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Its number, which rises with each event; not every number is an event.
    pub id: u64,
    /// When it was made: RFC 3339.
    pub at: String,
    /// What was done: `inventory:version:register`, `release:install`.
    pub action: String,
    /// How far it is: a release's operations tell of their beginning and their end.
    pub turn: Turn,
    /// Why it did not work, where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub why: Option<String>,
    /// What it was done to.
    pub target: EventTarget,
    /// Who did it.
    pub actor: String,
    /// The request that it was done in; empty for what the server did on its own.
    pub request_id: String,
}

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// It has begun, and something may have changed already.
    Begun,
    /// It is done.
    Done,
    /// It did not work.
    Failed,
}

/// What a change was made to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventTarget {
    /// `namespace`, `unit`, `version`, `tag`, `package`, `release`, `server`.
    pub kind: String,
    /// The namespace that it lies in, or is; empty for what lies in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version, where it is one of a version.
    pub version: Option<String>,
    /// What became of it, where it is not what was asked for that changed: `retired` is
    /// the version of a release that an upgrade or a rollback has taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub became: Option<String>,
}

/// An event as all watchers share it.
#[derive(Debug)]
pub struct Told {
    /// Its number.
    pub id: u64,
    /// What was done.
    pub action: String,
    /// The namespace of what it was done to.
    pub namespace: String,
    /// And its name.
    pub name: String,
    /// The event as JSON.
    pub json: Bytes,
}

impl Event {
    /// The event that a record tells of, if it tells of a change.
    pub(super) fn of(entry: Entry) -> Option<Event> {
        let (turn, why) = match entry.outcome {
            Outcome::Begun => (Turn::Begun, None),
            Outcome::Done { .. } => (Turn::Done, None),
            Outcome::Failed { why } => (Turn::Failed, Some(why)),
            Outcome::Refused { .. } | Outcome::PassedOpen { .. } | Outcome::More { .. } => {
                return None;
            }
        };
        Some(Event {
            id: entry.number,
            at: clock::shown(u64::try_from(entry.at_us / 1000).unwrap_or_default()),
            action: entry.action,
            turn,
            why,
            target: EventTarget::of(&entry.resource),
            actor: entry.actor,
            request_id: entry.request_id,
        })
    }
}

impl EventTarget {
    /// Reads `kind/namespace/name/version`, with the labels behind a `?` that only some
    /// have.
    fn of(resource: &str) -> EventTarget {
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        let bare = match kind {
            // Their names may hold a `?`, and they have no labels.
            "release" => rest,
            _ => rest.split('?').next().unwrap_or_default(),
        };
        let (namespace, thing) = bare.split_once('/').unwrap_or((bare, ""));
        let (name, version) = match thing.rsplit_once('/') {
            // A version has no `?` of its own.
            Some((name, version)) => (name, version.split('?').next().map(str::to_owned)),
            None => (thing, None),
        };
        let became = bare.rsplit('/').next().and_then(|it| it.split_once("?status="));
        EventTarget {
            became: became.filter(|_| version.is_some()).map(|it| it.1.to_owned()),
            kind: kind.split('?').next().unwrap_or_default().to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version,
        }
    }
}

impl From<Event> for Told {
    fn from(event: Event) -> Told {
        let json = serde_json::to_vec(&event).expect("an event is plain data");
        let Event { id, action, target, .. } = event;
        let EventTarget { namespace, name, .. } = target;
        Told { id, action, namespace, name, json: json.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(resource: &str) -> (String, String, String, Option<String>) {
        let it = EventTarget::of(resource);
        (it.kind, it.namespace, it.name, it.version)
    }

    #[test]
    fn a_target_is_read_from_the_resource_of_its_record() {
        let of = |kind: &str, namespace: &str, name: &str, version: Option<&str>| {
            (kind.into(), namespace.into(), name.into(), version.map(str::to_owned))
        };
        assert_eq!(target("namespace/acme/acme"), of("namespace", "acme", "acme", None));
        assert_eq!(target("version/acme/web/1.0"), of("version", "acme", "web", Some("1.0")));
        assert_eq!(target("tag/acme/web/1?tag=a/b"), of("tag", "acme", "web", Some("1")));
        assert_eq!(target("tag/acme/web?tag=live"), of("tag", "acme", "web", None));
        assert_eq!(target("release//mine/3"), of("release", "", "mine", Some("3")));
        assert_eq!(target("release//who?/3"), of("release", "", "who?", Some("3")));
        assert_eq!(target("release//who?/3?status=retired"), of("release", "", "who?", Some("3")));
        let became = |resource: &str| EventTarget::of(resource).became;
        assert_eq!(became("release//mine/3?status=retired").as_deref(), Some("retired"));
        assert_eq!(became("release//mine?status=x/3"), None);
        assert_eq!(became("tag/acme/web/1?status=x"), None);
        assert_eq!(target("server"), of("server", "", "", None));
        assert_eq!(target(""), of("", "", "", None));
    }
}
