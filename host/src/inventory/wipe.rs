//! Emptying the whole inventory, on a test system.

use std::sync::Arc;

use serde_json::json;

use super::hard_delete::until_gone;
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        Change,
        leaving::{Emptying, inventory_empty, namespace_leaving},
        outbox::{Announcement, announce},
    },
};

/// Deletes everything that the inventory holds. What was done before stays in the
/// audit records, and this is the last of them.
pub async fn wipe(app: &Arc<App>, permit: Permit) -> Result<()> {
    if !app.config.dev {
        return Err(Error::Denied("only a server with the setting `dev` can be wiped".into()));
    }
    let fixed = |_, _: &()| Err("a wipe can only be let pass or refused".to_owned());
    permit.reviewed(app, (), json!({}), None, fixed).await?;
    let told = Announcement::of(&permit, None);
    let app = app.clone();
    let work = async move {
        let first = move |change: &mut dyn Change| {
            announce(change, &told)?;
            inventory_empty(change)
        };
        let mut state = app.store.write(permit.audit(), first).await?;
        while state != Emptying::Empty {
            if state == Emptying::Leaving
                && let Some(name) = app.store.read(|view| namespace_leaving(view)).await?
            {
                until_gone(&app, name).await?;
            }
            state = app.store.write_unaudited(|change| inventory_empty(change)).await?;
        }
        app.downloads.flush().await;
        Ok(())
    };
    tokio::spawn(work).await.map_err(|it| Error::Internal(it.to_string()))?
}
