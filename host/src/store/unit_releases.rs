//! Unit releases, by namespace, unit and version.
//!
//! Nothing here ever walks over all versions of a unit. Two orders are kept: the
//! releases themselves are under their text, part for part, so that those that
//! start alike lie together; and each start of a version that ends with a dot has
//! its own list of what may follow it, in the order of versions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Change, Record, Table, Take, View, decode, encode, find, keep, key, prefix,
    yanks::{UNIT_VERSIONS_YANKED, YankRecord, rows_of_both},
};
use crate::{
    error::{Error, Result},
    inventory::{
        NamespaceName, UnitName, Version,
        version::{order_key, significant, text_key, text_of},
    },
};

// (namespace, unit, text key of the version) -> UnitReleaseRecord.
pub(super) const UNIT_RELEASES: Table = Table("unit_releases");

// The same key -> the release's metadata, as JSON ready to be answered.
pub(super) const UNIT_RELEASE_METADATA: Table = Table("unit_release_metadata");

// The same key -> DownloadsRecord. Apart, since it changes with each download.
pub(super) const UNIT_RELEASE_DOWNLOADS: Table = Table("unit_release_downloads");

// (namespace, unit, start of a version up to a dot, order key of the rest, 0,
// number of the release in its unit) -> the version's text. Without the yanked ones.
pub(super) const UNIT_VERSIONS: Table = Table("unit_versions");

/// What is kept of a release besides its metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitReleaseRecord {
    /// Which release of its unit it is, counted from 1 as they were registered.
    pub number: u64,
    /// Who registered it; empty where unknown.
    pub uploaded_by: String,
    /// When it was registered.
    pub uploaded_at: String,
    /// The number of the audit record of its registration; greater than that of
    /// what was registered before, in all namespaces.
    #[serde(default)]
    pub recorded: u64,
    /// Its bytes, once they were uploaded.
    pub package: Option<PackageRecord>,
    /// What its metadata's JSON is told from others by.
    #[serde(default)]
    pub digest: String,
    /// How often it was changed since: its package came, it was yanked or taken back.
    #[serde(default)]
    pub changes: u64,
    /// Whether it should not be used any more, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<YankRecord>,
}

/// A release's bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// When they were uploaded.
    pub uploaded_at: String,
}

/// How often a release was downloaded.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct DownloadsRecord {
    downloads: u64,
}

/// A release's metadata. Kept as the JSON that is answered, so that answering it
/// costs nothing.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct MetadataRecord(serde_json::Value);

impl Record for UnitReleaseRecord {
    const WHAT: &'static str = "unit release";
}

impl Record for DownloadsRecord {
    const WHAT: &'static str = "download count";
}

impl Record for MetadataRecord {
    const WHAT: &'static str = "release metadata";
}

/// Where the releases of one unit are.
#[derive(Clone, Copy, Debug)]
pub struct UnitKey<'a> {
    /// The namespace.
    pub namespace: &'a NamespaceName,
    /// The unit.
    pub name: &'a UnitName,
}

impl UnitKey<'_> {
    fn start(&self) -> Vec<u8> {
        key(&[self.namespace.as_str(), self.name.as_str(), ""])
    }

    fn release(&self, version: &Version) -> Vec<u8> {
        let mut key = self.start();
        key.extend(text_key(version.as_str()));
        key
    }

    // The keys of what may follow `start`, which is empty or ends with a dot.
    pub(super) fn following(&self, start: &str) -> (Vec<u8>, Vec<u8>) {
        prefix(&[self.namespace.as_str(), self.name.as_str(), start])
    }
}

/// Finds a release.
pub fn unit_release(
    view: &dyn View,
    unit: UnitKey<'_>,
    version: &Version,
) -> Result<Option<UnitReleaseRecord>> {
    find(view, UNIT_RELEASES, &unit.release(version))
}

