//! `GET /api/v1/events`: what changes, as server-sent events.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::HeaderMap,
};

use super::{
    answer::{Answer, Failure},
    query::{Query, shortened},
    stream::{self, EVENTS, LAST_EVENT_ID, RETRY_MS, Source, end},
};
use crate::{
    app::App,
    authz::{self, Caller, Target},
    error::{Error, chain},
    events::{self, Filter, Next, Watch},
};

const ACTION: &str = "event:read";
const PARAMETERS: [&str; 4] = ["after", "action", "namespace", "name"];

/// Streams events until the client goes.
pub(super) async fn watch(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = Query::read(query.as_deref(), &PARAMETERS)?;
    let after = after(&query, &headers)?;
    let filter = Filter {
        actions: query.all("action"),
        namespaces: query.all("namespace"),
        names: query.all("name"),
    };
    if let Some(action) = filter.unknown_action() {
        let message = format!(
            "nothing that changes is called `{}`: these are known, and a beginning with `*` behind \
             it: `{}`",
            shortened(action),
            events::ACTIONS.join("`, `")
        );
        return Err(Failure::invalid("action", message));
    }
    let mut permits = Vec::new();
    for target in targets(&filter) {
        permits.push(authz::authorize(&app, &caller, ACTION, target).await?);
    }
    let watch = events::watch(&app, permits, filter, after).await?;
    let first = format!("retry: {RETRY_MS}\nid: {}\n\n", watch.looked());
    Ok(stream::answer(EVENTS, first, watch))
}

/// Where to begin. A client that comes back says so in the header, and its address
/// still says where it began.
fn after(query: &Query, headers: &HeaderMap) -> Answer<Option<u64>> {
    let number = |field: &str, text: &str| {
        text.trim().parse::<u64>().map_err(|_| {
            let message = format!(
                "the number of an event is wanted, as an `id` of the stream has it, not `{}`",
                shortened(text)
            );
            Failure::invalid(field, message)
        })
    };
    let in_query = query.one("after")?.map(|it| number("after", it)).transpose()?;
    match headers.get(LAST_EVENT_ID) {
        None => Ok(in_query),
        // What a browser sends that has seen none yet.
        Some(it) if it.is_empty() => Ok(in_query),
        Some(it) => number("Last-Event-ID", &String::from_utf8_lossy(it.as_bytes())).map(Some),
    }
}

/// What the policy is asked about: each namespace by itself, or all of them.
fn targets(filter: &Filter) -> Vec<Target> {
    let name = match &filter.names[..] {
        [name] => name.as_str(),
        _ => "",
    };
    let target = |namespace: &str| Target {
        kind: "event".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version: None,
        labels: Vec::new(),
    };
    match filter.namespaces.is_empty() {
        true => vec![target("")],
        false => filter.namespaces.iter().map(|it| target(it)).collect(),
    }
}

impl Source for Watch {
    const COUNTED: &'static str = "chandlery_event_watchers";

    async fn next(&mut self) -> (String, bool) {
        next(self).await
    }
}

/// What is sent next, and whether it is the last.
async fn next(watch: &mut Watch) -> (String, bool) {
    match watch.next().await {
        Ok(Next::Events(events)) => {
            let mut text = String::with_capacity(events.iter().map(|it| it.json.len() + 32).sum());
            for event in events {
                let data = String::from_utf8_lossy(&event.json);
                text.push_str(&format!("id: {}\ndata: {data}\n\n", event.id));
            }
            (text, false)
        }
        // Without data it is no event, and the client still goes on behind it.
        Ok(Next::Quiet(looked)) => (format!(": nothing\nid: {looked}\n\n"), false),
        Ok(Next::End(reason)) => (end(reason), true),
        Err(Error::Gone(reason)) => (end(&reason), true),
        Err(error) => {
            tracing::error!(error = %chain(&error), "events could not be told");
            (end("the server broke; its log says how"), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_asked_about_each_namespace() {
        let asked = |filter: &Filter| -> Vec<(String, String)> {
            targets(filter).into_iter().map(|it| (it.namespace, it.name)).collect()
        };
        let mut filter = Filter::default();
        assert_eq!(asked(&filter), [(String::new(), String::new())]);
        filter.namespaces = vec!["a".into(), "b".into()];
        filter.names = vec!["web".into()];
        assert_eq!(asked(&filter), [("a".into(), "web".into()), ("b".into(), "web".into())]);
        filter.names.push("card".into());
        assert_eq!(asked(&filter), [("a".into(), String::new()), ("b".into(), String::new())]);
    }
}
