//! Posts events to URLs, and asks URLs before operations.
//!
//! ```json
//! { "urls": [{ "url": "https://chat.example.org/in", "events": ["inventory:*"],
//!              "secret": "chat-key", "headers": { "X-Team": "shop" }, "timeout_ms": 5000,
//!              "format": "event" }],
//!   "follow_documents": false,
//!   "before": [{ "url": "https://quota.example.org/ask", "actions": ["package:upload"],
//!                "secret": "quota-key", "timeout_ms": 1500, "on_failure": "fail" }] }
//! ```
//!
//! It needs the grants `http` (the URLs' origins), `secrets` (`reveal` of the names
//! under `secret`, `use` of those in headers) and `clock`; `mutate` where a URL asked
//! before may change what it sees, and `documents` for all that is said of hooks
//! documents below.
//!
//! # What is sent
//!
//! A POST of JSON with the headers `X-Chandlery-Action`, `X-Chandlery-Id` (the same
//! on every attempt: the key to tell a repetition by), `X-Chandlery-Attempt` and,
//! with a `secret`, `X-Chandlery-Signature: t=SECONDS,v1=HEX`: the HMAC-SHA256 of
//! `SECONDS.BODY` under it. A receiver computes it anew over the bytes that it got,
//! compares in constant time, and refuses what is older than some minutes.
//!
//! An event: `id`, `sequence`, `action`, `at` (milliseconds), `target` (`kind`,
//! `namespace`, `name`, `version`, `labels`), `actor` (`id`, `kind`, `groups`),
//! `object`, and `failure` (why) where an operation on a release did not work. An operation to be judged has `dry_run`, `object` and `previous`
//! instead of `sequence` and `at`.
//!
//! With the format `escape` only uploads are told, in the form of Escape's web hook:
//! `event` (`NEW_UPLOAD`), `project`, `project_hooks`, `unit`, `unit_hooks`,
//! `downstream_hooks`, `version`, `release`, `username`. The hooks are empty without the
//! grant `documents`.
//!
//! # Hooks documents
//!
//! With `follow_documents` an upload is posted to the `slack` and `events` URLs of the
//! namespace and the unit, and to the `slack`, `events` and `build` URLs of each unit
//! whose latest registered release depends on it or extends it. `slack` gets a message in
//! Slack's form, the others `event`, `project`, `unit`, `version`, `release`, `username`,
//! `sha256`, `size` and, where they belong to a dependent unit, `downstream` (`project`,
//! `unit`).
//! They come from the server's users: the grant `http` with `public` lets them be any
//! public address and no other. One that is not granted is given up at once.
//!
//! # What an answer means
//!
//! To an event: any 2xx is done. A 4xx other than 408, 425 and 429 is never sent
//! again and becomes a dead letter; anything else is sent again later, after
//! `Retry-After` where that is longer. Where a binding has several URLs, all of them
//! get an event again that one of them did not take: use a binding for each to keep
//! them apart.
//!
//! To an operation, with 200: `{"allow": true}`, also with `"warnings": ["…"]`;
//! `{"allow": false, "code": "…", "message": "…"}`; or `{"patch": […]}`, an RFC 6902
//! patch of the object. Anything else is a failure: `on_failure` says whether the
//! operation fails with it.

mod deliver;
mod payload;
mod post;
mod retry_after;
mod review;
mod settings;
mod upload;

use std::cell::RefCell;

use chandlery_sdk::hook::{
    self, Diagnostic, Event, Lifecycle, Notifying, Operation, Outcome, PluginError, Severity,
    Validating, Verdict,
};

use crate::{post::Lent, settings::Settings};

thread_local! {
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

struct Webhook;

impl Lifecycle for Webhook {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        Settings::read(&settings).1
    }

    fn configure(settings: String) -> Result<(), String> {
        let (settings, findings) = Settings::read(&settings);
        let errors = findings.into_iter().filter(|it| it.severity == Severity::Error);
        let errors = errors.map(|it| format!("{}: {}", it.place, it.message)).collect::<Vec<_>>();
        if !errors.is_empty() {
            return Err(errors.join("; "));
        }
        SETTINGS.set(settings);
        Ok(())
    }
}

impl Validating for Webhook {
    fn review(operation: Operation) -> Result<Verdict, PluginError> {
        SETTINGS.with_borrow(|it| review::review(&mut Lent, &it.before, &operation))
    }
}

impl Notifying for Webhook {
    fn deliver(events: Vec<Event>) -> Vec<Outcome> {
        SETTINGS.with_borrow(|it| deliver::deliver(&mut Lent, it, &events))
    }
}

hook::export!(Webhook);
