//! Where clients begin: what there is, as links.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use futures::stream;
use serde_json::json;

use super::{
    answer::{Answer, Failure},
    links::{Link, Object, View, by_rel},
};
use crate::{
    api::inventory::server_target,
    app::App,
    authz::{self, Caller},
};

/// What there is below `/api`, in the original's order.
const API: [Link; 13] = [
    Link("jpaRepositoryStates", "/api/jpaRepositoryStates"),
    Link("releases", "/api/releases{?page,size,sort}"),
    Link("jpaRepositoryGuards", "/api/jpaRepositoryGuards"),
    Link("packageMetadata", "/api/packageMetadata{?page,size,sort,projection}"),
    Link("jpaRepositoryActions", "/api/jpaRepositoryActions"),
    Link("jpaRepositoryTransitions", "/api/jpaRepositoryTransitions"),
    Link("repositories", "/api/repositories{?page,size,sort}"),
    Link("jpaRepositoryStateMachines", "/api/jpaRepositoryStateMachines"),
    Link("deployers", "/api/deployers{?page,size,sort}"),
    Link("about", "/api/about"),
    Link("release", "/api/release"),
    Link("package", "/api/package"),
    Link("profile", "/api/profile"),
];

/// What can be done with releases. The version in the link to roll back is the
/// original's, too.
const RELEASE: [Link; 11] = [
    Link("status/name", "/api/release/status/{name}"),
    Link("status/name/version", "/api/release/status/{name}/{version}"),
    Link("manifest", "/api/release/manifest/{name}"),
    Link("manifest/name/version", "/api/release/manifest/{name}/{version}"),
    Link("upgrade", "/api/release/upgrade"),
    Link("rollback", "/api/release/rollback/{name}/123"),
    Link("list", "/api/release/list"),
    Link("list/name", "/api/release/list/{name}"),
    Link("actuator/name/app/id", "/api/release/actuator/{name}/{app}/{id}{?endpoint}"),
    Link("actuator/name/app/id", "/api/release/actuator/{name}/{app}/{id}"),
    Link("logs/name", "/api/release/logs/{name}"),
];

/// What can be done with packages.
const PACKAGE: [Link; 3] = [
    Link("upload", "/api/package/upload"),
    Link("install", "/api/package/install"),
    Link("install/id", "/api/package/install/{id}"),
];

/// `GET /api`: what there is.
pub(super) async fn api(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    may_look(&app, &caller).await?;
    let links = API.iter().map(|Link(rel, path)| (*rel, view.href(path)));
    let mut body = Object::new();
    body.insert("_links".to_owned(), by_rel(links).into());
    Ok(view.resource(body))
}

/// `GET /api/release`: what can be done with releases.
pub(super) async fn release(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    may_look(&app, &caller).await?;
    view.item(StatusCode::OK, &json!({}), &RELEASE)
}

/// `GET /api/package`: what can be done with packages.
pub(super) async fn package(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    may_look(&app, &caller).await?;
    view.item(StatusCode::OK, &json!({}), &PACKAGE)
}

/// `GET /api/jpaRepository…`: what the original's state machines are made of. There are
/// none here.
pub(super) async fn nothing(
    app: Arc<App>,
    caller: Arc<Caller>,
    view: View,
    resource: &'static str,
) -> Answer {
    may_look(&app, &caller).await?;
    let path = view.href(&format!("/api/{resource}"));
    let mut tail = Object::new();
    tail.insert("_links".to_owned(), by_rel([("self", path)]).into());
    Ok::<Response, Failure>(view.list(resource, &[], stream::empty(), tail))
}

async fn may_look(app: &App, caller: &Arc<Caller>) -> Result<(), Failure> {
    authz::authorize(app, caller, "server:read", server_target()).await?;
    Ok(())
}
