//! Packages of the release API and the repositories that they are in.
//!
//! A row holds what a package says of itself and points at its zip among the
//! blobs, once that is here: one of a remote repository is fetched when it is first
//! needed. (name, version, repository) is unique; ids count up and are never used
//! again.

mod lists;
mod repositories;

use std::cmp::Ordering;

use semver::Version;
use serde::{Deserialize, Serialize};

pub use self::{
    lists::{count, each_row, ids_by_name, ids_containing, ids_from, ids_named},
    repositories::{
        LOCAL, Repository, leaving, local, repositories, repositories_follow, repository,
        repository_by_id, repository_ensure_local, repository_insert, repository_left,
    },
};
use super::{Change, Record, Table, Take, View, blob_refs, find as record, keep, key, prefix};
use crate::{
    error::{Error, Result},
    inventory::Version as UnitVersion,
    release::model::PackageMetadata,
};

// (name, version, repository's name) -> PackageRow.
const PACKAGES: Table = Table("packages");
// (id, 20 digits) -> (name, version, repository's name), a key of PACKAGES.
const PACKAGE_IDS: Table = Table("package_ids");
// ("package" | "repository") -> the last id given, in decimal.
const LAST_IDS: Table = Table("package_last_ids");

// Rows are read in pieces of this size, so that no list is held whole.
const PAGE: usize = 256;

/// A package as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageRow {
    /// Counts from 1 over all packages.
    pub id: u64,
    /// Rises with each change of the row; shown as the ETag.
    pub object_version: u64,
    /// What the package says of itself, with its repository filled in.
    pub metadata: PackageMetadata,
    /// The zip among the blobs: lower-case hexadecimal. Empty as long as it has not
    /// been fetched from its remote repository.
    pub blob_sha256: String,
    /// The zip's size; 0 where it is not here.
    pub size_bytes: u64,
}

impl PackageRow {
    /// Whether its zip is among the blobs.
    pub fn is_here(&self) -> bool {
        !self.blob_sha256.is_empty()
    }

    /// The name of its repository.
    pub fn repository(&self) -> &str {
        self.metadata.repository_name.as_deref().unwrap_or(LOCAL)
    }

    fn key(&self) -> Vec<u8> {
        key(&[&self.metadata.name, &self.metadata.version, self.repository()])
    }
}

impl Record for PackageRow {
    const WHAT: &'static str = "package";
}

/// The blob's owner, as the blob store counts references: one for each row.
pub fn blob_owner(id: u64) -> String {
    format!("package/{id}")
}

/// The package of that name and version. Where several repositories have it, the
/// one with the highest order wins, and of those the one of the highest `apiVersion`.
pub fn find(view: &(impl View + ?Sized), name: &str, version: &str) -> Result<Option<PackageRow>> {
    best(view, &[name, version])
}

/// The package of that name with the greatest version, by [`compare_versions`]. Where
/// several repositories have that, it is chosen as in [`find`].
pub fn newest(view: &(impl View + ?Sized), name: &str) -> Result<Option<PackageRow>> {
    best(view, &[name])
}

/// The package of that name and version in that repository.
pub fn find_in(
    view: &(impl View + ?Sized),
    repository: &str,
    name: &str,
    version: &str,
) -> Result<Option<PackageRow>> {
    if [repository, name, version].iter().any(|it| it.contains('\0')) {
        return Ok(None);
    }
    record(view, PACKAGES, &key(&[name, version, repository]))
}

/// Whether that repository has that package.
pub fn is_in(
    view: &(impl View + ?Sized),
    repository: &str,
    name: &str,
    version: &str,
) -> Result<bool> {
    Ok(find_in(view, repository, name, version)?.is_some())
}

/// Every package of that name, in all versions and repositories, the first inserted
/// first.
pub fn of_name(view: &(impl View + ?Sized), name: &str) -> Result<Vec<PackageRow>> {
    let mut rows = Vec::new();
    each(view, &[name], |row| {
        rows.push(row);
        Ok(())
    })?;
    rows.sort_unstable_by_key(|it| it.id);
    Ok(rows)
}

