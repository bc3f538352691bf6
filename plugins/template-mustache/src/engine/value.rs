//! What a name can stand for, what is in it, and how it prints.

use std::borrow::Cow;

use super::json::{Json, Object};

/// A value as a template sees it. `null` is not one of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'v> {
    Bool(bool),
    /// Text, or a number as it was written.
    Text(&'v str),
    /// A position in a list, from 1.
    Index(usize),
    List(&'v [Json<'v>]),
    Map(&'v Object<'v>),
    /// `entrySet` of a map.
    Entries(&'v Object<'v>),
    /// One of them: `key` and `value`.
    Entry(&'v str, &'v Json<'v>),
}

/// What became of looking for a name in one value.
pub(super) enum Member<'v> {
    Is(Value<'v>),
    Null,
    Missing,
}

impl<'v> Member<'v> {
    /// A JSON value as a template sees it.
    pub(super) fn of(json: &'v Json<'v>) -> Self {
        Member::Is(match json {
            Json::Null => return Member::Null,
            Json::Bool(it) => Value::Bool(*it),
            Json::Number(it) => Value::Text(it),
            Json::String(it) => Value::Text(it),
            Json::Array(it) => Value::List(it),
            Json::Object(it) => Value::Map(it),
        })
    }
}

impl<'v> Value<'v> {
    /// What `name` is in this value.
    pub(super) fn member(self, name: &str) -> Member<'v> {
        match (self, name) {
            (it, "." | "this" | "") => Member::Is(it),
            (Value::Map(map), name) => match map.get(name) {
                Some(json) => Member::of(json),
                None if name == "entrySet" => Member::Is(Value::Entries(map)),
                None => Member::Missing,
            },
            (Value::List(items), name) if name.starts_with(|it: char| it.is_ascii_digit()) => {
                let item = name.parse::<usize>().ok().and_then(|it| items.get(it));
                item.map_or(Member::Missing, Member::of)
            }
            (Value::Entry(key, _), "key") => Member::Is(Value::Text(key)),
            (Value::Entry(_, json), "value") => Member::of(json),
            _ => Member::Missing,
        }
    }

    /// Writes the value as Java prints it: `[a, b]`, `{a=1, b=2}`.
    pub(super) fn print(self, out: &mut Sink, escape: bool) -> Result<(), Full> {
        match self {
            Value::Bool(it) => out.put(if it { "true" } else { "false" }, escape),
            Value::Text(it) => out.put(it, escape),
            Value::Index(it) => out.put(&it.to_string(), escape),
            Value::List(items) => {
                print_all(out, ["[", "]"], items, |it, out| print_json(it, out, escape), escape)
            }
            Value::Map(map) => print_entries(map, ["{", "}"], out, escape),
            Value::Entries(map) => print_entries(map, ["[", "]"], out, escape),
            Value::Entry(key, json) => print_entry((key, json), out, escape),
        }
    }
}

fn print_json(json: &Json<'_>, out: &mut Sink, escape: bool) -> Result<(), Full> {
    match Member::of(json) {
        Member::Is(it) => it.print(out, escape),
        _ => out.put("null", escape),
    }
}

fn print_entries(
    map: &Object<'_>,
    brackets: [&str; 2],
    out: &mut Sink,
    escape: bool,
) -> Result<(), Full> {
    print_all(out, brackets, map.iter(), |it, out| print_entry(it, out, escape), escape)
}

fn print_entry(entry: (&str, &Json<'_>), out: &mut Sink, escape: bool) -> Result<(), Full> {
    out.put(entry.0, escape)?;
    out.put("=", escape)?;
    print_json(entry.1, out, escape)
}

fn print_all<T>(
    out: &mut Sink,
    [open, close]: [&str; 2],
    items: impl IntoIterator<Item = T>,
    print: impl Fn(T, &mut Sink) -> Result<(), Full>,
    escape: bool,
) -> Result<(), Full> {
    out.put(open, escape)?;
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.put(", ", escape)?;
        }
        print(item, out)?;
    }
    out.put(close, escape)
}

/// Where output goes, up to a limit.
pub(super) struct Sink {
    pub(super) text: String,
    pub(super) limit: usize,
}

/// The limit is reached.
pub(super) struct Full;

impl Sink {
    /// Appends, if it still fits.
    pub(super) fn put(&mut self, text: &str, escape: bool) -> Result<(), Full> {
        let text = if escape { html(text) } else { Cow::Borrowed(text) };
        if self.text.len() + text.len() > self.limit {
            return Err(Full);
        }
        self.text.push_str(&text);
        Ok(())
    }
}

/// Escapes what jmustache escapes. The slash is not among it.
fn html(text: &str) -> Cow<'_, str> {
    let special = |it: u8| matches!(it, b'&' | b'<' | b'>' | b'\'' | b'"' | b'`' | b'=');
    if !text.bytes().any(special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&quot;"),
            '`' => escaped.push_str("&#x60;"),
            '=' => escaped.push_str("&#x3D;"),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}
