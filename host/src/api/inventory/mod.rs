//! The Escape Inventory API: units, their releases and the packages behind them.
//!
//! Both spellings of a path, with and without its final slash, are one route. Only
//! `…/{namespace}` has to end with a slash: without it, that place belongs to
//! verbs such as `search`.

mod answer;
mod body;
mod conditions;
mod diff;
mod download;
mod graph;
mod hooks;
mod internal;
mod listing;
mod multipart;
mod namespaces;
mod query;
mod range;
mod root;
mod search;
mod shapes;
mod tags;
mod target;
mod transfer;
mod units;
mod upload;
mod versions;
mod yank;

use self::shapes::{
    Changes, DependencyGraph, Hooks, NamespaceBody, NamespaceWithUnits, NewNamespaceBody,
    ReleaseOrPayload, SearchBody, TagBody, UnitWithVersions, VersionOrDetail, YankBody,
};
pub(super) use self::{
    answer::{Failure, json, typed as typed_answer},
    conditions::{expected, has_already},
    download::head as head_of_bytes,
    target::server as server_target,
};
use super::{
    openapi::{self, file, list_of, map_of, nothing, text, typed},
    routes::{Route, Routes, delete, get, post, put},
};
use crate::inventory::{
    Application, DownstreamRelease, Hit, Namespace, ProvidingRelease, ReleaseMetadata, Summary,
};

const IF_NONE_MATCH: (&str, &str) =
    ("If-None-Match", "Sends nothing where the `ETag` is still one of these.");
const IF_MATCH: (&str, &str) =
    ("If-Match", "Changes nothing where the `ETag` is none of these any more.");

/// Where the inventory begins.
const INVENTORY: &str = "/api/v1/inventory";

/// What other services and tests use.
const INTERNAL: &str = "/api/v1/internal";

