//! Operations in one batch, against a model of operations one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::{batch::Batch, engine::Engine};

type Model = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

const TABLES: [Table; 2] = [Table("one"), Table("one-more")];

#[derive(Clone, Debug)]
enum Step {
    Put(usize, Vec<u8>, Vec<u8>),
    Delete(usize, Vec<u8>),
    Get(usize, Vec<u8>),
    Range(usize, Vec<u8>, Vec<u8>, bool, usize),
}

fn key_bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(b'a'), Just(0xff)], 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    let table = 0..TABLES.len();
    prop_oneof![
        3 => (table.clone(), key_bytes(), proptest::collection::vec(any::<u8>(), 0..3))
            .prop_map(|(t, k, v)| Step::Put(t, k, v)),
        2 => (table.clone(), key_bytes()).prop_map(|(t, k)| Step::Delete(t, k)),
        1 => (table.clone(), key_bytes()).prop_map(|(t, k)| Step::Get(t, k)),
        2 => (table, key_bytes(), key_bytes(), any::<bool>(), 0..6usize)
            .prop_map(|(t, from, to, reverse, limit)| Step::Range(t, from, to, reverse, limit)),
    ]
}

// An operation: its steps, and whether it succeeds.
fn operation() -> impl Strategy<Value = (Vec<Step>, bool)> {
    (proptest::collection::vec(step(), 0..6), any::<bool>())
}

fn model_range(model: &Model, step: &Step) -> Vec<Row> {
    let Step::Range(table, from, to, reverse, limit) = step else { return Vec::new() };
    let inside = |(name, key): &(&str, Vec<u8>)| {
        *name == TABLES[*table].0 && key >= from && (to.is_empty() || key < to)
    };
    let rows = model.iter().filter(|(at, _)| inside(at));
    let mut rows: Vec<Row> = rows.map(|((_, key), it)| (key.clone(), it.clone())).collect();
    if *reverse {
        rows.reverse();
    }
    rows.truncate(*limit);
    rows
}

fn run(steps: &[Step], model: &mut Model, change: &mut dyn Change) {
    for step in steps {
        match step {
            Step::Put(table, key, value) => {
                change.put(TABLES[*table], key, value.clone());
                model.insert((TABLES[*table].0, key.clone()), value.clone());
            }
            Step::Delete(table, key) => {
                change.delete(TABLES[*table], key);
                model.remove(&(TABLES[*table].0, key.clone()));
            }
            Step::Get(table, key) => {
                let expected = model.get(&(TABLES[*table].0, key.clone())).cloned();
                assert_eq!(change.get(TABLES[*table], key).unwrap(), expected);
            }
            Step::Range(table, from, to, reverse, limit) => {
                let take = Take { reverse: *reverse, limit: *limit };
                let found = change.range(TABLES[*table], from, to, take).unwrap();
                assert_eq!(found, model_range(model, step), "{step:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_batch_is_its_successful_operations_one_by_one(
        batches in proptest::collection::vec(
            proptest::collection::vec(operation(), 1..6), 1..4)
    ) {
        let engine = Engine::open(Arc::new(Memory::default()), 1 << 20).unwrap();
        let mut model = Model::new();
        for operations in batches {
            let base = engine.snapshot().unwrap();
            let mut batch = Batch::over(&base);
            for (steps, succeeds) in operations {
                let before = model.clone();
                run(&steps, &mut model, &mut batch);
                let digests = batch.digests().unwrap();
                if model == before {
                    prop_assert_eq!(&digests.before, &digests.after);
                } else {
                    prop_assert_ne!(&digests.before, &digests.after);
                }
                if succeeds {
                    batch.accept();
                } else {
                    batch.take_back();
                    model = before;
                }
            }
            engine.commit(&mut batch.rows()).unwrap();
        }
        let snapshot = engine.snapshot().unwrap();
        for (table, name) in TABLES.into_iter().enumerate() {
            let all = Take { reverse: false, limit: usize::MAX };
            let found = snapshot.range(name, b"", b"", all).unwrap();
            let step = Step::Range(table, vec![], vec![], false, usize::MAX);
            prop_assert_eq!(found, model_range(&model, &step));
        }
    }
}

#[tokio::test]
async fn many_writers_share_a_commit_and_each_gets_its_own_answer() {
    let store = Store::in_memory().await.unwrap();
    let writes = (0..500u32).map(|number| {
        store.write(by("ana"), move |change| {
            let counter = find::<Thing>(change, THINGS, b"counter")?.map_or(0, |it| it.0);
            keep(change, THINGS, b"counter", &Thing(counter + 1));
            if number % 3 == 0 { Err(Error::Conflict(number.to_string())) } else { Ok(number) }
        })
    });
    let answers = futures::future::join_all(writes).await;
    for (number, answer) in (0..).zip(answers) {
        match answer {
            Ok(it) => assert!(it == number && number % 3 != 0),
            Err(Error::Conflict(it)) => assert!(it == number.to_string() && number % 3 == 0),
            Err(it) => panic!("{it}"),
        }
    }
    let count = store.read(|view| find::<Thing>(view, THINGS, b"counter")).await.unwrap();
    assert_eq!(count, Some(Thing(333)));
    assert_eq!(store.verify_audit().await.unwrap(), 333);
}
