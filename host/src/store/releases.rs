//! Releases: one row for each version of a name, never overwritten by a later one.

use serde::{Deserialize, Serialize};

use super::{
    ids::Register,
    packages,
    view::{self, Change, Record, Table, Take, View, key, prefix},
};
use crate::{
    error::{Error, Result},
    release::model::{PackageMetadata, Release, StatusCode},
};

/// (name, version of 10 digits) → [`ReleaseRow`].
const RELEASES: Table = Table("releases");
/// (name, version of 10 digits) → nothing: the rows that lists show.
const RELEASES_LISTED: Table = Table("releases_listed");
/// (name, version of 10 digits) → [`Numbers`]. Small beside a release, which may have
/// megabytes: what only names releases walks over these.
const RELEASES_NUMBERED: Table = Table("releases_numbered");
/// (package, its version, its repository, name, what is left to 9,999,999,999 of the
/// version) → nothing: what was made of a package, the newest of each name first.
const RELEASES_OF_PACKAGES: Table = Table("releases_of_packages");
/// What is kept of an id is a key of the tables above.
const RELEASE_IDS: Register =
    Register { ids: Table("release_ids"), counts: Table("release_ids_counted") };

/// Rows are read in pieces of this size.
const PAGE: usize = 256;
/// Above every version.
const VERSIONS_BELOW: u64 = 9_999_999_999;

/// A release as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// What the API shows.
    pub release: Release,
    /// Its applications on the platform, in the manifest's order.
    pub apps: Vec<DeployedApp>,
    /// What it was made of and by.
    pub provenance: Provenance,
}

/// An application on a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeployedApp {
    /// Its name in the manifest.
    pub name: String,
    /// Its id on the platform.
    pub deployment_id: String,
    /// What the deployer gave us to hand back.
    pub handle: String,
    /// The bytes that it runs, where we fetched them.
    pub artifact_sha256: Option<String>,
}

/// What a release was made of and by: SHA-256 digests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The package's zip.
    pub package_sha256: String,
    /// The manifest.
    pub manifest_sha256: String,
    /// The component that rendered it.
    pub renderer_sha256: String,
    /// The component that deployed it.
    pub deployer_sha256: String,
    /// The operation that made it.
    pub operation_id: String,
}

/// What numbers a release has beside its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Counts from 1 over all releases.
    pub id: u64,
    /// Rises with each change of the row; shown as the ETag.
    pub object_version: u64,
}

impl Record for Numbers {
    const WHAT: &'static str = "release's numbers";
}

impl Record for ReleaseRow {
    const WHAT: &'static str = "release";
}

impl ReleaseRow {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.release.info.status.status_code
    }
}

/// The release of that name and version.
pub fn find(view: &(impl View + ?Sized), name: &str, version: u32) -> Result<Option<ReleaseRow>> {
    view::find(view, RELEASES, &row_key(name, version))
}

/// The greatest version of a name, whatever its status.
pub fn latest(view: &(impl View + ?Sized), name: &str) -> Result<Option<ReleaseRow>> {
    newest(view, name, |_| true)
}

/// Refuses a version that another operation has taken since it was counted.
pub fn is_next(view: &(impl View + ?Sized), name: &str, version: u32) -> Result<()> {
    let latest = latest(view, name)?.map_or(0, |it| it.release.version);
    match version == latest + 1 {
        true => Ok(()),
        false => Err(Error::Conflict(format!("Release [{name}] has changed meanwhile: try again"))),
    }
}

/// The greatest version of a name that did not fail.
pub fn latest_not_failed(view: &(impl View + ?Sized), name: &str) -> Result<Option<ReleaseRow>> {
    newest(view, name, |it| it.status() != StatusCode::Failed)
}

/// The greatest version of a name that is deployed.
pub fn newest_deployed(view: &(impl View + ?Sized), name: &str) -> Result<Option<ReleaseRow>> {
    newest(view, name, |it| it.status() == StatusCode::Deployed)
}

/// What the release of that id is called: its name and version.
pub fn named(view: &(impl View + ?Sized), id: u64) -> Result<Option<(String, u32)>> {
    RELEASE_IDS.find(view, id)?.map(|it| read_key(&it)).transpose()
}

/// The numbers of the release of that name and version.
pub fn numbers(view: &(impl View + ?Sized), name: &str, version: u32) -> Result<Option<Numbers>> {
    view::find(view, RELEASES_NUMBERED, &row_key(name, version))
}

