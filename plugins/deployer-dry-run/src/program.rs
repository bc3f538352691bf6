//! What it is told to do: names and texts from three places, made into one
//! programme.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chandlery_sdk::deployer::{App, PluginError, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const PREFIX: &str = "spring.cloud.deployer.";
/// As it is relaxed.
const OURS: &str = "dryrun.";
const ATTRIBUTES: &str = "attributes.";

/// Names and texts of one place. Names are relaxed: `deployedAfter` and
/// `deployed-after` are one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told(BTreeMap<String, String>);

/// A function that may be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Validate,
    Deploy,
    Undeploy,
    Status,
    Scale,
    Logs,
}

/// How a call fails, and when.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fault {
    kind: Option<FaultKind>,
    message: Option<String>,
    retry_after_ms: Option<u32>,
    after: Option<u64>,
    within: Option<u64>,
    until: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FaultKind {
    Permanent,
    Retryable,
    Trap,
}

/// All of it, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    /// Never, where there is none.
    pub(crate) deployed_after: Option<u64>,
    pub(crate) deployed_at: Option<u64>,
    pub(crate) becomes: State,
    pub(crate) fails_after: Option<u64>,
    pub(crate) vanishes_after: Option<u64>,
    pub(crate) failing_instances: Vec<usize>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) report_properties: bool,
    pub(crate) poll_after_ms: u32,
    pub(crate) log: Option<String>,
    faults: BTreeMap<Call, Fault>,
}

impl Told {
    /// Reads settings: a JSON object, in which a table is the same as names with dots.
    pub(crate) fn of_json(json: &str) -> Result<Told, String> {
        let mut told = Told::default();
        if json.trim().is_empty() {
            return Ok(told);
        }
        match serde_json::from_str(json).map_err(|it| format!("the settings are no JSON: {it}"))? {
            Value::Null => {}
            Value::Object(members) => {
                for (name, value) in members {
                    told.flatten(&name, value);
                }
            }
            _ => return Err("the settings must be a table".to_owned()),
        }
        Ok(told)
    }

    /// Those of an application's deployment properties that are for us.
    pub(crate) fn of_app(app: &App) -> Told {
        let mut told = Told::default();
        for it in &app.deployment_properties {
            let Some((head, rest)) =
                it.key.strip_prefix(PREFIX).and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            if format!("{}.", relaxed(head)) == OURS {
                told.take(rest, it.value.clone());
            }
        }
        told
    }

    fn flatten(&mut self, name: &str, value: Value) {
        match value {
            Value::Object(members) => {
                for (below, value) in members {
                    self.flatten(&format!("{name}.{below}"), value);
                }
            }
            Value::Array(items) => {
                let texts: Vec<String> = items.into_iter().map(text).collect();
                self.take(name, texts.join(","));
            }
            other => self.take(name, text(other)),
        }
    }

