//! Bodies that are written piece by piece, as the OpenAPI document shows them.

#![expect(dead_code, reason = "only their shape is used")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use super::graph::{GraphEdge, GraphNode};
use crate::inventory::{Application, Change, Namespace, ReleaseMetadata, VersionDetail};

/// A namespace and its units.
#[derive(ToSchema)]
pub(super) struct NamespaceWithUnits {
    #[serde(flatten)]
    namespace: Namespace,
    units: BTreeMap<String, Application>,
}

/// A unit and its versions, greatest first, without a `v`.
#[derive(ToSchema)]
pub(super) struct UnitWithVersions {
    #[serde(flatten)]
    unit: Application,
    versions: Vec<String>,
}

/// A release with what the server knows of it.
#[derive(ToSchema)]
pub(super) struct ReleasePayload {
    release: ReleaseMetadata,
    /// The versions of its unit, greatest first.
    versions: Vec<String>,
    is_latest: bool,
    /// How often its package was downloaded.
    downloads: u64,
    uploaded_by: String,
    uploaded_at: String,
}

/// A release's metadata, or with `full` what the server knows of it as well.
#[derive(ToSchema)]
#[schema(as = ReleaseAnswer)]
#[serde(untagged)]
pub(super) enum ReleaseOrPayload {
    Metadata(Box<ReleaseMetadata>),
    Payload(Box<ReleasePayload>),
}

/// A version without a `v`, or with `detail` what the server knows of it as well.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum VersionOrDetail {
    Version(String),
    Detail(Box<VersionDetail>),
}

/// Why a release should not be used any more. Nothing has to be said.
#[derive(ToSchema)]
pub(super) struct YankBody {
    /// In words; 1,024 bytes at most.
    reason: Option<String>,
    /// The version of the unit to use instead, such as `v1.2`.
    replacement: Option<String>,
}

/// What to tag, and how.
#[derive(ToSchema)]
pub(super) struct TagBody {
    /// Such as `ns/app-v1.0`, `ns/app-latest`, `ns/app-v1.@` or `ns/app:other-tag`.
    release_id: String,
    /// What does not read as a version; 255 bytes at most, without a slash.
    tag: String,
}

/// What to search for.
#[derive(ToSchema)]
pub(super) struct SearchBody {
    query: String,
    /// Hits on a page.
    limit: Option<u64>,
    /// Where the page begins.
    cursor: Option<String>,
}

/// What is said of a namespace. What is not sent becomes empty.
#[derive(ToSchema)]
pub(super) struct NamespaceBody {
    /// The name that the path has.
    name: String,
    description: Option<String>,
    org_url: Option<String>,
    /// Opaque text.
    logo: Option<String>,
    is_public: Option<bool>,
}

/// A new namespace.
#[derive(ToSchema)]
pub(super) struct NewNamespaceBody {
    name: String,
    description: Option<String>,
    org_url: Option<String>,
    /// Opaque text.
    logo: Option<String>,
    is_public: Option<bool>,
    /// Taken and not kept.
    project: Option<String>,
}

/// Which outside places are told of what happens.
#[derive(ToSchema)]
pub(super) struct Hooks {
    slack: Option<SlackHook>,
    events: Option<UrlHook>,
    /// Units have it, namespaces do not.
    build: Option<UrlHook>,
}

/// Where and as whom to write in Slack.
#[derive(ToSchema)]
pub(super) struct SlackHook {
    url: Option<String>,
    username: Option<String>,
    icon_emoji: Option<String>,
}

/// Where to send.
#[derive(ToSchema)]
pub(super) struct UrlHook {
    url: Option<String>,
}

/// A release among what it needs and gives, and what needs it.
#[derive(ToSchema)]
pub(super) struct DependencyGraph {
    nodes: Vec<GraphNode>,
    edges: Vec<GraphEdge>,
}

/// What changed in one member of a release.
#[derive(ToSchema)]
pub(super) struct Changes {
    add: Option<Vec<Change>>,
    change: Option<Vec<Change>>,
    remove: Option<Vec<Change>>,
}
