//! From an application to the processes that it is.

use chandlery_sdk::{
    deployer::{App, Diagnostic, PluginError, Scope},
    process::{PortRequest, ProcessError, Spec},
    types::Label,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    host::Host,
    instance::{Handle, Instance},
    settings::{self, Settings},
    text::{mebibytes, variable},
};

/// The port's name in placeholders.
pub(crate) const PORT: &str = "http";
const SPRING_JSON: &str = "SPRING_APPLICATION_JSON";
const SERVER_PORT: &str = "server.port";
const ZIP: &[u8] = b"PK\x03\x04";

const DEBUG: &str = "debug";
/// Instances of an application, at most.
pub(crate) const COUNT_MAX: u32 = 100;
/// The host keeps 64 KiB; the instances need some of it.
const TEMPLATE_BYTES_MAX: usize = 40 << 10;

/// What to start, and what to remember of it.
pub(crate) struct Plan {
    pub(crate) processes: Vec<(String, Spec)>,
    pub(crate) handle: Handle,
}

/// All that a further instance is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Template {
    pub(crate) release: String,
    group: String,
    deployment_id: String,
    artifact: String,
    file_name: String,
    jar: bool,
    /// The application's own, in their order.
    properties: Vec<(String, String)>,
    settings: Settings,
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
        let message = format!(
            "`{}` is an image, and this platform runs programs of its own machine only: name a \
             program (`maven://`, `https://`, `file:`, `inventory://`), or a platform that runs \
             images",
            app.resource
        );
        return Err(Diagnostic::error("resource", place, message));
    }
    let properties = app.application_properties.iter();
    let wish = match wish(properties.map(|it| (it.key.as_str(), it.value.as_str()))) {
        Ok(wish) => wish,
        Err(error) => return Err(Diagnostic::error("port", place, error.message)),
    };
    if matches!(wish, Wish::Number(_)) && app.count > 1 {
        let message = format!("{} instances cannot share one `{SERVER_PORT}`", app.count);
        return Err(Diagnostic::error("port", place, message));
    }
    if app.count > COUNT_MAX {
        let message = format!("it may have {COUNT_MAX} instances, and not {}", app.count);
        return Err(Diagnostic::error("count", place, message));
    }
    match Settings::of_app(&scope.settings, app) {
        Ok(_) => Ok(()),
        Err(error) => Err(Diagnostic::error("settings", place, error.message)),
    }
}

/// What an application is told in vain.
pub(crate) fn warnings(app: &App) -> Vec<Diagnostic> {
    let place = format!("application `{}`", app.name);
    let warning = |key: &str| {
        let message = format!("deployment property `{key}` has no effect on this platform");
        Diagnostic::warning("unused", place.as_str(), message)
    };
    settings::unused(app).into_iter().map(warning).collect()
}

impl Plan {
    /// The processes of an application.
    pub(crate) fn of(host: &impl Host, scope: &Scope, app: &App) -> Result<Plan, PluginError> {
        check(scope, app).map_err(|it| PluginError::permanent(&it.code, it.message))?;
        let template = Template::of(host, scope, app)?;
        let mut processes = Vec::new();
        let mut instances = Vec::new();
        for index in 0..app.count {
            let instance = template.instance(index);
            processes.push((instance.process.clone(), template.spec(index)?));
            instances.push(instance);
        }
        let settings = template.settings.clone();
        let handle = Handle {
            deployment_id: template.deployment_id.clone(),
            instances,
            hostname: settings.hostname,
            startup_probe: settings.startup_probe.path,
            health_probe: settings.health_probe.path,
            shutdown: template.jar && settings.shutdown_timeout > 0,
            grace_ms: settings.shutdown_timeout.saturating_mul(1000),
            // One that is too large to be remembered runs all the same.
            template: Some(template).filter(|it| it.size() <= TEMPLATE_BYTES_MAX),
        };
        Ok(Plan { processes, handle })
    }
}

impl Template {
    fn of(host: &impl Host, scope: &Scope, app: &App) -> Result<Template, PluginError> {
        let artifact = app.artifact.as_ref();
        let properties = app.application_properties.iter();
        Ok(Template {
            release: app.release.clone(),
            group: app.group.clone(),
            deployment_id: format!("{}.{}", app.group, app.definition_name),
            artifact: artifact.map(|it| it.uri.clone()).unwrap_or_default(),
            file_name: artifact.map(|it| it.file_name.clone()).unwrap_or_default(),
            jar: is_jar(host, app),
            properties: properties.map(|it| (it.key.clone(), it.value.clone())).collect(),
            settings: Settings::of_app(&scope.settings, app)?,
        })
    }

