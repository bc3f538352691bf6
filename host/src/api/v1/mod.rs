//! Our own endpoints for what neither of the two APIs has: how a release really is,
//! what changes while one watches, and repositories of packages.
//!
//! Failures are told as RFC 9457 has it (`answer`). Names are in the style of the
//! inventory, times are RFC 3339, and a path is its one spelling, without a final
//! slash; only those of repositories are older, and take both.

mod answer;
mod bindings;
mod body;
mod events;
mod logs;
mod plan;
mod plugins;
mod query;
mod releases;
mod repositories;
mod stream;

use std::sync::Arc;

use axum::{Router, middleware};

pub(super) use self::answer::{Problem, problem};
use self::{
    bindings::{BindingPage, Grant, RevisionPage, Rollback},
    logs::Logs,
    plugins::PluginPage,
    releases::{HistoryPage, OverviewPage},
};
use super::{
    openapi::{either, json, nothing, text, typed},
    routes::{Route, Routes, delete, get, patch, post, put},
};
use crate::{
    app::App,
    extend,
    release::{
        overview::Overview,
        plan::{Order, Plan},
    },
    store::bindings::Spec,
};

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
    let releases = [
        get("readReleases", "", releases::list)
            .says("All releases, by name, a page at a time")
            .query("name", "Only those whose name contains that, in any case.")
            .query("platform", "Only those on that platform account.")
            .query("status", "Only those whose highest version has that status.")
            .query("limit", "Releases on a page, 1 to 100; 50 where it is absent.")
            .query("cursor", "The `next` of the page before.")
            .gives(200, json::<OverviewPage>())
            .refuses([400])
            .as_written(),
        get("readRelease", "/{name}", releases::read)
            .says("What runs of a release, what was last tried, and why it did not work")
            .gives(200, json::<Overview>())
            .refuses([400, 404])
            .as_written(),
        get("readReleaseHistory", "/{name}/history", releases::history)
            .says("The versions of a release and what was done to it, the newest first")
            .query("limit", "Entries on a page, 1 to 100; 50 where it is absent.")
            .query("cursor", "The `next` of the page before.")
            .gives(200, json::<HistoryPage>())
            .refuses([400, 404])
            .as_written(),
        get("readReleaseLogs", "/{name}/logs", logs::logs)
            .says("What the applications of a release have written last, and with `follow` what they write")
            .query("follow", "`true`: a stream of server-sent events, one for each line, as long as the client listens.")
            .query("tail", "How many of the last lines of each output of each instance, 0 to 10,000; 100 where it is absent.")
            .query("app", "Only of this application: its name, or its id on the platform; may be there more than once.")
            .query("instance", "Only of the instance of that id; plain text then has only the lines.")
            .query("after", "Goes on behind that `id` of a stream.")
            .header("Last-Event-ID", "The same; comes before `after`.")
            .gives(200, either(json::<Logs>(), [typed("text/event-stream"), text()]))
            .refuses([400, 404, 409])
            .as_written(),
        post("planRelease", "/{name}/plan", plan::plan)
            .says("What an install, an upgrade or a rollback would do; nothing is kept")
            .takes(json::<Order>())
            .gives(200, json::<Plan>())
            .refuses([400, 404, 409, 413])
            .as_written(),
        post("applyRelease", "/{name}/apply", plan::apply)
            .says("Installs, upgrades or rolls back, if it is still what was planned")
            .query("wait", "How long to wait where another operation holds the release: `30s`.")
            .header("If-Match", "The index of the plan: nothing is done where it has moved.")
            .takes(json::<Order>())
            .gives(200, json::<Overview>())
            .refuses([400, 404, 409, 412, 413])
            .as_written(),
    ];
    let plugins = [
        post("installPlugin", "", plugins::install)
            .says("Installs the component in the body as a version of a plugin; nothing is put to work")
            .query("name", "The plugin's name. Needed; the same as in the component's manifest.")
            .query("version", "Its version, as `1.2.0`. Needed; the same as in the manifest.")
            .query("sha256", "The digest that the component must have.")
            .takes(typed("application/wasm"))
            .gives(201, json::<extend::Version>())
            .gives(200, json::<extend::Version>())
            .refuses([400, 409, 413])
            .as_written(),
        get("readPlugins", "", plugins::list)
            .says("All versions of all plugins, by name, a page at a time")
            .query("limit", "Versions on a page, 1 to 100; 50 where it is absent.")
            .query("cursor", "The `next` of the page before.")
            .gives(200, json::<PluginPage>())
            .refuses([400])
            .as_written(),
        get("readPlugin", "/{name}", plugins::versions)
            .says("All versions of a plugin, the greatest first")
            .gives(200, json::<extend::Versions>())
            .refuses([400, 404])
            .as_written(),
        get("inspectPlugin", "/{name}/{version}", plugins::inspect)
            .says("A version of a plugin: what it wants, what it was granted, where it works and fails")
            .gives(200, json::<extend::Inspection>())
            .refuses([400, 404])
            .as_written(),
        delete("removePlugin", "/{name}/{version}", plugins::remove)
            .says("Removes a version of a plugin that nothing uses")
            .gives(204, nothing())
            .refuses([400, 404, 409])
            .as_written(),
    ];
    Routes::default()
        .group("Events", "/api/v1/events", events)
        .group("Releases as they are", "/api/v1/releases", releases)
        .group("Plugins", "/api/v1/plugins", plugins)
        .group("Repositories", repositories::BASE, repositories::routes())
        .group("Bindings", "/api/v1/bindings", bindings())
}

