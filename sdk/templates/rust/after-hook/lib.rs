//! Posts what happens to a URL.

use std::cell::RefCell;

use chandlery_sdk::{
    after_hook::{self, Diagnostic, Event, Lifecycle, Notifying, Outcome},
    http::{self, HttpError, Request},
    log,
    types::Label,
};
use serde_json::{Value, json};

struct Plugin;

// A guest is made for one call: this lasts from `configure` to the end of `deliver`.
thread_local! {
    static URL: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Lifecycle for Plugin {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        match url(&settings) {
            Ok(_) => Vec::new(),
            Err(why) => vec![Diagnostic::error("settings", "url", why)],
        }
    }

    fn configure(settings: String) -> Result<(), String> {
        log::panics();
        URL.set(url(&settings)?);
        Ok(())
    }
}

impl Notifying for Plugin {
    fn deliver(events: Vec<Event>) -> Vec<Outcome> {
        URL.with_borrow(|url| events.iter().map(|it| tell(url, it)).collect())
    }
}

fn tell(url: &str, event: &Event) -> Outcome {
    let request = Request {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: vec![Label::new("content-type", "application/json")],
        body: Some(message(event).to_string().into_bytes()),
        timeout_ms: Some(5_000),
        max_response_bytes: None,
    };
    match http::send(&request) {
        Ok(answer) if answer.status < 300 => Outcome::Done,
        Ok(answer) if (400..500).contains(&answer.status) && answer.status != 429 => {
            Outcome::Drop(format!("it answered {}", answer.status))
        }
        Ok(_) => Outcome::Retry(None),
        Err(HttpError::Denied(why)) => Outcome::Drop(why),
        Err(error) => {
            log::warn(&format!("event `{}` was not posted: {error}", event.id));
            Outcome::Retry(None)
        }
    }
}

fn message(event: &Event) -> Value {
    let target = &event.target;
    json!({
        "text": format!("{}: {} {}/{}", event.actor.id, event.action, target.namespace, target.name),
        "id": event.id,
    })
}

/// Reads the settings: `{"url": "https://..."}`.
fn url(settings: &str) -> Result<String, String> {
    let settings: Value = serde_json::from_str(settings).map_err(|it| it.to_string())?;
    match settings.get("url").and_then(Value::as_str) {
        Some(url) if url.starts_with("http") => Ok(url.to_owned()),
        _ => Err("it is no URL".to_owned()),
    }
}

after_hook::export!(Plugin);
