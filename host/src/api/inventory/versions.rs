//! Endpoints for registering and reading releases.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, StatusCode},
};

use super::{
    answer::{Answer, json},
    body,
    conditions::unless_known,
    listing::listing,
    query::lenient_parameter,
    target,
    units::versions_of,
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    inventory::{self, ETag, NamespaceName, UnitPlace, Version, VersionQuery, wire},
    store::unit_releases::UnitReleaseRecord,
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
    request: Request,
) -> Answer {
    const ACTION: &str = "inventory:version:read";
    // As a `HeaderMap` it would be a copy.
    let headers = request.headers();
    let place = UnitPlace::parse(&namespace, &unit)?;
    if lenient_parameter(query.as_deref(), "full").is_some_and(|it| !it.is_empty()) {
        let meant = permitted_release(&app, &caller, ACTION, &place, &version).await?;
        return full(app, meant, place, headers).await;
    }
    let query = VersionQuery::parse(&version);
    let (permit, version) = permitted_for(&app, &caller, ACTION, &place, query, &version).await?;
    let kept = inventory::release_and_metadata(&app, &permit, &place, &version).await?;
    let (record, metadata) = kept;
    warn_of_yank(&caller, &place, &version, &record);
    let answer = async { Ok(json(metadata)) };
    unless_known(headers, &ETag::of_release(&record), answer).await
}

/// The release that a path means, with leave to do something to it.
pub(super) struct Meant {
    pub(super) permit: Permit,
    pub(super) version: Version,
    pub(super) record: UnitReleaseRecord,
}

/// Finds the release that a path means, and asks whether the caller may do this to
/// exactly that one. Of a yanked one the caller is warned.
pub(super) async fn permitted_release(
    app: &App,
    caller: &Arc<Caller>,
    action: &'static str,
    place: &UnitPlace,
    asked: &str,
) -> Answer<Meant> {
    let query = VersionQuery::parse(asked);
    let (permit, version) = permitted_for(app, caller, action, place, query, asked).await?;
    let record = inventory::release_record(app, &permit, place, &version).await?;
    warn_of_yank(caller, place, &version, &record);
    Ok(Meant { permit, version, record })
}

fn warn_of_yank(caller: &Caller, place: &UnitPlace, version: &Version, record: &UnitReleaseRecord) {
    if let Some(yank) = &record.yanked {
        caller.warnings.add(vec![inventory::yank_warning(place, version, yank)]);
    }
}

/// The same for those who need no more of the release than which it is.
pub(super) async fn permitted(
    app: &App,
    caller: &Arc<Caller>,
    action: &'static str,
    place: &UnitPlace,
    asked: &str,
) -> Answer<(Permit, Version)> {
    let Meant { permit, version, .. } =
        permitted_release(app, caller, action, place, asked).await?;
    Ok((permit, version))
}

/// Finds the version that a query means, without a look at the release, which may not
/// exist, and asks.
pub(super) async fn permitted_for(
    app: &App,
    caller: &Arc<Caller>,
    action: &'static str,
    place: &UnitPlace,
    query: VersionQuery,
    asked: &str,
) -> Answer<(Permit, Version)> {
    let found = inventory::resolve(app, place, query).await?;
    let named = found.as_ref().map_or(asked, Version::as_str);
    let permit = authz::authorize(app, caller, action, target::version(place, named)).await?;
    Ok((permit, found.ok_or_else(|| place.no_release(asked))?))
}

async fn full(app: Arc<App>, meant: Meant, place: UnitPlace, headers: &HeaderMap) -> Answer {
    let Meant { permit, version, .. } = meant;
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
    let whole = listing(head, versions_of(app, permit, place), tail.into_bytes());
    unless_known(headers, &release.etag, whole).await
}
