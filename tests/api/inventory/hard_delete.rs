//! Deleting a namespace with everything in it, and wiping a test system.

use std::{collections::BTreeSet, time::Duration};

use chandlery::{
    inventory::NamespaceName,
    plugins::Kind,
    store::{
        blob_refs, inventory_tables,
        leaving::{Leaving, namespace_delete, namespace_is_leaving},
        outbox,
    },
};
use chandlery_tests::{Host, guest};
use futures::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    NO_ROUTE, at,
    everything::{expect_same, fill, rows, says},
    expect_empty, expect_text, host, patient, register, register_version, with_plugins,
};

const WIPE: &str = "/api/v1/internal/database";

fn name(text: &str) -> NamespaceName {
    NamespaceName::parse(text).unwrap()
}

async fn delete(host: &Host, namespace: &str) {
    expect_empty(host.delete(&at(&format!("/{namespace}/hard-delete"))).await, 200);
}

/// A namespace whose rows do not fit one transaction.
async fn fill_large(host: &Host, namespace: &str) {
    let tail = ".0".repeat(110);
    let register = |it: usize| {
        let release =
            json!({ "name": format!("app-{}", it % 3), "version": format!("{it}{tail}") });
        async move { register(host, namespace, &release).await.expect(200) }
    };
    join_all((0..60).map(register)).await;
}

/// Begins a deletion as a server does that is killed right after.
async fn begin(host: &Host, namespace: &'static str) {
    let begin =
        |change: &mut dyn chandlery::store::Change| namespace_delete(change, &name(namespace));
    let begun = host.app.store.write_unaudited(begin).await.unwrap();
    assert_eq!(begun, Leaving::Begun);
}

