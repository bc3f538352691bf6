//! `/api/releases`: every version of every release.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::HeaderMap,
};
use futures::{Stream, TryStreamExt, stream};

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
    authz::{self, Caller, Permit},
    error::Error,
    release::{lists, model::Release},
    store::releases::Numbers,
};

const PATH: &str = "releases";
/// The search that the shell's history is made of.
pub(super) const HISTORY: &str = "findByNameIgnoreCaseContainingOrderByNameAscVersionDesc";

type Rows = Vec<(Numbers, Release)>;

/// `GET /api/releases`: a page of all releases.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let permit = may_list(&app, &caller).await?;
    let asked = Asked::of(query.as_deref());
    let found = lists::releases(&app, &permit, asked.page()).await.map_err(bad_query)?;
    let tail = asked.tail(&view, PATH, &[], found.total);
    let rows = stream::try_unfold((found.ids, app, permit), |(ids, app, permit)| async {
        if ids.is_empty() {
            return Ok(None);
        }
        let (rows, left) = lists::release_rows(&app, &permit, ids).await?;
        Ok(Some((rows, (left, app, permit))))
    });
    list(view, rows, tail).await
}

/// `GET /api/releases/{id}`: a release.
pub(super) async fn item(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    headers: HeaderMap,
    part: Part<String>,
) -> Answer {
    let id = id(part)?;
    let target = match lists::release_name(&app, id).await? {
        None => all_of("release"),
        Some((name, version)) => one_of("release", &name, Some(version.to_string())),
    };
    let permit = authz::authorize(&app, &caller, "release:read", target).await?;
    let (rows, _) = lists::release_rows(&app, &permit, vec![id]).await?;
    let row = rows.into_iter().next();
    let row = row.ok_or_else(|| Failure::no_resource("release", &id.to_string()))?;
    tagged(&headers, row.0.object_version, || Ok(view.resource(shown(&view, &row)?)))
}

/// `GET /api/releases/search`: the searches there are.
pub(super) async fn searches(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    may_list(&app, &caller).await?;
    Ok(super::searches(&view, PATH, &[(HISTORY, "name")]))
}

/// The shell's history: every version of the releases whose name contains that, by name
/// and the highest version first.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let permit = may_history(&app, &caller).await?;
    let part = parameter(query.as_deref(), "name");
    let tail = searched(&view, PATH, HISTORY, query.as_deref());
    let start = (Some(None), app, permit, part);
    let rows = stream::try_unfold(start, |(next, app, permit, part)| async {
        let Some(after) = next else { return Ok(None) };
        let (rows, next) = lists::history(&app, &permit, &part, after).await?;
        Ok(Some((rows, (next.map(Some), app, permit, part))))
    });
    list(view, rows, tail).await
}

async fn may_list(app: &App, caller: &Arc<Caller>) -> Result<Permit, Failure> {
    Ok(authz::authorize(app, caller, "release:list", all_of("release")).await?)
}

async fn may_history(app: &App, caller: &Arc<Caller>) -> Result<Permit, Failure> {
    Ok(authz::authorize(app, caller, "release:history", all_of("release")).await?)
}

async fn list(
    view: View,
    rows: impl Stream<Item = Result<Rows, Error>> + Send + 'static,
    tail: Object,
) -> Answer {
    let shape = view.clone();
    let mut rows = Box::pin(rows.and_then(move |rows| {
        let shown: Result<Vec<_>, Error> = rows.iter().map(|it| shown(&shape, it)).collect();
        async { shown }
    }));
    let first = rows.try_next().await?.unwrap_or_default();
    Ok(view.list(PATH, &first, rows, tail))
}

fn shown(view: &View, (numbers, release): &(Numbers, Release)) -> Result<Object, Error> {
    let path = format!("/api/{PATH}/{}", numbers.id);
    Ok(linked(object(release)?, view, &path, "release", "", None))
}
