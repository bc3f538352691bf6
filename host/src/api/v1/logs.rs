//! `GET /api/v1/releases/{name}/logs`: what the applications of a release have written,
//! and with `follow` what they write, as server-sent events or as plain text.

use std::{fmt::Write, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    answer::{Answer, Failure},
    query::{Query, shortened},
    releases::{Part, json as as_json, name_of},
    stream::{self, EVENTS, LAST_EVENT_ID, RETRY_MS, Source, end},
};
use crate::{
    app::App,
    authz::{self, Caller, release_target},
    error::chain,
    release::logs::{self, Follow, Line, Log, Next, Place, Wanted},
};

const PARAMETERS: [&str; 5] = ["follow", "tail", "app", "instance", "after"];
const TEXT: &str = "text/plain; charset=utf-8";

/// Lines of an output.
const TAIL: usize = 100;
const TAIL_MAX: usize = 10_000;

/// The logs of a release.
#[derive(Serialize, ToSchema)]
pub(super) struct Logs {
    /// One for each output of each instance.
    logs: Vec<Log>,
}

/// `GET /api/v1/releases/{name}/logs`: the last lines, and with `follow` those to come.
pub(super) async fn logs(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = Query::read(query.as_deref(), &PARAMETERS)?;
    let wanted = Wanted {
        apps: query.all("app"),
        instance: query.one("instance")?.map(str::to_owned),
        tail: query.one("tail")?.map_or(Ok(TAIL), tail)?,
    };
    let is_followed = query.one("follow")?.map_or(Ok(false), yes_or_no)?;
    let from = place(&query, &headers, is_followed)?;
    let name = name_of(name)?;
    let target = release_target(&name, None);
    let permit = authz::authorize(&app, &caller, "release:logs", target).await?;
    let as_text = prefers_text(&headers);
    let is_named = wanted.instance.is_none();
    if is_followed {
        let follow = logs::follow(&app, permit, wanted, from).await?;
        return Ok(match as_text {
            true => stream::answer(TEXT, String::new(), AsText { follow, is_named }),
            false => stream::answer(EVENTS, format!("retry: {RETRY_MS}\n\n"), AsEvents(follow)),
        });
    }
    let logs = logs::last(&app, &permit, &wanted).await?;
    match as_text {
        true => Ok(text(&logs, is_named)),
        false => as_json(&Logs { logs }),
    }
}

fn tail(text: &str) -> Answer<usize> {
    text.parse().ok().filter(|it| *it <= TAIL_MAX).ok_or_else(|| {
        let message =
            format!("`tail` is a number of lines from 0 to {TAIL_MAX}, not `{}`", shortened(text));
        Failure::invalid("tail", message)
    })
}

fn yes_or_no(text: &str) -> Answer<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Failure::invalid("follow", "`follow` is `true` or `false`")),
    }
}

/// Where to go on. A client that comes back says so in the header, and its address still
/// says where it began.
fn place(query: &Query, headers: &HeaderMap, is_followed: bool) -> Answer<Option<Place>> {
    let in_query = query.one("after")?;
    if in_query.is_some() && !is_followed {
        let message = "`after` needs `follow=true`: without that there are only last lines";
        return Err(Failure::invalid("after", message));
    }
    let in_header = headers.get(LAST_EVENT_ID).filter(|it| !it.is_empty() && is_followed);
    let (field, text) = match (in_header, in_query) {
        (Some(it), _) => ("Last-Event-ID", String::from_utf8_lossy(it.as_bytes()).into_owned()),
        (None, Some(it)) => ("after", it.to_owned()),
        (None, None) => return Ok(None),
    };
    Place::read(text.trim()).map(Some).ok_or_else(|| {
        let message = format!(
            "a place in this log is wanted, as an `id` of its stream has it, not `{}`",
            shortened(&text)
        );
        Failure::invalid(field, message)
    })
}

/// Whether plain text is asked for, before what this answers otherwise.
fn prefers_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let (mut text, mut other) = (0.0, 0.0);
    for range in accepted.flat_map(|it| it.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight: f32 =
            parts.find_map(|it| it.strip_prefix("q=")).map_or(1.0, |it| it.parse().unwrap_or(0.0));
        match kind.as_str() {
            "text/plain" | "text/*" => text = weight.max(text),
            "application/json" | EVENTS => other = weight.max(other),
            _ => {}
        }
    }
    text > other
}

fn text(logs: &[Log], is_named: bool) -> Response {
    let mut text = String::new();
    for log in logs {
        for line in &log.lines {
            write_line(&mut text, &log.instance, line, is_named);
        }
    }
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response
}

fn write_line(text: &mut String, instance: &str, line: &str, is_named: bool) {
    let _ = match is_named {
        true => writeln!(text, "{instance} | {line}"),
        false => writeln!(text, "{line}"),
    };
}

/// Logs as server-sent events, one for each line.
struct AsEvents(Follow);

impl Source for AsEvents {
    const COUNTED: &'static str = FOLLOWERS;

    async fn next(&mut self) -> (String, bool) {
        match self.0.next().await {
            Ok(Next::Lines(lines)) => {
                let mut text = String::new();
                for (line, place) in lines {
                    write_id(&mut text, place);
                    let data = serde_json::to_string(&line).expect("a line is plain data");
                    let _ = write!(text, "data: {data}\n\n");
                }
                (text, false)
            }
            // Without data it is no event, and the client still goes on behind it.
            Ok(Next::Quiet(place)) => {
                let mut text = ": nothing\n".to_owned();
                write_id(&mut text, place);
                (text + "\n", false)
            }
            Ok(Next::Trouble { deployment_id, why }) => {
                let data = json!({ "deployment_id": deployment_id, "why": why });
                (format!("event: trouble\ndata: {data}\n\n"), false)
            }
            Ok(Next::End(reason)) => (end(reason), true),
            Err(error) => {
                tracing::error!(error = %chain(&error), "a log could not be followed");
                (end(BROKEN), true)
            }
        }
    }
}

const FOLLOWERS: &str = "chandlery_log_followers";
const BROKEN: &str = "the server broke; its log says how";

fn write_id(text: &mut String, place: Option<String>) {
    if let Some(place) = place {
        let _ = writeln!(text, "id: {place}");
    }
}

/// Logs as plain text, a line for each line.
struct AsText {
    follow: Follow,
    /// Whether each line is told with its instance.
    is_named: bool,
}

impl Source for AsText {
    const COUNTED: &'static str = FOLLOWERS;

    async fn next(&mut self) -> (String, bool) {
        loop {
            match self.follow.next().await {
                Ok(Next::Lines(lines)) => {
                    let mut text = String::new();
                    for (Line { instance, line, gap, .. }, _) in &lines {
                        if *gap {
                            write_line(&mut text, instance, "[lines are missing here]", true);
                        }
                        write_line(&mut text, instance, line, self.is_named);
                    }
                    return (text, false);
                }
                Ok(Next::Quiet(_) | Next::Trouble { .. }) => {}
                Ok(Next::End(_)) => return (String::new(), true),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "a log could not be followed");
                    return (String::new(), true);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_for_text_gets_it() {
        let prefers = |accept: &str| {
            prefers_text(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
        };
        for text in
            ["text/plain", "TEXT/plain; q=0.1", "text/*", "application/json;q=0.5,text/plain"]
        {
            assert!(prefers(text), "{text}");
        }
        for other in [
            "*/*",
            "application/json",
            "text/event-stream",
            "text/plain,text/event-stream",
            "x",
            "",
        ] {
            assert!(!prefers(other), "{other}");
        }
        assert!(!prefers_text(&HeaderMap::new()));
    }
}
