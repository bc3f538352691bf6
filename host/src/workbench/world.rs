//! The world outside in a case: a script of answers, a clock that stands still, and an
//! ear for the log.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, MutexGuard},
};

use serde_json::{Map, Value, json};

use super::{
    answer::labels,
    cases::{Bytes, Case, HttpAnswer, ProcessAnswer},
    expect::{fits, shown},
    input,
};
use crate::{
    capabilities::faked::Faked,
    plugins::types::{
        HttpError, HttpRequest, HttpResponse, Label, LogLevel, Port, ProcessError, ProcessOutput,
        ProcessPhase, ProcessSpec, ProcessState,
    },
};

/// What a look at the clock takes, so that who waits by the clock comes to an end.
const LOOK_NS: u64 = 1_000_000;

/// The world of one case.
pub(super) struct World {
    now_ms: u64,
    artifacts: BTreeMap<String, Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    http: Vec<Scripted<HttpAnswer>>,
    process: Vec<Scripted<ProcessAnswer>>,
    ports: Vec<u16>,
    looks: u64,
    log: Vec<String>,
    problems: Vec<String>,
}

struct Scripted<T> {
    answer: T,
    is_used: bool,
}

/// What is left when the call is over.
pub(super) struct Seen {
    /// What the plugin logged, a line each.
    pub(super) log: Vec<String>,
    /// What it asked for that nothing answers, and what it did not ask for.
    pub(super) problems: Vec<String>,
}

impl World {
    /// The world as a case wants it.
    pub(super) fn of(case: &Case) -> Result<World, String> {
        let artifact = |(uri, bytes): (&String, &Bytes)| {
            let bytes = match bytes {
                Bytes::Text(text) => text.clone().into_bytes(),
                Bytes::File { file } => fs::read(case.folder.join(file)).map_err(|it| {
                    format!("artifact `{uri}`: `{}` cannot be read: {it}", file.display())
                })?,
            };
            Ok((uri.clone(), bytes))
        };
        let state = State {
            http: case.http.iter().cloned().map(Scripted::new).collect(),
            process: case.process.iter().cloned().map(Scripted::new).collect(),
            ..State::default()
        };
        let artifacts = case.artifacts.iter().map(artifact).collect::<Result<_, String>>()?;
        Ok(World { now_ms: case.now_ms, artifacts, state: Mutex::new(state) })
    }

    /// Ends it.
    pub(super) fn seen(&self) -> Seen {
        let mut state = self.state();
        let mut problems = std::mem::take(&mut state.problems);
        for it in state.http.iter().filter(|it| !it.is_used) {
            let method = it.answer.method.as_deref().unwrap_or("any method");
            let url = it.answer.url.clone().map(input::json).unwrap_or(json!("any URL"));
            problems.push(format!("http: {method} {} was never sent", plain(&url)));
        }
        for it in state.process.iter().filter(|it| !it.is_used) {
            let name = it.answer.name.clone().map(input::json).unwrap_or(json!("any name"));
            problems.push(format!(
                "process: `{}` of {} was never asked for",
                it.answer.call,
                plain(&name)
            ));
        }
        Seen { log: std::mem::take(&mut state.log), problems }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in here")
    }

    /// The answer to a call of `process`, or that there is none.
    fn process(
        &self,
        call: &str,
        name: &str,
        spec: Option<&ProcessSpec>,
    ) -> Result<Option<Value>, ProcessError> {
        let mut state = self.state();
        let spec = spec.map(spec_json);
        let wanted = state.process.iter_mut().find(|it| {
            !it.is_used && it.answer.call == call && asks(&it.answer, name, spec.as_ref())
        });
        let Some(wanted) = wanted else {
            let spec = spec.map(|it| format!(" with {}", shown(&it))).unwrap_or_default();
            let what = format!("process: nothing answers `{call}` of `{name}`{spec}");
            state.problems.push(what.clone());
            return Err(ProcessError::Failed(what));
        };
        wanted.is_used = true;
        if let Some(error) = &wanted.answer.error {
            let error = input::json(error.clone());
            return Err(match process_error(&error) {
                Ok(error) => error,
                Err(why) => {
                    state.problems.push(format!("process: {why}"));
                    ProcessError::Failed(why)
                }
            });
        }
        Ok(wanted.answer.answer.clone().map(input::json))
    }

    fn process_state(
        &self,
        call: &str,
        name: &str,
        spec: Option<&ProcessSpec>,
    ) -> Result<ProcessState, ProcessError> {
        let answer = self.process(call, name, spec)?;
        let phase = if call == "stop" { ProcessPhase::Stopped } else { ProcessPhase::Running };
        let mut state = self.state();
        match process_state(answer.unwrap_or_else(|| json!({})), phase, self.now_ms) {
            Ok(it) => {
                state.ports.extend(it.ports.iter().map(|it| it.number));
                Ok(it)
            }
            Err(why) => {
                state.problems.push(format!("process: the answer to `{call}` of `{name}`: {why}"));
                Err(ProcessError::Failed(why))
            }
        }
    }
}