    /// The instance of that index, by its names.
    pub(crate) fn instance(&self, index: u32) -> Instance {
        let id = format!("{}-{index}", self.deployment_id);
        Instance { process: format!("{}/{id}", self.release), id }
    }

    /// Whether its instances all want the same port.
    pub(crate) fn has_one_port(&self) -> bool {
        let properties = self.properties.iter().map(|(key, it)| (key.as_str(), it.as_str()));
        matches!(wish(properties), Ok(Wish::Number(_)))
    }

    /// The process of the instance of that index.
    pub(crate) fn spec(&self, index: u32) -> Result<Spec, PluginError> {
        let Template { settings, jar, .. } = self;
        let properties = self.properties.iter().map(|(key, it)| (key.as_str(), it.as_str()));
        let wish = wish(properties)?;
        let env = environment(self, index, wish);
        let mut inherit_env = settings.env_vars_to_inherit.clone();
        inherit_env.retain(|pattern| !env.iter().any(|it| it.key == *pattern));
        let debugger = settings.debugger(index).map_err(|it| PluginError::permanent("config", it));
        let debugger = debugger?.filter(|_| *jar);
        let mut ports = Vec::new();
        if wish != Wish::None {
            ports.push(PortRequest {
                name: PORT.to_owned(),
                number: if let Wish::Number(number) = wish { Some(number) } else { None },
                low: settings.port_range.low,
                high: settings.port_range.high,
            });
        }
        ports.extend(debugger.as_ref().map(|(_, port)| PortRequest {
            name: DEBUG.to_owned(),
            number: Some(*port),
            low: 0,
            high: 0,
        }));
        Ok(Spec {
            program: if *jar { settings.java() } else { "{artifact}".to_owned() },
            args: if *jar { java_args(settings, debugger) } else { Vec::new() },
            env,
            inherit_env,
            artifact: Some(self.artifact.clone()),
            artifact_name: Some(self.file_name.clone()),
            workdir_root: settings.working_directories_root.clone(),
            delete_workdir: settings.delete_files_on_exit,
            ports,
        })
    }

    fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |it| it.len())
    }
}

// A name may say so; where it does not, the first bytes do.
fn is_jar(host: &impl Host, app: &App) -> bool {
    let Some(artifact) = &app.artifact else { return false };
    artifact.file_name.to_ascii_lowercase().ends_with(".jar")
        || host.first_bytes(&artifact.uri, 4).is_ok_and(|it| it == ZIP)
}

fn wish<'a>(
    properties: impl DoubleEndedIterator<Item = (&'a str, &'a str)>,
) -> Result<Wish, PluginError> {
    let found = properties.rev().find(|(key, _)| *key == SERVER_PORT);
    let Some(text) = found.map(|(_, it)| it.trim()).filter(|it| !it.is_empty()) else {
        return Ok(Wish::Any);
    };
    match text.parse::<i64>() {
        Ok(0) => Ok(Wish::Any),
        Ok(number) if number < 0 => Ok(Wish::None),
        Ok(number) if number <= i64::from(u16::MAX) => Ok(Wish::Number(number as u16)),
        _ => Err(PluginError::permanent("port", format!("`{SERVER_PORT}` is no port: `{text}`"))),
    }
}

fn java_args(settings: &Settings, debugger: Option<(String, u16)>) -> Vec<String> {
    let mut args: Vec<String> = settings.java_opts.split_whitespace().map(str::to_owned).collect();
    if let Some((host, _)) = debugger {
        let at = if host.is_empty() { host } else { format!("{host}:") };
        let suspend = &settings.debug_suspend;
        args.insert(
            0,
            format!(
                "-agentlib:jdwp=transport=dt_socket,server=y,suspend={suspend},\
                 address={at}{{port:{DEBUG}}}"
            ),
        );
    }
    let memory = settings.memory.as_deref().and_then(mebibytes);
    if let Some(memory) = memory.filter(|_| !args.iter().any(|it| it.starts_with("-Xmx"))) {
        args.insert(0, format!("-Xmx{memory}m"));
    }
    args.extend(["-jar".to_owned(), "{artifact}".to_owned()]);
    args
}

/// What an instance is told: its properties and where it is.
fn environment(template: &Template, index: u32, wish: Wish) -> Vec<Label> {
    let Template { group, deployment_id, jar, properties, settings, .. } = template;
    let mut told = Map::new();
    for (key, value) in properties {
        told.insert(key.clone(), value.clone().into());
    }
    let index_text = index.to_string();
    let guid = format!("{deployment_id}-{index}");
    for (key, value) in [
        ("spring.jmx.default-domain", deployment_id.as_str()),
        ("endpoints.shutdown.enabled", "true"),
        ("endpoints.jmx.unique-names", "true"),
        ("spring.cloud.application.group", group),
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
    if !*jar || !settings.use_spring_application_json {
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
