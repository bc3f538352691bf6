//! Where settings come from: defaults, a file, the environment, flags; each
//! overrides those before it.
//!
//! Every layer is read and checked by itself first, so that a mistake is reported
//! with the place where somebody made it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Config, checks, explain, lines::Lines};
use crate::error::{Error, Result};

/// The prefix of variables that are settings.
const PREFIX: &str = "CHANDLERY_";
/// Names the settings file; no setting itself.
const FILE_VARIABLE: &str = "CHANDLERY_CONFIG";
/// Variables with the prefix that others read.
const FOREIGN_VARIABLES: [&str; 7] = [
    FILE_VARIABLE,
    "CHANDLERY_WASM_TOOLCHAIN",
    "CHANDLERY_PROCESS",
    "CHANDLERY_SERVER",
    "CHANDLERY_USER",
    "CHANDLERY_PASSWORD",
    "CHANDLERY_TOKEN",
];

/// Where one setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the settings file.
    File(PathBuf, usize),
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, 0) => write!(f, "file {}", path.display()),
            Origin::File(path, line) => write!(f, "file {}, line {line}", path.display()),
            Origin::Variable(name) => write!(f, "variable {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A setting given on the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag, as the user knows it: `--listen`.
    pub name: String,
    /// The setting's key: `limits.json_bytes_max`.
    pub key: String,
    /// Its value.
    pub text: String,
}

/// What the settings are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file, if one was named.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// The settings in force, and where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the setting of that key came from: the nearest place that set it or
    /// what it is part of.
    pub fn origin(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin.clone();
            }
            match key.rsplit_once('.') {
                Some((parent, _)) => key = parent,
                None => return Origin::Default,
            }
        }
    }

    /// Says in an error about a setting where its value came from.
    pub fn blame(&self, error: Error) -> Error {
        match error {
            Error::Invalid { field, message } => {
                let message = match self.origin(&field) {
                    Origin::Default => format!("`{field}`: {message}"),
                    origin => format!("{origin}: `{field}`: {message}"),
                };
                Error::Invalid { field, message }
            }
            other => other,
        }
    }
}

impl Sources {
    /// The file and flags given, and this process's environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Result<Sources> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|it| it.starts_with(PREFIX)) else { continue };
            let value = value.into_string().map_err(|_| {
                Error::invalid(name, format!("variable {name}: its value is not UTF-8"))
            })?;
            variables.push((name.to_owned(), value));
        }
        let named = variables.iter().find(|(name, _)| name == FILE_VARIABLE);
        let file = file.or_else(|| named.map(|(_, path)| PathBuf::from(path)));
        Ok(Sources { file, variables, flags })
    }

    /// Reads all layers and puts them over each other.
    pub fn load(&self) -> Result<Loaded> {
        let mut settings = Table::new();
        let mut origins = BTreeMap::new();
        if let Some(path) = &self.file {
            let (layer, lines) = read_file(path)?;
            let origin = |key: &str| Origin::File(path.clone(), lines.of(key));
            lay_over(&mut settings, layer, &mut origins, &origin)?;
        }
        for (name, text) in &self.variables {
            if FOREIGN_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
            let origin = |_: &str| Origin::Variable(name.clone());
            lay_over(&mut settings, one_setting(&key, text), &mut origins, &origin)?;
        }
        for flag in &self.flags {
            let origin = |_: &str| Origin::Flag(flag.name.clone());
            lay_over(&mut settings, one_setting(&flag.key, &flag.text), &mut origins, &origin)?;
        }

        let config = explain::read(settings).map_err(|it| it.into_error(&Origin::Default))?;
        let loaded = Loaded { config, origins };
        checks::check(&loaded.config).map_err(|it| loaded.blame(it))?;
        if loaded.config.basic_auth_password.is_empty()
            && loaded.origin("basic_auth_password") != Origin::Default
        {
            let message = "it is empty; leave it out for a server without a password";
            return Err(loaded.blame(Error::invalid("basic_auth_password", message)));
        }
        Ok(loaded)
    }
}

fn read_file(path: &Path) -> Result<(Table, Lines)> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|it| {
        Error::invalid("config", format!("the settings file `{shown}` cannot be read: {it}"))
    })?;
    let lines = Lines::of_text(&text);
    let table = text.parse::<Table>().map_err(|it| {
        let line = it.span().map_or(0, |span| lines.at(span.start));
        let origin = Origin::File(path.to_owned(), line);
        Error::invalid("config", format!("{origin}: {}", it.message().replace('\n', ", ")))
    })?;
    Ok((table, lines))
}

/// Checks a layer by itself, then puts it over what is there.
fn lay_over(
    settings: &mut Table,
    layer: Table,
    origins: &mut BTreeMap<String, Origin>,
    origin: &dyn Fn(&str) -> Origin,
) -> Result<()> {
    explain::read(layer.clone()).map_err(|it| {
        let origin = origin(&it.key);
        it.into_error(&origin)
    })?;
    merge(settings, layer, "", origins, origin);
    Ok(())
}

