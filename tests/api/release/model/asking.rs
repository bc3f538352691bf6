//! What is asked for: as a request, as the rules have it, and what is to be answered.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use chandlery_tests::{Answer as Said, dry_run};
use serde_json::{Value, json};

use super::reference::{Answer, Apps, Patience, Release, Weather};

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    Install(Apps),
    /// With how long it may take, in milliseconds.
    Upgrade(Apps, u64),
    /// To that version, or the one before where it is 0.
    Rollback(u32, u64),
    Scale(String, u32),
    Delete,
}

/// What the rules make of it. What waits is cancelled at once if so wanted.
pub(super) fn carry_out(
    release: &mut Release,
    weather: &mut Weather,
    ask: &Ask,
    is_cancelled: bool,
) -> Answer {
    let patience = |timeout_ms: u64| Patience { timeout_ms, is_cancelled };
    match ask {
        Ask::Install(apps) => release.install(weather, apps),
        Ask::Upgrade(apps, timeout_ms) => release.upgrade(weather, apps, patience(*timeout_ms)),
        Ask::Rollback(version, timeout_ms) => {
            release.roll_back(weather, *version, patience(*timeout_ms))
        }
        Ask::Scale(app, count) => release.scale(weather, app, *count),
        Ask::Delete => release.delete(weather),
    }
}

/// The request.
pub(super) fn request(release: &str, ask: &Ask) -> Request<Body> {
    let apps = |apps: &Apps| -> Vec<Value> {
        let one = |(name, version): &(String, u32)| {
            let mut app = dry_run::app(name, json!({}));
            app["version"] = version.to_string().into();
            app
        };
        apps.iter().map(one).collect()
    };
    let (method, path, body) = match ask {
        Ask::Install(wanted) => {
            let body = dry_run::install(release, &apps(wanted));
            (Method::POST, "/api/package/install".to_owned(), body)
        }
        Ask::Upgrade(wanted, timeout_ms) => {
            let mut body = dry_run::upgrade(release, &apps(wanted));
            body["timeout"] = (*timeout_ms).into();
            (Method::POST, "/api/release/upgrade".to_owned(), body)
        }
        Ask::Rollback(version, timeout_ms) => {
            let body = json!({ "releaseName": release, "version": version, "timeout": timeout_ms });
            (Method::POST, "/api/release/rollback".to_owned(), body)
        }
        Ask::Scale(app, count) => {
            let body = json!({ "scale": [{ "name": app, "count": count }] });
            (Method::POST, format!("/api/release/scale/{release}"), body)
        }
        Ask::Delete => (Method::DELETE, format!("/api/release/{release}"), Value::Null),
    };
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    request.body(body).expect("it is a request")
}

/// Checks an answer.
pub(super) fn check(expected: &Answer, ask: &Ask, said: &Said, release: &str) {
    let text = said.text();
    match expected {
        Answer::Release(version, status) => {
            let good = if *ask == Ask::Delete { 200 } else { 201 };
            assert_eq!(said.status, good, "{ask:?}: {text}");
            let answer = said.json();
            assert_eq!(answer["name"], release, "{ask:?}: {text}");
            assert_eq!(answer["version"], *version, "{ask:?}: {text}");
            let word = format!("{status:?}").to_uppercase();
            assert_eq!(answer["info"]["status"]["statusCode"], word, "{ask:?}: {text}");
        }
        Answer::Busy(wanted, held) => {
            assert_eq!(said.status, 409, "{ask:?}: {text}");
            let why = format!("Statemachine is not in state ready to do {}", wanted.word());
            assert_eq!(said.json()["message"], why, "{ask:?} during {}", held.word());
        }
        Answer::Refused(status, why) => {
            assert!(said.status >= 400, "{ask:?}: {text}");
            assert!(*status == 0 || said.status == *status, "{ask:?}: {text}");
            assert!(text.contains(why), "{ask:?}: {text} does not say {why}");
        }
    }
}
