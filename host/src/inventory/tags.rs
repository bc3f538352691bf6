//! Tags: names for versions of a unit that can be moved from one to the next.

use serde_json::json;

use super::{
    conditions::{ETag, Expected},
    json::{self, Doc, FromDoc, Misfit, members},
    read::PAGE_ROWS,
    release_id::{ReleaseId, Which},
    resolve::{UnitPlace, standing_unit},
    version::{Version, VersionQuery},
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change, View,
        outbox::{Announcement, announce},
        tags::{tag, tag_delete, tag_put, tags_page},
        unit_releases::unit_release,
        units::{UnitRecord, unit_put},
    },
};

/// The longest tag, in bytes.
const TAG_BYTES_MAX: usize = 255;

/// A tag: any text that does not read as a version, and that a path can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// Checks a tag.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > TAG_BYTES_MAX {
            let message = format!("The tag is longer than {TAG_BYTES_MAX} bytes.");
            return Err(Error::invalid("tag", message));
        }
        // No path leads to a segment that is empty, `.`, `..` or holds a slash.
        let unreachable = matches!(text, "" | "." | "..") || text.contains(['/', '\0']);
        if unreachable || !matches!(VersionQuery::parse(text), VersionQuery::Tag(_)) {
            let message = format!("The tag '{text}' is invalid/not supported.");
            return Err(Error::invalid("tag", message));
        }
        Ok(Tag(text.to_owned()))
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request to tag a release, checked as far as that goes without the store.
#[derive(Clone, Debug)]
pub struct Tagging {
    /// The tag to set.
    pub tag: Tag,
    /// What it should point to.
    pub query: VersionQuery,
    /// The same, as a release id.
    pub release_id: ReleaseId,
}

#[derive(Default)]
struct Sent {
    release_id: String,
    tag: String,
}

impl FromDoc for Sent {
    fn read(&mut self, doc: Doc) -> Result<(), Misfit> {
        members(doc, |name, it| match name {
            "release_id" => self.release_id.read(it),
            "tag" => self.tag.read(it),
            _ => Ok(()),
        })
    }
}

/// Reads the body of a request to tag a release of the unit that the path names. In
/// the order of the original's checks, and in its words.
pub fn read_tagging(body: &[u8], namespace: &str, unit: &str) -> Result<Tagging> {
    let sent: Sent = json::first(body)?;
    let release_id = ReleaseId::parse(&sent.release_id)?;
    let tag = Tag::parse(&sent.tag)?;
    let mismatch = |what: &str| {
        let message = format!("Mismatch between {what} from URL and {what} from release_id.");
        Err(Error::invalid("release_id", message))
    };
    if release_id.project != namespace {
        return mismatch("namespace");
    }
    if release_id.name != unit {
        return mismatch("application");
    }
    let query = match &release_id.which {
        Which::Latest => VersionQuery::Latest,
        Which::Version(version) => VersionQuery::parse(version),
        Which::Tag(tag) => VersionQuery::Tag(tag.clone()),
    };
    Ok(Tagging { tag, query, release_id })
}

