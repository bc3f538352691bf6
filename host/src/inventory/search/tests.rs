use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    inventory::{
        register::{Prepared, Registration, insert, read_release},
        version::Version,
        words::{WORD_BYTES_MAX, searched},
    },
    store::{
        in_memory::Rows,
        search::{search_drop, search_put},
        unit_releases::unit_release,
    },
};

fn put(rows: &mut Rows, namespace: &str, release: &Value) {
    let release = read_release(release.to_string().as_bytes()).unwrap();
    let place = UnitPlace {
        namespace: NamespaceName::parse(namespace).unwrap(),
        unit: release.unit.clone(),
    };
    insert(rows, &place, &Prepared::of(release), Registration::default()).unwrap();
}

fn request(query: &str, limit: usize, cursor: Option<String>) -> Search {
    let request = SearchRequest { query: query.into(), limit: Some(limit.to_string()), cursor };
    Search::parse(&request).unwrap()
}

/// All pages of a search.
fn all(rows: &Rows, query: &str, limit: usize) -> Vec<Hit> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let hits = page(rows, &request(query, limit, cursor)).unwrap();
        assert!(hits.hits.len() <= limit);
        all.extend(hits.hits);
        cursor = hits.next;
        if cursor.is_none() {
            return all;
        }
    }
}

fn ids(hits: &[Hit]) -> Vec<String> {
    hits.iter().map(Hit::release_id).collect()
}

fn found(rows: &Rows, query: &str) -> Vec<String> {
    ids(&all(rows, query, HITS_MAX))
}

#[test]
fn names_come_before_what_is_offered_facts_and_descriptions() {
    let mut rows = Rows::default();
    for release in [
        json!({ "name": "a-text", "version": "1", "description": "pay by card" }),
        json!({ "name": "b-text", "version": "1", "description": "payments" }),
        json!({ "name": "fact", "version": "1", "metadata": { "team": "pay" } }),
        json!({ "name": "gives", "version": "1", "provides": [{ "name": "pay" }] }),
        json!({ "name": "needs", "version": "1", "consumes": [{ "name": "pay" }] }),
        json!({ "name": "free", "version": "1", "license": "PAYWARE" }),
        json!({ "name": "payments", "version": "1" }),
        json!({ "name": "web-pay", "version": "1" }),
    ] {
        put(&mut rows, "ns", &release);
    }
    let hits = all(&rows, "Pay", 3);
    let expected = [
        "ns/web-pay-v1",
        "ns/payments-v1",
        "ns/gives-v1",
        "ns/needs-v1",
        "ns/fact-v1",
        "ns/free-v1",
        "ns/a-text-v1",
        "ns/b-text-v1",
    ];
    assert_eq!(ids(&hits), expected);
    let scores: Vec<_> = hits.iter().map(|it| it.score).collect();
    assert_eq!(scores, [16, 8, 8, 8, 4, 2, 2, 1]);
}

#[test]
fn all_words_must_match_in_any_order_and_place() {
    let mut rows = Rows::default();
    put(&mut rows, "ns", &json!({ "name": "pay", "version": "1", "description": "with cards" }));
    put(&mut rows, "ns", &json!({ "name": "cards", "version": "1" }));
    assert_eq!(found(&rows, "card pay"), ["ns/pay-v1"]);
    assert_eq!(found(&rows, "pay, CARDS!"), ["ns/pay-v1"]);
    assert_eq!(found(&rows, "pay cards x"), Vec::<String>::new());
    assert_eq!(found(&rows, "car card c"), ["ns/cards-v1", "ns/pay-v1"]);
}

#[test]
fn a_unit_is_found_by_its_latest_release_alone() {
    let mut rows = Rows::default();
    let release = |version: &str, text: &str| json!({ "name": "app", "version": version, "description": text });
    put(&mut rows, "ns", &release("2", "old words"));
    put(&mut rows, "ns", &release("1", "older words"));
    assert_eq!(found(&rows, "old"), ["ns/app-v2"]);
    assert_eq!(found(&rows, "older"), Vec::<String>::new());
    put(&mut rows, "ns", &release("3", "new words"));
    assert_eq!(found(&rows, "old"), Vec::<String>::new());
    assert_eq!(found(&rows, "words"), ["ns/app-v3"]);
}

