//! What the lists of the release API show, a page or a piece at a time.
//!
//! A page is found as ids first, which are small, and its members are read by these
//! while the answer is sent: a release may have megabytes, and a page a thousand of them.

mod order;
mod platforms;

use serde_json::{Value, json};

use self::order::Ranking;
pub use self::{
    order::{Order, RANKED_MAX, arrange},
    platforms::{Deployer, deployer, deployers},
};
use super::model::{PackageMetadata, Release};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        packages::{self, PackageRow, Repository},
        releases::{self, Numbers},
    },
};

/// Ids that a list is read in.
const IDS: usize = 500;
/// Releases that a list is read in: each may have megabytes.
const RELEASES: usize = 20;

/// Which part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// How many members come before it.
    pub skip: u64,
    /// How many it has, at the most.
    pub limit: usize,
    /// In what order; that of the ids where there is none.
    pub sort: Vec<Order>,
}

/// The members of a page by their ids, and how many there are on all pages.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the page.
    pub ids: Vec<u64>,
    /// Members of the whole list.
    pub total: u64,
}

/// A page of all packages.
pub async fn packages(app: &App, _: &Permit, page: Page) -> Result<Found> {
    let sort = order::known(page.sort, &json(&PackageMetadata::default())?);
    let (skip, limit) = (page.skip, page.limit);
    let found = app.store.scan(move |view| {
        let ids = match sort.as_slice() {
            [] => packages::ids_from(view, skip, limit)?,
            [name] if name.property == "name" && !name.ignore_case => {
                packages::ids_by_name(view, name.descending, skip, limit)?
            }
            _ => {
                let mut ranking = Ranking::new(sort, skip, limit)?;
                packages::each_row(view, |row| {
                    ranking.add(row.id, &with_id(json(&row.metadata)?, row.id));
                    Ok(())
                })?;
                ranking.ids()
            }
        };
        Ok(Found { ids, total: packages::count(view)? })
    });
    found.await
}

/// Packages behind the id `after` whose name contains `part`, ignoring case, by id: some
/// of them, and where to go on if there are more.
pub async fn packages_containing(
    app: &App,
    _: &Permit,
    part: &str,
    after: u64,
) -> Result<(Vec<u64>, Option<u64>)> {
    let part = part.to_owned();
    let found = app.store.scan(move |view| packages::ids_containing(view, &part, after, IDS));
    let ids = found.await?;
    let next = ids.last().copied().filter(|_| ids.len() == IDS);
    Ok((ids, next))
}

/// All packages of that name, by id.
pub async fn packages_named(app: &App, _: &Permit, name: &str) -> Result<Vec<u64>> {
    let name = name.to_owned();
    app.store.scan(move |view| packages::ids_named(view, &name)).await
}

/// The packages of these ids. One that is gone in the meantime is left out.
pub async fn package_rows(app: &App, _: &Permit, ids: Vec<u64>) -> Result<Vec<PackageRow>> {
    let rows = app.store.scan(move |view| {
        let rows = ids.iter().map(|it| packages::find_by_id(view, *it));
        rows.filter_map(Result::transpose).collect()
    });
    rows.await
}

/// A package. Before anybody is asked: the question to the policy names it.
pub(crate) async fn package(app: &App, id: u64) -> Result<Option<PackageRow>> {
    app.store.read(move |view| packages::find_by_id(view, id)).await
}

/// A page of all releases, of whatever status.
pub async fn releases(app: &App, _: &Permit, page: Page) -> Result<Found> {
    let sort = order::known(page.sort, &json!({ "name": "", "version": 0 }));
    let (skip, limit) = (page.skip, page.limit);
    let found = app.store.scan(move |view| {
        let ids = match sort.as_slice() {
            [] => releases::ids_from(view, skip, limit)?,
            [name] if name.property == "name" && !name.ignore_case => {
                let (mut skip, mut ids) = (skip, Vec::new());
                releases::each_named(view, name.descending, |_, _, id| {
                    match skip {
                        0 => ids.push(id),
                        _ => skip -= 1,
                    }
                    Ok(ids.len() < limit)
                })?;
                ids
            }
            _ => {
                let mut ranking = Ranking::new(sort, skip, limit)?;
                releases::each_named(view, false, |name, version, id| {
                    ranking.add(id, &json!({ "name": name, "version": version, "id": id }));
                    Ok(true)
                })?;
                ranking.ids()
            }
        };
        Ok(Found { ids, total: releases::count(view)? })
    });
    found.await
}

/// The releases of these ids: some of them, and the ids that are left.
pub async fn release_rows(
    app: &App,
    _: &Permit,
    mut ids: Vec<u64>,
) -> Result<(Vec<(Numbers, Release)>, Vec<u64>)> {
    let left = ids.split_off(ids.len().min(RELEASES));
    let rows = app.store.scan(move |view| {
        let mut rows = Vec::new();
        for id in ids {
            let Some((name, version)) = releases::named(view, id)? else { continue };
            let numbers = releases::numbers(view, &name, version)?;
            let row = releases::find(view, &name, version)?;
            rows.extend(numbers.zip(row.map(|it| it.release)));
        }
        Ok(rows)
    });
    Ok((rows.await?, left))
}

/// Releases whose name contains `part`, ignoring case, by name and the highest version
/// first: some of them, and where to go on if there are more.
pub async fn history(
    app: &App,
    _: &Permit,
    part: &str,
    after: Option<(String, u32)>,
) -> Result<(Vec<(Numbers, Release)>, Option<(String, u32)>)> {
    let part = part.to_owned();
    let rows = app.store.scan(move |view| {
        let after = after.as_ref().map(|(name, version)| (name.as_str(), *version));
        let rows = releases::history(view, &part, after, RELEASES)?;
        let numbered = rows.into_iter().map(|row| {
            let release = row.release;
            let numbers = releases::numbers(view, &release.name, release.version)?;
            Ok(numbers.map(|it| (it, release)))
        });
        numbered.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
    });
    let rows = rows.await?;
    let last = rows.last().filter(|_| rows.len() == RELEASES);
    let next = last.map(|(_, it)| (it.name.clone(), it.version));
    Ok((rows, next))
}

/// What the release of that id is called. Before anybody is asked: the question to the
/// policy names it.
pub(crate) async fn release_name(app: &App, id: u64) -> Result<Option<(String, u32)>> {
    app.store.read(move |view| releases::named(view, id)).await
}

/// The repositories of packages, by id.
pub async fn repositories(app: &App, _: &Permit) -> Result<Vec<Repository>> {
    known_repositories(app).await
}

/// The same before anybody is asked: the question to the policy names one.
pub(crate) async fn known_repositories(app: &App) -> Result<Vec<Repository>> {
    app.store.read(|view| packages::repositories(view)).await
}

fn with_id(mut value: Value, id: u64) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.insert("id".to_owned(), id.into());
    }
    value
}

fn json(metadata: &PackageMetadata) -> Result<Value> {
    serde_json::to_value(metadata)
        .map_err(|it| Error::Internal(format!("writing a package's metadata: {it}")))
}