/// The keys and numbers of the newest versions of a name, as they are kept: others as
/// soon as one of them is written.
pub fn newest_numbered(view: &(impl View + ?Sized), name: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let (from, to) = prefix(&[name]);
    let rows = view.range(RELEASES_NUMBERED, &from, &to, Take { reverse: true, limit: 8 })?;
    Ok(rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
}

/// How many releases there are, of whatever status.
pub fn count(view: &(impl View + ?Sized)) -> Result<u64> {
    RELEASE_IDS.count(view)
}

/// The ids of `limit` releases in the order of their ids, without the first `skip`.
pub fn ids_from(view: &(impl View + ?Sized), skip: u64, limit: usize) -> Result<Vec<u64>> {
    Ok(RELEASE_IDS.from(view, skip, limit)?.into_iter().map(|(id, _)| id).collect())
}

/// Shows the name, version and id of every release, by name and version or in the
/// reverse of that, until `with` has seen enough.
pub fn each_named(
    view: &(impl View + ?Sized),
    reverse: bool,
    mut with: impl FnMut(&str, u32, u64) -> Result<bool>,
) -> Result<()> {
    let (mut from, mut to) = (Vec::new(), Vec::new());
    loop {
        let rows = view.range(RELEASES_NUMBERED, &from, &to, Take { reverse, limit: PAGE })?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        match reverse {
            true => to = last.clone(),
            false => from = past(last.clone()),
        }
        for (key, value) in &rows {
            let (name, version) = read_key(key)?;
            if !with(&name, version, view::decode::<Numbers>(value)?.id)? {
                return Ok(());
            }
        }
    }
}

/// Up to `limit` releases after `after` whose name contains `part`, ignoring case: by
/// name, and the highest version of each first. Where there are more, the last one
/// given is where to go on after.
pub fn history(
    view: &(impl View + ?Sized),
    part: &str,
    after: Option<(&str, u32)>,
    limit: usize,
) -> Result<Vec<ReleaseRow>> {
    let part = part.to_lowercase();
    let mut found = Vec::new();
    let mut name = match after {
        Some((name, version)) => {
            versions_below(view, name, row_key(name, version), limit, &mut found)?;
            name_behind(view, name)?
        }
        None => name_behind(view, "")?,
    };
    while let Some(it) = name.filter(|_| found.len() < limit) {
        if it.to_lowercase().contains(&part) {
            versions_below(view, &it, prefix(&[&it]).1, limit, &mut found)?;
        }
        name = name_behind(view, &it)?;
    }
    Ok(found)
}

/// The next name of a release behind that one.
pub fn name_behind(view: &(impl View + ?Sized), name: &str) -> Result<Option<String>> {
    let (_, behind) = prefix(&[name]);
    let from = if name.is_empty() { b"".as_slice() } else { &behind };
    let row = view.range(RELEASES_NUMBERED, from, b"", Take { reverse: false, limit: 1 })?;
    row.first().map(|(key, _)| Ok(read_key(key)?.0)).transpose()
}

/// Adds the versions of a name below a key, the highest first, until there are `limit`.
fn versions_below(
    view: &(impl View + ?Sized),
    name: &str,
    below: Vec<u8>,
    limit: usize,
    found: &mut Vec<ReleaseRow>,
) -> Result<()> {
    let take = Take { reverse: true, limit: limit.saturating_sub(found.len()) };
    for (_, value) in view.range(RELEASES, &prefix(&[name]).0, &below, take)? {
        found.push(view::decode(&value)?);
    }
    Ok(())
}

/// The greatest version of a name that is deployed or deleted: neither under way nor
/// failed.
pub fn newest_settled(view: &(impl View + ?Sized), name: &str) -> Result<Option<ReleaseRow>> {
    newest_settled_before(view, name, u32::MAX)
}

/// The same below that version.
pub fn newest_settled_before(
    view: &(impl View + ?Sized),
    name: &str,
    version: u32,
) -> Result<Option<ReleaseRow>> {
    newest(view, name, |it| {
        let is_settled = matches!(it.status(), StatusCode::Deployed | StatusCode::Deleted);
        is_settled && it.release.version < version
    })
}

/// Whose an application's bytes are, in the blobs' list of references.
pub fn blob_owner(name: &str, version: u32, app: &str) -> String {
    format!("release/{name}/{version}/{app}")
}

/// Keeps a release.
pub fn put(change: &mut (impl Change + ?Sized), row: &ReleaseRow) -> Result<()> {
    let key = row_key(&row.release.name, row.release.version);
    match row.status() {
        StatusCode::Deployed | StatusCode::Failed => {
            change.put(RELEASES_LISTED, &key, Vec::new());
        }
        StatusCode::Unknown | StatusCode::Deleted => change.delete(RELEASES_LISTED, &key),
    }
    let numbers = match view::find::<Numbers>(change, RELEASES_NUMBERED, &key)? {
        Some(it) => Numbers { object_version: it.object_version + 1, ..it },
        None => {
            let id = packages::next_id(change, "release")?;
            RELEASE_IDS.insert(change, id, key.clone())?;
            change.put(RELEASES_OF_PACKAGES, &made_of_key(&row.release), Vec::new());
            Numbers { id, object_version: 0 }
        }
    };
    view::keep(change, RELEASES_NUMBERED, &key, &numbers);
    view::keep(change, RELEASES, &key, row);
    Ok(())
}

/// The name and version of each release that was made of a package: names in their
/// order, and the highest version of each first.
pub fn made_of(
    view: &(impl View + ?Sized),
    package: &PackageMetadata,
) -> Result<Vec<(String, u32)>> {
    let PackageMetadata { name, version, .. } = package;
    let repository = package.repository_name.as_deref().unwrap_or(packages::LOCAL);
    let (mut from, to) = prefix(&[name, version, repository]);
    let start = from.len();
    let mut found = Vec::new();
    loop {
        let take = Take { reverse: false, limit: PAGE };
        let rows = view.range(RELEASES_OF_PACKAGES, &from, &to, take)?;
        let Some((last, _)) = rows.last() else { return Ok(found) };
        from = past(last.clone());
        for (key, _) in rows {
            let text = String::from_utf8_lossy(&key[start..]).into_owned();
            let read = text.split_once('\0').and_then(|(name, left)| {
                let left: u64 = left.parse().ok()?;
                Some((name.to_owned(), u32::try_from(VERSIONS_BELOW.checked_sub(left)?).ok()?))
            });
            found.push(read.ok_or_else(|| Error::Store {
                doing: "reading what was made of a package: a key is none".to_owned(),
                source: None,
            })?);
        }
    }
}

fn made_of_key(release: &Release) -> Vec<u8> {
    let PackageMetadata { name, version, repository_name, .. } = &release.pkg.metadata;
    let repository = repository_name.as_deref().unwrap_or(packages::LOCAL);
    let left = VERSIONS_BELOW - u64::from(release.version);
    key(&[name, version, repository, &release.name, &format!("{left:010}")])
}

/// Up to `limit` deployed and failed releases after `after`, by name and version,
/// whose name contains `part`, ignoring case. Where there are more, the last one
/// given is where to go on after.
pub fn listed(
    view: &(impl View + ?Sized),
    part: &str,
    after: Option<(&str, u32)>,
    limit: usize,
) -> Result<Vec<ReleaseRow>> {
    let part = part.to_lowercase();
    let mut from = after.map(|(name, version)| past(row_key(name, version))).unwrap_or_default();
    let mut found = Vec::new();
    loop {
        let rows = view.range(RELEASES_LISTED, &from, b"", Take { reverse: false, limit: PAGE })?;
        let Some((last, _)) = rows.last() else { return Ok(found) };
        from = past(last.clone());
        let is_last_page = rows.len() < PAGE;
        for (key, _) in rows {
            let name = String::from_utf8_lossy(key.split(|it| *it == 0).next().unwrap_or_default());
            if !name.to_lowercase().contains(&part) {
                continue;
            }
            found.extend(view::find::<ReleaseRow>(view, RELEASES, &key)?);
            if found.len() >= limit {
                return Ok(found);
            }
        }
        if is_last_page {
            return Ok(found);
        }
    }
}

fn newest(
    view: &(impl View + ?Sized),
    name: &str,
    wanted: impl Fn(&ReleaseRow) -> bool,
) -> Result<Option<ReleaseRow>> {
    let (from, mut to) = prefix(&[name]);
    loop {
        let rows = view.range(RELEASES, &from, &to, Take { reverse: true, limit: 8 })?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        to = last.clone();
        for (_, value) in &rows {
            let row: ReleaseRow = view::decode(value)?;
            if wanted(&row) {
                return Ok(Some(row));
            }
        }
    }
}

fn row_key(name: &str, version: u32) -> Vec<u8> {
    key(&[name, &format!("{version:010}")])
}

fn read_key(row: &[u8]) -> Result<(String, u32)> {
    let text = std::str::from_utf8(row).ok().and_then(|it| it.rsplit_once('\0'));
    let parts = text.and_then(|(name, version)| Some((name.to_owned(), version.parse().ok()?)));
    parts.ok_or_else(|| Error::Store { doing: "reading a release's key".to_owned(), source: None })
}

fn past(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        release::model::{ConfigValues, Info, Manifest, Package, PackageMetadata, Status},
        store::in_memory::Rows,
    };

    fn release(name: &str, version: u32, status_code: StatusCode) -> ReleaseRow {
        let release = Release {
            name: name.into(),
            version,
            info: Info {
                status: Status { status_code, platform_status: None },
                first_deployed: 1,
                last_deployed: 1,
                deleted: None,
                description: String::new(),
            },
            pkg: Package {
                metadata: PackageMetadata::default(),
                templates: Vec::new(),
                dependencies: Vec::new(),
                config_values: None,
                file_holders: Vec::new(),
            },
            config_values: ConfigValues::default(),
            manifest: Manifest { data: String::new() },
            platform_name: "default".into(),
        };
        ReleaseRow { release, apps: Vec::new(), provenance: Provenance::default() }
    }

    fn rows() -> Rows {
        let mut memory = Rows::default();
        for (name, versions) in [("b", 11), ("Ab", 2), ("c", 1), ("ab", 1)] {
            for version in 1..=versions {
                put(&mut memory, &release(name, version, StatusCode::Deployed)).unwrap();
            }
        }
        memory
    }

    #[test]
    fn a_release_has_an_id_and_counts_its_changes() {
        let mut memory = rows();
        assert_eq!(count(&memory).unwrap(), 15);
        assert_eq!(named(&memory, 12).unwrap(), Some(("Ab".to_owned(), 1)));
        assert_eq!(named(&memory, 16).unwrap(), None);
        let first = numbers(&memory, "b", 1).unwrap().unwrap();
        assert_eq!(first, Numbers { id: 1, object_version: 0 });

        put(&mut memory, &release("b", 1, StatusCode::Deleted)).unwrap();

        let changed = numbers(&memory, "b", 1).unwrap().unwrap();
        assert_eq!(changed, Numbers { id: 1, object_version: 1 });
        assert_eq!(
            (count(&memory).unwrap(), ids_from(&memory, 13, 9).unwrap()),
            (15, vec![14, 15])
        );
    }

    #[test]
    fn a_history_goes_by_name_and_the_highest_version_first() {
        let memory = rows();
        let mut seen = Vec::new();
        let mut after: Option<(String, u32)> = None;
        loop {
            let behind = after.as_ref().map(|(name, version)| (name.as_str(), *version));
            let found = history(&memory, "B", behind, 3).unwrap();
            seen.extend(found.iter().map(|it| (it.release.name.clone(), it.release.version)));
            match found.last().filter(|_| found.len() == 3) {
                Some(it) => after = Some((it.release.name.clone(), it.release.version)),
                None => break,
            }
        }
        let names: Vec<_> = seen.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names[..3], ["Ab", "Ab", "ab"]);
        assert!(names[3..].iter().all(|it| *it == "b"), "{names:?}");
        let versions: Vec<_> = seen.iter().map(|it| it.1).collect();
        assert_eq!(versions, [2, 1, 1, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert!(history(&memory, "zz", None, 3).unwrap().is_empty());
    }

    #[test]
    fn names_are_shown_in_both_directions_until_enough() {
        let memory = rows();
        let walk = |reverse, limit| {
            let mut seen = Vec::new();
            each_named(&memory, reverse, |name, version, id| {
                seen.push((name.to_owned(), version, id));
                Ok(seen.len() < limit)
            })
            .unwrap();
            seen
        };
        assert_eq!(walk(false, 2), [("Ab".to_owned(), 1, 12), ("Ab".to_owned(), 2, 13)]);
        assert_eq!(walk(true, 1), [("c".to_owned(), 1, 14)]);
        assert_eq!(walk(true, 99).len(), 15);
    }
}
