//! `/api/v1/plugins`: what is installed, and installing it.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::StatusCode,
    response::IntoResponse,
};
use futures::TryStreamExt;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::{Answer, Failure},
    query::Query,
    releases::{Part, bad_cursor, cursored, json, limit, uncursored},
};
use crate::{
    app::App,
    authz::{self, Caller},
    error::Error,
    extend::{self, Order, PluginName, PluginVersion, plugin_target},
};

/// A page of versions of plugins.
#[derive(Serialize, ToSchema)]
pub(super) struct PluginPage {
    /// The versions, by name and version.
    items: Vec<extend::Version>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// `POST /api/v1/plugins?name=…&version=…`: installs the component in the body.
pub(super) async fn install(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer {
    let query = Query::read(query.as_deref(), &["name", "version", "sha256"])?;
    let needed = |name| {
        let missing = || Failure::invalid(name, format!("`{name}` of the plugin is missing"));
        query.one(name)?.ok_or_else(missing)
    };
    let order = Order {
        name: PluginName::parse("name", needed("name")?)?,
        version: PluginVersion::parse("version", needed("version")?)?,
        sha256: query.one("sha256")?.map(digest).transpose()?,
    };
    let target = plugin_target(order.name.as_str(), Some(order.version.as_str()));
    let permit = authz::authorize(&app, &caller, "plugin:add", target).await?;
    let cut = |it: axum::Error| Error::invalid("", format!("the body cannot be read: {it}"));
    let stored = extend::take_in(&app, &permit, body.into_data_stream().map_err(cut)).await?;
    let (row, is_new) = extend::install(&app, &permit, order, stored).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut answer = json(&extend::installed(&app, &row))?;
    *answer.status_mut() = status;
    Ok(answer)
}

/// `GET /api/v1/plugins`: all versions of all plugins.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::read(query.as_deref(), &["limit", "cursor"])?;
    let limit = limit(&query)?;
    let after = query.one("cursor")?.map(|it| after(it).ok_or_else(bad_cursor)).transpose()?;
    let target = plugin_target("", None);
    let permit = authz::authorize(&app, &caller, "plugin:read", target).await?;
    let (items, next) = extend::list(&app, &permit, after, limit).await?;
    let next = next.map(|(name, version)| cursored(&format!("{name}@{version}")));
    json(&PluginPage { items, next })
}

/// `GET /api/v1/plugins/{name}`: all versions of a plugin.
pub(super) async fn versions(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
) -> Answer {
    let Path(name) = name.map_err(|it| Failure::invalid("name", it.body_text()))?;
    let name = PluginName::parse("name", &name)?;
    let target = plugin_target(name.as_str(), None);
    let permit = authz::authorize(&app, &caller, "plugin:read", target).await?;
    json(&extend::versions(&app, &permit, &name).await?)
}

/// `GET /api/v1/plugins/{name}/{version}`: a version of a plugin, from all sides.
pub(super) async fn inspect(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    parts: Parts,
) -> Answer {
    let (name, version) = named(parts)?;
    let target = plugin_target(name.as_str(), Some(version.as_str()));
    let permit = authz::authorize(&app, &caller, "plugin:read", target).await?;
    json(&extend::inspect(&app, &permit, &name, &version).await?)
}

/// `DELETE /api/v1/plugins/{name}/{version}`: removes a version that nothing uses.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    parts: Parts,
) -> Answer {
    let (name, version) = named(parts)?;
    let target = plugin_target(name.as_str(), Some(version.as_str()));
    let permit = authz::authorize(&app, &caller, "plugin:delete", target).await?;
    extend::remove(&app, &permit, &name, &version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The two parts of a path, or why they cannot be read.
type Parts = Result<Path<(String, String)>, PathRejection>;

fn named(parts: Parts) -> Answer<(PluginName, PluginVersion)> {
    let Path((name, version)) = parts.map_err(|it| Failure::invalid("name", it.body_text()))?;
    Ok((PluginName::parse("name", &name)?, PluginVersion::parse("version", &version)?))
}

/// A digest as it is compared.
fn digest(text: &str) -> Answer<String> {
    match text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Failure::invalid("sha256", "a SHA-256 has 64 hexadecimal digits")),
    }
}

fn after(cursor: &str) -> Option<(String, String)> {
    let text = uncursored(cursor)?;
    let (name, version) = text.split_once('@')?;
    let (name, version) = (PluginName::parse("", name), PluginVersion::parse("", version));
    Some((name.ok()?.as_str().to_owned(), version.ok()?.as_str().to_owned()))
}
