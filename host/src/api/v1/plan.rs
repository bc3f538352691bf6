//! `POST /api/v1/releases/{name}/plan` and `…/apply`: what would be done, and doing it.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, header},
};
use tokio::time::Instant;

use super::{
    answer::{Answer, Failure},
    body,
    query::{Query, shortened},
    releases::{Part, json, name_of},
};
use crate::{
    app::App,
    authz::{self, Caller, release_target},
    release::{
        overview,
        plan::{self, Order},
    },
};

/// How long one may wait for one's turn.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// `POST /api/v1/releases/{name}/plan`: what would be done. Nothing is kept.
pub(super) async fn plan(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    body: Body,
) -> Answer {
    let name = name_of(name)?;
    let order = order(&app, body).await?;
    let target = release_target(&name, None);
    let permit = authz::authorize(&app, &caller, "release:plan", target).await?;
    let action = plan::action_of(&app, &name, &order, false).await?;
    let plan = plan::plan(&app, &permit, &name, action, &order).await?;
    let mut answer = json(&plan)?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", plan.index)) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    Ok(answer)
}

/// `POST /api/v1/releases/{name}/apply`: does it, if it is still what was planned.
pub(super) async fn apply(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    name: Part,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let query = Query::read(query.as_deref(), &["wait"])?;
    let wait = query.one("wait")?.map_or(Ok(Duration::ZERO), duration)?;
    let index = if_match(&headers)?;
    let name = name_of(name)?;
    let order = order(&app, body).await?;
    let target = release_target(&name, None);
    // What is asked for as a plan tells what there is; what is done is asked for itself.
    let mut action = plan::action_of(&app, &name, &order, index.is_some()).await?;
    let mut permit = authz::authorize(&app, &caller, action.name(), target.clone()).await?;
    // Kept until it is done: who waits longest is the next.
    let until = Instant::now() + wait;
    let _turn = match wait.is_zero() {
        true => None,
        false => app.engine.turn(&name, until).await,
    };
    wait_for(&app, &name, until).await?;
    let now = plan::action_of(&app, &name, &order, index.is_some()).await?;
    if now != action {
        action = now;
        permit = authz::authorize(&app, &caller, action.name(), target).await?;
    }
    let read = permit.clone();
    plan::apply(&app, permit, &name, action, &order, index).await?;
    json(&overview::overview(&app, &read, &name).await?)
}

/// Waits until nobody works on the release, and says who does where that takes too long.
async fn wait_for(app: &App, name: &str, until: Instant) -> Answer<()> {
    match app.engine.wait_until_free(app, name, until).await? {
        // It only tidies up, and the engine waits for that.
        Some(operation) if !operation.is_decided() => Err(Failure::held(&operation)),
        _ => Ok(()),
    }
}

async fn order(app: &App, body: Body) -> Answer<Order> {
    body::read(body::object(app, body, "an order").await?, "an order")
}

/// The index in `If-Match`; none where there is none, or any will do.
fn if_match(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let bare = text.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(text);
    match bare.len() == 64 && bare.bytes().all(|it| it.is_ascii_hexdigit()) {
        true => Ok(Some(bare.to_ascii_lowercase())),
        false => {
            let message = "`If-Match` takes the one index of a plan, in quotes";
            Err(Failure::invalid("If-Match", message))
        }
    }
}

/// Reads `500ms`, `30s`, `2m`.
fn duration(text: &str) -> Answer<Duration> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    let read = digits.parse::<u64>().ok().zip(unit_ms).and_then(|(it, unit)| it.checked_mul(unit));
    read.map(Duration::from_millis).filter(|it| *it <= WAIT_MAX).ok_or_else(|| {
        let message = format!(
            "`wait` is a time up to {} seconds, such as `30s`, not `{}`",
            WAIT_MAX.as_secs(),
            shortened(text)
        );
        Failure::invalid("wait", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("0s", 0)] {
            assert_eq!(duration(text).ok(), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "30", "-1s", "11m", "1h", "1.5s", "99999999999999999999s", "1 s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_index_is_in_quotes_or_any() {
        let read = |text: &str| {
            if_match(&HeaderMap::from_iter([(header::IF_MATCH, text.parse().unwrap())]))
        };
        let index = "0a".repeat(32);
        assert_eq!(read(&format!("\"{index}\"")).ok().unwrap(), Some(index.clone()));
        assert_eq!(read("*").ok().unwrap(), None);
        assert_eq!(if_match(&HeaderMap::new()).ok().unwrap(), None);
        for bad in ["", "\"x\"", "\"a\", \"b\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
