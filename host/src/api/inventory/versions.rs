//! Endpoints for registering and reading releases.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};

use super::{
    answer::{Answer, json},
    body,
    listing::listing,
    target,
    units::{parameter, versions_of},
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    inventory::{self, NamespaceName, UnitPlace, Version, VersionQuery, wire},
};

/// `POST …/{namespace}/register`: registers a release.
pub(super) async fn register(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let release = inventory::read_release(&body)?;
    let namespace = NamespaceName::parse(&namespace)?;
    let place = UnitPlace { namespace: namespace.clone(), unit: release.unit.clone() };
    let target = target::version(&place, release.version.as_str());
    let permit = authz::authorize(&app, &caller, "inventory:version:register", target).await?;
    inventory::register(&app, &permit, namespace, release).await?;
    Ok(StatusCode::OK)
}

/// `GET …/versions/{version}/`: a release's metadata; with any text for `full`,
/// what the server knows of it as well.
pub(super) async fn version(
    State(app): State<Arc<App>>,
    Path((namespace, unit, version)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let (permit, version) =
        permitted(&app, &caller, "inventory:version:read", &place, &version).await?;
    if parameter(query.as_deref(), "full").is_some_and(|it| !it.is_empty()) {
        return full(app, permit, place, version).await;
    }
    Ok(json(inventory::metadata(&app, &permit, &place, &version).await?))
}

/// Finds the version that a path means, and asks whether the caller may do this to
/// exactly that one.
pub(super) async fn permitted(
    app: &App,
    caller: &Arc<Caller>,
    action: &'static str,
    place: &UnitPlace,
    asked: &str,
) -> Answer<(Permit, Version)> {
    let found = inventory::resolve(app, place, VersionQuery::parse(asked)).await?;
    let named = found.as_ref().map_or(asked, Version::as_str);
    let permit = authz::authorize(app, caller, action, target::version(place, named)).await?;
    Ok((permit, found.ok_or_else(|| place.no_release(asked))?))
}

async fn full(app: Arc<App>, permit: Permit, place: UnitPlace, version: Version) -> Answer {
    let release = inventory::release(&app, &permit, &place, &version).await?;
    let metadata = release.metadata.trim_ascii_end();
    let head = [b"{\"release\":", metadata, b",\"versions\":["].concat();
    let tail = format!(
        "],\"is_latest\":{},\"downloads\":{},\"uploaded_by\":{},\"uploaded_at\":{}}}\n",
        release.is_latest,
        release.downloads,
        String::from_utf8_lossy(&wire::json(&release.uploaded_by)),
        String::from_utf8_lossy(&wire::json(&release.uploaded_at)),
    );
    listing(head, versions_of(app, permit, place), tail.into_bytes()).await
}
