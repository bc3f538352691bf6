//! Our own endpoints for what neither of the two APIs has: how a release really is,
//! and what changes while one watches.
//!
//! Failures are told as RFC 9457 has it (`answer`). Names are in the style of the
//! inventory, times are RFC 3339, and a path is its one spelling, without a final
//! slash.

mod answer;
mod events;
mod query;

use std::sync::Arc;

use axum::{Router, middleware};

pub(super) use self::answer::{Problem, problem};
use super::{
    openapi::typed,
    routes::{Routes, get},
};
use crate::app::App;

/// The routes of this family.
pub(super) fn routes() -> Routes {
    let events = [get("watchEvents", "", events::watch)
        .says("What changes, as server-sent events, as long as the client listens")
        .query("after", "Begins behind the event of that number; with 0 at the first that is kept.")
        .query("action", "Only this action, or those that begin with what is before a `*`; may be there more than once.")
        .query("namespace", "Only what lies in this namespace; may be there more than once.")
        .query("name", "Only things of this name; may be there more than once.")
        .header("Last-Event-ID", "Goes on behind that event; comes before `after`.")
        .gives(200, typed("text/event-stream"))
        .refuses([400, 410])
        .as_written()];
    Routes::default().group("Events", "/api/v1/events", events)
}

/// What all requests of this family go through.
pub(super) fn around(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.layer(middleware::from_fn(answer::tell))
}