impl<T> Scripted<T> {
    fn new(answer: T) -> Scripted<T> {
        Scripted { answer, is_used: false }
    }
}

impl Faked for World {
    fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut state = self.state();
        let wanted = state.http.iter_mut().find(|it| !it.is_used && covers(&it.answer, &request));
        let Some(wanted) = wanted else {
            let what = format!("http: nothing answers {} {}", request.method, request.url);
            let body = body_text(&request);
            let with = if body.is_empty() {
                String::new()
            } else {
                format!(" with {}", shown(&json!(body)))
            };
            state.problems.push(format!("{what}{with}"));
            return Err(HttpError::Connect(what));
        };
        wanted.is_used = true;
        if let Some(error) = &wanted.answer.error {
            let error = input::json(error.clone());
            return Err(match http_error(&error) {
                Ok(error) => error,
                Err(why) => {
                    state.problems.push(format!("http: {why}"));
                    HttpError::Protocol(why)
                }
            });
        }
        let answer = &wanted.answer.answer;
        let headers = answer
            .headers
            .iter()
            .map(|(name, value)| Label { key: name.to_ascii_lowercase(), value: value.clone() });
        let body = match answer.body.clone().map(input::json) {
            None => Vec::new(),
            Some(Value::String(text)) => text.into_bytes(),
            Some(other) => other.to_string().into_bytes(),
        };
        Ok(HttpResponse { status: answer.status, headers: headers.collect(), body })
    }

    fn start(&self, name: &str, spec: &ProcessSpec) -> Result<ProcessState, ProcessError> {
        self.process_state("start", name, Some(spec))
    }

    fn status(&self, name: &str) -> Result<ProcessState, ProcessError> {
        self.process_state("status", name, None)
    }

    fn stop(&self, name: &str) -> Result<ProcessState, ProcessError> {
        self.process_state("stop", name, None)
    }

    fn forget(&self, name: &str) -> Result<(), ProcessError> {
        self.process("forget", name, None).map(|_| ())
    }

    fn tail(&self, name: &str, _: ProcessOutput) -> Result<String, ProcessError> {
        let answer = self.process("tail", name, None)?;
        Ok(answer.map(|it| plain(&it)).unwrap_or_default())
    }

    fn ports(&self) -> Vec<u16> {
        self.state().ports.clone()
    }

    fn artifact(&self, uri: &str) -> Option<Vec<u8>> {
        self.artifacts.get(uri).cloned()
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn monotonic_ns(&self) -> u64 {
        let mut state = self.state();
        state.looks += 1;
        state.looks * LOOK_NS
    }

    fn random(&self, bytes: &mut [u8]) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = index as u8;
        }
    }

    fn log(&self, level: LogLevel, message: &str, fields: &[Label]) {
        let level = match level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        let fields: String =
            fields.iter().map(|it| format!(" {}={:?}", it.key, it.value)).collect();
        self.state().log.push(format!("{level} {message}{fields}"));
    }
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn covers(answer: &HttpAnswer, request: &HttpRequest) -> bool {
    let wants = |wanted: &Option<toml::Value>, found: Value| {
        wanted.as_ref().is_none_or(|it| fits(&input::json(it.clone()), &found))
    };
    let header = |(name, wanted): (&String, &toml::Value)| {
        let wanted = input::json(wanted.clone());
        let mut named = request.headers.iter().filter(|it| it.key.eq_ignore_ascii_case(name));
        named.any(|it| fits(&wanted, &json!(it.value)))
    };
    answer.method.as_ref().is_none_or(|it| *it == request.method)
        && wants(&answer.url, json!(request.url))
        && answer.headers.iter().all(header)
        && answer.body.as_ref().is_none_or(|it| {
            let wanted = input::json(it.clone());
            let text = body_text(request);
            fits(&wanted, &json!(text))
                || serde_json::from_str(&text).is_ok_and(|body: Value| fits(&wanted, &body))
        })
}

fn body_text(request: &HttpRequest) -> String {
    String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned()
}

fn asks(answer: &ProcessAnswer, name: &str, spec: Option<&Value>) -> bool {
    let fits_name =
        answer.name.as_ref().is_none_or(|it| fits(&input::json(it.clone()), &json!(name)));
    let fits_spec = answer
        .spec
        .as_ref()
        .is_none_or(|it| spec.is_some_and(|spec| fits(&input::json(it.clone()), spec)));
    fits_name && fits_spec
}

