//! Searching: which units have all of some words.
//!
//! A word matches where one starts with it. Matches of one word come in the order
//! in which the store keeps them, so that a page is read from where the last one
//! ended. Of several words the rarest leads: what it matches is looked at in that
//! order, some hundred at a time, and of those the ones that match the other words,
//! too, are answered best first. So an answer takes a bounded time whatever is
//! asked; a page may then be short, or empty, and still have a next one.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    json::{Doc, FromDoc, Misfit, members},
    names::{NamespaceName, UnitName},
    resolve::UnitPlace,
    words::words,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        View,
        leaving::namespace_is_leaving,
        search::{Found, SearchedRecord, is_place, search_unit, search_words},
        yanks::unit_versions_latest,
    },
};

/// Hits on a page, at most.
const HITS_MAX: usize = 100;

/// Hits on a page where nobody says how many.
const HITS: usize = 20;

/// The longest text that is searched for.
const TEXT_BYTES_MAX: usize = 1024;

/// Words of a search, at most.
const WORDS_MAX: usize = 16;

/// Matches of one word that are looked at for a page, at most.
const LOOKED_AT_MAX: usize = 500;

/// How far matches are counted, in steps, to find the rarest word.
const COUNTED: [usize; 2] = [16, 128];

/// What the first word of each rank scores; a whole word twice that.
const SCORES: [u32; crate::store::search::RANKS] = [8, 4, 2, 1];

/// What a caller asks for, as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchRequest {
    /// The words.
    pub query: String,
    /// Hits on a page.
    pub limit: Option<String>,
    /// Where the page begins, as the page before it said.
    pub cursor: Option<String>,
}

/// What is searched for.
#[derive(Clone, Debug)]
pub struct Search {
    words: Vec<String>,
    limit: usize,
    from: Cursor,
}

/// A unit that was found, and its latest release.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Hit {
    /// The unit.
    pub application: String,
    /// Its namespace.
    pub project: String,
    /// The latest version.
    pub version: String,
    /// What the release says of itself; only the beginning of a long text.
    pub description: String,
    /// How well it matches.
    pub score: u32,
}

/// Some hits, the best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// The hits.
    pub hits: Vec<Hit>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

/// Where a page begins: in the matches of one word.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cursor {
    /// Which of the words leads.
    word: usize,
    /// Hits that were answered already of those behind `after`.
    given: usize,
    /// The place of the last match that is done with; empty at the start.
    after: Vec<u8>,
}

/// A hit before it is shown.
struct Match {
    namespace: NamespaceName,
    unit: UnitName,
    description: String,
    score: u32,
}

impl SearchRequest {
    /// Reads a request's body: its first JSON value.
    pub fn read(body: &[u8]) -> Result<SearchRequest> {
        let invalid = || Error::invalid("", "Invalid JSON");
        let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Doc>();
        let doc = values.next().and_then(std::result::Result::ok).ok_or_else(invalid)?;
        let mut request = SearchRequest::default();
        let read = members(doc, |name, it| match name {
            "query" => request.query.read(it),
            "cursor" => request.cursor.read(it),
            "limit" => {
                request.limit = match it {
                    Doc::Null => None,
                    Doc::Number(digits) => Some(digits),
                    other => return Err(Misfit::expected("a number", &other)),
                };
                Ok(())
            }
            _ => Ok(()),
        });
        read.map_err(|_| invalid())?;
        Ok(request)
    }
}

impl Search {
    /// Reads what is asked for.
    pub fn parse(request: &SearchRequest) -> Result<Search> {
        let words = sought(&request.query)?;
        let limit = request.limit.as_deref().map_or(Ok(HITS), |it| {
            let number = it.parse().ok().filter(|it| (1..=HITS_MAX).contains(it));
            let message =
                || format!("Invalid limit '{}': send a number from 1 to {HITS_MAX}", cut(it));
            number.ok_or_else(|| Error::invalid("limit", message()))
        })?;
        let from = request.cursor.as_deref().map_or(Ok(Cursor::default()), |it| {
            let message = "Invalid cursor: send the one of a page of the same search, as it came";
            Cursor::read(it, &words).ok_or_else(|| Error::invalid("cursor", message))
        })?;
        Ok(Search { words, limit, from })
    }

