//! Endpoints for packages.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::{
    answer::{Answer, Failure},
    body::{self, Room},
    links::{self, View},
};
use crate::{
    app::App,
    authz::{self, Caller, Label, Target},
    release::{
        install,
        model::InstallRequest,
        upload::{self, UploadRequest},
    },
};

/// What base64 and the names beside it add to a package.
const UPLOAD_EXTRA_BYTES: u64 = 64 << 10;

/// An upload as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UploadBody {
    name: Option<String>,
    repo_name: Option<String>,
    version: Option<String>,
    extension: Option<String>,
    #[serde(deserialize_with = "body::bytes")]
    package_file_as_bytes: Option<Bytes>,
}

impl Default for UploadBody {
    fn default() -> Self {
        UploadBody {
            name: None,
            repo_name: None,
            version: None,
            extension: Some("zip".to_owned()),
            package_file_as_bytes: None,
        }
    }
}

/// `POST /api/package/upload`: keeps a package.
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(room): Extension<Arc<Room>>,
    view: View,
    request: Request,
) -> Answer {
    let package_bytes_max = app.config.limits.package_bytes_max;
    let limit_bytes = package_bytes_max.div_ceil(3).saturating_mul(4) + UPLOAD_EXTRA_BYTES;
    // Held to the end: the package is in memory until it is kept.
    let _room = room.take(request.headers(), limit_bytes).await?;
    let bytes = body::read(request, "package", limit_bytes).await?;
    let parsing = tokio::task::spawn_blocking(move || body::parse::<UploadBody>(&bytes));
    let body = parsing.await.map_err(|it| Failure::internal(it.to_string()))??;

    let target = package(&body);
    let permit = authz::authorize(&app, &caller, "package:upload", target).await?;
    let request = UploadRequest {
        name: body.name,
        repo_name: body.repo_name,
        version: body.version,
        extension: body.extension,
        package_file: body.package_file_as_bytes,
    };
    let metadata = upload::upload(&app, permit, request).await.map_err(Failure::of_upload)?;
    view.item(StatusCode::CREATED, &metadata, &[links::INSTALL])
}

/// `POST /api/package/install`: puts a package on a platform.
pub(super) async fn install(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    request: Request,
) -> Answer {
    let bytes = body::read(request, "body", app.config.limits.json_bytes_max).await?;
    let request: InstallRequest = body::parse(&bytes)?;
    let target = release(&request);
    let permit = authz::authorize(&app, &caller, "release:install", target).await?;
    let release = install::install(&app, permit, request).await?;
    view.item(StatusCode::CREATED, &release, &[links::STATUS])
}

fn release(request: &InstallRequest) -> Target {
    let package = request.package_identifier.clone().unwrap_or_default();
    let install = request.install_properties.clone().unwrap_or_default();
    let label =
        |key: &str, value: Option<String>| value.map(|value| Label { key: key.to_owned(), value });
    let labels = [
        label("package", package.package_name),
        label("package-version", package.package_version),
        label("platform", install.platform_name),
    ];
    Target {
        kind: "release".to_owned(),
        namespace: String::new(),
        name: install.release_name.unwrap_or_default(),
        version: None,
        labels: labels.into_iter().flatten().collect(),
    }
}

fn package(body: &UploadBody) -> Target {
    let repository = body.repo_name.clone().unwrap_or_default();
    Target {
        kind: "package".to_owned(),
        namespace: String::new(),
        name: body.name.as_deref().unwrap_or_default().trim().to_owned(),
        version: body.version.as_deref().map(|it| it.trim().to_owned()),
        labels: vec![Label { key: "repository".to_owned(), value: repository }],
    }
}
