//! Turns settings into a [`Config`], and what serde says of a mistake into what a
//! person can act on: the key, the right form, the nearest right name.

use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::{Config, sources::Origin};
use crate::error::Error;

/// A mistake in the settings.
pub(super) struct Mistake {
    /// The key that is wrong.
    pub(super) key: String,
    /// What is wrong, following the key.
    what: String,
}

impl Mistake {
    /// The error, with the place where the mistake was made.
    pub(super) fn into_error(self, origin: &Origin) -> Error {
        let message = format!("{origin}: `{}` {}", self.key, self.what);
        Error::Invalid { field: self.key, message }
    }
}

/// Reads settings.
pub(super) fn read(settings: Table) -> Result<Config, Mistake> {
    serde_path_to_error::deserialize(Value::Table(settings)).map_err(|it| {
        let path: Vec<String> = it.path().iter().filter_map(segment).collect();
        mistake(path, &it.into_inner().to_string())
    })
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

fn mistake(mut path: Vec<String>, serde_says: &str) -> Mistake {
    let says = serde_says.lines().next().unwrap_or_default().trim();
    let names: Vec<&str> = says.split('`').skip(1).step_by(2).collect();
    if let Some((unknown, known)) = names.split_first()
        && says.starts_with("unknown field")
    {
        if path.last().is_some_and(|it| it == unknown) {
            path.pop();
        }
        return unknown_key(&path, unknown, known);
    }
    let key = path.join(".");
    if says.starts_with("unknown variant") {
        let known: Vec<String> = names.iter().skip(1).map(|it| format!("`{it}`")).collect();
        return Mistake { key, what: format!("must be one of {}", known.join(", ")) };
    }
    let what = match says.split_once(", expected ") {
        Some((found, expected)) => format!("must be {}{}", form(expected), not(found)),
        None if says.contains("socket address") => {
            "must be an address and a port, like `127.0.0.1:7577`".to_owned()
        }
        None => format!("is wrong: {says}"),
    };
    Mistake { key, what }
}

fn unknown_key(path: &[String], unknown: &str, known: &[&str]) -> Mistake {
    let whole = |name: &str| {
        let parents = path.iter().map(String::as_str);
        parents.chain([name]).collect::<Vec<_>>().join(".")
    };
    let what = match nearest(unknown, known) {
        Some(name) => format!("is not a setting; did you mean `{}`?", whole(name)),
        None if known.is_empty() => "is not a setting".to_owned(),
        None => {
            let known: Vec<String> = known.iter().map(|it| format!("`{it}`")).collect();
            format!("is not a setting; there are {}", known.join(", "))
        }
    };
    Mistake { key: whole(unknown), what }
}

/// What serde expected, in the words of the settings.
fn form(expected: &str) -> &str {
    match expected {
        "a boolean" => "`true` or `false`",
        "a string" | "path string" => "text",
        "a sequence" => "a list",
        "a map" => "a table",
        it if it.starts_with("struct ") => "a table",
        it if it.starts_with(['u', 'i']) && it[1..].parse::<u8>().is_ok() => "a whole number",
        "usize" | "isize" => "a whole number",
        it => it,
    }
}

/// What serde found, without the value itself, which may be a secret.
fn not(found: &str) -> String {
    let Some((kind, rest)) = found.split_once(": ") else { return String::new() };
    if kind == "invalid value"
        && let Some(number) = rest.strip_prefix("integer ")
    {
        return format!(", not {number}");
    }
    let kind = match rest.split(['"', '`']).next().unwrap_or_default().trim() {
        "string" => "text",
        "integer" | "floating point" => "a number",
        "boolean" => "`true` or `false`",
        "map" => "a table",
        "sequence" => "a list",
        it => it,
    };
    format!(", not {kind}")
}

/// The known name that one or two slips of the finger make the unknown one.
fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let slips_max = (unknown.len() / 3).clamp(1, 3);
    let measured = known.iter().map(|it| (distance(unknown, it), *it));
    measured.filter(|(slips, _)| *slips <= slips_max).min().map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
