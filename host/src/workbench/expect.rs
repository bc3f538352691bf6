//! What a case expects, held against what came.
//!
//! Of a table only the expected members are looked at; a list has to have as many items.
//! A table with one of these members alone is a wish: `contains` (a part of a text),
//! `matches` (a regular expression over a text), `some` (an item of a list that fits),
//! `absent = true` (no such member, or `null`).

use regex::Regex;
use serde_json::{Map, Value};

/// Longer values are cut in a difference.
const SHOWN_CHARS_MAX: usize = 300;

/// Each difference, with where it is.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare(expected, found, "", &mut all);
    all
}

/// Whether there is none.
pub(super) fn fits(expected: &Value, found: &Value) -> bool {
    differences(expected, found).is_empty()
}

fn compare(expected: &Value, found: &Value, place: &str, all: &mut Vec<String>) {
    let mut differs = |what: String| {
        let place = if place.is_empty() { "the answer" } else { place };
        all.push(format!("{place}: expected {what}, found {}", shown(found)));
    };
    match expected {
        Value::Object(members) => match wish(members) {
            Some(wish) => {
                if let Some(what) = unmet(wish, found) {
                    differs(what);
                }
            }
            None => match found {
                Value::Object(there) => compare_members(members, there, place, all),
                _ => differs(shown(expected)),
            },
        },
        Value::Array(items) => match found {
            Value::Array(there) if there.len() == items.len() => {
                for (index, (item, there)) in items.iter().zip(there).enumerate() {
                    compare(item, there, &format!("{place}[{index}]"), all);
                }
            }
            Value::Array(there) => differs(format!("{} items, not {}", items.len(), there.len())),
            _ => differs(shown(expected)),
        },
        _ if same(expected, found) => {}
        _ => differs(shown(expected)),
    }
}

fn compare_members(
    expected: &Map<String, Value>,
    found: &Map<String, Value>,
    place: &str,
    all: &mut Vec<String>,
) {
    for (name, expected) in expected {
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        match found.get(name) {
            Some(found) => compare(expected, found, &place, all),
            None if is_absence(expected) => {}
            None => {
                let there: Vec<&str> = found.keys().map(String::as_str).collect();
                let there = if there.is_empty() { "nothing".into() } else { there.join(", ") };
                all.push(format!("{place}: expected {}, found only {there}", shown(expected)));
            }
        }
    }
}

/// TOML tells 1 from 1.0, and JSON's numbers are texts here.
fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(expected), Value::Number(found)) => {
            expected == found || expected.as_f64() == found.as_f64()
        }
        _ => expected == found,
    }
}

fn wish(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, wanted) = members.iter().next().filter(|_| members.len() == 1)?;
    let is_one = match name.as_str() {
        "contains" | "matches" => wanted.is_string(),
        "absent" => wanted == &Value::Bool(true),
        "some" => true,
        _ => false,
    };
    is_one.then_some((name.as_str(), wanted))
}

fn is_absence(expected: &Value) -> bool {
    expected.as_object().and_then(wish).is_some_and(|(name, _)| name == "absent")
}

/// What was wished for, where it is not so.
fn unmet((name, wanted): (&str, &Value), found: &Value) -> Option<String> {
    let text = wanted.as_str().unwrap_or_default();
    let (met, what) = match name {
        "contains" => {
            let met = found.as_str().is_some_and(|it| it.contains(text));
            (met, format!("a text that contains {wanted}"))
        }
        "matches" => match Regex::new(text) {
            Ok(it) => {
                let met = found.as_str().is_some_and(|found| it.is_match(found));
                (met, format!("a text that matches {wanted}"))
            }
            Err(_) => (false, format!("what {wanted} matches, which is no regular expression")),
        },
        "absent" => (found.is_null(), "nothing".to_owned()),
        _ => {
            let items = found.as_array().map(Vec::as_slice).unwrap_or_default();
            let met = items.iter().any(|it| fits(wanted, it));
            (met, format!("a list with an item like {}", shown(wanted)))
        }
    };
    (!met).then_some(what)
}

/// A value as it is told.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARS_MAX).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(expected: Value, found: Value, said: &[&str]) {
        assert_eq!(differences(&expected, &found), said);
    }

    #[test]
    fn only_what_is_expected_is_looked_at() {
        let found = json!({"deny": {"code": "a.b", "message": "no way", "findings": []}});
        check(json!({"deny": {"code": "a.b"}}), found.clone(), &[]);
        check(json!({"deny": {}}), found.clone(), &[]);
        check(
            json!({"deny": {"code": "x", "hint": 1}}),
            found,
            &[
                r#"deny.code: expected "x", found "a.b""#,
                "deny.hint: expected 1, found only code, message, findings",
            ],
        );
        check(
            json!("allow"),
            json!({"deny": 1}),
            &[r#"the answer: expected "allow", found {"deny":1}"#],
        );
    }

    #[test]
    fn a_list_is_compared_item_by_item() {
        check(json!([{"a": 1}, "b"]), json!([{"a": 1, "c": 2}, "b"]), &[]);
        check(json!(["a", "b"]), json!(["a", "c"]), &[r#"[1]: expected "b", found "c""#]);
        check(
            json!({"l": [1]}),
            json!({"l": [1, 2]}),
            &["l: expected 1 items, not 2, found [1,2]"],
        );
        check(json!([1]), json!({}), &["the answer: expected [1], found {}"]);
    }

    #[test]
    fn wishes_are_met_or_named() {
        let found = json!({"message": "the quota of 5 is used up", "list": [{"a": 1}, {"a": 2}]});
        check(json!({"message": {"contains": "quota"}}), found.clone(), &[]);
        check(json!({"message": {"matches": "of [0-9]+ is"}}), found.clone(), &[]);
        check(json!({"list": {"some": {"a": 2}}, "hint": {"absent": true}}), found.clone(), &[]);
        let said = |expected: Value| differences(&expected, &found).join("\n");
        let it = said(json!({"message": {"contains": "time"}}));
        assert!(it.contains(r#"expected a text that contains "time""#), "{it}");
        assert!(said(json!({"list": {"some": {"a": 3}}})).contains("an item like"));
        assert!(said(json!({"message": {"absent": true}})).contains("expected nothing"));
        assert!(said(json!({"message": {"matches": "("}})).contains("no regular expression"));
        assert!(said(json!({"list": {"contains": "x"}})).contains("a text that contains"));
    }

    #[test]
    fn numbers_are_compared_by_what_they_are() {
        let exact: Value = serde_json::from_str("1.0").unwrap();
        check(json!(1), exact, &[]);
        check(json!(1), json!("1"), &[r#"the answer: expected 1, found "1""#]);
    }
}
