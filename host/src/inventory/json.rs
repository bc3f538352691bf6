//! JSON as Escape's clients may write it: keys match without regard to case, of
//! repeated keys the last wins, unknown keys are passed over, and `null` for a
//! text or a number changes nothing.
//!
//! A [`Doc`] keeps an object's members in their order, repeated ones too; a
//! [`FromDoc`] type takes from it what it knows.

mod mended;

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use self::mended::mended;
use crate::error::Error;

/// How serde_json hands over a number whose digits it has kept.
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// Any JSON value, with nothing lost.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doc {
    Null,
    Bool(bool),
    /// The digits as they were sent.
    Number(String),
    Text(String),
    List(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

/// What does not fit, and where.
#[derive(Debug, PartialEq)]
pub(super) struct Misfit {
    place: String,
    problem: String,
}

/// Takes values of this type from JSON.
pub(super) trait FromDoc: Sized {
    /// Reads a value; `null` leaves `self` as it is.
    fn read(&mut self, doc: Doc) -> Result<(), Misfit>;
}

/// Reads a body that is one JSON value and nothing else.
pub(super) fn whole(body: &[u8]) -> Result<Doc, String> {
    serde_json::from_slice(&mended(body)).map_err(|it| it.to_string())
}

/// Reads the one JSON value that a body begins with; what comes behind it is passed
/// over, as in the original.
pub(super) fn first<T: FromDoc + Default>(body: &[u8]) -> Result<T, Error> {
    first_told(body).map_err(|_| Error::invalid("", "Invalid JSON"))
}

/// The same, with what is wrong where something is.
pub(super) fn first_told<T: FromDoc + Default>(body: &[u8]) -> Result<T, String> {
    let body = mended(body);
    let mut deserializer = serde_json::Deserializer::from_slice(&body);
    let doc = Doc::deserialize(&mut deserializer).map_err(|it| it.to_string())?;
    from(doc).map_err(|it| it.to_string())
}

/// Reads the members of an object into fields by name. Names of fields are
/// lower-case.
pub(super) fn members(
    doc: Doc,
    mut field: impl FnMut(&str, Doc) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    let members = match doc {
        Doc::Null => return Ok(()),
        Doc::Object(members) => members,
        other => return Err(Misfit::expected("an object", &other)),
    };
    for (name, value) in members {
        field(&name.to_lowercase(), value).map_err(|it| it.at(&name))?;
    }
    Ok(())
}

impl Doc {
    fn what(&self) -> &'static str {
        match self {
            Doc::Null => "null",
            Doc::Bool(_) => "a boolean",
            Doc::Number(_) => "a number",
            Doc::Text(_) => "a string",
            Doc::List(_) => "a list",
            Doc::Object(_) => "an object",
        }
    }
}

impl Misfit {
    /// Says what was expected instead.
    pub(super) fn expected(what: &str, doc: &Doc) -> Self {
        Misfit { place: String::new(), problem: format!("expected {what}, got {}", doc.what()) }
    }

    fn at(self, outer: &str) -> Self {
        let place = match self.place.as_str() {
            "" => outer.to_owned(),
            inner => format!("{outer}.{inner}"),
        };
        Misfit { place, ..self }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.problem),
            place => write!(f, "{} in field '{place}'", self.problem),
        }
    }
}

impl FromDoc for String {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        match doc {
            Doc::Null => (),
            Doc::Text(text) => *self = text,
            other => return Err(Misfit::expected("a string", &other)),
        }
        Ok(())
    }
}

impl FromDoc for bool {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        match doc {
            Doc::Null => (),
            Doc::Bool(it) => *self = it,
            other => return Err(Misfit::expected("a boolean", &other)),
        }
        Ok(())
    }
}

impl FromDoc for i64 {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        let parsed = match &doc {
            Doc::Null => return Ok(()),
            Doc::Number(digits) => digits.parse().ok(),
            _ => None,
        };
        *self = parsed.ok_or_else(|| Misfit::expected("an integer of 64 bits", &doc))?;
        Ok(())
    }
}

/// Free JSON: numbers become 64-bit floats, as they do in the original, and keys
/// are sorted.
impl FromDoc for Value {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        *self = match doc {
            Doc::Null => Value::Null,
            Doc::Bool(it) => Value::Bool(it),
            Doc::Number(digits) => Value::Number(through_a_float(&digits)?),
            Doc::Text(text) => Value::String(text),
            Doc::List(items) => {
                Value::Array(items.into_iter().map(from).collect::<Result<_, _>>()?)
            }
            Doc::Object(members) => {
                let mut sorted = BTreeMap::new();
                for (name, doc) in members {
                    sorted.insert(name, from(doc)?);
                }
                Value::Object(Map::from_iter(sorted))
            }
        };
        Ok(())
    }
}

