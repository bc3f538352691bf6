//! Stored bytes, read only, in ranges.

use serde::{Deserialize, Serialize};

use crate::{
    blobs::Blobs,
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

/// The reader.
pub struct Artifacts {
    /// Where inventory addresses are looked up.
    pub store: Store,
    /// Where the bytes are.
    pub blobs: Blobs,
}

impl Artifacts {
    /// Looks at an artifact.
    pub async fn stat(&self, _grant: &Grant, _uri: &str) -> Result<ArtifactInfo, ArtifactError> {
        todo!("the capabilities helper fills this in")
    }

    /// Reads at most `len` bytes from `offset`.
    pub async fn read(
        &self,
        _grant: &Grant,
        _uri: &str,
        _offset: u64,
        _len: u32,
    ) -> Result<Vec<u8>, ArtifactError> {
        todo!("the capabilities helper fills this in")
    }
}
