//! Which release of a unit is meant, and whether it can still be found: of a namespace
//! that is being deleted nothing can, whatever rows are left.

use super::{
    names::{NamespaceName, UnitName},
    tags::Tag,
    version::{Version, VersionQuery},
};
use crate::{
    app::App,
    error::{Error, Result},
    store::{
        View,
        leaving::namespace_is_leaving,
        tags::tag,
        unit_releases::{UnitKey, UnitReleaseRecord, unit_release, unit_versions_greatest},
        units::{UnitRecord, unit},
    },
};

/// A unit in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitPlace {
    /// The namespace.
    pub namespace: NamespaceName,
    /// The unit.
    pub unit: UnitName,
}

impl UnitPlace {
    /// Reads a path's segments. What has no proper name does not exist.
    pub fn parse(namespace: &str, unit: &str) -> Result<Self> {
        match (NamespaceName::parse(namespace), UnitName::parse(unit)) {
            (Ok(namespace), Ok(unit)) => Ok(UnitPlace { namespace, unit }),
            _ => Err(Error::not_found("unit", format!("{namespace}/{unit}"))),
        }
    }

    /// Where the store has it.
    pub fn key(&self) -> UnitKey<'_> {
        UnitKey { namespace: &self.namespace, name: &self.unit }
    }

    /// Says that a release of this unit does not exist.
    pub fn no_release(&self, version: impl std::fmt::Display) -> Error {
        Error::not_found("release", format!("{}/{}-v{version}", self.namespace, self.unit))
    }
}

/// Finds the version that a query means, before anybody is asked whether the
/// caller may know: nothing of it may be told without a permit for that version.
///
/// An exact version is taken at its word, without a look at the store.
pub async fn resolve(app: &App, place: &UnitPlace, query: VersionQuery) -> Result<Option<Version>> {
    if let VersionQuery::Exact(version) = query {
        return Ok(Some(version));
    }
    let place = place.clone();
    app.store.read(move |view| meant(view, &place, query)).await
}

/// The same in a state that is being read already.
pub fn meant(view: &dyn View, place: &UnitPlace, query: VersionQuery) -> Result<Option<Version>> {
    if !matches!(query, VersionQuery::Exact(_)) && namespace_is_leaving(view, &place.namespace)? {
        return Ok(None);
    }
    match query {
        VersionQuery::Exact(version) => Ok(Some(version)),
        VersionQuery::Latest => unit_versions_greatest(view, place.key(), ""),
        VersionQuery::Prefix(start) => unit_versions_greatest(view, place.key(), &start),
        VersionQuery::Tag(text) => match Tag::parse(&text) {
            Ok(it) => tag(view, place.key(), &it),
            // There is no such tag.
            Err(_) => Ok(None),
        },
    }
}

/// What is kept of a release that can be found.
pub(super) fn standing_release(
    view: &dyn View,
    place: &UnitPlace,
    version: &Version,
) -> Result<Option<UnitReleaseRecord>> {
    let release = unit_release(view, place.key(), version)?;
    standing(view, place, release)
}

/// What is kept of a unit that can be found.
pub(super) fn standing_unit(view: &dyn View, place: &UnitPlace) -> Result<Option<UnitRecord>> {
    let unit = unit(view, &place.namespace, &place.unit)?;
    standing(view, place, unit)
}

fn standing<T>(view: &dyn View, place: &UnitPlace, found: Option<T>) -> Result<Option<T>> {
    match found {
        Some(_) if namespace_is_leaving(view, &place.namespace)? => Ok(None),
        found => Ok(found),
    }
}