impl<T: FromDoc + Default> FromDoc for Vec<T> {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        *self = match doc {
            Doc::Null => Vec::new(),
            Doc::List(items) => {
                let item = |(at, doc)| from(doc).map_err(|it: Misfit| it.at(&format!("[{at}]")));
                items.into_iter().enumerate().map(item).collect::<Result<_, _>>()?
            }
            other => return Err(Misfit::expected("a list", &other)),
        };
        Ok(())
    }
}

impl<T: FromDoc + Default> FromDoc for BTreeMap<String, T> {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        let members = match doc {
            Doc::Null => Vec::new(),
            Doc::Object(members) => members,
            other => return Err(Misfit::expected("an object", &other)),
        };
        self.clear();
        for (name, doc) in members {
            let value = from(doc).map_err(|it: Misfit| it.at(&name))?;
            self.insert(name, value);
        }
        Ok(())
    }
}

/// `null` is a value of its own here.
impl<T: FromDoc + Default> FromDoc for Option<T> {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        *self = match doc {
            Doc::Null => None,
            doc => Some(from(doc)?),
        };
        Ok(())
    }
}

/// Reads a value from nothing but its default.
pub(super) fn from<T: FromDoc + Default>(doc: Doc) -> Result<T, Misfit> {
    let mut value = T::default();
    value.read(doc)?;
    Ok(value)
}

/// A number, written as the original writes 64-bit floats: the shortest digits
/// that mean the same, with an exponent only outside of 1e-6 to 1e21.
fn through_a_float(digits: &str) -> Result<Number, Misfit> {
    let out_of_range = || Misfit {
        place: String::new(),
        problem: format!("the number {digits} does not fit a 64-bit float"),
    };
    let float: f64 = digits.parse().map_err(|_| out_of_range())?;
    if !float.is_finite() {
        return Err(out_of_range());
    }
    let size = float.abs();
    let plain = size == 0.0 || (1e-6..1e21).contains(&size);
    let text = if plain { format!("{float}") } else { format!("{float:e}") };
    let text = match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    };
    Ok(Number::from_string_unchecked(text))
}

impl<'de> Deserialize<'de> for Doc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocVisitor)
    }
}

struct DocVisitor;

impl<'de> Visitor<'de> for DocVisitor {
    type Value = Doc;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Doc, E> {
        Ok(Doc::Null)
    }

    fn visit_bool<E: de::Error>(self, it: bool) -> Result<Doc, E> {
        Ok(Doc::Bool(it))
    }

    fn visit_i64<E: de::Error>(self, it: i64) -> Result<Doc, E> {
        Ok(Doc::Number(it.to_string()))
    }

    fn visit_u64<E: de::Error>(self, it: u64) -> Result<Doc, E> {
        Ok(Doc::Number(it.to_string()))
    }

    fn visit_f64<E: de::Error>(self, it: f64) -> Result<Doc, E> {
        Ok(Doc::Number(it.to_string()))
    }

    fn visit_str<E: de::Error>(self, it: &str) -> Result<Doc, E> {
        Ok(Doc::Text(it.to_owned()))
    }

    fn visit_string<E: de::Error>(self, it: String) -> Result<Doc, E> {
        Ok(Doc::Text(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Doc, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Doc::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Doc, A::Error> {
        let mut object = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, Doc>()? {
            if let (NUMBER_KEY, Doc::Text(digits)) = (name.as_str(), &value) {
                return match digits.parse::<Number>() {
                    Ok(_) => Ok(Doc::Number(digits.clone())),
                    Err(_) => Err(de::Error::custom("invalid number")),
                };
            }
            object.push((name, value));
        }
        Ok(Doc::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Doc, Misfit, from};

    fn free(json: &str) -> Result<String, Misfit> {
        let doc: Doc = serde_json::from_str(json).unwrap();
        from::<Value>(doc).map(|it| it.to_string())
    }

    #[test]
    fn numbers_pass_through_a_64_bit_float() {
        let cases = [
            ("1", "1"),
            ("1.0", "1"),
            ("-0.50", "-0.5"),
            ("1e3", "1000"),
            ("9007199254740993", "9007199254740992"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("0", "0"),
        ];
        for (sent, kept) in cases {
            assert_eq!(free(sent).unwrap(), kept);
        }
        assert!(free("1e999").is_err());
        assert!(free(&"9".repeat(1000)).is_err());
    }

    #[test]
    fn free_json_is_sorted_and_its_last_key_wins() {
        let kept = free(r#"{"b":1,"a":{"d":[1,null,"x"],"c":true},"b":2,"B":3}"#).unwrap();
        assert_eq!(kept, r#"{"B":3,"a":{"c":true,"d":[1,null,"x"]},"b":2}"#);
    }

    #[test]
    fn the_order_of_repeated_members_is_kept() {
        let doc: Doc = serde_json::from_str(r#"{"a":1,"A":2,"a":3}"#).unwrap();
        let Doc::Object(members) = doc else { panic!("an object") };
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "A", "a"]);
    }
}
