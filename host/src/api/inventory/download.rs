//! The endpoint that gives a release's bytes out.

use std::{ops::Range, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};

use super::{
    answer::{Answer, typed},
    range::{Wanted, wanted},
    versions::{Meant, permitted_release},
};
use crate::{
    app::App,
    authz::Caller,
    error::{Error, Result},
    inventory::{self, UnitPlace},
};

/// `GET …/versions/{version}/download`: the bytes of the release that is meant.
pub(super) async fn download(
    State(app): State<Arc<App>>,
    Path((namespace, unit, asked)): Path<(String, String, String)>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let place = UnitPlace::parse(&namespace, &unit)?;
    let Meant { permit, version, record } =
        permitted_release(&app, &caller, "inventory:version:download", &place, &asked).await?;
    let package = record.package.ok_or_else(|| place.no_release(&version))?;
    let etag = format!("\"{}\"", package.sha256);

    let (mut answer, range) = head(&headers, "application/gzip", &etag, package.size)?;
    let Some(range) = range else { return Ok(answer) };
    set(&mut answer, header::CONTENT_DISPOSITION, &file_name(&place, &asked))?;
    if method != Method::HEAD {
        let bytes = inventory::download(&app, &permit, place, version, &package, range).await?;
        *answer.body_mut() = Body::from_stream(bytes);
    }
    Ok(answer)
}

/// The answer to a request for `size` bytes of that type and tag, without the bytes, and
/// which of them it wants.
pub(in crate::api) fn head(
    headers: &HeaderMap,
    kind: &'static str,
    etag: &str,
    size: u64,
) -> Result<(Response, Option<Range<u64>>)> {
    let wanted = wanted(headers, etag, size);
    let mut answer = match &wanted {
        Wanted::NotModified | Wanted::Unsatisfiable => Response::new(Body::empty()),
        Wanted::Whole | Wanted::Part(_) => typed(kind, Body::empty()),
    };
    describe(&mut answer, &wanted, etag, size)?;
    let range = range_of(&wanted, size);
    if let Some(range) = &range {
        let length = range.end - range.start;
        set(&mut answer, header::CONTENT_LENGTH, &length.to_string())?;
    }
    Ok((answer, range))
}

fn range_of(wanted: &Wanted, size: u64) -> Option<Range<u64>> {
    match wanted {
        Wanted::NotModified | Wanted::Unsatisfiable => None,
        Wanted::Whole => Some(0..size),
        Wanted::Part(range) => Some(range.clone()),
    }
}

fn describe(answer: &mut Response, wanted: &Wanted, etag: &str, size: u64) -> Result<()> {
    set(answer, header::ETAG, etag)?;
    set(answer, header::ACCEPT_RANGES, "bytes")?;
    let status = answer.status_mut();
    match wanted {
        Wanted::Whole => *status = StatusCode::OK,
        Wanted::NotModified => *status = StatusCode::NOT_MODIFIED,
        Wanted::Unsatisfiable => {
            *status = StatusCode::RANGE_NOT_SATISFIABLE;
            set(answer, header::CONTENT_RANGE, &format!("bytes */{size}"))?;
        }
        Wanted::Part(range) => {
            *status = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            set(answer, header::CONTENT_RANGE, &range)?;
        }
    }
    Ok(())
}

/// The file's name says the version as it was asked for: `app-latest.tgz`.
fn file_name(place: &UnitPlace, asked: &str) -> String {
    let plain =
        |it: char| if it.is_ascii_graphic() && !matches!(it, '"' | '\\' | '/') { it } else { '_' };
    let asked: String = asked.chars().map(plain).collect();
    format!("attachment; filename=\"{}-{asked}.tgz\"", place.unit)
}

fn set(answer: &mut Response, name: HeaderName, value: &str) -> Result<()> {
    let value = HeaderValue::from_str(value).map_err(|it| Error::Internal(it.to_string()))?;
    answer.headers_mut().insert(name, value);
    Ok(())
}
