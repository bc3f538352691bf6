//! The Spring Cloud Skipper API: packages and what runs of them.

mod about;
mod answer;
mod body;
mod links;
mod packages;

use std::sync::Arc;

use axum::{
    Extension, Router, middleware,
    routing::{get, post},
};

pub(super) use self::answer::failure;
use self::body::Room;
use crate::app::App;

/// The routes of this family.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/about", get(about::about))
        .route("/api/package/upload", post(packages::upload))
        .layer(Extension(Arc::new(Room::default())))
        .layer(middleware::from_fn(answer::tell))
}
