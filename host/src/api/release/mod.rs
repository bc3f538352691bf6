//! The Spring Cloud Skipper API: packages and what runs of them.

mod about;
mod answer;
mod body;
mod links;
mod packages;
mod releases;

use std::sync::Arc;

use axum::{
    Extension, Router, middleware,
    routing::{delete, get, post},
};

pub(super) use self::answer::failure;
use self::body::Room;
use crate::app::App;

/// The routes of this family.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/about", get(about::about))
        .route("/api/package/upload", post(packages::upload))
        .route("/api/package/install", post(packages::install))
        .route("/api/release/list", get(releases::list))
        .route("/api/release/list/{name}", get(releases::list_by_name))
        .route("/api/release/status/{name}", get(releases::status))
        .route("/api/release/status/{name}/{version}", get(releases::status_of_version))
        .route("/api/release/manifest/{name}", get(releases::manifest))
        .route("/api/release/manifest/{name}/{version}", get(releases::manifest_of_version))
        .route("/api/release/{name}", delete(releases::delete))
        .layer(Extension(Arc::new(Room::default())))
        .layer(middleware::from_fn(answer::tell))
}
