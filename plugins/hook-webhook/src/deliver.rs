//! Events, posted one after the other.

use std::collections::HashSet;

use chandlery_sdk::hook::{Event, Outcome};

use crate::{
    payload,
    post::{Host, Message, NoAnswer, post},
    retry_after::retry_after_ms,
    settings::Endpoint,
};

/// How long one call goes on; what is left then is for the next. Below the ten
/// seconds that the host gives a call by default.
const CALL_MS_MAX: u64 = 8_000;

/// Posts each event to every URL that wants it.
pub(crate) fn deliver(host: &mut dyn Host, urls: &[Endpoint], events: &[Event]) -> Vec<Outcome> {
    let end = host.now() + CALL_MS_MAX;
    let mut unreachable = HashSet::new();
    let mut outcomes = Vec::new();
    for event in events {
        let mut combined = Outcome::Done;
        let body = payload::event(event);
        for (index, url) in urls.iter().enumerate().filter(|it| it.1.wants(&event.action)) {
            let left = end.saturating_sub(host.now());
            let outcome = if left == 0 || unreachable.contains(&index) {
                Outcome::Retry(None)
            } else {
                let timeout = u64::from(url.timeout_ms).min(left) as u32;
                let (outcome, reached) = tell(host, url, event, &body, timeout);
                if !reached {
                    unreachable.insert(index);
                }
                outcome
            };
            combined = worse(combined, outcome);
        }
        outcomes.push(combined);
    }
    outcomes
}

/// Posts one event to one URL, and says whether the URL could be reached.
fn tell(
    host: &mut dyn Host,
    url: &Endpoint,
    event: &Event,
    body: &str,
    timeout_ms: u32,
) -> (Outcome, bool) {
    let Event { id, action, attempt, .. } = event;
    let message = Message { id, action, attempt: *attempt, body: body.as_bytes() };
    let response = match post(host, url, &message, timeout_ms) {
        Ok(response) => response,
        Err(failure) => {
            host.warn(&format!("event `{id}` to `{}`: {}", url.shown(), failure.why()));
            return (Outcome::Retry(None), matches!(failure, NoAnswer::Failed(_)));
        }
    };
    let outcome = match response.status {
        200..=299 => Outcome::Done,
        408 | 425 | 429 => Outcome::Retry(retry_after_ms(&response, host.now())),
        status @ 400..=499 => Outcome::Drop(format!("`{}` answered {status}", url.shown())),
        status => {
            host.warn(&format!("event `{id}` to `{}`: it answered {status}", url.shown()));
            Outcome::Retry(retry_after_ms(&response, host.now()))
        }
    };
    (outcome, true)
}

/// Of the outcomes at two URLs, what counts for the event: one that must have it
/// again decides, then one that never will.
fn worse(a: Outcome, b: Outcome) -> Outcome {
    match (a, b) {
        (Outcome::Retry(a), Outcome::Retry(b)) => Outcome::Retry(a.max(b)),
        (Outcome::Retry(it), _) | (_, Outcome::Retry(it)) => Outcome::Retry(it),
        (Outcome::Drop(a), Outcome::Drop(b)) => Outcome::Drop(format!("{a}; {b}")),
        (Outcome::Drop(it), _) | (_, Outcome::Drop(it)) => Outcome::Drop(it),
        (Outcome::Done, Outcome::Done) => Outcome::Done,
    }
}

#[cfg(test)]
mod tests {
    use chandlery_sdk::{
        hook::{Principal, PrincipalKind, Target},
        http::{HttpError, Response},
        types::Label,
    };
    use serde_json::json;

    use super::*;
    use crate::{
        post::{
            fake::{Fake, answer},
            signature,
        },
        settings::Settings,
    };

    fn urls(json: serde_json::Value) -> Vec<Endpoint> {
        let (settings, findings) = Settings::read(&json!({ "urls": json }).to_string());
        assert_eq!(findings, []);
        settings.urls
    }

