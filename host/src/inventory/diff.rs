//! What differs between two releases.
//!
//! Lists are compared by place, maps by key, and each change says where it is in
//! the words of the original, which are the names of its fields in Go. What is
//! compared, and under which name, is said type by type in `members`.

mod members;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{dependencies::kept, resolve::UnitPlace, version::Version};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{View, unit_releases::unit_release_metadata},
};

/// How much a diff may take. The paths of changes repeat keys, so two small releases
/// can differ in very many words.
const DIFF_BYTES_MAX: u64 = 16 << 20;

/// What a change takes besides its own text.
const CHANGE_BYTES: usize = 256;

/// The changes from one release to another: by the first part of their paths, then
/// by what they are, `add`, `change` or `remove`.
pub type Diff = BTreeMap<String, BTreeMap<&'static str, Vec<Change>>>;

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    /// Where it is: `Inputs`, `[0]`, `.Default`; a key of a map is `["key"]`.
    pub path: Vec<String>,
    /// What was there; of lists and maps what is gone, by its short name.
    pub previous_value: Value,
    /// What is there now; of lists and maps what is new, by its short name.
    pub new_value: Value,
    /// There is something that was not there.
    pub added: bool,
    /// Something is no longer there.
    pub removed: bool,
}

/// What changes from one release of a unit to another.
pub async fn diff(
    app: &App,
    _: [&Permit; 2],
    place: &UnitPlace,
    old: &Version,
    new: &Version,
) -> Result<Diff> {
    let (place, old, new) = (place.clone(), old.clone(), new.clone());
    let compare = move |view: &dyn View| {
        let read = |version: &Version| match unit_release_metadata(view, place.key(), version)? {
            Some(metadata) => kept(&metadata),
            None => Err(place.no_release(version)),
        };
        between(&read(&old)?, &read(&new)?)
    };
    // Large releases take a while.
    app.store.scan(compare).await
}

fn between<T: Compare>(old: &T, new: &T) -> Result<Diff> {
    let mut changes = Changes::default();
    old.compare(new, &mut changes);
    match changes.are_too_many {
        true => Err(Error::TooLarge { what: "diff", limit_bytes: DIFF_BYTES_MAX }),
        false => Ok(changes.found),
    }
}

/// What can be compared with another of its kind.
trait Compare {
    /// Notes each change from `self` to `new`.
    fn compare(&self, new: &Self, changes: &mut Changes);

    /// Stands for it where a list has gained or lost it.
    fn short(&self) -> Value;
}

/// A thing that may be absent, and is shown whole where it comes or goes.
trait Optional: Compare + Serialize {}

/// The changes so far, and where the comparison stands.
#[derive(Default)]
struct Changes {
    path: Vec<String>,
    found: Diff,
    size_bytes: u64,
    are_too_many: bool,
}

impl Changes {
    /// Compares what two things have under that name.
    fn member<T: Compare>(&mut self, name: &str, old: &T, new: &T) {
        let part = if self.path.is_empty() { name.to_owned() } else { format!(".{name}") };
        self.within(part, old, new);
    }

    fn within<T: Compare>(&mut self, part: String, old: &T, new: &T) {
        if self.are_too_many {
            return;
        }
        self.path.push(part);
        old.compare(new, self);
        self.path.pop();
    }

    fn list<T: Compare>(&mut self, old: &[T], new: &[T]) {
        for (at, (old, new)) in old.iter().zip(new).enumerate() {
            self.within(format!("[{at}]"), old, new);
        }
        for gone in old.iter().skip(new.len()) {
            self.removed(gone.short());
        }
        for more in new.iter().skip(old.len()) {
            self.added(more.short());
        }
    }

