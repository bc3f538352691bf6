//! What releases provide: by the provider's name, and by unit.
//!
//! Of each unit and name only the greatest version is kept that ever provided it.
//! A name is any text, so keys hold its digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Change, Record, Table, Take, View, decode, keep, prefix,
    unit_releases::{UnitKey, kept_version},
};
use crate::{error::Result, inventory::Version};

// (SHA-256 of the provider's name, `namespace/unit-v1.0`) -> ProviderRecord. The text
// is there for its order, which is that of the answer.
pub(super) const PROVIDERS: Table = Table("providers");

// (namespace, unit, SHA-256 of the provider's name) -> the text of the version that is
// in PROVIDERS.
pub(super) const PROVIDED: Table = Table("provided");

/// A release that provides something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderRecord {
    /// The namespace.
    pub namespace: String,
    /// The unit.
    pub unit: String,
    /// The version.
    pub version: String,
    /// What the release says of itself.
    pub description: String,
}

impl Record for ProviderRecord {
    const WHAT: &'static str = "provider";
}

/// Some providers by release id, and where to go on.
pub struct ProvidersPage {
    /// Each under its release id.
    pub rows: Vec<(String, ProviderRecord)>,
    /// Where the next page begins; absent after the last.
    pub next: Option<Vec<u8>>,
}

/// Keeps that a release provides something, unless a version that is not less did.
pub fn provider_put(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    description: &str,
    name: &str,
) -> Result<()> {
    let digest = Sha256::digest(name);
    let provided = provided_key(unit, &digest);
    if let Some(known) = change.get(PROVIDED, &provided)? {
        let known = kept_version(&known)?;
        if known.order(version).is_ge() {
            return Ok(());
        }
        change.delete(PROVIDERS, &provider_key(&digest, unit, &known));
    }
    change.put(PROVIDED, &provided, version.as_str().into());
    let record = ProviderRecord {
        namespace: unit.namespace.to_string(),
        unit: unit.name.to_string(),
        version: version.to_string(),
        description: description.to_owned(),
    };
    keep(change, PROVIDERS, &provider_key(&digest, unit, version), &record);
    Ok(())
}

/// A page of what provides that name, by release id; the first page without `at`.
pub fn providers_page(
    view: &dyn View,
    name: &str,
    at: Option<Vec<u8>>,
    limit: usize,
) -> Result<ProvidersPage> {
    let digest = Sha256::digest(name);
    let from = at.unwrap_or_else(|| digest.to_vec());
    // Behind every text.
    let to = [&digest[..], &[u8::MAX]].concat();
    let rows = view.range(PROVIDERS, &from, &to, Take { reverse: false, limit })?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| [key, &[0][..]].concat());
    let provider = |(key, value): (Vec<u8>, Vec<u8>)| {
        let id = String::from_utf8_lossy(&key[digest.len()..]).into_owned();
        Ok((id, decode(&value)?))
    };
    let rows = rows.into_iter().map(provider).collect::<Result<_>>()?;
    Ok(ProvidersPage { rows, next })
}

/// Drops that a release provides something, if it is the one that is kept.
pub fn provider_delete(
    change: &mut dyn Change,
    unit: UnitKey<'_>,
    version: &Version,
    name: &str,
) -> Result<()> {
    let digest = Sha256::digest(name);
    let provided = provided_key(unit, &digest);
    if change.get(PROVIDED, &provided)?.is_some_and(|it| it == version.as_str().as_bytes()) {
        change.delete(PROVIDED, &provided);
        change.delete(PROVIDERS, &provider_key(&digest, unit, version));
    }
    Ok(())
}

fn provider_key(digest: &[u8], unit: UnitKey<'_>, version: &Version) -> Vec<u8> {
    [digest, format!("{}/{}-v{version}", unit.namespace, unit.name).as_bytes()].concat()
}

