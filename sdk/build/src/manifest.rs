//! `chandlery.toml`: what a plugin says of itself before any of its code runs.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What may be asked for, besides `log` and `metrics`, which are always there.
/// Two are no imports: with `mutate` a before-hook asks to change what it sees, with
/// `documents` an after-hook to be told the hooks documents of namespaces and units.
const CAPABILITIES: [&str; 8] =
    ["http", "secrets", "clock", "random", "artifacts", "process", "mutate", "documents"];

/// What the component's custom section `chandlery:manifest` holds, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// From `Cargo.toml`.
    pub name: String,
    /// From `Cargo.toml`.
    pub version: String,
    /// What it is.
    pub kinds: Vec<Kind>,
    /// One sentence.
    pub description: String,
    /// For hooks: the actions that it wants to see; `*` is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// What it asks for, each with the reason why.
    pub capabilities: BTreeMap<String, String>,
    /// The JSON Schema of its settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
    /// The versions of the host that it works with.
    #[serde(rename = "requires-host", skip_serializing_if = "Option::is_none")]
    pub requires_host: Option<String>,
}

/// A kind of plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Decides who may do what.
    Policy,
    /// Makes text of templates.
    Renderer,
    /// Runs applications.
    Deployer,
    /// Asked before.
    BeforeHook,
    /// Told after.
    AfterHook,
}

impl Kind {
    /// The interface that it exports.
    pub fn interface(self) -> &'static str {
        match self {
            Kind::Policy => "policy",
            Kind::Renderer => "renderer",
            Kind::Deployer => "deployer",
            Kind::BeforeHook => "validating",
            Kind::AfterHook => "notifying",
        }
    }

    /// Whether a plugin of this kind can be granted that capability.
    fn may_have(self, capability: &str) -> bool {
        match self {
            Kind::Policy | Kind::Renderer => false,
            Kind::Deployer => !matches!(capability, "mutate" | "documents"),
            Kind::BeforeHook => !matches!(capability, "process" | "documents"),
            Kind::AfterHook => !matches!(capability, "process" | "mutate"),
        }
    }
}

/// `chandlery.toml`, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    kinds: Vec<Kind>,
    description: String,
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    capabilities: BTreeMap<String, String>,
    settings: Option<Settings>,
    requires_host: Option<String>,
}

/// The schema itself, or the file that holds it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Settings {
    File(String),
    Schema(toml::Table),
}

impl Manifest {
    /// Reads the `chandlery.toml` in `dir`.
    pub fn read(dir: &Path, name: String, version: String) -> Result<Manifest> {
        let path = dir.join("chandlery.toml");
        let wrong = |what: String| Error(format!("`{}`: {what}", path.display()));
        let text =
            fs::read_to_string(&path).map_err(|it| wrong(format!("cannot be read: {it}")))?;
        let written: Written = toml::from_str(&text).map_err(|it| wrong(it.to_string()))?;
        check(&written).map_err(wrong)?;
        let settings = match written.settings {
            None => None,
            Some(Settings::Schema(table)) => {
                Some(serde_json::to_value(table).map_err(|it| wrong(format!("`settings`: {it}")))?)
            }
            Some(Settings::File(file)) => Some(schema(&dir.join(file)).map_err(wrong)?),
        };
        Ok(Manifest {
            name,
            version,
            kinds: written.kinds,
            description: written.description,
            actions: written.actions,
            capabilities: written.capabilities,
            settings,
            requires_host: written.requires_host,
        })
    }

    /// The text of the custom section.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a manifest holds nothing that JSON cannot")
    }
}

fn schema(path: &Path) -> std::result::Result<serde_json::Value, String> {
    let failed =
        |it: &dyn std::fmt::Display| format!("`settings` names `{}`: {it}", path.display());
    let text = fs::read_to_string(path).map_err(|it| failed(&it))?;
    serde_json::from_str(&text).map_err(|it| failed(&it))
}

fn check(written: &Written) -> std::result::Result<(), String> {
    if written.kinds.is_empty() {
        return Err("`kinds` is empty: name at least one".to_owned());
    }
    if written.description.trim().is_empty() {
        return Err("`description` is empty: say in a sentence what the plugin does".to_owned());
    }
    let is_hook = |it: &Kind| matches!(it, Kind::BeforeHook | Kind::AfterHook);
    if !written.actions.is_empty() && !written.kinds.iter().any(is_hook) {
        return Err("`actions` is for hooks: leave it out".to_owned());
    }
    for (capability, reason) in &written.capabilities {
        if !CAPABILITIES.contains(&capability.as_str()) {
            let known = CAPABILITIES.join("`, `");
            return Err(format!("`capabilities.{capability}` is not known: there are `{known}`"));
        }
        if !written.kinds.iter().any(|kind| kind.may_have(capability)) {
            return Err(format!(
                "`capabilities.{capability}` cannot be had by a plugin of these kinds"
            ));
        }
        if reason.trim().is_empty() {
            return Err(format!("`capabilities.{capability}` is empty: say why it is needed"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Written, String> {
        let written: Written = toml::from_str(text).map_err(|it| it.to_string())?;
        check(&written).map(|()| written)
    }

    fn refused(text: &str, because: &str) {
        let said = read(text).err().unwrap_or_default();
        assert!(said.contains(because), "{text:?} → {said:?}");
    }

    #[test]
    fn what_is_asked_for_comes_with_reasons() {
        let text = "kinds = ['before-hook', 'after-hook']\ndescription = 'x'\nactions = ['*']\n\
                    [capabilities]\nhttp = 'posts events'";
        assert_eq!(read(text).unwrap().capabilities["http"], "posts events");
        refused("kinds = ['after-hook']\ndescription = 'x'\ncapabilities.http = ' '", "say why");
        refused(
            "kinds = ['after-hook']\ndescription = 'x'\ncapabilities.disk = 'y'",
            "is not known",
        );
    }

    #[test]
    fn pure_kinds_ask_for_nothing() {
        refused("kinds = ['policy']\ndescription = 'x'\ncapabilities.clock = 'y'", "cannot be had");
        refused(
            "kinds = ['after-hook']\ndescription = 'x'\ncapabilities.process = 'y'",
            "cannot be had",
        );
        refused("kinds = ['policy']\ndescription = 'x'\nactions = ['*']", "for hooks");
    }

    #[test]
    fn a_manifest_says_what_the_plugin_is() {
        refused("kinds = []\ndescription = 'x'", "`kinds` is empty");
        refused("kinds = ['policy']\ndescription = ''", "`description` is empty");
        refused("kinds = ['cook']\ndescription = 'x'", "cook");
        refused("kinds = ['policy']\ndescription = 'x'\ncolour = 'red'", "colour");
    }
}
