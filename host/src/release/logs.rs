//! The logs of a release's applications, as its deployer reads them.

mod follow;
mod place;
mod sources;

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use self::sources::Source;
pub use self::{
    follow::{Follow, Next, follow},
    place::Place,
};
use super::{model::StatusCode, platform, status};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    plugins::deployer::{LogPage, LogPlace, LogWant},
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
    let platform = platform::find(app, &row.release.platform_name)?;
    let deployer = platform.deployer_in(&permit.caller.plugins)?;
    let scope = platform.scope(ASKING);
    let said = deployer.logs(&scope, &of.handle, None, None, limit_bytes).await?;
    let LogPage { text, .. } = said.map_err(|own| {
        Error::Conflict(format!(
            "Could not read the log of [{}]: {}",
            of.deployment_id, own.message
        ))
    })?;
    Ok((of.deployment_id.clone(), text))
}

/// The applications of a release, or the one with that id on its platform, in any case.
fn wanted<'a>(row: &'a ReleaseRow, deployment_id: Option<&str>) -> Vec<&'a DeployedApp> {
    if row.status() == StatusCode::Deleted {
        return Vec::new();
    }
    let is_meant = |it: &&DeployedApp| {
        deployment_id.is_none_or(|id| it.deployment_id.eq_ignore_ascii_case(id))
    };
    row.apps.iter().filter(is_meant).collect()
}

/// Which lines of the logs of a release are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of these applications, each by its name or its id on the platform; of all where
    /// there are none.
    pub apps: Vec<String>,
    /// Of that instance only.
    pub instance: Option<String>,
    /// The last so many of each output of each instance.
    pub tail: usize,
}

/// The last lines of an output.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Log {
    /// The application.
    pub app: String,
    /// Its id on the platform.
    pub deployment_id: String,
    /// The id of the instance.
    pub instance: String,
    /// `stdout` or `stderr`; empty where the platform does not tell them apart.
    pub output: String,
    /// The lines, the last one last.
    pub lines: Vec<String>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Line {
    /// The application.
    pub app: String,
    /// Its id on the platform.
    pub deployment_id: String,
    /// The id of the instance.
    pub instance: String,
    /// `stdout` or `stderr`; empty where the platform does not tell them apart.
    pub output: String,
    /// The line.
    pub line: String,
    /// Whether it is not at its end: what comes next of that output belongs to it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Whether lines are missing before it: the log had been cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

impl Line {
    fn of(source: &Source, place: &LogPlace, said: &str, gap: bool) -> Line {
        Line {
            app: source.app.clone(),
            deployment_id: source.deployment_id.clone(),
            instance: place.instance.clone(),
            output: place.output.clone(),
            line: bare(said).to_owned(),
            continues: !said.ends_with('\n'),
            gap,
        }
    }
}

impl Wanted {
    fn wants(&self, source: &Source) -> bool {
        let is_meant = |it: &String| *it == source.app || *it == source.deployment_id;
        self.apps.is_empty() || self.apps.iter().any(is_meant)
    }
}

/// The last lines of each output of each instance.
pub async fn last(app: &App, permit: &Permit, wanted: &Wanted) -> Result<Vec<Log>> {
    let found = sources::find(app, &permit.target.name).await?;
    let sources = selected(app, wanted, found.sources).await?;
    let limit_bytes = each_bytes(sources.len());
    let mut logs = Vec::new();
    for source in &sources {
        let want = LogWant {
            instance: wanted.instance.clone(),
            read: Vec::new(),
            newest: true,
            limit_bytes,
            unfinished: true,
        };
        for it in source.lines(app, want).await?.texts {
            let lines = last_lines(&it.text, wanted.tail).split_inclusive('\n');
            logs.push(Log {
                app: source.app.clone(),
                deployment_id: source.deployment_id.clone(),
                instance: it.place.instance,
                output: it.place.output,
                lines: lines.map(|it| bare(it).to_owned()).collect(),
            });
        }
    }
    Ok(logs)
}

/// What one log may have of an answer that has so many.
fn each_bytes(logs: usize) -> u32 {
    (BYTES_MAX / u32::try_from(logs).unwrap_or(u32::MAX).max(1)).min(APP_BYTES_MAX)
}

/// Those that are wanted. What is asked for and not there is a mistake: nothing would
/// come, and nobody would know why.
async fn selected(app: &App, wanted: &Wanted, all: Vec<Source>) -> Result<Vec<Source>> {
    for name in &wanted.apps {
        if !all.iter().any(|it| *name == it.app || *name == it.deployment_id) {
            let known: Vec<&str> = all.iter().map(|it| it.app.as_str()).collect();
            return Err(Error::invalid("app", none_of("application", name, &known)));
        }
    }
    let sources: Vec<Source> = all.into_iter().filter(|it| wanted.wants(it)).collect();
    let Some(instance) = &wanted.instance else { return Ok(sources) };
    let mut known = Vec::new();
    for source in &sources {
        known.extend(source.instances(app).await?);
    }
    match known.contains(instance) {
        true => Ok(sources),
        false => Err(Error::invalid("instance", none_of("instance", instance, &known))),
    }
}

fn none_of(what: &str, name: &str, known: &[impl AsRef<str>]) -> String {
    let name: String = name.chars().take(64).collect();
    let mut known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    known.sort_unstable();
    known.dedup();
    known.truncate(50);
    match known.is_empty() {
        true => format!("no {what} `{name}` runs: none does"),
        false => format!("no {what} `{name}` runs; these do: `{}`", known.join("`, `")),
    }
}

/// The last so many lines of a text.
fn last_lines(text: &str, lines: usize) -> &str {
    let mut from = text.len();
    for _ in 0..lines {
        if from == 0 {
            break;
        }
        let before = &text.as_bytes()[..from - 1];
        from = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    }
    &text[from..]
}

/// A line without its end.
fn bare(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\n\n", 1, "\n"),
            ("a\n", 0, ""),
            ("ä", 1, "ä"),
            ("xä\nyö", 1, "yö"),
            ("", 3, ""),
        ] {
            assert_eq!(last_lines(text, lines), expected, "{text:?} {lines}");
        }
    }

    #[test]
    fn a_line_has_no_end() {
        for (line, expected) in
            [("a\r\n", "a"), ("a\n", "a"), ("a", "a"), ("\n", ""), ("a\rb", "a\rb")]
        {
            assert_eq!(bare(line), expected);
        }
    }
}
