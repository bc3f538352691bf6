//! `/api/v1/bindings`: what is put to work, and changing it on the running server.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body::Body as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Failure},
    body,
    query::Query,
    releases::{Part, bad_cursor, cursored, json, limit, uncursored},
};
use crate::{
    api::inventory::expected,
    app::App,
    authz::{self, Caller, Permit},
    extend::{self, Asked, Changed, PluginName, What, binding_target},
    store::bindings::Spec,
};

/// A page of bindings.
#[derive(Serialize, ToSchema)]
pub(super) struct BindingPage {
    /// The bindings, by name.
    items: Vec<extend::Shown>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// A page of the revisions of a binding.
#[derive(Serialize, ToSchema)]
pub(super) struct RevisionPage {
    /// The revisions, the newest first.
    items: Vec<extend::Past>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// Where to go back to.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rollback {
    /// The revision; where it is absent, what waits for a grant is dropped, or else the
    /// one before is put in force again.
    revision: Option<u64>,
}

/// What is granted to a revision that waits for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    /// Laid over the grants that it asks with, as a merge patch. What is named is
    /// decided: `false` or `null` decides against it.
    #[schema(value_type = Object)]
    grants: Map<String, Value>,
}

/// `GET /api/v1/bindings`: all bindings, wherever they come from.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::read(query.as_deref(), &["limit", "cursor"])?;
    let limit = limit(&query)?;
    let after = query.one("cursor")?.map(|it| uncursored(it).ok_or_else(bad_cursor));
    let after = after.transpose()?;
    let permit = authz::authorize(&app, &caller, "binding:read", binding_target("")).await?;
    let (items, next) = extend::bindings_list(&app, &permit, after, limit).await?;
    json(&BindingPage { items, next: next.map(|it| cursored(&it)) })
}

/// `GET /api/v1/bindings/{name}`: a binding.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
) -> Answer {
    let name = named(name)?;
    let target = binding_target(name.as_str());
    let permit = authz::authorize(&app, &caller, "binding:read", target).await?;
    told(&app, &permit, &name, StatusCode::OK).await
}

/// `GET /api/v1/bindings/{name}/history`: what it was.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::read(query.as_deref(), &["limit", "cursor"])?;
    let limit = limit(&query)?;
    let before = |it: &str| uncursored(it)?.parse().ok();
    let before = query.one("cursor")?.map(|it| before(it).ok_or_else(bad_cursor)).transpose()?;
    let name = named(name)?;
    let target = binding_target(name.as_str());
    let permit = authz::authorize(&app, &caller, "binding:read", target).await?;
    let (items, next) = extend::history(&app, &permit, &name, before, limit).await?;
    json(&RevisionPage { items, next: next.map(|it| cursored(&it.to_string())) })
}

/// `PUT /api/v1/bindings/{name}`: makes a binding, or makes it this.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let spec: Spec = body::read(body::object(&app, body, "a binding").await?, "a binding")?;
    let request = Request { caller, name: named(name)?, query, headers };
    change(&app, request, What::Put(Box::new(spec))).await
}

/// `PATCH /api/v1/bindings/{name}`: changes some of it.
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let patch = body::object(&app, body, "a part of a binding").await?;
    let request = Request { caller, name: named(name)?, query, headers };
    change(&app, request, What::Patch(patch)).await
}

/// `POST /api/v1/bindings/{name}/grant`: grants what waits for it.
pub(super) async fn grant(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let Grant { grants } = body::read(body::object(&app, body, "grants").await?, "grants")?;
    let request = Request { caller, name: named(name)?, query, headers };
    change(&app, request, What::Grant(grants)).await
}

/// `POST /api/v1/bindings/{name}/rollback`: goes back.
pub(super) async fn rollback(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let Rollback { revision } = match body.is_end_stream() {
        true => Rollback::default(),
        false => body::read(body::object(&app, body, "a rollback").await?, "a rollback")?,
    };
    let request = Request { caller, name: named(name)?, query, headers };
    change(&app, request, What::Rollback(revision)).await
}

/// `DELETE /api/v1/bindings/{name}`: takes it away.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let request = Request { caller, name: named(name)?, query, headers };
    let (_, _) = made(&app, request, What::Delete).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What a change has besides what it is.
struct Request {
    caller: Arc<Caller>,
    name: PluginName,
    query: Option<String>,
    headers: HeaderMap,
}

/// Makes a change and answers with the binding as it is then.
async fn change(app: &Arc<App>, request: Request, what: What) -> Answer {
    let name = request.name.clone();
    let (permit, changed) = made(app, request, what).await?;
    let status = match changed {
        Changed::Made => StatusCode::CREATED,
        Changed::Done => StatusCode::OK,
        Changed::NeedsGrant => StatusCode::ACCEPTED,
    };
    told(app, &permit, &name, status).await
}

async fn made(app: &Arc<App>, request: Request, what: What) -> Answer<(Permit, Changed)> {
    let Request { caller, name, query, headers } = request;
    let query = Query::read(query.as_deref(), &["force"])?;
    let force = match query.one("force")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Failure::invalid("force", "`force` is `true` or `false`")),
    };
    let target = binding_target(name.as_str());
    let permit = authz::authorize(app, &caller, "binding:write", target).await?;
    let asked = Asked { name, what, expected: expected(&headers), force };
    let changed = extend::change(app, permit.clone(), asked).await?;
    Ok((permit, changed))
}

async fn told(app: &App, permit: &Permit, name: &PluginName, status: StatusCode) -> Answer {
    let (shown, tag) = extend::binding(app, permit, name).await?;
    let mut answer: Response = json(&shown)?;
    *answer.status_mut() = status;
    if let Ok(tag) = HeaderValue::from_str(tag.as_str()) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    Ok(answer)
}

fn named(name: Part) -> Answer<PluginName> {
    let Path(name) = name.map_err(|it| Failure::invalid("name", it.body_text()))?;
    Ok(PluginName::parse("name", &name)?)
}
