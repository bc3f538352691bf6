//! From the `plugins` section to bindings: reads components, resolves secrets,
//! and says which setting is wrong where one is.

use std::{path::Path, sync::Arc};

use serde_json::json;

use super::{Config, PluginConfig, web_hook};
use crate::{
    capabilities::{Grants, artifacts, http, process, secrets::Secrets},
    error::{Error, Result},
    plugins::{
        Binding, FailMode, Kind, Limits,
        shipped::{SHIPPED, Shipped, shipped},
    },
};

/// The shipped plugins that are put to work without being asked for, under their
/// own names. `deployer-dry-run` is one more where there is an account for it.
const UNASKED: [(&str, Kind); 3] = [
    ("policy-rbac", Kind::Policy),
    ("template-mustache", Kind::Renderer),
    ("deployer-local", Kind::Deployer),
];

const DRY_RUN: &str = "deployer-dry-run";

/// The bindings to put in force: the shipped plugins, and what the settings add
/// to them or put in their place.
pub async fn bindings(config: &Config) -> Result<Vec<Binding>> {
    let mut bindings: Vec<Binding> = Vec::new();
    for (name, kind) in UNASKED {
        if let Some(shipped) = shipped(name) {
            bindings.push(unasked(shipped, own_grants(kind), kind));
        }
    }
    if config.platforms.get("dry-run").is_some_and(|it| !it.is_empty())
        && let Some(shipped) = shipped(DRY_RUN)
    {
        let grants = Grants { clock: true, ..Grants::default() };
        bindings.push(unasked(shipped, grants, Kind::Deployer));
    }
    if !config.web_hook.is_empty() {
        let plugin = web_hook::binding(&web_hook::read(&config.web_hook)?);
        bindings.push(binding("web_hook", &plugin).await?);
    }
    for (index, plugin) in config.plugins.iter().enumerate() {
        let key = format!("plugins.{index}");
        let earlier = config.plugins[..index].iter().any(|it| it.name == plugin.name);
        if earlier {
            let message = format!("there are two plugins of the name `{}`", plugin.name);
            return Err(Error::invalid(format!("{key}.name"), message));
        }
        let binding = binding(&key, plugin).await?;
        match bindings.iter_mut().find(|it| it.name == binding.name) {
            Some(replaced) => *replaced = binding,
            None => bindings.push(binding),
        }
    }
    Ok(bindings)
}

/// Whether the server puts a binding to work by itself, so that what is changed on the
/// running server may take its place.
pub(crate) fn is_unasked(config: &Config, binding: &Binding) -> bool {
    let named = config.plugins.iter().any(|it| it.name == binding.name);
    let own = UNASKED.iter().map(|it| it.0).chain([DRY_RUN]);
    !named && own.into_iter().any(|it| it == binding.name)
}

/// Names the setting in an error that a plugin caused.
pub(crate) fn blame(names: &[String], error: Error) -> Error {
    let Error::Plugin { plugin, message, source } = error else { return error };
    match names.iter().position(|it| *it == plugin) {
        Some(index) => {
            let under = source.map(|it| format!(": {it}")).unwrap_or_default();
            let message = format!("the plugin `{plugin}` cannot be put to work: {message}{under}");
            Error::invalid(format!("plugins.{index}"), message)
        }
        None => Error::Plugin { plugin, message, source },
    }
}

fn unasked(shipped: &Shipped, grants: Grants, kind: Kind) -> Binding {
    Binding {
        name: shipped.name.to_owned(),
        kind,
        component: shipped.component.into(),
        settings: json!({}),
        grants,
        secrets: Secrets::default(),
        actions: Vec::new(),
        namespaces: Vec::new(),
        units: Vec::new(),
        fail_mode: FailMode::Closed,
        limits: Limits::default(),
    }
}

/// What a shipped plugin may reach by default: only the deployer needs anything.
fn own_grants(kind: Kind) -> Grants {
    match kind {
        Kind::Deployer => Grants {
            clock: true,
            process: Some(process::Grant {
                programs: vec!["java".to_owned(), "{artifact}".to_owned()],
                inherit_env: ["TMP", "LANG", "LANGUAGE", "LC_.*", "PATH"].map(String::from).into(),
                ..process::Grant::default()
            }),
            artifacts: Some(artifacts::Grant { namespaces: vec!["*".to_owned()] }),
            http: Some(http::Grant { own_processes: true, ..http::Grant::default() }),
            ..Grants::default()
        },
        _ => Grants::default(),
    }
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
        settings: match &plugin.settings {
            serde_json::Value::Null => json!({}),
            settings => settings.clone(),
        },
        grants: plugin.grants.clone(),
        secrets: secrets(key, plugin)?,
        actions: plugin.actions.clone(),
        namespaces: plugin.namespaces.clone(),
        units: plugin.units.clone(),
        fail_mode: fail_mode(&format!("{key}.fail_mode"), plugin.fail_mode.as_deref(), kind)?,
        limits: plugin.limits.clone(),
    })
}

async fn component(key: &str, plugin: &PluginConfig) -> Result<Arc<[u8]>> {
    match (&plugin.path, &plugin.shipped) {
        (Some(path), None) => read(key, path).await,
        (None, Some(name)) => match shipped(name) {
            Some(shipped) => Ok(shipped.component.into()),
            None => {
                let names: Vec<String> =
                    SHIPPED.iter().map(|it| format!("`{}`", it.name)).collect();
                let message =
                    format!("no plugin `{name}` is shipped; there are {}", names.join(", "));
                Err(Error::invalid(format!("{key}.shipped"), message))
            }
        },
        (Some(_), Some(_)) => {
            let message = "a plugin has either a `path` or the name of a `shipped` one, not both";
            Err(Error::invalid(format!("{key}.shipped"), message))
        }
        (None, None) => {
            let message =
                "a plugin needs the `path` of its component, or the name of a `shipped` one";
            Err(Error::invalid(format!("{key}.path"), message))
        }
    }
}

async fn read(key: &str, path: &Path) -> Result<Arc<[u8]>> {
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
    Kind::of(text).ok_or_else(|| {
        let message = format!(
            "`{text}` is not a kind of plugin: `policy`, `renderer`, `deployer`, `before-hook` or \
             `after-hook`"
        );
        Error::invalid(format!("{key}.kind"), message)
    })
}

/// Reads a fail mode. `field` is what the caller calls it.
pub(crate) fn fail_mode(field: &str, text: Option<&str>, kind: Kind) -> Result<FailMode> {
    match text {
        None if kind == Kind::AfterHook => Ok(FailMode::Ignore),
        None | Some("closed") => Ok(FailMode::Closed),
        Some("open") => Ok(FailMode::Open),
        Some("ignore") => Ok(FailMode::Ignore),
        Some(it) => Err(Error::invalid(
            field,
            format!("`{it}` is not a fail mode: `closed`, `open` or `ignore`"),
        )),
    }
}