/// Finds a release's metadata: its JSON, as it was given to
/// [`unit_release_insert`].
pub fn unit_release_metadata(
    view: &dyn View,
    unit: UnitKey<'_>,
    version: &Version,
) -> Result<Option<Bytes>> {
    let Some(mut bytes) = view.get(UNIT_RELEASE_METADATA, &unit.release(version))? else {
        return Ok(None);
    };
    if bytes.first() != Some(&MetadataRecord::FORMAT) {
        bytes = encode(&decode::<MetadataRecord>(&bytes)?);
    }
    Ok(Some(Bytes::from(bytes).slice(1..)))
}

/// Keeps a new release. The caller has seen that it is not there yet.
pub fn unit_release_insert(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    record: &UnitReleaseRecord,
    metadata_json: &[u8],
) {
    let key = unit.release(version);
    keep(change, UNIT_RELEASES, &key, record);
    let metadata = [&[MetadataRecord::FORMAT], metadata_json].concat();
    change.put(UNIT_RELEASE_METADATA, &key, metadata);
    for key in places_in_order(unit, version, record.number) {
        change.put(UNIT_VERSIONS, &key, version.as_str().into());
    }
}

/// Drops a release, and how often it was downloaded. What else there is of it,
/// and whom its bytes are kept for, is the caller's to see to.
pub(super) fn unit_release_delete(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    record: &UnitReleaseRecord,
) {
    let key = unit.release(version);
    change.delete(UNIT_RELEASES, &key);
    change.delete(UNIT_RELEASE_METADATA, &key);
    change.delete(UNIT_RELEASE_DOWNLOADS, &key);
    for key in places_in_order(unit, version, record.number) {
        change.delete(UNIT_VERSIONS, &key);
        if record.yanked.is_some() {
            change.delete(UNIT_VERSIONS_YANKED, &key);
        }
    }
}

/// Where a version stands behind each of its own starts.
pub(super) fn places_in_order(
    unit: UnitKey<'_>,
    version: &Version,
    number: u64,
) -> impl Iterator<Item = Vec<u8>> {
    version.prefixes().map(move |(start, rest)| {
        let (mut key, _) = unit.following(start);
        key.extend(order_key(rest));
        key.push(0);
        key.extend(number.to_be_bytes());
        key
    })
}

/// Keeps what has changed of a release.
pub fn unit_release_put(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    record: &UnitReleaseRecord,
) {
    keep(change, UNIT_RELEASES, &unit.release(version), record);
}

/// The greatest version that follows `start`, which is empty or ends with a dot, and
/// is not yanked. Of two that are equal in order, the one registered later.
pub fn unit_versions_greatest(
    view: &dyn View,
    unit: UnitKey<'_>,
    start: &str,
) -> Result<Option<Version>> {
    let (from, to) = unit.following(start);
    let rows = view.range(UNIT_VERSIONS, &from, &to, Take { reverse: true, limit: 1 })?;
    rows.first().map(|(_, text)| kept_version(text)).transpose()
}

/// The greatest version of a unit that is less than that one: none of those that
/// are equal to it in order.
pub fn unit_versions_below(
    view: &dyn View,
    unit: UnitKey<'_>,
    version: &Version,
) -> Result<Option<Version>> {
    let (from, _) = unit.following("");
    let to = [&from[..], &order_key(version.as_str())].concat();
    let rows = view.range(UNIT_VERSIONS, &from, &to, Take { reverse: true, limit: 1 })?;
    rows.first().map(|(_, text)| kept_version(text)).transpose()
}

/// Some of a unit's versions, greatest first, and where to go on.
pub struct VersionsPage {
    /// The versions.
    pub versions: Vec<Version>,
    /// Where the next page begins; absent after the last.
    pub next: Option<Vec<u8>>,
}

/// A page of a unit's versions, yanked ones among them, greatest first; the first page
/// without `at`.
pub fn unit_versions_page(
    view: &dyn View,
    unit: UnitKey<'_>,
    at: Option<Vec<u8>>,
    limit: usize,
) -> Result<VersionsPage> {
    let (from, end) = unit.following("");
    let to = at.unwrap_or(end);
    let rows = rows_of_both(view, &from, &to, limit)?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| key.clone());
    let versions = rows.iter().map(|(_, text)| kept_version(text)).collect::<Result<_>>()?;
    Ok(VersionsPage { versions, next })
}

