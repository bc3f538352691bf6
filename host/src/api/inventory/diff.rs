//! Endpoints for how a release came to be what it is: the one before it, and what
//! changed since.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
};

use super::{
    answer::{Answer, json},
    target,
    versions::permitted,
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    inventory::{self, UnitPlace, Version, wire},
};

const READ: &str = "inventory:version:read";

/// `GET …/versions/{version}/previous/`: the metadata of the greatest version below.
pub(super) async fn previous(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let (permit, version) = permitted(&app, &caller, READ, &place, &asked).await?;
    let (permit, version) = before(&app, &permit, &place, &version).await?;
    Ok(json(inventory::metadata(&app, &permit, &place, &version).await?))
}

/// `GET …/versions/{version}/diff/`: what changed since the greatest version below.
pub(super) async fn diff_with_previous(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let new = permitted(&app, &caller, READ, &place, &asked).await?;
    let old = before(&app, &new.0, &place, &new.1).await?;
    differences(&app, &place, &old, &new).await
}

/// `GET …/versions/{version}/diff/{old}/`: what changed from `old` to `version`.
pub(super) async fn diff(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked, old)): Path<(String, String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let new = permitted(&app, &caller, READ, &place, &asked).await?;
    let old = permitted(&app, &caller, READ, &place, &old).await?;
    differences(&app, &place, &old, &new).await
}

/// The version before a version, for whom may read that, too.
async fn before(
    app: &App,
    permit: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Answer<(Permit, Version)> {
    let below = inventory::previous(app, permit, place, version).await?;
    let target = target::version(place, below.as_str());
    let permit = authz::authorize(app, &permit.caller, READ, target).await?;
    Ok((permit, below))
}

async fn differences(
    app: &App,
    place: &UnitPlace,
    old: &(Permit, Version),
    new: &(Permit, Version),
) -> Answer {
    let diff = inventory::diff(app, [&old.0, &new.0], place, &old.1, &new.1).await?;
    Ok(json(wire::json_line(&diff)))
}
