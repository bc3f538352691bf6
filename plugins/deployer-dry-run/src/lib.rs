//! Runs nothing, and answers as a platform would.
//!
//! What it is told is in `README.md`, and how it reads that in `program`. A guest
//! remembers nothing, so the handle holds when each instance was started, and what
//! they are is worked out from the clock each time.

mod handle;
mod program;
mod state;

use std::sync::OnceLock;

use chandlery_sdk::{
    clock,
    deployer::{
        self, App, AppStatus, Deployer, Diagnostic, Features, Lifecycle, LogLines, LogPage,
        LogPlace, LogText, LogWant, Placement, PluginError, Scope, State,
    },
};

use crate::{
    handle::Handle,
    program::{Call, Program, Told},
};

struct DryRun;

/// The settings of the plugin itself. A guest serves one call, so they never change.
static SETTINGS: OnceLock<Told> = OnceLock::new();

impl Lifecycle for DryRun {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        let program = Told::of_json(&settings).and_then(|it| Program::of(&[&it]));
        program.err().into_iter().map(|it| Diagnostic::error("settings", "/", it)).collect()
    }

    fn configure(settings: String) -> Result<(), String> {
        let told = Told::of_json(&settings)?;
        SETTINGS.set(told).map_err(|_| "it is configured twice".to_owned())
    }
}

impl Deployer for DryRun {
    fn supports() -> Features {
        Features::SCALE | Features::LOGS
    }

    fn describe(scope: Scope) -> String {
        match Told::of_json(&scope.settings) {
            Ok(told) => format!("Runs nothing: {told}"),
            Err(why) => why,
        }
    }

    fn validate(scope: Scope, apps: Vec<App>) -> Vec<Diagnostic> {
        apps.iter().filter_map(|app| validate(own(), &scope, app, clock::now()).err()).collect()
    }

    fn deploy(scope: Scope, app: App, current: Option<String>) -> Result<Placement, PluginError> {
        deploy(own(), &scope, &app, current.as_deref(), clock::now())
    }

    fn undeploy(scope: Scope, handle: String) -> Result<AppStatus, PluginError> {
        undeploy(own(), &scope, &handle, clock::now())
    }

    fn scale(scope: Scope, handle: String, count: u32) -> Result<Placement, PluginError> {
        scale(own(), &scope, &handle, count, clock::now())
    }

    fn status(scope: Scope, handles: Vec<String>) -> Vec<Result<AppStatus, PluginError>> {
        let now = clock::now();
        handles.iter().map(|it| status(own(), &scope, it, now)).collect()
    }

    fn logs(
        scope: Scope,
        handle: String,
        instance: Option<String>,
        cursor: Option<String>,
        limit_bytes: u32,
    ) -> Result<LogPage, PluginError> {
        let wanted = Wanted { instance, cursor, limit_bytes };
        logs(own(), &scope, &handle, &wanted, clock::now())
    }

    fn read_log(scope: Scope, handle: String, want: LogWant) -> Result<LogLines, PluginError> {
        read_log(own(), &scope, &handle, &want, clock::now())
    }
}

/// The piece of a log that is wanted.
struct Wanted {
    instance: Option<String>,
    cursor: Option<String>,
    limit_bytes: u32,
}

fn own() -> &'static Told {
    SETTINGS.get_or_init(Told::default)
}

fn validate(own: &Told, scope: &Scope, app: &App, now: u64) -> Result<(), Diagnostic> {
    let place = format!("application `{}`", app.name);
    let program = program(own, scope, &Told::of_app(app))
        .map_err(|it| Diagnostic::error(&it.code, &place, it.message))?;
    let failure = program.failure(Call::Validate, None, now);
    failure.map_err(|it| Diagnostic::error(&it.code, &place, it.message))
}

fn deploy(
    own: &Told,
    scope: &Scope,
    app: &App,
    current: Option<&str>,
    now: u64,
) -> Result<Placement, PluginError> {
    let told = Told::of_app(app);
    let program = program(own, scope, &told)?;
    program.failure(Call::Deploy, None, now)?;
    let mut handle = Handle::new(scope, app, told, program.report_properties, now)?;
    if let Some(current) = current {
        handle.started = Handle::read(current)?.started;
        handle.resize(app.count, now);
    }
    Ok(placement(handle, &program, now))
}

