//! What a release needs, as its metadata names it.

use std::collections::BTreeSet;

use super::{
    metadata::{Dependency, List, ReleaseMetadata},
    names::{NamespaceName, UnitName},
    release_id::{ReleaseId, Which},
    resolve::UnitPlace,
    version::Version,
};
use crate::{
    error::{Error, Result},
    store::{
        Change,
        dependencies::{
            Dependant, DependencyRecord, downstream_delete, downstream_put, subscriptions_replace,
        },
        providers::{provider_delete, provider_put},
        unit_releases::UnitKey,
    },
};

/// A release that another one names as its dependency or extension. It need not
/// exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Which one.
    pub id: ReleaseId,
    /// How it is needed.
    pub how: DependencyRecord,
}

/// What a release needs and gives, made ready to be kept.
pub struct Ties {
    needs: Vec<(UnitPlace, Version, DependencyRecord)>,
    units: BTreeSet<UnitPlace>,
    provides: BTreeSet<String>,
    description: String,
}

impl Ties {
    /// Reads the metadata of a kept release.
    pub fn read(metadata: &[u8]) -> Result<Ties> {
        Ok(Ties::of(&kept(metadata)?))
    }

    /// Reads a release. What can never exist is left out.
    pub(super) fn of(release: &ReleaseMetadata) -> Ties {
        let (mut needs, mut units) = (Vec::new(), BTreeSet::new());
        for Upstream { id, how } in upstream(release) {
            let names = (NamespaceName::parse(&id.project), UnitName::parse(&id.name));
            let (Ok(namespace), Ok(unit)) = names else { continue };
            let place = UnitPlace { namespace, unit };
            if let Which::Version(version) = &id.which
                && let Some(version) = Version::parse(version)
            {
                needs.push((place.clone(), version, how));
            }
            units.insert(place);
        }
        let provides = release.provides.iter().flatten().map(|it| it.name.clone()).collect();
        Ties { needs, units, provides, description: release.description.clone() }
    }

    /// Keeps them for the release that is being registered.
    pub(super) fn insert(
        &self,
        change: &mut dyn Change,
        unit: UnitKey<'_>,
        version: &Version,
        recorded: u64,
    ) -> Result<()> {
        let dependant = Dependant { unit, version, recorded };
        for (needed, its_version, how) in &self.needs {
            downstream_put(change, needed.key(), its_version, dependant, *how);
        }
        subscriptions_replace(change, unit, &self.units)?;
        for name in &self.provides {
            provider_put(change, unit, version, &self.description, name)?;
        }
        Ok(())
    }

    /// Drops them, with the release. What its unit subscribes to is the unit's.
    pub fn delete(
        &self,
        change: &mut dyn Change,
        unit: UnitKey<'_>,
        version: &Version,
        recorded: u64,
    ) -> Result<()> {
        let dependant = Dependant { unit, version, recorded };
        for (needed, its_version, _) in &self.needs {
            downstream_delete(change, needed.key(), its_version, dependant);
        }
        for name in &self.provides {
            provider_delete(change, unit, version, name)?;
        }
        Ok(())
    }
}

/// Reads the metadata of a kept release.
pub(super) fn kept(metadata: &[u8]) -> Result<ReleaseMetadata> {
    serde_json::from_slice(metadata).map_err(|it| Error::store("reading a release's metadata", it))
}

/// The releases that a release needs: its dependencies, then its extensions, each
/// release once, as it is named first.
pub fn upstream(release: &ReleaseMetadata) -> Vec<Upstream> {
    let depends = release.depends.iter().flatten().map(|it| (&it.release_id, how(it)));
    let extension = DependencyRecord { build: true, deploy: true, is_extension: true };
    let extends = release.extends.iter().flatten().map(|it| (&it.release_id, extension));
    let mut seen = BTreeSet::new();
    let mut upstream = Vec::new();
    for (id, how) in depends.chain(extends) {
        // Registered releases hold no others.
        let Ok(id) = ReleaseId::parse(id) else { continue };
        if seen.insert(id.to_string()) {
            upstream.push(Upstream { id, how });
        }
    }
    upstream
}

fn how(dependency: &Dependency) -> DependencyRecord {
    let within = |scopes: &List<String>, scope| scopes.iter().flatten().any(|it| it == scope);
    DependencyRecord {
        build: within(&dependency.scopes, "build"),
        deploy: within(&dependency.scopes, "deploy"),
        is_extension: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::metadata::Extension;

    fn release(depends: &[(&str, &[&str])], extends: &[&str]) -> ReleaseMetadata {
        let depends = depends.iter().map(|(id, scopes)| Dependency {
            release_id: (*id).to_owned(),
            scopes: Some(scopes.iter().map(|it| (*it).to_owned()).collect()),
            ..Dependency::default()
        });
        let extends = extends.iter().map(|it| Extension { release_id: (*it).to_owned() });
        ReleaseMetadata {
            depends: Some(depends.collect()),
            extends: Some(extends.collect()),
            ..ReleaseMetadata::default()
        }
    }

    fn shown(release: &ReleaseMetadata) -> Vec<(String, [bool; 3])> {
        let flags = |it: DependencyRecord| [it.build, it.deploy, it.is_extension];
        upstream(release).iter().map(|it| (it.id.to_string(), flags(it.how))).collect()
    }

    #[test]
    fn each_release_counts_once_as_it_is_named_first() {
        let release = release(
            &[
                ("p/lib-v1", &["deploy"]),
                ("p/lib-v1", &["build"]),
                ("lib-v1", &["build", "deploy"]),
                ("p/lib-v1.0", &["other"]),
            ],
            &["p/base-v2", "p/lib-v1", "base-v2", "_/base-v2"],
        );
        let expected = [
            ("p/lib-v1", [false, true, false]),
            ("_/lib-v1", [true, true, false]),
            ("p/lib-v1.0", [false, false, false]),
            ("p/base-v2", [true, true, true]),
            ("_/base-v2", [true, true, true]),
        ];
        assert_eq!(shown(&release), expected.map(|(id, flags)| (id.to_owned(), flags)));
    }

    #[test]
    fn only_what_can_exist_has_ties() {
        let release = release(
            &[("ns/lib-v1", &[]), ("ns/a/b-v1", &[]), ("Bad/lib-v1", &[]), ("ns/x-v1", &[])],
            &["ns/base-latest", "ns/base:live", "ns/base-v1.@"],
        );
        let ties = Ties::of(&release);
        let needs: Vec<_> = ties.needs.iter().map(|(it, _, _)| it.unit.as_str()).collect();
        assert_eq!(needs, ["lib"]);
        let units: Vec<_> = ties.units.iter().map(|it| it.unit.as_str()).collect();
        assert_eq!(units, ["base", "lib"]);
    }
}
