//! What Spring Data REST shows of the original's tables: packages, repositories,
//! deployers and releases. They can be read only; the original leaves packages open to
//! any change, past every check.

mod deployers;
mod packages;
mod page;
mod profile;
mod releases;
mod repositories;
mod shapes;

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use futures::stream;
use serde_json::Value;

pub(super) use self::shapes::{Index, NothingFound};
use self::{
    page::Asked,
    shapes::{
        DeployerItem, DeployerPage, PackageItem, PackagePage, PackagesFound, ReleaseItem,
        ReleasePage, ReleasesFound, RepositoryItem, RepositoryPage,
    },
};
use super::{
    answer::{Answer, Failure},
    links::{Object, View, by_rel},
    releases::Part,
};
use crate::{
    api::{
        inventory::{expected, has_already},
        openapi::{Content, json, typed},
        routes::{Route, get},
    },
    authz::Target,
    error::Error,
    inventory::ETag,
    release::lists,
};

const PAGE: (&str, &str) = ("page", "Which page, counted from 0.");
const SIZE: (&str, &str) = ("size", "How many are on a page: 20 unless said, at most 1000.");
const SORT: (&str, &str) =
    ("sort", "Properties with commas between, and `desc` behind them for the greatest first.");
const PROJECTION: (&str, &str) = ("projection", "`summary` for few properties.");
const NAME: (&str, &str) = ("name", "What is looked for.");
const IF_NONE_MATCH: (&str, &str) =
    ("If-None-Match", "Sends nothing where the `ETag` is still one of these.");
const IF_MATCH: (&str, &str) =
    ("If-Match", "Sends nothing where the `ETag` is none of these any more.");

/// The routes below `/api`.
pub(super) fn routes() -> Vec<Route> {
    let all = [packages(), repositories(), deployers(), releases(), profiles()];
    all.into_iter().flatten().map(Route::as_written).collect()
}

fn packages() -> Vec<Route> {
    let searched = |it: Route| {
        let it = with(it, &[NAME, SORT, PROJECTION]);
        it.gives(200, hal_only::<PackagesFound>())
    };
    vec![
        with(get("listPackages", "/packageMetadata", packages::page), &[PAGE, SIZE, SORT])
            .says("A page of all packages")
            .query(PROJECTION.0, PROJECTION.1)
            .gives(200, hal_only::<PackagePage>())
            .refuses([400]),
        item(get("getPackage", "/packageMetadata/{resource}", packages::item))
            .says("What a package says of itself")
            .query(PROJECTION.0, PROJECTION.1)
            .gives(200, hal_only::<PackageItem>())
            .refuses([400, 404]),
        get("packageSearches", "/packageMetadata/search", packages::searches)
            .says("How packages can be searched")
            .gives(200, hal_only::<Index>()),
        searched(get("packagesByName", "/packageMetadata/search/findByName", packages::named))
            .says("All packages of a name"),
        searched(get(
            "packagesByPartOfName",
            "/packageMetadata/search/findByNameContainingIgnoreCase",
            packages::containing,
        ))
        .says("All packages whose name contains that, in any case"),
    ]
}

fn repositories() -> Vec<Route> {
    vec![
        with(get("listRepositories", "/repositories", repositories::page), &[PAGE, SIZE, SORT])
            .says("The repositories that packages come from")
            .gives(200, hal_only::<RepositoryPage>()),
        item(get("getRepository", "/repositories/{resource}", repositories::item))
            .says("A repository")
            .gives(200, hal_only::<RepositoryItem>())
            .refuses([400, 404]),
        get("repositorySearches", "/repositories/search", repositories::searches)
            .says("How repositories can be searched")
            .gives(200, hal_only::<Index>()),
        item(get("repositoryByName", "/repositories/search/findByName", repositories::named))
            .says("The repository of that name; a 404 without a body where there is none")
            .query(NAME.0, NAME.1)
            .gives(200, hal_only::<RepositoryItem>())
            .refuses([404]),
    ]
}

fn deployers() -> Vec<Route> {
    vec![
        with(get("listDeployers", "/deployers", deployers::page), &[PAGE, SIZE, SORT])
            .says("The platform accounts that releases run on")
            .gives(200, hal_only::<DeployerPage>()),
        get("getDeployer", "/deployers/{resource}", deployers::item)
            .says("A platform account")
            .gives(200, hal_only::<DeployerItem>())
            .refuses([404]),
        get("deployerSearches", "/deployers/search", deployers::searches)
            .says("How platform accounts can be searched")
            .gives(200, hal_only::<Index>()),
        get("deployerByName", "/deployers/search/findByName", deployers::named)
            .says("The platform account of that name; a 404 without a body where there is none")
            .query(NAME.0, NAME.1)
            .gives(200, hal_only::<DeployerItem>())
            .refuses([404]),
    ]
}

