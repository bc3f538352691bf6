//! The reader's rules, by example.

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn check(yaml: &str, expected: Value) {
    match single(yaml) {
        Ok(value) => {
            assert_eq!(value.to_string(), expected.to_string(), "{yaml}");
        }
        Err(error) => panic!("{yaml}: {error}"),
    }
}

#[track_caller]
fn refused(yaml: &str) -> YamlError {
    match single(yaml) {
        Ok(value) => panic!("{yaml}: read as {value}"),
        Err(error) => error,
    }
}

/// JSON as text, so that the order of keys and the digits of numbers count.
#[track_caller]
fn check_text(yaml: &str, expected: &str) {
    assert_eq!(single(yaml).unwrap().to_string(), expected, "{yaml}");
}

#[test]
fn words_of_yaml_1_1_are_booleans() {
    for word in ["yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] {
        check(word, json!(true));
    }
    for word in ["no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
        check(word, json!(false));
    }
    for word in ["y", "n", "Y", "N", "yEs", "oN", "tRUE"] {
        check(word, json!(word));
    }
}

#[test]
fn nothing_and_its_words_are_null() {
    for text in ["", "~", "null", "Null", "NULL", "# only a comment", "---", "\n\n"] {
        check(text, Value::Null);
    }
    check("a:", json!({ "a": null }));
    check("nULL", json!("nULL"));
}

#[test]
fn numbers_keep_their_digits() {
    check_text("version: 1.10", r#"{"version":1.10}"#);
    check_text(
        "[10, 1.50, -0, 123456789012345678901234567890]",
        "[10,1.50,-0,123456789012345678901234567890]",
    );
}

#[test]
fn what_json_has_no_number_for_is_its_text() {
    for text in [
        "010", "0x1F", "1_000", "12:30:45", "0o17", ".inf", "-.inf", ".nan", "+1", ".5", "1.",
        "1e3",
    ] {
        check(text, json!(text));
    }
}

#[test]
fn dates_are_their_text() {
    check("2020-01-02", json!("2020-01-02"));
    check("2001-12-14t21:59:43.10-05:00", json!("2001-12-14t21:59:43.10-05:00"));
}

#[test]
fn quotes_make_text() {
    check("['yes', \"1.10\", 'null', '']", json!(["yes", "1.10", "null", ""]));
    check("|\n  1\n", json!("1\n"));
    check(">\n  a\n  b\n", json!("a b\n"));
}

#[test]
fn keys_keep_their_order_and_their_text() {
    check_text(
        "z: 1\non: 2\n1.10: 3\nnull: 4\n0x1F: 5\na: 6",
        r#"{"z":1,"on":2,"1.10":3,"null":4,"0x1F":5,"a":6}"#,
    );
    refused("{[a]: b}");
    refused("? {a: b}\n: c");
}

#[test]
fn of_equal_keys_the_last_wins() {
    check_text("a: 1\nb: 2\na: 3", r#"{"a":3,"b":2}"#);
}

#[test]
fn merge_keys_bring_what_is_not_there() {
    check_text(
        "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n  c: 4",
        r#"{"x":{"a":1,"b":2},"y":{"a":1,"b":3,"c":4}}"#,
    );
    check_text("y:\n  b: 3\n  <<: {a: 1, b: 2}", r#"{"y":{"b":3,"a":1}}"#);
    check_text("<<: [{a: 1}, {a: 2, b: 2}]", r#"{"a":1,"b":2}"#);
    check_text("'<<': 1", r#"{"<<":1}"#);
    refused("<<: 1");
}

#[test]
fn aliases_stand_for_what_was_anchored() {
    check("a: &x [1, {b: c}]\nd: *x", json!({ "a": [1, { "b": "c" }], "d": [1, { "b": "c" }] }));
    check("&k a: 1\nb: *k", json!({ "a": 1, "b": "a" }));
    check("a: &x 1\nb: &x 2\nc: *x", json!({ "a": 1, "b": 2, "c": 2 }));
    refused("a: &x [*x]");
    refused("a: *x");
}

#[test]
fn an_anchor_is_not_known_in_the_next_document() {
    assert!(documents("a: &x 1\n---\nb: *x").is_err());
}

#[test]
fn yaml_s_own_tags_are_taken_and_others_refused() {
    check("!!str 1.10", json!("1.10"));
    check("! 1.10", json!("1.10"));
    check_text("!!int 5", "5");
    check_text("!!float '1.50'", "1.50");
    check("!!bool 'yes'", json!(true));
    check("!!null ''", json!(null));
    check("!!map {a: !!seq [1]}", json!({ "a": [1] }));
    for text in ["!!bool 5", "!!int yes", "!mine 1", "!mine {}", "!!javax.Thing [1]", "!!set {a}"] {
        let error = refused(text);
        assert_eq!((error.line, error.column), (1, 1), "{text}: {error}");
    }
}

#[test]
fn one_more_tag_may_be_allowed_at_the_root_only() {
    let read = |text| Reader::new(text).with_root_tag("a.b.C").single();
    assert_eq!(read("!!a.b.C\nx: 1").unwrap(), json!({ "x": 1 }));
    assert_eq!(read("--- !!a.b.C\nx: 1").unwrap(), json!({ "x": 1 }));
    assert!(read("x: !!a.b.C {}").is_err());
    assert!(read("!!a.b.D\nx: 1").is_err());
}

#[test]
fn documents_know_their_lines() {
    let found = documents("# one\na: 1\n---\n\nb: 2\n...\n---\n[]").unwrap();
    let values: Vec<_> = found.iter().map(|it| it.value.clone()).collect();
    assert_eq!(values, [json!({ "a": 1 }), json!({ "b": 2 }), json!([])]);
    let lines: Vec<_> = found.iter().map(|it| it.line).collect();
    assert_eq!(lines, [2, 5, 8]);
    assert_eq!(refused("a: 1\n---\nb: 2").line, 3);
}

#[test]
fn an_error_says_where() {
    let error = refused("a: 1\nb: [1, 2\nc: 3\n");
    assert!(error.line >= 2, "{error}");
    assert!(error.to_string().starts_with(&format!("line {}, column ", error.line)));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(refused(&text).message.contains("aliases expanded"));

    let big = "x".repeat(1 << 20);
    let text = format!("a: &a {big}\nb: [{}]", ["*a"].repeat(20).join(", "));
    assert!(refused(&text).message.contains("bytes"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(single(&nested(DEPTH_MAX)).is_ok());
    assert!(refused(&nested(DEPTH_MAX + 1)).message.contains("in each other"));
    refused(&"[".repeat(100_000));
    refused(&"- ".repeat(100_000));
    refused(&"{a: ".repeat(100_000));
}

#[test]
fn aliases_count_as_the_depth_that_they_stand_for() {
    let chain = |links: usize| {
        let mut text = "a0: &a0 []\n".to_owned();
        for link in 1..links {
            text += &format!("a{link}: &a{link} [*a{}]\n", link - 1);
        }
        text
    };
    assert!(single(&chain(DEPTH_MAX - 1)).is_ok());
    assert!(refused(&chain(DEPTH_MAX)).message.contains("in each other"));
    assert!(refused(&chain(2000)).message.contains("in each other"));
}

#[test]
fn broken_texts_are_errors() {
    for text in ["a: b: c", "\"open", "a: 'open", "- a\nb", "{a", "@x", "a: `x`", "%X\na"] {
        refused(text);
    }
}
