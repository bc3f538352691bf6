//! What there is: the repositories for people, and those kept here for other servers,
//! in the form that every server of this kind reads: an index and zips.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{Stream, stream, stream::BoxStream};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::Refresh;
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    release::{metadata, model::PackageMetadata},
    store::packages::{self, PackageRow, Repository},
};

/// A repository, and how it is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RepositoryState)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Where its packages are.
    pub kind: State,
    /// Its address, without a query.
    pub url: String,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// The highest wins where several have the same package.
    pub repo_order: Option<i64>,
    /// How many packages of it are known.
    pub packages: u64,
    /// How the last reading of its index went, since this server started.
    pub refresh: Option<Refresh>,
}

/// Where the packages of a repository are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RepositoryKind)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Here.
    Local,
    /// Elsewhere, by its index.
    Remote,
    /// In the inventory.
    Inventory,
}

/// All repositories, by id.
pub async fn shown(app: &App, _: &Permit) -> Result<Vec<Shown>> {
    let all = app.store.read(|view| packages::repositories(view)).await?;
    Ok(all.into_iter().map(|it| show(app, it)).collect())
}

/// The repository of that name.
pub async fn repository(app: &App, _: &Permit, name: &str) -> Result<Shown> {
    find(app, name).await.map(|it| show(app, it))
}

fn show(app: &App, it: Repository) -> Shown {
    let kind = match (it.local, &it.inventory) {
        (true, _) => State::Local,
        (false, None) => State::Remote,
        (false, Some(_)) => State::Inventory,
    };
    Shown {
        refresh: app.repositories.last(&it.name),
        url: without_secrets(it.url),
        name: it.name,
        kind,
        description: it.description,
        repo_order: it.repo_order,
        packages: it.packages,
    }
}

/// A local repository's address is free text, and may hold what others are not told.
fn without_secrets(text: String) -> String {
    let Ok(mut url) = Url::parse(&text) else { return text };
    let secret = url.password().is_some() || url.query().is_some();
    if !secret {
        return text;
    }
    url.set_query(None);
    match url.set_password(None) {
        Ok(()) => url.to_string(),
        Err(()) => String::new(),
    }
}

async fn find(app: &App, name: &str) -> Result<Repository> {
    let wanted = name.to_owned();
    let found = app.store.read(move |view| packages::repository(view, &wanted)).await?;
    found.ok_or_else(|| Error::not_found("repository", name))
}

async fn find_local(app: &App, name: &str) -> Result<Repository> {
    match find(app, name).await? {
        it if it.local => Ok(it),
        _ => Err(Error::not_found("local repository", name)),
    }
}

/// What the index of a local repository is now: it changes with each package that
/// comes, changes or goes.
pub async fn index_tag(app: &App, _: &Permit, name: &str) -> Result<String> {
    let Repository { id, changes, .. } = find_local(app, name).await?;
    Ok(format!("\"{id}-{changes}\""))
}

/// The index of a local repository, a page at a time.
pub fn index_pages(
    app: Arc<App>,
    _: &Permit,
    name: String,
) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
    stream::try_unfold(Some(None::<Vec<u8>>), move |at| {
        let (app, name) = (app.clone(), name.clone());
        async move {
            let Some(after) = at else { return Ok(None) };
            let page = app
                .store
                .scan(move |view| packages::page_of_repository(view, &name, after.as_deref()));
            let (rows, next) = page.await?;
            let text: String = rows.iter().filter(|it| it.is_here()).map(document).collect();
            Ok(Some((Bytes::from(text), next.map(Some))))
        }
    })
}

// Who fetches the zip can tell whether it is the one that is meant.
fn document(row: &PackageRow) -> String {
    let sha256 = Some(row.blob_sha256.clone());
    metadata::document(&PackageMetadata { sha256, ..row.metadata.clone() })
}

/// A package of a local repository.
pub async fn zip(
    app: &App,
    _: &Permit,
    repository: &str,
    name: &str,
    version: &str,
) -> Result<PackageRow> {
    find_local(app, repository).await?;
    let shown = format!("{name}:{version}");
    let wanted = (repository.to_owned(), name.to_owned(), version.to_owned());
    let found = app
        .store
        .read(move |view| packages::find_in(view, &wanted.0, &wanted.1, &wanted.2))
        .await?;
    found.filter(PackageRow::is_here).ok_or_else(|| Error::not_found("package", shown))
}

/// The bytes of a package's zip.
pub async fn bytes(
    app: &App,
    _: &Permit,
    row: &PackageRow,
    range: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    app.blobs.get(&row.blob_sha256, range).await
}
