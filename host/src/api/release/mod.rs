//! The Spring Cloud Skipper API: packages and what runs of them.

use std::sync::Arc;

use crate::app::App;

/// The routes of this family.
pub(crate) fn routes() -> axum::Router<Arc<App>> {
    axum::Router::new()
}
