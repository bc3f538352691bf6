//! Yanking: saying that a release should not be used any more, and taking it back.
//!
//! `latest` and prefixes pass a yanked version over, and so does the version before
//! another one. Whoever names it, or a tag that points to it, still gets it, with a
//! warning. It stays in the list of versions, and its number stays taken.

use serde_json::json;

use super::{
    clock::rfc3339,
    conditions::{ETag, Expected},
    dependencies::kept,
    json::{self, Doc, FromDoc, Misfit, members},
    register::registrar,
    resolve::{UnitPlace, standing_release},
    version::{Version, VersionQuery},
    words::searched,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change, View,
        outbox::{Announcement, announce},
        search::search_put,
        unit_releases::{UnitReleaseRecord, unit_release, unit_release_metadata, unit_release_put},
        units::{unit, unit_put},
        yanks::{YankRecord, unit_version_put_back, unit_version_take_out, unit_versions_latest},
    },
};

/// The longest reason, in bytes.
pub(super) const REASON_BYTES_MAX: usize = 1024;

/// What a request to yank says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Yanking {
    /// Why; may be empty.
    pub reason: String,
    /// What to use instead.
    pub replacement: Option<Version>,
}

#[derive(Default)]
struct Sent {
    reason: String,
    replacement: String,
}

impl FromDoc for Sent {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "reason" => self.reason.read(it),
            "replacement" => self.replacement.read(it),
            _ => Ok(()),
        })
    }
}

/// Reads the body of a request to yank. It may be empty: there is nothing that it has
/// to say.
pub fn read_yanking(body: &[u8]) -> Result<Yanking> {
    if body.trim_ascii().is_empty() {
        return Ok(Yanking::default());
    }
    let sent: Sent =
        json::first_told(body).map_err(|why| Error::invalid("", format!("Invalid JSON: {why}")))?;
    if sent.reason.len() > REASON_BYTES_MAX {
        let message = format!("`reason` is longer than {REASON_BYTES_MAX} bytes");
        return Err(Error::invalid("reason", message));
    }
    let replacement = match sent.replacement.as_str() {
        "" => None,
        text => Some(replacement(text)?),
    };
    Ok(Yanking { reason: sent.reason, replacement })
}

fn replacement(text: &str) -> Result<Version> {
    match VersionQuery::parse(text) {
        VersionQuery::Exact(version) => Ok(version),
        _ => {
            let message = format!("`replacement` must be a version such as `v1.2`, not `{text}`");
            Err(Error::invalid("replacement", message))
        }
    }
}

/// Reads which version to yank, or to take back: one that means the same when it is
/// asked for again.
pub fn read_yanked(segment: &str) -> Result<VersionQuery> {
    match VersionQuery::parse(segment) {
        VersionQuery::Latest | VersionQuery::Prefix(_) => {
            let message = format!(
                "`{segment}` means another version after this one is yanked: name the version \
                 itself, such as `v1.2`, or a tag"
            );
            Err(Error::invalid("version", message))
        }
        query => Ok(query),
    }
}

