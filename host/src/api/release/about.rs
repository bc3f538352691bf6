//! What this server is.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode};
use serde_json::json;

use super::{answer::Answer, links::View};
use crate::{
    app::App,
    authz::{self, Caller, Target},
};

/// What clients know the original's server by.
pub(super) const SERVER: &str = "Spring Cloud Skipper Server";

/// `GET /api/about`: the versions. Clients insist on a name and a version.
pub(super) async fn about(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    view: View,
) -> Answer {
    let target = Target {
        kind: "server".to_owned(),
        namespace: String::new(),
        name: String::new(),
        version: None,
        labels: Vec::new(),
    };
    authz::authorize(&app, &caller, "server:read", target).await?;
    let version = env!("CARGO_PKG_VERSION");
    let body = json!({
        "versionInfo": {
            "server": { "name": SERVER, "version": version },
            "shell": { "name": "Spring Cloud Skipper Shell", "version": version },
        },
    });
    view.item(StatusCode::OK, &body, &[])
}
