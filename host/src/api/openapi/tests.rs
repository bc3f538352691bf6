//! The document is whole, and says what is there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

fn parsed() -> Value {
    serde_json::from_slice(&DOCUMENT_WITH_DEV).unwrap()
}

fn each<'a>(value: &'a Value, look: &mut impl FnMut(&'a str, &'a Value)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, it)| {
            look(name, it);
            each(it, look);
        }),
        Value::Array(items) => items.iter().for_each(|it| each(it, look)),
        _ => {}
    }
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = parsed();
    assert_eq!(document["openapi"], "3.1.0");
    let families = router::all(true);
    let mut routes = BTreeSet::new();
    for route in families.iter().flat_map(Routes::iter) {
        let row = (route.path.clone(), route.method.as_str().to_lowercase());
        assert!(routes.insert(row.clone()), "{row:?} is there twice");
    }
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert((path.clone(), method.clone()));
        }
    }
    assert_eq!(described, routes);
}

#[test]
fn every_operation_says_what_it_does_takes_and_gives() {
    let families = router::all(true);
    let mut ids = BTreeSet::new();
    for route in families.iter().flat_map(Routes::iter) {
        let id = route.id;
        assert!(ids.insert(id), "`{id}` names two operations");
        let proper = |it: char| it.is_ascii_alphanumeric();
        assert!(id.starts_with(char::is_lowercase) && id.chars().all(proper), "`{id}`");
        assert!(!route.summary.is_empty() && !route.summary.ends_with('.'), "`{id}`");
        assert!(!route.group.is_empty() && !route.gives.is_empty(), "`{id}`");
        assert!(route.gives.iter().all(|(status, _)| *status < 400), "`{id}`");
        for status in route.failures().into_iter().chain(route.gives.iter().map(|it| it.0)) {
            assert!(!refusals::reason(status).is_empty(), "`{id}`: {status} has no words");
        }
        for part in path_parts(&route.path) {
            assert!(PATH_PARTS.iter().any(|(name, _)| *name == part), "`{id}`: `{part}`");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_described_in_vain() {
    let document = parsed();
    let (mut named, mut seen) = (BTreeSet::new(), BTreeSet::new());
    each(&document, &mut |key, value| {
        if key == "$ref" {
            let target = value.as_str().unwrap();
            let pointer = target.strip_prefix('#').expect("references stay inside");
            assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
            seen.insert(target);
        }
    });
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            named.insert(format!("#/components/{kind}/{name}"));
        }
    }
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    assert_eq!(seen, named);
}

#[test]
fn no_two_types_share_a_name() {
    let families = router::all(true);
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for route in families.iter().flat_map(Routes::iter) {
        let bodies = route.takes.iter().chain(route.gives.iter().map(|(_, it)| it));
        for (name, schema) in bodies.flat_map(|it| &it.schemas) {
            let schema = serde_json::to_value(schema).unwrap();
            let known = known.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(known, &schema, "`{name}` in `{}`", route.id);
        }
    }
}
