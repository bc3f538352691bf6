//! The Escape Inventory API: units, their releases and the packages behind them.
//!
//! Both spellings of a path, with and without its final slash, are one route. Only
//! `…/{namespace}` has to end with a slash: without it, that place belongs to
//! verbs such as `search`.

mod answer;
mod body;
mod download;
mod listing;
mod multipart;
mod namespaces;
mod range;
mod root;
mod search;
mod target;
mod units;
mod upload;
mod versions;

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodRouter, get, post},
};

use crate::app::App;

type Handler = MethodRouter<Arc<App>>;

/// The routes of this family.
pub(crate) fn routes() -> Router<Arc<App>> {
    let router = Router::new()
        .route("/", get(root::root))
        .route("/api/v1/inventory/{namespace}/", get(namespaces::namespace))
        // With a final slash it is a namespace.
        .route("/api/v1/inventory/search", get(search::search).post(search::search_by_body));
    let both: &[(&str, Handler)] = &[
        ("", get(namespaces::namespaces)),
        ("/{namespace}/register", post(versions::register)),
        ("/{namespace}/units", get(units::units)),
        ("/{namespace}/units/{unit}", get(units::unit)),
        ("/{namespace}/units/{unit}/versions", get(units::versions)),
        ("/{namespace}/units/{unit}/next-version", get(units::next_version)),
        ("/{namespace}/units/{unit}/versions/{version}", get(versions::version)),
        ("/{namespace}/units/{unit}/versions/{version}/download", get(download::download)),
        ("/{namespace}/units/{unit}/versions/{version}/upload", post(upload::upload)),
    ];
    both.iter().fold(router, |router, (path, handler)| {
        let path = format!("/api/v1/inventory{path}");
        router.route(&format!("{path}/"), handler.clone()).route(&path, handler.clone())
    })
}
