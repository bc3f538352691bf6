//! A small JSON reader that keeps what Mustache shows and most readers lose: the
//! order of keys and the text of numbers. Borrows from the text where it can.

use std::{borrow::Cow, fmt};

/// Arrays and objects inside each other.
const DEPTH_MAX: usize = 100;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// An object: in the order of the text, found by binary search.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a> {
    entries: Vec<(Cow<'a, str>, Json<'a>)>,
    /// Indices of `entries`, by key.
    sorted: Vec<u32>,
}

/// Why a text is no JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    what: &'static str,
    offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

/// Reads a whole text.
pub(crate) fn parse(text: &str) -> Result<Json<'_>, Malformed> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.malformed("something follows the value"));
    }
    Ok(value)
}

impl<'a> Object<'a> {
    /// A later value of the same key replaces the earlier one in its place.
    fn new(mut entries: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        let mut sorted = sort(&entries);
        let twice = |it: &[u32]| entries[it[0] as usize].0 == entries[it[1] as usize].0;
        if sorted.windows(2).any(twice) {
            let mut kept: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
            let mut place = vec![usize::MAX; entries.len()];
            for run in sorted.chunk_by(|a, b| entries[*a as usize].0 == entries[*b as usize].0) {
                run.iter().for_each(|it| place[*it as usize] = run[0] as usize);
            }
            let mut moved = vec![usize::MAX; entries.len()];
            for (index, entry) in entries.into_iter().enumerate() {
                let first = place[index];
                if first == index {
                    moved[index] = kept.len();
                    kept.push(entry);
                } else {
                    kept[moved[first]].1 = entry.1;
                }
            }
            entries = kept;
            sorted = sort(&entries);
        }
        Object { entries, sorted }
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Json<'a>> {
        let by_key = |it: &u32| self.entries[*it as usize].0.as_ref().cmp(key);
        let found = self.sorted.binary_search_by(by_key).ok()?;
        Some(&self.entries[self.sorted[found] as usize].1)
    }

    /// Keys and values, in the order of the text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.entries.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at a position.
    pub(crate) fn entry(&self, index: usize) -> (&str, &Json<'a>) {
        let (key, value) = &self.entries[index];
        (key.as_ref(), value)
    }
}

fn sort(entries: &[(Cow<'_, str>, Json<'_>)]) -> Vec<u32> {
    let mut sorted = (0..entries.len() as u32).collect::<Vec<_>>();
    sorted.sort_by(|a, b| entries[*a as usize].0.cmp(&entries[*b as usize].0));
    sorted
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        if depth > DEPTH_MAX {
            return Err(self.malformed("the values are nested deeper than 100"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.malformed("a value is expected")),
            None => Err(self.malformed("the text ends early")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.closes(b'}') {
            return Ok(Json::Object(Object::default()));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.take(b':', "a `:` is expected")?;
            entries.push((key, self.value(depth + 1)?));
            if self.closes(b'}') {
                return Ok(Json::Object(Object::new(entries)));
            }
            self.take(b',', "a `,` or `}` is expected")?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        self.at += 1;
        let mut items = Vec::new();
        if self.closes(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.closes(b']') {
                return Ok(Json::Array(items));
            }
            self.take(b',', "a `,` or `]` is expected")?;
        }
    }

    fn number(&mut self) -> Result<Json<'a>, Malformed> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while matches!(reader.peek(), Some(b'0'..=b'9')) {
                reader.at += 1;
            }
            if reader.at == from { Err(reader.malformed("a digit is expected")) } else { Ok(()) }
        };
        self.skip(b'-');
        if !self.skip(b'0') {
            digits(self)?;
        }
        if self.skip(b'.') {
            digits(self)?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            digits(self)?;
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.take(b'"', "a `\"` is expected")?;
        let start = self.at;
        let mut unescaped: Option<String> = None;
        let mut from = start;
        loop {
            match self.peek() {
                None => return Err(self.malformed("the text ends in a string")),
                Some(b'"') => break,
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let escaped = self.escape()?;
                    unescaped.get_or_insert_default().push(escaped);
                    from = self.at;
                }
                Some(0..=0x1f) => return Err(self.malformed("a control character in a string")),
                Some(_) => self.at += 1,
            }
        }
        let rest = &self.text[from..self.at];
        self.at += 1;
        Ok(match unescaped {
            None => Cow::Borrowed(rest),
            Some(mut text) => {
                text.push_str(rest);
                Cow::Owned(text)
            }
        })
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Malformed> {
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            Some(it @ (b'"' | b'\\' | b'/')) => char::from(it),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode()?,
            _ => return Err(self.malformed("an unknown escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, Malformed> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if !self.text[self.at..].starts_with("\\u") {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        self.at += 2;
        let low = self.hex()?;
        let code = 0x10000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.ok_or(self.malformed("the text ends in an escape"))?;
        let mut code = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16);
            code = code * 16 + value.ok_or(self.malformed("four hex digits are expected"))?;
        }
        self.at += 4;
        Ok(code)
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.malformed("a value is expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn closes(&mut self, bracket: u8) -> bool {
        self.space();
        self.skip(bracket)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        if self.skip(byte) { Ok(()) } else { Err(self.malformed(what)) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, offset: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        match parse(text) {
            Ok(Json::Object(it)) => it,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn keys_keep_their_order_and_are_found() {
        let read = object(r#"{"b": 1, "a": [true, null], "c": {}}"#);
        assert_eq!(read.iter().map(|it| it.0).collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(read.get("a"), Some(&Json::Array(vec![Json::Bool(true), Json::Null])));
        assert_eq!(read.get("d"), None);
    }

    #[test]
    fn the_last_of_two_equal_keys_wins_in_the_place_of_the_first() {
        let read = object(r#"{"a": 1, "b": 2, "a": 3, "b": 4, "a": 5, "c": 6}"#);
        let entries = read.iter().map(|(key, value)| (key, value.clone())).collect::<Vec<_>>();
        let number = Json::Number;
        assert_eq!(entries, [("a", number("5")), ("b", number("4")), ("c", number("6"))]);
        assert_eq!(read.get("b"), Some(&number("4")));
    }

    #[test]
    fn numbers_keep_their_text() {
        for text in ["0", "-0", "1.10", "1e3", "-1.5E+10", "123456789012345678901234567890"] {
            assert_eq!(parse(text), Ok(Json::Number(text)));
        }
    }

    #[test]
    fn strings_are_unescaped() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text), Ok(Json::String(expected.to_owned().into())), "{text}");
        };
        check(r#""plain""#, "plain");
        check(r#""a\"b\\c\/d\n\t\u00e9""#, "a\"b\\c/d\n\té");
        check(r#""\ud83d\ude00!""#, "😀!");
        check(r#""\ud83d!""#, "\u{fffd}!");
        check("\"☃\"", "☃");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(200);
        let cases = [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "{a: 1}",
            "tru",
            "01",
            "1.",
            "-",
            "\"a",
            "\"\\x\"",
            "1 2",
            "\"\\u12\"",
            "\"\u{1}\"",
            "{\"a\": 1,}",
            &deep,
        ];
        for text in cases {
            assert!(parse(text).is_err(), "{text:?} was read");
        }
    }
}
