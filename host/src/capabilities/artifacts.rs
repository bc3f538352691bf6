//! Stored bytes, read only, in ranges.

use std::sync::Arc;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::faked::Faked;
use crate::{
    blobs::Blobs,
    error::{Error, Result},
    inventory::{UnitPlace, VersionQuery, meant},
    plugins::types::{ArtifactError, ArtifactInfo},
    store::{
        Store, View,
        unit_releases::{PackageRecord, unit_release},
    },
};

/// Which bytes a binding may read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Inventory namespaces; `*` is all. Blobs by digest need `*`.
    pub namespaces: Vec<String>,
}

/// The most that one read hands over.
const READ_BYTES_MAX: u32 = 4 << 20;

/// The reader.
pub struct Artifacts {
    /// Where inventory addresses are looked up.
    pub store: Store,
    /// Where the bytes are.
    pub blobs: Blobs,
    /// What stands in for both; only in tests of plugins.
    pub faked: Option<Arc<dyn Faked>>,
}

impl Artifacts {
    /// Looks at an artifact.
    pub async fn stat(&self, grant: &Grant, uri: &str) -> Result<ArtifactInfo, ArtifactError> {
        let (sha256, size) = self.find(grant, uri).await?;
        let media_type = "application/octet-stream".to_owned();
        Ok(ArtifactInfo { size, sha256, media_type })
    }

    /// Reads at most `len` bytes from `offset`.
    pub async fn read(
        &self,
        grant: &Grant,
        uri: &str,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ArtifactError> {
        let (sha256, size) = self.find(grant, uri).await?;
        if offset > size {
            return Err(ArtifactError::Range);
        }
        let end = size.min(offset + u64::from(len.min(READ_BYTES_MAX)));
        if let Some(faked) = &self.faked {
            let bytes = faked.artifact(uri).unwrap_or_default();
            return Ok(bytes[offset as usize..end as usize].to_owned());
        }
        let mut chunks = self.blobs.get(&sha256, offset..end).await.map_err(unavailable)?;
        let mut bytes = Vec::with_capacity((end - offset) as usize);
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(unavailable)?);
        }
        Ok(bytes)
    }

    /// The digest and the size of what an address means.
    async fn find(&self, grant: &Grant, uri: &str) -> Result<(String, u64), ArtifactError> {
        if let Some(rest) = uri.strip_prefix("inventory://") {
            return self.find_in_inventory(grant, rest).await;
        }
        if !grant.covers("*") {
            return Err(ArtifactError::Denied);
        }
        if let Some(faked) = &self.faked {
            return found(faked.artifact(uri));
        }
        let sha256 = uri.strip_prefix("sha256:").unwrap_or_default().to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(ArtifactError::NotFound);
        }
        let size = self.blobs.size(&sha256).await.map_err(unavailable)?;
        Ok((sha256, size.ok_or(ArtifactError::NotFound)?))
    }

    async fn find_in_inventory(
        &self,
        grant: &Grant,
        rest: &str,
    ) -> Result<(String, u64), ArtifactError> {
        let parts: Vec<&str> = rest.split('/').collect();
        let [namespace, unit, version] = parts.as_slice() else {
            return Err(ArtifactError::NotFound);
        };
        if !grant.covers(namespace) {
            return Err(ArtifactError::Denied);
        }
        if let Some(faked) = &self.faked {
            return found(faked.artifact(&format!("inventory://{rest}")));
        }
        let place = UnitPlace::parse(namespace, unit).map_err(|_| ArtifactError::NotFound)?;
        let query = VersionQuery::parse(version);
        let found = self.store.read(move |view| package(view, &place, query));
        let package = found.await.map_err(unavailable)?.ok_or(ArtifactError::NotFound)?;
        Ok((package.sha256, package.size))
    }
}

impl Grant {
    fn covers(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|it| it == "*" || it == namespace)
    }
}

/// What `find` says of bytes that are there.
fn found(bytes: Option<Vec<u8>>) -> Result<(String, u64), ArtifactError> {
    let bytes = bytes.ok_or(ArtifactError::NotFound)?;
    Ok((hex::encode(Sha256::digest(&bytes)), bytes.len() as u64))
}

fn package(
    view: &dyn View,
    place: &UnitPlace,
    query: VersionQuery,
) -> Result<Option<PackageRecord>> {
    let Some(version) = meant(view, place, query)? else { return Ok(None) };
    Ok(unit_release(view, place.key(), &version)?.and_then(|it| it.package))
}

fn unavailable(error: Error) -> ArtifactError {
    ArtifactError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn artifacts(folder: &std::path::Path) -> (Artifacts, String) {
        let store = Store::open(&folder.join("store")).await.unwrap();
        let blobs = Blobs::open(&folder.join("blobs")).await.unwrap();
        let body = futures::stream::iter([Ok(Bytes::from_static(b"hello"))]);
        let stored = blobs.put(body, 100).await.unwrap();
        (Artifacts { store, blobs, faked: None }, format!("sha256:{}", stored.sha256))
    }

    fn grant(namespaces: &[&str]) -> Grant {
        Grant { namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect() }
    }

    #[tokio::test]
    async fn an_empty_grant_reads_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (artifacts, uri) = artifacts(folder.path()).await;
        for uri in [uri.as_str(), "inventory://acme/web/1.0", "inventory://acme/web/latest"] {
            let refused = artifacts.stat(&Grant::default(), uri).await;
            assert_eq!(refused, Err(ArtifactError::Denied), "{uri}");
            let refused = artifacts.read(&Grant::default(), uri, 0, 10).await;
            assert_eq!(refused, Err(ArtifactError::Denied), "{uri}");
        }
        assert_eq!(artifacts.stat(&grant(&["acme"]), &uri).await, Err(ArtifactError::Denied));
        let other = artifacts.stat(&grant(&["acme"]), "inventory://other/web/1.0").await;
        assert_eq!(other, Err(ArtifactError::Denied));
    }

    #[tokio::test]
    async fn bytes_are_read_in_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let (artifacts, uri) = artifacts(folder.path()).await;
        let all = grant(&["*"]);
        assert_eq!(artifacts.stat(&all, &uri).await.unwrap().size, 5);
        assert_eq!(artifacts.read(&all, &uri, 1, 3).await.unwrap(), b"ell");
        assert_eq!(artifacts.read(&all, &uri, 3, u32::MAX).await.unwrap(), b"lo");
        assert_eq!(artifacts.read(&all, &uri, 5, 1).await.unwrap(), b"");
        assert_eq!(artifacts.read(&all, &uri, 6, 1).await, Err(ArtifactError::Range));
        for missing in [
            "",
            "sha256:",
            "sha256:../x",
            "file:/etc/passwd",
            "inventory://acme/web",
            "inventory://acme/web/1.0",
            "inventory://../web/1.0",
        ] {
            assert_eq!(
                artifacts.stat(&all, missing).await,
                Err(ArtifactError::NotFound),
                "{missing}"
            );
        }
    }
}
