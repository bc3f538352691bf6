//! The logs of a release's applications, as its deployer reads them.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::{model::StatusCode, platform, status};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    plugins::deployer::LogPage,
    store::releases::{DeployedApp, ReleaseRow},
};

/// All logs of an answer, together.
const BYTES_MAX: u32 = 8 << 20;
/// One log of an answer.
const APP_BYTES_MAX: u32 = 1 << 20;
/// Logs that are read at once.
const AT_ONCE: usize = 8;
/// The operation id of a question that belongs to no operation.
const ASKING: &str = "logs";

/// The end of the log of each application, by its id on its platform; of all, or of
/// the one with that id in any case. None where the release is deleted.
pub async fn ends(
    app: &App,
    permit: &Permit,
    name: &str,
    deployment_id: Option<&str>,
) -> Result<BTreeMap<String, String>> {
    let row = status::find(app, name, None).await?;
    let apps = wanted(&row, deployment_id);
    let each =
        (BYTES_MAX / u32::try_from(apps.len()).unwrap_or(u32::MAX).max(1)).min(APP_BYTES_MAX);
    let mut reads = Vec::with_capacity(apps.len());
    for it in apps {
        reads.push(end_of(app, permit, &row, it, each));
    }
    stream::iter(reads).buffered(AT_ONCE).try_collect().await
}

async fn end_of(
    app: &App,
    permit: &Permit,
    row: &ReleaseRow,
    of: &DeployedApp,
    limit_bytes: u32,
) -> Result<(String, String)> {
    let wanted = Wanted { limit_bytes, ..Wanted::default() };
    let page = read(app, permit, row, of, &wanted).await?;
    Ok((of.deployment_id.clone(), page.text))
}

/// The piece of a log that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only of this instance.
    pub instance: Option<String>,
    /// Where an earlier piece said that the next one begins.
    pub cursor: Option<String>,
    /// The most to read.
    pub limit_bytes: u32,
}

/// The applications of a release, or the one with that id on its platform, in any case.
pub fn wanted<'a>(row: &'a ReleaseRow, deployment_id: Option<&str>) -> Vec<&'a DeployedApp> {
    if row.status() == StatusCode::Deleted {
        return Vec::new();
    }
    let is_meant = |it: &&DeployedApp| {
        deployment_id.is_none_or(|id| it.deployment_id.eq_ignore_ascii_case(id))
    };
    row.apps.iter().filter(is_meant).collect()
}

/// Reads a piece of an application's log.
pub async fn read(
    app: &App,
    permit: &Permit,
    row: &ReleaseRow,
    of: &DeployedApp,
    wanted: &Wanted,
) -> Result<LogPage> {
    let platform = platform::find(app, &row.release.platform_name)?;
    let deployer = platform.deployer_in(&permit.caller.plugins)?;
    let Wanted { instance, cursor, limit_bytes } = wanted;
    let scope = platform.scope(ASKING);
    let page = deployer
        .logs(&scope, &of.handle, instance.as_deref(), cursor.as_deref(), *limit_bytes)
        .await?;
    page.map_err(|own| {
        Error::Conflict(format!(
            "Could not read the log of [{}]: {}",
            of.deployment_id, own.message
        ))
    })
}