    /// Compares maps by their keys, in order.
    fn map<'a, T: Compare + 'a>(
        &mut self,
        old: &BTreeMap<&'a String, &'a T>,
        new: &BTreeMap<&'a String, &'a T>,
    ) {
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for key in keys {
            match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => self.within(format!("[\"{key}\"]"), *old, *new),
                (Some(_), None) => self.removed(Value::from(key.as_str())),
                (None, _) => self.added(Value::from(key.as_str())),
            }
        }
    }

    fn changed(&mut self, previous_value: Value, new_value: Value) {
        self.note("change", previous_value, new_value);
    }

    fn added(&mut self, new_value: Value) {
        self.note("add", Value::Null, new_value);
    }

    fn removed(&mut self, previous_value: Value) {
        self.note("remove", previous_value, Value::Null);
    }

    fn note(&mut self, what: &'static str, previous_value: Value, new_value: Value) {
        let path_bytes: usize = self.path.iter().map(String::len).sum();
        let size = CHANGE_BYTES + path_bytes + size(&previous_value) + size(&new_value);
        self.size_bytes += size as u64;
        self.are_too_many |= self.size_bytes > DIFF_BYTES_MAX;
        let Some(field) = self.path.first().filter(|_| !self.are_too_many) else { return };
        let change = Change {
            path: self.path.clone(),
            previous_value,
            new_value,
            added: what == "add",
            removed: what == "remove",
        };
        self.found.entry(field.clone()).or_default().entry(what).or_default().push(change);
    }
}

/// About what a value takes in memory.
fn size(value: &Value) -> usize {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(key, it)| key.len() + size(it)).sum(),
    };
    size_of::<Value>() + inner
}

impl Compare for String {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        if self != new {
            changes.changed(self.short(), new.short());
        }
    }

    fn short(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Compare for bool {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        if self != new {
            changes.changed(self.short(), new.short());
        }
    }

    fn short(&self) -> Value {
        Value::from(*self)
    }
}

/// Shown as text.
impl Compare for i64 {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        if self != new {
            changes.changed(self.short(), new.short());
        }
    }

    fn short(&self) -> Value {
        Value::from(self.to_string())
    }
}

/// Free JSON: where it has one form on both sides it is looked into.
impl Compare for Value {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        match (self, new) {
            (old, new) if old == new => (),
            (Value::Null, new) => changes.added(new.clone()),
            (old, Value::Null) => changes.removed(old.clone()),
            (Value::Array(old), Value::Array(new)) => changes.list(old, new),
            (Value::Object(old), Value::Object(new)) => {
                changes.map(&old.iter().collect(), &new.iter().collect());
            }
            (old, new) => changes.changed(old.clone(), new.clone()),
        }
    }

    fn short(&self) -> Value {
        self.clone()
    }
}

impl<T: Compare> Compare for Vec<T> {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.list(self, new);
    }

    fn short(&self) -> Value {
        self.iter().map(Compare::short).collect()
    }
}

/// No list is the same as an empty one.
impl<T: Compare> Compare for Option<Vec<T>> {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.list(self.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
    }

    fn short(&self) -> Value {
        self.iter().flatten().map(Compare::short).collect()
    }
}

impl<T: Compare> Compare for BTreeMap<String, T> {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.map(&self.iter().collect(), &new.iter().collect());
    }

    fn short(&self) -> Value {
        self.keys().map(String::as_str).collect()
    }
}

/// No map is the same as an empty one.
impl<T: Compare> Compare for Option<BTreeMap<String, T>> {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        changes.map(&self.iter().flatten().collect(), &new.iter().flatten().collect());
    }

    fn short(&self) -> Value {
        self.iter().flatten().map(|(key, _)| key.as_str()).collect()
    }
}

impl<T: Optional> Compare for Option<T> {
    fn compare(&self, new: &Self, changes: &mut Changes) {
        match (self, new) {
            (Some(old), Some(new)) => old.compare(new, changes),
            (None, Some(new)) => changes.added(whole(new)),
            (Some(old), None) => changes.removed(whole(old)),
            (None, None) => (),
        }
    }

    fn short(&self) -> Value {
        self.as_ref().map_or(Value::Null, Compare::short)
    }
}

fn whole(thing: &impl Serialize) -> Value {
    serde_json::to_value(thing).unwrap_or_default()
}

#[cfg(test)]
mod tests;