/// Looks at up to `PAGE` packages behind `after`, in the order of their names and
/// versions, and gives those that are in that repository, and where to go on.
pub fn page_of_repository(
    view: &(impl View + ?Sized),
    repository: &str,
    after: Option<&[u8]>,
) -> Result<(Vec<PackageRow>, Option<Vec<u8>>)> {
    let from = after.map(|it| [it, b"\0"].concat()).unwrap_or_default();
    let rows = view.range(PACKAGES, &from, b"", Take { reverse: false, limit: PAGE })?;
    let next = rows.last().filter(|_| rows.len() == PAGE).map(|(key, _)| key.clone());
    let wanted = |key: &[u8]| key.rsplit(|it| *it == 0).next() == Some(repository.as_bytes());
    let rows = rows.iter().filter(|(key, _)| wanted(key)).map(|(_, it)| super::decode(it));
    Ok((rows.collect::<Result<_>>()?, next))
}

/// Whether a repository has any package. Walks over all there are: not for a request.
pub fn has_packages(view: &(impl View + ?Sized), repository: &str) -> Result<bool> {
    let mut after = None;
    loop {
        let (rows, next) = page_of_repository(view, repository, after.as_deref())?;
        match (rows.is_empty(), next) {
            (false, _) => return Ok(true),
            (true, None) => return Ok(false),
            (true, next) => after = next,
        }
    }
}

/// The package with that id.
pub fn find_by_id(view: &(impl View + ?Sized), id: u64) -> Result<Option<PackageRow>> {
    match view.get(PACKAGE_IDS, &id_key(id))? {
        Some(row) => record(view, PACKAGES, &row),
        None => Ok(None),
    }
}

/// Keeps a new package under the next id and gives its row back. The caller has
/// checked that its repository does not have it yet.
pub fn insert(
    change: &mut (impl Change + ?Sized),
    metadata: PackageMetadata,
    blob_sha256: String,
    size_bytes: u64,
) -> Result<PackageRow> {
    let id = next_id(change, "package")?;
    let row = PackageRow { id, object_version: 0, metadata, blob_sha256, size_bytes };
    keep(change, PACKAGES, &row.key(), &row);
    lists::IDS.insert(change, id, row.key())?;
    repositories::changed(change, row.repository(), 1)?;
    Ok(row)
}

/// Keeps what has changed of a package that is there, under the same name, version
/// and repository.
pub fn update(change: &mut (impl Change + ?Sized), row: &mut PackageRow) -> Result<()> {
    row.object_version += 1;
    keep(change, PACKAGES, &row.key(), row);
    repositories::changed(change, row.repository(), 0)
}

/// Drops a package, and lets go of its zip.
pub fn delete(change: &mut (impl Change + ?Sized), row: &PackageRow) -> Result<()> {
    change.delete(PACKAGES, &row.key());
    lists::IDS.remove(change, row.id)?;
    if row.is_here() {
        blob_refs::release(change, &row.blob_sha256, &blob_owner(row.id));
    }
    repositories::changed(change, row.repository(), -1)
}

/// Orders versions: semantic ones by their rules, those that are numbers with dots
/// between among them, as the inventory has it, and both above all others, which are
/// compared as text.
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    match (numbers(left), numbers(right)) {
        (Some(one), Some(other)) => {
            let finer = match (&one.1, &other.1) {
                (Some(one), Some(other)) => one.cmp(other),
                // What comes before a version comes before its numbers alone.
                (Some(one), None) if !one.pre.is_empty() => Ordering::Less,
                (None, Some(other)) if !other.pre.is_empty() => Ordering::Greater,
                _ => left.cmp(right),
            };
            one.0.order(&other.0).then(finer)
        }
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => left.cmp(right),
    }
}

/// The numbers that a version begins with, and the whole where it is semantic.
fn numbers(text: &str) -> Option<(UnitVersion, Option<Version>)> {
    match Version::parse(text) {
        Ok(it) => {
            let numbers = format!("{}.{}.{}", it.major, it.minor, it.patch);
            Some((UnitVersion::parse(&numbers)?, Some(it)))
        }
        Err(_) => Some((UnitVersion::parse(text)?, None)),
    }
}