/// Tables are merged key by key; everything else is replaced whole.
fn merge(
    below: &mut Table,
    above: Table,
    prefix: &str,
    origins: &mut BTreeMap<String, Origin>,
    origin: &dyn Fn(&str) -> Origin,
) {
    for (name, value) in above {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match (below.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                merge(below, above, &key, origins, origin);
            }
            (None, Value::Table(above)) => {
                let mut table = Table::new();
                merge(&mut table, above, &key, origins, origin);
                below.insert(name, Value::Table(table));
            }
            (_, value) => {
                forget_below(origins, &key);
                note(&value, &key, origins, origin);
                below.insert(name, value);
            }
        }
    }
}

/// Notes where a value and everything in it came from.
fn note(
    value: &Value,
    key: &str,
    origins: &mut BTreeMap<String, Origin>,
    origin: &dyn Fn(&str) -> Origin,
) {
    origins.insert(key.to_owned(), origin(key));
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                note(item, &format!("{key}.{index}"), origins, origin);
            }
        }
        Value::Table(table) => {
            for (name, item) in table {
                note(item, &format!("{key}.{name}"), origins, origin);
            }
        }
        _ => {}
    }
}

fn forget_below(origins: &mut BTreeMap<String, Origin>, key: &str) {
    let below = format!("{key}.");
    origins.retain(|it, _| !it.starts_with(&below));
}

/// The layer that sets one key. What form the text has follows from the default:
/// text stays as it is; a list or a table is TOML or JSON.
fn one_setting(key: &str, text: &str) -> Table {
    let mut value = match default_of(key) {
        Some(Value::String(_)) => Value::String(text.to_owned()),
        _ => parsed(text).unwrap_or_else(|| Value::String(text.to_owned())),
    };
    let mut segments: Vec<&str> = key.split('.').collect();
    while segments.len() > 1
        && let Some(last) = segments.pop()
    {
        value = Value::Table(Table::from_iter([(last.to_owned(), value)]));
    }
    Table::from_iter([(segments[0].to_owned(), value)])
}

fn default_of(key: &str) -> Option<Value> {
    let defaults = Value::try_from(Config::default()).ok()?;
    key.split('.').try_fold(defaults, |value, segment| value.get(segment).cloned())
}

fn parsed(text: &str) -> Option<Value> {
    let toml = || format!("value = {text}").parse::<Table>().ok()?.remove("value");
    serde_json::from_str(text).ok().and_then(from_json).or_else(toml)
}

