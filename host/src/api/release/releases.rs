//! Endpoints for releases.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use futures::stream;
use serde::Deserialize;

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
pub(super) type Part<T> = Result<Path<T>, PathRejection>;

/// What a path names: a release, or a version of it.
#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
    version: Option<String>,
}

/// `GET /api/release/status/{name}`: how the highest version is now;
/// `GET /api/release/status/{name}/{version}`: how that version is now.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    named: Part<Named>,
) -> Answer {
    let (name, version) = name_and_version(named)?;
    let permit = may_read(&app, &caller, &name, version).await?;
    let info = status::status(&app, &permit, &name, version).await?;
    view.item(StatusCode::OK, &info, &[links::MANIFEST])
}

/// `GET /api/release/manifest/{name}`: the manifest of the highest version;
/// `GET /api/release/manifest/{name}/{version}`: the manifest of that version.
pub(super) async fn manifest(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    named: Part<Named>,
) -> Answer {
    let (name, version) = name_and_version(named)?;
    let permit = may_read(&app, &caller, &name, version).await?;
    let release = status::release(&app, &permit, &name, version).await?;
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
    let (name, permit) = may_delete(&app, &caller, name).await?;
    let release = delete::delete(&app, permit, &name).await?;
    view.item(StatusCode::OK, &release, &[links::STATUS])
}

/// `DELETE /api/release/{name}/package`: the same, and deletes the package that it was
/// made of, in all versions.
pub(super) async fn delete_with_package(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    name: Part<String>,
) -> Answer {
    let (name, permit) = may_delete(&app, &caller, name).await?;
    let package = delete::package_of(&app, &permit, &name).await?;
    let target = Target { kind: "package".to_owned(), ..target(&package, None) };
    let of_package = authz::authorize(&app, &caller, "package:delete", target).await?;
    let release = delete::delete_with_package(&app, permit, of_package, &name).await?;
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
    view.releases(&first, more)
}

async fn may_read(
    app: &App,
    caller: &Arc<Caller>,
    name: &str,
    version: Option<u32>,
) -> Result<Permit, Failure> {
    Ok(authz::authorize(app, caller, "release:read", target(name, version)).await?)
}

async fn may_delete(
    app: &App,
    caller: &Arc<Caller>,
    name: Part<String>,
) -> Result<(String, Permit), Failure> {
    let name = name_of(name)?;
    let permit = authz::authorize(app, caller, "release:delete", target(&name, None)).await?;
    Ok((name, permit))
}

pub(super) fn target(name: &str, version: Option<u32>) -> Target {
    Target {
        kind: "release".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        version: version.map(|it| it.to_string()),
        labels: Vec::new(),
    }
}

/// The name in a path. No release has a name that cannot be a key's part.
pub(super) fn name_of(name: Part<String>) -> Result<String, Failure> {
    let Path(name) = name.map_err(|it| Failure::path(it.body_text()))?;
    match is_key(&name) {
        true => Ok(name),
        false => Err(Failure::no_release(&name, None)),
    }
}

fn name_and_version(named: Part<Named>) -> Result<(String, Option<u32>), Failure> {
    let Path(Named { name, version }) = named.map_err(|it| Failure::path(it.body_text()))?;
    let Some(version) = version else { return Ok((name_of(Ok(Path(name)))?, None)) };
    let Ok(number) = version.parse::<i32>() else {
        return Err(Failure::path(format!(
            "the version of a release is a whole number, and `{version}` is not"
        )));
    };
    match u32::try_from(number) {
        Ok(number) if is_key(&name) => Ok((name, Some(number))),
        _ => Err(Failure::no_release(&name, Some(number.into()))),
    }
}

pub(super) fn is_key(name: &str) -> bool {
    !name.chars().any(char::is_control)
}
