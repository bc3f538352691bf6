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
    release::upload::{self, UploadRequest},
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

    let target = target(&body);
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

fn target(body: &UploadBody) -> Target {
    let repository = body.repo_name.clone().unwrap_or_default();
    Target {
        kind: "package".to_owned(),
        namespace: String::new(),
        name: body.name.as_deref().unwrap_or_default().trim().to_owned(),
        version: body.version.as_deref().map(|it| it.trim().to_owned()),
        labels: vec![Label { key: "repository".to_owned(), value: repository }],
    }
}
