//! The repositories that packages are in.
//!
//! Those of the settings are entered when the server starts, and follow them: what is
//! new gets the next id, what has changed keeps its own. One that is not in the
//! settings any more stays if its packages are kept here. A remote one leaves with
//! what was known of it: its packages are not found from that moment on, and go in
//! pieces ([`leaving`], [`repository_left`]).

use serde::{Deserialize, Serialize};

use super::{last_id, next_id};
use crate::{
    error::{Error, Result},
    store::{Change, Record, Table, Take, View, find as record, keep, key},
};

/// The repository that uploads go to, and that is always there.
pub const LOCAL: &str = "local";

// (name) -> Repository.
const REPOSITORIES: Table = Table("package_repositories");

// The settings allow fewer; those that are not configured any more come on top.
const REPOSITORIES_MAX: usize = 10_000;

/// A repository of packages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The namespace of the inventory whose packages it has, if it is of that kind.
    #[serde(default)]
    pub inventory: Option<String>,
    /// Rises with each change of this record; shown as the ETag.
    #[serde(default)]
    pub object_version: u64,
    /// Rises with each package that comes, changes or goes.
    #[serde(default)]
    pub changes: u64,
    /// How many packages it has.
    #[serde(default)]
    pub packages: u64,
    /// Whether it is on its way out, with its packages.
    #[serde(default)]
    pub leaving: bool,
}

impl Record for Repository {
    const WHAT: &'static str = "package repository";
}

impl Repository {
    /// Whether its packages come from elsewhere, by its index.
    pub fn is_remote(&self) -> bool {
        !self.local && self.inventory.is_none()
    }

    /// Whether it has the same packages, wherever the other lies.
    fn is_of_kind(&self, other: &Repository) -> bool {
        self.local == other.local && self.inventory == other.inventory
    }
}

/// The repository of that name. `local` is there before anybody made it.
pub fn repository(view: &(impl View + ?Sized), name: &str) -> Result<Option<Repository>> {
    if name.contains('\0') {
        return Ok(None);
    }
    match record::<Repository>(view, REPOSITORIES, &key(&[name]))? {
        None if name == LOCAL => {
            Ok(Some(Repository { id: last_id(view, "repository")? + 1, ..local() }))
        }
        found => Ok(found.filter(|it| !it.leaving)),
    }
}

/// All repositories, by id.
pub fn repositories(view: &(impl View + ?Sized)) -> Result<Vec<Repository>> {
    let mut all = all(view)?;
    all.retain(|it| !it.leaving);
    if all.iter().all(|it| it.name != LOCAL) {
        all.push(Repository { id: last_id(view, "repository")? + 1, ..local() });
    }
    all.sort_unstable_by_key(|it| it.id);
    Ok(all)
}

/// The repository with that id.
pub fn repository_by_id(view: &(impl View + ?Sized), id: u64) -> Result<Option<Repository>> {
    Ok(repositories(view)?.into_iter().find(|it| it.id == id))
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
        None => repository_insert(change, local()),
    }
}

/// Makes the repositories those of the settings, which come without ids. `local` is
/// entered last where it was not there: it is in every server, the others have been
/// chosen.
pub fn repositories_follow(
    change: &mut (impl Change + ?Sized),
    configured: &[Repository],
) -> Result<()> {
    for wanted in configured.iter().filter(|it| it.name != LOCAL) {
        follow(change, wanted)?;
    }
    let own = configured.iter().find(|it| it.name == LOCAL).cloned();
    follow(change, &own.unwrap_or_else(local))?;

    let is_gone = |it: &Repository| configured.iter().all(|wanted| wanted.name != it.name);
    for mut gone in all(change)?.into_iter().filter(|it| !it.local && is_gone(it)) {
        gone.leaving = true;
        keep(change, REPOSITORIES, &key(&[&gone.name]), &gone);
    }
    Ok(())
}

/// Those on their way out, whose packages are to go.
pub fn leaving(view: &(impl View + ?Sized)) -> Result<Vec<Repository>> {
    Ok(all(view)?.into_iter().filter(|it| it.leaving).collect())
}

/// Drops a repository whose last package is gone.
pub fn repository_left(change: &mut (impl Change + ?Sized), name: &str) {
    change.delete(REPOSITORIES, &key(&[name]));
}

/// Notes that a package of a repository has come, changed or gone: it has `more`.
pub(super) fn changed(change: &mut (impl Change + ?Sized), name: &str, more: i64) -> Result<()> {
    let row = key(&[name]);
    if let Some(mut repository) = record::<Repository>(change, REPOSITORIES, &row)? {
        repository.changes += 1;
        repository.packages = repository.packages.saturating_add_signed(more);
        keep(change, REPOSITORIES, &row, &repository);
    }
    Ok(())
}