/// Makes a tag point to a version, wherever it pointed before.
pub async fn set_tag(
    app: &App,
    permit: &Permit,
    place: UnitPlace,
    name: Tag,
    version: Version,
    expected: Expected,
) -> Result<()> {
    let key = (place.clone(), name.clone());
    let before = app.store.read(move |view| tag(view, key.0.key(), &key.1)).await?;
    let object = shown(&place, &name, &version);
    let previous = before.map(|it| shown(&place, &name, &it));
    permit.reviewed(app, (), object.clone(), previous, fixed).await?;
    let told = Announcement::of(permit, Some(object));

    let work = move |change: &mut dyn Change| {
        let record = unit_with_tags(change, &place, &expected)?;
        if unit_release(change, place.key(), &version)?.is_none() {
            return Err(place.no_release(&version));
        }
        if tag(change, place.key(), &name)? == Some(version.clone()) {
            return Ok(());
        }
        tag_put(change, place.key(), &name, &version);
        tags_changed(change, &place, record);
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Drops a tag. What it pointed to stays.
pub async fn delete_tag(
    app: &App,
    permit: &Permit,
    place: UnitPlace,
    name: Tag,
    expected: Expected,
) -> Result<()> {
    let key = (place.clone(), name.clone());
    let version = app.store.read(move |view| tag(view, key.0.key(), &key.1)).await?;
    let version = version.ok_or_else(|| no_tag(&place, name.as_str()))?;
    let object = shown(&place, &name, &version);
    permit.reviewed(app, (), object.clone(), Some(object), fixed).await?;

    let permit = permit.clone();
    let audit = permit.audit();
    let work = move |change: &mut dyn Change| {
        let record = unit_with_tags(change, &place, &expected)?;
        // It may have been moved since, and then it is that one which is dropped.
        let version = tag(change, place.key(), &name)?;
        let version = version.ok_or_else(|| no_tag(&place, name.as_str()))?;
        tag_delete(change, place.key(), &name);
        tags_changed(change, &place, record);
        announce(change, &Announcement::of(&permit, Some(shown(&place, &name, &version))))
    };
    app.store.write(audit, work).await
}

/// The entity tag of a unit's tags.
pub async fn tags_etag(app: &App, _: &Permit, place: &UnitPlace) -> Result<ETag> {
    let place = place.clone();
    let etag = move |view: &dyn View| Ok(ETag::of_tags(&known_unit(view, &place)?));
    app.store.read(etag).await
}

/// A page of a unit's tags with their versions, behind `after`.
pub async fn tags(
    app: &App,
    _: &Permit,
    place: UnitPlace,
    after: String,
) -> Result<Vec<(String, Version)>> {
    app.store.read(move |view| tags_page(view, place.key(), &after, PAGE_ROWS)).await
}

/// Says that a tag does not exist.
pub fn no_tag(place: &UnitPlace, tag: &str) -> Error {
    Error::not_found("tag", format!("{}/{}:{tag}", place.namespace, place.unit))
}

fn shown(place: &UnitPlace, tag: &Tag, version: &Version) -> serde_json::Value {
    let release_id = format!("{}/{}-v{version}", place.namespace, place.unit);
    json!({ "release_id": release_id, "tag": tag.as_str() })
}

fn fixed(_: serde_json::Value, _: &()) -> Result<(), String> {
    Err("a tag and its release stay as they were asked for".to_owned())
}

fn known_unit(view: &dyn View, place: &UnitPlace) -> Result<UnitRecord> {
    let UnitPlace { namespace, unit } = place;
    let record = standing_unit(view, place)?;
    record.ok_or_else(|| Error::not_found("unit", format!("{namespace}/{unit}")))
}

fn unit_with_tags(view: &dyn View, place: &UnitPlace, expected: &Expected) -> Result<UnitRecord> {
    let record = known_unit(view, place)?;
    expected.check(&ETag::of_tags(&record))?;
    Ok(record)
}

fn tags_changed(change: &mut dyn Change, place: &UnitPlace, record: UnitRecord) {
    let record = UnitRecord { tag_changes: record.tag_changes + 1, ..record };
    unit_put(change, &place.namespace, &place.unit, &record);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_no_version_is_and_a_path_can_hold() {
        let long = "ä".repeat(127);
        for text in [
            "production",
            "A",
            "with blanks",
            " ",
            "v1.x",
            "1@",
            "vX",
            "LATEST",
            "vlatest",
            "a-b",
            "äöü",
            "発売",
            "a:b",
            "...",
            "a\nb",
            "1.0-rc",
            "1.0.",
            "-1",
            &long,
        ] {
            assert_eq!(Tag::parse(text).unwrap().as_str(), text);
        }
        for text in
            ["", "latest", "@", "v@", "v1", "1", "1.0", "0.@", "v0.@", "a/b", "/", ".", "..", "a\0"]
        {
            let expected = format!("The tag '{text}' is invalid/not supported.");
            assert_eq!(Tag::parse(text).unwrap_err().to_string(), expected);
        }
        let long = Tag::parse(&"ä".repeat(128)).unwrap_err().to_string();
        assert_eq!(long, "The tag is longer than 255 bytes.");
    }

    fn read(body: &str) -> Result<(String, VersionQuery), String> {
        let tagging = read_tagging(body.as_bytes(), "ns", "app").map_err(|it| it.to_string())?;
        Ok((tagging.tag.0, tagging.query))
    }

    #[test]
    fn a_release_id_says_what_is_tagged() {
        let asked = |id: &str| read(&format!(r#"{{"release_id":"{id}","tag":"live"}}"#)).unwrap().1;
        assert_eq!(asked("ns/app-v1.0"), VersionQuery::parse("1.0"));
        assert_eq!(asked("ns/app:v1.0"), VersionQuery::parse("1.0"));
        assert_eq!(asked("ns/app-latest"), VersionQuery::Latest);
        assert_eq!(asked("ns/app-v1.@"), VersionQuery::Prefix("1.".into()));
        assert_eq!(asked("ns/app:other"), VersionQuery::Tag("other".into()));
        let odd = r#"{"x":[1],"TAG":"a","Release_ID":"ns/app-v1","tag":"b"} and more"#;
        assert_eq!(read(odd), Ok(("b".into(), VersionQuery::parse("1"))));
    }

    #[test]
    fn the_first_thing_that_is_wrong_is_told() {
        for body in ["", "nonsense", "[]", "12", "\"x\"", r#"{"tag":1}"#, r#"{"tag":"a""#] {
            assert_eq!(read(body), Err("Invalid JSON".into()), "{body}");
        }
        for body in ["{}", "null", r#"{"tag":"1"}"#, r#"{"release_id":null,"tag":""}"#] {
            assert_eq!(read(body), Err("Invalid release format: ''.".into()), "{body}");
        }
        let sent = |id: &str, tag: &str| read(&json!({ "release_id": id, "tag": tag }).to_string());
        assert_eq!(sent("app", "1"), Err("Invalid release format: app.".into()));
        let tag = "The tag 'v1' is invalid/not supported.";
        assert_eq!(sent("other/x-v1", "v1"), Err(tag.into()));
        let namespace = "Mismatch between namespace from URL and namespace from release_id.";
        assert_eq!(sent("app-v1", "live"), Err(namespace.into()));
        assert_eq!(sent("other/x-v1", "live"), Err(namespace.into()));
        let unit = "Mismatch between application from URL and application from release_id.";
        assert_eq!(sent("ns/x-v1", "live"), Err(unit.into()));
    }
}
