//! Endpoints for tags.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};

use super::{
    answer::Answer,
    body,
    conditions::{expected, unless_known},
    listing::{Rows, listing, member},
    target,
};
use crate::{
    app::App,
    authz::{self, Caller},
    inventory::{self, Tag, UnitPlace, Version},
};

/// `POST …/units/{unit}/tags/`: makes a tag point to a release of the unit.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let body = body::read(body, app.config.limits.json_bytes_max).await?;
    let tagging = inventory::read_tagging(&body, &namespace, &unit)?;
    let place = UnitPlace::parse(&namespace, &unit)?;
    let found = inventory::resolve(&app, &place, tagging.query).await?;
    let asked = tagging.release_id.to_string();
    let named = found.as_ref().map_or(&*asked, Version::as_str);
    let target = target::tag(&place, Some(tagging.tag.as_str()), Some(named));
    let permit = authz::authorize(&app, &caller, "inventory:tag:set", target).await?;
    let version = found.ok_or_else(|| place.no_release(&asked))?;
    let expected = expected(&headers);
    inventory::set_tag(&app, &permit, place, tagging.tag, version, expected).await?;
    Ok(StatusCode::OK)
}

/// `GET …/units/{unit}/tags/`: a unit's tags, each with the version it points to.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path((namespace, unit)): Path<(String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let target = target::tag(&place, None, None);
    let permit = authz::authorize(&app, &caller, "inventory:tag:list", target).await?;
    let etag = inventory::tags_etag(&app, &permit, &place).await?;
    let page = move |after: Option<String>| {
        let (app, permit, place) = (app.clone(), permit.clone(), place.clone());
        async move {
            let page = inventory::tags(&app, &permit, place, after.unwrap_or_default()).await?;
            let next = page.last().filter(|_| page.len() == inventory::PAGE_ROWS);
            let next = next.map(|(tag, _)| tag.clone());
            Ok(Rows::new(page.iter().map(|(tag, version)| member(tag, &version.as_str())), next))
        }
    };
    unless_known(&headers, &etag, listing(b"{".to_vec(), page, b"}\n".to_vec())).await
}

/// `DELETE …/units/{unit}/tags/{tag}`: drops a tag.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path((namespace, unit, tag)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let target = target::tag(&place, Some(&tag), None);
    let permit = authz::authorize(&app, &caller, "inventory:tag:delete", target).await?;
    // What is no tag does not exist.
    let tag = Tag::parse(&tag).map_err(|_| inventory::no_tag(&place, &tag))?;
    inventory::delete_tag(&app, &permit, place, tag, expected(&headers)).await?;
    Ok(StatusCode::OK)
}
