//! Pages: which one a request asks for, and the links to the others.

use serde_json::{Value, json};
use url::form_urlencoded::{self, Serializer};

use super::super::links::{Object, View, by_rel};
use crate::release::lists::{Order, Page};

const SIZE: usize = 20;
const SIZE_MAX: usize = 1000;
/// Properties that a list is sorted by, at most.
const ORDERS_MAX: usize = 8;

/// What the query of a list says. What makes no sense is passed over, as in the
/// original.
#[derive(Debug, Default)]
pub(super) struct Asked {
    number: u64,
    size: usize,
    pub(super) sort: Vec<Order>,
    /// Whether few properties are enough.
    pub(super) summary: bool,
    /// Parameters that make sense, as they came.
    given: Vec<(String, String)>,
    has_query: bool,
}

impl Asked {
    pub(super) fn of(query: Option<&str>) -> Asked {
        let query = query.unwrap_or_default();
        let mut asked = Asked { size: SIZE, has_query: !query.is_empty(), ..Asked::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "page" => asked.number = value.parse().unwrap_or(0),
                "size" => {
                    let size = value.parse().ok().filter(|it| *it > 0);
                    asked.size = size.unwrap_or(SIZE).min(SIZE_MAX);
                }
                "sort" => asked.sort.extend(orders(&value)),
                "projection" => asked.summary = value == "summary",
                _ => continue,
            }
            asked.given.push((name.into_owned(), value.into_owned()));
        }
        asked.sort.truncate(ORDERS_MAX);
        asked
    }

    pub(super) fn page(&self) -> Page {
        Page { skip: self.skip(), limit: self.size, sort: self.sort.clone() }
    }

    /// The page of a list that is whole already.
    pub(super) fn cut<T>(&self, list: Vec<T>) -> Vec<T> {
        let skip = usize::try_from(self.skip()).unwrap_or(usize::MAX);
        list.into_iter().skip(skip).take(self.size).collect()
    }

    /// What comes behind the members of the page. `forms` are parameters beyond those of
    /// every list.
    pub(super) fn tail(&self, view: &View, resource: &str, forms: &[&str], total: u64) -> Object {
        let size = self.size as u64;
        let pages = total.div_ceil(size);
        let at = |number| view.href(&format!("/api/{resource}?{}", self.query(number)));
        let mut links = Vec::new();
        let several = pages > 1;
        if several {
            links.push(("first", at(0)));
        }
        if self.number > 0 && pages > 0 {
            links.push(("prev", at(self.number.min(pages) - 1)));
        }
        links.push(("self", view.href(&format!("/api/{resource}{}", self.template(forms)))));
        if self.number.saturating_add(1) < pages {
            links.push(("next", at(self.number + 1)));
        }
        if several {
            links.push(("last", at(pages - 1)));
        }
        links.push(("profile", view.href(&format!("/api/profile/{resource}"))));
        links.push(("search", view.href(&format!("/api/{resource}/search"))));
        let page = json!({
            "size": size, "totalElements": total, "totalPages": pages, "number": self.number,
        });
        let tail = [("_links", Value::Object(by_rel(links))), ("page", page)];
        tail.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn skip(&self) -> u64 {
        self.number.saturating_mul(self.size as u64)
    }

    /// What the reader of the link to this page may fill in: what the request left out.
    /// The original leaves out of the link itself what the request said.
    fn template(&self, forms: &[&str]) -> String {
        let is_given = |name: &str| self.given.iter().any(|(given, _)| given == name);
        let open = ["page", "size", "sort"].iter().chain(forms).filter(|it| !is_given(it));
        let open: Vec<&str> = open.copied().collect();
        match (open.is_empty(), self.has_query) {
            (true, _) => String::new(),
            (false, true) => format!("{{&{}}}", open.join(",")),
            (false, false) => format!("{{?{}}}", open.join(",")),
        }
    }

    fn query(&self, number: u64) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("page", &number.to_string());
        query.append_pair("size", &self.size.to_string());
        let kept = self.given.iter().filter(|(name, _)| name == "sort" || name == "projection");
        query.extend_pairs(kept);
        query.finish()
    }
}

/// Reads `name,version,desc`: properties, and the way that they all go.
fn orders(text: &str) -> Vec<Order> {
    let mut properties: Vec<&str> =
        text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    let mut takes = |word: &str| {
        let is = properties.last().is_some_and(|it| it.eq_ignore_ascii_case(word));
        if is {
            properties.pop();
        }
        is
    };
    let ignore_case = takes("ignorecase");
    let descending = !takes("asc") && takes("desc");
    let order = |it: &str| Order { property: it.to_owned(), descending, ignore_case };
    properties.into_iter().map(order).collect()
}

/// The value of a parameter, empty where it is not said.
pub(super) fn parameter(query: Option<&str>, name: &str) -> String {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(it, _)| it == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}
