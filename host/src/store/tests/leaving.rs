//! Deleting namespaces, and emptying the inventory.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    inventory::{NamespaceName, UnitName, Version},
    store::{
        hooks_documents::{HooksDocument, hooks_of_namespace_put, hooks_of_unit_put},
        leaving::{
            Emptying, Leaving, inventory_empty, namespace_delete, namespace_delete_more,
            namespace_is_leaving, namespace_leaving,
        },
        namespaces::{NamespaceRecord, namespace, namespace_insert, namespaces_public},
        unit_releases::{
            PackageRecord, UnitKey, UnitReleaseRecord, unit_release_downloads_add,
            unit_release_insert, unit_release_owner,
        },
        units::{UnitRecord, unit, unit_put},
    },
};

/// Names that start alike, whose rows lie side by side.
const NAMES: [&str; 5] = ["_", "ab", "ab-c", "ab_", "abc"];

fn name(text: &str) -> NamespaceName {
    NamespaceName::parse(text).unwrap()
}

/// What is put under a namespace, a unit and a version, by their numbers.
#[derive(Clone, Debug)]
struct Put {
    namespace: usize,
    unit: usize,
    version: String,
    has_package: bool,
    has_hooks: bool,
}

fn put(change: &mut dyn Change, put: &Put) -> Result<()> {
    let namespace_name = name(NAMES[put.namespace]);
    let unit_name = UnitName::parse(NAMES[put.unit + 1]).unwrap();
    let key = UnitKey { namespace: &namespace_name, name: &unit_name };
    if namespace(change, &namespace_name)?.is_none() {
        let record = NamespaceRecord { is_public: put.has_hooks, ..NamespaceRecord::default() };
        namespace_insert(change, &namespace_name, &record)?;
    }
    let releases = unit(change, &namespace_name, &unit_name)?.map_or(0, |it| it.releases) + 1;
    let record =
        UnitRecord { latest_version: put.version.clone(), releases, ..UnitRecord::default() };
    unit_put(change, &namespace_name, &unit_name, &record);
    let version = Version::parse(&put.version).unwrap();
    let package = PackageRecord { sha256: "77".repeat(32), size: 1, uploaded_at: String::new() };
    if put.has_package {
        blob_refs::refer(change, &package.sha256, &unit_release_owner(key, &version));
    }
    let record = UnitReleaseRecord {
        number: releases,
        package: put.has_package.then_some(package),
        ..UnitReleaseRecord::default()
    };
    unit_release_insert(change, key, &version, &record, b"{}\n");
    unit_release_downloads_add(change, key, &version, 1)?;
    if put.has_hooks {
        let document = HooksDocument { hooks: [("slack".to_owned(), None)].into() };
        hooks_of_namespace_put(change, &namespace_name, &document);
        hooks_of_unit_put(change, key, &document);
    }
    Ok(())
}

async fn fill(store: &Store, puts: Vec<Put>) {
    store
        .write_unaudited(move |change| puts.iter().try_for_each(|it| put(change, it)))
        .await
        .unwrap();
}

/// A namespace of so many releases, with versions of so many parts.
async fn fill_large(store: &Store, namespace: usize, releases: usize, parts: usize) {
    let tail = ".1".repeat(parts - 1);
    let put = |it| Put {
        namespace,
        unit: it % 3,
        version: format!("{it}{tail}"),
        has_package: it % 2 == 0,
        has_hooks: it % 5 == 0,
    };
    fill(store, (0..releases).map(put).collect()).await;
}

async fn rows(store: &Store) -> Vec<KeptRow> {
    store.rows(None, usize::MAX).await.unwrap()
}

/// Whether a row is about a namespace: its key or a part of it is the name.
fn is_of(row: &KeptRow, namespace: &str) -> bool {
    match row.table.as_str() {
        "blob_refs" => {
            String::from_utf8_lossy(&row.key).contains(&format!("unit-release/{namespace}/"))
        }
        _ => row.key.split(|it| *it == 0).next() == Some(namespace.as_bytes()),
    }
}

async fn delete(store: &Store, namespace: &'static str) -> Leaving {
    store.write_unaudited(|change| namespace_delete(change, &name(namespace))).await.unwrap()
}

/// Goes on to the end, and says how many transactions that took.
async fn delete_to_the_end(store: &Store, namespace: &'static str) -> usize {
    let mut left = delete(store, namespace).await;
    let mut count = 1;
    while left == Leaving::Begun {
        let more = store.write_unaudited(|change| namespace_delete_more(change, &name(namespace)));
        left = more.await.unwrap();
        count += 1;
    }
    count
}

#[tokio::test]
async fn a_small_namespace_goes_in_one_transaction() {
    let store = Store::in_memory().await.unwrap();
    fill_large(&store, 1, 100, 3).await;
    fill_large(&store, 2, 5, 3).await;
    let others: Vec<_> = rows(&store).await.into_iter().filter(|it| !is_of(it, "ab")).collect();
    assert_eq!(delete(&store, "ab").await, Leaving::Gone);
    assert_eq!(rows(&store).await, others);
}

