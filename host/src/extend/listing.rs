//! What is installed, and what is known of it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    names::{PluginName, PluginVersion, by_version},
    remove::unknown,
    shipped,
};
use crate::{
    app::App,
    authz::Permit,
    clock::shown,
    error::Result,
    plugins::{BoundPlugin, PluginSet},
    store::{
        View,
        installed::{self, InstalledRow},
    },
};

/// A version of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PluginVersion)]
pub struct Version {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `installed`, or `shipped` for one that the server brought along.
    pub origin: &'static str,
    /// What it can be put to work as: `policy`, `renderer`, `deployer`, `before-hook`,
    /// `after-hook`.
    pub kinds: Vec<String>,
    /// The SHA-256 of the component, in lower-case hexadecimal.
    pub sha256: String,
    /// The component's size, in bytes.
    pub size: u64,
    /// When it was installed; null where it was shipped.
    pub installed_at: Option<String>,
    /// Who installed it; null where it was shipped.
    pub installed_by: Option<String>,
    /// The bindings in force that it does the work of.
    pub bound: Vec<String>,
}

/// All versions of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PluginVersions)]
pub struct Versions {
    /// The plugin's name.
    pub name: String,
    /// Its versions, the greatest first.
    pub versions: Vec<Version>,
}

/// A version of a plugin, from all sides.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PluginInspection)]
pub struct Inspection {
    /// What it is.
    #[serde(flatten)]
    pub version: Version,
    /// What it says of itself, in a sentence; null where it says nothing.
    pub description: Option<String>,
    /// The versions of the server that it works with; null for all.
    pub requires_host: Option<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The capabilities that it imports or asks for.
    pub capabilities: Vec<Capability>,
    /// The JSON Schema of its settings; null where it gives none.
    pub settings_schema: Option<Value>,
    /// What it says of empty settings.
    pub settings_findings: Vec<String>,
    /// How long it took to be compiled, in milliseconds; null where the server brought
    /// it along.
    pub compile_ms: Option<u64>,
    /// How guests are made: `fresh`, one for each call.
    pub mode: &'static str,
    /// Where it is put to work.
    pub uses: Vec<Use>,
}

/// A capability that a plugin wants.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Capability {
    /// Its name: `http`.
    pub name: String,
    /// What for, in the plugin's own words; null where it does not say.
    pub reason: Option<String>,
    /// Whether the component really imports it.
    pub imported: bool,
    /// The bindings in force that it is granted to.
    pub granted: Vec<String>,
}

