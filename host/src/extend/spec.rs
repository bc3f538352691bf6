//! From what a binding is to be, to a plugin that can be put to work: which plugin it
//! is, whether the parts fit together, and what it wants that it has not been granted.

use std::sync::Arc;

use futures::TryStreamExt;

use super::shipped;
use crate::{
    app::App,
    blobs::Blobs,
    capabilities::{Grants, secrets::Secrets},
    config::{Config, plugins::fail_mode},
    error::{Error, Result},
    plugins::{Binding, FailMode, Kind, shipped::SHIPPED},
    store::{
        bindings::Spec,
        installed::{self, InstalledRow},
    },
};

/// Finds the plugin that is named, and writes down which one it is.
pub(super) async fn resolve(app: &App, spec: &mut Spec) -> Result<InstalledRow> {
    let row = match (&spec.version, &spec.sha256) {
        (Some(version), _) => named(app, &spec.plugin, version).await?,
        (None, Some(sha256)) => digested(app, &spec.plugin, sha256).await?,
        (None, None) => {
            let message = "say which one: the plugin's `version`, or the `sha256` of its component";
            return Err(Error::invalid("version", message));
        }
    };
    let Some(row) = row else {
        let which = spec.version.as_ref().or(spec.sha256.as_ref()).cloned().unwrap_or_default();
        let message = format!("no plugin `{}` {which} is installed", spec.plugin);
        return Err(Error::invalid("plugin", message));
    };
    match &spec.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(&row.sha256) => {
            let message =
                format!("the SHA-256 of `{}` {} is {}", row.name, row.version, row.sha256);
            return Err(Error::invalid("sha256", message));
        }
        _ => {}
    }
    spec.version = Some(row.version.clone());
    spec.sha256 = Some(row.sha256.clone());
    Ok(row)
}

async fn named(app: &App, name: &str, version: &str) -> Result<Option<InstalledRow>> {
    if let Some(it) = shipped::find(name, version) {
        return Ok(Some(it.row.clone()));
    }
    if [name, version].iter().any(|it| it.contains('\0')) {
        return Ok(None);
    }
    let key = (name.to_owned(), version.to_owned());
    app.store.read(move |view| installed::find(view, &key.0, &key.1)).await
}

async fn digested(app: &App, name: &str, sha256: &str) -> Result<Option<InstalledRow>> {
    let fits = |it: &&InstalledRow| it.sha256.eq_ignore_ascii_case(sha256);
    let mut shipped = shipped::all().iter().map(|it| &it.row).filter(|it| it.name == name);
    if let Some(it) = shipped.find(fits) {
        return Ok(Some(it.clone()));
    }
    if name.contains('\0') {
        return Ok(None);
    }
    let name = name.to_owned();
    let rows = app.store.read(move |view| installed::of_name(view, &name)).await?;
    Ok(rows.iter().find(fits).cloned())
}

/// Checks that the parts fit together.
pub(super) fn check(spec: &Spec, row: &InstalledRow) -> Result<()> {
    let kind = kind(&spec.kind)?;
    if !row.kinds.contains(&spec.kind) {
        let message = format!(
            "`{}` {} is no {}: it is `{}`",
            row.name,
            row.version,
            spec.kind,
            row.kinds.join("`, `")
        );
        return Err(Error::invalid("kind", message));
    }
    if !spec.settings.is_object() {
        return Err(Error::invalid("settings", "the settings of a plugin are an object"));
    }
    fail_mode("fail_mode", spec.fail_mode.as_deref(), kind)?;
    if let Some(http) = &spec.grants.http {
        http.check().map_err(|it| Error::invalid("grants.http", it.to_string()))?;
    }
    let filters =
        [("actions", &spec.actions), ("namespaces", &spec.namespaces), ("units", &spec.units)];
    match kind {
        Kind::BeforeHook | Kind::AfterHook if spec.actions.is_empty() => {
            let message = "a hook needs the actions that it is for; `*` is all";
            Err(Error::invalid("actions", message))
        }
        Kind::BeforeHook | Kind::AfterHook => Ok(()),
        _ => match filters.iter().find(|it| !it.1.is_empty()) {
            Some((field, _)) => {
                let message = format!("only hooks have `{field}`, and this is a {}", spec.kind);
                Err(Error::invalid(*field, message))
            }
            None => Ok(()),
        },
    }
}

/// A kind by its word.
pub(super) fn kind(word: &str) -> Result<Kind> {
    Kind::of(word).ok_or_else(|| {
        let words = Kind::ALL.map(Kind::word).join("`, `");
        Error::invalid("kind", format!("`{word}` is not a kind of plugin: `{words}`"))
    })
}

