//! What a release says of itself: the Escape plan's words, unchanged.
//!
//! The order of the fields is the order on the wire. A list or map that is
//! `None` was sent as `null` and is answered as `null`; one that was not sent has
//! its default. Maps are sorted, as the original sorts them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The greatest `api_version` that is accepted, and the one taken where none is
/// sent. The Escape command line refuses to read a greater one.
pub const API_VERSION: i64 = 15;

/// Taken for `built_with_core_version` where none is sent: the version of
/// Escape's rules that this server keeps to.
pub const CORE_VERSION: &str = "0.15.6";

/// A list that may be `null`.
pub type List<T> = Option<Vec<T>>;

/// A map that may be `null`.
pub type Map<T> = Option<BTreeMap<String, T>>;

/// A release, as it is registered and answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct ReleaseMetadata {
    pub api_version: i64,
    pub built_with_core_version: String,
    pub built_with_escape_version: String,
    pub description: String,
    pub files: Option<BTreeMap<String, String>>,
    pub license: String,
    pub logo: String,
    #[schema(required)]
    pub name: String,
    pub repository: String,
    pub branch: String,
    pub git_revision: String,
    pub revision_message: String,
    pub revision_author: String,
    pub metadata: Option<BTreeMap<String, String>>,
    #[schema(required)]
    pub version: String,
    pub generates: Vec<String>,
    pub consumes: Option<Vec<Consumer>>,
    pub downloads: Option<Vec<Download>>,
    pub depends: Option<Vec<Dependency>>,
    #[schema(value_type = Option<BTreeMap<String, Errand>>)]
    pub errands: Option<BTreeMap<String, Option<Errand>>>,
    pub extends: Option<Vec<Extension>>,
    pub inputs: Option<Vec<Variable>>,
    pub outputs: Option<Vec<Variable>>,
    pub project: String,
    pub provides: Option<Vec<Provider>>,
    pub stages: Option<BTreeMap<String, ExecStage>>,
    pub templates: Option<Vec<Option<Template>>>,
    pub variable_context: Option<BTreeMap<String, String>>,
}

/// Something that a deployment must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Consumer {
    pub name: String,
    pub scopes: Option<Vec<String>>,
    pub variable: String,
    pub skip_activate: bool,
    pub skip_deactivate: bool,
}

/// A file to fetch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Download {
    pub url: String,
    pub dest: String,
    pub overwrite: bool,
    pub if_not_exists: Option<Vec<String>>,
    pub unpack: bool,
    pub platform: String,
    pub arch: String,
    pub scopes: Option<Vec<String>>,
}

/// Another release that this one needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Dependency {
    pub release_id: String,
    pub mapping: Option<BTreeMap<String, Value>>,
    pub build_mapping: Option<BTreeMap<String, Value>>,
    pub deploy_mapping: Option<BTreeMap<String, Value>>,
    pub consumes: Option<BTreeMap<String, String>>,
    pub deployment_name: String,
    pub variable: String,
    pub scopes: Option<Vec<String>>,
}

/// Another release that this one builds on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Extension {
    pub release_id: String,
}

/// Something that this release gives to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Provider {
    pub name: String,
}

/// A task to run against a deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Errand {
    pub name: String,
    pub description: String,
    pub script: String,
    pub exec_stage: Option<ExecStage>,
    pub inputs: Option<Vec<Option<Variable>>>,
}

/// An input or an output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Variable {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub default: Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub friendly: String,
    pub visible: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub sensitive: bool,
    pub items: Value,
    pub eval_before_dependencies: bool,
    pub scopes: Option<Vec<String>>,
}

/// What a stage runs: at most one of a command, an inline script, a script file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct ExecStage {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cmd: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inline: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub script: String,
}

/// A file to render.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "the words of the Escape plan, documented with it")]
pub struct Template {
    pub file: String,
    pub target: String,
    pub scopes: Option<Vec<String>>,
    pub mapping: Option<BTreeMap<String, Value>>,
}

/// Where a part of a release counts unless it says otherwise.
pub fn both_scopes() -> List<String> {
    Some(vec!["build".to_owned(), "deploy".to_owned()])
}

impl Default for ReleaseMetadata {
    fn default() -> Self {
        ReleaseMetadata {
            api_version: API_VERSION,
            built_with_core_version: CORE_VERSION.to_owned(),
            built_with_escape_version: String::new(),
            description: String::new(),
            files: Some(BTreeMap::new()),
            license: String::new(),
            logo: String::new(),
            name: String::new(),
            repository: String::new(),
            branch: String::new(),
            git_revision: String::new(),
            revision_message: String::new(),
            revision_author: String::new(),
            metadata: Some(BTreeMap::new()),
            version: String::new(),
            generates: Vec::new(),
            consumes: Some(Vec::new()),
            downloads: None,
            depends: Some(Vec::new()),
            errands: Some(BTreeMap::new()),
            extends: Some(Vec::new()),
            inputs: Some(Vec::new()),
            outputs: Some(Vec::new()),
            project: "_".to_owned(),
            provides: Some(Vec::new()),
            stages: Some(BTreeMap::new()),
            templates: Some(Vec::new()),
            variable_context: Some(BTreeMap::new()),
        }
    }
}

fn is_false(it: &bool) -> bool {
    !it
}