    // The name of an attribute is a name of its own.
    fn take(&mut self, name: &str, value: String) {
        let name = match name.strip_prefix(ATTRIBUTES) {
            Some(_) => name.to_owned(),
            None => relaxed(name),
        };
        self.0.insert(name, value);
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> =
            self.0.iter().map(|(name, it)| format!("{name} = [{it}]")).collect();
        f.write_str(&each.join(", "))
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A name without what people write differently.
fn relaxed(name: &str) -> String {
    name.chars().filter(|it| !matches!(it, '-' | '_')).flat_map(char::to_lowercase).collect()
}

impl Program {
    /// Makes one of what was told, the last the strongest.
    pub(crate) fn of(told: &[&Told]) -> Result<Program, String> {
        let mut program = Program {
            deployed_after: Some(0),
            deployed_at: None,
            becomes: State::Deployed,
            fails_after: None,
            vanishes_after: None,
            failing_instances: Vec::new(),
            attributes: BTreeMap::new(),
            report_properties: false,
            poll_after_ms: 0,
            log: None,
            faults: BTreeMap::new(),
        };
        for (name, value) in told.iter().flat_map(|it| &it.0) {
            let taken = match name.strip_prefix(ATTRIBUTES) {
                Some(attribute) => {
                    program.attributes.insert(attribute.to_owned(), value.clone());
                    Ok(())
                }
                None => program.take(name, value.trim()),
            };
            taken.map_err(|what| format!("`{name}` {what}, and is `{value}`"))?;
        }
        Ok(program)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "deployedafter" => {
                self.deployed_after = if value == "never" { None } else { Some(time(value)?) };
            }
            "deployedat" => self.deployed_at = optional(value, number)?,
            "becomes" => self.becomes = state(value)?,
            "failsafter" => self.fails_after = optional(value, time)?,
            "vanishesafter" => self.vanishes_after = optional(value, time)?,
            "failinginstances" => self.failing_instances = indexes(value)?,
            "reportproperties" => {
                self.report_properties =
                    value.parse().map_err(|_| "must be `true` or `false`".to_owned())?;
            }
            "pollafter" => self.poll_after_ms = short(value)?,
            "log" => self.log = Some(value.to_owned()),
            _ => return self.take_fault(name, value),
        }
        Ok(())
    }

    fn take_fault(&mut self, name: &str, value: &str) -> Result<(), String> {
        let unknown = || "is nothing that can be told".to_owned();
        let (call, what) = name.split_once('.').ok_or_else(unknown)?;
        let call = Call::of(call).ok_or_else(unknown)?;
        let fault = self.faults.entry(call).or_default();
        let is_relative = matches!(what, "failsafter" | "failsfor");
        if is_relative && matches!(call, Call::Validate | Call::Deploy) {
            return Err("has no deployment to count from: use `fails-until`".to_owned());
        }
        match what {
            "fails" => fault.kind = optional(value, FaultKind::of)?,
            "message" => fault.message = Some(value.to_owned()),
            "retryafter" => fault.retry_after_ms = optional(value, short)?,
            "failsafter" => fault.after = optional(value, time)?,
            "failsfor" => fault.within = optional(value, time)?,
            "failsuntil" => fault.until = optional(value, number)?,
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Fails where that call is told to, now. `since` is when the application was
    /// deployed.
    pub(crate) fn failure(
        &self,
        call: Call,
        since: Option<u64>,
        now: u64,
    ) -> Result<(), PluginError> {
        let Some(fault) = self.faults.get(&call) else { return Ok(()) };
        let Some(kind) = fault.kind.filter(|_| fault.is_on(since, now)) else { return Ok(()) };
        let message = fault.message.clone().unwrap_or_else(|| "it is told to fail".to_owned());
        let error = match kind {
            FaultKind::Permanent => PluginError::permanent("told", message),
            FaultKind::Retryable => PluginError::temporary("told", message),
            FaultKind::Trap => panic!("{message}"),
        };
        Err(PluginError { retry_after_ms: fault.retry_after_ms, ..error })
    }
}

impl Fault {
    fn is_on(&self, since: Option<u64>, now: u64) -> bool {
        let age = since.map(|it| now.saturating_sub(it));
        let begun = age.is_none_or(|age| self.after.is_none_or(|it| age >= it));
        let within = age.is_none_or(|age| self.within.is_none_or(|it| age < it));
        begun && within && self.until.is_none_or(|it| now < it)
    }
}

impl Call {
    fn of(name: &str) -> Option<Call> {
        Some(match name {
            "validate" => Call::Validate,
            "deploy" => Call::Deploy,
            "undeploy" => Call::Undeploy,
            "status" => Call::Status,
            "scale" => Call::Scale,
            "logs" => Call::Logs,
            _ => return None,
        })
    }
}

impl FaultKind {
    fn of(text: &str) -> Result<FaultKind, String> {
        match text {
            "permanent" => Ok(FaultKind::Permanent),
            "retryable" => Ok(FaultKind::Retryable),
            "trap" => Ok(FaultKind::Trap),
            _ => Err("must be `permanent`, `retryable` or `trap`".to_owned()),
        }
    }
}

fn state(text: &str) -> Result<State, String> {
    Ok(match text {
        "deployed" => State::Deployed,
        "failed" => State::Failed,
        "error" => State::Error,
        "partial" => State::Partial,
        "undeployed" => State::Undeployed,
        "unknown" => State::Unknown,
        _ => {
            return Err("must be `deployed`, `failed`, `error`, `partial`, `undeployed` or \
                        `unknown`"
                .to_owned());
        }
    })
}

fn indexes(text: &str) -> Result<Vec<usize>, String> {
    let each = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    each.map(|it| it.parse().map_err(|_| "must be indexes with commas between".to_owned()))
        .collect()
}

/// Nothing, where a text is empty: so that a stronger place can take back what a
/// weaker one has said.
fn optional<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

fn time(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text {
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1),
        _ if text.ends_with('s') => (&text[..text.len() - 1], 1_000),
        _ if text.ends_with('m') => (&text[..text.len() - 1], 60_000),
        _ => (text, 1),
    };
    let parsed: Option<u64> = digits.trim().parse().ok();
    parsed
        .and_then(|it| it.checked_mul(factor))
        .ok_or_else(|| "must be milliseconds, or a number with `ms`, `s` or `m`".to_owned())
}

fn short(text: &str) -> Result<u32, String> {
    u32::try_from(time(text)?).map_err(|_| "is too long a time".to_owned())
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "must be milliseconds since 1970".to_owned())
}
