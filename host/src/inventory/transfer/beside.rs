//! What an import brings beside what is here: what is there already, and is the same,
//! is passed over; what differs stays as it is.

use super::{
    super::{names::NamespaceName, resolve::UnitPlace, tags::Tag, version::Version},
    Manifest,
};
use crate::{
    error::Result,
    store::{
        Change, View,
        hooks_documents::{
            HooksDocument, hooks_of_namespace_put, hooks_of_unit, hooks_of_unit_put,
        },
        namespaces::{namespace, namespace_insert},
        tags::{tag, tag_put},
        unit_releases::{PackageRecord, unit_release, unit_release_metadata},
        units::{UnitRecord, unit, unit_put},
    },
};

/// What of a release is here.
pub(super) enum Known {
    Nothing,
    Same,
    Other(&'static str),
}

/// Compares a release with what is here of it.
pub(super) fn known(
    view: &dyn View,
    place: &UnitPlace,
    version: &Version,
    line: &[u8],
    package: Option<&PackageRecord>,
) -> Result<Known> {
    let Some(record) = unit_release(view, place.key(), version)? else {
        return Ok(Known::Nothing);
    };
    let metadata = unit_release_metadata(view, place.key(), version)?;
    if metadata.as_deref() != Some(line) {
        return Ok(Known::Other("its metadata is another here"));
    }
    Ok(match (record.package, package) {
        (None, None) => Known::Same,
        (Some(here), Some(there)) if here.sha256 == there.sha256 => Known::Same,
        (Some(_), Some(_)) => Known::Other("its package is another here"),
        (Some(_), None) => Known::Other("it has a package here and none there"),
        (None, Some(_)) => Known::Other("it has no package here and one there"),
    })
}

/// Makes the namespace, where it is missing, the one that the manifest describes.
pub(super) fn ensure_namespace(
    change: &mut dyn Change,
    name: &NamespaceName,
    manifest: &Manifest,
) -> Result<()> {
    if namespace(change, name)?.is_some() {
        return Ok(());
    }
    namespace_insert(change, name, &manifest.record)?;
    hooks_of_namespace_put(change, name, &manifest.hooks);
    Ok(())
}

/// Keeps what a unit has beside its releases, and says what differs.
pub(super) fn keep_unit(
    change: &mut dyn Change,
    place: &UnitPlace,
    hooks: &HooksDocument,
    tags: &[(Tag, Version)],
) -> Result<Vec<(String, &'static str)>> {
    let name = place.unit.as_str();
    let Some(record) = unit(change, &place.namespace, &place.unit)? else {
        return Ok(vec![(name.to_owned(), "it has no release here")]);
    };
    let mut tags_changed = false;
    let mut conflicts = Vec::new();
    let here = hooks_of_unit(change, place.key())?;
    if !hooks.hooks.is_empty() && here != *hooks {
        match here.hooks.is_empty() {
            true => hooks_of_unit_put(change, place.key(), hooks),
            false => conflicts.push((name.to_owned(), "its hooks document is another here")),
        }
    }
    for (it, version) in tags {
        let of = || format!("{name}:{}", it.as_str());
        match tag(change, place.key(), it)? {
            Some(here) if here == *version => {}
            Some(_) => conflicts.push((of(), "it points to another version here")),
            None if unit_release(change, place.key(), version)?.is_none() => {
                conflicts.push((of(), "the version that it points to is not here"));
            }
            None => {
                tag_put(change, place.key(), it, version);
                tags_changed = true;
            }
        }
    }
    if tags_changed {
        let record = UnitRecord { tag_changes: record.tag_changes + 1, ..record };
        unit_put(change, &place.namespace, &place.unit, &record);
    }
    Ok(conflicts)
}
