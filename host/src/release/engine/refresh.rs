//! Keeps the stored platform status of releases fresh, for lists: that of young ones
//! with every tick, of all others now and then.

use super::{PAGE, lock};
use crate::{
    app::App,
    clock::now_ms,
    error::Result,
    release::{model::StatusCode, status},
    store::releases::{self, ReleaseRow},
};

/// Releases younger than this are refreshed with every tick.
const YOUNG_MS: u64 = 120_000;

pub(super) async fn refresh(app: &App, all: bool) -> Result<()> {
    if all {
        return refresh_all(app).await;
    }
    let now = now_ms();
    let keys: Vec<(String, u32)> = {
        let mut young = lock(&app.engine.young);
        young.retain(|_, made_ms| now.saturating_sub(*made_ms) < YOUNG_MS);
        young.keys().cloned().collect()
    };
    for keys in keys.chunks(PAGE) {
        let keys = keys.to_vec();
        let read = app.store.read(move |view| {
            let rows = keys.iter().map(|(name, version)| releases::find(view, name, *version));
            rows.collect::<Result<Vec<_>>>()
        });
        let rows = read.await?.into_iter().flatten().collect();
        refresh_rows(app, rows).await?;
    }
    Ok(())
}

async fn refresh_all(app: &App) -> Result<()> {
    let mut after: Option<(String, u32)> = None;
    loop {
        let from = after.clone();
        let read = app.store.read(move |view| {
            let after = from.as_ref().map(|(name, version)| (name.as_str(), *version));
            releases::listed(view, "", after, PAGE)
        });
        let rows = read.await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some((last.release.name.clone(), last.release.version));
        for row in &rows {
            if now_ms().saturating_sub(row.release.info.first_deployed) < YOUNG_MS {
                app.engine.follow(row);
            }
        }
        refresh_rows(app, rows).await?;
    }
}

async fn refresh_rows(app: &App, rows: Vec<ReleaseRow>) -> Result<()> {
    let rows: Vec<ReleaseRow> =
        rows.into_iter().filter(|it| it.status() == StatusCode::Deployed).collect();
    let fresh = status::ask(app, &app.plugins.set(), &rows).await;
    let changed: Vec<(ReleaseRow, String)> = rows
        .into_iter()
        .zip(fresh)
        .filter_map(|(row, text)| Some((row, text?)))
        .filter(|(row, text)| row.release.info.status.platform_status.as_ref() != Some(text))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let kept = app.store.write_unaudited(move |change| {
        for (row, text) in changed {
            let now = releases::find(change, &row.release.name, row.release.version)?;
            // It may have been deleted while the platform was asked.
            if let Some(mut now) = now.filter(|it| it.status() == row.status()) {
                now.release.info.status.platform_status = Some(text);
                releases::put(change, &now)?;
            }
        }
        Ok(())
    });
    kept.await
}