    fn event(action: &str) -> Event {
        Event {
            id: "e-1".to_owned(),
            sequence: 7,
            action: action.to_owned(),
            target: Target {
                kind: "version".to_owned(),
                namespace: "acme".to_owned(),
                name: "web".to_owned(),
                version: Some("1.0".to_owned()),
                labels: vec![Label::new("team", "shop")],
            },
            actor: Principal {
                id: "user:ana".to_owned(),
                kind: PrincipalKind::User,
                groups: vec!["dev".to_owned()],
                roles: Vec::new(),
                claims: vec![Label::new("email", "ana@example.org")],
            },
            at: 1_700_000_000_000,
            object: Some(r#"{"version":1.10}"#.to_owned()),
            attempt: 3,
        }
    }

    const URL: &str = "https://in.example.org/hook";

    fn outcome(answer: Result<Response, HttpError>) -> Outcome {
        let mut host = Fake::new([answer]);
        deliver(&mut host, &urls(json!([{ "url": URL }])), &[event("a:b")]).remove(0)
    }

    #[test]
    fn an_event_is_posted_signed_with_all_that_a_receiver_needs() {
        let urls = urls(json!([{ "url": URL, "secret": "key", "headers": { "X-Team": "shop" } }]));
        let mut host = Fake::new([answer(204, "")]);
        assert_eq!(deliver(&mut host, &urls, &[event("a:b")]), [Outcome::Done]);

        let body = host.sent[0].body.clone().unwrap();
        let expected = r#"{"id":"e-1","sequence":7,"action":"a:b","at":1700000000000,"target":{"kind":"version","namespace":"acme","name":"web","version":"1.0","labels":{"team":"shop"}},"actor":{"id":"user:ana","kind":"user","groups":["dev"]},"object":{"version":1.10}}"#;
        assert_eq!(String::from_utf8_lossy(&body), expected);
        assert_eq!((host.sent[0].method.as_str(), host.sent[0].url.as_str()), ("POST", URL));
        let expected = signature(b"k3y", 1_800_000_000, &body);
        for (name, value) in [
            ("x-chandlery-signature", expected.as_str()),
            ("x-chandlery-id", "e-1"),
            ("x-chandlery-action", "a:b"),
            ("x-chandlery-attempt", "3"),
            ("content-type", "application/json"),
            ("X-Team", "shop"),
        ] {
            assert_eq!(host.header(0, name), Some(value), "{name}");
        }
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let mut host = Fake::new([answer(200, "")]);
        deliver(&mut host, &urls(json!([{ "url": URL }])), &[event("a:b")]);
        assert_eq!(host.header(0, "x-chandlery-signature"), None);
    }

    #[test]
    fn the_status_decides_what_becomes_of_an_event() {
        for status in [200, 202, 204, 299] {
            assert_eq!(outcome(answer(status, "")), Outcome::Done, "{status}");
        }
        for status in [400, 401, 404, 410, 422] {
            // The path may hold a token, and is not shown.
            let why = format!("`https://in.example.org` answered {status}");
            assert_eq!(outcome(answer(status, "")), Outcome::Drop(why));
        }
        for status in [100, 301, 408, 425, 429, 500, 503] {
            assert_eq!(outcome(answer(status, "")), Outcome::Retry(None), "{status}");
        }
        for error in [HttpError::Timeout, HttpError::TooLarge, HttpError::Denied("no".to_owned())] {
            assert_eq!(outcome(Err(error)), Outcome::Retry(None));
        }
    }

    #[test]
    fn a_receiver_can_ask_for_time() {
        let headers = vec![Label::new("retry-after", "30")];
        let response = Response { status: 503, headers, body: Vec::new() };
        assert_eq!(outcome(Ok(response)), Outcome::Retry(Some(30_000)));
    }

    #[test]
    fn only_wanted_events_are_posted() {
        let urls = urls(json!([{ "url": URL, "events": ["inventory:*", "*:delete"] }]));
        let mut host = Fake::new([answer(200, ""), answer(200, "")]);
        let actions = ["inventory:version:register", "release:install", "release:delete"];
        let outcomes = deliver(&mut host, &urls, &actions.map(event));
        assert_eq!(outcomes, [Outcome::Done, Outcome::Done, Outcome::Done]);
        let sent = [host.header(0, "x-chandlery-action"), host.header(1, "x-chandlery-action")];
        assert_eq!(sent, [Some("inventory:version:register"), Some("release:delete")]);
    }

    #[test]
    fn an_event_is_done_when_all_urls_have_it() {
        let both = urls(json!([{ "url": URL }, { "url": "https://b.example.org" }]));
        let of = |answers: [u16; 2]| {
            let mut host = Fake::new(answers.map(|it| answer(it, "")));
            deliver(&mut host, &both, &[event("a:b")]).remove(0)
        };
        assert_eq!(of([200, 200]), Outcome::Done);
        assert_eq!(of([200, 500]), Outcome::Retry(None));
        assert_eq!(of([404, 500]), Outcome::Retry(None));
        assert!(matches!(of([404, 200]), Outcome::Drop(_)));
    }

    #[test]
    fn a_url_that_is_down_is_tried_once_in_a_call_and_holds_up_no_other() {
        let both = urls(json!([{ "url": URL, "events": ["a"] }, { "url": URL, "events": ["b"] }]));
        let down = Err(HttpError::Connect("refused".to_owned()));
        let mut host = Fake::new([down, answer(200, "")]);
        let outcomes = deliver(&mut host, &both, &["a", "a", "b"].map(event));
        assert_eq!(outcomes, [Outcome::Retry(None), Outcome::Retry(None), Outcome::Done]);
        assert!(host.warnings[0].contains("nobody answers: refused"), "{:?}", host.warnings);
    }

    #[test]
    fn a_call_ends_in_time_and_leaves_the_rest_for_the_next() {
        let mut host = Fake::new([answer(200, ""), answer(200, ""), answer(200, "")]);
        host.took_ms = 3_000;
        let events = ["a", "a", "a", "a", "a"].map(event);
        let outcomes = deliver(&mut host, &urls(json!([{ "url": URL }])), &events);
        let (done, later) = (Outcome::Done, Outcome::Retry(None));
        assert_eq!(outcomes, [done.clone(), done.clone(), done, later.clone(), later]);
        assert_eq!(host.sent[2].timeout_ms, Some(2_000));
    }

    #[test]
    fn a_secret_that_is_not_granted_keeps_the_event() {
        let mut host = Fake::new([]);
        let urls = urls(json!([{ "url": URL, "secret": "other" }]));
        assert_eq!(deliver(&mut host, &urls, &[event("a")]), [Outcome::Retry(None)]);
        assert!(host.warnings[0].contains("grants.secrets.reveal"), "{:?}", host.warnings);
    }
}
