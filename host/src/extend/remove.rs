//! Taking a version of a plugin away that nothing uses.

use serde_json::json;

use super::{
    names::{PluginName, PluginVersion},
    shipped,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change, View, bindings,
        installed::{self, InstalledRow},
        outbox::{Announcement, announce},
    },
};

/// Removes a version. What is put to work by a binding stays.
pub async fn remove(
    app: &App,
    permit: &Permit,
    name: &PluginName,
    version: &PluginVersion,
) -> Result<()> {
    let (name, version) = (name.as_str().to_owned(), version.as_str().to_owned());
    if shipped::find(&name, &version).is_some() {
        let message = format!("`{name}` {version} is a part of the server and cannot be removed");
        return Err(Error::Conflict(message));
    }
    let key = (name.clone(), version.clone());
    let seen = app.store.read(move |view| {
        unused(view, &key.0, &key.1)?;
        known(view, &key.0, &key.1)
    });
    let row = seen.await?;
    let object = json!({ "name": name, "version": version, "sha256": row.sha256 });
    let fixed = |_, _: &()| Err("there is nothing to change in a deletion".to_owned());
    permit.reviewed(app, (), object.clone(), Some(object.clone()), fixed).await?;

    let told = Announcement::of(permit, Some(object));
    let work = move |change: &mut dyn Change| {
        let row = known(change, &name, &version)?;
        unused(change, &name, &version)?;
        installed::delete(change, &row);
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

fn known(view: &(impl View + ?Sized), name: &str, version: &str) -> Result<InstalledRow> {
    installed::find(view, name, version)?.ok_or_else(|| unknown(name, Some(version)))
}

/// Sees that no binding uses a version, waits for it or may go back to it.
fn unused(view: &(impl View + ?Sized), name: &str, version: &str) -> Result<()> {
    let users = bindings::users(view, name, version)?;
    if users.is_empty() {
        return Ok(());
    }
    let users: Vec<String> = users.iter().take(10).map(|it| format!("`{it}`")).collect();
    Err(Error::Conflict(format!(
        "`{name}` {version} is used: it is what is in force, waits for a grant, or what a rollback \
         goes to, in the bindings {}",
        users.join(", ")
    )))
}

/// There is no such plugin.
pub(super) fn unknown(name: &str, version: Option<&str>) -> Error {
    let version = version.map(|it| format!(" {it}")).unwrap_or_default();
    Error::not_found("plugin", format!("{name}{version}"))
}
