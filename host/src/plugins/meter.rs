//! Numbers of each binding and function: calls by outcome, guest time, and how
//! long callers stood in line. The handles are made at the first call, so that the
//! others only add to them.

use std::{
    collections::VecDeque,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use metrics::{Counter, Histogram, counter, histogram};

use super::failure::Failure;
use crate::clock::now_ms;

/// Failed calls that are remembered of a binding, and what is kept of why.
const FAILED_MAX: usize = 20;
const WHY_BYTES_MAX: usize = 1_000;

/// A call that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The function that was called.
    pub function: &'static str,
    /// How: `timeout`, `limit`, `trap`, `error`, `bad-answer`, `breaker-open`.
    pub how: &'static str,
    /// Why.
    pub why: String,
}

/// The functions that the host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Check,
    Authorize,
    Render,
    CheckTemplates,
    Review,
    Deliver,
    Describe,
    Validate,
    Deploy,
    Undeploy,
    Scale,
    Status,
    Logs,
    ReadLog,
}

const FUNCTIONS: [(Function, &str); 14] = [
    (Function::Check, "check-settings"),
    (Function::Authorize, "authorize"),
    (Function::Render, "render"),
    (Function::CheckTemplates, "check"),
    (Function::Review, "review"),
    (Function::Deliver, "deliver"),
    (Function::Describe, "describe"),
    (Function::Validate, "validate"),
    (Function::Deploy, "deploy"),
    (Function::Undeploy, "undeploy"),
    (Function::Scale, "scale"),
    (Function::Status, "status"),
    (Function::Logs, "logs"),
    (Function::ReadLog, "read-log"),
];

/// The handles of one binding.
pub(super) struct Meter {
    plugin: String,
    functions: [OnceLock<Handles>; FUNCTIONS.len()],
    // Newest first.
    failed: Mutex<VecDeque<Failed>>,
}

struct Handles {
    ok: Counter,
    guest: Histogram,
    queue: Histogram,
}

impl Meter {
    pub(super) fn new(plugin: &str) -> Meter {
        let plugin = plugin.to_owned();
        Meter { plugin, functions: Default::default(), failed: Mutex::default() }
    }

    pub(super) fn called<T>(
        &self,
        function: Function,
        queued: Duration,
        guest: Duration,
        result: &Result<T, Failure>,
    ) {
        let (_, name) = FUNCTIONS[function as usize];
        let handles = self.functions[function as usize].get_or_init(|| handles(&self.plugin, name));
        handles.guest.record(guest);
        handles.queue.record(queued);
        match result {
            Ok(_) => handles.ok.increment(1),
            Err(failure) => {
                calls(&self.plugin, name, failure.label()).increment(1);
                self.remember(name, failure);
            }
        }
    }

    /// The last calls that failed, the newest first.
    pub(super) fn failed(&self) -> Vec<Failed> {
        let failed = self.failed.lock().expect("nothing panics under this lock");
        failed.iter().cloned().collect()
    }

    fn remember(&self, function: &'static str, failure: &Failure) {
        let mut why = failure.to_string();
        why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
        let it = Failed { at_ms: now_ms(), function, how: failure.label(), why };
        let mut failed = self.failed.lock().expect("nothing panics under this lock");
        failed.truncate(FAILED_MAX - 1);
        failed.push_front(it);
    }

    /// Log lines of one call that were over its quota.
    pub(super) fn log_dropped(&self, lines: u32) {
        tracing::warn!(
            plugin = self.plugin,
            lines,
            "a plugin wrote more log lines than a call may"
        );
        counter!("chandlery_plugin_log_dropped_total", "plugin" => self.plugin.clone())
            .increment(lines.into());
    }

    /// A failure that the fail mode let pass.
    pub(super) fn passed_open(&self) {
        counter!("chandlery_plugin_passed_open_total", "plugin" => self.plugin.clone())
            .increment(1);
    }
}

fn handles(plugin: &str, function: &'static str) -> Handles {
    let plugin = plugin.to_owned();
    Handles {
        ok: calls(&plugin, function, "ok"),
        guest: histogram!("chandlery_plugin_guest_seconds", "plugin" => plugin.clone(), "function" => function),
        queue: histogram!("chandlery_plugin_queue_seconds", "plugin" => plugin, "function" => function),
    }
}

fn calls(plugin: &str, function: &'static str, outcome: &'static str) -> Counter {
    counter!("chandlery_plugin_calls_total", "plugin" => plugin.to_owned(), "function" => function, "outcome" => outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_at_its_own_index() {
        for (index, (function, _)) in FUNCTIONS.iter().enumerate() {
            assert_eq!(*function as usize, index);
        }
    }
}
