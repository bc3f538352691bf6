//! The settings of an account, and what an application's deployment properties make
//! of them.

use chandlery_sdk::deployer::{App, PluginError};
use serde::Deserialize;

use crate::text::{mebibytes, relaxed};

const PREFIX: &str = "spring.cloud.deployer.";

/// The settings of an account.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PortRange {
    pub(crate) low: u16,
    pub(crate) high: u16,
}

/// Where to ask.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
        let json = if json.trim().is_empty() || json.trim() == "null" { "{}" } else { json };
        serde_json::from_str(json).map_err(|it| wrong(format!("the account's settings: {it}")))
    }

    /// The account's settings as an application's deployment properties change them.
    pub(crate) fn of_app(json: &str, app: &App) -> Result<Settings, PluginError> {
        let mut settings = Settings::of_account(json)?;
        for it in &app.deployment_properties {
            let Some(name) = it.key.strip_prefix(PREFIX) else { continue };
            let name = relaxed(name);
            let name = name.strip_prefix("local.").unwrap_or(&name);
            settings.take(name, &it.value).map_err(|what| {
                wrong(format!(
                    "deployment property `{}` must be {what}, and is `{}`",
                    it.key, it.value
                ))
            })?;
        }
        let PortRange { low, high } = settings.port_range;
        if low != 0 && high != 0 && low > high {
            return Err(wrong(format!("the port range from {low} to {high} is empty")));
        }
        Ok(settings)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
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
            // What other platforms or newer servers know is not ours to refuse.
            _ => {}
        }
        Ok(())
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
