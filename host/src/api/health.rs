//! Is the server alive, and is it fit for work?

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::app::App;

/// `GET /health`: alive. Says nothing more, as the Inventory's clients expect.
pub(super) async fn health() {}

/// `GET /ready`: fit for work, check by check; 503 where one fails.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let checks = app.readiness().await;
    let ready = checks.iter().all(|it| it.failure.is_none());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let checks: serde_json::Map<_, _> = checks
        .iter()
        .map(|it| {
            let state = it.failure.as_deref().unwrap_or("ok");
            (it.name.to_owned(), json!(state))
        })
        .collect();
    (status, Json(json!({ "ready": ready, "checks": checks }))).into_response()
}
