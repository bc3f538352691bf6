//! Stored bytes, read only, in ranges.

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::{
    blobs::Blobs,
    error::{Error, Result},
    plugins::types::{ArtifactError, ArtifactInfo},
    store::Store,
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
        let mut chunks = self.blobs.get(&sha256, offset..end).await.map_err(unavailable)?;
        let mut bytes = Vec::with_capacity((end - offset) as usize);
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(unavailable)?);
        }
        Ok(bytes)
    }

    async fn find(&self, grant: &Grant, uri: &str) -> Result<(String, u64), ArtifactError> {
        let all = grant.namespaces.iter().any(|it| it == "*");
        let Some(sha256) = uri.strip_prefix("sha256:") else {
            return Err(ArtifactError::NotFound);
        };
        if !all {
            return Err(ArtifactError::Denied);
        }
        if sha256.len() != 64 || !sha256.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(ArtifactError::NotFound);
        }
        let sha256 = sha256.to_ascii_lowercase();
        let size = self.blobs.size(&sha256).await.map_err(unavailable)?;
        Ok((sha256, size.ok_or(ArtifactError::NotFound)?))
    }
}

fn unavailable(error: Error) -> ArtifactError {
    ArtifactError::Unavailable(error.to_string())
}
