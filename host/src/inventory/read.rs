//! Reading namespaces, units and releases, in pages.
//!
//! What is answered as one list is read page by page, so that no list is ever
//! held whole.

use std::{collections::BTreeSet, ops::Bound, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    conditions::ETag,
    names::NamespaceName,
    resolve::{UnitPlace, standing_release, standing_unit},
    version::Version,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        View,
        namespaces::{self, NamespaceRecord},
        unit_releases::{self, UnitReleaseRecord, VersionsPage},
        units::{self, UnitRecord},
    },
};

/// Rows in a page: few enough to be read in passing.
pub const PAGE_ROWS: usize = 100;

/// Bytes after which a page is full: a logo may be as large as a request.
const PAGE_BYTES: usize = 1 << 20;

/// A namespace, as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the words of the Inventory's documents")]
pub struct Namespace {
    pub name: String,
    pub description: String,
    pub org_url: String,
    pub logo: String,
    pub permission: &'static str,
    pub is_public: bool,
}

/// A unit, as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the words of the Inventory's documents")]
pub struct Application {
    pub name: String,
    pub project: String,
    pub description: String,
    pub latest_version: String,
    pub logo: String,
    pub uploaded_by: String,
    pub uploaded_at: String,
    #[schema(value_type = Option<Object>)]
    pub hooks: Option<()>,
    #[serde(skip)]
    pub etag: ETag,
}

/// A release with what the server knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Its metadata, as JSON and a newline.
    pub metadata: Bytes,
    /// Whether no version of its unit is greater.
    pub is_latest: bool,
    /// How often its package was downloaded.
    pub downloads: u64,
    /// Who registered it; empty where unknown.
    pub uploaded_by: String,
    /// When it was registered.
    pub uploaded_at: String,
    /// Changes whenever any of this does, or the list of the unit's versions.
    pub etag: ETag,
}

/// A page of namespaces, by name, behind `after`, and behind which name the next
/// one begins.
pub async fn namespaces(
    app: &App,
    _: &Permit,
    after: String,
) -> Result<(Vec<Namespace>, Option<String>)> {
    let page = move |view: &dyn View| namespaces::namespaces_page(view, &after, PAGE_ROWS);
    let page = app.store.read(page).await?;
    let shown = page.namespaces.into_iter().map(|(name, record)| shown_namespace(name, record));
    Ok((shown.collect(), page.next))
}

/// A page of the namespaces that are named or public, by name, behind `after`, and
/// behind which name the next one begins. What is named and not there is left out.
pub async fn namespaces_named_or_public(
    app: &App,
    _: &Permit,
    named: Arc<BTreeSet<String>>,
    after: String,
) -> Result<(Vec<Namespace>, Option<String>)> {
    let page = move |view: &dyn View| {
        let named = named.range::<str, _>((Bound::Excluded(&*after), Bound::Unbounded));
        let named = named.take(PAGE_ROWS).cloned();
        let public = namespaces::namespaces_public(view, &after, PAGE_ROWS)?;
        // The first of either are more than the first of both.
        let names: BTreeSet<String> = named.chain(public).collect();
        let (mut shown, mut bytes, mut last) = (Vec::new(), 0, None);
        for name in names.iter().take(PAGE_ROWS) {
            if bytes >= PAGE_BYTES {
                break;
            }
            last = Some(name);
            let key = NamespaceName::parse(name)?;
            if let Some(record) = namespaces::namespace(view, &key)? {
                bytes += record.description.len() + record.logo.len();
                shown.push(shown_namespace(name.clone(), record));
            }
        }
        let is_last = names.len() < PAGE_ROWS && last == names.last();
        Ok((shown, last.filter(|_| !is_last).cloned()))
    };
    app.store.read(page).await
}

/// One namespace.
pub async fn namespace(app: &App, _: &Permit, name: &NamespaceName) -> Result<Namespace> {
    let key = name.clone();
    let record = app.store.read(move |view| namespaces::namespace(view, &key)).await?;
    let record = record.ok_or_else(|| Error::not_found("namespace", name.as_str()))?;
    Ok(shown_namespace(name.to_string(), record))
}

/// A page of a namespace's units, by name, behind `after`.
pub async fn units(
    app: &App,
    _: &Permit,
    namespace: NamespaceName,
    after: String,
) -> Result<Vec<Application>> {
    let page = move |view: &dyn View| {
        let rows = units::units_page(view, &namespace, &after, PAGE_ROWS)?;
        let shown = |(name, record)| shown_unit(&namespace, name, record);
        Ok(rows.into_iter().map(shown).collect())
    };
    app.store.read(page).await
}

/// One unit.
pub async fn unit(app: &App, _: &Permit, place: &UnitPlace) -> Result<Application> {
    let key = place.clone();
    let record = app.store.read(move |view| standing_unit(view, &key)).await?;
    let UnitPlace { namespace, unit } = place;
    let record = record.ok_or_else(|| Error::not_found("unit", format!("{namespace}/{unit}")))?;
    Ok(shown_unit(namespace, unit.to_string(), record))
}

/// A page of a unit's versions, greatest first.
pub async fn versions(
    app: &App,
    _: &Permit,
    place: UnitPlace,
    at: Option<Vec<u8>>,
) -> Result<VersionsPage> {
    let page =
        move |view: &dyn View| unit_releases::unit_versions_page(view, place.key(), at, PAGE_ROWS);
    app.store.read(page).await
}

