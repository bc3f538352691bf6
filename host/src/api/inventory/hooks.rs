//! Endpoints for hooks documents.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
};

use super::{
    answer::{Answer, json},
    body,
    namespaces::existing_name,
    target,
};
use crate::{
    app::App,
    authz::{self, Caller},
    inventory::{self, UnitPlace, wire},
};

/// `GET …/{namespace}/hooks/`: the hooks of a namespace.
pub(super) async fn namespace_hooks(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let name = existing_name(&namespace)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:read", target).await?;
    Ok(json(wire::json_line(&inventory::namespace_hooks(&app, &permit, name).await?)))
}

/// `PUT …/{namespace}/hooks/`: puts a document in the place of a namespace's.
pub(super) async fn replace_namespace_hooks(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let document = inventory::read_hooks(&body)?;
    let name = existing_name(&namespace)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:update", target).await?;
    inventory::replace_namespace_hooks(&app, &permit, name, document).await?;
    Ok(StatusCode::CREATED)
}

/// `GET …/units/{unit}/hooks/`: the hooks of a unit.
pub(super) async fn unit_hooks(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let target = target::unit(&place);
    let permit = authz::authorize(&app, &caller, "inventory:unit:read", target).await?;
    Ok(json(wire::json_line(&inventory::unit_hooks(&app, &permit, place).await?)))
}

/// `PUT …/units/{unit}/hooks/`: puts a document in the place of a unit's.
pub(super) async fn replace_unit_hooks(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let document = inventory::read_hooks(&body)?;
    let place = UnitPlace::parse(&namespace, &unit)?;
    let target = target::unit(&place);
    let permit = authz::authorize(&app, &caller, "inventory:unit:update", target).await?;
    inventory::replace_unit_hooks(&app, &permit, place, document).await?;
    Ok(StatusCode::CREATED)
}
