//! Installing: the bytes come in, are looked at from all sides without being put to
//! work, and only then are kept as a version of a plugin.
//!
//! What is refused leaves an audit record with the reason, and nothing else: its bytes
//! are nobody's, and are collected.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::json;

use super::{
    names::{PluginName, PluginVersion},
    shipped, spec,
};
use crate::{
    app::App,
    authz::Permit,
    blobs::Stored,
    clock::now_ms,
    error::{Error, Result},
    plugins::{Examined, Kind, Wanted},
    store::{
        Change,
        installed::{self, InstalledRow, WantedRow},
        outbox::{Announcement, announce},
    },
};

/// How long one waits for the components before one's own to be looked at.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// What is to be installed.
#[derive(Clone, Debug)]
pub struct Order {
    /// The plugin's name.
    pub name: PluginName,
    /// Its version.
    pub version: PluginVersion,
    /// The digest that its component must have; any where there is none.
    pub sha256: Option<String>,
}

/// Takes a component's bytes in. They are durable, and nothing points at them yet:
/// dropped, they are collected.
pub async fn take_in(
    app: &App,
    _: &Permit,
    body: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<Stored> {
    let limit = app.config.limits.component_bytes_max;
    app.blobs.put(body, limit).await.map_err(|it| match it {
        Error::TooLarge { limit_bytes, .. } => Error::TooLarge { what: "component", limit_bytes },
        other => other,
    })
}

/// Makes bytes that were taken in a version of a plugin. The same bytes again are no
/// change: whether it is one is said beside the version.
pub async fn install(
    app: &App,
    permit: &Permit,
    order: Order,
    stored: Stored,
) -> Result<(InstalledRow, bool)> {
    let (name, version) = (order.name.as_str().to_owned(), order.version.as_str().to_owned());
    if let Some(row) = installed_already(app, &name, &version, &stored.sha256).await? {
        return Ok((row, false));
    }
    let examined = match looked_at(app, &order, &stored).await {
        Err(Error::Invalid { field, message }) => {
            permit.note(app, &message).await;
            return Err(Error::Invalid { field, message });
        }
        examined => examined?,
    };
    let object = json!({
        "name": name,
        "version": version,
        "sha256": stored.sha256,
        "size": stored.size,
        "kinds": words(&examined.outside.kinds),
        "capabilities": examined.outside.wanted.iter().map(|it| &it.name).collect::<Vec<_>>(),
    });
    let fixed = |_, _: &()| Err("a component stays as it is".to_owned());
    permit.reviewed(app, (), object.clone(), None, fixed).await?;

    let manifest = examined.outside.manifest.clone();
    let row = row(permit, name, version, stored.size, examined);
    let told = Announcement::of(permit, Some(object));
    // What holds the collector off comes back when the change is committed, so that it
    // outlives a client who leaves in between.
    let work = move |change: &mut dyn Change| {
        installed::insert(change, &row, manifest.as_ref())?;
        announce(change, &told)?;
        Ok((row, stored))
    };
    let (row, _) = app.store.write(permit.audit(), work).await?;
    tracing::info!(plugin = row.name, version = row.version, digest = row.sha256, "installed");
    Ok((row, true))
}

/// The version that has these bytes already, if one has. One with other bytes is in
/// the way.
async fn installed_already(
    app: &App,
    name: &str,
    version: &str,
    sha256: &str,
) -> Result<Option<InstalledRow>> {
    let taken = || Error::AlreadyExists { what: "plugin", name: format!("{name} {version}") };
    if shipped::find(name, version).is_some() {
        return Err(taken());
    }
    let key = (name.to_owned(), version.to_owned());
    let found = app.store.read(move |view| installed::find(view, &key.0, &key.1)).await?;
    match found {
        Some(row) if row.sha256 == sha256 => Ok(Some(row)),
        Some(_) => Err(taken()),
        None => Ok(None),
    }
}

/// Looks at a component from all sides, one at a time.
async fn looked_at(app: &App, order: &Order, stored: &Stored) -> Result<Examined> {
    if let Some(expected) = &order.sha256
        && *expected != stored.sha256
    {
        let message = format!("the component's SHA-256 is {}, not {expected}", stored.sha256);
        return Err(Error::invalid("sha256", message));
    }
    let line = app.extend.installing.acquire();
    let _turn = match tokio::time::timeout(TURN_LIMIT, line).await {
        Ok(turn) => turn.expect("the line is never closed"),
        Err(_) => {
            let retry_after = Duration::from_secs(30);
            return Err(Error::Busy { what: "plugins being installed", retry_after });
        }
    };
    let bytes = spec::whole(&app.blobs, &stored.sha256, stored.size).await?;
    let limit = app.config.limits.component_bytes_max;
    let examined = app.plugins.examine(&bytes, limit).await;
    let examined = examined.map_err(|why| Error::invalid("component", why))?;
    for (field, said, asked) in [
        ("name", &examined.outside.name, order.name.as_str()),
        ("version", &examined.outside.version, order.version.as_str()),
    ] {
        if !said.is_empty() && said != asked {
            let message = format!("the component's manifest says `{said}`, not `{asked}`");
            return Err(Error::invalid(field, message));
        }
    }
    Ok(examined)
}

fn row(
    permit: &Permit,
    name: String,
    version: String,
    size_bytes: u64,
    examined: Examined,
) -> InstalledRow {
    InstalledRow {
        name,
        version,
        sha256: examined.sha256,
        size_bytes,
        kinds: words(&examined.outside.kinds),
        imports: examined.outside.imports,
        wanted: examined.outside.wanted.into_iter().map(WantedRow::from).collect(),
        findings: examined.findings,
        compile_ms: examined.compile_ms,
        installed_ms: now_ms(),
        installed_by: permit.caller.principal.id.clone(),
        shipped: false,
    }
}

impl From<Wanted> for WantedRow {
    fn from(it: Wanted) -> WantedRow {
        WantedRow { name: it.name, reason: it.reason, imported: it.imported }
    }
}

/// The words of kinds.
pub(super) fn words(kinds: &[Kind]) -> Vec<String> {
    kinds.iter().map(|it| it.word().to_owned()).collect()
}
