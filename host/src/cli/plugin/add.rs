//! `chandlery plugin add`, `list` and `remove`: what is installed on a server.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::{
    client::{Named, Remote, cell, columns},
    read,
};
use crate::{
    error::{Error, Result},
    plugins::inspect::facts,
};

const PLUGINS: &str = "/api/v1/plugins";

/// The arguments of `add`.
#[derive(Args)]
pub(in crate::cli) struct Add {
    /// The component, a `.wasm` file
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// The plugin's name [default: that of the component's manifest]
    #[arg(long)]
    name: Option<String>,
    /// Its version [default: that of the component's manifest]
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// The arguments of `list`.
#[derive(Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    remote: Remote,
}

/// The arguments of `remove`.
#[derive(Args)]
pub(in crate::cli) struct Remove {
    /// The plugin and its version: `name@version`
    #[arg(value_name = "PLUGIN")]
    plugin: Named,
    #[command(flatten)]
    remote: Remote,
}

impl Add {
    /// Installs the component.
    pub(super) fn run(&self) -> Result<()> {
        let component = read(&self.component)?;
        let said = facts(&component).ok();
        let of = |given: &Option<String>, said: Option<String>, what: &str| {
            given.clone().or(said.filter(|it| !it.is_empty())).ok_or_else(|| {
                let path = self.component.display();
                Error::invalid(what, format!("`{path}` does not say its {what}: use `--{what}`"))
            })
        };
        let name = of(&self.name, said.as_ref().map(|it| it.name.clone()), "name")?;
        let version = of(&self.version, said.as_ref().map(|it| it.version.clone()), "version")?;
        let mut query = Serializer::new(String::new());
        query.append_pair("name", &name).append_pair("version", &version);
        if let Some(said) = &said {
            query.append_pair("sha256", &said.sha256);
        }
        let path = format!("{PLUGINS}?{}", query.finish());
        self.remote.run(async |it| it.upload(&path, component).await, |it| table(&[it]))
    }
}

impl List {
    /// Lists what is installed, and what the server brought along.
    pub(super) fn run(&self) -> Result<()> {
        let all = |it: &Value| table(&it.as_array().into_iter().flatten().collect::<Vec<_>>());
        self.remote.run(async |it| it.all(PLUGINS).await, all)
    }
}

impl Remove {
    /// Removes a version.
    pub(super) fn run(&self) -> Result<()> {
        let Named { name, version } = &self.plugin;
        let Some(version) = version else {
            return Err(Error::invalid("plugin", format!("which one: `{name}@VERSION`")));
        };
        let path = format!("{PLUGINS}/{name}/{version}");
        let remove = async |it: &super::client::Client| {
            it.change(Method::DELETE, &path, &Value::Null, None).await
        };
        self.remote.run(remove, |_| format!("removed {name} {version}"))
    }
}

fn table(plugins: &[&Value]) -> String {
    let row = |it: &&Value| {
        let digest = cell(&it["sha256"]).chars().take(12).collect();
        [
            cell(&it["name"]),
            cell(&it["version"]),
            cell(&it["kinds"]),
            cell(&it["origin"]),
            cell(&it["size"]),
            digest,
            cell(&it["bound"]),
        ]
    };
    let rows: Vec<_> = plugins.iter().map(row).collect();
    columns(["name", "version", "kinds", "origin", "bytes", "sha256", "bound"], &rows)
}
