//! Bodies that are written piece by piece, as the OpenAPI document shows them.

#![expect(dead_code, reason = "only their shape is used")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use crate::release::model::Release;

/// Links by what they lead to.
#[derive(ToSchema)]
pub(in crate::api) struct HalLinks {
    #[schema(required = false)]
    _links: BTreeMap<String, LinkOrLinks>,
}

/// Where a link leads, or all that lead to the same.
#[derive(ToSchema)]
#[serde(untagged)]
enum LinkOrLinks {
    One(HalLink),
    Several(Vec<HalLink>),
}

/// Where a link leads.
#[derive(ToSchema)]
struct HalLink {
    /// The address; with `templated`, the reader fills in what stands in braces.
    href: String,
    #[schema(required = false)]
    templated: bool,
}

/// Links in a list.
#[derive(ToSchema)]
pub(in crate::api) struct PlainLinks {
    links: Vec<PlainLink>,
}

/// Where a link leads.
#[derive(ToSchema)]
struct PlainLink {
    /// What it leads to.
    rel: String,
    /// The address; the reader fills in what stands in braces.
    href: String,
}

/// A package to keep.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UploadRequest {
    /// The repository that it goes into.
    repo_name: String,
    name: String,
    version: String,
    /// What kind of file it is; there is one.
    #[schema(required = false, default = "zip")]
    extension: String,
    /// The file, in base64 or as a list of numbers.
    package_file_as_bytes: String,
}

/// Some releases; `{}` where there are none.
#[derive(ToSchema)]
pub(in crate::api) struct ReleaseList {
    #[schema(required = false)]
    _embedded: Releases,
}

/// The releases of a list.
#[derive(ToSchema)]
struct Releases {
    releases: Vec<LinkedRelease>,
}

/// A release in a list.
#[derive(ToSchema)]
struct LinkedRelease {
    #[serde(flatten)]
    release: Release,
    #[serde(flatten)]
    links: HalLinks,
}

/// The versions of this server, in the words that clients look for.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct About {
    version_info: VersionInfo,
}

/// The parts that have a version.
#[derive(ToSchema)]
struct VersionInfo {
    server: Dependency,
    shell: Dependency,
}

/// A name and a version.
#[derive(ToSchema)]
#[schema(as = AboutDependency)]
struct Dependency {
    name: String,
    version: String,
}

/// The end of each log.
#[derive(ToSchema)]
pub(in crate::api) struct LogInfo {
    /// By the application's id on its platform.
    logs: BTreeMap<String, String>,
}

/// States of applications, by their id on their platform.
#[derive(ToSchema)]
#[schema(as = ApplicationStates)]
pub(in crate::api) struct States(BTreeMap<String, String>);

/// What to post to an application.
#[derive(ToSchema)]
pub(in crate::api) struct ActuatorPost {
    /// The endpoint, below `/actuator/` of the application.
    endpoint: String,
    /// What is posted, as JSON.
    #[schema(required = false)]
    body: Object,
}

/// Any JSON object.
#[derive(ToSchema)]
#[schema(as = AnyObject)]
struct Object {}

/// Nothing of its own.
#[derive(ToSchema)]
pub(in crate::api) struct NoBody {}

/// Whether the server is fit for work.
#[derive(ToSchema)]
pub(in crate::api) struct Health {
    /// `UP` or `DOWN`.
    status: String,
}

/// What this server is.
#[derive(ToSchema)]
pub(in crate::api) struct ServerInfo {
    app: AppInfo,
}

/// A name and a version.
#[derive(ToSchema)]
struct AppInfo {
    name: String,
    version: String,
}

/// What went wrong.
#[derive(ToSchema)]
#[schema(as = Failure)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct FailureBody {
    /// When, in milliseconds since the Unix epoch.
    timestamp: u64,
    /// The status code.
    status: u16,
    /// The status in words.
    error: String,
    /// The class that the original's clients know it by.
    #[schema(required = false)]
    exception: String,
    /// What is wrong, in a sentence.
    message: String,
    /// The path of the request.
    path: String,
    /// The release that does not exist.
    #[schema(required = false)]
    release_name: String,
    /// Its version, where one was asked for.
    #[schema(required = false)]
    version: i64,
}
