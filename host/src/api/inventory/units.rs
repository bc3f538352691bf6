//! Endpoints for units.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
};
use futures::future::BoxFuture;

use super::{
    answer::{Answer, text},
    conditions::unless_known,
    listing::{Rows, listing},
    namespaces::{existing_name, units_of},
    query::{lenient_parameter, parameter},
    target,
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    error::{Error, Result},
    inventory::{self, UnitPlace, wire},
};

/// `GET …/{namespace}/units/`: a namespace's units, by name.
pub(super) async fn units(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let name = existing_name(&namespace)?;
    let target = target::all_units(&name);
    let permit = authz::authorize(&app, &caller, "inventory:unit:list", target).await?;
    inventory::namespace(&app, &permit, &name).await?;
    listing(b"{".to_vec(), units_of(app, permit, name), b"}\n".to_vec()).await
}

/// `GET …/units/{unit}/`: a unit and its versions.
pub(super) async fn unit(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let permit =
        authz::authorize(&app, &caller, "inventory:unit:read", target::unit(&place)).await?;
    let unit = inventory::unit(&app, &permit, &place).await?;
    let mut head = wire::json(&unit);
    head.pop();
    head.extend(b",\"versions\":[");
    let whole = listing(head, versions_of(app, permit, place), b"]}\n".to_vec());
    unless_known(&headers, &unit.etag, whole).await
}

/// `GET …/units/{unit}/versions/`: a unit's versions, greatest first; with
/// `detail=true` what the server knows of each.
pub(super) async fn versions(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let permit =
        authz::authorize(&app, &caller, "inventory:unit:read", target::unit(&place)).await?;
    let unit = inventory::unit(&app, &permit, &place).await?;
    if wants_detail(query.as_deref())? {
        return listing(b"[".to_vec(), details_of(app, permit, place), b"]\n".to_vec()).await;
    }
    let whole = listing(b"[".to_vec(), versions_of(app, permit, place), b"]\n".to_vec());
    unless_known(&headers, &unit.etag, whole).await
}

/// `GET …/units/{unit}/next-version?prefix=`: the version to take next. Always
/// plain text, whatever the prefix looks like, and never a 404.
pub(super) async fn next_version(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let prefix = lenient_parameter(query.as_deref(), "prefix").unwrap_or_default();
    let place = UnitPlace::parse(&namespace, &unit);
    let asked = match &place {
        Ok(place) => target::unit(place),
        Err(_) => target::named_unit(&namespace, &unit),
    };
    let permit = authz::authorize(&app, &caller, "inventory:version:next", asked).await?;
    // A unit that has no proper name has no versions.
    let Ok(place) = place else { return Ok(plain(format!("{prefix}0"))) };
    Ok(plain(inventory::next_version(&app, &permit, &place, &prefix).await?))
}

/// The pages of a unit's versions.
pub(super) fn versions_of(
    app: Arc<App>,
    permit: Permit,
    place: UnitPlace,
) -> impl Fn(Option<Vec<u8>>) -> BoxFuture<'static, Result<Rows<Vec<u8>>>> {
    move |at| {
        let (app, permit, place) = (app.clone(), permit.clone(), place.clone());
        Box::pin(async move {
            let page = inventory::versions(&app, &permit, place, at).await?;
            Ok(Rows::new(page.versions.iter().map(|it| wire::json(&it.as_str())), page.next))
        })
    }
}

fn details_of(
    app: Arc<App>,
    permit: Permit,
    place: UnitPlace,
) -> impl Fn(Option<Vec<u8>>) -> BoxFuture<'static, Result<Rows<Vec<u8>>>> {
    move |at| {
        let (app, permit, place) = (app.clone(), permit.clone(), place.clone());
        Box::pin(async move {
            let (page, next) = inventory::version_details(&app, &permit, place, at).await?;
            Ok(Rows::new(page.iter().map(wire::json), next))
        })
    }
}

fn wants_detail(query: Option<&str>) -> Result<bool> {
    match parameter(query, "detail").as_deref() {
        Some("true" | "1") => Ok(true),
        None | Some("" | "false" | "0") => Ok(false),
        Some(other) => {
            let message = format!("`detail` must be `true` or `false`, not `{other}`");
            Err(Error::invalid("detail", message))
        }
    }
}

fn plain(body: String) -> axum::response::Response {
    let mut answer = text(StatusCode::OK, body);
    let nosniff = axum::http::HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(axum::http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}
