//! The parameters of a query.

use std::borrow::Cow;

use crate::api::path::encodes_properly;

/// The first parameter of that name, `+` read as a blank.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    first(url::form_urlencoded::parse(query?.as_bytes()), name)
}

/// The same where the original has that parameter, too. It passes over a pair with a
/// `;` in it, or with a `%` that has no two digits behind it.
pub(super) fn lenient_parameter(query: Option<&str>, name: &str) -> Option<String> {
    let proper = |it: &&str| !it.contains(';') && encodes_properly(it);
    let pairs = query?.split('&').filter(proper);
    first(pairs.flat_map(|it| url::form_urlencoded::parse(it.as_bytes())), name)
}

fn first<'a>(
    mut pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    name: &str,
) -> Option<String> {
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::{lenient_parameter, parameter};

    #[test]
    fn the_first_parameter_wins_and_plus_is_a_blank() {
        for read in [parameter, lenient_parameter] {
            assert_eq!(read(None, "prefix"), None);
            assert_eq!(read(Some("a=b"), "prefix"), None);
            assert_eq!(read(Some("prefix=1.&prefix=2."), "prefix").unwrap(), "1.");
            assert_eq!(read(Some("prefix=a+b%2E"), "prefix").unwrap(), "a b.");
            assert_eq!(read(Some("prefix"), "prefix").unwrap(), "");
            assert_eq!(read(Some("&&PREFIX=1&prefix==%3B"), "prefix").unwrap(), "=;");
        }
    }

    #[test]
    fn the_original_passes_over_what_is_no_pair() {
        for odd in ["prefix=%", "prefix=%4", "prefix=%zz", "prefix=a;b", "prefix=1;", "%prefix=1"] {
            assert_eq!(lenient_parameter(Some(odd), "prefix"), None, "{odd}");
            let with_another = format!("{odd}&prefix=2.");
            assert_eq!(lenient_parameter(Some(&with_another), "prefix").unwrap(), "2.");
        }
        assert_eq!(parameter(Some("q=a;b"), "q").unwrap(), "a;b");
    }
}
