//! JSON as the Inventory writes it: on one line, with `<`, `>` and `&` (and the
//! two line ends that JavaScript knows and JSON does not) as `\u` escapes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Writes a value as JSON.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Escaping);
    value.serialize(&mut serializer).expect("answers are plain data");
    bytes
}

/// Writes a value as JSON with a final newline: a whole answer.
pub fn json_line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = json(value);
    bytes.push(b'\n');
    bytes
}

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_escaped) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut behind = rest[at..].chars();
            let escaped = behind.next().map_or(0, u32::from);
            write!(writer, "\\u{escaped:04x}")?;
            rest = behind.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

fn is_escaped(it: char) -> bool {
    matches!(it, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{json, json_line};

    #[test]
    fn markup_is_escaped_in_keys_and_values() {
        let value = json!({ "<k>": "a&b\u{2028}<", "plain": "ä\"\\\n" });
        let expected = r#"{"\u003ck\u003e":"a\u0026b\u2028\u003c","plain":"ä\"\\\n"}"#;
        assert_eq!(String::from_utf8(json(&value)).unwrap(), expected);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&json(&value)).unwrap(), value);
    }

    #[test]
    fn a_line_ends_with_a_newline() {
        assert_eq!(json_line(&1), b"1\n");
    }
}
