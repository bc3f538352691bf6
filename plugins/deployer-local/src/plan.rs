//! From an application to the processes that it is.

use chandlery_sdk::{
    deployer::{App, Diagnostic, PluginError, Scope},
    process::{PortRequest, ProcessError, Spec},
    types::Label,
};
use serde_json::{Map, Value};

use crate::{
    host::Host,
    instance::{Handle, Instance},
    settings::Settings,
    text::{mebibytes, variable},
};

/// The port's name in placeholders.
pub(crate) const PORT: &str = "http";
const SPRING_JSON: &str = "SPRING_APPLICATION_JSON";
const SERVER_PORT: &str = "server.port";
const ZIP: &[u8] = b"PK\x03\x04";

/// What to start, and what to remember of it.
pub(crate) struct Plan {
    pub(crate) processes: Vec<(String, Spec)>,
    pub(crate) handle: Handle,
}

/// The port that an application asks for.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    None,
    Any,
    Number(u16),
}

/// Checks an application without starting anything.
pub(crate) fn check(scope: &Scope, app: &App) -> Result<(), Diagnostic> {
    let place = format!("application `{}`", app.name);
    if app.artifact.is_none() {
        let message = format!("a local platform runs programs, and `{}` is none", app.resource);
        return Err(Diagnostic::error("resource", place, message));
    }
    let wish = match wish(app) {
        Ok(wish) => wish,
        Err(error) => return Err(Diagnostic::error("port", place, error.message)),
    };
    if matches!(wish, Wish::Number(_)) && app.count > 1 {
        let message = format!("{} instances cannot share one `{SERVER_PORT}`", app.count);
        return Err(Diagnostic::error("port", place, message));
    }
    match Settings::of_app(&scope.settings, app) {
        Ok(_) => Ok(()),
        Err(error) => Err(Diagnostic::error("settings", place, error.message)),
    }
}

impl Plan {
    /// The processes of an application.
    pub(crate) fn of(host: &impl Host, scope: &Scope, app: &App) -> Result<Plan, PluginError> {
        check(scope, app).map_err(|it| PluginError::permanent(&it.code, it.message))?;
        let settings = Settings::of_app(&scope.settings, app)?;
        let jar = is_jar(host, app);
        let wish = wish(app)?;
        let deployment_id = format!("{}.{}", app.group, app.definition_name);
        let mut processes = Vec::new();
        let mut instances = Vec::new();
        for index in 0..app.count {
            let id = format!("{deployment_id}-{index}");
            let process = format!("{}/{id}", app.release);
            let environment = environment(&settings, app, &deployment_id, index, jar, wish);
            processes.push((process.clone(), spec(&settings, app, jar, wish, environment)));
            instances.push(Instance { id, process });
        }
        let handle = Handle {
            deployment_id,
            instances,
            hostname: settings.hostname,
            startup_probe: settings.startup_probe.path,
            health_probe: settings.health_probe.path,
            shutdown: jar && settings.shutdown_timeout > 0,
            grace_ms: settings.shutdown_timeout.saturating_mul(1000),
        };
        Ok(Plan { processes, handle })
    }
}

// A name may say so; where it does not, the first bytes do.
fn is_jar(host: &impl Host, app: &App) -> bool {
    let Some(artifact) = &app.artifact else { return false };
    artifact.file_name.to_ascii_lowercase().ends_with(".jar")
        || host.first_bytes(&artifact.uri, 4).is_ok_and(|it| it == ZIP)
}

fn wish(app: &App) -> Result<Wish, PluginError> {
    let found = app.application_properties.iter().rev().find(|it| it.key == SERVER_PORT);
    let Some(text) = found.map(|it| it.value.trim()).filter(|it| !it.is_empty()) else {
        return Ok(Wish::Any);
    };
    match text.parse::<i64>() {
        Ok(0) => Ok(Wish::Any),
        Ok(number) if number < 0 => Ok(Wish::None),
        Ok(number) if number <= i64::from(u16::MAX) => Ok(Wish::Number(number as u16)),
        _ => Err(PluginError::permanent("port", format!("`{SERVER_PORT}` is no port: `{text}`"))),
    }
}

