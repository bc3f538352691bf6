//! What the policy is asked about: exactly the thing that a request is for.

use crate::{
    authz::{Label, Target},
    inventory::{NamespaceName, UnitPlace},
};

/// The server itself.
pub(in crate::api) fn server() -> Target {
    target("server", "", "", None)
}

/// All namespaces.
pub(super) fn all_namespaces() -> Target {
    target("namespace", "", "", None)
}

/// One namespace.
pub(super) fn namespace(name: &NamespaceName) -> Target {
    target("namespace", name.as_str(), name.as_str(), None)
}

/// What a request calls a namespace, and cannot be one.
pub(super) fn named_namespace(name: &str) -> Target {
    target("namespace", name, name, None)
}

/// All units of a namespace.
pub(super) fn all_units(namespace: &NamespaceName) -> Target {
    target("unit", namespace.as_str(), "", None)
}

/// The units of all namespaces.
pub(super) fn every_unit() -> Target {
    target("unit", "", "", None)
}

/// One unit.
pub(super) fn unit(place: &UnitPlace) -> Target {
    target("unit", place.namespace.as_str(), place.unit.as_str(), None)
}

/// What a request calls a unit, and cannot be one.
pub(super) fn named_unit(namespace: &str, unit: &str) -> Target {
    target("unit", namespace, unit, None)
}

/// One version of a unit.
pub(super) fn version(place: &UnitPlace, version: &str) -> Target {
    target("version", place.namespace.as_str(), place.unit.as_str(), Some(version.to_owned()))
}

/// A unit's tag, or all of them, and the version that it is to point to.
pub(super) fn tag(place: &UnitPlace, tag: Option<&str>, version: Option<&str>) -> Target {
    let label = |it: &str| Label { key: "tag".to_owned(), value: it.to_owned() };
    let (namespace, unit) = (place.namespace.as_str(), place.unit.as_str());
    let version = version.map(str::to_owned);
    Target {
        labels: tag.map(label).into_iter().collect(),
        ..target("tag", namespace, unit, version)
    }
}

fn target(kind: &str, namespace: &str, name: &str, version: Option<String>) -> Target {
    Target {
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version,
        labels: Vec::new(),
    }
}
