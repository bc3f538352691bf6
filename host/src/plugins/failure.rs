//! How a call of a guest can fail, in sentences for the operator.

use wasmtime::{Trap, WasmBacktrace};

use super::{
    limits::{Effective, Limit},
    types::PluginError,
};
use crate::error::Error;

/// A call that gave no answer. A "no" is an answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// It ran out of something.
    Limit(Limit),
    /// It trapped; the text names the functions.
    Trap(String),
    /// It did not take its settings.
    Settings(String),
    /// It says itself that it failed.
    Own(PluginError),
    /// It answered nonsense.
    Answer(String),
    /// It was not called: it failed too often of late.
    Open,
}

impl Failure {
    /// Reads what wasmtime says.
    pub(super) fn of(error: wasmtime::Error, limits: &Effective) -> Failure {
        if let Some(limit) = error.downcast_ref::<Limit>() {
            return Failure::Limit(limit.clone());
        }
        if let Some(failure) = error.downcast_ref::<Carried>() {
            return failure.0.clone();
        }
        if let Some(Trap::StackOverflow) = error.downcast_ref::<Trap>() {
            return Failure::Limit(Limit::Stack);
        }
        let root = error.root_cause().to_string();
        if root.contains("fuel allocated for hostcalls") {
            return Failure::Limit(Limit::Transfer(limits.transfer_bytes));
        }
        Failure::Trap(format!("it trapped: {root}{}", functions(&error)))
    }

    /// A failure that is found while a guest is being called, to come out of the
    /// call as it is.
    pub(super) fn carried(self) -> wasmtime::Error {
        Carried(self).into()
    }

    /// One word for a metric.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Failure::Limit(Limit::Guest(_) | Limit::Wall(_)) => "timeout",
            Failure::Limit(_) => "limit",
            Failure::Trap(_) => "trap",
            Failure::Settings(_) | Failure::Own(_) => "error",
            Failure::Answer(_) => "bad-answer",
            Failure::Open => "breaker-open",
        }
    }

    /// Turns it into the operation's failure.
    pub(super) fn into_error(self, plugin: &str) -> Error {
        Error::Plugin { plugin: plugin.to_owned(), message: self.to_string(), source: None }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Limit(limit) => limit.fmt(f),
            Failure::Trap(it) | Failure::Answer(it) => f.write_str(it),
            Failure::Settings(it) => write!(f, "it did not take its settings: {it}"),
            Failure::Own(it) => write!(f, "{} ({})", it.message, it.code),
            Failure::Open => f.write_str("it failed too often of late and is not called for now"),
        }
    }
}

#[derive(Debug)]
struct Carried(Failure);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Carried {}

/// ` in inner < middle < outer`, where the component kept its names.
fn functions(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .take(8)
        .map(|frame| match frame.func_name() {
            Some(name) => format!("`{name}`"),
            None => format!("function {}", frame.func_index()),
        })
        .collect();
    if names.is_empty() { String::new() } else { format!(" in {}", names.join(" < ")) }
}
