//! `GET /api/v1/releases…`: releases as they really are, and what was done to them.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::{Answer, Failure},
    query::Query,
};
use crate::{
    app::App,
    authz::{self, Caller, release_target},
    release::{
        model::StatusCode,
        overview::{self, Before, Listed, Past, Wanted},
        status::unknown,
    },
};

/// Rows on a page.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 100;

/// A part of the path, or why it cannot be read.
pub(super) type Part = Result<Path<String>, PathRejection>;

/// A page of releases.
#[derive(Serialize, ToSchema)]
pub(super) struct OverviewPage {
    /// The releases, by name.
    items: Vec<Listed>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// A page of a release's history.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryPage {
    /// Versions and operations, the newest first.
    items: Vec<Past>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/v1/releases`: all releases, by name.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let known = ["name", "platform", "status", "limit", "cursor"];
    let query = Query::read(query.as_deref(), &known)?;
    let limit = limit(&query)?;
    let after = match query.one("cursor")? {
        None => String::new(),
        Some(it) => uncursored(it).filter(|it| is_key(it)).ok_or_else(bad_cursor)?,
    };
    let wanted = Wanted {
        part: query.one("name")?.unwrap_or_default().to_owned(),
        platform: query.one("platform")?.map(str::to_owned),
        status: query.one("status")?.map(status).transpose()?,
    };
    let permit = authz::authorize(&app, &caller, "release:list", release_target("", None)).await?;
    let (items, next) = overview::list(&app, &permit, wanted, after, limit).await?;
    json(&OverviewPage { items, next: next.map(|it| cursored(&it)) })
}

/// `GET /api/v1/releases/{name}`: how a release is now.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
) -> Answer {
    let name = name_of(name)?;
    let target = release_target(&name, None);
    let permit = authz::authorize(&app, &caller, "release:read", target).await?;
    json(&overview::overview(&app, &permit, &name).await?)
}

/// `GET /api/v1/releases/{name}/history`: its versions and what was done to it.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::read(query.as_deref(), &["limit", "cursor"])?;
    let limit = limit(&query)?;
    let before = query.one("cursor")?.map(|it| before(it).ok_or_else(bad_cursor)).transpose()?;
    let name = name_of(name)?;
    let target = release_target(&name, None);
    let permit = authz::authorize(&app, &caller, "release:history", target).await?;
    let (items, next) = overview::history(&app, &permit, &name, before, limit).await?;
    let next = next.map(|it| cursored(&format!("{}:{}:{}", it.version, it.started_ms, it.id)));
    json(&HistoryPage { items, next })
}

/// The name in a path. No release has a name that cannot be a key's part.
pub(super) fn name_of(name: Part) -> Answer<String> {
    let Path(name) = name.map_err(|it| Failure::invalid("name", it.body_text()))?;
    match is_key(&name) {
        true => Ok(name),
        false => Err(unknown(&name, None).into()),
    }
}

pub(super) fn json(body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("an answer is plain data");
    let mut response = Response::new(Body::from(body));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn is_key(name: &str) -> bool {
    !name.chars().any(char::is_control)
}

pub(super) fn limit(query: &Query) -> Answer<usize> {
    let Some(text) = query.one("limit")? else { return Ok(LIMIT) };
    let limit = text.parse().ok().filter(|it| (1..=LIMIT_MAX).contains(it));
    limit.ok_or_else(|| {
        Failure::invalid("limit", format!("`limit` is a number from 1 to {LIMIT_MAX}"))
    })
}

fn status(text: &str) -> Answer<StatusCode> {
    match text.to_ascii_uppercase().as_str() {
        "UNKNOWN" => Ok(StatusCode::Unknown),
        "DEPLOYED" => Ok(StatusCode::Deployed),
        "DELETED" => Ok(StatusCode::Deleted),
        "FAILED" => Ok(StatusCode::Failed),
        _ => {
            let message = "`status` is one of `UNKNOWN`, `DEPLOYED`, `DELETED` and `FAILED`";
            Err(Failure::invalid("status", message))
        }
    }
}

pub(super) fn bad_cursor() -> Failure {
    Failure::invalid("cursor", "send the `next` of a page of the same list, as it came")
}

pub(super) fn cursored(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn uncursored(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

fn before(cursor: &str) -> Option<Before> {
    let text = uncursored(cursor)?;
    let mut parts = text.splitn(3, ':');
    Some(Before {
        version: parts.next()?.parse().ok()?,
        started_ms: parts.next()?.parse().ok()?,
        id: parts.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let read = before(&cursored("3:1795322804999:some-id")).unwrap();
        assert_eq!((read.version, read.started_ms, &*read.id), (3, 1_795_322_804_999, "some-id"));
        for bad in ["", "!", &cursored("3"), &cursored("3:x:id"), &cursored("-1:2:id")] {
            assert!(before(bad).is_none(), "{bad}");
        }
    }
}
