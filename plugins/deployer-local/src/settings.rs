//! The settings of an account, and what an application's deployment properties make
//! of them.
//!
//! What has no effect here is not refused, since the same application may run on another
//! platform, too: [`unused`] names it.

use std::collections::BTreeMap;

use chandlery_sdk::deployer::{App, PluginError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::{kebab, mebibytes, relaxed};

const PREFIX: &str = "spring.cloud.deployer.";
/// What an application is built with, where it does not say.
const BOOT_VERSION: &str = "2";
/// Properties of every platform, without the dashes that people write differently: what
/// the server makes of them, and what each instance is told anyway.
const OF_EVERY_PLATFORM: [&str; 4] = ["count", "group", "appname", "indexed"];

/// The settings of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Settings {
    /// Where working folders are made; the host's own place where absent.
    pub(crate) working_directories_root: Option<String>,
    /// Whether a working folder goes with its application.
    pub(crate) delete_files_on_exit: bool,
    /// Regular expressions.
    pub(crate) env_vars_to_inherit: Vec<String>,
    pub(crate) java_cmd: String,
    pub(crate) java_opts: String,
    /// Where Java is for each version of Spring Boot: in place of `java-cmd`.
    pub(crate) java_home_path: BTreeMap<String, String>,
    /// The version of Spring Boot that an application is built with.
    pub(crate) boot_version: Option<String>,
    /// The first instance's port for a debugger; the others have those that follow.
    pub(crate) debug_port: Option<u16>,
    /// The same with the address to listen at: `*:5005`. Wins over `debug-port`.
    pub(crate) debug_address: Option<String>,
    /// Whether an instance waits for its debugger: `y` or `n`.
    pub(crate) debug_suspend: String,
    /// Seconds.
    pub(crate) shutdown_timeout: u32,
    pub(crate) use_spring_application_json: bool,
    pub(crate) port_range: PortRange,
    pub(crate) hostname: String,
    pub(crate) startup_probe: Probe,
    pub(crate) health_probe: Probe,
    /// Of a Java program, with an optional `m` or `g`.
    pub(crate) memory: Option<String>,
}

/// Ports to choose from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PortRange {
    pub(crate) low: u16,
    pub(crate) high: u16,
}

/// Where to ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Probe {
    pub(crate) path: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let inherited = ["TMP", "LANG", "LANGUAGE", "LC_.*", "PATH", "SPRING_APPLICATION_JSON"];
        Settings {
            working_directories_root: None,
            delete_files_on_exit: true,
            env_vars_to_inherit: inherited.map(str::to_owned).to_vec(),
            java_cmd: "java".to_owned(),
            java_opts: String::new(),
            java_home_path: BTreeMap::new(),
            boot_version: None,
            debug_port: None,
            debug_address: None,
            debug_suspend: "n".to_owned(),
            shutdown_timeout: 30,
            use_spring_application_json: true,
            port_range: PortRange::default(),
            hostname: "127.0.0.1".to_owned(),
            startup_probe: Probe::default(),
            health_probe: Probe::default(),
            memory: None,
        }
    }
}

impl Settings {
    /// Reads an account's settings.
    pub(crate) fn of_account(json: &str) -> Result<Settings, PluginError> {
        let wrong = |it| wrong(format!("the account's settings: {it}"));
        let json = if json.trim().is_empty() || json.trim() == "null" { "{}" } else { json };
        let settings = serde_json::from_str(json).map_err(wrong)?;
        serde_json::from_value(in_kebab_case(settings)).map_err(wrong)
    }

    /// The account's settings as an application's deployment properties change them.
    pub(crate) fn of_app(json: &str, app: &App) -> Result<Settings, PluginError> {
        let mut settings = Settings::of_account(json)?;
        for it in &app.deployment_properties {
            settings.take_property(&it.key, &it.value)?;
        }
        settings.debugger(0).map_err(wrong)?;
        if !["y", "n"].contains(&settings.debug_suspend.as_str()) {
            let is = &settings.debug_suspend;
            return Err(wrong(format!("`debug-suspend` must be `y` or `n`, and is `{is}`")));
        }
        let PortRange { low, high } = settings.port_range;
        if low != 0 && high != 0 && low > high {
            return Err(wrong(format!("the port range from {low} to {high} is empty")));
        }
        Ok(settings)
    }

    /// Takes a deployment property, and says whether it has an effect here, if it is for
    /// this platform at all.
    fn take_property(&mut self, key: &str, value: &str) -> Result<Option<bool>, PluginError> {
        let Some(name) = key.strip_prefix(PREFIX) else { return Ok(None) };
        let name = relaxed(name);
        let (name, is_ours) = match name.strip_prefix("local.") {
            Some(name) => (name, true),
            None => (name.as_str(), !name.contains('.')),
        };
        let taken = self.take(name, value).map_err(|what| {
            wrong(format!("deployment property `{key}` must be {what}, and is `{value}`"))
        })?;
        let has_effect = taken || OF_EVERY_PLATFORM.contains(&name);
        Ok(Some(has_effect).filter(|_| is_ours || has_effect))
    }

