//! `/actuator`: what those who look after a Spring application ask it.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use serde_json::json;

use super::{
    answer::Answer,
    links::{self, Link, View},
};
use crate::{
    api::inventory::server_target,
    app::App,
    authz::{self, Caller},
};

const LINKS: [Link; 3] =
    [Link("self", "/actuator"), Link("health", "/actuator/health"), Link("info", "/actuator/info")];

/// `GET /actuator`: what can be asked.
pub(super) async fn index(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    authz::authorize(&app, &caller, "server:read", server_target()).await?;
    view.item(StatusCode::OK, &json!({}), &LINKS)
}

/// `GET /actuator/health`: fit for work or not.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let is_up = app.readiness().await.iter().all(|it| it.failure.is_none());
    let (status, word) = match is_up {
        true => (StatusCode::OK, "UP"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "DOWN"),
    };
    links::answer(status, links::JSON, &json!({ "status": word }))
}

/// `GET /actuator/info`: what this is.
pub(super) async fn info(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    authz::authorize(&app, &caller, "server:read", server_target()).await?;
    let app = json!({ "name": super::about::SERVER, "version": env!("CARGO_PKG_VERSION") });
    Ok(links::answer(StatusCode::OK, links::JSON, &json!({ "app": app })))
}