/// A binding that a plugin does the work of.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PluginUse)]
pub struct Use {
    /// The binding's name.
    pub binding: String,
    /// As what.
    pub kind: String,
    /// What it was granted.
    pub granted: Vec<String>,
    /// Its last calls that failed, the newest first, since the binding was last changed
    /// or the server started.
    pub failures: Vec<FailedCall>,
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FailedCall {
    /// When.
    pub at: String,
    /// The function that was called.
    pub function: String,
    /// How: `timeout`, `limit`, `trap`, `error`, `bad-answer` or `breaker-open`.
    pub how: String,
    /// Why.
    pub why: String,
}

/// A page of all versions of all plugins, by name and version as text, and the name and
/// version that the next page is behind.
pub async fn list(
    app: &App,
    _: &Permit,
    after: Option<(String, String)>,
    limit: usize,
) -> Result<(Vec<Version>, Option<(String, String)>)> {
    let behind = after.clone();
    let rows = move |view: &dyn View| {
        let after = behind.as_ref().map(|it| (&*it.0, &*it.1));
        installed::behind(view, after, limit + 1)
    };
    let set = app.plugins.set();
    let installed = app.store.read(rows).await?;
    let mut page: BTreeMap<(String, String), Version> = BTreeMap::new();
    for it in shipped::all().iter().map(|it| &it.row).chain(&installed) {
        let key = (it.name.clone(), it.version.clone());
        if after.as_ref().is_none_or(|after| key > *after) {
            page.insert(key, version_of(it, &set));
        }
    }
    let is_last = page.len() <= limit;
    let page: Vec<Version> = page.into_values().take(limit).collect();
    let next = page.last().filter(|_| !is_last);
    let next = next.map(|it| (it.name.clone(), it.version.clone()));
    Ok((page, next))
}

/// All versions of a plugin, the greatest first.
pub async fn versions(app: &App, _: &Permit, name: &PluginName) -> Result<Versions> {
    let wanted = name.as_str().to_owned();
    let rows = app.store.read(move |view| installed::of_name(view, &wanted)).await?;
    let set = app.plugins.set();
    let mut versions: Vec<Version> = rows.iter().map(|it| version_of(it, &set)).collect();
    for it in shipped::all().iter().filter(|it| it.row.name == name.as_str()) {
        if versions.iter().all(|known| known.version != it.row.version) {
            versions.push(version_of(&it.row, &set));
        }
    }
    if versions.is_empty() {
        return Err(unknown(name.as_str(), None));
    }
    versions.sort_by_cached_key(|it| std::cmp::Reverse(by_version(&it.version)));
    Ok(Versions { name: name.as_str().to_owned(), versions })
}

/// A version of a plugin, from all sides.
pub async fn inspect(
    app: &App,
    _: &Permit,
    name: &PluginName,
    version: &PluginVersion,
) -> Result<Inspection> {
    let (name, version) = (name.as_str().to_owned(), version.as_str().to_owned());
    let key = (name.clone(), version.clone());
    let found = app.store.read(move |view| {
        let Some(row) = installed::find(view, &key.0, &key.1)? else { return Ok(None) };
        Ok(Some((row, installed::manifest(view, &key.0, &key.1)?)))
    });
    let set = app.plugins.set();
    if let Some((row, manifest)) = found.await? {
        return Ok(inspection(&row, manifest.as_ref(), &set));
    }
    let shipped = shipped::find(&name, &version).ok_or_else(|| unknown(&name, Some(&version)))?;
    Ok(inspection(&shipped.row, shipped.manifest.as_ref(), &set))
}

/// What an install answers.
pub fn installed(app: &App, row: &InstalledRow) -> Version {
    version_of(row, &app.plugins.set())
}

fn version_of(row: &InstalledRow, set: &PluginSet) -> Version {
    let installed = (!row.shipped).then_some(row);
    Version {
        name: row.name.clone(),
        version: row.version.clone(),
        origin: if row.shipped { "shipped" } else { "installed" },
        kinds: row.kinds.clone(),
        sha256: row.sha256.clone(),
        size: row.size_bytes,
        installed_at: installed.map(|it| shown(it.installed_ms)),
        installed_by: installed.map(|it| it.installed_by.clone()),
        bound: set.bound(&row.sha256).into_iter().map(|it| it.binding).collect(),
    }
}

fn inspection(row: &InstalledRow, manifest: Option<&Value>, set: &PluginSet) -> Inspection {
    let says = |member: &str| manifest.and_then(|it| it.get(member));
    let text = |member: &str| says(member).and_then(Value::as_str).map(str::to_owned);
    let uses = set.bound(&row.sha256);
    let granted = |name: &str| {
        let holders = uses.iter().filter(|it| it.granted.contains(&name));
        holders.map(|it| it.binding.clone()).collect()
    };
    let wanted = row.wanted.iter().map(|it| Capability {
        name: it.name.clone(),
        reason: it.reason.clone(),
        imported: it.imported,
        granted: granted(&it.name),
    });
    Inspection {
        version: version_of(row, set),
        description: text("description"),
        requires_host: text("requires-host"),
        imports: row.imports.clone(),
        capabilities: wanted.collect(),
        settings_schema: says("settings").cloned(),
        settings_findings: row.findings.clone(),
        compile_ms: (!row.shipped).then_some(row.compile_ms),
        mode: "fresh",
        uses: uses.into_iter().map(Use::of).collect(),
    }
}

impl Use {
    fn of(it: BoundPlugin) -> Use {
        let failures = it.failed.into_iter().map(|it| FailedCall {
            at: shown(it.at_ms),
            function: it.function.to_owned(),
            how: it.how.to_owned(),
            why: it.why,
        });
        Use {
            binding: it.binding,
            kind: it.kind.word().to_owned(),
            granted: it.granted.into_iter().map(str::to_owned).collect(),
            failures: failures.collect(),
        }
    }
}