#[test]
fn a_release_that_says_the_same_writes_nothing_of_the_index() {
    let mut rows = Rows::default();
    let release =
        |version: &str| json!({ "name": "app", "version": version, "description": "text" });
    put(&mut rows, "ns", &release("1"));
    let place = UnitPlace::parse("ns", "app").unwrap();
    let same = search_unit(&rows, place.key()).unwrap().unwrap();
    let writes = rows.writes();
    search_put(&mut rows, place.key(), &same).unwrap();
    assert_eq!(rows.writes(), writes);
    // Of one word more: its row, and that of the unit.
    let more = searched(
        &read_release(br#"{"name":"app","version":"2","description":"a text"}"#).unwrap().metadata,
    );
    search_put(&mut rows, place.key(), &more).unwrap();
    assert_eq!(rows.writes(), writes + 2);
    let len = rows.len();
    search_drop(&mut rows, place.key()).unwrap();
    assert_eq!(rows.len(), len - 4);
    assert_eq!(found(&rows, "app"), Vec::<String>::new());
}

#[test]
fn words_are_compared_up_to_their_greatest_length() {
    let mut rows = Rows::default();
    let long = "x".repeat(200);
    put(&mut rows, "ns", &json!({ "name": "app", "version": "1", "description": long }));
    for query in [long.clone(), "x".repeat(WORD_BYTES_MAX), "x".repeat(10)] {
        assert_eq!(found(&rows, &query), ["ns/app-v1"]);
    }
}

#[test]
fn an_answer_looks_at_a_bounded_number_of_matches() {
    let mut rows = Rows::default();
    // Each of them matches twice, and none has both words but the last.
    for unit in 0..2 * LOOKED_AT_MAX {
        let name = format!("app-{unit:05}");
        put(&mut rows, "ns", &json!({ "name": name, "version": "1", "description": "apple" }));
    }
    put(&mut rows, "ns", &json!({ "name": "app-apricot", "version": "1", "description": "0000" }));

    let first = page(&rows, &request("apricot app", 100, None)).unwrap();
    assert_eq!((first.hits.len(), first.next), (1, None));
    let first = page(&rows, &request("app 000", 100, None)).unwrap();
    assert_eq!((first.hits.len(), first.next.is_some()), (100, true));
    assert_eq!(all(&rows, "app 0000", 100).len(), 11);
    // Behind the names come as many places of units that were found already.
    assert_eq!(all(&rows, "app", 100).len(), 2 * LOOKED_AT_MAX + 1);
    assert_eq!(all(&rows, "appl", 7).len(), 2 * LOOKED_AT_MAX);
}

#[test]
fn what_cannot_be_searched_for_is_told() {
    let parsed = |query: &str, limit: Option<&str>, cursor: Option<&str>| {
        let limit = limit.map(str::to_owned);
        let request = SearchRequest { query: query.into(), limit, cursor: cursor.map(Into::into) };
        Search::parse(&request).unwrap_err().to_string()
    };
    assert_eq!(parsed("", None, None), "The search has no word: send letters or digits");
    assert_eq!(parsed(" -*\0 ", None, None), "The search has no word: send letters or digits");
    assert_eq!(parsed(&"a".repeat(1025), None, None), "The search is longer than 1024 bytes");
    let many: String = (0..17).map(|it| format!("w{it} ")).collect();
    assert_eq!(parsed(&many, None, None), "The search has more than 16 words");
    for limit in ["0", "101", "-1", "1.0", "x", "", "99999999999999999999"] {
        let expected = format!("Invalid limit '{limit}': send a number from 1 to 100");
        assert_eq!(parsed("a", Some(limit), None), expected);
    }
    let encoded = |it: &str| URL_SAFE_NO_PAD.encode(it);
    for cursor in [
        "",
        "?",
        &encoded("0 0"),
        &encoded("1 0 "),
        &encoded("0 501 "),
        &encoded("0 0 0\0b\0ns\0app"),
        &encoded("0 0 4\0a\0ns\0app"),
        &encoded("0 0 x"),
    ] {
        assert!(parsed("a", None, Some(cursor)).starts_with("Invalid cursor"), "{cursor}");
    }
    assert!(Cursor::read(&encoded("0 0 0\0ab\0ns\0app"), &["a".into()]).is_some());
}

/// What a unit's release says, as plain text by its weight.
type Texts = [Vec<String>; 4];

fn release_strategy() -> impl Strategy<Value = (Value, Texts)> {
    let text = "[abäß]{1,2}([ -][abÄc]{1,2}){0,3}";
    (
        "[ab]{2}(-[ab]{1,2}){0,2}",
        1..6u8,
        prop::collection::vec(text, 0..3),
        prop::collection::vec(text, 0..2),
        text,
        prop::collection::btree_map("[ab]{1,2}", text, 0..3),
        text,
    )
        .prop_map(|(name, version, provides, consumes, license, metadata, description)| {
            let named =
                |it: &Vec<String>| it.iter().map(|it| json!({ "name": it })).collect::<Vec<_>>();
            let release = json!({
                "name": name, "version": version.to_string(), "provides": named(&provides),
                "consumes": named(&consumes), "license": license, "metadata": metadata,
                "description": description,
            });
            let facts = metadata.iter().flat_map(|(key, it)| [key.clone(), it.clone()]);
            let texts = [
                vec![name],
                provides.into_iter().chain(consumes).collect(),
                facts.chain([license]).collect(),
                vec![description],
            ];
            (release, texts)
        })
}

#[derive(Clone, Debug)]
enum Step {
    Register(&'static str, Value, Texts),
    Drop(&'static str, usize),
}

fn step_strategy() -> impl Strategy<Value = Step> {
    let namespace = prop::sample::select(vec!["n1", "n2"]);
    prop_oneof![
        8 => (namespace.clone(), release_strategy())
            .prop_map(|(namespace, (release, texts))| Step::Register(namespace, release, texts)),
        1 => (namespace, 0..8usize).prop_map(|(namespace, at)| Step::Drop(namespace, at)),
    ]
}

/// The score of a word by the rule: the best of all places where one starts with it.
fn score_by_the_rule(texts: &Texts, word: &str) -> u32 {
    let in_text = |(text, score): (&String, u32)| {
        let folded = text.to_lowercase().replace('ß', "ss");
        let words: Vec<_> = folded.split([' ', '-']).map(str::to_owned).collect();
        let best = |it: &String| if it == word { 2 * score } else { score };
        words.iter().filter(|it| it.starts_with(word)).map(best).max().unwrap_or(0)
    };
    let weighed = texts.iter().zip([8, 4, 2, 1]);
    weighed
        .flat_map(|(texts, it)| texts.iter().map(move |text| (text, it)))
        .map(in_text)
        .max()
        .unwrap_or(0)
}

proptest! {
    #[test]
    fn the_index_answers_as_a_scan_of_all_units_does(
        steps in prop::collection::vec(step_strategy(), 0..30),
        words in prop::collection::vec("[abäc]{1,3}", 1..4),
        limit in 1..8usize,
    ) {
        let mut rows = Rows::default();
        let mut units: BTreeMap<(String, String), (Version, Texts)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Register(namespace, release, texts) => {
                    let text = |it: &str| release[it].as_str().unwrap().to_owned();
                    let unit = (namespace.to_owned(), text("name"));
                    let version = Version::parse(&text("version")).unwrap();
                    let place = UnitPlace::parse(&unit.0, &unit.1).unwrap();
                    if unit_release(&rows, place.key(), &version).unwrap().is_some() {
                        continue;
                    }
                    put(&mut rows, namespace, &release);
                    match units.get(&unit) {
                        Some((latest, _)) if latest.order(&version).is_gt() => {}
                        _ => drop(units.insert(unit, (version, texts))),
                    }
                }
                Step::Drop(namespace, at) => {
                    let unit = units.keys().filter(|it| it.0 == namespace).nth(at).cloned();
                    if let Some(unit) = unit {
                        let place = UnitPlace::parse(&unit.0, &unit.1).unwrap();
                        search_drop(&mut rows, place.key()).unwrap();
                        let start = format!("{}\0{}\0", unit.0, unit.1);
                        rows.retain(|_, key| ![key, b"\0"].concat().starts_with(start.as_bytes()));
                        units.remove(&unit);
                    }
                }
            }
        }
        let query = words.join(" ");
        let distinct: BTreeSet<_> = words.iter().collect();
        let mut expected = Vec::new();
        for ((namespace, unit), (version, texts)) in &units {
            let scores: Vec<_> = distinct.iter().map(|it| score_by_the_rule(texts, it)).collect();
            if scores.iter().all(|it| *it > 0) {
                expected.push((format!("{namespace}/{unit}-v{version}"), scores.iter().sum::<u32>()));
            }
        }
        let hits = all(&rows, &query, limit);
        prop_assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
        let mut found: Vec<_> = hits.iter().map(|it| (it.release_id(), it.score)).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