fn spec(settings: &Settings, app: &App, jar: bool, wish: Wish, env: Vec<Label>) -> Spec {
    let mut inherit_env = settings.env_vars_to_inherit.clone();
    inherit_env.retain(|pattern| !env.iter().any(|it| it.key == *pattern));
    let number = match wish {
        Wish::Number(number) => Some(number),
        Wish::Any | Wish::None => None,
    };
    let port = PortRequest {
        name: PORT.to_owned(),
        number,
        low: settings.port_range.low,
        high: settings.port_range.high,
    };
    let artifact = app.artifact.as_ref();
    Spec {
        program: if jar { settings.java_cmd.clone() } else { "{artifact}".to_owned() },
        args: if jar { java_args(settings) } else { Vec::new() },
        env,
        inherit_env,
        artifact: artifact.map(|it| it.uri.clone()),
        artifact_name: artifact.map(|it| it.file_name.clone()),
        workdir_root: settings.working_directories_root.clone(),
        delete_workdir: settings.delete_files_on_exit,
        ports: if wish == Wish::None { Vec::new() } else { vec![port] },
    }
}

fn java_args(settings: &Settings) -> Vec<String> {
    let mut args: Vec<String> = settings.java_opts.split_whitespace().map(str::to_owned).collect();
    let memory = settings.memory.as_deref().and_then(mebibytes);
    if let Some(memory) = memory.filter(|_| !args.iter().any(|it| it.starts_with("-Xmx"))) {
        args.insert(0, format!("-Xmx{memory}m"));
    }
    args.extend(["-jar".to_owned(), "{artifact}".to_owned()]);
    args
}

/// What an instance is told: its properties and where it is.
fn environment(
    settings: &Settings,
    app: &App,
    deployment_id: &str,
    index: u32,
    jar: bool,
    wish: Wish,
) -> Vec<Label> {
    let mut told = Map::new();
    for it in &app.application_properties {
        told.insert(it.key.clone(), it.value.clone().into());
    }
    let index_text = index.to_string();
    let guid = format!("{deployment_id}-{index}");
    for (key, value) in [
        ("spring.jmx.default-domain", deployment_id),
        ("endpoints.shutdown.enabled", "true"),
        ("endpoints.jmx.unique-names", "true"),
        ("spring.cloud.application.group", &app.group),
        ("instance.index", &index_text),
        ("spring.cloud.stream.instanceIndex", &index_text),
        ("spring.application.index", &index_text),
        ("spring.cloud.application.guid", &guid),
    ] {
        told.insert(key.to_owned(), value.into());
    }
    if wish != Wish::None {
        told.insert(SERVER_PORT.to_owned(), format!("{{port:{PORT}}}").into());
    }

    let mut variables: Map<String, Value> = Map::new();
    if !jar || !settings.use_spring_application_json {
        if wish != Wish::None {
            variables.insert("PORT".to_owned(), format!("{{port:{PORT}}}").into());
        }
        variables.extend(told.iter().map(|(key, value)| (variable(key), value.clone())));
        variables.retain(|name, _| !name.is_empty() && !name.starts_with("CHANDLERY_"));
    }
    if settings.use_spring_application_json {
        variables.insert(SPRING_JSON.to_owned(), Value::Object(told).to_string().into());
    }
    variables
        .into_iter()
        .map(|(key, value)| Label::new(key, value.as_str().unwrap_or_default()))
        .collect()
}

/// What the host could not do, as ours.
pub(crate) fn failure(error: ProcessError) -> PluginError {
    match error {
        ProcessError::Denied(why) => PluginError::permanent("denied", why),
        ProcessError::NotFound => PluginError::permanent("not-found", "there is no such process"),
        ProcessError::Conflict => {
            PluginError::permanent("conflict", "a process of that name runs with other settings")
        }
        ProcessError::Quota => {
            PluginError::temporary("quota", "as many processes run as may: see `process.count_max`")
        }
        ProcessError::Failed(why) => PluginError::temporary("failed", why),
    }
}
