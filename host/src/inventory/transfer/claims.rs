//! What a stream may say that no register would have let anybody choose.

use super::{
    super::{clock::rfc3339, hooks_document, version::Version, yank},
    Facts,
    reader::wrong,
};
use crate::{
    error::{Error, Result},
    store::hooks_documents::HooksDocument,
};

/// The longest name of somebody who registered.
const BY_BYTES_MAX: usize = 255;
/// The greatest number that a release may bring along.
const NUMBER_MAX: u64 = 1 << 40;

/// Checks a hooks document, as a PUT of it does.
pub(super) fn check_hooks(document: &HooksDocument, kinds: &[&str]) -> Result<()> {
    hooks_document::check(document, kinds).map_err(|it| wrong(&format!("a hooks document: {it}")))
}

/// Checks what a stream tells of a release.
pub(super) fn check(facts: &Facts) -> Result<()> {
    if facts.number == 0 || facts.number > NUMBER_MAX {
        return Err(Error::invalid("number", "its number is none"));
    }
    if facts.uploaded_by.len() > BY_BYTES_MAX || facts.uploaded_by.chars().any(char::is_control) {
        return Err(Error::invalid("uploaded_by", "`uploaded_by` is nobody's name"));
    }
    if let Some(yank) = &facts.yanked {
        let replacement = yank.replacement.as_deref().map(Version::parse);
        let fits = yank.reason.len() <= yank::REASON_BYTES_MAX
            && yank.by.len() <= BY_BYTES_MAX
            && replacement.is_none_or(|it| it.is_some())
            && is_time(&yank.at);
        if !fits {
            return Err(Error::invalid("yanked", "what is said of its yank cannot be"));
        }
    }
    let package = facts.package.as_ref();
    for at in [&facts.uploaded_at].into_iter().chain(package.map(|it| &it.uploaded_at)) {
        if !is_time(at) {
            return Err(Error::invalid("uploaded_at", "`uploaded_at` is no time"));
        }
    }
    Ok(())
}

/// Whether it is a time as this server writes it.
fn is_time(text: &str) -> bool {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let read = OffsetDateTime::parse(text, &Rfc3339).ok();
    read.is_some_and(|it| it.unix_timestamp() >= 0 && rfc3339(it.into()) == text)
}
