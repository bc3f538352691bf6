//! The resources and their lists, as the OpenAPI document shows them.

#![expect(dead_code, reason = "only their shape is used")]

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::shapes::{HalLinks, NoBody};
use crate::release::{
    lists::Deployer,
    model::{PackageMetadata, Release},
};

/// A page of packages.
#[derive(ToSchema)]
pub(super) struct PackagePage {
    /// The members, under the name of what they are.
    _embedded: BTreeMap<String, Vec<PackageItem>>,
    #[serde(flatten)]
    links: HalLinks,
    page: PageNumbers,
}

/// A page of repositories of packages.
#[derive(ToSchema)]
pub(super) struct RepositoryPage {
    /// The members, under the name of what they are.
    _embedded: BTreeMap<String, Vec<RepositoryItem>>,
    #[serde(flatten)]
    links: HalLinks,
    page: PageNumbers,
}

/// A page of platform accounts.
#[derive(ToSchema)]
pub(super) struct DeployerPage {
    /// The members, under the name of what they are.
    _embedded: BTreeMap<String, Vec<DeployerItem>>,
    #[serde(flatten)]
    links: HalLinks,
    page: PageNumbers,
}

/// A page of releases.
#[derive(ToSchema)]
pub(super) struct ReleasePage {
    /// The members, under the name of what they are.
    _embedded: BTreeMap<String, Vec<ReleaseItem>>,
    #[serde(flatten)]
    links: HalLinks,
    page: PageNumbers,
}

/// All packages that were found.
#[derive(ToSchema)]
pub(super) struct PackagesFound {
    /// The members, under the name of what they are.
    _embedded: BTreeMap<String, Vec<PackageItem>>,
    #[serde(flatten)]
    links: HalLinks,
}

/// All releases that were found.
#[derive(ToSchema)]
pub(super) struct ReleasesFound {
    /// The members, under the name of what they are.
    _embedded: BTreeMap<String, Vec<ReleaseItem>>,
    #[serde(flatten)]
    links: HalLinks,
}

/// A list without members.
#[derive(ToSchema)]
pub(in crate::api) struct NothingFound {
    /// The members, under the name of what they are.
    _embedded: BTreeMap<String, Vec<NoBody>>,
    #[serde(flatten)]
    links: HalLinks,
}

/// Links, and nothing else.
#[derive(ToSchema)]
pub(in crate::api) struct Index {
    #[serde(flatten)]
    links: HalLinks,
}

/// Where a page is in its list.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
struct PageNumbers {
    /// Members on a page.
    size: u64,
    /// Members of the whole list.
    total_elements: u64,
    /// Pages of the whole list.
    total_pages: u64,
    /// This page, counted from 0.
    number: u64,
}

/// A package in a list.
#[derive(ToSchema)]
pub(super) struct PackageItem {
    #[serde(flatten)]
    package: PackageMetadata,
    #[serde(flatten)]
    links: HalLinks,
}

/// A release in a list.
#[derive(ToSchema)]
pub(super) struct ReleaseItem {
    #[serde(flatten)]
    release: Release,
    #[serde(flatten)]
    links: HalLinks,
}

/// A platform account in a list.
#[derive(ToSchema)]
pub(super) struct DeployerItem {
    #[serde(flatten)]
    deployer: Deployer,
    #[serde(flatten)]
    links: HalLinks,
}

/// A repository of packages in a list.
#[derive(ToSchema)]
pub(super) struct RepositoryItem {
    #[serde(flatten)]
    repository: RepositoryBody,
    #[serde(flatten)]
    links: HalLinks,
}

/// A repository of packages.
#[derive(Serialize, ToSchema)]
#[schema(as = PackageRepository)]
#[serde(rename_all = "camelCase")]
pub(super) struct RepositoryBody {
    /// Unique.
    pub(super) name: String,
    /// Where its index is.
    pub(super) url: String,
    /// Where its sources are, for people.
    pub(super) source_url: Option<String>,
    /// Whether its packages are kept here.
    pub(super) local: bool,
    /// What it is, in a sentence.
    pub(super) description: Option<String>,
    /// The highest wins where several have the same package.
    pub(super) repo_order: Option<i64>,
}
