//! Endpoints that give a namespace out and take it in as one stream.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, header},
    response::Response,
};
use futures::TryStreamExt;

use super::{
    answer::{Answer, json, typed},
    namespaces::existing_name,
    query::parameter,
    target,
};
use crate::{
    app::App,
    authz::{self, Caller},
    error::Error,
    inventory::{self, wire},
};

/// How much of an import is read that will not be kept. A client that is cut off while
/// it sends may never see the answer.
const UNWANTED_BYTES_MAX: u64 = 64 << 20;

/// `GET …/{namespace}/export`: the namespace with its packages, as a tar.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let name = existing_name(&namespace)?;
    let target = target::namespace(&name);
    let permit = authz::authorize(&app, &caller, "inventory:namespace:export", target).await?;
    let stream = inventory::export(&app, &permit, name.clone()).await?;
    let logged = stream.inspect_err(|error| tracing::warn!(%error, "an export broke off"));
    let mut answer = typed("application/x-tar", Body::from_stream(logged));
    let file_name = format!("attachment; filename=\"{name}.tar\"");
    if let Ok(value) = HeaderValue::from_str(&file_name) {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}

/// `POST /api/v1/internal/import`: takes in what an export has written.
pub(super) async fn import(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Arc<Caller>>,
    body: Body,
) -> Answer {
    let body = body.into_data_stream();
    let body = body.map_err(|it| Error::invalid("", it.to_string()));
    let other = parameter(query.as_deref(), "namespace");
    let mut import = inventory::begin_import(&app, body, other.as_deref()).await?;
    let taken = taken_in(&app, &caller, &mut import).await;
    if taken.is_err() {
        import.skip(UNWANTED_BYTES_MAX).await;
    }
    taken
}

async fn taken_in<S>(
    app: &Arc<App>,
    caller: &Arc<Caller>,
    import: &mut inventory::Importing<S>,
) -> Answer<Response>
where
    S: futures::Stream<Item = crate::error::Result<bytes::Bytes>> + Send + Unpin,
{
    let target = target::namespace(&import.namespace);
    let permit = authz::authorize(app, caller, "inventory:namespace:import", target).await?;
    Ok(json(wire::json_line(&inventory::import(app, &permit, import).await?)))
}
