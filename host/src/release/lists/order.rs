//! Orders that a request may ask for.
//!
//! Where there is no register in such an order, all members are looked at, and only the
//! first of them are held: as many as come before the end of the page, which may be
//! [`RANKED_MAX`].

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::error::{Error, Result};

/// How far into a list a page may reach for which the list must be put in order.
pub const RANKED_MAX: usize = 10_000;
/// How much of a text counts.
const TEXT_CHARS_MAX: usize = 64;

/// A property to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its name in JSON.
    pub property: String,
    /// The greatest first.
    pub descending: bool,
    /// Whether large and small letters are the same.
    pub ignore_case: bool,
}

/// Those of the orders that are of a property that there is, besides `id`. The original
/// passes over the others, too.
pub(super) fn known(sort: Vec<Order>, shape: &Value) -> Vec<Order> {
    let is_known = |it: &Order| it.property == "id" || shape.get(&it.property).is_some();
    sort.into_iter().filter(is_known).collect()
}

/// Puts the members of a short list in order. Equal ones stay as they are.
pub fn arrange<T>(members: &mut [T], sort: &[Order], of: impl Fn(&T) -> Value) {
    if !sort.is_empty() {
        members.sort_by_cached_key(|it| Ranked::new(sort, &of(it), 0));
    }
}

/// The first members of a list in some order.
pub(super) struct Ranking {
    sort: Vec<Order>,
    skip: usize,
    /// The end of the page: what comes behind it is let go.
    end: usize,
    held: Vec<Ranked>,
}

impl Ranking {
    /// For a page with `skip` members before it.
    pub(super) fn new(sort: Vec<Order>, skip: u64, limit: usize) -> Result<Ranking> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let end = skip.saturating_add(limit);
        if end > RANKED_MAX {
            let message = format!(
                "a list can be sorted like that up to its member {RANKED_MAX}: leave out `sort`, \
                 or sort by `name` alone"
            );
            return Err(Error::invalid("sort", message));
        }
        Ok(Ranking { sort, skip, end, held: Vec::new() })
    }

    pub(super) fn add(&mut self, id: u64, member: &Value) {
        self.held.push(Ranked::new(&self.sort, member, id));
        if self.held.len() >= 2 * self.end.max(32) {
            self.cut();
        }
    }

    pub(super) fn ids(mut self) -> Vec<u64> {
        self.cut();
        self.held.iter().skip(self.skip).map(|it| it.id).collect()
    }

    fn cut(&mut self) {
        self.held.sort();
        self.held.truncate(self.end);
    }
}

/// What a member is compared by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    ranks: Vec<Directed>,
    id: u64,
}

#[derive(PartialEq, Eq)]
struct Directed {
    rank: Rank,
    descending: bool,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Null,
    Flag(bool),
    Number(i64),
    Text(String),
}

impl Ranked {
    fn new(sort: &[Order], member: &Value, id: u64) -> Ranked {
        let rank = |order: &Order| Directed {
            rank: rank(&member[&order.property], order.ignore_case),
            descending: order.descending,
        };
        Ranked { ranks: sort.iter().map(rank).collect(), id }
    }
}

impl Ord for Directed {
    fn cmp(&self, other: &Directed) -> Ordering {
        match self.descending {
            true => other.rank.cmp(&self.rank),
            false => self.rank.cmp(&other.rank),
        }
    }
}

impl PartialOrd for Directed {
    fn partial_cmp(&self, other: &Directed) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn rank(value: &Value, ignore_case: bool) -> Rank {
    match value {
        Value::Bool(it) => Rank::Flag(*it),
        Value::Number(it) => Rank::Number(whole(it)),
        Value::String(it) => {
            let text: String = it.chars().take(TEXT_CHARS_MAX).collect();
            Rank::Text(if ignore_case { text.to_lowercase() } else { text })
        }
        _ => Rank::Null,
    }
}

fn whole(number: &Number) -> i64 {
    number.as_i64().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn by(property: &str, descending: bool) -> Order {
        Order { property: property.to_owned(), descending, ignore_case: false }
    }

    #[test]
    fn nulls_come_first_and_numbers_are_no_text() {
        let mut list = vec![json!("b"), json!("B"), json!(10), json!(9), json!(null), json!(true)];
        arrange(&mut list, &[by("it", false)], |it| json!({ "it": it }));
        assert_eq!(json!(list), json!([null, true, 9, 10, "B", "b"]));
        arrange(&mut list, &[by("it", true)], |it| json!({ "it": it }));
        assert_eq!(json!(list), json!(["b", "B", 10, 9, true, null]));
        let folded = Order { ignore_case: true, ..by("it", false) };
        let mut list = vec![json!("b"), json!("A"), json!("C")];
        arrange(&mut list, &[folded], |it| json!({ "it": it }));
        assert_eq!(json!(list), json!(["A", "b", "C"]));
    }

    #[test]
    fn only_properties_that_there_are_count() {
        let sort = vec![by("nothing", true), by("name", false), by("id", false)];
        let known: Vec<_> = known(sort, &json!({ "name": null })).into_iter().collect();
        assert_eq!(known, [by("name", false), by("id", false)]);
    }

    #[test]
    fn a_page_far_behind_is_refused() {
        let sort = || vec![by("version", false)];
        assert!(Ranking::new(sort(), 9_000, 1_000).is_ok());
        assert!(Ranking::new(sort(), 9_001, 1_000).is_err());
        assert!(Ranking::new(sort(), u64::MAX, 1_000).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_page_is_what_sorting_everything_would_give(
            members in prop::collection::vec((0..6_i64, "[ab]{0,2}"), 0..300),
            skip in 0..50_u64,
            limit in 1..20_usize,
            descending in any::<(bool, bool)>(),
        ) {
            let sort = vec![by("number", descending.0), by("text", descending.1)];
            let mut ranking = Ranking::new(sort, skip, limit).unwrap();
            let mut all = Vec::new();
            for (id, (number, text)) in members.iter().enumerate() {
                ranking.add(id as u64, &json!({ "number": number, "text": text }));
                all.push((*number, text.clone(), id as u64));
            }
            all.sort_by(|left, right| {
                let turned = |it: Ordering, turn| if turn { it.reverse() } else { it };
                turned(left.0.cmp(&right.0), descending.0)
                    .then(turned(left.1.cmp(&right.1), descending.1))
                    .then(left.2.cmp(&right.2))
            });
            let skip = usize::try_from(skip).unwrap();
            let page: Vec<u64> = all.iter().skip(skip).take(limit).map(|it| it.2).collect();
            prop_assert_eq!(ranking.ids(), page);
        }
    }
}