fn provided_key(unit: UnitKey<'_>, digest: &[u8]) -> Vec<u8> {
    let (start, _) = prefix(&[unit.namespace.as_str(), unit.name.as_str()]);
    [&start, digest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inventory::UnitPlace, store::in_memory::Rows};

    fn place(text: &str) -> UnitPlace {
        let (namespace, unit) = text.split_once('/').unwrap();
        UnitPlace::parse(namespace, unit).unwrap()
    }

    fn provides(rows: &mut Rows, unit: &str, version: &str, name: &str) {
        let (unit, version) = (place(unit), Version::parse(version).unwrap());
        let description = format!("says {version}");
        provider_put(rows, unit.key(), &version, &description, name).unwrap();
    }

    fn listed(rows: &Rows, name: &str, limit: usize) -> Vec<String> {
        let (mut at, mut all) = (None, Vec::new());
        loop {
            let page = providers_page(rows, name, at, limit).unwrap();
            for (id, it) in &page.rows {
                assert_eq!(*id, format!("{}/{}-v{}", it.namespace, it.unit, it.version));
                assert_eq!(it.description, format!("says {}", it.version));
                all.push(id.clone());
            }
            at = page.next;
            if at.is_none() {
                return all;
            }
        }
    }

    #[test]
    fn the_greatest_version_that_ever_provided_is_kept() {
        let mut rows = Rows::default();
        for version in ["1.2", "1.10", "1.9", "0.1", "1.010"] {
            provides(&mut rows, "ns/lib", version, "api");
        }
        provides(&mut rows, "ns/lib", "3", "other");
        assert_eq!(listed(&rows, "api", 10), ["ns/lib-v1.10"]);
        assert_eq!(listed(&rows, "other", 10), ["ns/lib-v3"]);
    }

    #[test]
    fn names_are_compared_whole_and_may_be_anything() {
        let mut rows = Rows::default();
        let names = ["", "a", "a\0", "a\0b", "ä", &"x".repeat(100_000)];
        for (at, name) in names.iter().enumerate() {
            provides(&mut rows, &format!("ns/u{at}"), "1", name);
        }
        for (at, name) in names.iter().enumerate() {
            assert_eq!(listed(&rows, name, 10), [format!("ns/u{at}-v1")], "{name:?}");
        }
        assert_eq!(listed(&rows, "b", 10), Vec::<String>::new());
    }

    #[test]
    fn providers_are_listed_in_the_order_of_their_ids() {
        let mut rows = Rows::default();
        let units = ["ab/lib", "ab-c/lib", "ab/lib-1", "ab/lib-v1", "ab/lib0", "zz/aa", "_/lib"];
        for unit in units {
            provides(&mut rows, unit, "10", "api");
        }
        let mut expected = units.map(|it| format!("{it}-v10"));
        expected.sort();
        for limit in [1, 2, 100] {
            assert_eq!(listed(&rows, "api", limit), expected);
        }
    }

    #[test]
    fn what_a_release_provides_goes_with_it() {
        let mut rows = Rows::default();
        let mut all = vec![("ns/lib", "1", "a"), ("ns/lib", "2", "a"), ("ns/lib", "1", "b")];
        all.extend([("ns/lib-x", "1", "a"), ("n2/lib", "1", "a")]);
        for (unit, version, name) in &all {
            provides(&mut rows, unit, version, name);
        }
        let delete = |rows: &mut Rows, (unit, version, name): (&str, &str, &str)| {
            let version = Version::parse(version).unwrap();
            provider_delete(rows, place(unit).key(), &version, name).unwrap();
        };
        delete(&mut rows, ("ns/lib", "1", "a"));
        assert_eq!(listed(&rows, "a", 10), ["n2/lib-v1", "ns/lib-v2", "ns/lib-x-v1"]);
        delete(&mut rows, ("ns/lib", "2", "a"));
        assert_eq!(listed(&rows, "a", 10), ["n2/lib-v1", "ns/lib-x-v1"]);
        assert_eq!(listed(&rows, "b", 10), ["ns/lib-v1"]);
        for it in all {
            delete(&mut rows, it);
        }
        assert_eq!(rows.len(), 0);
    }
}
