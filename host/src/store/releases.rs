//! Releases: one row for each version of a name, never overwritten by a later one.

use serde::{Deserialize, Serialize};

use super::view::{self, Change, Record, Table, Take, View, key, prefix};
use crate::{
    error::Result,
    release::model::{Release, StatusCode},
};

/// (name, version of 10 digits) → [`ReleaseRow`].
const RELEASES: Table = Table("releases");
/// (name, version of 10 digits) → nothing: the rows that lists show.
const RELEASES_LISTED: Table = Table("releases_listed");

/// Rows are read in pieces of this size.
const PAGE: usize = 256;

/// A release as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// What the API shows.
    pub release: Release,
    /// Its applications on the platform, in the manifest's order.
    pub apps: Vec<DeployedApp>,
    /// What it was made of and by.
    pub provenance: Provenance,
}

/// An application on a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeployedApp {
    /// Its name in the manifest.
    pub name: String,
    /// Its id on the platform.
    pub deployment_id: String,
    /// What the deployer gave us to hand back.
    pub handle: String,
    /// The bytes that it runs, where we fetched them.
    pub artifact_sha256: Option<String>,
}

/// What a release was made of and by: SHA-256 digests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The package's zip.
    pub package_sha256: String,
    /// The manifest.
    pub manifest_sha256: String,
    /// The component that rendered it.
    pub renderer_sha256: String,
    /// The component that deployed it.
    pub deployer_sha256: String,
    /// The operation that made it.
    pub operation_id: String,
}

impl Record for ReleaseRow {
    const WHAT: &'static str = "release";
}

impl ReleaseRow {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.release.info.status.status_code
    }
}

/// The release of that name and version.
pub fn find(view: &(impl View + ?Sized), name: &str, version: u32) -> Result<Option<ReleaseRow>> {
    view::find(view, RELEASES, &row_key(name, version))
}

/// The greatest version of a name, whatever its status.
pub fn latest(view: &(impl View + ?Sized), name: &str) -> Result<Option<ReleaseRow>> {
    newest(view, name, |_| true)
}

/// The greatest version of a name that did not fail.
pub fn latest_not_failed(view: &(impl View + ?Sized), name: &str) -> Result<Option<ReleaseRow>> {
    newest(view, name, |it| it.status() != StatusCode::Failed)
}

/// The greatest version of a name that is deployed.
pub fn newest_deployed(view: &(impl View + ?Sized), name: &str) -> Result<Option<ReleaseRow>> {
    newest(view, name, |it| it.status() == StatusCode::Deployed)
}

/// Keeps a release.
pub fn put(change: &mut (impl Change + ?Sized), row: &ReleaseRow) {
    let key = row_key(&row.release.name, row.release.version);
    match row.status() {
        StatusCode::Deployed | StatusCode::Failed => {
            change.put(RELEASES_LISTED, &key, Vec::new());
        }
        StatusCode::Unknown | StatusCode::Deleted => change.delete(RELEASES_LISTED, &key),
    }
    view::keep(change, RELEASES, &key, row);
}

/// Up to `limit` deployed and failed releases after `after`, by name and version,
/// whose name contains `part`, ignoring case. Where there are more, the last one
/// given is where to go on after.
pub fn listed(
    view: &(impl View + ?Sized),
    part: &str,
    after: Option<(&str, u32)>,
    limit: usize,
) -> Result<Vec<ReleaseRow>> {
    let part = part.to_lowercase();
    let mut from = after.map(|(name, version)| past(row_key(name, version))).unwrap_or_default();
    let mut found = Vec::new();
    loop {
        let rows = view.range(RELEASES_LISTED, &from, b"", Take { reverse: false, limit: PAGE })?;
        let Some((last, _)) = rows.last() else { return Ok(found) };
        from = past(last.clone());
        let is_last_page = rows.len() < PAGE;
        for (key, _) in rows {
            let name = String::from_utf8_lossy(key.split(|it| *it == 0).next().unwrap_or_default());
            if !name.to_lowercase().contains(&part) {
                continue;
            }
            found.extend(view::find::<ReleaseRow>(view, RELEASES, &key)?);
            if found.len() >= limit {
                return Ok(found);
            }
        }
        if is_last_page {
            return Ok(found);
        }
    }
}

fn newest(
    view: &(impl View + ?Sized),
    name: &str,
    wanted: impl Fn(&ReleaseRow) -> bool,
) -> Result<Option<ReleaseRow>> {
    let (from, mut to) = prefix(&[name]);
    loop {
        let rows = view.range(RELEASES, &from, &to, Take { reverse: true, limit: 8 })?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        to = last.clone();
        for (_, value) in &rows {
            let row: ReleaseRow = view::decode(value)?;
            if wanted(&row) {
                return Ok(Some(row));
            }
        }
    }
}

fn row_key(name: &str, version: u32) -> Vec<u8> {
    key(&[name, &format!("{version:010}")])
}

fn past(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
