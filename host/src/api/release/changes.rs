//! Endpoints that change what runs of a release.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    answer::{Answer, Failure},
    body,
    links::{self, View},
    packages::{named, short},
    releases::{Part, name_of, target},
};
use crate::{
    app::App,
    authz::{self, Caller, Label, Target},
    release::{
        cancel,
        model::{
            CancelRequest, CancelResponse, RollbackRequest, ScaleRequest, UpgradeRequest, stated,
        },
        rollback, scale, upgrade,
    },
};

/// What a rollback's path names.
#[derive(Deserialize)]
pub(super) struct Earlier {
    name: String,
    version: String,
}

/// `POST /api/release/upgrade`: puts another version in the place of a release.
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    request: Request,
) -> Answer {
    let request: UpgradeRequest = read(&app, request).await?;
    let package = request.package_identifier.clone().unwrap_or_default();
    let properties = request.upgrade_properties.clone().unwrap_or_default();
    let labels = [
        ("package", named("packageName", package.package_name.as_deref())?),
        ("package-version", named("packageVersion", package.package_version.as_deref())?),
    ];
    let target = labelled("releaseName", properties.release_name.as_deref(), labels)?;
    let permit = authz::authorize(&app, &caller, "release:upgrade", target).await?;
    let release = upgrade::upgrade(&app, permit, request).await?;
    view.item(StatusCode::CREATED, &release, &[links::STATUS])
}

/// `POST /api/release/rollback`: brings an earlier version back.
pub(super) async fn rollback(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    request: Request,
) -> Answer {
    let request: RollbackRequest = read(&app, request).await?;
    rolled_back(app, caller, view, request).await
}

/// `POST /api/release/rollback/{name}/{version}`: the same, without a body.
pub(super) async fn rollback_to(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    named: Part<Earlier>,
) -> Answer {
    let Path(Earlier { name, version }) = named.map_err(|it| Failure::path(it.body_text()))?;
    let name = name_of(Ok(Path(name)))?;
    let Ok(number) = version.parse::<i32>() else {
        return Err(Failure::path(format!(
            "the version of a release is a whole number, and `{version}` is not"
        )));
    };
    let request =
        RollbackRequest { release_name: Some(name), version: Some(number.into()), timeout: None };
    rolled_back(app, caller, view, request).await
}

async fn rolled_back(
    app: Arc<App>,
    caller: Arc<Caller>,
    view: View,
    request: RollbackRequest,
) -> Answer {
    let to = request.version.map(|it| it.to_string());
    let target = labelled("releaseName", request.release_name.as_deref(), [("to-version", to)])?;
    let permit = authz::authorize(&app, &caller, "release:rollback", target).await?;
    let release = rollback::rollback(&app, permit, request).await?;
    view.item(StatusCode::CREATED, &release, &[links::STATUS])
}

/// `POST /api/release/scale/{name}`: changes how many instances run.
pub(super) async fn scale(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    name: Part<String>,
    request: Request,
) -> Answer {
    let name = name_of(name)?;
    let request: ScaleRequest = read(&app, request).await?;
    let permit = authz::authorize(&app, &caller, "release:scale", target(&name, None)).await?;
    let release = scale::scale(&app, permit, &name, request).await?;
    view.item(StatusCode::CREATED, &release, &[links::STATUS])
}

/// `POST /api/release/cancel`: cancels what waits to be healthy. Without links, as in the
/// original.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    request: Request,
) -> Answer {
    let request: CancelRequest = read(&app, request).await?;
    short("releaseName", request.release_name.as_deref())?;
    // A name that no release can have is one that nobody has: nothing waits there.
    let name = stated(request.release_name.as_deref())
        .filter(|it| !it.chars().any(char::is_control))
        .unwrap_or_default();
    let target = target(&name, None);
    let permit = authz::authorize(&app, &caller, "release:cancel", target).await?;
    let accepted = cancel::cancel(&app, permit, &name).await?;
    let body = serde_json::to_value(CancelResponse { accepted })
        .map_err(|it| Failure::internal(it.to_string()))?;
    Ok(links::answer(StatusCode::OK, links::JSON, &body))
}

async fn read<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, Failure> {
    body::parse(&body::read(request, "body", app.config.limits.json_bytes_max).await?)
}

/// The release of that name, with what is to become of it.
fn labelled<const N: usize>(
    field: &str,
    name: Option<&str>,
    labels: [(&str, Option<String>); N],
) -> Result<Target, Failure> {
    short(field, name)?;
    let name = stated(name).unwrap_or_default();
    if name.chars().any(char::is_control) {
        return Err(Failure::no_release(&name, None));
    }
    let label = |(key, value): (&str, Option<String>)| {
        value.map(|value| Label { key: key.to_owned(), value })
    };
    Ok(Target { labels: labels.into_iter().filter_map(label).collect(), ..target(&name, None) })
}