/// A release as it is kept, and which one it is.
pub struct KeptRelease {
    /// Its unit.
    pub unit: UnitName,
    /// Its version.
    pub version: Version,
    /// What is kept of it besides its metadata.
    pub record: UnitReleaseRecord,
}

/// Some of a namespace's releases, and where to go on.
pub struct ReleasesPage {
    /// The releases.
    pub releases: Vec<KeptRelease>,
    /// Where the next page begins; absent after the last.
    pub next: Option<Vec<u8>>,
}

/// A page of all releases of a namespace; the first page without `at`.
pub fn unit_releases_page(
    view: &dyn View,
    namespace: &NamespaceName,
    at: Option<Vec<u8>>,
    limit: usize,
) -> Result<ReleasesPage> {
    let (start, to) = prefix(&[namespace.as_str()]);
    let from = at.unwrap_or_else(|| start.clone());
    let rows = view.range(UNIT_RELEASES, &from, &to, Take { reverse: false, limit })?;
    let last = rows.last().filter(|_| rows.len() == limit);
    let next = last.map(|(key, _)| [key, &b"\0"[..]].concat());
    let kept = |(key, value): (Vec<u8>, Vec<u8>)| {
        let (unit, version) = named_by(&key[start.len()..]).ok_or_else(|| Error::Store {
            doing: "reading which release a record is of".into(),
            source: None,
        })?;
        Ok(KeptRelease { unit, version, record: decode(&value)? })
    };
    let releases = rows.into_iter().map(kept).collect::<Result<_>>()?;
    Ok(ReleasesPage { releases, next })
}

// The unit and the version in a release's key, behind the namespace.
fn named_by(key: &[u8]) -> Option<(UnitName, Version)> {
    let end = key.iter().position(|it| *it == 0)?;
    let unit = UnitName::parse(std::str::from_utf8(&key[..end]).ok()?).ok()?;
    Some((unit, Version::parse(&text_of(&key[end + 1..])?)?))
}

/// The greatest number that comes next among the versions whose text starts with
/// `start`, in digits without leading zeros. `start` may end inside of a number.
pub fn unit_versions_greatest_next(
    view: &dyn View,
    unit: UnitKey<'_>,
    start: &str,
) -> Result<Option<String>> {
    let (whole, begun) = start.rsplit_once('.').map_or((None, start), |(a, b)| (Some(a), b));
    let mut base = unit.start();
    match whole.map(Version::parse) {
        None => (),
        Some(Some(whole)) => base.extend(text_key(whole.as_str())),
        Some(None) => return Ok(None),
    }
    if begun.len() > 255 || !begun.bytes().all(|it| it.is_ascii_digit()) {
        return Ok(None);
    }
    let mut greatest: Option<String> = None;
    // Parts of one length lie together in the order of their text, so the last of
    // each length is the only one to look at.
    let mut length_max = u8::MAX;
    while let Some(length) = greatest_length(view, &base, begun.len() + 1, length_max)? {
        if let Some(next) = greatest_of_length(view, &base, length, begun)?
            && greatest.as_ref().is_none_or(|it| (it.len(), it) < (next.len(), &next))
        {
            greatest = Some(next);
        }
        length_max = length - 1;
    }
    Ok(greatest)
}

// The greatest length of a part behind `base`, within limits.
fn greatest_length(view: &dyn View, base: &[u8], min: usize, max: u8) -> Result<Option<u8>> {
    if min > usize::from(max) {
        return Ok(None);
    }
    let from = [base, &[min as u8]].concat();
    let to = match max.checked_add(1) {
        Some(above) => [base, &[above]].concat(),
        None => [base, &[u8::MAX; 2]].concat(),
    };
    let rows = view.range(UNIT_RELEASES, &from, &to, Take { reverse: true, limit: 1 })?;
    Ok(rows.first().map(|(key, _)| key[base.len()]))
}