fn undeploy(own: &Told, scope: &Scope, handle: &str, now: u64) -> Result<AppStatus, PluginError> {
    let handle = Handle::read(handle)?;
    let program = program(own, scope, &handle.told)?;
    program.failure(Call::Undeploy, handle.since(), now)?;
    Ok(AppStatus {
        deployment_id: handle.deployment_id,
        state: State::Undeployed,
        message: None,
        instances: Vec::new(),
        poll_after_ms: 0,
    })
}

fn scale(
    own: &Told,
    scope: &Scope,
    handle: &str,
    count: u32,
    now: u64,
) -> Result<Placement, PluginError> {
    let mut handle = Handle::read(handle)?;
    let program = program(own, scope, &handle.told)?;
    program.failure(Call::Scale, handle.since(), now)?;
    handle.resize(count, now);
    handle.operation = scope.operation_id.clone();
    Ok(placement(handle, &program, now))
}

fn status(own: &Told, scope: &Scope, handle: &str, now: u64) -> Result<AppStatus, PluginError> {
    let handle = Handle::read(handle)?;
    let program = program(own, scope, &handle.told)?;
    program.failure(Call::Status, handle.since(), now)?;
    Ok(state::status(&handle, &program, now))
}

fn logs(
    own: &Told,
    scope: &Scope,
    handle: &str,
    wanted: &Wanted,
    now: u64,
) -> Result<LogPage, PluginError> {
    let handle = Handle::read(handle)?;
    let program = program(own, scope, &handle.told)?;
    program.failure(Call::Logs, handle.since(), now)?;
    let text = state::log(&handle, &program, wanted.instance.as_deref(), now);
    let from = match &wanted.cursor {
        Some(cursor) => {
            cursor.parse::<usize>().ok().filter(|it| text.is_char_boundary(*it)).ok_or_else(
                || PluginError::permanent("cursor", "the cursor is not one of this log"),
            )?
        }
        None => 0,
    };
    let limit = from.saturating_add(wanted.limit_bytes as usize).min(text.len());
    let end = (from..=limit).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(from);
    let next = (end > from && end < text.len()).then(|| end.to_string());
    Ok(LogPage { text: text[from..end].to_owned(), next })
}

/// An instance has said all that it says when it is started.
fn read_log(
    own: &Told,
    scope: &Scope,
    handle: &str,
    want: &LogWant,
    now: u64,
) -> Result<LogLines, PluginError> {
    let handle = Handle::read(handle)?;
    let program = program(own, scope, &handle.told)?;
    program.failure(Call::Logs, handle.since(), now)?;
    let mut left = want.limit_bytes as usize;
    let mut lines = LogLines { texts: Vec::new(), more: false };
    for (instance, all) in state::said(&handle, &program, want.instance.as_deref(), now) {
        let read = want.read.iter().find(|it| it.instance == instance);
        let from = match read.map(|it| it.position.parse::<usize>()) {
            None => 0,
            // It has been told to say something else since.
            Some(Ok(from)) if !all.is_char_boundary(from) => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => {
                let message = "the position is not one of this log";
                return Err(PluginError::permanent("position", message));
            }
        };
        let limit = from.saturating_add(left).min(all.len());
        let to = (from..=limit).rev().find(|it| all.is_char_boundary(*it)).unwrap_or(from);
        left -= to - from;
        lines.more |= to < all.len();
        let (output, position) = ("stdout".to_owned(), to.to_string());
        let place = LogPlace { instance, output, position };
        lines.texts.push(LogText { place, text: all[from..to].to_owned(), gap: false });
    }
    Ok(lines)
}

fn program(own: &Told, scope: &Scope, app: &Told) -> Result<Program, PluginError> {
    let account = Told::of_json(&scope.settings);
    let program = account.and_then(|account| Program::of(&[own, &account, app]));
    program.map_err(|it| PluginError::permanent("config", it))
}

fn placement(handle: Handle, program: &Program, now: u64) -> Placement {
    let status = state::status(&handle, program, now);
    Placement { handle: handle.to_json(), status }
}

deployer::export!(DryRun);

#[cfg(test)]
mod tests;
