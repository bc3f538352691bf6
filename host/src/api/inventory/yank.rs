//! Endpoints for yanking a version and taking that back.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};

use super::{answer::Answer, body, conditions::expected, versions::permitted_for};
use crate::{
    app::App,
    authz::Caller,
    inventory::{self, UnitPlace},
};

const ACTION: &str = "inventory:version:yank";

/// `POST …/versions/{version}/yank`: says that a release should not be used any more.
pub(super) async fn yank(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let yanking = inventory::read_yanking(&body)?;
    let query = inventory::read_yanked(&asked)?;
    let place = UnitPlace::parse(&namespace, &unit)?;
    let (permit, version) = permitted_for(&app, &caller, ACTION, &place, query, &asked).await?;
    inventory::yank(&app, &permit, place, version, yanking, expected(&headers)).await?;
    Ok(StatusCode::OK)
}

/// `DELETE …/versions/{version}/yank`: takes that back.
pub(super) async fn unyank(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let query = inventory::read_yanked(&asked)?;
    let place = UnitPlace::parse(&namespace, &unit)?;
    let (permit, version) = permitted_for(&app, &caller, ACTION, &place, query, &asked).await?;
    inventory::unyank(&app, &permit, place, version, expected(&headers)).await?;
    Ok(StatusCode::OK)
}
