//! What the chain of audit records tells.

use super::*;
use crate::store::audit::{Entry, entries, head};

const AUDIT: Table = Table("audit");

async fn store_with_records(count: u64) -> Store {
    let store = Store::in_memory().await.unwrap();
    for number in 0..count {
        let work = move |change: &mut dyn Change| {
            let _: () = change.put(THINGS, b"a", vec![number as u8]);
            Ok(())
        };
        store.write(by("ana"), work).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_change_tells_who_did_what_to_what() {
    let store = Store::in_memory().await.unwrap();
    let audit = Audit {
        actor: "user:ana".into(),
        token: "tok_1".into(),
        action: "inventory:version:register".into(),
        resource: "version/acme/web/1.0.0".into(),
        policy_digest: "abc".into(),
        request_id: "r-1".into(),
    };
    store
        .write(audit.clone(), |change| {
            let _: () = change.put(THINGS, b"a", vec![1]);
            Ok(())
        })
        .await
        .unwrap();
    store
        .write(audit.clone(), |change| {
            let _: () = change.put(THINGS, b"a", vec![2]);
            Ok(())
        })
        .await
        .unwrap();
    store.write(audit.clone(), |_| Ok(())).await.unwrap();
    store.refused(audit.clone(), "not yours".into()).await.unwrap();
    store
        .write_unaudited(|change| {
            let _: () = change.put(THINGS, b"b", vec![1]);
            Ok(())
        })
        .await
        .unwrap();

    let entries = store.read(|view| entries(view, 1, 10)).await.unwrap();
    let numbers: Vec<_> = entries.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    for it in &entries {
        let kept = Audit {
            actor: it.actor.clone(),
            token: it.token.clone(),
            action: it.action.clone(),
            resource: it.resource.clone(),
            policy_digest: it.policy_digest.clone(),
            request_id: it.request_id.clone(),
        };
        assert_eq!(kept, audit);
        assert!(it.at_us > 1_700_000_000_000_000);
    }
    let digests = |it: &Entry| match &it.outcome {
        Outcome::Done { before, after } => (before.clone(), after.clone()),
        it => panic!("{it:?}"),
    };
    let (one, two, three) = (digests(&entries[0]), digests(&entries[1]), digests(&entries[2]));
    assert_eq!(one.1, two.0, "the second change found what the first one left");
    assert_ne!(one.0, one.1);
    assert_ne!(two.0, two.1);
    assert_eq!(three.0, three.1, "the third changed nothing");
    assert_eq!(entries[3].outcome, Outcome::Refused { why: "not yours".into() });
    assert_eq!(store.verify_audit().await.unwrap(), 4);
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_the_count_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let eve = || Audit { actor: "user:eve".into(), ..Audit::default() };
    let refusals = (0..1000).map(|_| store.refused(eve(), "no".into()));
    for refused in futures::future::join_all(refusals).await {
        refused.unwrap();
    }
    store.close().await.unwrap();

    let store = Store::open(folder.path()).await.unwrap();
    let entries = store.read(|view| entries(view, 1, 5000)).await.unwrap();
    assert!(entries.len() < 500, "{}", entries.len());
    let told: u64 = entries
        .iter()
        .map(|it| match it.outcome {
            Outcome::Refused { .. } => 1,
            Outcome::More { count } => count,
            _ => 0,
        })
        .sum();
    assert_eq!(told, 1000);
    assert_eq!(store.verify_audit().await.unwrap(), entries.len() as u64);
}

#[tokio::test]
async fn what_was_passed_is_not_counted_as_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let ana = || Audit { actor: "user:ana".into(), ..Audit::default() };
    let passed = (0..500).map(|_| store.passed_open(ana(), "a hook failed".into()));
    for it in futures::future::join_all(passed).await {
        it.unwrap();
    }
    store.close().await.unwrap();

    let store = Store::open(folder.path()).await.unwrap();
    let entries = store.read(|view| entries(view, 1, 5000)).await.unwrap();
    let told: u64 = entries
        .iter()
        .map(|it| match it.outcome {
            Outcome::PassedOpen { .. } => 1,
            Outcome::More { count } => count,
            _ => panic!("nothing was refused"),
        })
        .sum();
    assert_eq!(told, 500);
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains("refused"), "no record says so");
    let old: Outcome = serde_json::from_str(r#"{"refused-more":{"count":3}}"#).unwrap();
    assert_eq!(old, Outcome::More { count: 3 }, "older records are read");
}

#[tokio::test]
async fn one_record_changed_removed_or_moved_is_found() {
    const COUNT: u64 = 30;
    let row = |number: u64| number.to_be_bytes();
    type Harm = Box<dyn Fn(&mut dyn Change, u64) + Send>;
    let harms: Vec<(&str, Harm)> = vec![
        (
            "changed",
            Box::new(move |change, at| {
                let mut value = change.get(AUDIT, &row(at)).unwrap().unwrap();
                let place = value.windows(3).position(|it| it == b"ana").unwrap();
                value[place..place + 3].copy_from_slice(b"bob");
                change.put(AUDIT, &row(at), value);
            }),
        ),
        ("removed", Box::new(move |change, at| change.delete(AUDIT, &row(at)))),
        (
            "swapped",
            Box::new(move |change, at| {
                let other = if at == COUNT { 1 } else { at + 1 };
                let (one, two) = (row(at), row(other));
                let first = change.get(AUDIT, &one).unwrap().unwrap();
                let second = change.get(AUDIT, &two).unwrap().unwrap();
                change.put(AUDIT, &one, second);
                change.put(AUDIT, &two, first);
            }),
        ),
        (
            "added",
            Box::new(move |change, at| {
                let value = change.get(AUDIT, &row(at)).unwrap().unwrap();
                change.put(AUDIT, &row(COUNT + 1), value);
            }),
        ),
    ];
    for (what, harm) in harms {
        let store = store_with_records(COUNT).await;
        let harm = Arc::new(std::sync::Mutex::new(harm));
        for at in 1..=COUNT {
            assert_eq!(store.verify_audit().await.unwrap(), COUNT);
            let harm = harm.clone();
            let state = store.write_unaudited(move |change| {
                let all = Take { reverse: false, limit: usize::MAX };
                let before = change.range(AUDIT, b"", b"", all)?;
                harm.lock().unwrap()(change, at);
                Ok(before)
            });
            let before = state.await.unwrap();
            let found = store.verify_audit().await;
            assert!(found.is_err(), "record {at} was {what} and that was not found");
            let mend = store.write_unaudited(move |change| {
                change.delete(AUDIT, &row(COUNT + 1));
                for (key, value) in before {
                    change.put(AUDIT, &key, value);
                }
                Ok(())
            });
            mend.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_chain_cut_off_at_its_end_is_found() {
    let store = store_with_records(3).await;
    store
        .write_unaudited(|change| {
            let _: () = change.delete(AUDIT, &3u64.to_be_bytes());
            Ok(())
        })
        .await
        .unwrap();
    let found = store.verify_audit().await.unwrap_err().to_string();
    assert!(found.contains("ends with record 2 and should end with record 3"), "{found}");
    assert_eq!(store.read(|view| head(view)).await.unwrap().number, 3);
}