// The greatest part of that length which starts with `begun`, without that start.
fn greatest_of_length(
    view: &dyn View,
    base: &[u8],
    length: u8,
    begun: &str,
) -> Result<Option<String>> {
    let from = [base, &[length], begun.as_bytes()].concat();
    // A colon comes right behind the digits.
    let to = [&from[..], b":"].concat();
    let rows = view.range(UNIT_RELEASES, &from, &to, Take { reverse: true, limit: 1 })?;
    let Some((key, _)) = rows.first() else { return Ok(None) };
    let part = &key[base.len() + 1..][..usize::from(length)];
    let next = std::str::from_utf8(&part[begun.len()..]).unwrap_or_default();
    Ok((!next.is_empty()).then(|| significant(next).to_owned()))
}

/// How often a release was downloaded.
pub fn unit_release_downloads(
    view: &dyn View,
    unit: UnitKey<'_>,
    version: &Version,
) -> Result<u64> {
    let record: Option<DownloadsRecord> =
        find(view, UNIT_RELEASE_DOWNLOADS, &unit.release(version))?;
    Ok(record.unwrap_or_default().downloads)
}

/// Adds to a release's downloads.
pub fn unit_release_downloads_add(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    more: u64,
) -> Result<()> {
    let downloads = unit_release_downloads(change, unit, version)?.saturating_add(more);
    keep(change, UNIT_RELEASE_DOWNLOADS, &unit.release(version), &DownloadsRecord { downloads });
    Ok(())
}

/// What a release's bytes are kept for, in the blobs' list of references.
pub fn unit_release_owner(unit: UnitKey<'_>, version: &Version) -> String {
    format!("unit-release/{}/{}/{version}", unit.namespace, unit.name)
}

