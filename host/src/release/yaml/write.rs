//! Writes values as YAML that a person would write: blocks, two spaces, and quotes only
//! where a text would be read as something else.

use serde_json::{Map, Value};

/// The text of a map, which [`single`](super::single) reads as the same map.
pub fn block(values: &Map<String, Value>) -> String {
    let mut text = String::new();
    match values.is_empty() {
        true => text.push_str("{}\n"),
        false => map(values, 0, &mut text),
    }
    text
}

fn map(values: &Map<String, Value>, depth: usize, text: &mut String) {
    for (key, value) in values {
        indent(depth, text);
        text.push_str(&key_of(key));
        text.push(':');
        below(value, depth, text);
    }
}

fn below(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(values) if !values.is_empty() => {
            text.push('\n');
            map(values, depth + 1, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                indent(depth + 1, text);
                text.push('-');
                below(item, depth + 1, text);
            }
        }
        value => {
            text.push(' ');
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
}

fn indent(depth: usize, text: &mut String) {
    text.push_str(&"  ".repeat(depth));
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(it) if is_plain(it) => it.clone(),
        // JSON is YAML, but for what of it a reader would see as a break of the line.
        value => escaped(&value.to_string()),
    }
}

// A key keeps its text whatever it looks like; what begins like syntax is quoted.
fn key_of(key: &str) -> String {
    match is_word(key) && key != "<<" {
        true => key.to_owned(),
        false => escaped(&Value::String(key.to_owned()).to_string()),
    }
}

/// Whether a text stands for itself without quotes: the reader must see the same text.
fn is_plain(text: &str) -> bool {
    is_word(text) && super::single(text) == Ok(Value::String(text.to_owned()))
}

fn is_word(text: &str) -> bool {
    let begins = text.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '/');
    begins && text.chars().all(|it| it.is_ascii_alphanumeric() || "-_./".contains(it))
}

fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for it in json.chars() {
        match it {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                text.push_str(&format!("\\u{:04x}", it as u32));
            }
            it => text.push(it),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::single, *};

    fn text_of(value: &Value) -> String {
        block(value.as_object().unwrap())
    }

    #[test]
    fn values_are_written_as_blocks_with_quotes_where_they_are_needed() {
        let values = single(
            "version: 1.10\nlog:\n  level: DEBUG\n  'on': 'yes'\n  count: 3\nlist: [a, {b: c, d: [1]}]\n\
             none:\nempty: {}\nport: 010\nquote: 'say \"x\": #1'\n",
        )
        .unwrap();
        let text = text_of(&values);
        assert_eq!(
            text,
            "version: 1.10\nlog:\n  level: DEBUG\n  on: \"yes\"\n  count: 3\nlist:\n  - a\n  -\n    \
             b: c\n    d:\n      - 1\nnone: null\nempty: {}\nport: 010\nquote: \"say \\\"x\\\": #1\"\n"
        );
        assert_eq!(single(&text).unwrap(), values);
        assert_eq!(text_of(&json!({})), "{}\n");
    }

    fn values() -> impl Strategy<Value = Value> {
        let texts = prop_oneof![
            ".{0,8}",
            "[ -~]{0,10}",
            Just("yes".to_owned()),
            Just("1.10".to_owned()),
            Just("2020-01-02".to_owned()),
            Just("~".to_owned()),
            Just("a\nb\u{2028}\u{85}".to_owned()),
        ];
        let leaf = prop_oneof![
            texts.prop_map(Value::String),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::Bool),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec(("[ -~]{0,8}", inner), 0..4)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(value in values()) {
            let map = json!({ "top": value });
            let text = text_of(&map);
            prop_assert_eq!(single(&text).unwrap(), map, "{}", text);
        }
    }
}
