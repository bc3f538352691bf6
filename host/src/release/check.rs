//! What must be right about a release before anything is claimed or started.

use super::{difference::COUNT, manifest::Application};
use crate::error::{Error, Result};

/// The group and the app's name become one name on the platform.
const APPLICATIONS_MAX: usize = 200;
/// Instances of an application.
pub(super) const COUNT_MAX: u32 = 100;

/// Names end up in URLs, in folders' names and on platforms.
pub(super) fn name(what: &str, name: &str) -> Result<()> {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let ends = name.starts_with(|it: char| it.is_ascii_alphanumeric());
    if name.len() > 128 || !ends || !name.chars().all(plain) {
        return Err(conflict(&format!(
            "{what} [{name}] must begin with a letter or a digit and have at most 128 letters, \
             digits, dots, dashes and underscores"
        )));
    }
    Ok(())
}

/// Checks the applications of a manifest as a whole.
pub(super) fn applications(applications: &[Application]) -> Result<()> {
    if applications.len() > APPLICATIONS_MAX {
        return Err(conflict(&format!(
            "The manifest has more than {APPLICATIONS_MAX} applications"
        )));
    }
    for (index, it) in applications.iter().enumerate() {
        name("Application name", &it.name)?;
        if applications[..index].iter().any(|other| other.name == it.name) {
            return Err(conflict(&format!(
                "The manifest has two applications named [{}]",
                it.name
            )));
        }
        count(it)?;
    }
    Ok(())
}

/// How many instances an application has.
pub(super) fn count(application: &Application) -> Result<u32> {
    let found = application.deployment_properties.iter().find(|(key, _)| key == COUNT);
    let Some((_, text)) = found else { return Ok(1) };
    let count = text.trim().parse().ok().filter(|it| (1..=COUNT_MAX).contains(it));
    count.ok_or_else(|| {
        conflict(&format!(
            "Application [{}]: `{COUNT}` must be a number from 1 to {COUNT_MAX}, and is `{text}`",
            application.name
        ))
    })
}

/// The error for a state of things that does not allow what is asked for.
pub(super) fn conflict(message: &str) -> Error {
    Error::Conflict(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        for text in ["a", "myLogRelease1", "a.b-c_d"] {
            assert!(name("Release name", text).is_ok(), "{text}");
        }
        let long = "a".repeat(129);
        for text in ["..", "a/b", "a b", "-a", ".a", "ä", "a\n", "a\0", "{port:x}", &long] {
            assert!(name("Release name", text).is_err(), "{text}");
        }
    }
}
