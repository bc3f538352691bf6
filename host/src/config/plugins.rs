//! From the `plugins` section to bindings: reads components, resolves secrets,
//! and says which setting is wrong where one is.

use std::sync::Arc;

use super::{Config, PluginConfig};
use crate::{
    capabilities::secrets::Secrets,
    error::{Error, Result},
    plugins::{Binding, FailMode, Kind},
};

/// The bindings to put in force: the shipped plugins, and what the settings add
/// to them or put in their place.
pub async fn bindings(config: &Config) -> Result<Vec<Binding>> {
    let mut bindings: Vec<Binding> = Vec::new();
    for (index, plugin) in config.plugins.iter().enumerate() {
        let binding = binding(&format!("plugins.{index}"), plugin).await?;
        bindings.retain(|it| it.name != binding.name);
        bindings.push(binding);
    }
    Ok(bindings)
}

async fn binding(key: &str, plugin: &PluginConfig) -> Result<Binding> {
    if plugin.name.is_empty() {
        return Err(Error::invalid(format!("{key}.name"), "a plugin needs a name"));
    }
    if let Some(http) = &plugin.grants.http {
        http.check().map_err(|it| Error::invalid(format!("{key}.grants.http"), it.to_string()))?;
    }
    let kind = kind(key, &plugin.kind)?;
    Ok(Binding {
        name: plugin.name.clone(),
        kind,
        component: component(key, plugin).await?,
        settings: plugin.settings.clone(),
        grants: plugin.grants.clone(),
        secrets: secrets(key, plugin)?,
        actions: plugin.actions.clone(),
        fail_mode: fail_mode(key, plugin.fail_mode.as_deref(), kind)?,
        limits: plugin.limits.clone(),
    })
}

async fn component(key: &str, plugin: &PluginConfig) -> Result<Arc<[u8]>> {
    let Some(path) = &plugin.path else {
        let what = "a plugin needs a `path` to its component";
        return Err(Error::invalid(format!("{key}.path"), what));
    };
    let bytes = tokio::fs::read(path).await.map_err(|it| {
        let what = format!("the component `{}` cannot be read: {it}", path.display());
        Error::invalid(format!("{key}.path"), what)
    })?;
    Ok(bytes.into())
}

fn secrets(key: &str, plugin: &PluginConfig) -> Result<Secrets> {
    Secrets::read(plugin.grants.secrets.as_ref(), &plugin.secrets)
        .map_err(|it| Error::invalid(format!("{key}.secrets"), it.to_string()))
}

fn kind(key: &str, text: &str) -> Result<Kind> {
    match text {
        "policy" => Ok(Kind::Policy),
        "renderer" => Ok(Kind::Renderer),
        "deployer" => Ok(Kind::Deployer),
        "before-hook" => Ok(Kind::BeforeHook),
        "after-hook" => Ok(Kind::AfterHook),
        it => Err(Error::invalid(
            format!("{key}.kind"),
            format!(
                "`{it}` is not a kind of plugin: `policy`, `renderer`, `deployer`, `before-hook` \
                 or `after-hook`"
            ),
        )),
    }
}

fn fail_mode(key: &str, text: Option<&str>, kind: Kind) -> Result<FailMode> {
    match text {
        None if kind == Kind::AfterHook => Ok(FailMode::Ignore),
        None | Some("closed") => Ok(FailMode::Closed),
        Some("open") => Ok(FailMode::Open),
        Some("ignore") => Ok(FailMode::Ignore),
        Some(it) => Err(Error::invalid(
            format!("{key}.fail_mode"),
            format!("`{it}` is not a fail mode: `closed`, `open` or `ignore`"),
        )),
    }
}