/// A version with what is kept of its release besides its metadata.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct VersionDetail {
    /// The version, without a `v`.
    pub version: String,
    /// When it was registered.
    pub uploaded_at: String,
    /// Who registered it; empty where unknown.
    pub uploaded_by: String,
    /// Of its package, in hexadecimal; `null` while it has none.
    pub sha256: Option<String>,
    /// Of its package, in bytes; `null` while it has none.
    pub size: Option<u64>,
    /// How often its package was downloaded.
    pub downloads: u64,
    /// Whether it should not be used any more; `null` where it may be.
    pub yanked: Option<Yanked>,
}

/// Why a release should not be used any more.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Yanked {
    /// In words; may be empty.
    pub reason: String,
    /// The version to use instead, without a `v`.
    pub replacement: Option<String>,
    /// When it was yanked.
    pub at: String,
    /// By whom; empty where unknown.
    pub by: String,
}

/// A page of a unit's versions with their details, greatest first, and where the next
/// one begins.
pub async fn version_details(
    app: &App,
    _: &Permit,
    place: UnitPlace,
    at: Option<Vec<u8>>,
) -> Result<(Vec<VersionDetail>, Option<Vec<u8>>)> {
    if at.is_none() {
        // So that whoever has downloaded something sees that counted.
        app.downloads.flush().await;
    }
    let page = move |view: &dyn View| {
        let page = unit_releases::unit_versions_page(view, place.key(), at, PAGE_ROWS)?;
        let mut details = Vec::new();
        for version in &page.versions {
            let record = unit_releases::unit_release(view, place.key(), version)?;
            let downloads = unit_releases::unit_release_downloads(view, place.key(), version)?;
            details.extend(record.map(|it| shown_version(version, it, downloads)));
        }
        Ok((details, page.next))
    };
    app.store.scan(page).await
}

/// What is kept of a release besides its metadata.
pub async fn release_record(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Result<UnitReleaseRecord> {
    let find = |view: &dyn View| standing_release(view, place, version);
    app.store.read(find).await?.ok_or_else(|| place.no_release(version))
}

/// What is kept of a release, and its metadata as JSON and a newline: both of one state.
pub async fn release_and_metadata(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Result<(UnitReleaseRecord, Bytes)> {
    let find = |view: &dyn View| {
        let Some(record) = standing_release(view, place, version)? else { return Ok(None) };
        let metadata = unit_releases::unit_release_metadata(view, place.key(), version)?;
        Ok(metadata.map(|it| (record, it)))
    };
    app.store.read(find).await?.ok_or_else(|| place.no_release(version))
}

/// A release's metadata, as JSON and a newline.
pub async fn metadata(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Result<Bytes> {
    let find = |view: &dyn View| unit_releases::unit_release_metadata(view, place.key(), version);
    app.store.read(find).await?.ok_or_else(|| place.no_release(version))
}

/// A release and what the server knows of it.
pub async fn release(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Result<Release> {
    // So that whoever has downloaded it sees that counted.
    app.downloads.flush().await;
    let (place, version) = (place.clone(), version.clone());
    let find = move |view: &dyn View| {
        let key = place.key();
        let metadata = unit_releases::unit_release_metadata(view, key, &version)?;
        let record = unit_releases::unit_release(view, key, &version)?;
        let unit = units::unit(view, &place.namespace, &place.unit)?;
        let (Some(metadata), Some(record), Some(unit)) = (metadata, record, unit) else {
            return Err(place.no_release(&version));
        };
        let downloads = unit_releases::unit_release_downloads(view, key, &version)?;
        let of_both = [ETag::of_release(&record), ETag::of_unit(&unit)];
        let [of_release, of_unit] = of_both.each_ref().map(|it| it.as_str().trim_matches('"'));
        Ok(Release {
            metadata,
            is_latest: record.yanked.is_some() == unit.all_yanked
                && unit.latest().is_some_and(|it| it.order(&version).is_eq()),
            etag: ETag::of(&[&of_release, &of_unit, &downloads]),
            downloads,
            uploaded_by: record.uploaded_by,
            uploaded_at: record.uploaded_at,
        })
    };
    app.store.read(find).await
}

fn shown_version(version: &Version, record: UnitReleaseRecord, downloads: u64) -> VersionDetail {
    let (sha256, size) = record.package.map(|it| (it.sha256, it.size)).unzip();
    let yanked = record.yanked.map(|it| Yanked {
        reason: it.reason,
        replacement: it.replacement,
        at: it.at,
        by: it.by,
    });
    VersionDetail {
        version: version.to_string(),
        uploaded_at: record.uploaded_at,
        uploaded_by: record.uploaded_by,
        sha256,
        size,
        downloads,
        yanked,
    }
}

pub(super) fn shown_namespace(name: String, record: NamespaceRecord) -> Namespace {
    Namespace {
        name,
        description: record.description,
        org_url: record.org_url,
        logo: record.logo,
        permission: "admin",
        is_public: record.is_public,
    }
}

fn shown_unit(namespace: &NamespaceName, name: String, record: UnitRecord) -> Application {
    Application {
        etag: ETag::of_unit(&record),
        name,
        project: namespace.to_string(),
        description: record.description,
        latest_version: record.latest_version,
        logo: record.logo,
        uploaded_by: record.uploaded_by,
        uploaded_at: record.uploaded_at,
        hooks: None,
    }
}
