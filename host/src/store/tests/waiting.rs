//! Rows that wait in the log, against a map that holds each where it belongs.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Commit(BTreeMap<Vec<u8>, Option<Vec<u8>>>),
    Settle,
    /// Opens it again, after closing it or after a kill.
    Reopen(bool),
}

fn place() -> impl Strategy<Value = Vec<u8>> {
    vec(0..4u8, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        3 => vec(any::<u8>(), 0..40).prop_map(Some),
        2 => Just(None),
        // More than a piece of the log.
        1 => Just(Some(vec![7; 70_000])),
    ];
    prop_oneof![
        8 => proptest::collection::btree_map(place(), value, 1..12).prop_map(Step::Commit),
        2 => Just(Step::Settle),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

fn check(snapshot: &Snapshot, model: &Model, (from, to): (&[u8], &[u8]), limit: usize) {
    for reverse in [false, true] {
        let rows = snapshot.between(from, to, Take { reverse, limit }).unwrap();
        let inside = model.iter().filter(|(it, _)| from <= &it[..] && &it[..] < to);
        let mut expected: Vec<_> =
            inside.map(|(place, value)| (place.clone(), value.clone())).collect();
        if reverse {
            expected.reverse();
        }
        expected.truncate(limit);
        assert_eq!(rows, expected);
    }
    for place in [from, to] {
        assert_eq!(snapshot.at(place).unwrap().as_ref(), model.get(place));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whether_a_row_waits_is_never_seen(
        steps in vec(step(), 1..30),
        ranges in vec((place(), place(), 0..9usize), 4),
        waiting_bytes in 1..3_000usize,
    ) {
        let options = Options { waiting_bytes, ..small() };
        let medium = Arc::new(Memory::default());
        let mut engine = Engine::open(medium.clone(), &options).unwrap();
        let mut model = Model::new();
        let mut earlier = Vec::new();
        for step in steps {
            let is_reopened = matches!(step, Step::Reopen(_));
            match step {
                Step::Commit(rows) => {
                    let mut sent = rows.iter().map(|(at, it)| (&at[..], it.as_deref()));
                    engine.commit(&mut sent).unwrap();
                    for (place, value) in rows {
                        match value {
                            Some(value) => model.insert(place, value),
                            None => model.remove(&place),
                        };
                    }
                }
                Step::Settle => engine.settle().unwrap(),
                Step::Reopen(closes) => {
                    earlier.clear();
                    if closes {
                        engine.close().unwrap();
                    } else {
                        drop(engine);
                    }
                    engine = Engine::open(medium.clone(), &options).unwrap();
                    prop_assert!(engine.is_settled() || !closes);
                }
            }
            let snapshot = engine.snapshot().unwrap();
            for (from, to, limit) in &ranges {
                check(&snapshot, &model, (from, to), *limit);
            }
            check(&snapshot, &model, (b"", &[9]), usize::MAX);
            if !is_reopened {
                earlier.push((snapshot, model.clone()));
            }
        }
        // What was read from stays as it was.
        for (snapshot, model) in &earlier {
            check(snapshot, model, (b"", &[9]), usize::MAX);
        }
        let mut steps = 0;
        while !engine.is_settled() {
            engine.settle().unwrap();
            steps += 1;
            prop_assert!(steps < 1_000, "it never ends");
        }
        check(&engine.snapshot().unwrap(), &model, (b"", &[9]), usize::MAX);
    }
}

#[test]
fn what_waits_stays_within_bounds_whatever_comes() {
    let options = Options { waiting_bytes: 10_000, ..small() };
    let mut engine = Engine::open(Arc::new(Memory::default()), &options).unwrap();
    let mut most = 0;
    for number in 0..3_000u32 {
        let value = vec![0; (number % 7 * 100) as usize];
        engine.commit(&mut [(&number.to_be_bytes()[..], Some(&value[..]))].into_iter()).unwrap();
        most = most.max(engine.waiting_bytes());
    }
    assert!(most > 10_000, "rows wait: {most}");
    assert!(most < 25_000, "{most} bytes wait");
    let pieces = engine.log_pieces();
    assert!(pieces < 200, "{pieces} pieces of the log are left");
}

#[tokio::test]
async fn while_nobody_writes_rows_are_put_in_their_places() {
    let medium = Arc::new(Memory::default());
    let store = Store::start(medium.clone(), Options::default(), None).await.unwrap();
    let mut commits = store.commits();
    store
        .write_unaudited(|change| {
            let _: () = change.put(THINGS, b"a", vec![1]);
            Ok(())
        })
        .await
        .unwrap();
    commits.mark_unchanged();
    // The next change of the state is not by a write.
    tokio::time::timeout(Duration::from_secs(60), commits.changed()).await.unwrap().unwrap();
    assert_eq!(get(&store, b"a").await, Some(vec![1]));
}
