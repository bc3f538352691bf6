//! Endpoints that pass a request on to an application.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Failure},
    body,
    links::JSON,
    releases::{Part, name_of, target},
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    plugins::types::HttpResponse,
    release::actuator::{self, Wanted},
};

/// What a path names: an instance of an application of a release.
#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
    app: String,
    id: String,
}

/// What is to be posted.
#[derive(Deserialize)]
struct Posted {
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    body: Map<String, Value>,
}

/// `GET /api/release/actuator/{name}/{app}/{id}?endpoint=health`: what it says there.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    named: Part<Named>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let (named, permit) = permitted(&app, &caller, named).await?;
    let query = query.unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let endpoint = pairs.find(|(key, _)| key == "endpoint").map(|(_, it)| it.into_owned());
    let wanted = wanted(&app, named, endpoint, &headers)?;
    let response = actuator::read(&app, &permit, wanted).await;
    Ok(passed_on(response.map_err(Failure::of_arguments)?))
}

/// `POST /api/release/actuator/{name}/{app}/{id}`: posts to an endpoint.
pub(super) async fn write(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    named: Part<Named>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let bytes = body::read(request, "body", app.config.limits.json_bytes_max).await?;
    let Posted { endpoint, body } = body::parse(&bytes)?;
    let (named, permit) = permitted(&app, &caller, named).await?;
    let wanted = wanted(&app, named, endpoint, &headers)?;
    let response = actuator::write(&app, &permit, wanted, Value::Object(body)).await;
    Ok(passed_on(response.map_err(Failure::of_arguments)?))
}

async fn permitted(
    app: &App,
    caller: &Arc<Caller>,
    named: Part<Named>,
) -> Result<(Named, Permit), Failure> {
    let Path(named) = named.map_err(|it| Failure::path(it.body_text()))?;
    let name = name_of(Ok(Path(named.name.clone())))?;
    let permit = authz::authorize(app, caller, "release:actuate", target(&name, None)).await?;
    Ok((named, permit))
}

/// With a password of this server's own, `Authorization` is for us, and no
/// application's to see.
fn wanted(
    app: &App,
    named: Named,
    endpoint: Option<String>,
    headers: &HeaderMap,
) -> Result<Wanted, Failure> {
    let authorization = headers.get(header::AUTHORIZATION).filter(|_| app.login.is_none());
    let authorization = authorization.and_then(|it| it.to_str().ok());
    Ok(Wanted {
        release: named.name,
        app: named.app,
        instance: named.id,
        endpoint: endpoint.ok_or_else(|| Failure::missing("endpoint"))?,
        authorization: authorization.map(str::to_owned),
    })
}

/// JSON as JSON, and all else as plain text: what an application says must not become
/// a page of ours.
fn passed_on(response: HttpResponse) -> Response {
    let kind = response.headers.iter().find(|it| it.key == "content-type");
    let kind = kind.map_or("", |it| it.value.as_str());
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json =
        kind.starts_with("application/") && (kind.ends_with("/json") || kind.ends_with("+json"));
    let kind = if is_json { JSON } else { "text/plain;charset=UTF-8" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, Body::from(response.body)).into_response()
}