/// The best of the packages whose keys begin with that: the greatest version, and
/// for equal ones the highest repository.
fn best(view: &(impl View + ?Sized), parts: &[&str]) -> Result<Option<PackageRow>> {
    let mut best: Option<(Option<i64>, PackageRow)> = None;
    each(view, parts, |row| {
        // What is left of a repository that is not configured any more.
        let Some(repository) = repository(view, row.repository())? else { return Ok(()) };
        let order = repository.repo_order;
        let above = |(its, it): &(Option<i64>, PackageRow)| {
            compare_versions(&row.metadata.version, &it.metadata.version)
                .then(order.cmp(its))
                .then_with(|| row.metadata.api_version.cmp(&it.metadata.api_version))
        };
        if best.as_ref().is_none_or(|it| above(it).is_gt()) {
            best = Some((order, row));
        }
        Ok(())
    })?;
    Ok(best.map(|(_, row)| row))
}

fn each(
    view: &(impl View + ?Sized),
    parts: &[&str],
    mut with: impl FnMut(PackageRow) -> Result<()>,
) -> Result<()> {
    // Such a name is no part of a key, so nothing has it.
    if parts.iter().any(|it| it.contains('\0')) {
        return Ok(());
    }
    let (mut from, to) = prefix(parts);
    loop {
        let rows = view.range(PACKAGES, &from, &to, Take { reverse: false, limit: PAGE })?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = [last.as_slice(), b"\0"].concat();
        let whole = rows.len() < PAGE;
        for (_, value) in rows {
            with(super::decode(&value)?)?;
        }
        if whole {
            return Ok(());
        }
    }
}

fn id_key(id: u64) -> Vec<u8> {
    key(&[&format!("{id:020}")])
}

fn last_id(view: &(impl View + ?Sized), of: &str) -> Result<u64> {
    let Some(bytes) = view.get(LAST_IDS, &key(&[of]))? else { return Ok(0) };
    let text = std::str::from_utf8(&bytes).ok();
    text.and_then(|it| it.parse().ok()).ok_or_else(|| Error::Store {
        doing: format!("reading the last {of} id: it is no number"),
        source: None,
    })
}