fn bindings() -> [Route; 8] {
    const IF_MATCH: &str = "The entity tag of the binding: nothing is done where it has changed.";
    const FORCE: &str = "With `true` also where the caller could change no binding after it.";
    let changes = |route: Route| route.header("If-Match", IF_MATCH).query("force", FORCE);
    [
        get("readBindings", "", bindings::list)
            .says("All bindings, by name, wherever they come from, a page at a time")
            .query("limit", "Bindings on a page, 1 to 100; 50 where it is absent.")
            .query("cursor", "The `next` of the page before.")
            .gives(200, json::<BindingPage>())
            .refuses([400])
            .as_written(),
        get("readBinding", "/{name}", bindings::read)
            .says("What a binding is, where it comes from, and what of it waits for a grant")
            .gives(200, json::<extend::Shown>())
            .refuses([400, 404])
            .as_written(),
        get("readBindingHistory", "/{name}/history", bindings::history)
            .says("The revisions of a binding, the newest first")
            .query("limit", "Revisions on a page, 1 to 100; 50 where it is absent.")
            .query("cursor", "The `next` of the page before.")
            .gives(200, json::<RevisionPage>())
            .refuses([400, 404])
            .as_written(),
        changes(put("putBinding", "/{name}", bindings::put))
            .says("Puts a plugin to work under that name, or something else in its place")
            .takes(json::<Spec>())
            .gives(200, json::<extend::Shown>())
            .gives(201, json::<extend::Shown>())
            .gives(202, json::<extend::Shown>())
            .refuses([400, 409, 412, 413])
            .as_written(),
        changes(patch("changeBinding", "/{name}", bindings::patch))
            .says("Changes what the merge patch (RFC 7396) names of a binding")
            .takes(json::<Spec>().or("application/merge-patch+json"))
            .gives(200, json::<extend::Shown>())
            .gives(201, json::<extend::Shown>())
            .gives(202, json::<extend::Shown>())
            .refuses([400, 404, 409, 412, 413])
            .as_written(),
        changes(post("grantBinding", "/{name}/grant", bindings::grant))
            .says("Grants what a revision waits for, and puts it in force once nothing is missing")
            .takes(json::<Grant>())
            .gives(200, json::<extend::Shown>())
            .gives(202, json::<extend::Shown>())
            .refuses([400, 404, 409, 412, 413])
            .as_written(),
        changes(post("rollbackBinding", "/{name}/rollback", bindings::rollback))
            .says("Puts the revision before this one in force again, or an earlier one")
            .takes(json::<Rollback>())
            .gives(200, json::<extend::Shown>())
            .refuses([400, 404, 409, 412, 413])
            .as_written(),
        changes(delete("deleteBinding", "/{name}", bindings::delete))
            .says("Takes a binding away that was made on the running server")
            .gives(204, nothing())
            .refuses([400, 404, 409, 412])
            .as_written(),
    ]
}

/// What all requests of this family go through.
pub(super) fn around(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.layer(middleware::from_fn(answer::tell))
}