async fn wait_until_gone(host: &Host, namespace: &'static str) {
    let mut commits = host.app.store.commits();
    let waiting = async {
        loop {
            commits.mark_unchanged();
            let look =
                |view: &dyn chandlery::store::View| namespace_is_leaving(view, &name(namespace));
            if !host.app.store.read(look).await.unwrap() {
                return;
            }
            commits.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it goes");
}

#[tokio::test]
async fn a_deleted_namespace_leaves_nothing_behind() {
    let host = host().await;
    fill(&host, "staying").await;
    let others = rows(&host).await;
    fill(&host, "vanishing").await;
    let filled = rows(&host).await;
    for table in inventory_tables() {
        let found = filled.iter().any(|it| it.table == table && says(it, "vanishing"));
        assert!(found, "`everything.rs` puts nothing into the table `{table}`");
    }
    let named: Vec<_> = others.iter().filter(|it| says(it, "vanishing")).collect();
    assert!(named.is_empty(), "{named:?}");

    delete(&host, "vanishing").await;

    let left = rows(&host).await;
    let named: Vec<_> = left.iter().filter(|it| says(it, "vanishing")).collect();
    assert!(named.is_empty(), "{named:?}");
    expect_same(&left, &others);
    expect_empty(host.get(&at("/vanishing/")).await, 404);
    host.get(&at("/staying/units/app/versions/v1.0/download")).await.expect(200);
}

#[tokio::test]
async fn bytes_that_no_record_needs_any_more_are_let_go() {
    let host = host().await;
    fill(&host, "staying").await;
    fill(&host, "vanishing").await;
    let owners = async |bytes: &str| {
        let sha256 = hex::encode(Sha256::digest(bytes));
        host.app.store.read(move |view| blob_refs::owners(view, &sha256, 10)).await.unwrap()
    };
    assert_eq!(owners("bytes that others have, too").await.len(), 2);
    assert_eq!(owners("bytes of vanishing 1.0").await, ["unit-release/vanishing/app/1.0"]);
    delete(&host, "vanishing").await;
    assert_eq!(owners("bytes that others have, too").await, ["unit-release/staying/base/1.0"]);
    assert_eq!(owners("bytes of vanishing 1.0").await, [""; 0]);
    let path = at("/staying/units/base/versions/v1.0/download");
    assert_eq!(host.get(&path).await.expect(200).text(), "bytes that others have, too");
}

#[tokio::test]
async fn what_does_not_exist_has_been_deleted() {
    let host = host().await;
    fill(&host, "staying").await;
    let before = rows(&host).await;
    for absent in ["absent", "Bad", "list", "a", "%00", "stayin", "staying-2", "%C3%A4"] {
        delete(&host, absent).await;
    }
    expect_empty(host.delete(&at("/absent/hard-delete/")).await, 200);
    expect_same(&rows(&host).await, &before);
}

#[tokio::test]
async fn a_namespace_that_is_added_again_starts_from_nothing() {
    let host = host().await;
    fill(&host, "ns").await;
    delete(&host, "ns").await;
    let next = at("/ns/units/app/next-version");
    assert_eq!(host.get(&next).await.expect(200).text(), "0");
    host.post(&at("/ns/add-namespace"), &json!({ "name": "ns" })).await.expect(200);
    let namespace = host.get(&at("/ns/")).await.expect(200).json();
    assert_eq!((&namespace["is_public"], &namespace["units"]), (&json!(false), &json!({})));
    assert_eq!(host.get(&at("/ns/hooks/")).await.expect(200).json(), json!({}));
    expect_empty(host.get(&at("/ns/units/app/hooks/")).await, 404);

    register_version(&host, "ns", "app", "1.0").await;
    let release = host.get(&at("/ns/units/app/versions/v1.0/?full=1")).await.expect(200).json();
    assert_eq!((&release["downloads"], &release["versions"]), (&json!(0), &json!(["1.0"])));
    expect_empty(host.get(&at("/ns/units/app/versions/v1.0/download")).await, 404);
    assert_eq!(host.get(&at("/ns/units/app/hooks/")).await.expect(200).json(), json!({}));
    host.upload(&at("/ns/units/app/versions/v1.0/upload"), b"new").await.expect(200);
    assert_eq!(host.get(&next).await.expect(200).text(), "2");
}

#[tokio::test]
async fn a_large_namespace_goes_in_pieces_and_is_answered_when_all_is_gone() {
    let host = host().await;
    fill(&host, "staying").await;
    let others = rows(&host).await;
    fill_large(&host, "large").await;
    let all = rows(&host).await.len() - others.len();
    assert!(all > 4_000, "{all} rows fit fewer than three transactions");
    let answers = join_all((0..3).map(|_| delete(&host, "large"))).await;
    assert_eq!(answers.len(), 3);
    expect_same(&rows(&host).await, &others);
    assert!(host.app.store.verify_audit().await.unwrap() > 0);
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_is_not_there_and_cannot_be_taken() {
    let host = host().await;
    fill_large(&host, "large").await;
    register_version(&host, "other", "app", "1").await;
    let exact = format!("v59{}", ".0".repeat(110));
    let unit = at("/large/units/app-2");
    let tag = json!({ "release_id": format!("large/app-2-{exact}"), "tag": "live" });
    host.post(&format!("{unit}/tags/"), &tag).await.expect(200);
    host.upload(&format!("{unit}/versions/{exact}/upload"), b"x").await.expect(200);
    begin(&host, "large").await;
    for path in ["/large/", "/large/units/", "/large/hooks/"] {
        expect_empty(host.get(&at(path)).await, 404);
    }
    // These rows have not gone yet, and are not found all the same.
    assert!(rows(&host).await.iter().any(|it| says(it, "large") && says(it, "app-2")));
    for path in ["/", "/versions/", "/tags/", "/hooks/"] {
        expect_empty(host.get(&format!("{unit}{path}")).await, 404);
    }
    for version in [&exact, "latest", "v59.@", "live"] {
        for view in ["/", "/?full=1", "/download", "/previous/", "/downstream", "/dependency-graph"]
        {
            expect_empty(host.get(&format!("{unit}/versions/{version}{view}")).await, 404);
        }
    }
    expect_text(host.get(&format!("{unit}/next-version?prefix=59.")).await, 200, "59.0");
    expect_empty(host.upload(&format!("{unit}/versions/{exact}/upload"), b"x").await, 404);
    expect_empty(host.post(&format!("{unit}/tags/"), &tag).await, 404);
    let listed = host.get(&at("/")).await.expect(200).json();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["other"]);
    let why = "the namespace `large` is being deleted: try again when that is done";
    let release = json!({ "name": "app", "version": "1" });
    expect_text(register(&host, "large", &release).await, 409, why);
    let again = host.post(&at("/large/add-namespace"), &json!({ "name": "large" })).await;
    expect_text(again, 409, why);
    expect_empty(host.put(&at("/large/"), &json!({ "name": "large" })).await, 404);
    register_version(&host, "other", "app", "2").await;

    // Whoever asks for it again waits until it is done.
    delete(&host, "large").await;
    assert!(!rows(&host).await.iter().any(|it| says(it, "large")));
    register_version(&host, "large", "app", "1").await;
}

#[tokio::test]
async fn a_deletion_that_a_crash_has_cut_off_goes_on_at_the_next_start() {
    let host = host().await;
    fill(&host, "staying").await;
    let others = rows(&host).await;
    fill_large(&host, "large").await;
    begin(&host, "large").await;
    assert!(rows(&host).await.iter().any(|it| says(it, "large")));
    let host = host.restart().await;
    wait_until_gone(&host, "large").await;
    expect_same(&rows(&host).await, &others);
    register_version(&host, "large", "app", "1").await;
}

#[tokio::test]
async fn a_deletion_goes_on_when_its_client_has_left() {
    let host = host().await;
    fill_large(&host, "large").await;
    let path = at("/large/hard-delete");
    let mut leaving = Box::pin(host.delete(&path));
    let polled = futures::poll!(&mut leaving);
    assert!(polled.is_pending());
    drop(leaving);
    let mut commits = host.app.store.commits();
    let gone = async {
        loop {
            commits.mark_unchanged();
            if !rows(&host).await.iter().any(|it| says(it, "large")) {
                return;
            }
            commits.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it goes on");
}

#[tokio::test]
async fn registers_and_uploads_during_a_deletion_leave_nothing_between() {
    let host = host().await;
    fill_large(&host, "raced").await;
    let registers = (0..40).map(|it| {
        let host = &host;
        async move {
            let version = format!("{}", 1000 + it);
            let release = json!({ "name": "app-0", "version": version });
            let registered = register(host, "raced", &release).await;
            let upload = at(&format!("/raced/units/app-0/versions/v{version}/upload"));
            let uploaded = host.upload(&upload, version.as_bytes()).await;
            let hooks = at("/raced/units/app-0/hooks/");
            let hooked = host.put(&hooks, &json!({ "events": { "url": "x" } })).await;
            assert!(matches!(registered.status, 200 | 409), "{}", registered.text());
            assert!(matches!(uploaded.status, 200 | 404), "{}", uploaded.text());
            assert!(matches!(hooked.status, 201 | 404), "{}", hooked.text());
        }
    });
    tokio::join!(join_all(registers), delete(&host, "raced"));
    // What came after the deletion stands by itself: units have all of their releases.
    let namespace = host.get(&at("/raced/")).await;
    if namespace.status == 200 {
        let units = namespace.json()["units"].clone();
        for unit in units.as_object().unwrap().keys() {
            let unit = host.get(&at(&format!("/raced/units/{unit}/"))).await.expect(200).json();
            let versions = unit["versions"].as_array().unwrap();
            assert!(versions.iter().all(|it| it.as_str().unwrap().len() == 4), "{versions:?}");
        }
    }
    delete(&host, "raced").await;
    let left: Vec<_> = rows(&host).await.into_iter().filter(|it| says(it, "raced")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_before_hook_may_refuse_a_deletion_and_an_after_hook_hears_of_it() {
    let host = host().await;
    fill(&host, "ns").await;
    let before = rows(&host).await;
    with_plugins(&host, vec![guest::allow_all(), guest::refusing_hook()]).await;
    expect_text(host.delete(&at("/ns/hard-delete")).await, 400, "too much");
    let patch = r#"[{"op":"replace","path":"/description","value":"x"}]"#;
    with_plugins(&host, vec![guest::allow_all(), guest::patching_hook(patch)]).await;
    host.delete(&at("/ns/hard-delete")).await.expect(500);
    expect_same(&rows(&host).await, &before);

    let deaf = guest::Wat::new("notifying-hook").component();
    let deaf = guest::binding("deaf", Kind::AfterHook, deaf);
    with_plugins(&host, vec![guest::allow_all(), deaf]).await;
    delete(&host, "ns").await;
    host.post(&at("/x/add-namespace"), &json!({ "name": "other" })).await.expect(200);
    let wanted = outbox::Due {
        now: u64::MAX / 2,
        busy: Default::default(),
        only_fresh: false,
        limit: 10,
        bytes_max: u64::MAX,
    };
    let due = move |view: &dyn chandlery::store::View| outbox::due(view, "deaf", &wanted);
    let due = host.app.store.read(due).await.unwrap();
    let told: BTreeSet<_> =
        due.iter().map(|it| (it.event.action.as_str(), it.event.target.name.as_str())).collect();
    let expected = [("inventory:namespace:delete", "ns"), ("inventory:namespace:create", "other")];
    assert_eq!(told, expected.into());
    let deleted = due.iter().find(|it| it.event.target.name == "ns").unwrap();
    assert_eq!(deleted.event.object.as_ref().unwrap()["description"], "all there is");
}

#[tokio::test]
async fn deleting_one_of_two_random_namespaces_leaves_the_other_byte_for_byte() {
    for seed in 1..=4 {
        let host = host().await;
        let mut dice = Dice(seed);
        // Names that lie side by side in the store.
        let names = [["ab", "ab-c"], ["abc", "ab"], ["ab_", "ab"], ["_", "aa"]][dice.roll(4)];
        for _ in 0..60 {
            random_step(&host, names[dice.roll(2)], &mut dice).await;
        }
        let before = rows(&host).await;
        let others: Vec<_> = before.into_iter().filter(|it| !is_of(it, names[0])).collect();
        println!("seed {seed}, {names:?}");
        delete(&host, names[0]).await;
        expect_same(&rows(&host).await, &others);
    }
}

/// Whether a row is a namespace's own: a part of its key is exactly that name.
fn is_of(row: &chandlery::store::KeptRow, namespace: &str) -> bool {
    row.key.split(|it| matches!(it, 0 | b'/')).any(|it| it == namespace.as_bytes())
}

async fn random_step(host: &Host, namespace: &str, dice: &mut Dice) {
    let unit = ["web", "web-x", "webx"][dice.roll(3)];
    let version = format!("{}.{}", dice.roll(3), dice.roll(4));
    let place = at(&format!("/{namespace}/units/{unit}"));
    // What is not there yet, or twice, is refused: that is fine.
    match dice.roll(8) {
        0..=2 => {
            let release = json!({ "name": unit, "version": version, "description": "d" });
            register(host, namespace, &release).await;
        }
        3 => drop(host.upload(&format!("{place}/versions/v{version}/upload"), b"same").await),
        4 => drop(host.get(&format!("{place}/versions/latest/download")).await),
        5 => drop(
            host.put(&format!("{place}/hooks/"), &json!({ "build": { "url": version } })).await,
        ),
        6 => {
            let hooks = json!({ "events": { "url": version } });
            host.put(&at(&format!("/{namespace}/hooks/")), &hooks).await;
        }
        _ => {
            let update = json!({ "name": namespace, "is_public": dice.roll(2) == 0 });
            host.put(&at(&format!("/{namespace}/")), &update).await;
        }
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

async fn test_system() -> Host {
    let plugins = vec![patient(guest::allow_all())];
    Host::builder().plugins(plugins).config(|it| it.dev = true).start().await
}

#[tokio::test]
async fn a_wipe_empties_the_inventory_of_a_test_system() {
    let host = test_system().await;
    let new = rows(&host).await;
    expect_empty(host.delete(WIPE).await, 200);
    expect_same(&rows(&host).await, &new);
    for _ in 0..2 {
        for namespace in ["one", "two", "three"] {
            fill(&host, namespace).await;
        }
        fill_large(&host, "large").await;
        let audited = host.app.store.verify_audit().await.unwrap();
        expect_empty(host.delete(WIPE).await, 200);
        expect_same(&rows(&host).await, &new);
        assert_eq!(host.get(&at("/")).await.expect(200).json(), json!({}));
        assert_eq!(host.app.store.verify_audit().await.unwrap(), audited + 1);
    }
    let last = audit_of(&host).await.pop().unwrap();
    assert_eq!((&last["action"], &last["resource"]), (&json!("server:wipe"), &json!("server")));
    let host = host.restart().await;
    expect_same(&rows(&host).await, &new);
}

#[tokio::test]
async fn there_is_no_such_route_on_any_other_server() {
    let host = host().await;
    register_version(&host, "ns", "app", "1").await;
    let answer = expect_text(host.delete(WIPE).await, 404, NO_ROUTE);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    host.get(&at("/ns/units/app/versions/v1/")).await.expect(200);
}

#[tokio::test]
async fn a_policy_and_a_hook_may_refuse_a_wipe() {
    let host = test_system().await;
    fill(&host, "ns").await;
    let before = rows(&host).await;
    with_plugins(&host, vec![guest::deny_action("server:wipe")]).await;
    expect_text(host.delete(WIPE).await, 403, "not that");
    with_plugins(&host, vec![guest::allow_all(), guest::refusing_hook()]).await;
    expect_text(host.delete(WIPE).await, 400, "too much");
    expect_same(&rows(&host).await, &before);
}

#[tokio::test]
async fn what_is_done_to_namespaces_is_audited() {
    let host = host().await;
    host.post(&at("/x/add-namespace"), &json!({ "name": "ns" })).await.expect(200);
    host.put(&at("/ns/"), &json!({ "name": "ns" })).await.expect(201);
    host.put(&at("/ns/hooks/"), &json!({})).await.expect(201);
    register_version(&host, "ns", "app", "1").await;
    host.put(&at("/ns/units/app/hooks/"), &json!({})).await.expect(201);
    delete(&host, "ns").await;
    let audit = audit_of(&host).await;
    let told: Vec<_> = audit
        .iter()
        .map(|it| format!("{} {}", it["action"], it["resource"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "inventory:namespace:create namespace/ns/ns",
            "inventory:namespace:update namespace/ns/ns",
            "inventory:namespace:update namespace/ns/ns",
            "inventory:version:register version/ns/app/1",
            "inventory:unit:update unit/ns/app",
            "inventory:namespace:delete namespace/ns/ns",
        ]
    );
}

/// The audit records, oldest first, as they are kept.
async fn audit_of(host: &Host) -> Vec<Value> {
    let rows = host.app.store.rows(None, usize::MAX).await.unwrap();
    let records = rows.iter().filter(|it| it.table == "audit");
    records.map(|it| serde_json::from_slice(&it.value[1..]).unwrap()).collect()
}
