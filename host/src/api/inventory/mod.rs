//! The Escape Inventory API: units, their releases and the packages behind them.

use std::sync::Arc;

use crate::app::App;

/// The routes of this family.
pub(crate) fn routes() -> axum::Router<Arc<App>> {
    axum::Router::new()
}
