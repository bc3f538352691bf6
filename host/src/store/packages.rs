//! Packages of the release API and the repositories that they are in.
//!
//! A row holds what a package says of itself and points at its zip among the
//! blobs. (name, version, repository) is unique; ids count up and are never used
//! again.

use std::cmp::Ordering;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Change, Record, Table, Take, View, find as record, keep, key, prefix};
use crate::{
    error::{Error, Result},
    release::model::PackageMetadata,
};

/// The repository that uploads go to, and that is always there.
pub const LOCAL: &str = "local";

// (name, version, repository's name) -> PackageRow.
const PACKAGES: Table = Table("packages");
// (id, 20 digits) -> (name, version, repository's name), a key of PACKAGES.
const PACKAGE_IDS: Table = Table("package_ids");
// (name) -> Repository.
const REPOSITORIES: Table = Table("package_repositories");
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
    /// The zip among the blobs: lower-case hexadecimal.
    pub blob_sha256: String,
    /// The zip's size.
    pub size_bytes: u64,
}

impl Record for PackageRow {
    const WHAT: &'static str = "package";
}

/// A repository of packages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Counts from 1 over all repositories.
    pub id: u64,
    /// Unique.
    pub name: String,
    /// Where its index is; decoration for a local one.
    pub url: String,
    /// Where its sources are, for people.
    pub source_url: Option<String>,
    /// Whether its packages are kept here.
    pub local: bool,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// The highest wins where several have the same package.
    pub repo_order: Option<i64>,
}

impl Record for Repository {
    const WHAT: &'static str = "package repository";
}

/// The blob's owner, as the blob store counts references: one for each row.
pub fn blob_owner(id: u64) -> String {
    format!("package/{id}")
}

/// The repository of that name. `local` is there before anybody made it.
pub fn repository(view: &(impl View + ?Sized), name: &str) -> Result<Option<Repository>> {
    let found = record(view, REPOSITORIES, &key(&[name]))?;
    if found.is_none() && name == LOCAL {
        return Ok(Some(local(last_id(view, "repository")? + 1)));
    }
    Ok(found)
}

/// Keeps a new repository under the next id and gives it back with it.
pub fn repository_insert(
    change: &mut (impl Change + ?Sized),
    mut repository: Repository,
) -> Result<Repository> {
    let row = key(&[&repository.name]);
    if change.get(REPOSITORIES, &row)?.is_some() {
        return Err(Error::AlreadyExists { what: "package repository", name: repository.name });
    }
    repository.id = next_id(change, "repository")?;
    keep(change, REPOSITORIES, &row, &repository);
    Ok(repository)
}

/// The repository named `local`, made now if this is its first use.
pub fn repository_ensure_local(change: &mut (impl Change + ?Sized)) -> Result<Repository> {
    match record(change, REPOSITORIES, &key(&[LOCAL]))? {
        Some(it) => Ok(it),
        None => repository_insert(change, local(0)),
    }
}

/// The package of that name and version. Where several repositories have it, the
/// one with the highest order wins.
pub fn find(view: &(impl View + ?Sized), name: &str, version: &str) -> Result<Option<PackageRow>> {
    let mut best: Option<(Option<i64>, PackageRow)> = None;
    each(view, &[name, version], |row| {
        let repository = row.metadata.repository_name.as_deref().unwrap_or(LOCAL);
        let order = self::repository(view, repository)?.and_then(|it| it.repo_order);
        if best.as_ref().is_none_or(|(best, _)| order > *best) {
            best = Some((order, row));
        }
        Ok(())
    })?;
    Ok(best.map(|(_, row)| row))
}

/// The package of that name with the greatest version, by [`compare_versions`].
pub fn newest(view: &(impl View + ?Sized), name: &str) -> Result<Option<PackageRow>> {
    let mut best: Option<PackageRow> = None;
    each(view, &[name], |row| {
        let newer = best.as_ref().is_none_or(|best| {
            compare_versions(&row.metadata.version, &best.metadata.version).is_gt()
        });
        if newer {
            best = Some(row);
        }
        Ok(())
    })?;
    Ok(best)
}

/// Whether that repository has that package.
pub fn is_in(
    view: &(impl View + ?Sized),
    repository: &str,
    name: &str,
    version: &str,
) -> Result<bool> {
    Ok(view.get(PACKAGES, &key(&[name, version, repository]))?.is_some())
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
    let repository = metadata.repository_name.as_deref().unwrap_or(LOCAL);
    let row_key = key(&[&metadata.name, &metadata.version, repository]);
    let id = next_id(change, "package")?;
    let row = PackageRow { id, object_version: 0, metadata, blob_sha256, size_bytes };
    keep(change, PACKAGES, &row_key, &row);
    change.put(PACKAGE_IDS, &id_key(id), row_key);
    Ok(row)
}

/// Orders versions: semantic ones by their rules and above all others, which are
/// compared as text.
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    match (Version::parse(left), Version::parse(right)) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

fn local(id: u64) -> Repository {
    Repository {
        id,
        name: LOCAL.to_owned(),
        url: String::new(),
        source_url: None,
        local: true,
        description: Some("packages uploaded to this server".to_owned()),
        repo_order: None,
    }
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

fn next_id(change: &mut (impl Change + ?Sized), of: &str) -> Result<u64> {
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
        Repository { name: name.into(), repo_order, local: false, ..local(0) }
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
    fn local_is_there_from_the_start_and_keeps_the_id_it_is_made_with() {
        let mut memory = Rows::default();
        assert_eq!(repository(&memory, LOCAL).unwrap().unwrap().id, 1);
        repository_insert(&mut memory, remote("test", None)).unwrap();
        assert_eq!(repository(&memory, LOCAL).unwrap().unwrap().id, 2);

        assert_eq!(repository_ensure_local(&mut memory).unwrap().id, 2);
        repository_insert(&mut memory, remote("more", None)).unwrap();

        assert_eq!(repository_ensure_local(&mut memory).unwrap().id, 2);
        assert_eq!(repository(&memory, "other").unwrap(), None);
        assert!(repository_insert(&mut memory, remote("more", None)).is_err());
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
}
