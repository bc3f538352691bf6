//! Cancels an upgrade or a rollback that waits for its applications to be healthy.

use std::sync::Arc;

use serde_json::json;

use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    store::{
        View,
        operations::{self, Kind, Operation, Phase},
        outbox::{self, Announcement},
    },
};

/// Says whether it was taken: a release that nobody upgrades, or that is not there, is
/// no error. Once it is taken, the new version does not come about.
pub async fn cancel(app: &Arc<App>, permit: Permit, name: &str) -> Result<bool> {
    let wanted = name.to_owned();
    if app.store.read(move |view| waiting(view, &wanted)).await?.is_none() {
        return Ok(false);
    }
    let object = json!({ "releaseName": name });
    let fixed = |_, _: &()| Err("what is cancelled can only be let pass or kept".to_owned());
    permit.reviewed(app, (), object.clone(), None, fixed).await?;
    let told = Announcement::of(&permit, Some(object));
    let wanted = name.to_owned();
    let cancelled = app.store.write(permit.audit(), move |change| {
        // What has ended meanwhile cannot be cancelled, and nothing is changed then.
        let Some(mut operation) = waiting(change, &wanted)? else {
            return Err(Error::not_found("operation", wanted));
        };
        operation.cancelled = true;
        operations::advance(change, &mut operation)?;
        outbox::announce(change, &told)
    });
    match cancelled.await {
        Ok(()) => {
            app.engine.changed(name);
            Ok(true)
        }
        Err(Error::NotFound { what: "operation", .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The operation that can be cancelled.
fn waiting(view: &(impl View + ?Sized), name: &str) -> Result<Option<Operation>> {
    let open = operations::open_of(view, name)?;
    Ok(open.filter(|it| {
        let waits = matches!(it.kind, Kind::Upgrade | Kind::Rollback) && it.phase == Phase::Waiting;
        waits && !it.cancelled
    }))
}
