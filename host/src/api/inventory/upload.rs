//! The endpoint that takes a release's bytes in.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use futures::stream;

use super::{answer::Answer, conditions, multipart::Multipart, target};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    error::Result,
    inventory::{self, Expected, UnitPlace, Version},
    release::repositories,
};

/// What may stand beside the file in the body.
const FIELDS_BYTES_MAX: u64 = 1 << 20;
/// How much of a body is read that will not be kept. A client that is cut off while
/// it sends may never see the answer.
const UNWANTED_BYTES_MAX: u64 = 64 << 20;

/// `POST …/versions/{version}/upload`: takes a release's bytes in, once.
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    Path((namespace, unit, segment)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let mut body = Multipart::new(&headers, body)?;
    let place = UnitPlace::parse(&namespace, &unit)?;
    let version = inventory::upload_version(&namespace, &place.unit, &segment);
    let named = version.as_ref().map_or(&*segment, Version::as_str);
    let target = target::version(&place, named);
    let permit = authz::authorize(&app, &caller, "inventory:version:upload", target).await?;

    let expected = conditions::expected(&headers);
    let version = match awaited(&app, &permit, &place, version, &expected).await {
        Ok(version) => version,
        Err(refusal) => {
            body.find_file(FIELDS_BYTES_MAX).await?;
            // Its own failures do not matter any more.
            let _ = body.finish(UNWANTED_BYTES_MAX).await;
            return Err(refusal.into());
        }
    };
    body.find_file(FIELDS_BYTES_MAX).await?;
    let file = stream::try_unfold(&mut body, |body| async {
        Ok(body.chunk().await?.map(|chunk| (chunk, body)))
    });
    let stored = inventory::take_in(&app, &permit, file).await?;
    body.finish(FIELDS_BYTES_MAX).await?;
    inventory::upload(&app, &permit, place.clone(), version.clone(), stored, expected).await?;
    repositories::notice(&app, place, version);
    Ok(StatusCode::OK)
}

async fn awaited(
    app: &App,
    permit: &Permit,
    place: &UnitPlace,
    version: Result<Version>,
    expected: &Expected,
) -> Result<Version> {
    let version = version?;
    inventory::expect_package(app, permit, place, &version, expected).await?;
    Ok(version)
}