pub(super) fn next_id(change: &mut (impl Change + ?Sized), of: &str) -> Result<u64> {
    let id = last_id(change, of)? + 1;
    change.put(LAST_IDS, &key(&[of]), id.to_string().into_bytes());
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::in_memory::Rows;

    fn put(memory: &mut Rows, repository: &str, name: &str, version: &str) -> PackageRow {
        let metadata = PackageMetadata {
            name: name.into(),
            version: version.into(),
            repository_name: Some(repository.into()),
            ..PackageMetadata::default()
        };
        insert(memory, metadata, "00".into(), 1).unwrap()
    }

    fn remote(name: &str, repo_order: Option<i64>) -> Repository {
        Repository { name: name.into(), repo_order, ..Repository::default() }
    }

    #[test]
    fn ids_count_up_and_find_their_package() {
        let mut memory = Rows::default();
        assert_eq!(put(&mut memory, LOCAL, "log", "1.0.0").id, 1);
        assert_eq!(put(&mut memory, LOCAL, "time", "1.0.0").id, 2);

        assert_eq!(find_by_id(&memory, 2).unwrap().unwrap().metadata.name, "time");
        assert_eq!(find_by_id(&memory, 3).unwrap(), None);
    }

    #[test]
    fn the_newest_is_the_greatest_by_semantic_version() {
        let mut memory = Rows::default();
        for version in ["9.0.0", "10.0.0", "10.0.0-rc1", "zzz", "1.0.0.RELEASE"] {
            put(&mut memory, LOCAL, "log", version);
        }
        put(&mut memory, LOCAL, "log-more", "99.0.0");

        assert_eq!(newest(&memory, "log").unwrap().unwrap().metadata.version, "10.0.0");
        assert_eq!(newest(&memory, "lo").unwrap(), None);
        assert_eq!(newest(&memory, "log\09.0.0").unwrap(), None);
    }

    #[test]
    fn versions_that_are_not_semantic_are_compared_as_text() {
        assert!(compare_versions("1.0.0.RELEASE", "1.0.0.RC1").is_gt());
        assert!(compare_versions("0.0.1", "9.0.0.RELEASE").is_gt());
        assert!(compare_versions("1", "9.0.0.RELEASE").is_gt());
    }

    #[test]
    fn numbers_with_dots_between_are_compared_as_numbers() {
        let ordered =
            ["0.9", "1.0", "1.0.0-rc1", "1.0.0", "1.0.0+b", "1.9", "1.10", "2", "2.0.0.1", "10"];
        for (at, one) in ordered.iter().enumerate() {
            for (other_at, other) in ordered.iter().enumerate() {
                assert_eq!(compare_versions(one, other), at.cmp(&other_at), "{one} {other}");
            }
        }
    }

    #[test]
    fn more_versions_than_a_page_holds_are_all_looked_at() {
        let mut memory = Rows::default();
        for patch in 0..PAGE + 10 {
            put(&mut memory, LOCAL, "log", &format!("1.0.{patch}"));
        }

        let newest = newest(&memory, "log").unwrap().unwrap();

        assert_eq!(newest.metadata.version, format!("1.0.{}", PAGE + 9));
    }

    #[test]
    fn of_equal_packages_the_one_of_the_highest_repository_wins() {
        let mut memory = Rows::default();
        for (name, order) in [("a", Some(1)), ("b", Some(7)), ("c", None)] {
            repository_insert(&mut memory, remote(name, order)).unwrap();
            put(&mut memory, name, "log", "1.0.0");
        }

        let row = find(&memory, "log", "1.0.0").unwrap().unwrap();

        assert_eq!(row.metadata.repository_name.as_deref(), Some("b"));
        assert!(is_in(&memory, "c", "log", "1.0.0").unwrap());
        assert!(!is_in(&memory, "d", "log", "1.0.0").unwrap());
    }

    #[test]
    fn of_equal_newest_versions_the_highest_repository_wins() {
        let mut memory = Rows::default();
        for (name, order, version) in
            [("a", Some(9), "1.0.0"), ("b", Some(1), "2.0.0"), ("c", Some(2), "2.0.0")]
        {
            repository_insert(&mut memory, remote(name, order)).unwrap();
            put(&mut memory, name, "log", version);
        }

        let row = newest(&memory, "log").unwrap().unwrap();

        assert_eq!((row.repository(), row.metadata.version.as_str()), ("c", "2.0.0"));
    }

    #[test]
    fn what_is_left_of_a_repository_that_is_gone_is_not_found() {
        let mut memory = Rows::default();
        repositories_follow(&mut memory, &[remote("a", None)]).unwrap();
        put(&mut memory, "a", "log", "2.0.0");
        put(&mut memory, LOCAL, "log", "1.0.0");

        repositories_follow(&mut memory, &[]).unwrap();

        assert_eq!(newest(&memory, "log").unwrap().unwrap().metadata.version, "1.0.0");
        assert_eq!(find(&memory, "log", "2.0.0").unwrap(), None);
    }

    #[test]
    fn a_package_that_is_deleted_is_nowhere() {
        let mut memory = Rows::default();
        let row = put(&mut memory, LOCAL, "log", "1.0.0");
        blob_refs::refer(&mut memory, &row.blob_sha256, &blob_owner(row.id));
        put(&mut memory, LOCAL, "log", "2.0.0");

        delete(&mut memory, &row).unwrap();

        assert_eq!(find_by_id(&memory, row.id).unwrap(), None);
        assert_eq!(find(&memory, "log", "1.0.0").unwrap(), None);
        assert!(!blob_refs::is_needed(&memory, &row.blob_sha256).unwrap());
        assert_eq!(of_name(&memory, "log").unwrap().len(), 1);
        assert_eq!(put(&mut memory, LOCAL, "log", "1.0.0").id, 3, "ids are not used again");
    }

    #[test]
    fn packages_are_listed_by_repository() {
        let mut memory = Rows::default();
        repositories_follow(&mut memory, &[remote("a", None)]).unwrap();
        for (repository, name) in [(LOCAL, "z"), ("a", "y"), (LOCAL, "x"), ("a", "w")] {
            put(&mut memory, repository, name, "1.0.0");
        }
        let names = |rows: Vec<PackageRow>| -> Vec<String> {
            rows.into_iter().map(|it| it.metadata.name).collect()
        };

        let (rows, next) = page_of_repository(&memory, LOCAL, None).unwrap();
        assert_eq!((names(rows), next), (vec!["x".to_owned(), "z".to_owned()], None));
        assert!(has_packages(&memory, "a").unwrap());
        assert!(!has_packages(&memory, "b").unwrap());
        assert_eq!(repository(&memory, "a").unwrap().unwrap().changes, 2);
    }
}
