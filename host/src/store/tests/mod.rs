//! The store as the nouns see it, and over media that fail and forget.

mod audit_chain;
mod batches;
mod crash;
mod faults;
mod formats;
mod leaving;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::*;

const THINGS: Table = Table("things");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thing(u32);

impl Record for Thing {
    const WHAT: &'static str = "thing";
}

fn by(actor: &str) -> Audit {
    Audit { actor: actor.into(), action: "test:change".into(), ..Audit::default() }
}

/// The bytes of a database without rows.
fn new_database() -> Vec<u8> {
    let medium = Arc::new(Memory::default());
    Engine::open(medium.clone(), 1 << 20).unwrap().close().unwrap();
    let mut bytes = vec![0; medium.len().unwrap() as usize];
    medium.read(0, &mut bytes).unwrap();
    bytes
}

async fn get(store: &Store, key: &'static [u8]) -> Option<Vec<u8>> {
    store.read(move |view| view.get(THINGS, key)).await.unwrap()
}

#[tokio::test]
async fn what_is_answered_outlives_the_process_and_what_failed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store
        .write(by("ana"), |change| {
            let _: () = keep(change, THINGS, b"a", &Thing(1));
            Ok(())
        })
        .await
        .unwrap();
    let refused = store.write(by("bob"), |change| {
        keep(change, THINGS, b"a", &Thing(2));
        keep(change, THINGS, b"b", &Thing(3));
        Err::<(), _>(Error::Conflict("no".into()))
    });
    assert_eq!(refused.await.unwrap_err().to_string(), "no");
    store.close().await.unwrap();
    assert!(store.read(|_| Ok(())).await.is_err());

    let store = Store::open(folder.path()).await.unwrap();
    let things = |view: &dyn View| {
        Ok((find::<Thing>(view, THINGS, b"a")?, find::<Thing>(view, THINGS, b"b")?))
    };
    assert_eq!(store.read(things).await.unwrap(), (Some(Thing(1)), None));
    assert_eq!(store.verify_audit().await.unwrap(), 1);
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let refused = Store::open(folder.path()).await.err().unwrap().to_string();
    assert!(refused.contains(&std::process::id().to_string()), "{refused}");
    assert!(refused.contains("in use by another server"), "{refused}");
    store.close().await.unwrap();
    Store::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn an_operation_that_panics_is_an_error_and_its_neighbours_stand() {
    let store = Store::in_memory().await.unwrap();
    let good = store.write(by("ana"), |change| {
        let _: () = change.put(THINGS, b"a", vec![1]);
        Ok(())
    });
    let bad = store.write(by("bob"), |change| -> Result<()> {
        change.put(THINGS, b"a", vec![2]);
        panic!("on purpose");
    });
    let after = store.write(by("cat"), |change| change.get(THINGS, b"a"));
    let (good, bad, after) = tokio::join!(good, bad, after);
    good.unwrap();
    assert!(matches!(bad, Err(Error::Internal(_))));
    assert_eq!(after.unwrap(), Some(vec![1]));
    assert_eq!(store.verify_audit().await.unwrap(), 2);
}

#[tokio::test]
async fn a_server_key_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let (one, two) = tokio::join!(store.server_key("seal"), store.server_key("seal"));
    let one = one.unwrap();
    assert_eq!(one, two.unwrap());
    assert_ne!(one, store.server_key("other").await.unwrap());
    store.close().await.unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(store.server_key("seal").await.unwrap(), one);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let options = Options { queue_max: 2, ..Options::default() };
    let store = Store::start(Arc::new(Memory::default()), options, None).await.unwrap();
    let (begun, wait_begun) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let slow = store.write_unaudited(move |_| {
        begun.send(()).unwrap();
        let _: () = wait.recv().unwrap();
        Ok(())
    });
    let mut slow = Box::pin(slow);
    assert!(futures::poll!(&mut slow).is_pending());
    wait_begun.recv().unwrap();

    let mut queued: Vec<_> = (0..2).map(|_| Box::pin(store.write_unaudited(|_| Ok(())))).collect();
    for it in &mut queued {
        assert!(futures::poll!(it).is_pending());
    }
    let full = store.write_unaudited(|_| Ok(())).await;
    assert!(matches!(full, Err(Error::Busy { what: "changes", .. })));
    assert_eq!(get(&store, b"a").await, None, "reads never wait for writers");
    go.send(()).unwrap();
    slow.await.unwrap();
    for it in queued {
        it.await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_was_half_made_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("records.redb.new"), [0; 5000]).unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store
        .write_unaudited(|change| {
            let _: () = change.put(THINGS, b"a", vec![1]);
            Ok(())
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    std::fs::write(folder.path().join("records.redb.new"), [0; 5000]).unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(get(&store, b"a").await, Some(vec![1]));
}
