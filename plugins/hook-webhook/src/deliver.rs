//! Events, posted one after the other.

use std::collections::HashSet;

use chandlery_sdk::hook::{Event, Outcome};

use crate::{
    payload,
    post::{Host, Message, NoAnswer, post},
    retry_after::retry_after_ms,
    settings::{Endpoint, Format, Settings},
    upload::{Seen, To, Upload},
};

/// How long one call goes on; what is left then is for the next. Below the ten
/// seconds that the host gives a call by default.
const CALL_MS_MAX: u64 = 8_000;
/// How long a URL of a hooks document has for its answer.
const NOTICE_MS_MAX: u32 = 5_000;
/// Redirects that are followed to where a hooks document's URL has moved.
const REDIRECTS_MAX: usize = 3;

/// Posts each event to every URL that wants it.
pub(crate) fn deliver(host: &mut dyn Host, settings: &Settings, events: &[Event]) -> Vec<Outcome> {
    let end = host.now() + CALL_MS_MAX;
    let mut unreachable = HashSet::new();
    let mut outcomes = Vec::new();
    for event in events {
        let upload = match Seen::of(event) {
            Seen::Plain => None,
            Seen::Upload(upload) => Some(upload),
            Seen::Notice(upload, to) => {
                let follow = settings.follow_documents;
                outcomes.push(match follow {
                    true => notify(host, &upload, &to, event, end),
                    false => Outcome::Done,
                });
                continue;
            }
        };
        let mut combined = Outcome::Done;
        for (index, url) in settings.urls.iter().enumerate() {
            let Some(body) = body(url, event, upload.as_ref()) else { continue };
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

/// What a URL is told of an event, if anything.
fn body(url: &Endpoint, event: &Event, upload: Option<&Upload>) -> Option<String> {
    if !url.wants(&event.action) {
        return None;
    }
    match (url.format, upload) {
        (Format::Event, None) => Some(payload::event(event, event.object.as_deref())),
        (Format::Event, Some(upload)) => Some(payload::event(event, Some(&upload.object()))),
        (Format::Escape, upload) => upload.map(|it| it.escape(event)),
    }
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
    let typed = url.format == Format::Event;
    let message = Message { id, action, attempt: *attempt, body: body.as_bytes(), typed };
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

/// Posts a notice to its URL. What is not allowed, or has moved for good to nowhere, is
/// not tried again: nobody but a user can mend it.
fn notify(host: &mut dyn Host, upload: &Upload, to: &To, event: &Event, end: u64) -> Outcome {
    let Event { id, action, attempt, .. } = event;
    let body = upload.notice(event, to);
    let message = Message { id, action, attempt: *attempt, body: body.as_bytes(), typed: true };
    let mut url = Endpoint::bare(&to.url);
    for _ in 0..=REDIRECTS_MAX {
        let left = end.saturating_sub(host.now());
        let response = match post(host, &url, &message, u64::from(NOTICE_MS_MAX).min(left) as u32) {
            Ok(response) => response,
            Err(NoAnswer::Denied(why)) => {
                return Outcome::Drop(format!("`{}` of a hooks document: {why}", url.shown()));
            }
            Err(failure) => {
                host.warn(&format!("notice `{id}` to `{}`: {}", url.shown(), failure.why()));
                return Outcome::Retry(None);
            }
        };
        match response.status {
            200..=299 => return Outcome::Done,
            307 | 308 => {
                let location = response.headers.iter().find(|it| it.key == "location");
                let there = location.and_then(|it| moved(&url, &it.value));
                let Some(there) = there else { break };
                url.url = there;
            }
            408 | 425 | 429 | 500.. => {
                let status = response.status;
                host.warn(&format!("notice `{id}` to `{}`: it answered {status}", url.shown()));
                return Outcome::Retry(retry_after_ms(&response, host.now()));
            }
            status => return Outcome::Drop(format!("`{}` answered {status}", url.shown())),
        }
    }
    Outcome::Drop(format!("`{}` redirects to nowhere", url.shown()))
}

/// Where a redirect leads: an absolute URL, or a path of the same host.
fn moved(from: &Endpoint, location: &str) -> Option<String> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return Some(location.to_owned());
    }
    let is_path = location.starts_with('/') && !location.starts_with("//");
    is_path.then(|| format!("{}{location}", from.shown()))
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
    use crate::post::{
        fake::{Fake, answer},
        signature,
    };

    fn urls(json: serde_json::Value) -> Settings {
        let (settings, findings) = Settings::read(&json!({ "urls": json }).to_string());
        assert_eq!(findings, []);
        settings
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
            failure: None,
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
    fn what_did_not_work_is_told_with_the_reason() {
        let mut host = Fake::new([answer(204, "")]);
        let failed = Event { failure: Some("no space left".to_owned()), ..event("a:b") };
        deliver(&mut host, &urls(json!([{ "url": URL }])), &[failed]);
        let body = String::from_utf8(host.sent[0].body.clone().unwrap()).unwrap();
        assert!(body.contains(r#","failure":"no space left","object":"#), "{body}");
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

    const HOOKED: &str = r#"{"sha256":"ab","size":3,"hooks":{"project_hooks":{"slack":{"url":"https://s/T0KEN"}},"unit_hooks":{},"downstream_hooks":[{},{"build":{"url":"https://b"}}]}}"#;

    fn upload(object: &str) -> Event {
        let object = Some(object.to_owned());
        Event { object, ..event("inventory:version:upload") }
    }

    fn notice(to: serde_json::Value) -> Event {
        upload(&json!({ "sha256": "ab", "size": 3, "to": to }).to_string())
    }

    fn followed(answers: Vec<Result<Response, HttpError>>, event: Event) -> (Outcome, Fake) {
        let (settings, findings) = Settings::read(r#"{"follow_documents": true}"#);
        assert_eq!(findings, []);
        let mut host = Fake::new(answers);
        let outcome = deliver(&mut host, &settings, &[event]).remove(0);
        (outcome, host)
    }

    #[test]
    fn an_upload_is_told_in_escapes_words() {
        let urls = urls(json!([{ "url": URL, "format": "escape" }]));
        let mut host = Fake::new([answer(200, "")]);
        let events = [event("inventory:version:register"), upload(HOOKED)];
        assert_eq!(deliver(&mut host, &urls, &events), [Outcome::Done, Outcome::Done]);
        let expected = r#"{"event":"NEW_UPLOAD","project":"acme","project_hooks":{"slack":{"url":"https://s/T0KEN"}},"unit":"web","unit_hooks":{},"downstream_hooks":[{},{"build":{"url":"https://b"}}],"version":"v1.0","release":"acme/web-v1.0","username":"ana"}"#;
        let body = host.sent[0].body.clone().unwrap();
        assert_eq!(String::from_utf8_lossy(&body), expected);
        assert_eq!((host.sent.len(), host.header(0, "content-type")), (1, None));
    }

    #[test]
    fn an_upload_without_documents_has_empty_ones_for_escape() {
        let urls = urls(json!([{ "url": URL, "format": "escape" }]));
        let mut host = Fake::new([answer(200, "")]);
        deliver(&mut host, &urls, &[upload(r#"{"sha256":"ab","size":3}"#)]);
        let body = serde_json::from_slice::<serde_json::Value>(host.sent[0].body.as_ref().unwrap());
        let body = body.unwrap();
        assert_eq!((&body["project_hooks"], &body["unit_hooks"]), (&json!({}), &json!({})));
        assert_eq!(body["downstream_hooks"], json!([]));
    }

    #[test]
    fn the_documents_of_users_are_no_part_of_the_event() {
        let mut host = Fake::new([answer(200, "")]);
        deliver(&mut host, &urls(json!([{ "url": URL }])), &[upload(HOOKED)]);
        let body = String::from_utf8(host.sent[0].body.clone().unwrap()).unwrap();
        assert!(body.ends_with(r#""object":{"sha256":"ab","size":3}}"#), "{body}");
    }

    #[test]
    fn slack_gets_a_message_of_its_own_form() {
        let to = json!({ "type": "slack", "url": "https://s/T", "username": "u", "icon_emoji": ":ship:",
            "downstream": { "project": "shop", "unit": "app" } });
        let (outcome, host) = followed(vec![answer(200, "ok")], notice(to));
        assert_eq!(outcome, Outcome::Done);
        let body = String::from_utf8(host.sent[0].body.clone().unwrap()).unwrap();
        assert_eq!(
            body,
            r#"{"text":"New upload by ana: *acme/web-v1.0*, which shop/app depends on","username":"u","icon_emoji":":ship:"}"#
        );
        assert_eq!(host.header(0, "content-type"), Some("application/json"));
        let mut anonymous = notice(json!({ "type": "slack", "url": "https://s/T" }));
        anonymous.actor.kind = PrincipalKind::Anonymous;
        let (_, host) = followed(vec![answer(200, "ok")], anonymous);
        let body = String::from_utf8(host.sent[0].body.clone().unwrap()).unwrap();
        assert_eq!(body, r#"{"text":"New upload: *acme/web-v1.0*"}"#);
    }

    #[test]
    fn a_build_is_told_what_it_is_for_and_no_address_of_others() {
        let to = json!({ "type": "build", "url": "https://b/x",
            "downstream": { "project": "shop", "unit": "app" } });
        let (_, host) = followed(vec![answer(200, "")], notice(to));
        let body = String::from_utf8(host.sent[0].body.clone().unwrap()).unwrap();
        let expected = r#"{"event":"NEW_UPLOAD","project":"acme","unit":"web","version":"v1.0","release":"acme/web-v1.0","username":"ana","sha256":"ab","size":3,"downstream":{"project":"shop","unit":"app"}}"#;
        assert_eq!(body, expected);
        assert_eq!(host.sent[0].url, "https://b/x");
    }

    #[test]
    fn a_url_that_is_not_allowed_is_given_up_at_once() {
        let to = json!({ "type": "events", "url": "http://10.0.0.1/admin?token=T0KEN" });
        let denied = Err(HttpError::Denied("it is no public address".to_owned()));
        let (outcome, _) = followed(vec![denied], notice(to.clone()));
        let Outcome::Drop(why) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("`http://10.0.0.1`") && !why.contains("T0KEN"), "{why}");
        for (answered, expected) in [(404, true), (301, true), (500, false), (429, false)] {
            let (outcome, _) = followed(vec![answer(answered, "")], notice(to.clone()));
            assert_eq!(matches!(outcome, Outcome::Drop(_)), expected, "{answered}");
        }
        let (outcome, _) = followed(vec![Err(HttpError::Timeout)], notice(to));
        assert_eq!(outcome, Outcome::Retry(None));
    }

    #[test]
    fn a_redirect_is_followed_as_a_request_of_its_own() {
        let redirect = |to: &str| {
            let headers = vec![Label::new("location", to)];
            Ok(Response { status: 308, headers, body: Vec::new() })
        };
        let to = json!({ "type": "events", "url": "https://a.org/x" });
        let there = ["https://b.org/y", "/z"].map(redirect);
        let answers = there.into_iter().chain([answer(200, "")]).collect();
        let (outcome, host) = followed(answers, notice(to.clone()));
        assert_eq!(outcome, Outcome::Done);
        let sent = host.sent.iter().map(|it| it.url.as_str()).collect::<Vec<_>>();
        assert_eq!(sent, ["https://a.org/x", "https://b.org/y", "https://b.org/z"]);

        let denied = Err(HttpError::Denied("no".to_owned()));
        let (outcome, _) =
            followed(vec![redirect("http://127.0.0.1/"), denied], notice(to.clone()));
        assert!(matches!(outcome, Outcome::Drop(_)));
        let round = (0..4).map(|_| redirect("/x")).collect();
        assert!(matches!(followed(round, notice(to)).0, Outcome::Drop(_)));
    }

    #[test]
    fn notices_are_nobodys_where_documents_are_not_followed() {
        let to = json!({ "type": "events", "url": "https://a.org/x" });
        let mut host = Fake::new([]);
        let outcomes = deliver(&mut host, &urls(json!([{ "url": URL }])), &[notice(to)]);
        assert_eq!((outcomes, host.sent.len()), (vec![Outcome::Done], 0));
    }

    #[test]
    fn a_secret_that_is_not_granted_keeps_the_event() {
        let mut host = Fake::new([]);
        let urls = urls(json!([{ "url": URL, "secret": "other" }]));
        assert_eq!(deliver(&mut host, &urls, &[event("a")]), [Outcome::Retry(None)]);
        assert!(host.warnings[0].contains("grants.secrets.reveal"), "{:?}", host.warnings);
    }
}