/// What a version wants that the running one does not, as long as this very change does
/// not grant it. A grant that lay there before is none: nobody had this version in mind.
pub(super) fn needs(
    running: &InstalledRow,
    next: &InstalledRow,
    before: &Grants,
    after: &Grants,
) -> Vec<String> {
    let had = |name: &str| running.wanted.iter().any(|it| it.name == name);
    let (before, after) = (before.names(), after.names());
    let granted = |name: &str| after.contains(&name) && !before.contains(&name);
    let names = next.wanted.iter().map(|it| it.name.as_str());
    names.filter(|it| !had(it) && !granted(it)).map(str::to_owned).collect()
}

/// What is to be made ready, with its component and its secrets.
pub(super) async fn binding(
    config: &Arc<Config>,
    blobs: &Blobs,
    name: &str,
    spec: &Spec,
) -> Result<Binding> {
    let kind = kind(&spec.kind)?;
    let component = component(blobs, spec).await?;
    let mut limits = spec.limits.clone();
    // Installing it has checked the size.
    limits.component_bytes = limits.component_bytes.or(Some(component.len() as u64));
    let (grant, config) = (spec.grants.secrets.clone(), config.clone());
    let reading = move || Secrets::read(grant.as_ref(), &config.secrets);
    let secrets = tokio::task::spawn_blocking(reading).await;
    let secrets = secrets.map_err(|it| Error::Internal(format!("reading secrets: {it}")))??;
    Ok(Binding {
        name: name.to_owned(),
        kind,
        component,
        settings: spec.settings.clone(),
        grants: spec.grants.clone(),
        secrets,
        actions: spec.actions.clone(),
        namespaces: spec.namespaces.clone(),
        units: spec.units.clone(),
        fail_mode: fail_mode("fail_mode", spec.fail_mode.as_deref(), kind)?,
        limits,
    })
}

async fn component(blobs: &Blobs, spec: &Spec) -> Result<Arc<[u8]>> {
    let sha256 = spec.sha256.as_deref().unwrap_or_default();
    if let Some(shipped) = SHIPPED.iter().find(|it| it.sha256 == sha256) {
        return Ok(shipped.component.into());
    }
    match blobs.size(sha256).await? {
        Some(size) => whole(blobs, sha256, size).await,
        None => Err(Error::Store {
            doing: format!("reading the component {sha256}: it is not there"),
            source: None,
        }),
    }
}

/// All bytes of a component; their digest is checked.
pub(super) async fn whole(blobs: &Blobs, sha256: &str, size: u64) -> Result<Arc<[u8]>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let mut parts = blobs.get(sha256, 0..size).await?;
    while let Some(part) = parts.try_next().await? {
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.into())
}

/// What a binding of the configuration, or of the server's own, is as one of these.
pub(super) fn of_configured(binding: &Binding, plugin: &str, version: &str, sha256: &str) -> Spec {
    let filled = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
    Spec {
        plugin: plugin.to_owned(),
        version: filled(version),
        sha256: filled(sha256),
        kind: binding.kind.word().to_owned(),
        order: 0,
        actions: binding.actions.clone(),
        namespaces: binding.namespaces.clone(),
        units: binding.units.clone(),
        settings: match &binding.settings {
            serde_json::Value::Null => serde_json::json!({}),
            settings => settings.clone(),
        },
        grants: binding.grants.clone(),
        fail_mode: Some(word(binding.fail_mode).to_owned()),
        limits: binding.limits.clone(),
        enabled: true,
    }
}

fn word(mode: FailMode) -> &'static str {
    match mode {
        FailMode::Closed => "closed",
        FailMode::Open => "open",
        FailMode::Ignore => "ignore",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::installed::WantedRow;

    fn wanting(names: &[&str]) -> InstalledRow {
        let mut row = shipped::all()[0].row.clone();
        let wanted = |it: &&str| WantedRow { name: (*it).into(), reason: None, imported: true };
        row.wanted = names.iter().map(wanted).collect();
        row
    }

    #[test]
    fn what_is_new_needs_a_grant_that_is_new_as_well() {
        let (none, clock) = (Grants::default(), Grants { clock: true, ..Grants::default() });
        let needs = |running: &[&str], next: &[&str], before: &Grants, after: &Grants| {
            super::needs(&wanting(running), &wanting(next), before, after)
        };
        assert_eq!(needs(&[], &["clock"], &none, &none), ["clock"]);
        assert_eq!(needs(&[], &["clock", "http"], &none, &clock), ["http"]);
        assert_eq!(needs(&[], &["clock"], &clock, &clock), ["clock"], "it lay there before");
        assert_eq!(needs(&["clock"], &["clock"], &clock, &clock), [""; 0]);
        assert_eq!(needs(&["clock", "http"], &["clock"], &clock, &clock), [""; 0]);
    }
}
