//! Endpoints for packages.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::IntoResponse,
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
    error::Error,
    release::{
        delete_package, install,
        model::{InstallProperties, InstallRequest, stated},
        package::TEXT_CHARS_MAX,
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
    let held = room.read(request, "package", limit_bytes).await?;
    let bytes = held.bytes.clone();
    let parsing = tokio::task::spawn_blocking(move || body::parse::<UploadBody>(&bytes));
    let body = parsing.await.map_err(|it| Failure::internal(it.to_string()))??;

    let target = package(&body)?;
    let permit = authz::authorize(&app, &caller, "package:upload", target).await?;
    let request = UploadRequest {
        name: body.name,
        repo_name: body.repo_name,
        version: body.version,
        extension: body.extension,
        package_file: body.package_file_as_bytes,
    };
    let metadata = upload::upload(&app, permit, request).await.map_err(Failure::of_arguments)?;
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
    let target = release(&request)?;
    let permit = authz::authorize(&app, &caller, "release:install", target).await?;
    let release = install::install(&app, permit, request).await?;
    view.item(StatusCode::CREATED, &release, &[links::STATUS])
}

/// `POST /api/package/install/{id}`: the same with the package of that id.
pub(super) async fn install_by_id(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Answer {
    let Path(id) = id.map_err(|it| Failure::path(it.body_text()))?;
    let id: i64 = id.trim().parse().map_err(|_| {
        Failure::path(format!("the id of a package is a whole number, and `{id}` is not"))
    })?;
    // No package has an id below 1.
    let id = u64::try_from(id)
        .map_err(|_| Error::Conflict(format!("Package with id='{id}' can not be found.")))?;
    let bytes = body::read(request, "body", app.config.limits.json_bytes_max).await?;
    let properties: InstallProperties = body::parse(&bytes)?;
    let package_identifier = install::identifier_of(&app, id).await?;
    let install_properties = Some(properties.clone());
    let target = release(&InstallRequest { package_identifier, install_properties })?;
    let permit = authz::authorize(&app, &caller, "release:install", target).await?;
    let release = install::install_by_id(&app, permit, id, properties).await?;
    view.item(StatusCode::CREATED, &release, &[links::STATUS])
}

/// `DELETE /api/package/{name}`: deletes all versions of a package.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Result<Path<String>, PathRejection>,
) -> Answer {
    let Path(name) = name.map_err(|it| Failure::path(it.body_text()))?;
    short("name", Some(&name))?;
    let target = Target {
        kind: "package".to_owned(),
        namespace: String::new(),
        name: name.clone(),
        version: None,
        labels: Vec::new(),
    };
    let permit = authz::authorize(&app, &caller, "package:delete", target).await?;
    delete_package::delete_package(&app, permit, &name).await?;
    Ok(StatusCode::OK.into_response())
}

/// The release that is asked for, named as it will be: the policy judges what is
/// done, not how it is spelt.
fn release(request: &InstallRequest) -> Result<Target, Failure> {
    let package = request.package_identifier.clone().unwrap_or_default();
    let install = request.install_properties.clone().unwrap_or_default();
    let name = named("releaseName", install.release_name.as_deref())?;
    let labels = [
        ("package", named("packageName", package.package_name.as_deref())?),
        ("package-version", named("packageVersion", package.package_version.as_deref())?),
        ("platform", named("platformName", install.platform_name.as_deref())?),
    ];
    let label = |(key, value): (&str, Option<String>)| {
        value.map(|value| Label { key: key.to_owned(), value })
    };
    Ok(Target {
        kind: "release".to_owned(),
        namespace: String::new(),
        name: name.unwrap_or_default(),
        version: None,
        labels: labels.into_iter().filter_map(label).collect(),
    })
}

fn package(body: &UploadBody) -> Result<Target, Failure> {
    // Not trimmed: the upload takes the repository's name as it is, too.
    short("repoName", body.repo_name.as_deref())?;
    let repository = body.repo_name.clone().unwrap_or_default();
    Ok(Target {
        kind: "package".to_owned(),
        namespace: String::new(),
        name: named("name", body.name.as_deref())?.unwrap_or_default(),
        version: named("version", body.version.as_deref())?,
        labels: vec![Label { key: "repository".to_owned(), value: repository }],
    })
}

pub(super) fn named(field: &str, value: Option<&str>) -> Result<Option<String>, Failure> {
    short(field, value)?;
    Ok(stated(value))
}

/// What goes into the question to the policy and into the audit is short.
pub(super) fn short(field: &str, value: Option<&str>) -> Result<(), Failure> {
    match value.is_some_and(|it| it.chars().nth(TEXT_CHARS_MAX).is_some()) {
        true => Err(Error::Conflict(format!(
            "`{field}` may have {TEXT_CHARS_MAX} characters, and has more"
        ))
        .into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_policy_is_asked_about_the_names_that_will_be_used() {
        let request = json!({
            "packageIdentifier": { "packageName": " log", "packageVersion": " " },
            "installProperties": { "releaseName": " prod ", "platformName": "default\n" },
        });
        let target = release(&serde_json::from_value(request).unwrap()).unwrap();
        assert_eq!(target.name, "prod");
        let labels: Vec<_> =
            target.labels.iter().map(|it| (it.key.as_str(), it.value.as_str())).collect();
        assert_eq!(labels, [("package", "log"), ("platform", "default")]);
    }

    #[test]
    fn a_long_name_is_refused_before_the_policy_is_asked() {
        let long = "ä".repeat(TEXT_CHARS_MAX + 1);
        let message = |it: Result<Target, Failure>| format!("{:?}", it.unwrap_err());
        for field in ["packageName", "packageVersion"] {
            let request = json!({ "packageIdentifier": { field: long } });
            let refused = message(release(&serde_json::from_value(request).unwrap()));
            assert!(refused.contains(field), "{refused}");
        }
        for field in ["releaseName", "platformName"] {
            let request = json!({ "installProperties": { field: long } });
            let refused = message(release(&serde_json::from_value(request).unwrap()));
            assert!(refused.contains(field), "{refused}");
        }
        for field in ["name", "version", "repoName"] {
            let refused =
                message(package(&serde_json::from_value(json!({ field: long })).unwrap()));
            assert!(refused.contains(field), "{refused}");
        }
        let fits = json!({ "name": "ä".repeat(TEXT_CHARS_MAX) });
        assert!(package(&serde_json::from_value(fits).unwrap()).is_ok());
    }
}
