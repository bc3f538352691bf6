//! Endpoints for package repositories: how they are doing, and, for other servers,
//! those kept here as an index and zips. The address of a repository for another
//! server is `/api/v1/repositories/{name}`.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};

use super::{
    answer::{Answer, Failure},
    query::Query,
    releases::{Part, json},
};
use crate::{
    api::{
        inventory::{has_already, head_of_bytes, typed_answer},
        openapi::{self, list_of, typed},
        routes::{Route, get, post},
    },
    app::App,
    authz::{self, Caller, Label, Permit, Target},
    error::{Error, Result},
    release::repositories::{self, Refresh, Shown},
};

/// Where they begin.
pub(super) const BASE: &str = "/api/v1/repositories";

/// The routes.
pub(super) fn routes() -> [Route; 5] {
    let if_none_match = ("If-None-Match", "Sends nothing where the `ETag` is still one of these.");
    [
        get("listPackageRepositories", "/", list)
            .says("The repositories that packages come from, by id, and how they are doing")
            .gives(200, list_of::<Shown>())
            .refuses([400]),
        get("showPackageRepository", "/{repository}", show)
            .says("A repository, and how the last reading of its index went")
            .gives(200, openapi::json::<Shown>())
            .refuses([400, 404]),
        post("refreshPackageRepository", "/{repository}/refresh", refresh)
            .says("Reads the index of a remote repository now")
            .gives(200, openapi::json::<Refresh>())
            .refuses([400, 404, 409]),
        get("packageRepositoryIndex", "/{repository}/index.yml", index)
            .says("The packages of a local repository, as other servers read them")
            .header(if_none_match.0, if_none_match.1)
            .gives(200, typed("application/yaml"))
            .refuses([404]),
        get("packageZip", "/{repository}/{package}/{file}", zip)
            .says("The zip of a package of a local repository: `{package}-{version}.zip`")
            .header(if_none_match.0, if_none_match.1)
            .header("Range", "One range of bytes; several are answered with the whole.")
            .gives(200, typed("application/zip"))
            .gives(206, typed("application/zip"))
            .refuses([404, 416]),
    ]
}

/// `GET /api/v1/repositories/`: all of them.
async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    Query::none(query.as_deref())?;
    let permit = may(&app, &caller, "repository:read", "").await?;
    json(&repositories::shown(&app, &permit).await?)
}

/// `GET /api/v1/repositories/{repository}`: one.
async fn show(
    State(app): State<Arc<App>>,
    name: Part,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    Query::none(query.as_deref())?;
    let Path(name) = name.map_err(unread)?;
    let permit = may(&app, &caller, "repository:read", &name).await?;
    json(&repositories::repository(&app, &permit, &name).await?)
}

/// `POST /api/v1/repositories/{repository}/refresh`: reads its index now.
async fn refresh(
    State(app): State<Arc<App>>,
    name: Part,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    Query::none(query.as_deref())?;
    let Path(name) = name.map_err(unread)?;
    let permit = may(&app, &caller, "repository:refresh", &name).await?;
    json(&repositories::refresh(&app, permit, &name).await?)
}

/// `GET /api/v1/repositories/{repository}/index.yml`: its packages.
async fn index(
    State(app): State<Arc<App>>,
    name: Part,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let Path(name) = name.map_err(unread)?;
    let target = of_repository(&name, "", None);
    let permit = authz::authorize(&app, &caller, "package:list", target).await?;
    let etag = repositories::index_tag(&app, &permit, &name).await?;
    let mut answer = match has_already(&headers, &etag) {
        true => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        }
        false if method == Method::HEAD => typed_answer("application/yaml", Body::empty()),
        false => {
            let pages = repositories::index_pages(app, &permit, name);
            typed_answer("application/yaml", Body::from_stream(pages))
        }
    };
    let etag = HeaderValue::from_str(&etag).map_err(|it| Error::Internal(it.to_string()))?;
    answer.headers_mut().insert(header::ETAG, etag);
    Ok(answer)
}

/// `GET /api/v1/repositories/{repository}/{package}/{package}-{version}.zip`: its bytes.
async fn zip(
    State(app): State<Arc<App>>,
    parts: std::result::Result<Path<(String, String, String)>, PathRejection>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let Path((repository, package, file)) = parts.map_err(unread)?;
    let version = file.strip_prefix(&package).and_then(|it| it.strip_prefix('-'));
    let version = version.and_then(|it| it.strip_suffix(".zip"));
    let version = version.ok_or_else(|| Error::not_found("package", &file))?;
    let target = of_repository(&repository, &package, Some(version.to_owned()));
    let permit = authz::authorize(&app, &caller, "package:read", target).await?;
    let row = repositories::zip(&app, &permit, &repository, &package, version).await?;
    let etag = format!("\"{}\"", row.blob_sha256);
    let (mut answer, range) = head_of_bytes(&headers, "application/zip", &etag, row.size_bytes)?;
    if let Some(range) = range
        && method != Method::HEAD
    {
        let bytes = repositories::bytes(&app, &permit, &row, range).await?;
        *answer.body_mut() = Body::from_stream(bytes);
    }
    Ok(answer)
}

fn unread(rejection: PathRejection) -> Failure {
    Failure::invalid("repository", rejection.body_text())
}

async fn may(app: &App, caller: &Arc<Caller>, action: &'static str, name: &str) -> Result<Permit> {
    let target = Target {
        kind: "repository".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        version: None,
        labels: Vec::new(),
    };
    authz::authorize(app, caller, action, target).await
}

fn of_repository(repository: &str, package: &str, version: Option<String>) -> Target {
    Target {
        kind: "package".to_owned(),
        namespace: String::new(),
        name: package.to_owned(),
        version,
        labels: vec![Label { key: "repository".to_owned(), value: repository.to_owned() }],
    }
}