/// Reads the text of a version from a row.
pub(super) fn kept_version(text: &[u8]) -> Result<Version> {
    let version = std::str::from_utf8(text).ok().and_then(Version::parse);
    version.ok_or_else(|| Error::Store { doing: "reading a version's text".into(), source: None })
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::*;
    use crate::store::in_memory::Rows;

    struct Fixture {
        memory: Rows,
        namespace: NamespaceName,
        name: UnitName,
    }

    impl Fixture {
        fn new<'a>(versions: impl IntoIterator<Item = &'a str>) -> Self {
            let namespace = NamespaceName::parse("ns").unwrap();
            let name = UnitName::parse("app").unwrap();
            let mut fixture = Fixture { memory: Rows::default(), namespace, name };
            // A neighbour on each side, whose versions must never show.
            fixture.insert("ap", ["99", "0.0.99", "999"]);
            fixture.insert("app-x", ["99", "0.0.99", "999"]);
            fixture.insert("app", versions);
            fixture
        }

        fn insert<'a>(&mut self, name: &str, versions: impl IntoIterator<Item = &'a str>) {
            let name = UnitName::parse(name).unwrap();
            let unit = UnitKey { namespace: &self.namespace, name: &name };
            for (number, version) in versions.into_iter().enumerate() {
                let version = Version::parse(version).unwrap();
                let number = number as u64 + 1;
                let record = UnitReleaseRecord { number, ..UnitReleaseRecord::default() };
                unit_release_insert(&mut self.memory, unit, &version, &record, b"{}");
            }
        }

        fn key(&self) -> UnitKey<'_> {
            UnitKey { namespace: &self.namespace, name: &self.name }
        }

        fn greatest(&self, start: &str) -> Option<String> {
            let version = unit_versions_greatest(&self.memory, self.key(), start).unwrap();
            version.map(|it| it.to_string())
        }

        fn next(&self, start: &str) -> Option<String> {
            unit_versions_greatest_next(&self.memory, self.key(), start).unwrap()
        }

        fn list(&self, limit: usize) -> Vec<String> {
            let (mut at, mut all) = (None, Vec::new());
            loop {
                let page = unit_versions_page(&self.memory, self.key(), at, limit).unwrap();
                all.extend(page.versions.iter().map(Version::to_string));
                at = page.next;
                if at.is_none() {
                    return all;
                }
            }
        }
    }

    #[test]
    fn versions_are_listed_greatest_first() {
        let fixture = Fixture::new(["1.10", "1.9", "1", "1.0", "2", "01", "0.5"]);
        for limit in [1, 2, 3, 100] {
            assert_eq!(fixture.list(limit), ["2", "1.10", "1.9", "1.0", "01", "1", "0.5"]);
        }
    }

    #[test]
    fn the_later_of_two_equal_versions_is_the_greatest() {
        assert_eq!(Fixture::new(["01", "1"]).greatest("").unwrap(), "1");
        assert_eq!(Fixture::new(["1", "01"]).greatest("").unwrap(), "01");
    }

    #[test]
    fn a_start_is_compared_as_text() {
        let fixture = Fixture::new(["1.20", "1.2.1", "01.30", "10.1"]);
        assert_eq!(fixture.greatest("1.").unwrap(), "1.20");
        assert_eq!(fixture.greatest("01.").unwrap(), "01.30");
        assert_eq!(fixture.greatest("1.2.").unwrap(), "1.2.1");
        assert_eq!(fixture.greatest("2."), None);
    }

    #[test]
    fn an_unknown_unit_has_no_versions() {
        let fixture = Fixture::new([]);
        assert_eq!((fixture.greatest(""), fixture.next(""), fixture.list(5)), (None, None, vec![]));
    }

    #[test]
    fn metadata_comes_back_as_it_was_put() {
        let fixture = Fixture::new(["1"]);
        let version = Version::parse("1").unwrap();
        let json = unit_release_metadata(&fixture.memory, fixture.key(), &version).unwrap();
        assert_eq!(&json.unwrap()[..], b"{}");
    }

    #[test]
    fn downloads_add_up() {
        let mut fixture = Fixture::new(["1"]);
        let version = Version::parse("1").unwrap();
        let (namespace, name) = (fixture.namespace.clone(), fixture.name.clone());
        let unit = UnitKey { namespace: &namespace, name: &name };
        for more in [1, 2] {
            unit_release_downloads_add(&mut fixture.memory, unit, &version, more).unwrap();
        }
        assert_eq!(unit_release_downloads(&fixture.memory, unit, &version).unwrap(), 3);
    }

    // The rule of next-version, over all versions.
    fn next_by_the_rule(versions: &[String], start: &str) -> Option<u128> {
        let rests = versions.iter().filter_map(|it| it.strip_prefix(start));
        rests.filter_map(|it| it.split('.').next()?.parse().ok()).max()
    }

    proptest! {
        #[test]
        fn lookups_agree_with_the_rule_over_all_versions(
            versions in prop::collection::vec("[0-2]{1,3}(\\.[0-2]{1,2}){0,3}", 0..20),
            start in "([0-2]{1,2}\\.){0,2}",
            begun in "[0-2]{0,2}",
        ) {
            let mut distinct: Vec<String> = Vec::new();
            for version in versions {
                if !distinct.contains(&version) {
                    distinct.push(version);
                }
            }
            let fixture = Fixture::new(distinct.iter().map(String::as_str));

            let rest = |it: &String| it.strip_prefix(&start).filter(|it| !it.is_empty()).map(order_key);
            let expected = distinct.iter().filter(|it| rest(it).is_some()).max_by_key(|it| rest(it));
            prop_assert_eq!(fixture.greatest(&start), expected.cloned());

            for version in &distinct {
                let less = distinct.iter().filter(|it| order_key(it) < order_key(version));
                // Of two that are equal, the one registered later, as for the greatest.
                let expected = less.max_by_key(|it| order_key(it));
                let version = Version::parse(version).unwrap();
                let below = unit_versions_below(&fixture.memory, fixture.key(), &version).unwrap();
                prop_assert_eq!(below.map(|it| it.to_string()), expected.cloned());
            }

            let begun = format!("{start}{begun}");
            let next = next_by_the_rule(&distinct, &begun).map(|it| it.to_string());
            prop_assert_eq!(fixture.next(&begun), next);

            let mut listed: Vec<_> = distinct.iter().enumerate().collect();
            listed.sort_by_key(|(number, it)| Reverse((order_key(it), *number)));
            let listed: Vec<_> = listed.into_iter().map(|(_, it)| it.clone()).collect();
            prop_assert_eq!(fixture.list(3), listed);
        }
    }
}
