//! `/api/repositories`: where packages come from.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};

use super::{
    super::links::{Object, View, object},
    all_of, id, linked, one_of,
    page::parameter,
    page_of,
    shapes::RepositoryBody,
    tagged,
};
use crate::{
    api::release::{
        answer::{Answer, Failure},
        releases::Part,
    },
    app::App,
    authz::{self, Caller},
    error::Error,
    release::lists,
    store::packages::Repository,
};

const PATH: &str = "repositories";
const ACTION: &str = "repository:read";
const KIND: &str = "repository";

/// `GET /api/repositories`: a page of all repositories.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let permit = authz::authorize(&app, &caller, ACTION, all_of(KIND)).await?;
    let all = lists::repositories(&app, &permit).await?;
    page_of(&view, PATH, query.as_deref(), all, |it| shown(&view, it))
}

/// `GET /api/repositories/{id}`: a repository.
pub(super) async fn item(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    headers: HeaderMap,
    part: Part<String>,
) -> Answer {
    let id = id(part)?;
    let found = find(&app, &caller, |it| it.id == id).await?;
    let found = found.ok_or_else(|| Failure::no_resource(KIND, &id.to_string()))?;
    tagged(&headers, found.object_version, || Ok(view.resource(shown(&view, &found)?)))
}

/// `GET /api/repositories/search`: the searches there are.
pub(super) async fn searches(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    authz::authorize(&app, &caller, ACTION, all_of(KIND)).await?;
    Ok(super::searches(&view, PATH, &[("findByName", "name")]))
}

/// `GET /api/repositories/search/findByName`: the repository of that name.
pub(super) async fn named(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let name = parameter(query.as_deref(), "name");
    match find(&app, &caller, |it| it.name == name).await? {
        None => Ok(StatusCode::NOT_FOUND.into_response()),
        Some(found) => {
            tagged(&headers, found.object_version, || Ok(view.resource(shown(&view, &found)?)))
        }
    }
}

/// The repository that is wanted. The policy is asked about it by its name, so what there
/// is is looked at first.
async fn find(
    app: &App,
    caller: &Arc<Caller>,
    is_wanted: impl Fn(&Repository) -> bool,
) -> Result<Option<Repository>, Failure> {
    let found = lists::known_repositories(app).await?.into_iter().find(is_wanted);
    let name = found.as_ref().map(|it| it.name.as_str()).unwrap_or_default();
    authz::authorize(app, caller, ACTION, one_of(KIND, name, None)).await?;
    Ok(found)
}

fn shown(view: &View, repository: &Repository) -> Result<Object, Error> {
    let path = format!("/api/{PATH}/{}", repository.id);
    Ok(linked(object(&body(repository))?, view, &path, "repository", "", None))
}

fn body(it: &Repository) -> RepositoryBody {
    RepositoryBody {
        name: it.name.clone(),
        url: it.url.clone(),
        source_url: it.source_url.clone(),
        local: it.local,
        description: it.description.clone(),
        repo_order: it.repo_order,
    }
}
