//! The version that a build should take next.
//!
//! It is a suggestion: two builds that ask at once are told the same, and the
//! second to register is refused.

use super::resolve::UnitPlace;
use crate::{
    app::App,
    authz::Permit,
    error::Result,
    store::{View, leaving::namespace_is_leaving, unit_releases::unit_versions_greatest_next},
};

/// Suggests a version: `start` and one more than the greatest number that follows
/// it in any version of the unit, or 0 where none does.
pub async fn next_version(app: &App, _: &Permit, place: &UnitPlace, start: &str) -> Result<String> {
    let (place, text) = (place.clone(), start.to_owned());
    let greatest = move |view: &dyn View| match namespace_is_leaving(view, &place.namespace)? {
        true => Ok(None),
        false => unit_versions_greatest_next(view, place.key(), &text),
    };
    let greatest = app.store.read(greatest).await?;
    Ok(format!("{start}{}", greatest.map_or_else(|| "0".to_owned(), increment)))
}

fn increment(digits: String) -> String {
    let mut digits = digits.into_bytes();
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return digits.iter().map(|it| char::from(*it)).collect();
        }
        *digit = b'0';
    }
    let tail: String = digits.iter().map(|it| char::from(*it)).collect();
    format!("1{tail}")
}

#[cfg(test)]
mod tests {
    use super::increment;

    #[test]
    fn numbers_of_any_size_are_incremented() {
        let beyond_64_bits = ("18446744073709551615", "18446744073709551616");
        for (digits, next) in
            [("0", "1"), ("9", "10"), ("19", "20"), ("999", "1000"), beyond_64_bits]
        {
            assert_eq!(increment(digits.to_owned()), next);
        }
    }
}
