//! Secrets that the operator bound to a plugin by name.

use serde::{Deserialize, Serialize};

use crate::plugins::types::SecretError;

/// Which secrets a binding may use, and which it may read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Names usable as `{secret:NAME}` in an HTTP header.
    pub r#use: Vec<String>,
    /// Names that may be read, too.
    pub reveal: Vec<String>,
}

/// The secrets of one binding: names, and where each comes from.
#[derive(Clone, Default)]
pub struct Secrets {}

impl Secrets {
    /// Hands over a secret that may be read.
    pub fn reveal(&self, _name: &str) -> Result<Vec<u8>, SecretError> {
        todo!("the capabilities helper fills this in")
    }
}
