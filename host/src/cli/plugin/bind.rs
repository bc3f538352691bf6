//! `chandlery plugin bind`: puts a plugin to work on a server.

use std::{fs, path::Path};

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    bindings::table,
    client::{Client, Named, Remote, cell},
};
use crate::error::{Error, Result};

/// The arguments.
#[derive(Args)]
pub(in crate::cli) struct Bind {
    /// The binding's name; one that is there becomes what is said here
    binding: String,
    /// The plugin, `name` or `name@version`; without a version the greatest
    plugin: Named,
    /// As what: `policy`, `renderer`, `deployer`, `before-hook`, `after-hook`
    /// [default: the plugin's kind, where it has one]
    #[arg(long)]
    kind: Option<String>,
    /// Where it stands among its kind, the lowest first
    #[arg(long, default_value_t, allow_negative_numbers = true)]
    order: i32,
    /// For hooks: an action that it is for, `*` for all. May be repeated
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<String>,
    /// For hooks: only what lies in this namespace. May be repeated
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// For hooks: only what belongs to this unit. May be repeated
    #[arg(long = "unit", value_name = "UNIT")]
    units: Vec<String>,
    /// The plugin's own settings: JSON, or `@FILE`
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,
    /// What it may reach: JSON, or `@FILE`
    #[arg(long, value_name = "JSON", default_value = "{}")]
    grants: String,
    /// What a failure means: `closed`, `open` or `ignore` [default: of its kind]
    #[arg(long, value_name = "MODE")]
    fail_mode: Option<String>,
    /// Is kept, and not in force yet
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Bind {
    /// Puts it to work.
    pub(super) fn run(&self) -> Result<()> {
        let settings = json_or_file("settings", &self.settings)?;
        let grants = json_or_file("grants", &self.grants)?;
        let bind = async |client: &Client| {
            let (version, kind) = self.chosen(client).await?;
            let spec = json!({
                "plugin": self.plugin.name,
                "version": version,
                "kind": kind,
                "order": self.order,
                "actions": self.actions,
                "namespaces": self.namespaces,
                "units": self.units,
                "settings": settings,
                "grants": grants,
                "fail_mode": self.fail_mode,
                "enabled": !self.disabled,
            });
            let path = format!("/api/v1/bindings/{}", self.binding);
            client.change(Method::PUT, &path, &spec, None).await
        };
        self.remote.run(bind, |it| table(&[it]))
    }

    /// The version and the kind: those that are given, or the only ones.
    async fn chosen(&self, client: &Client) -> Result<(String, String)> {
        let name = &self.plugin.name;
        if let (Some(version), Some(kind)) = (&self.plugin.version, &self.kind) {
            return Ok((version.clone(), kind.clone()));
        }
        let versions = client.get(&format!("/api/v1/plugins/{name}")).await?;
        let mut versions = versions["versions"].as_array().into_iter().flatten();
        let found = match &self.plugin.version {
            Some(version) => versions.find(|it| it["version"] == version.as_str()),
            None => versions.next(),
        };
        let Some(found) = found else {
            let version = self.plugin.version.as_deref().unwrap_or_default();
            return Err(Error::not_found("plugin", format!("{name} {version}")));
        };
        let kind = match (&self.kind, found["kinds"].as_array().map(Vec::as_slice)) {
            (Some(kind), _) => kind.clone(),
            (None, Some([kind])) => cell(kind),
            _ => {
                let message = format!("`{name}` can be `{}`: use `--kind`", cell(&found["kinds"]));
                return Err(Error::invalid("kind", message));
            }
        };
        Ok((cell(&found["version"]), kind))
    }
}

/// JSON that stands on the command line, or in a file.
pub(super) fn json_or_file(what: &str, text: &str) -> Result<Value> {
    let wrong = |it: &dyn std::fmt::Display| Error::invalid(what, format!("`--{what}`: {it}"));
    let text = match text.strip_prefix('@') {
        Some(path) => fs::read_to_string(Path::new(path)).map_err(|it| wrong(&it))?,
        None => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|it| wrong(&it))
}
