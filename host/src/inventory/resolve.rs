//! Which release of a unit is meant.

use super::{
    names::{NamespaceName, UnitName},
    version::{Version, VersionQuery},
};
use crate::{
    app::App,
    error::{Error, Result},
    store::{
        View,
        unit_releases::{UnitKey, unit_versions_greatest},
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
    let start = match query {
        VersionQuery::Exact(version) => return Ok(Some(version)),
        VersionQuery::Tag(_) => return Ok(None),
        VersionQuery::Latest => String::new(),
        VersionQuery::Prefix(start) => start,
    };
    let place = place.clone();
    let greatest = move |view: &dyn View| unit_versions_greatest(view, place.key(), &start);
    app.store.read(greatest).await
}
