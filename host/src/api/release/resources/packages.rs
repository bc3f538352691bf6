//! `/api/packageMetadata`: what packages say of themselves.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use futures::{Stream, TryStreamExt, stream};
use serde_json::json;

use super::{
    super::links::{Object, View, object},
    all_of, bad_query, id, linked, one_of,
    page::{Asked, parameter},
    searched, tagged,
};
use crate::{
    api::release::{
        answer::{Answer, Failure},
        releases::Part,
    },
    app::App,
    authz::{self, Caller, Label, Permit},
    error::Error,
    release::lists,
    store::packages::PackageRow,
};

const PATH: &str = "packageMetadata";
const BY_NAME: &str = "findByName";
const BY_PART: &str = "findByNameContainingIgnoreCase";
/// Packages that are read at once.
const ROWS: usize = 50;

/// `GET /api/packageMetadata`: a page of all packages.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let permit = may_list(&app, &caller).await?;
    let asked = Asked::of(query.as_deref());
    let found = lists::packages(&app, &permit, asked.page()).await.map_err(bad_query)?;
    let tail = asked.tail(&view, PATH, &["projection"], found.total);
    list(app, permit, view, asked.summary, (found.ids, None), tail).await
}

/// `GET /api/packageMetadata/{id}`: a package.
pub(super) async fn item(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    part: Part<String>,
) -> Answer {
    let id = id(part)?;
    let found = lists::package(&app, id).await?;
    let target = match &found {
        None => all_of("package"),
        Some(row) => {
            let repository = row.metadata.repository_name.clone().unwrap_or_default();
            let mut target =
                one_of("package", &row.metadata.name, Some(row.metadata.version.clone()));
            target.labels.push(Label { key: "repository".to_owned(), value: repository });
            target
        }
    };
    authz::authorize(&app, &caller, "package:read", target).await?;
    let row = found.ok_or_else(|| Failure::no_resource("package", &id.to_string()))?;
    let summary = Asked::of(query.as_deref()).summary;
    tagged(&headers, row.object_version, || Ok(view.resource(shown(&view, &row, summary)?)))
}

/// `GET /api/packageMetadata/search`: the searches there are.
pub(super) async fn searches(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    may_list(&app, &caller).await?;
    let parameters = "name,projection";
    Ok(super::searches(&view, PATH, &[(BY_NAME, parameters), (BY_PART, parameters)]))
}

/// `GET /api/packageMetadata/search/findByName`: all packages of a name.
pub(super) async fn named(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let Search { permit, name, summary, tail } =
        search(&app, &caller, &view, query.as_deref(), BY_NAME).await?;
    let ids = lists::packages_named(&app, &permit, &name).await?;
    list(app, permit, view, summary, (ids, None), tail).await
}

/// `GET /api/packageMetadata/search/findByNameContainingIgnoreCase`: all packages whose
/// name contains that.
pub(super) async fn containing(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let Search { permit, name, summary, tail } =
        search(&app, &caller, &view, query.as_deref(), BY_PART).await?;
    let (ids, next) = lists::packages_containing(&app, &permit, &name, 0).await?;
    let next = next.map(|after| (name, after));
    list(app, permit, view, summary, (ids, next), tail).await
}

/// A search that is allowed.
struct Search {
    permit: Permit,
    name: String,
    summary: bool,
    tail: Object,
}

async fn search(
    app: &App,
    caller: &Arc<Caller>,
    view: &View,
    query: Option<&str>,
    search: &str,
) -> Result<Search, Failure> {
    Ok(Search {
        permit: may_list(app, caller).await?,
        name: parameter(query, "name"),
        summary: Asked::of(query).summary,
        tail: searched(view, PATH, search, query),
    })
}

async fn may_list(app: &App, caller: &Arc<Caller>) -> Result<Permit, Failure> {
    Ok(authz::authorize(app, caller, "package:list", all_of("package")).await?)
}

/// Ids that are known, and the name and the id behind which more are found.
type Ids = (Vec<u64>, Option<(String, u64)>);

async fn list(
    app: Arc<App>,
    permit: Permit,
    view: View,
    summary: bool,
    ids: Ids,
    tail: Object,
) -> Answer {
    let shape = view.clone();
    let mut rows = Box::pin(rows(app, permit, ids).and_then(move |rows| {
        let shown: Result<Vec<_>, Error> =
            rows.iter().map(|it| shown(&shape, it, summary)).collect();
        async { shown }
    }));
    let first = rows.try_next().await?.unwrap_or_default();
    Ok::<Response, Failure>(view.list(PATH, &first, rows, tail))
}

fn rows(
    app: Arc<App>,
    permit: Permit,
    ids: Ids,
) -> impl Stream<Item = Result<Vec<PackageRow>, Error>> + Send + 'static {
    stream::try_unfold((ids, app, permit), |((mut ids, mut next), app, permit)| async {
        if ids.is_empty() {
            let Some((part, after)) = next.take() else { return Ok(None) };
            let (more, behind) = lists::packages_containing(&app, &permit, &part, after).await?;
            (ids, next) = (more, behind.map(|it| (part, it)));
        }
        let left = ids.split_off(ids.len().min(ROWS));
        let rows = lists::package_rows(&app, &permit, ids).await?;
        Ok(Some((rows, ((left, next), app, permit))))
    })
}

/// A package as it is shown: all that it says of itself, or little.
fn shown(view: &View, row: &PackageRow, summary: bool) -> Result<Object, Error> {
    let metadata = &row.metadata;
    let body = match summary {
        false => object(metadata)?,
        true => object(&json!({
            "id": row.id.to_string(),
            "name": metadata.name,
            "version": metadata.version,
            "iconUrl": metadata.icon_url,
            "description": metadata.description,
            "repositoryName": metadata.repository_name,
        }))?,
    };
    let install = ("install", view.href(&format!("/api/package/install/{}", row.id)));
    let path = format!("/api/{PATH}/{}", row.id);
    Ok(linked(body, view, &path, PATH, "{?projection}", Some(install)))
}
