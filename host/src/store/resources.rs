//! Resources of applications that were fetched: what lay at an address, so that it
//! need not be fetched again. Bounded in number and in bytes; what was used longest ago
//! goes first.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    blob_refs,
    view::{self, Change, Record, Table, Take, View},
};
use crate::error::Result;

/// SHA-256 of the address → [`FetchedResource`].
const RESOURCES: Table = Table("resources");
const COUNT_MAX: usize = 256;

/// What lay at an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchedResource {
    /// The address. Its query is left out: it may hold a token.
    pub location: String,
    /// The bytes.
    pub sha256: String,
    /// Their number.
    pub size: u64,
    /// What the server called them, where it gave them a strong `ETag`.
    pub etag: Option<String>,
    /// When they were last asked for, in milliseconds since the Unix epoch; told from
    /// time to time only.
    pub used_ms: u64,
    /// When they were last seen to be what lies there.
    #[serde(default)]
    pub checked_ms: u64,
}

impl Record for FetchedResource {
    const WHAT: &'static str = "fetched resource";
}

/// What lay there when it was fetched last.
pub fn find(view: &(impl View + ?Sized), location: &str) -> Result<Option<FetchedResource>> {
    view::find(view, RESOURCES, digest(location).as_bytes())
}

/// Keeps what lies there, as long as there is room for `bytes_max` bytes in all.
pub fn keep(
    change: &mut (impl Change + ?Sized),
    location: &str,
    resource: &FetchedResource,
    bytes_max: u64,
) -> Result<()> {
    let key = digest(location);
    if let Some(before) = find(change, location)?
        && before.sha256 != resource.sha256
    {
        blob_refs::release(change, &before.sha256, &owner(&key));
    }
    blob_refs::refer(change, &resource.sha256, &owner(&key));
    view::keep(change, RESOURCES, key.as_bytes(), resource);
    make_room(change, bytes_max)
}

fn make_room(change: &mut (impl Change + ?Sized), bytes_max: u64) -> Result<()> {
    let rows = change.range(RESOURCES, b"", b"", Take { reverse: false, limit: 2 * COUNT_MAX })?;
    let mut all = Vec::with_capacity(rows.len());
    for (key, value) in rows {
        all.push((key, view::decode::<FetchedResource>(&value)?));
    }
    all.sort_by_key(|(_, it)| std::cmp::Reverse(it.used_ms));
    let mut bytes = 0u64;
    for (index, (key, it)) in all.iter().enumerate() {
        bytes = bytes.saturating_add(it.size);
        if index >= COUNT_MAX || bytes > bytes_max {
            change.delete(RESOURCES, key);
            blob_refs::release(change, &it.sha256, &owner(&String::from_utf8_lossy(key)));
        }
    }
    Ok(())
}

fn owner(key: &str) -> String {
    format!("resource/{key}")
}

fn digest(location: &str) -> String {
    hex::encode(Sha256::digest(location))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn resource(name: &str, size: u64, used_ms: u64) -> FetchedResource {
        let sha256 = hex::encode(Sha256::digest(name));
        FetchedResource { location: name.into(), sha256, size, etag: None, used_ms, checked_ms: 0 }
    }

    async fn put(store: &Store, name: &'static str, it: FetchedResource, bytes_max: u64) {
        store.write_unaudited(move |change| keep(change, name, &it, bytes_max)).await.unwrap();
    }

    async fn known(store: &Store, name: &'static str) -> bool {
        store.read(move |view| Ok(find(view, name)?.is_some())).await.unwrap()
    }

    async fn is_needed(store: &Store, sha256: String) -> bool {
        store.read(move |view| blob_refs::is_needed(view, &sha256)).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_makes_room() {
        let store = Store::in_memory().await.unwrap();
        put(&store, "a", resource("a", 40, 1), 100).await;
        put(&store, "b", resource("b", 40, 2), 100).await;
        put(&store, "c", resource("c", 40, 3), 100).await;
        assert!(!known(&store, "a").await && known(&store, "b").await);
        assert!(!is_needed(&store, resource("a", 0, 0).sha256).await);
        assert!(is_needed(&store, resource("b", 0, 0).sha256).await);

        put(&store, "b", resource("other", 40, 4), 100).await;
        assert!(!is_needed(&store, resource("b", 0, 0).sha256).await);
        put(&store, "huge", resource("huge", 101, 5), 100).await;
        assert!(!known(&store, "huge").await, "what is larger than all the room is not kept");
    }

    #[tokio::test]
    async fn no_more_are_kept_than_there_are_places() {
        let store = Store::in_memory().await.unwrap();
        let write = store.write_unaudited(|change| {
            for at in 0..=COUNT_MAX {
                let name = at.to_string();
                keep(change, &name, &resource(&name, 1, at as u64), u64::MAX)?;
            }
            Ok(())
        });
        write.await.unwrap();
        assert!(!known(&store, "0").await && known(&store, "1").await);
    }
}