/// JSON as TOML, which has no null: what is null is not set.
fn from_json(json: serde_json::Value) -> Option<Value> {
    Some(match json {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(it) => Value::Boolean(it),
        serde_json::Value::String(it) => Value::String(it),
        serde_json::Value::Number(it) => match it.as_i64() {
            Some(it) => Value::Integer(it),
            None => Value::Float(it.as_f64()?),
        },
        serde_json::Value::Array(items) => {
            Value::Array(items.into_iter().filter_map(from_json).collect())
        }
        serde_json::Value::Object(table) => {
            let set = table.into_iter().filter_map(|(name, it)| Some((name, from_json(it)?)));
            Value::Table(set.collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn variables(pairs: &[(&str, &str)]) -> Sources {
        let variables = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Sources { variables: variables.collect(), ..Sources::default() }
    }

    fn message(sources: &Sources) -> String {
        sources.load().unwrap_err().to_string()
    }

    fn file_message(text: &str) -> String {
        let file = file(text);
        let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        message(&sources).replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn without_sources_the_defaults_are_in_force() {
        let loaded = Sources::default().load().unwrap();
        assert_eq!(loaded.config.listen.to_string(), "127.0.0.1:7577");
        assert_eq!(loaded.origin("listen"), Origin::Default);
    }

    #[test]
    fn flags_win_over_variables_over_the_file() {
        let file = file("[limits]\njson_bytes_max = 1\nconnections_max = 1\nrequests_max = 1\n");
        let flag =
            Flag { name: "--set".into(), key: "limits.requests_max".into(), text: "3".into() };
        let sources = Sources {
            file: Some(file.path().to_owned()),
            flags: vec![flag],
            ..variables(&[
                ("CHANDLERY_LIMITS__CONNECTIONS_MAX", "2"),
                ("CHANDLERY_LIMITS__REQUESTS_MAX", "2"),
            ])
        };
        let loaded = sources.load().unwrap();
        let limits = &loaded.config.limits;
        assert_eq!((limits.json_bytes_max, limits.connections_max, limits.requests_max), (1, 2, 3));
        assert_eq!(loaded.origin("limits.json_bytes_max"), Origin::File(file.path().to_owned(), 2));
        assert_eq!(
            loaded.origin("limits.connections_max"),
            Origin::Variable("CHANDLERY_LIMITS__CONNECTIONS_MAX".into())
        );
        assert_eq!(loaded.origin("limits.requests_max"), Origin::Flag("--set".into()));
        assert_eq!(loaded.origin("limits.package_bytes_max"), Origin::Default);
    }

    #[test]
    fn a_variable_may_hold_a_list_or_a_table() {
        let loaded = variables(&[
            ("CHANDLERY_DEV", "true"),
            ("CHANDLERY_DATA", "7"),
            ("CHANDLERY_RESOURCES__FILE_ROOTS", "['/srv', '/opt']"),
            ("CHANDLERY_PLATFORMS", r#"{"local": {"default": {"x": 1}}}"#),
        ])
        .load()
        .unwrap();
        assert!(loaded.config.dev);
        assert_eq!(loaded.config.data, PathBuf::from("7"));
        assert_eq!(loaded.config.resources.file_roots.len(), 2);
        assert_eq!(loaded.config.platforms["local"]["default"]["x"], 1);
    }

    #[test]
    fn an_unknown_setting_is_named_with_its_place_and_the_nearest_right_one() {
        assert_eq!(
            file_message("dev = true\n\n[limits]\njson_byte_max = 1\n"),
            "file FILE, line 4: `limits.json_byte_max` is not a setting; did you mean \
             `limits.json_bytes_max`?"
        );
        assert_eq!(
            message(&variables(&[("CHANDLERY_LISTN", "127.0.0.1:1")])),
            "variable CHANDLERY_LISTN: `listn` is not a setting; did you mean `listen`?"
        );
        assert_eq!(
            file_message("[[plugins]]\nname = 'x'\n[[plugins]]\nname = 'y'\nsetings = {}\n"),
            "file FILE, line 5: `plugins.1.setings` is not a setting; did you mean \
             `plugins.1.settings`?"
        );
        assert_eq!(
            file_message("[[plugins]]\n[plugins.grants.http]\norigns = []\n"),
            "file FILE, line 3: `plugins.0.grants.http.origns` is not a setting; did you mean \
             `plugins.0.grants.http.origins`?"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_the_right_form() {
        assert_eq!(
            file_message("[limits]\njson_bytes_max = 'many'\n"),
            "file FILE, line 2: `limits.json_bytes_max` must be a whole number, not text"
        );
        assert_eq!(
            message(&variables(&[("CHANDLERY_DEV", "perhaps")])),
            "variable CHANDLERY_DEV: `dev` must be `true` or `false`, not text"
        );
        assert_eq!(
            message(&variables(&[("CHANDLERY_LISTEN", "localhost")])),
            "variable CHANDLERY_LISTEN: `listen` must be an address and a port, like \
             `127.0.0.1:7577`"
        );
        assert_eq!(
            file_message("[log]\nformat = 'xml'\n"),
            "file FILE, line 2: `log.format` must be one of `human`, `json`"
        );
        assert_eq!(
            file_message("limits = 7\n"),
            "file FILE, line 1: `limits` must be a table, not a number"
        );
        assert_eq!(
            file_message("[limits]\nrequests_max = -1\n"),
            "file FILE, line 2: `limits.requests_max` must be a whole number, not `-1`"
        );
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_with_its_line() {
        assert!(file_message("dev = true\nlisten =\n").starts_with("file FILE, line 2: "));
        let sources = Sources { file: Some("/nowhere/x.toml".into()), ..Sources::default() };
        assert!(
            message(&sources).starts_with("the settings file `/nowhere/x.toml` cannot be read")
        );
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_its_place() {
        assert_eq!(
            message(&variables(&[("CHANDLERY_LIMITS__CONNECTIONS_MAX", "0")])),
            "variable CHANDLERY_LIMITS__CONNECTIONS_MAX: `limits.connections_max`: must be at \
             least 1"
        );
    }

    #[test]
    fn an_allowed_host_is_a_bare_name() {
        let with = |host: &str| variables(&[("CHANDLERY_ALLOWED_HOSTS", &format!("['{host}']"))]);
        for host in ["releases.example.org", "localhost", "10.0.0.1", "2001:db8::1", "[::1]"] {
            assert!(with(host).load().is_ok(), "{host}");
        }
        for host in ["", "https://a.example", "a.example:443", "a.example/", "*", "[a]", "a@b"] {
            let message = message(&with(host));
            assert!(message.contains("`allowed_hosts.0`"), "{host}: {message}");
        }
    }

    #[test]
    fn other_programs_variables_are_left_alone() {
        assert!(variables(&[("CHANDLERY_WASM_TOOLCHAIN", "debian")]).load().is_ok());
        // A server that another one runs has its mark.
        assert!(variables(&[("CHANDLERY_PROCESS", "x1")]).load().is_ok());
    }
}
