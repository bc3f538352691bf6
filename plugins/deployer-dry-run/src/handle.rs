//! What is remembered of an application: everything, since nothing else is kept.

use chandlery_sdk::deployer::{App, PluginError, Scope};
use serde::{Deserialize, Serialize};

use crate::program::Told;

/// The host takes 64 KiB, and the instances need some of it.
const TOLD_BYTES_MAX: usize = 32 << 10;
const COUNT_MAX: u32 = 1_000;

/// An application that would run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Handle {
    pub(crate) deployment_id: String,
    pub(crate) definition_name: String,
    pub(crate) resource: String,
    pub(crate) version: Option<String>,
    pub(crate) artifact_sha256: Option<String>,
    /// The operation that deployed or scaled it last.
    pub(crate) operation: String,
    /// When it was deployed.
    pub(crate) deployed_ms: u64,
    /// When each instance was started, by index.
    pub(crate) started: Vec<u64>,
    /// What its deployment properties say to us.
    pub(crate) told: Told,
    /// Its own properties, where they are to be shown.
    pub(crate) properties: Vec<(String, String)>,
}

impl Handle {
    pub(crate) fn new(
        scope: &Scope,
        app: &App,
        told: Told,
        report_properties: bool,
        now: u64,
    ) -> Result<Handle, PluginError> {
        let shown = app.application_properties.iter().filter(|_| report_properties);
        let mut handle = Handle {
            deployment_id: format!("{}.{}", app.group, app.definition_name),
            definition_name: app.definition_name.clone(),
            resource: app.resource.clone(),
            version: app.version.clone(),
            artifact_sha256: app.artifact.as_ref().map(|it| it.sha256.clone()),
            operation: scope.operation_id.clone(),
            deployed_ms: now,
            started: Vec::new(),
            told,
            properties: shown.map(|it| (it.key.clone(), it.value.clone())).collect(),
        };
        let size = handle.to_json().len();
        if size > TOLD_BYTES_MAX {
            let message = format!("its properties come to {size} bytes, and may {TOLD_BYTES_MAX}");
            return Err(PluginError::permanent("config", message));
        }
        handle.resize(app.count, now);
        Ok(handle)
    }

    pub(crate) fn read(json: &str) -> Result<Handle, PluginError> {
        let wrong =
            |it| PluginError::permanent("handle", format!("the handle cannot be read: {it}"));
        serde_json::from_str(json).map_err(wrong)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// When it was deployed, for what is counted from there.
    pub(crate) fn since(&self) -> Option<u64> {
        Some(self.deployed_ms)
    }

    /// New instances go on with the index; the highest go first.
    pub(crate) fn resize(&mut self, count: u32, now: u64) {
        self.started.resize(count.min(COUNT_MAX) as usize, now);
    }

    pub(crate) fn id(&self, index: usize) -> String {
        format!("{}-{index}", self.deployment_id)
    }
}