fn releases() -> Vec<Route> {
    vec![
        with(get("listAllReleases", "/releases", releases::page), &[PAGE, SIZE, SORT])
            .says("A page of all releases, of whatever status")
            .gives(200, hal_only::<ReleasePage>())
            .refuses([400]),
        item(get("getRelease", "/releases/{resource}", releases::item))
            .says("A release")
            .gives(200, hal_only::<ReleaseItem>())
            .refuses([400, 404]),
        get("releaseSearches", "/releases/search", releases::searches)
            .says("How releases can be searched")
            .gives(200, hal_only::<Index>()),
        get(
            "releaseHistory",
            &format!("/releases/search/{}", releases::HISTORY),
            releases::history,
        )
        .says("Every version of the releases whose name contains that, the highest first")
        .query(NAME.0, NAME.1)
        .gives(200, hal_only::<ReleasesFound>()),
    ]
}

fn profiles() -> Vec<Route> {
    vec![
        get("profiles", "/profile", profile::index)
            .says("What is told of the form of each resource")
            .gives(200, hal_only::<Index>()),
        get("profile", "/profile/{resource}", profile::profile)
            .says("The form of a resource, as ALPS or as a JSON schema")
            .gives(200, typed("application/alps+json").or("application/schema+json"))
            .refuses([404]),
    ]
}

/// A thing that has an `ETag`.
fn item(route: Route) -> Route {
    route
        .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
        .header(IF_MATCH.0, IF_MATCH.1)
        .gives(304, crate::api::openapi::nothing())
        .refuses([412])
}

fn with(route: Route, parameters: &[(&'static str, &'static str)]) -> Route {
    parameters.iter().fold(route, |route, (name, says)| route.query(name, says))
}

fn hal_only<T: utoipa::ToSchema>() -> Content {
    json::<T>().or("application/hal+json")
}

/// The question to a policy about many things of a kind.
fn all_of(kind: &str) -> Target {
    one_of(kind, "", None)
}

fn one_of(kind: &str, name: &str, version: Option<String>) -> Target {
    Target {
        kind: kind.to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        version,
        labels: Vec::new(),
    }
}

/// The number that a path names a thing by. Java's numbers may be negative, and nothing
/// has such an id.
fn id(part: Part<String>) -> Result<u64, Failure> {
    let Path(text) = part.map_err(|it| Failure::path(it.body_text()))?;
    match text.parse::<i64>() {
        Ok(id) => Ok(u64::try_from(id).unwrap_or(0)),
        Err(_) => Err(Failure::path(format!("an id is a whole number, and `{text}` is not"))),
    }
}

/// The answer about a thing that has changed that many times, unless the client has it.
fn tagged(headers: &HeaderMap, changes: u64, whole: impl FnOnce() -> Answer) -> Answer {
    let etag = format!("\"{changes}\"");
    let value = HeaderValue::try_from(&etag).map_err(|it| Failure::internal(it.to_string()))?;
    let etag = ETag::of(&[&changes]);
    expected(headers).check(&etag)?;
    let mut answer = match has_already(headers, etag.as_str()) {
        true => {
            let mut known = Response::new(Body::empty());
            *known.status_mut() = StatusCode::NOT_MODIFIED;
            known
        }
        false => whole()?,
    };
    answer.headers_mut().insert(header::ETAG, value);
    Ok(answer)
}

/// A page of a list that is short enough to be put in order whole.
fn page_of<T>(
    view: &View,
    resource: &str,
    query: Option<&str>,
    all: Vec<T>,
    shown: impl Fn(&T) -> Result<Object, Error>,
) -> Answer {
    let asked = Asked::of(query);
    let mut members = all.iter().map(shown).collect::<Result<Vec<_>, Error>>()?;
    lists::arrange(&mut members, &asked.sort, |it| Value::Object(it.clone()));
    let tail = asked.tail(view, resource, &[], members.len() as u64);
    Ok(view.list(resource, &asked.cut(members), stream::empty(), tail))
}

/// Searches of a resource, each with the names of its parameters.
fn searches(view: &View, resource: &str, searches: &[(&str, &str)]) -> Response {
    let path = format!("/api/{resource}/search");
    let links = searches
        .iter()
        .map(|(name, parameters)| (*name, view.href(&format!("{path}/{name}{{?{parameters}}}"))))
        .chain([("self", view.href(&path))]);
    let mut body = Object::new();
    body.insert("_links".to_owned(), by_rel(links).into());
    view.resource(body)
}

/// What comes behind the members that a search found: the address that it was asked at.
fn searched(view: &View, resource: &str, search: &str, query: Option<&str>) -> Object {
    let mut href = view.href(&format!("/api/{resource}/search/{search}"));
    if let Some(query) = query {
        // No braces: they would make a template of it.
        href = format!("{href}?{}", query.replace('{', "%7B").replace('}', "%7D"));
    }
    let mut tail = Object::new();
    tail.insert("_links".to_owned(), by_rel([("self", href)]).into());
    tail
}

/// A thing with its links: to itself, and by its kind to where it can be asked for in
/// other forms.
fn linked<'a>(
    mut body: Object,
    view: &View,
    path: &str,
    kind: &'a str,
    forms: &str,
    more: Option<(&'a str, String)>,
) -> Object {
    let own = [("self", view.href(path)), (kind, view.href(&format!("{path}{forms}")))];
    body.insert("_links".to_owned(), by_rel(own.into_iter().chain(more)).into());
    body
}

/// A list whose order cannot be had is a bad request.
fn bad_query(error: Error) -> Failure {
    match error {
        Error::Invalid { message, .. } => Failure::query(message),
        other => other.into(),
    }
}