/// The routes of this family, in the order of its documents.
pub(super) fn routes() -> Routes {
    let server = [get("greet", "/", root::root)
        .says("The text that Escape's clients know a server by")
        .gives(200, text().or("text/html"))
        .gives(302, nothing())
        .as_written()];
    let namespaces = [
        get("listNamespaces", "/", namespaces::namespaces)
            .says("All namespaces, by name")
            .gives(200, map_of::<Namespace>()),
        get("getNamespace", "/{namespace}/", namespaces::namespace)
            .says("A namespace and its units")
            .gives(200, openapi::json::<NamespaceWithUnits>())
            .refuses([404])
            .as_written(),
        put("updateNamespace", "/{namespace}/", namespaces::update_namespace)
            .says("Puts what is said of a namespace in the place of what was")
            .takes(openapi::json::<NamespaceBody>())
            .gives(201, nothing())
            .refuses([400, 404, 413])
            .as_written(),
        add_namespace("addNamespace", "/{namespace}/add-namespace")
            .says("Adds the namespace that the body names, whatever the path does"),
        delete("hardDelete", "/{namespace}/hard-delete", namespaces::hard_delete)
            .says("Deletes a namespace, if it is there, with all that is in it")
            .gives(200, nothing())
            .refuses([400]),
        get("getNamespaceHooks", "/{namespace}/hooks/", hooks::namespace_hooks)
            .says("Which outside places are told of a namespace")
            .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
            .gives(200, openapi::json::<Hooks>())
            .gives(304, nothing())
            .refuses([404]),
        put("replaceNamespaceHooks", "/{namespace}/hooks/", hooks::replace_namespace_hooks)
            .says("Puts a hooks document in the place of a namespace's; it has no `build`")
            .header(IF_MATCH.0, IF_MATCH.1)
            .takes(openapi::json::<Hooks>())
            .gives(201, nothing())
            .refuses([400, 404, 412, 413]),
    ];
    let internal = [
        add_namespace("addNamespaceForProject", "/add-namespace")
            .says("Adds the namespace that the body names"),
        get(
            "getNamespacesForProject",
            "/get_namespaces_for_project",
            internal::namespaces_for_project,
        )
        .says("The namespaces that are named, and all public ones, by name")
        .query("namespace", "Names, with commas between; may be there more than once.")
        .gives(200, map_of::<Namespace>()),
        delete("wipe", "/database", internal::wipe)
            .says("Empties the inventory of a test system")
            .gives(200, nothing())
            .refuses([400])
            .only_with_dev(),
    ];
    // With a final slash it is a namespace of that name.
    let search = [
        get("search", "/search", search::search)
            .says("The units whose latest release has all these words, best first")
            .query("q", "The words; each matches those that begin with it.")
            .query("limit", "Hits on a page, 1 to 100; 20 where it is absent.")
            .query("cursor", "Where the page begins: part of the `Link` to the next one.")
            .gives(200, map_of::<Hit>())
            .refuses([400])
            .as_written(),
        post("searchByBody", "/search", search::search_by_body)
            .says("The same, asked for in JSON")
            .takes(openapi::json::<SearchBody>())
            .gives(200, map_of::<Hit>())
            .refuses([400, 413])
            .as_written(),
    ];
    let units = [
        get("listUnits", "/{namespace}/units/", units::units)
            .says("The units of a namespace, by name")
            .gives(200, map_of::<Application>())
            .refuses([404]),
        get("getUnit", "/{namespace}/units/{unit}/", units::unit)
            .says("A unit and its versions")
            .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
            .gives(200, openapi::json::<UnitWithVersions>())
            .gives(304, nothing())
            .refuses([404]),
        get("getUnitHooks", "/{namespace}/units/{unit}/hooks/", hooks::unit_hooks)
            .says("Which outside places are told of a unit")
            .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
            .gives(200, openapi::json::<Hooks>())
            .gives(304, nothing())
            .refuses([404]),
        put("replaceUnitHooks", "/{namespace}/units/{unit}/hooks/", hooks::replace_unit_hooks)
            .says("Puts a hooks document in the place of a unit's")
            .header(IF_MATCH.0, IF_MATCH.1)
            .takes(openapi::json::<Hooks>())
            .gives(201, nothing())
            .refuses([400, 404, 412, 413]),
        get("listVersions", "/{namespace}/units/{unit}/versions/", units::versions)
            .says("The versions of a unit, greatest first")
            .query("detail", "With `true`, what the server knows of each.")
            .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
            .gives(200, list_of::<VersionOrDetail>())
            .gives(304, nothing())
            .refuses([400, 404]),
        get("nextVersion", "/{namespace}/units/{unit}/next-version", units::next_version)
            .says("The version to take next")
            .query("prefix", "What the version begins with, such as `1.2.`.")
            .gives(200, text()),
    ];
    let versions = [
        post("register", "/{namespace}/register", versions::register)
            .says("Registers a release; a version, once registered, never changes")
            .takes(openapi::json::<ReleaseMetadata>())
            .gives(200, nothing())
            .refuses([400, 409, 413]),
        get("getVersion", "/{namespace}/units/{unit}/versions/{version}/", versions::version)
            .says("The metadata of a release")
            .query("full", "With any text, what the server knows of it comes with it.")
            .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
            .gives(200, openapi::json::<ReleaseOrPayload>())
            .gives(304, nothing())
            .refuses([404]),
        get(
            "download",
            "/{namespace}/units/{unit}/versions/{version}/download",
            download::download,
        )
        .says("The package of a release")
        .header("Range", "The part to send.")
        .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
        .gives(200, typed("application/gzip"))
        .gives(206, typed("application/gzip"))
        .gives(304, nothing())
        .refuses([404, 416]),
        post("upload", "/{namespace}/units/{unit}/versions/{version}/upload", upload::upload)
            .says("Takes the package of a release in, once")
            .header(IF_MATCH.0, IF_MATCH.1)
            .takes(file())
            .gives(200, nothing())
            .refuses([400, 404, 409, 412, 413]),
        post("yank", "/{namespace}/units/{unit}/versions/{version}/yank", yank::yank)
            .says("Says that a release should not be used any more; `latest` passes it over")
            .header(IF_MATCH.0, IF_MATCH.1)
            .takes(openapi::json::<YankBody>())
            .gives(200, nothing())
            .refuses([400, 404, 412, 413]),
        delete("unyank", "/{namespace}/units/{unit}/versions/{version}/yank", yank::unyank)
            .says("Takes a yank back, if there is one")
            .header(IF_MATCH.0, IF_MATCH.1)
            .gives(200, nothing())
            .refuses([400, 404, 412]),
    ];
    let tags = [
        get("listTags", "/{namespace}/units/{unit}/tags/", tags::list)
            .says("The tags of a unit, each with the version it points to")
            .header(IF_NONE_MATCH.0, IF_NONE_MATCH.1)
            .gives(200, map_of::<String>())
            .gives(304, nothing())
            .refuses([404]),
        post("setTag", "/{namespace}/units/{unit}/tags/", tags::set)
            .says("Makes a tag point to a release, wherever it pointed before")
            .header(IF_MATCH.0, IF_MATCH.1)
            .takes(openapi::json::<TagBody>())
            .gives(200, nothing())
            .refuses([400, 404, 412, 413]),
        delete("deleteTag", "/{namespace}/units/{unit}/tags/{tag}", tags::delete)
            .says("Drops a tag; what it points to stays")
            .header(IF_MATCH.0, IF_MATCH.1)
            .gives(200, nothing())
            .refuses([404, 412]),
    ];
    let between = [
        get(
            "getPrevious",
            "/{namespace}/units/{unit}/versions/{version}/previous/",
            diff::previous,
        )
        .says("The metadata of the greatest version below")
        .gives(200, openapi::json::<ReleaseMetadata>())
        .refuses([404]),
        get(
            "diffWithPrevious",
            "/{namespace}/units/{unit}/versions/{version}/diff/",
            diff::diff_with_previous,
        )
        .says("What changed since the greatest version below, by member of the metadata")
        .gives(200, map_of::<Changes>())
        .refuses([404, 413]),
        get("diff", "/{namespace}/units/{unit}/versions/{version}/diff/{old}/", diff::diff)
            .says("What changed from the old version to this one, by member of the metadata")
            .gives(200, map_of::<Changes>())
            .refuses([404, 413]),
        get(
            "dependencyGraph",
            "/{namespace}/units/{unit}/versions/{version}/dependency-graph",
            graph::dependency_graph,
        )
        .says("A release among what it needs and gives, and what needs it")
        .gives(200, openapi::json::<DependencyGraph>())
        .refuses([404]),
        get(
            "listDownstream",
            "/{namespace}/units/{unit}/versions/{version}/downstream",
            graph::downstream,
        )
        .says("The releases that need exactly this one, the last registered first")
        .gives(200, list_of::<DownstreamRelease>())
        .refuses([404]),
        // With a final slash it is read as a namespace, which cannot have that name.
        get("listProviders", "/__providers", graph::providers)
            .says("The greatest version of each unit that ever provided something")
            .query("name", "What is provided.")
            .gives(200, map_of::<ProvidingRelease>())
            .as_written(),
    ];
    let export = [get("exportNamespace", "/{namespace}/export", transfer::export)
        .says("A namespace with its packages as one stream")
        .gives(200, typed("application/x-tar"))
        .refuses([404])];
    let import = [post("importNamespace", "/import", transfer::import)
        .says("Takes in what an export has written; what is here already stays")
        .query("namespace", "The namespace that it goes to, where that is another.")
        .takes(typed("application/x-tar"))
        .gives(200, openapi::json::<Summary>())
        .refuses([400, 409, 413])];
    Routes::default()
        .group("Server", "", server)
        .group("Namespaces", INVENTORY, namespaces)
        .group("Search", INVENTORY, search)
        .group("Units", INVENTORY, units)
        .group("Versions", INVENTORY, versions)
        .group("Tags", INVENTORY, tags)
        .group("Between releases", INVENTORY, between)
        .group("Transfer", INVENTORY, export)
        .group("Transfer", INTERNAL, import)
        .group("Internal", INTERNAL, internal)
}

fn add_namespace(id: &'static str, path: &str) -> Route {
    post(id, path, namespaces::add_namespace)
        .takes(openapi::json::<NewNamespaceBody>())
        .gives(200, nothing())
        .refuses([400, 409, 413])
}