/// Yanks a release. Doing it again changes what is said of it.
pub async fn yank(
    app: &App,
    permit: &Permit,
    place: UnitPlace,
    version: Version,
    yanking: Yanking,
    expected: Expected,
) -> Result<()> {
    if yanking.replacement.as_ref() == Some(&version) {
        let message = format!("`replacement` must be another version than `v{version}` itself");
        return Err(Error::invalid("replacement", message));
    }
    let record = YankRecord {
        reason: yanking.reason,
        replacement: yanking.replacement.as_ref().map(Version::to_string),
        at: rfc3339(permit.at),
        by: registrar(permit),
    };
    let told = reviewed(app, permit, Some(&record)).await?;
    let work = move |change: &mut dyn Change| {
        let release = expected_release(change, &place, &version, &expected)?;
        if let Some(replacement) = &yanking.replacement
            && unit_release(change, place.key(), replacement)?.is_none()
        {
            let message = format!("`replacement`: {}-v{replacement} does not exist", place.unit);
            return Err(Error::invalid("replacement", message));
        }
        let said = |it: &YankRecord| (it.reason.clone(), it.replacement.clone());
        if release.yanked.as_ref().map(said) == Some(said(&record)) {
            return Ok(());
        }
        put(change, &place, &version, release, Some(record))?;
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Takes a yank back, if there is one.
pub async fn unyank(
    app: &App,
    permit: &Permit,
    place: UnitPlace,
    version: Version,
    expected: Expected,
) -> Result<()> {
    let told = reviewed(app, permit, None).await?;
    let work = move |change: &mut dyn Change| {
        let release = expected_release(change, &place, &version, &expected)?;
        if release.yanked.is_none() {
            return Ok(());
        }
        put(change, &place, &version, release, None)?;
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// What whoever gets a yanked release should know.
pub fn yank_warning(place: &UnitPlace, version: &Version, yank: &YankRecord) -> String {
    let mut text = format!("{}/{}-v{version} is yanked", place.namespace, place.unit);
    if let Some(replacement) = &yank.replacement {
        text.push_str(&format!(", use v{replacement} instead"));
    }
    if !yank.reason.is_empty() {
        text.push_str(&format!(": {}", yank.reason));
    }
    text
}

/// Asks the before-hooks, and makes what the after-hooks will be told.
async fn reviewed(app: &App, permit: &Permit, yank: Option<&YankRecord>) -> Result<Announcement> {
    let said = yank.map(|it| json!({ "reason": it.reason, "replacement": it.replacement }));
    let object = json!({ "yanked": said });
    let fixed = |_, _: &()| Err("what is said of a release stays as it was asked for".to_owned());
    permit.reviewed(app, (), object.clone(), None, fixed).await?;
    Ok(Announcement::of(permit, Some(object)))
}

fn expected_release(
    view: &dyn View,
    place: &UnitPlace,
    version: &Version,
    expected: &Expected,
) -> Result<UnitReleaseRecord> {
    let release = standing_release(view, place, version)?;
    let release = release.ok_or_else(|| place.no_release(version))?;
    expected.check(&ETag::of_release(&release))?;
    Ok(release)
}

/// Keeps what is said of a release, and what follows from it for its unit.
pub(super) fn put(
    change: &mut dyn Change,
    place: &UnitPlace,
    version: &Version,
    release: UnitReleaseRecord,
    yanked: Option<YankRecord>,
) -> Result<()> {
    match (&release.yanked, &yanked) {
        (None, Some(_)) => unit_version_take_out(change, place.key(), version, release.number),
        (Some(_), None) => unit_version_put_back(change, place.key(), version, release.number),
        _ => (),
    }
    let changes = release.changes + 1;
    let release = UnitReleaseRecord { yanked, changes, ..release };
    unit_release_put(change, place.key(), version, &release);
    describe(change, place)
}

/// Makes the unit say what its latest version says.
fn describe(change: &mut dyn Change, place: &UnitPlace) -> Result<()> {
    let record = unit(change, &place.namespace, &place.unit)?;
    let latest = unit_versions_latest(change, place.key())?;
    let (Some(mut record), Some((latest, all_yanked))) = (record, latest) else { return Ok(()) };
    record.changes += 1;
    record.all_yanked = all_yanked;
    if record.latest_version != latest.as_str() {
        let metadata = unit_release_metadata(change, place.key(), &latest)?.unwrap_or_default();
        let metadata = kept(&metadata)?;
        search_put(change, place.key(), &searched(&metadata))?;
        record.latest_version = latest.to_string();
        record.description = metadata.description;
        record.logo = metadata.logo;
    }
    unit_put(change, &place.namespace, &place.unit, &record);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Yanking, String> {
        read_yanking(body.as_bytes()).map_err(|it| it.to_string())
    }

    #[test]
    fn nothing_has_to_be_said() {
        for body in ["", " \n", "{}", "null", r#"{"reason":null,"replacement":""}"#] {
            assert_eq!(read(body), Ok(Yanking::default()), "{body}");
        }
        let sent = read(r#"{"reason":"leaks","replacement":"v1.2"}"#).unwrap();
        assert_eq!((&*sent.reason, sent.replacement), ("leaks", Version::parse("1.2")));
        assert_eq!(read(r#"{"replacement":"01"}"#).unwrap().replacement, Version::parse("01"));
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(1025));
        assert_eq!(read(&long), Err("`reason` is longer than 1024 bytes".into()));
        for text in ["latest", "1.@", "live", "v", "1..2", "ns/app-v1"] {
            let body = json!({ "replacement": text }).to_string();
            let expected = format!("`replacement` must be a version such as `v1.2`, not `{text}`");
            assert_eq!(read(&body), Err(expected));
        }
        for (body, why) in [
            ("[]", "expected an object, got a list"),
            (r#"{"reason":1}"#, "expected a string, got a number in field 'reason'"),
            (r#"{"replacement":{}}"#, "expected a string, got an object in field 'replacement'"),
        ] {
            assert_eq!(read(body), Err(format!("Invalid JSON: {why}")));
        }
        assert!(read("{").unwrap_err().starts_with("Invalid JSON: EOF"));
    }

    #[test]
    fn only_what_stays_the_same_can_be_yanked() {
        for segment in ["v1", "1.0", "live"] {
            assert_eq!(read_yanked(segment).unwrap(), VersionQuery::parse(segment));
        }
        for segment in ["latest", "@", "v@", "v1.@", "1.@"] {
            assert!(read_yanked(segment).is_err(), "{segment}");
        }
    }

    #[test]
    fn a_warning_says_what_to_use_and_why() {
        let place = UnitPlace::parse("ns", "app").unwrap();
        let version = Version::parse("1").unwrap();
        let warning = |reason: &str, replacement: Option<&str>| {
            let (reason, replacement) = (reason.to_owned(), replacement.map(str::to_owned));
            let yank = YankRecord { reason, replacement, ..YankRecord::default() };
            yank_warning(&place, &version, &yank)
        };
        assert_eq!(warning("", None), "ns/app-v1 is yanked");
        assert_eq!(warning("leaks", None), "ns/app-v1 is yanked: leaks");
        let both = "ns/app-v1 is yanked, use v2 instead: leaks";
        assert_eq!(warning("leaks", Some("2")), both);
    }
}
