//! Endpoints for hooks documents.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};

use super::{
    answer::{Answer, json},
    body,
    conditions::{expected, unless_known},
    namespaces::existing_name,
    target,
};
use crate::{
    app::App,
    authz::{self, Caller},
    inventory::{self, UnitPlace, wire},
    store::hooks_documents::HooksDocument,
};

/// `GET …/{namespace}/hooks/`: the hooks of a namespace.
pub(super) async fn namespace_hooks(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer {
    let name = existing_name(&namespace)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:read", target).await?;
    let document = inventory::namespace_hooks(&app, &permit, name).await?;
    shown(&headers, &document).await
}

/// `PUT …/{namespace}/hooks/`: puts a document in the place of a namespace's.
pub(super) async fn replace_namespace_hooks(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let document = inventory::read_hooks(&body)?;
    let name = existing_name(&namespace)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:update", target).await?;
    inventory::replace_namespace_hooks(&app, &permit, name, document, expected(&headers)).await?;
    Ok(StatusCode::CREATED)
}

/// `GET …/units/{unit}/hooks/`: the hooks of a unit.
pub(super) async fn unit_hooks(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let target = target::unit(&place);
    let permit = authz::authorize(&app, &caller, "inventory:unit:read", target).await?;
    let document = inventory::unit_hooks(&app, &permit, place).await?;
    shown(&headers, &document).await
}

/// `PUT …/units/{unit}/hooks/`: puts a document in the place of a unit's.
pub(super) async fn replace_unit_hooks(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let document = inventory::read_hooks(&body)?;
    let place = UnitPlace::parse(&namespace, &unit)?;
    let target = target::unit(&place);
    let permit = authz::authorize(&app, &caller, "inventory:unit:update", target).await?;
    inventory::replace_unit_hooks(&app, &permit, place, document, expected(&headers)).await?;
    Ok(StatusCode::CREATED)
}

async fn shown(headers: &HeaderMap, document: &HooksDocument) -> Answer {
    let whole = async { Ok(json(wire::json_line(document))) };
    unless_known(headers, &inventory::hooks_etag(document), whole).await
}
