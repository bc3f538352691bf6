//! Endpoints that look at several releases at once, and at logs.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::{
    answer::{Answer, Failure},
    links,
    releases::{Part, is_key, name_of, target},
};
use crate::{
    app::App,
    authz::{self, Caller, Permit},
    release::{logs, status},
};

/// The original gives these requests two minutes.
const TIME_MAX: Duration = Duration::from_secs(120);
const NAMES_MAX: usize = 1_000;

/// What a path names: a release, or an application of it.
#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
    app: Option<String>,
}

/// `GET /api/release/statuses?names=a,b`: how these releases are now, by name.
pub(super) async fn statuses(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let permits = may_read(&app, &caller, query.as_deref()).await?;
    let statuses = timeout(TIME_MAX, status::statuses(&app, &permits)).await;
    links::linkless(&statuses.map_err(|_| Failure::timeout())??)
}

/// `GET /api/release/states?names=a,b`: the state of each application of these
/// releases. Nothing at all where none of them is known, as in the original.
pub(super) async fn states(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let permits = may_read(&app, &caller, query.as_deref()).await?;
    let states = timeout(TIME_MAX, status::states(&app, &permits)).await;
    let states = states.map_err(|_| Failure::timeout())??;
    match states.is_empty() {
        true => Ok(Response::new(Body::empty()).into_response()),
        false => links::linkless(&states),
    }
}

/// `GET /api/release/logs/{name}`: the end of each log;
/// `GET /api/release/logs/{name}/{app}`: of the application with that id on its platform.
pub(super) async fn logs(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    named: Part<Named>,
) -> Answer {
    let Path(Named { name, app: id }) = named.map_err(|it| Failure::path(it.body_text()))?;
    let name = name_of(Ok(Path(name)))?;
    let permit = authz::authorize(&app, &caller, "release:logs", target(&name, None)).await?;
    let logs = logs::ends(&app, &permit, &name, id.as_deref()).await?;
    links::linkless(&json!({ "logs": logs }))
}

/// The policy is asked for each release that is named, before it is looked for.
async fn may_read(
    app: &App,
    caller: &Arc<Caller>,
    query: Option<&str>,
) -> Result<Vec<Permit>, Failure> {
    let mut permits = Vec::new();
    for name in names(query)? {
        permits.push(authz::authorize(app, caller, "release:read", target(&name, None)).await?);
    }
    Ok(permits)
}

/// The names in a query: with commas between, repeated, or both. Each once, and
/// without those that no release can have.
fn names(query: Option<&str>) -> Result<Vec<String>, Failure> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut given = pairs.filter(|(key, _)| key == "names").map(|(_, value)| value).peekable();
    if given.peek().is_none() {
        return Err(Failure::missing("names"));
    }
    let mut names: Vec<String> = Vec::new();
    for value in given {
        let each = value.split(',').map(str::trim).filter(|it| !it.is_empty() && is_key(it));
        names.extend(each.map(str::to_owned));
    }
    names.sort();
    names.dedup();
    match names.len() > NAMES_MAX {
        true => Err(Failure::query(format!("`names` may hold {NAMES_MAX} names, and holds more"))),
        false => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_with_commas_or_repeated() {
        let read = |query: &str| names(Some(query)).unwrap();
        assert_eq!(read("names=b,a&x=1&names=a%2C%20c,"), ["a", "b", "c"]);
        assert_eq!(read("names="), Vec::<String>::new());
        assert_eq!(read("names=a%00b,d"), ["d"]);
        assert!(names(None).is_err() && names(Some("name=a")).is_err());
        let many: Vec<String> = (0..=NAMES_MAX).map(|it| it.to_string()).collect();
        assert!(names(Some(&format!("names={}", many.join(",")))).is_err());
    }
}
