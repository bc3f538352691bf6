//! `inventory://namespace/unit/version` — a package of our own inventory. The
//! version may be one that the inventory resolves: `latest`, `1.@`.

use std::sync::Arc;

use super::Fetched;
use crate::{
    app::App,
    authz::{self, Caller, Permit, Target},
    error::{Error, Result},
    inventory::{UnitPlace, Version, VersionQuery, package, resolve, yank_warning},
    store::unit_releases::unit_release,
};

/// What an address of the inventory begins with.
pub(super) const SCHEME: &str = "inventory://";

/// Finds the bytes of a unit's release.
pub(super) async fn fetch(app: &App, caller: &Arc<Caller>, location: &str) -> Result<Fetched> {
    let rest = location.strip_prefix(SCHEME).unwrap_or_default();
    let parts: Vec<&str> = rest.split('/').collect();
    let [namespace, unit, version] = parts.as_slice() else {
        return Err(Error::Conflict("it must be `inventory://namespace/unit/version`".into()));
    };
    let place = UnitPlace::parse(namespace, unit)?;
    let found = resolve(app, &place, VersionQuery::parse(version)).await?;
    // Nothing of what was found, or was not, is told before the policy has said yes.
    let named = found.as_ref().map_or(*version, Version::as_str);
    let permit = may_download(app, caller, &place, named).await?;
    let version = found.ok_or_else(|| place.no_release(version))?;
    warn_of_yank(app, caller, &place, &version).await?;
    let package = package(app, &permit, &place, &version).await.map_err(|error| match error {
        Error::NotFound { .. } => Error::Conflict(format!(
            "{}/{}-v{version} is not registered, or has no package yet",
            place.namespace, place.unit
        )),
        other => other,
    })?;
    let file_name = Some(format!("{}-v{version}", place.unit));
    Ok(Fetched { sha256: package.sha256, size: package.size, held: None, file_name })
}

/// A yanked version is found where it is named, and whoever names it should know.
async fn warn_of_yank(
    app: &App,
    caller: &Caller,
    place: &UnitPlace,
    version: &Version,
) -> Result<()> {
    let key = (place.clone(), version.clone());
    let read = app.store.read(move |view| unit_release(view, key.0.key(), &key.1));
    if let Some(yank) = read.await?.and_then(|it| it.yanked) {
        caller.warnings.add(vec![yank_warning(place, version, &yank)]);
    }
    Ok(())
}

async fn may_download(
    app: &App,
    caller: &Arc<Caller>,
    place: &UnitPlace,
    version: &str,
) -> Result<Permit> {
    let target = Target {
        kind: "version".into(),
        namespace: place.namespace.to_string(),
        name: place.unit.to_string(),
        version: Some(version.to_owned()),
        labels: Vec::new(),
    };
    authz::authorize(app, caller, "inventory:version:download", target).await
}
