//! The words that a unit is found by.
//!
//! A word is a run of letters and digits of any alphabet, written small. How many
//! are taken of a release is bounded, so that no text makes more rows than a search
//! is worth: the first of its name, of what it offers and needs, of its facts and of
//! its description.

use std::collections::BTreeSet;

use super::metadata::ReleaseMetadata;
use crate::store::search::{RANKS, SearchedRecord};

/// The longest word, in bytes. What is longer is found by its beginning.
pub(super) const WORD_BYTES_MAX: usize = 48;

/// How many words are taken of each rank: of the name; of what it provides and
/// consumes; of its license and metadata; of its description.
const WORDS_MAX: [usize; RANKS] = [16, 24, 24, 64];

/// How much of the texts of one rank is looked at.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// How much of a description is shown with what was found.
const DESCRIPTION_CHARS_MAX: usize = 500;

/// What a release's unit is found by while this is its latest.
pub fn searched(release: &ReleaseMetadata) -> SearchedRecord {
    let provides = release.provides.iter().flatten().map(|it| &*it.name);
    let consumes = release.consumes.iter().flatten().map(|it| &*it.name);
    let metadata = release.metadata.iter().flatten().flat_map(|(key, it)| [&**key, it]);

    let mut taken = BTreeSet::new();
    let mut rank = 0;
    let mut ranked = |texts: &mut dyn Iterator<Item = &str>| {
        let words = words_of(texts, WORDS_MAX[rank], &mut taken);
        rank += 1;
        words
    };
    let words = [
        ranked(&mut [&*release.name].into_iter()),
        ranked(&mut provides.chain(consumes)),
        ranked(&mut [&*release.license].into_iter().chain(metadata)),
        ranked(&mut [&*release.description].into_iter()),
    ];
    SearchedRecord { words, description: shortened(&release.description) }
}

/// The words of a text, in its order.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty()).map(small)
}

/// The first words of the texts that no better rank has, sorted.
fn words_of(
    texts: &mut dyn Iterator<Item = &str>,
    words_max: usize,
    taken: &mut BTreeSet<String>,
) -> String {
    let mut own = BTreeSet::new();
    let mut left = TEXT_BYTES_MAX;
    for text in texts {
        let text = &text[..text.floor_char_boundary(left)];
        // One more, so that texts without any come to an end, too.
        left = left.saturating_sub(text.len() + 1);
        for word in words(text) {
            if own.len() < words_max && taken.insert(word.clone()) {
                own.insert(word);
            }
        }
        if left == 0 || own.len() >= words_max {
            break;
        }
    }
    own.into_iter().collect::<Vec<_>>().join(" ")
}

/// A word as it is compared: by way of capitals, since some letters have two small
/// forms and one capital.
fn small(word: &str) -> String {
    let mut small = if word.is_ascii() {
        word.to_ascii_lowercase()
    } else {
        word.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
    };
    small.truncate(small.floor_char_boundary(WORD_BYTES_MAX));
    small
}

fn shortened(description: &str) -> String {
    match description.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &description[..end]),
        None => description.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::register::read_release;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn words_are_letters_and_digits_of_any_alphabet() {
        check("", &[]);
        check(" -- \0 \u{202e}", &[]);
        check("payment-gateway_v2", &["payment", "gateway", "v2"]);
        check("Größe, ΟΔΟΣ/οδος; ЖУРНАЛ", &["grösse", "οδοσ", "οδοσ", "журнал"]);
        check("שלום 支付服务 ٣", &["שלום", "支付服务", "٣"]);
    }

    #[test]
    fn a_long_word_is_cut_at_a_character() {
        let word = words(&"ä".repeat(1000)).next().unwrap();
        assert_eq!(word, "ä".repeat(WORD_BYTES_MAX / 2));
    }

    fn of(release: serde_json::Value) -> SearchedRecord {
        searched(&read_release(release.to_string().as_bytes()).unwrap().metadata)
    }

    #[test]
    fn a_word_counts_where_it_says_most() {
        let found = of(json!({
            "name": "web-api", "version": "1", "license": "MIT", "description": "API of the Web, MIT",
            "metadata": { "Team": "web crew" }, "provides": [{ "name": "http" }],
            "consumes": [{ "name": "api-gateway" }],
        }));
        assert_eq!(found.words, ["api web", "gateway http", "crew mit team", "of the"]);
        assert_eq!(found.first("c"), Some((2, "crew")));
        assert_eq!(found.first("gate"), Some((1, "gateway")));
        assert_eq!(found.first("x"), None);
    }

    #[test]
    fn no_text_makes_more_rows_than_its_rank_has() {
        let many: String = (0..50_000).map(|it| format!("w{it} ")).collect();
        let metadata: serde_json::Map<_, _> =
            (0..5_000).map(|it| (format!("k{it}"), json!("v"))).collect();
        let found = of(json!({
            "name": "app", "version": "1", "description": many, "metadata": metadata,
            "provides": vec![json!({ "name": "" }); 1_000],
        }));
        let counts = found.words.each_ref().map(|it| it.split_terminator(' ').count());
        assert_eq!(counts, [1, 0, 24, 64]);
        assert!(found.words[3].contains("w63") && !found.words[3].contains("w64"));
        assert_eq!(found.description.chars().count(), DESCRIPTION_CHARS_MAX + 1);
    }
}
