//! What a release needs and gives, and which releases need it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    dependencies::{Upstream, kept, upstream},
    names::NamespaceName,
    read::PAGE_ROWS,
    resolve::UnitPlace,
    version::Version,
};
use crate::{
    app::App,
    authz::Permit,
    error::Result,
    store::{
        View,
        dependencies::{Downstream, DownstreamPage, downstream_page},
        leaving::namespace_is_leaving,
        providers::{ProviderRecord, providers_page},
        unit_releases::{unit_release, unit_release_metadata},
    },
};

/// A release among what it needs and gives, as its metadata says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Surroundings {
    /// The release itself. Its project is what its metadata says.
    pub id: String,
    /// What it must be given.
    pub consumes: Vec<String>,
    /// What it gives.
    pub provides: Vec<String>,
    /// The releases that it needs.
    pub upstream: Vec<Upstream>,
}

/// A release that needs another one, as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DownstreamRelease {
    /// The namespace.
    pub project: String,
    /// The unit.
    pub name: String,
    /// The version, without a `v`.
    pub version: String,
    /// It needs it while it is built.
    pub build: bool,
    /// It needs it while it is deployed.
    pub deploy: bool,
    /// It builds on it.
    pub is_extension: bool,
}

/// Some of the releases that need one, the last registered first.
#[derive(Debug)]
pub struct DownstreamReleases {
    /// The releases.
    pub releases: Vec<DownstreamRelease>,
    /// Where these begin, for walking them again without what was registered since;
    /// absent where there are none.
    pub start: Option<Vec<u8>>,
    /// Where the next page begins; absent after the last.
    pub next: Option<Vec<u8>>,
}

/// A release that provides something, as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProvidingRelease {
    /// The unit.
    pub application: String,
    /// The namespace.
    pub project: String,
    /// The greatest version that ever provided it, without a `v`.
    pub version: String,
    /// What that release says of itself.
    pub description: String,
}

/// Reads what a release needs and gives.
pub async fn surroundings(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Result<Surroundings> {
    let (place, version) = (place.clone(), version.clone());
    let read = move |view: &dyn View| {
        let metadata = unit_release_metadata(view, place.key(), &version)?;
        let release = kept(&metadata.ok_or_else(|| place.no_release(&version))?)?;
        Ok(Surroundings {
            id: format!("{}/{}-v{}", release.project, release.name, release.version),
            consumes: release.consumes.iter().flatten().map(|it| it.name.clone()).collect(),
            provides: release.provides.iter().flatten().map(|it| it.name.clone()).collect(),
            upstream: upstream(&release),
        })
    };
    // A large release takes a while to be read.
    app.store.scan(read).await
}

/// A page of the releases that need one; the first page without `at`.
pub async fn downstream(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
    at: Option<Vec<u8>>,
) -> Result<DownstreamReleases> {
    let (place, version) = (place.clone(), version.clone());
    let read = move |view: &dyn View| {
        if at.is_none() && unit_release(view, place.key(), &version)?.is_none() {
            return Err(place.no_release(&version));
        }
        let page = downstream_page(view, place.key(), &version, at, PAGE_ROWS)?;
        let DownstreamPage { mut rows, start, next } = page;
        let mut leaving = Leaving::default();
        keep_if(&mut rows, |it| leaving.has_not(view, &it.place.namespace))?;
        Ok(DownstreamReleases { releases: rows.into_iter().map(shown).collect(), start, next })
    };
    app.store.read(read).await
}

/// A page of the releases that provide something, by release id, and where to go on.
pub async fn providers(
    app: &App,
    _: &Permit,
    name: String,
    at: Option<Vec<u8>>,
) -> Result<(Vec<(String, ProvidingRelease)>, Option<Vec<u8>>)> {
    let read = move |view: &dyn View| {
        let mut page = providers_page(view, &name, at, PAGE_ROWS)?;
        let mut leaving = Leaving::default();
        keep_if(&mut page.rows, |(_, it)| match NamespaceName::parse(&it.namespace) {
            Ok(namespace) => leaving.has_not(view, &namespace),
            Err(error) => Err(error),
        })?;
        let shown = |(id, it): (String, ProviderRecord)| {
            let ProviderRecord { namespace, unit, version, description } = it;
            (id, ProvidingRelease { application: unit, project: namespace, version, description })
        };
        Ok((page.rows.into_iter().map(shown).collect(), page.next))
    };
    app.store.read(read).await
}

/// What has been seen of namespaces that are being deleted: nothing of them is
/// shown any more.
#[derive(Default)]
struct Leaving(Option<(NamespaceName, bool)>);

impl Leaving {
    fn has_not(&mut self, view: &dyn View, namespace: &NamespaceName) -> Result<bool> {
        if let Some((known, leaving)) = &self.0
            && known == namespace
        {
            return Ok(!leaving);
        }
        let leaving = namespace_is_leaving(view, namespace)?;
        self.0 = Some((namespace.clone(), leaving));
        Ok(!leaving)
    }
}

fn keep_if<T>(rows: &mut Vec<T>, mut is_kept: impl FnMut(&T) -> Result<bool>) -> Result<()> {
    let mut failure = Ok(());
    rows.retain(|it| {
        is_kept(it).unwrap_or_else(|error| {
            failure = Err(error);
            false
        })
    });
    failure
}

fn shown(it: Downstream) -> DownstreamRelease {
    DownstreamRelease {
        project: it.place.namespace.to_string(),
        name: it.place.unit.to_string(),
        version: it.version.to_string(),
        build: it.how.build,
        deploy: it.how.deploy,
        is_extension: it.how.is_extension,
    }
}
