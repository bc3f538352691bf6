//! What was fetched before, and is still here.

use crate::{
    app::App,
    blobs::Stored,
    clock::now_ms,
    error::Result,
    store::resources::{self, FetchedResource},
};

/// How old the note of the last use may be: not each use is worth a write.
const USED_MS: u64 = 60 * 60 * 1000;

/// What lay at that address when it was fetched last, if its bytes are still here.
pub(super) async fn find(app: &App, location: &str) -> Result<Option<(FetchedResource, Stored)>> {
    let wanted = location.to_owned();
    let found = app.store.read(move |view| resources::find(view, &wanted)).await?;
    let Some(resource) = found else { return Ok(None) };
    let held = app.blobs.hold(&resource.sha256).await?;
    Ok(held.map(|held| (resource, held)))
}

/// Keeps what lies there now, for the next time.
pub(super) async fn keep(
    app: &App,
    location: &str,
    stored: &Stored,
    etag: Option<String>,
) -> Result<()> {
    let shown = location.split(['?', '#']).next().unwrap_or_default().to_owned();
    let resource = FetchedResource {
        location: shown,
        sha256: stored.sha256.clone(),
        size: stored.size,
        etag,
        used_ms: now_ms(),
        checked_ms: now_ms(),
    };
    write(app, location, resource).await
}

/// Notes that it was used again.
pub(super) async fn used(app: &App, location: &str, resource: FetchedResource) -> Result<()> {
    let now = now_ms();
    if now.saturating_sub(resource.used_ms) < USED_MS {
        return Ok(());
    }
    write(app, location, FetchedResource { used_ms: now, ..resource }).await
}

async fn write(app: &App, location: &str, resource: FetchedResource) -> Result<()> {
    let location = location.to_owned();
    let bytes_max = app.config.resources.cache_bytes_max;
    let kept = app
        .store
        .write_unaudited(move |change| resources::keep(change, &location, &resource, bytes_max));
    kept.await
}