#[tokio::test]
async fn a_large_one_cannot_be_found_from_the_first_transaction_on() {
    let store = Store::in_memory().await.unwrap();
    fill_large(&store, 1, 120, 60).await;
    fill_large(&store, 2, 5, 3).await;
    let before = rows(&store).await;
    assert_eq!(delete(&store, "ab").await, Leaving::Begun);
    let left = rows(&store).await.len();
    assert!(left > 1000, "{left} rows are left");
    assert!(before.len() - left < 2500, "{} rows went at once", before.len() - left);

    let look = |view: &dyn View| {
        let ab = name("ab");
        let found = namespace(view, &ab)?;
        Ok((
            found,
            namespace_is_leaving(view, &ab)?,
            namespace_leaving(view)?,
            namespaces_public(view, "", 9)?,
        ))
    };
    let (found, is_leaving, leaving, public) = store.read(look).await.unwrap();
    assert_eq!((found, is_leaving, leaving), (None, true, Some(name("ab"))));
    assert_eq!(public, ["ab-c"]);
    let again = |change: &mut dyn Change| {
        namespace_insert(change, &name("ab"), &NamespaceRecord::default())
    };
    let refused = store.write_unaudited(again).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict(it) if it.contains("`ab` is being deleted")));

    let count = delete_to_the_end(&store, "ab").await;
    assert!(count > 2, "it took {count} transactions");
    let others: Vec<_> = before.into_iter().filter(|it| !is_of(it, "ab")).collect();
    assert_eq!(rows(&store).await, others);
    store.write_unaudited(again).await.unwrap();
}

#[tokio::test]
async fn going_on_with_what_has_ended_touches_nothing() {
    let store = Store::in_memory().await.unwrap();
    fill_large(&store, 1, 5, 3).await;
    let before = rows(&store).await;
    let more = |change: &mut dyn Change| namespace_delete_more(change, &name("ab"));
    assert_eq!(store.write_unaudited(more).await.unwrap(), Leaving::Gone);
    assert_eq!(rows(&store).await, before);
}

#[tokio::test]
async fn a_namespace_is_public_as_long_as_it_says_so() {
    let store = Store::in_memory().await.unwrap();
    let put = |is_public| {
        move |change: &mut dyn Change| {
            let record = NamespaceRecord { is_public, ..NamespaceRecord::default() };
            crate::store::namespaces::namespace_put(change, &name("ab"), &record)
        }
    };
    for is_public in [true, false, true, true] {
        store.write_unaudited(put(is_public)).await.unwrap();
        let public = store.read(|view| namespaces_public(view, "", 9)).await.unwrap();
        assert_eq!(public.len(), usize::from(is_public));
    }
    let behind = store.read(|view| namespaces_public(view, "ab", 9)).await.unwrap();
    assert_eq!(behind, [""; 0]);
}

#[tokio::test]
async fn an_emptied_inventory_has_no_rows() {
    let store = Store::in_memory().await.unwrap();
    let new = rows(&store).await;
    for namespace in 0..NAMES.len() {
        fill_large(&store, namespace, 30, 30).await;
    }
    let more = |change: &mut dyn Change| {
        blob_refs::refer(change, &"88".repeat(32), "package/1");
        Ok(())
    };
    store.write_unaudited(more).await.unwrap();
    let mut rounds = 0;
    loop {
        rounds += 1;
        match store.write_unaudited(|change| inventory_empty(change)).await.unwrap() {
            Emptying::Empty => break,
            Emptying::Begun => {}
            Emptying::Leaving => {
                let leaving = store.read(|view| namespace_leaving(view)).await.unwrap().unwrap();
                let more = move |change: &mut dyn Change| namespace_delete_more(change, &leaving);
                store.write_unaudited(more).await.unwrap();
            }
        }
    }
    assert!(rounds > 1, "all went at once");
    let left: Vec<_> = rows(&store).await.into_iter().filter(|it| !new.contains(it)).collect();
    let [reference] = &left[..] else { panic!("{left:?}") };
    assert!(reference.key.ends_with(b"\0package/1"));
}

#[tokio::test]
async fn all_rows_are_found_in_pieces() {
    let store = Store::in_memory().await.unwrap();
    fill_large(&store, 1, 4, 3).await;
    let all = rows(&store).await;
    let mut pieces: Vec<KeptRow> = Vec::new();
    loop {
        let after = pieces.last().map(|it| (it.table.as_str(), it.key.as_slice()));
        let piece = store.rows(after, 3).await.unwrap();
        if piece.is_empty() {
            break;
        }
        pieces.extend(piece);
    }
    assert_eq!(pieces, all);
    let tables: BTreeSet<_> = all.iter().map(|it| it.table.as_str()).collect();
    assert!(tables.contains("unit_releases") && tables.contains("meta"), "{tables:?}");
}

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let version = prop_oneof![
        vec(0..12u32, 1..5)
            .prop_map(|parts| { parts.iter().map(u32::to_string).collect::<Vec<_>>().join(".") }),
        (1..60usize).prop_map(|parts| vec!["07"; parts].join(".")),
    ];
    let put = (0..NAMES.len(), 0..3usize, version, any::<bool>(), any::<bool>()).prop_map(
        |(namespace, unit, version, has_package, has_hooks)| Put {
            namespace,
            unit,
            version,
            has_package,
            has_hooks,
        },
    );
    vec(put, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn deleting_one_namespace_leaves_all_others_byte_for_byte(
        mut puts in puts(),
        deleted in 0..NAMES.len(),
    ) {
        let mut seen = BTreeSet::new();
        puts.retain(|it| seen.insert((it.namespace, it.unit, it.version.clone())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::in_memory().await.unwrap();
            fill(&store, puts).await;
            let all = rows(&store).await;
            delete_to_the_end(&store, NAMES[deleted]).await;
            let others: Vec<_> =
                all.into_iter().filter(|it| !is_of(it, NAMES[deleted])).collect();
            assert_eq!(rows(&store).await, others);
        });
    }
}