fn spec_json(spec: &ProcessSpec) -> Value {
    let ports = spec
        .ports
        .iter()
        .map(|it| json!({"name": it.name, "number": it.number, "low": it.low, "high": it.high}));
    json!({
        "program": spec.program,
        "args": spec.args,
        "env": labels(&spec.env),
        "inherit-env": spec.inherit_env,
        "artifact": spec.artifact,
        "artifact-name": spec.artifact_name,
        "workdir-root": spec.workdir_root,
        "delete-workdir": spec.delete_workdir,
        "ports": ports.collect::<Value>(),
    })
}

/// A state; what is left out is as of a process that just runs.
fn process_state(answer: Value, phase: ProcessPhase, now_ms: u64) -> Result<ProcessState, String> {
    let Value::Object(mut members) = answer else {
        return Err("it is no table".to_owned());
    };
    let mut text = |name: &str| match members.remove(name) {
        None => Ok(None),
        Some(Value::String(it)) => Ok(Some(it)),
        Some(_) => Err(format!("`{name}` is no text")),
    };
    let phase = match text("phase")?.as_deref() {
        None => phase,
        Some("starting") => ProcessPhase::Starting,
        Some("running") => ProcessPhase::Running,
        Some("exited") => ProcessPhase::Exited,
        Some("failed") => ProcessPhase::Failed,
        Some("stopped") => ProcessPhase::Stopped,
        Some(other) => return Err(format!("`{other}` is no phase")),
    };
    let message = text("message")?;
    let workdir = text("workdir")?.unwrap_or_else(|| "/work".to_owned());
    let stdout = text("stdout")?.unwrap_or_else(|| format!("{workdir}/stdout"));
    let stderr = text("stderr")?.unwrap_or_else(|| format!("{workdir}/stderr"));
    let ports = match members.remove("ports") {
        None => Vec::new(),
        Some(Value::Object(ports)) => ports.into_iter().map(port).collect::<Result<_, _>>()?,
        Some(_) => return Err("`ports` is a table of names and numbers".to_owned()),
    };
    let pid = number(&mut members, "pid")?.and_then(|it| u32::try_from(it).ok());
    let exit_code = number(&mut members, "exit-code")?.and_then(|it| i32::try_from(it).ok());
    let since = number(&mut members, "since")?.and_then(|it| u64::try_from(it).ok());
    if let Some(name) = members.keys().next() {
        return Err(format!("`{name}` is no member of a state"));
    }
    let is_live = matches!(phase, ProcessPhase::Starting | ProcessPhase::Running);
    Ok(ProcessState {
        phase,
        pid: pid.or(is_live.then_some(1000)),
        exit_code,
        message,
        since: since.unwrap_or(now_ms),
        ports,
        workdir,
        stdout,
        stderr,
    })
}

fn number(members: &mut Map<String, Value>, name: &str) -> Result<Option<i64>, String> {
    match members.remove(name) {
        None => Ok(None),
        Some(it) => it.as_i64().map(Some).ok_or_else(|| format!("`{name}` is no number")),
    }
}

fn port((name, number): (String, Value)) -> Result<Port, String> {
    match number.as_u64().and_then(|it| u16::try_from(it).ok()) {
        Some(number) => Ok(Port { name, number }),
        None => Err(format!("port `{name}` has no number from 0 to 65535")),
    }
}

fn http_error(error: &Value) -> Result<HttpError, String> {
    Ok(match case_of(error) {
        ("denied", why) => HttpError::Denied(why),
        ("dns", why) => HttpError::Dns(why),
        ("connect", why) => HttpError::Connect(why),
        ("tls", why) => HttpError::Tls(why),
        ("protocol", why) => HttpError::Protocol(why),
        ("timeout", _) => HttpError::Timeout,
        ("too-large", _) => HttpError::TooLarge,
        _ => return Err(format!("{error} is no `http-error`")),
    })
}

fn process_error(error: &Value) -> Result<ProcessError, String> {
    Ok(match case_of(error) {
        ("denied", why) => ProcessError::Denied(why),
        ("failed", why) => ProcessError::Failed(why),
        ("not-found", _) => ProcessError::NotFound,
        ("conflict", _) => ProcessError::Conflict,
        ("quota", _) => ProcessError::Quota,
        _ => return Err(format!("{error} is no `process-error`")),
    })
}

/// `"timeout"` or `{ connect = "refused" }` in its name and its text.
fn case_of(value: &Value) -> (&str, String) {
    match value {
        Value::String(name) => (name, String::new()),
        Value::Object(members) => match members.iter().next() {
            Some((name, text)) if members.len() == 1 => (name, plain(text)),
            _ => ("", String::new()),
        },
        _ => ("", String::new()),
    }
}
