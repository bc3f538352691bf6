//! The version before a version.

use super::{resolve::UnitPlace, version::Version};
use crate::{
    app::App,
    authz::Permit,
    error::Result,
    store::{
        View,
        unit_releases::{unit_release, unit_versions_below},
    },
};

/// Finds the greatest version of a unit below that of a release.
pub async fn previous(
    app: &App,
    _: &Permit,
    place: &UnitPlace,
    version: &Version,
) -> Result<Version> {
    let (place, version) = (place.clone(), version.clone());
    let find = move |view: &dyn View| {
        if unit_release(view, place.key(), &version)?.is_none() {
            return Err(place.no_release(&version));
        }
        let below = unit_versions_below(view, place.key(), &version)?;
        below.ok_or_else(|| place.no_release(format_args!("{version}, and then the one before")))
    };
    app.store.read(find).await
}