    /// Whether there is such a setting, which has the new value then.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, &'static str> {
        let text = || Some(value.to_owned()).filter(|it| !it.is_empty());
        let number = || value.trim().parse().map_err(|_| "a port");
        match name {
            "workingdirectoriesroot" => self.working_directories_root = text(),
            "deletefilesonexit" => self.delete_files_on_exit = truth(value)?,
            "envvarstoinherit" => {
                self.env_vars_to_inherit = value
                    .split(',')
                    .map(|it| it.trim().to_owned())
                    .filter(|it| !it.is_empty())
                    .collect();
            }
            "javacmd" => self.java_cmd = value.to_owned(),
            "javaopts" => self.java_opts = value.to_owned(),
            "bootversion" => self.boot_version = text(),
            "debugport" => self.debug_port = Some(number()?),
            "debugaddress" => self.debug_address = text(),
            "debugsuspend" => self.debug_suspend = value.trim().to_lowercase(),
            "shutdowntimeout" => {
                self.shutdown_timeout = value.trim().parse().map_err(|_| "a number of seconds")?;
            }
            "usespringapplicationjson" => self.use_spring_application_json = truth(value)?,
            "portrange.low" => self.port_range.low = number()?,
            "portrange.high" => self.port_range.high = number()?,
            "hostname" => self.hostname = value.to_owned(),
            "startupprobe.path" => self.startup_probe.path = text(),
            "healthprobe.path" => self.health_probe.path = text(),
            "memory" => {
                mebibytes(value).ok_or("a number with an optional `m` or `g`")?;
                self.memory = text();
            }
            _ if name.starts_with("javahomepath.") => {
                let version = &name["javahomepath.".len()..];
                self.java_home_path.insert(version.to_owned(), value.to_owned());
            }
            // What is written to the server's own output there is kept in files here.
            "inheritlogging" => return Ok(!truth(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The program that runs a jar.
    pub(crate) fn java(&self) -> String {
        let version = self.boot_version.as_deref().unwrap_or(BOOT_VERSION).trim();
        // `3` and `3.2.1` are both of the third.
        let major = version.split('.').next().unwrap_or_default();
        match self.java_home_path.get(version).or_else(|| self.java_home_path.get(major)) {
            Some(home) => format!("{}/bin/java", home.trim_end_matches('/')),
            None => self.java_cmd.clone(),
        }
    }

    /// The address that an instance waits for its debugger at, and the port there;
    /// nothing where there is to be none.
    pub(crate) fn debugger(&self, index: u32) -> Result<Option<(String, u16)>, String> {
        let (host, first) = match (&self.debug_address, self.debug_port) {
            (Some(address), _) => {
                let (host, port) = address.rsplit_once(':').unwrap_or(("", address));
                let port = port.trim().parse().map_err(|_| {
                    format!("`debug-address` must end with a port, and is `{address}`")
                })?;
                (host.to_owned(), port)
            }
            (None, Some(port)) => (String::new(), port),
            (None, None) => return Ok(None),
        };
        let port = u32::from(first).checked_add(index).and_then(|it| u16::try_from(it).ok());
        let port = port.filter(|it| *it > 0);
        port.map(|it| Some((host, it)))
            .ok_or_else(|| format!("instance {index} has no port for a debugger, from {first} on"))
    }

    /// The text that lists of platforms show.
    pub(crate) fn describe(&self) -> String {
        let java_opts = match self.java_opts.as_str() {
            "" => String::new(),
            some => format!("JavaOpts = [{some}], "),
        };
        format!(
            "{java_opts}ShutdownTimeout = [{}], EnvVarsToInherit = [{}], JavaCmd = [{}], \
             WorkingDirectoriesRoot = [{}], DeleteFilesOnExit = [{}]",
            self.shutdown_timeout,
            self.env_vars_to_inherit.join(","),
            self.java_cmd,
            self.working_directories_root.as_deref().unwrap_or_default(),
            self.delete_files_on_exit,
        )
    }
}

/// The deployment properties of an application that are meant for this platform, or for all,
/// and change nothing here.
pub(crate) fn unused(app: &App) -> Vec<&str> {
    let mut settings = Settings::default();
    let properties = app.deployment_properties.iter();
    let unused = properties
        .filter(|it| matches!(settings.take_property(&it.key, &it.value), Ok(Some(false))));
    unused.map(|it| it.key.as_str()).collect()
}

/// Settings with their names as they are written here: in YAML people write `javaCmd`, too.
fn in_kebab_case(settings: Value) -> Value {
    match settings {
        Value::Object(map) => {
            let renamed = map.into_iter().map(|(key, value)| (kebab(&key), in_kebab_case(value)));
            Value::Object(renamed.collect::<Map<String, Value>>())
        }
        other => other,
    }
}

fn truth(text: &str) -> Result<bool, &'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("`true` or `false`"),
    }
}

fn wrong(message: String) -> PluginError {
    PluginError::permanent("config", message)
}