    /// Hits on a page.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// A page of what was found.
pub async fn search(app: &App, _: &Permit, search: Search) -> Result<Hits> {
    app.store.scan(move |view| page(view, &search)).await
}

fn page(view: &dyn View, search: &Search) -> Result<Hits> {
    let (matches, next) = match &search.words[..] {
        [word] => of_one(view, word, search)?,
        _ => of_several(view, search)?,
    };
    let mut hits = Vec::with_capacity(matches.len());
    for found in matches {
        hits.extend(shown(view, found)?);
    }
    Ok(Hits { hits, next: next.map(|it| it.text()) })
}

/// The matches of one word are in order already: reads on until the page is full.
fn of_one(view: &dyn View, word: &str, search: &Search) -> Result<(Vec<Match>, Option<Cursor>)> {
    let mut matches = Vec::new();
    let mut after = search.from.after.clone();
    let mut looked_at = 0;
    while looked_at < LOOKED_AT_MAX {
        // One more than is missing tells whether there is a next page.
        let asked = (search.limit - matches.len() + 1).min(LOOKED_AT_MAX - looked_at);
        let places = search_words(view, word, &after, asked)?;
        let is_end = places.len() < asked;
        for found in places {
            if matches.len() == search.limit {
                return Ok((matches, Some(Cursor { after, ..Cursor::default() })));
            }
            looked_at += 1;
            after.clone_from(&found.key);
            matches.extend(matched(view, word, &search.words, found)?);
        }
        if is_end {
            return Ok((matches, None));
        }
    }
    Ok((matches, Some(Cursor { after, ..Cursor::default() })))
}

/// Of several words: looks at what the leading one matches next, and sorts that.
fn of_several(view: &dyn View, search: &Search) -> Result<(Vec<Match>, Option<Cursor>)> {
    let from = &search.from;
    let lead = if *from == Cursor::default() { rarest(view, &search.words)? } else { from.word };
    let word = &search.words[lead];
    let places = search_words(view, word, &from.after, LOOKED_AT_MAX)?;
    let is_end = places.len() < LOOKED_AT_MAX;
    let end = places.last().map(|it| it.key.clone()).unwrap_or_default();

    let mut matches = Vec::new();
    for found in places {
        matches.extend(matched(view, word, &search.words, found)?);
    }
    matches.sort_by(|a, b| {
        b.score.cmp(&a.score).then_with(|| (&a.namespace, &a.unit).cmp(&(&b.namespace, &b.unit)))
    });
    let given = from.given.saturating_add(search.limit);
    let next = if given < matches.len() {
        Some(Cursor { word: lead, given, after: from.after.clone() })
    } else {
        (!is_end).then_some(Cursor { word: lead, given: 0, after: end })
    };
    let matches = matches.into_iter().skip(from.given).take(search.limit).collect();
    Ok((matches, next))
}

/// Which word matches least. Of those that match a lot, the longest.
fn rarest(view: &dyn View, words: &[String]) -> Result<usize> {
    for limit in COUNTED {
        let mut least = None;
        for (index, word) in words.iter().enumerate() {
            let count = search_words(view, word, &[], limit)?.len();
            if count < limit && least.is_none_or(|(it, _)| count < it) {
                least = Some((count, index));
            }
        }
        if let Some((_, index)) = least {
            return Ok(index);
        }
    }
    let longest = words.iter().enumerate().max_by_key(|(_, it)| it.chars().count());
    Ok(longest.map_or(0, |(index, _)| index))
}

/// The unit of that place, if it has all the words and this is where its leading
/// word matches first: in other places it is passed over.
fn matched(view: &dyn View, lead: &str, words: &[String], found: Found) -> Result<Option<Match>> {
    let Found { rank, word, namespace, unit, .. } = found;
    let place = UnitPlace { namespace, unit };
    let Some(searched) = search_unit(view, place.key())? else { return Ok(None) };
    if searched.first(lead) != Some((rank, &word)) {
        return Ok(None);
    }
    let Some(score) = words.iter().map(|it| score(&searched, it)).sum() else { return Ok(None) };
    let UnitPlace { namespace, unit } = place;
    Ok(Some(Match { namespace, unit, description: searched.description, score }))
}

fn score(searched: &SearchedRecord, word: &str) -> Option<u32> {
    // A whole word sorts before all that start with it.
    let (rank, found) = searched.first(word)?;
    Some(if found == word { 2 * SCORES[rank] } else { SCORES[rank] })
}

/// With the version that is the latest now.
fn shown(view: &dyn View, found: Match) -> Result<Option<Hit>> {
    let Match { namespace, unit, description, score } = found;
    let place = UnitPlace { namespace, unit };
    // Its words go last of what it had.
    if namespace_is_leaving(view, &place.namespace)? {
        return Ok(None);
    }
    let version = unit_versions_latest(view, place.key())?;
    Ok(version.map(|(it, _)| Hit {
        application: place.unit.to_string(),
        project: place.namespace.to_string(),
        version: it.to_string(),
        description,
        score,
    }))
}

impl Hit {
    /// The qualified id of the release.
    pub fn release_id(&self) -> String {
        format!("{}/{}-v{}", self.project, self.application, self.version)
    }
}

impl Cursor {
    fn text(&self) -> String {
        let place = String::from_utf8_lossy(&self.after);
        URL_SAFE_NO_PAD.encode(format!("{} {} {place}", self.word, self.given))
    }

    /// Reads what may have been given for a search for these words.
    fn read(text: &str, words: &[String]) -> Option<Cursor> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let [word, given, after] = text.splitn(3, ' ').collect::<Vec<_>>().try_into().ok()?;
        let word: usize = word.parse().ok()?;
        let given = given.parse().ok().filter(|it| *it <= LOOKED_AT_MAX)?;
        let lead = words.get(word)?;
        (after.is_empty() || is_place(lead, after.as_bytes())).then(|| Cursor {
            word,
            given,
            after: after.into(),
        })
    }
}

/// The words of a search, each once.
fn sought(text: &str) -> Result<Vec<String>> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("The search is longer than {TEXT_BYTES_MAX} bytes");
        return Err(Error::invalid("q", message));
    }
    let mut seen = BTreeSet::new();
    let words: Vec<_> = words(text).filter(|it| seen.insert(it.clone())).collect();
    if words.is_empty() {
        let message = "The search has no word: send letters or digits";
        return Err(Error::invalid("q", message));
    }
    if words.len() > WORDS_MAX {
        let message = format!("The search has more than {WORDS_MAX} words");
        return Err(Error::invalid("q", message));
    }
    Ok(words)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

#[cfg(test)]
mod tests;