fn follow(change: &mut (impl Change + ?Sized), wanted: &Repository) -> Result<()> {
    let row = key(&[&wanted.name]);
    let Some(kept) = record::<Repository>(change, REPOSITORIES, &row)? else {
        return repository_insert(change, wanted.clone()).map(drop);
    };
    let Repository { id, object_version, changes, packages, .. } = kept;
    let leaving = false;
    let now = Repository { id, object_version, changes, packages, leaving, ..wanted.clone() };
    if now == kept {
        return Ok(());
    }
    // Whoever asks for the index of another kind of repository gets another one.
    let changes = if now.is_of_kind(&kept) { changes } else { changes + 1 };
    let now = Repository { object_version: object_version + 1, changes, ..now };
    keep(change, REPOSITORIES, &row, &now);
    Ok(())
}

fn all(view: &(impl View + ?Sized)) -> Result<Vec<Repository>> {
    let take = Take { reverse: false, limit: REPOSITORIES_MAX };
    let rows = view.range(REPOSITORIES, b"", b"", take)?;
    rows.iter().map(|(_, it)| crate::store::decode(it)).collect()
}

/// The repository `local` as it is where the settings say nothing of it.
pub fn local() -> Repository {
    Repository {
        name: LOCAL.to_owned(),
        local: true,
        description: Some("Default local database backed repository".to_owned()),
        ..Repository::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::in_memory::Rows;

    fn remote(name: &str, url: &str) -> Repository {
        Repository { name: name.into(), url: url.into(), ..Repository::default() }
    }

    fn names(memory: &Rows) -> Vec<(u64, String)> {
        repositories(memory).unwrap().into_iter().map(|it| (it.id, it.name)).collect()
    }

    #[test]
    fn local_is_there_from_the_start_and_keeps_the_id_it_is_made_with() {
        let mut memory = Rows::default();
        assert_eq!(repository(&memory, LOCAL).unwrap().unwrap().id, 1);
        repository_insert(&mut memory, remote("test", "")).unwrap();
        assert_eq!(repository(&memory, LOCAL).unwrap().unwrap().id, 2);

        assert_eq!(repository_ensure_local(&mut memory).unwrap().id, 2);
        repository_insert(&mut memory, remote("more", "")).unwrap();

        assert_eq!(repository_ensure_local(&mut memory).unwrap().id, 2);
        assert_eq!(repository(&memory, "other").unwrap(), None);
        assert!(repository_insert(&mut memory, remote("more", "")).is_err());
    }

    #[test]
    fn the_repositories_are_those_of_the_settings_and_local() {
        let mut memory = Rows::default();
        let configured = [remote("a", "http://a"), remote("b", "http://b")];
        repositories_follow(&mut memory, &configured).unwrap();
        let all = [(1, "a".into()), (2, "b".into()), (3, LOCAL.into())];
        assert_eq!(names(&memory), all);
        assert_eq!(repository_by_id(&memory, 2).unwrap().unwrap().name, "b");
        assert_eq!(repository_by_id(&memory, 4).unwrap(), None);

        let before = memory.writes();
        repositories_follow(&mut memory, &configured).unwrap();
        assert_eq!(memory.writes(), before, "nothing has changed");
    }

    #[test]
    fn a_repository_follows_the_settings_under_its_id() {
        let mut memory = Rows::default();
        repositories_follow(&mut memory, &[remote("a", "http://a"), remote("b", "")]).unwrap();

        let moved = Repository { repo_order: Some(7), ..remote("b", "http://c") };
        repositories_follow(&mut memory, &[remote("a", "http://a"), moved]).unwrap();

        let b = repository(&memory, "b").unwrap().unwrap();
        assert_eq!((b.id, b.url.as_str(), b.repo_order), (2, "http://c", Some(7)));
        assert_eq!(b.object_version, 1);
        assert_eq!(repository(&memory, "a").unwrap().unwrap().object_version, 0);
    }

    #[test]
    fn a_remote_repository_leaves_with_the_settings_and_a_local_one_stays() {
        let mut memory = Rows::default();
        let own = Repository { local: true, ..remote("own", "") };
        repositories_follow(&mut memory, &[remote("a", ""), own]).unwrap();

        repositories_follow(&mut memory, &[]).unwrap();

        assert_eq!(names(&memory), [(2, "own".into()), (3, LOCAL.into())]);
        assert_eq!(repository(&memory, "a").unwrap(), None);
        assert_eq!(leaving(&memory).unwrap()[0].name, "a");
        repositories_follow(&mut memory, &[remote("a", "")]).unwrap();
        assert_eq!(leaving(&memory).unwrap(), [], "it has come back in time");
        assert_eq!(repository(&memory, "a").unwrap().unwrap().id, 1);

        repository_left(&mut memory, "a");
        repositories_follow(&mut memory, &[remote("a", "")]).unwrap();
        assert_eq!(repository(&memory, "a").unwrap().unwrap().id, 4, "ids are not used again");
    }
}
