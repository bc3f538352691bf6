//! What a query says. A parameter that is not known is refused: one that is misspelt
//! would ask for something else.

use super::answer::{Answer, Failure};

/// Values in one query.
const VALUES_MAX: usize = 64;

/// The parameters of a query.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query that may have these parameters.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Answer<Query> {
        let mut values = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let message = match known.is_empty() {
                    true => format!("there are no parameters here, and no `{}`", shortened(&name)),
                    false => format!(
                        "there is no parameter `{}`; these are known: `{}`",
                        shortened(&name),
                        known.join("`, `")
                    ),
                };
                return Err(Failure::invalid(&shortened(&name), message));
            }
            if values.len() == VALUES_MAX {
                let message = format!("a query has at most {VALUES_MAX} values");
                return Err(Failure::invalid(&name, message));
            }
            values.push((name.into_owned(), value.into_owned()));
        }
        Ok(Query(values))
    }

    /// Reads a query that has no parameters.
    pub(super) fn none(query: Option<&str>) -> Answer<()> {
        Query::read(query, &[]).map(drop)
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|it| it.0 == name);
        named.map(|(_, value)| value.clone()).collect()
    }

    /// The value of a parameter that may be there once.
    pub(super) fn one(&self, name: &str) -> Answer<Option<&str>> {
        let mut values = self.0.iter().filter(|it| it.0 == name);
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => {
                Err(Failure::invalid(name, format!("`{name}` may be there once only")))
            }
            (first, _) => Ok(first.map(|it| it.1.as_str())),
        }
    }
}

/// As much of a text as a message shows.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_whole_or_not_at_all() {
        let query = Query::read(Some("a=1&b=x+y&a=%C3%A4"), &["a", "b"]).ok().unwrap();
        assert_eq!(query.all("a"), ["1", "ä"]);
        assert_eq!(query.one("b").ok().unwrap(), Some("x y"));
        assert_eq!(query.one("c").ok().unwrap(), None);
        assert!(query.one("a").is_err());
        assert!(Query::read(Some("c=1"), &["a", "b"]).is_err());
        assert!(Query::read(None, &[]).is_ok());
        assert!(Query::read(Some(&"a=1&".repeat(65)), &["a"]).is_err());
    }
}
