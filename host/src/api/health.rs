//! Is the server alive, and is it fit for work?

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// `ok`, or what is wrong, by what was looked at.
    checks: BTreeMap<&'static str, String>,
}

/// `GET /health`: alive. Says nothing more, as the Inventory's clients expect.
pub(super) async fn health() {}

/// `GET /ready`: fit for work, check by check; 503 where one fails.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let checks = app.readiness().await;
    let ready = checks.iter().all(|it| it.failure.is_none());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let checks = checks
        .into_iter()
        .map(|it| (it.name, it.failure.unwrap_or_else(|| "ok".to_owned())))
        .collect();
    (status, Json(Readiness { ready, checks })).into_response()
}
