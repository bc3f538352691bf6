//! `/api/deployers`: the platform accounts.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::IntoResponse,
};

use super::{
    super::links::{Object, View, object},
    all_of, linked,
    page::parameter,
    page_of,
};
use crate::{
    api::release::{
        answer::{Answer, Failure},
        releases::Part,
    },
    app::App,
    authz::{self, Caller, Permit},
    error::Error,
    release::lists::{self, Deployer},
};

const PATH: &str = "deployers";

/// `GET /api/deployers`: a page of all platform accounts.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let permit = may_list(&app, &caller).await?;
    let all = lists::deployers(&app, &permit).await;
    page_of(&view, PATH, query.as_deref(), all, |it| shown(&view, it))
}

/// `GET /api/deployers/{id}`: a platform account.
pub(super) async fn item(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    part: Part<String>,
) -> Answer {
    let Path(id) = part.map_err(|it| Failure::path(it.body_text()))?;
    let permit = may_list(&app, &caller).await?;
    match lists::deployer(&app, &permit, |it, _| it == id).await {
        Some(found) => Ok(view.resource(shown(&view, &found)?)),
        None => Err(Failure::no_resource("deployer", &id)),
    }
}

/// `GET /api/deployers/search`: the searches there are.
pub(super) async fn searches(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    may_list(&app, &caller).await?;
    Ok(super::searches(&view, PATH, &[("findByName", "name")]))
}

/// `GET /api/deployers/search/findByName`: the platform account of that name.
pub(super) async fn named(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    RawQuery(query): RawQuery,
) -> Answer {
    let permit = may_list(&app, &caller).await?;
    let name = parameter(query.as_deref(), "name");
    match lists::deployer(&app, &permit, |_, it| it == name).await {
        Some(found) => Ok(view.resource(shown(&view, &found)?)),
        None => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

/// Who may see what runs may see where it runs.
async fn may_list(app: &App, caller: &Arc<Caller>) -> Result<Permit, Failure> {
    Ok(authz::authorize(app, caller, "release:list", all_of("platform")).await?)
}

fn shown(view: &View, deployer: &Deployer) -> Result<Object, Error> {
    let path = format!("/api/{PATH}/{}", deployer.id);
    Ok(linked(object(deployer)?, view, &path, "deployer", "", None))
}
