//! Endpoints for releases.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use futures::stream;

use super::{
    answer::{Answer, Failure},
    links::{self, View},
};
use crate::{
    app::App,
    authz::{self, Caller, Permit, Target},
    error::Error,
    release::{delete, status},
};

/// A part of the path, or why it cannot be read.
type Part<T> = Result<Path<T>, PathRejection>;

/// `GET /api/release/status/{name}`: how the highest version is now.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    name: Part<String>,
) -> Answer {
    let name = name_of(name)?;
    let permit = may_read(&app, &caller, &name, None).await?;
    let info = status::status(&app, &permit, &name, None).await?;
    view.item(StatusCode::OK, &info, &[links::MANIFEST])
}

/// `GET /api/release/status/{name}/{version}`: how that version is now.
pub(super) async fn status_of_version(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    parts: Part<(String, String)>,
) -> Answer {
    let (name, version) = name_and_version(parts)?;
    let permit = may_read(&app, &caller, &name, Some(version)).await?;
    let info = status::status(&app, &permit, &name, Some(version)).await?;
    view.item(StatusCode::OK, &info, &[links::MANIFEST])
}

/// `GET /api/release/manifest/{name}`: the manifest of the highest version.
pub(super) async fn manifest(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    name: Part<String>,
) -> Answer {
    let name = name_of(name)?;
    let permit = may_read(&app, &caller, &name, None).await?;
    let release = status::release(&app, &permit, &name, None).await?;
    view.item(StatusCode::OK, &release.manifest, &[links::STATUS])
}

/// `GET /api/release/manifest/{name}/{version}`: the manifest of that version.
pub(super) async fn manifest_of_version(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    parts: Part<(String, String)>,
) -> Answer {
    let (name, version) = name_and_version(parts)?;
    let permit = may_read(&app, &caller, &name, Some(version)).await?;
    let release = status::release(&app, &permit, &name, Some(version)).await?;
    view.item(StatusCode::OK, &release.manifest, &[links::STATUS])
}

/// `GET /api/release/list`: every deployed or failed release.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    listed(app, &caller, view, String::new()).await
}

/// `GET /api/release/list/{name}`: those whose name contains that, in any case.
pub(super) async fn list_by_name(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    name: Part<String>,
) -> Answer {
    let Path(part) = name.map_err(|it| Failure::path(it.body_text()))?;
    listed(app, &caller, view, part).await
}

/// `DELETE /api/release/{name}`: takes a release off its platform.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    name: Part<String>,
) -> Answer {
    let name = name_of(name)?;
    let permit = authz::authorize(&app, &caller, "release:delete", target(&name, None)).await?;
    let release = delete::delete(&app, permit, &name).await?;
    view.item(StatusCode::OK, &release, &[links::STATUS])
}

async fn listed(app: Arc<App>, caller: &Arc<Caller>, view: View, part: String) -> Answer {
    let permit = authz::authorize(&app, caller, "release:list", target("", None)).await?;
    let (first, next) = status::list(&app, &permit, &part, None).await?;
    let more = stream::try_unfold((next, app, permit, part), |(next, app, permit, part)| async {
        let Some(after) = next else { return Ok(None) };
        let (page, next) = status::list(&app, &permit, &part, Some(after)).await?;
        Ok::<_, Error>(Some((page, (next, app, permit, part))))
    });
    view.releases(first, more)
}

async fn may_read(
    app: &App,
    caller: &Arc<Caller>,
    name: &str,
    version: Option<u32>,
) -> Result<Permit, Failure> {
    Ok(authz::authorize(app, caller, "release:read", target(name, version)).await?)
}

fn target(name: &str, version: Option<u32>) -> Target {
    Target {
        kind: "release".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        version: version.map(|it| it.to_string()),
        labels: Vec::new(),
    }
}

/// The name in a path. No release has a name that cannot be a key's part.
fn name_of(name: Part<String>) -> Result<String, Failure> {
    let Path(name) = name.map_err(|it| Failure::path(it.body_text()))?;
    match name.chars().any(char::is_control) {
        true => Err(Failure::no_release(&name, None)),
        false => Ok(name),
    }
}

fn name_and_version(parts: Part<(String, String)>) -> Result<(String, u32), Failure> {
    let Path((name, version)) = parts.map_err(|it| Failure::path(it.body_text()))?;
    let Ok(number) = version.parse::<i32>() else {
        return Err(Failure::path(format!(
            "the version of a release is a whole number, and `{version}` is not"
        )));
    };
    match u32::try_from(number) {
        Ok(number) if !name.chars().any(char::is_control) => Ok((name, number)),
        _ => Err(Failure::no_release(&name, Some(number.into()))),
    }
}
