//! Deleting a namespace with everything in it.

use std::{sync::Arc, time::Duration};

use super::{names::NamespaceName, read::shown_namespace};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result, chain},
    store::{
        Change, Store, View,
        leaving::{
            Leaving, namespace_delete, namespace_delete_more, namespace_is_leaving,
            namespace_leaving,
        },
        namespaces::{NamespaceRecord, namespace},
        outbox::{Announcement, announce},
    },
};

/// How long until a deletion that the store failed is tried again, and how often
/// somebody who waits for one looks without being told of a commit.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Deletes a namespace. Returns when nothing of it is left; goes on to its end even
/// where the caller goes away. One that is not there has been deleted already.
pub async fn hard_delete(app: &Arc<App>, permit: Permit, name: NamespaceName) -> Result<()> {
    let app = app.clone();
    let work = async move {
        if let Some(record) = find(&app, &name).await? {
            begin(&app, &permit, &name, record).await?;
        }
        until_gone(&app, name).await?;
        // Downloads that are yet to be counted would count for the releases of a new
        // namespace; now there are none to count for.
        app.downloads.flush().await;
        Ok(())
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}

/// Returns when no namespace of that name is being deleted.
pub(super) async fn until_gone(app: &App, name: NamespaceName) -> Result<()> {
    let mut commits = app.store.commits();
    app.deletions.notify_one();
    loop {
        commits.borrow_and_update();
        let name = name.clone();
        if !app.store.read(move |view| namespace_is_leaving(view, &name)).await? {
            return Ok(());
        }
        // However this ends, the next look tells.
        drop(tokio::time::timeout(AGAIN_AFTER, commits.changed()).await);
    }
}

/// Starts the work that goes on with deletions that have begun, also with those
/// that a crash has cut off.
pub fn spawn_deletions(app: &App) {
    let (store, begun) = (app.store.clone(), app.deletions.clone());
    app.tasks.spawn("namespace deletion", |stop| async move {
        loop {
            let carried_on = tokio::select! {
                () = stop.cancelled() => return,
                it = carry_on(&store) => it,
            };
            let again = match carried_on {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a namespace cannot be deleted yet");
                    Some(AGAIN_AFTER)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = begun.notified() => {}
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
            }
        }
    });
}

async fn carry_on(store: &Store) -> Result<()> {
    while let Some(name) = store.read(|view| namespace_leaving(view)).await? {
        store.write_unaudited(move |change| namespace_delete_more(change, &name)).await?;
    }
    Ok(())
}

async fn find(app: &App, name: &NamespaceName) -> Result<Option<NamespaceRecord>> {
    let name = name.clone();
    app.store.read(move |view: &dyn View| namespace(view, &name)).await
}

async fn begin(
    app: &App,
    permit: &Permit,
    name: &NamespaceName,
    record: NamespaceRecord,
) -> Result<()> {
    let object = serde_json::to_value(shown_namespace(name.to_string(), record));
    let object = object.map_err(|it| Error::Internal(it.to_string()))?;
    let fixed = |_, _: &()| Err("what is deleted can only be let pass or kept".to_owned());
    permit.reviewed(app, (), object.clone(), Some(object.clone()), fixed).await?;

    let (name, told) = (name.clone(), Announcement::of(permit, Some(object)));
    let work = move |change: &mut dyn Change| {
        // Somebody else was faster.
        if namespace(change, &name)?.is_none() {
            return Ok(Leaving::Gone);
        }
        announce(change, &told)?;
        namespace_delete(change, &name)
    };
    app.store.write(permit.audit(), work).await.map(drop)
}
