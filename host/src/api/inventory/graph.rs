//! Endpoints for what releases need of each other.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::Answer,
    listing::{Rows, listing, member},
    query::lenient_parameter,
    target,
    versions::permitted,
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    error::Result,
    inventory::{self, DownstreamRelease, Surroundings, UnitPlace, Version, wire},
};

/// A release, a consumer or a provider.
#[derive(Serialize, ToSchema)]
pub(super) struct GraphNode {
    /// Its type and label.
    id: String,
    label: String,
    /// `main`, `consumer`, `provider`, `upstream`, `extension` or `downstream`.
    r#type: &'static str,
}

/// Who needs whom.
#[derive(Serialize, ToSchema)]
pub(super) struct GraphEdge {
    /// The id of a node.
    from: String,
    /// The id of a node.
    to: String,
    /// `consumes`, `provides`, `upstream`, `extends` or `downstream`.
    r#type: &'static str,
}

/// `GET …/versions/{version}/downstream`: the releases that need exactly this one.
pub(super) async fn downstream(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let (permit, version) =
        permitted(&app, &caller, "inventory:version:read", &place, &asked).await?;
    let page = move |at: Option<Vec<u8>>| {
        let (app, permit) = (app.clone(), permit.clone());
        let (place, version) = (place.clone(), version.clone());
        async move {
            let page = inventory::downstream(&app, &permit, &place, &version, at).await?;
            Ok(Rows::new(page.releases.iter().map(wire::json), page.next))
        }
    };
    listing(b"[".to_vec(), page, b"]\n".to_vec()).await
}

/// `GET …/inventory/__providers?name=`: the releases that provide something, by
/// release id.
pub(super) async fn providers(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let name = lenient_parameter(query.as_deref(), "name").unwrap_or_default();
    let target = target::every_unit();
    let permit = authz::authorize(&app, &caller, "inventory:provider:list", target).await?;
    let page = move |at: Option<Vec<u8>>| {
        let (app, permit, name) = (app.clone(), permit.clone(), name.clone());
        async move {
            let (rows, next) = inventory::providers(&app, &permit, name, at).await?;
            Ok(Rows::new(rows.iter().map(|(id, it)| member(id, it)), next))
        }
    };
    listing(b"{".to_vec(), page, b"}\n".to_vec()).await
}

/// `GET …/versions/{version}/dependency-graph`: the release among what it needs and
/// gives, and what needs it, one step in each direction.
///
/// The nodes come before the edges, so that the releases that need this one are
/// walked twice: the second time without those that were registered since.
pub(super) async fn dependency_graph(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let (permit, version) =
        permitted(&app, &caller, "inventory:version:read", &place, &asked).await?;
    let drawn = Drawn::of(inventory::surroundings(&app, &permit, &place, &version).await?);
    let walk = Arc::new(Walk { app, permit, place, version, drawn });
    let page = move |at: Option<Step>| {
        let walk = walk.clone();
        async move { walk.page(at).await }
    };
    listing(b"{\"nodes\":[".to_vec(), page, b"]}\n".to_vec()).await
}

/// The part of a graph that a release's own metadata says.
#[derive(Default)]
struct Drawn {
    main: String,
    nodes: Vec<Vec<u8>>,
    edges: Vec<Vec<u8>>,
}

impl Drawn {
    fn of(release: Surroundings) -> Drawn {
        let main = node("main", &release.id);
        let mut drawn = Drawn { main: main.id.clone(), ..Drawn::default() };
        drawn.nodes.push(wire::json(&main));
        for name in &release.consumes {
            let consumer = node("consumer", name);
            drawn.add(&consumer, &edge(&consumer.id, &main.id, "consumes"));
        }
        for name in &release.provides {
            let provider = node("provider", name);
            drawn.add(&provider, &edge(&main.id, &provider.id, "provides"));
        }
        for it in &release.upstream {
            let (kind, relation) = match it.how.is_extension {
                true => ("extension", "extends"),
                false => ("upstream", "upstream"),
            };
            let needed = node(kind, &it.id.to_string());
            drawn.add(&needed, &edge(&main.id, &needed.id, relation));
        }
        drawn
    }

    fn add(&mut self, node: &GraphNode, edge: &GraphEdge) {
        self.nodes.push(wire::json(node));
        self.edges.push(wire::json(edge));
    }
}

/// How far a graph has been written.
enum Step {
    /// Nodes of dependants from `at` on; the walk began at `start`.
    Nodes { at: Vec<u8>, start: Option<Vec<u8>> },
    /// The edges begin; those of dependants begin at `start`, if there are any.
    FirstEdges { start: Option<Vec<u8>> },
    /// More edges of dependants.
    Edges { at: Vec<u8> },
}

/// Who walks over the dependants of a release, and what is known of it already.
struct Walk {
    app: Arc<App>,
    permit: Permit,
    place: UnitPlace,
    version: Version,
    drawn: Drawn,
}

impl Walk {
    async fn page(&self, step: Option<Step>) -> Result<Rows<Step>> {
        match step {
            None => self.nodes(None, None).await,
            Some(Step::Nodes { at, start }) => self.nodes(Some(at), start).await,
            Some(Step::FirstEdges { start }) => self.first_edges(start).await,
            Some(Step::Edges { at }) => {
                let page = self.dependants(Some(at)).await?;
                let edges = page.releases.iter().map(|it| self.edge_of(it));
                Ok(Rows::new(edges, page.next.map(|at| Step::Edges { at })))
            }
        }
    }

    async fn nodes(&self, at: Option<Vec<u8>>, start: Option<Vec<u8>>) -> Result<Rows<Step>> {
        let is_first = at.is_none();
        let page = self.dependants(at).await?;
        let start = if is_first { page.start } else { start };
        let next = match page.next {
            Some(at) => Step::Nodes { at, start },
            None => Step::FirstEdges { start },
        };
        let drawn = self.drawn.nodes.iter().filter(|_| is_first).cloned();
        let nodes = page.releases.iter().map(|it| wire::json(&node_of(it)));
        Ok(Rows::new(drawn.chain(nodes), Some(next)))
    }

    async fn first_edges(&self, start: Option<Vec<u8>>) -> Result<Rows<Step>> {
        let (dependants, next) = match start {
            Some(start) => {
                let page = self.dependants(Some(start)).await?;
                (page.releases, page.next.map(|at| Step::Edges { at }))
            }
            None => (Vec::new(), None),
        };
        let edges = dependants.iter().map(|it| self.edge_of(it));
        let rows = Rows::new(self.drawn.edges.iter().cloned().chain(edges), next);
        Ok(rows.behind(b"],\"edges\":["))
    }

    async fn dependants(&self, at: Option<Vec<u8>>) -> Result<inventory::DownstreamReleases> {
        inventory::downstream(&self.app, &self.permit, &self.place, &self.version, at).await
    }

    fn edge_of(&self, it: &DownstreamRelease) -> Vec<u8> {
        let relation = if it.is_extension { "extends" } else { "downstream" };
        wire::json(&edge(&node_of(it).id, &self.drawn.main, relation))
    }
}

fn node_of(it: &DownstreamRelease) -> GraphNode {
    let kind = if it.is_extension { "extension" } else { "downstream" };
    node(kind, &format!("{}/{}-v{}", it.project, it.name, it.version))
}

fn node(kind: &'static str, label: &str) -> GraphNode {
    GraphNode { id: format!("{kind}{label}"), label: label.to_owned(), r#type: kind }
}

fn edge(from: &str, to: &str, relation: &'static str) -> GraphEdge {
    GraphEdge { from: from.to_owned(), to: to.to_owned(), r#type: relation }
}
