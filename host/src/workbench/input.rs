//! From what a case says to what the server would hand over. Members have the names of
//! `wit/`; what is left out has a value that hardly any rule asks for.

use std::path::Path;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::plugins::{
    deployer::{App, Artifact, Scope},
    notifying_hook::Event,
    policy::Question,
    renderer::{Job, Template},
    types::{self, PrincipalKind},
    validating_hook::Operation,
};

type Result<T> = std::result::Result<T, String>;

/// TOML as JSON: a date becomes its text.
pub(super) fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(it) => Value::String(it),
        toml::Value::Integer(it) => it.into(),
        toml::Value::Float(it) => it.into(),
        toml::Value::Boolean(it) => Value::Bool(it),
        toml::Value::Datetime(it) => Value::String(it.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(json).collect()),
        toml::Value::Table(members) => {
            Value::Object(members.into_iter().map(|(name, it)| (name, json(it))).collect())
        }
    }
}

/// Reads an input. The error names the member.
fn read<T: DeserializeOwned>(input: &Value) -> Result<T> {
    serde_path_to_error::deserialize(input).map_err(|it| {
        let place = it.path().to_string();
        let place = if place == "." { "input".to_owned() } else { format!("input.{place}") };
        format!("`{place}`: {}", it.inner())
    })
}

/// JSON text as it is, so that order and numbers stay; anything else is written out.
#[derive(Clone, Deserialize)]
#[serde(from = "Value")]
struct Json(String);

impl From<Value> for Json {
    fn from(value: Value) -> Json {
        match value {
            Value::String(text) if serde_json::from_str::<Value>(&text).is_ok() => Json(text),
            other => Json(other.to_string()),
        }
    }
}

impl Default for Json {
    fn default() -> Json {
        Json("{}".to_owned())
    }
}

/// A table, or a list of `{ key, value }` where the order counts.
#[derive(Clone, Default, Deserialize)]
#[serde(untagged)]
enum Labels {
    #[default]
    None,
    Table(Map<String, Value>),
    List(Vec<Label>),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    key: String,
    value: String,
}

impl From<Labels> for Vec<types::Label> {
    fn from(labels: Labels) -> Vec<types::Label> {
        let label = |(key, value): (String, Value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            types::Label { key, value }
        };
        match labels {
            Labels::None => Vec::new(),
            Labels::Table(members) => members.into_iter().map(label).collect(),
            Labels::List(items) => {
                let label = |it: Label| types::Label { key: it.key, value: it.value };
                items.into_iter().map(label).collect()
            }
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ActorKind {
    User,
    Service,
    Plugin,
    Anonymous,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Principal {
    id: String,
    kind: Option<ActorKind>,
    groups: Vec<String>,
    roles: Vec<String>,
    claims: Labels,
}

impl Default for Principal {
    fn default() -> Principal {
        Principal {
            id: "anonymous".to_owned(),
            kind: None,
            groups: Vec::new(),
            roles: Vec::new(),
            claims: Labels::None,
        }
    }
}

impl From<Principal> for types::Principal {
    fn from(it: Principal) -> types::Principal {
        let kind = match it.kind {
            Some(ActorKind::User) => PrincipalKind::User,
            Some(ActorKind::Service) => PrincipalKind::Service,
            Some(ActorKind::Plugin) => PrincipalKind::Plugin,
            Some(ActorKind::Anonymous) => PrincipalKind::Anonymous,
            // As the id says.
            None => match it.id.split(':').next() {
                Some("user") => PrincipalKind::User,
                Some("service") => PrincipalKind::Service,
                Some("plugin") => PrincipalKind::Plugin,
                _ => PrincipalKind::Anonymous,
            },
        };
        let claims = it.claims.into();
        types::Principal { id: it.id, kind, groups: it.groups, roles: it.roles, claims }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Target {
    kind: String,
    namespace: String,
    name: String,
    version: Option<String>,
    labels: Labels,
}

impl From<Target> for types::Target {
    fn from(it: Target) -> types::Target {
        types::Target {
            kind: it.kind,
            namespace: it.namespace,
            name: it.name,
            version: it.version,
            labels: it.labels.into(),
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct RequestInfo {
    id: String,
    trace_parent: Option<String>,
    remote: Option<String>,
    method: String,
    path: String,
    received_at: u64,
}

impl Default for RequestInfo {
    fn default() -> RequestInfo {
        RequestInfo {
            id: "request-1".to_owned(),
            trace_parent: None,
            remote: None,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            received_at: 0,
        }
    }
}

/// `review`.
pub(super) fn operation(input: &Value) -> Result<Operation> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Input {
        #[serde(default = "first")]
        id: String,
        action: String,
        #[serde(default)]
        target: Target,
        #[serde(default)]
        actor: Principal,
        request: Option<RequestInfo>,
        #[serde(default)]
        dry_run: bool,
        #[serde(default)]
        object: Json,
        previous: Option<Json>,
    }
    let it: Input = read(input)?;
    Ok(Operation {
        id: it.id,
        action: it.action,
        target: it.target.into(),
        actor: it.actor.into(),
        request: it.request.map(|it| types::RequestInfo {
            id: it.id,
            trace_parent: it.trace_parent,
            remote: it.remote,
            method: it.method,
            path: it.path,
            received_at: it.received_at,
        }),
        dry_run: it.dry_run,
        object: it.object.0,
        previous: it.previous.map(|it| it.0),
    })
}

/// `deliver`.
pub(super) fn events(input: &Value, now_ms: u64) -> Result<Vec<Event>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        events: Vec<One>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct One {
        id: Option<String>,
        sequence: Option<u64>,
        action: String,
        #[serde(default)]
        target: Target,
        #[serde(default)]
        actor: Principal,
        at: Option<u64>,
        object: Option<Json>,
        attempt: Option<u32>,
        failure: Option<String>,
    }
    let it: Input = read(input)?;
    let event = |(index, it): (usize, One)| {
        let sequence = it.sequence.unwrap_or(index as u64 + 1);
        Event {
            id: it.id.unwrap_or_else(|| format!("event-{sequence}")),
            sequence,
            action: it.action,
            target: it.target.into(),
            actor: it.actor.into(),
            at: it.at.unwrap_or(now_ms),
            object: it.object.map(|it| it.0),
            attempt: it.attempt.unwrap_or(1),
            failure: it.failure,
        }
    };
    Ok(it.events.into_iter().enumerate().map(event).collect())
}

/// `authorize`.
pub(super) fn question(input: &Value) -> Result<Question> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        #[serde(default)]
        principal: Principal,
        action: String,
        #[serde(default)]
        target: Target,
        #[serde(default)]
        context: Labels,
    }
    let it: Input = read(input)?;
    Ok(Question {
        principal: it.principal.into(),
        action: it.action,
        target: it.target.into(),
        context: it.context.into(),
    })
}

/// A template, with its text or the file that holds it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateInput {
    name: String,
    source: Option<String>,
    file: Option<std::path::PathBuf>,
}

fn templates(inputs: Vec<TemplateInput>, folder: &Path) -> Result<Vec<Template>> {
    let read = |it: TemplateInput| {
        let source = match (it.source, it.file) {
            (Some(source), None) => source,
            (None, Some(file)) => std::fs::read_to_string(folder.join(&file)).map_err(|why| {
                format!("the template `{}` cannot be read: {why}", file.display())
            })?,
            _ => return Err(format!("template `{}` has either a `source` or a `file`", it.name)),
        };
        Ok(Template { name: it.name, source })
    };
    inputs.into_iter().map(read).collect()
}

/// `render`.
pub(super) fn job(input: &Value, folder: &Path) -> Result<Job> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Input {
        templates: Vec<TemplateInput>,
        #[serde(default)]
        partials: Vec<TemplateInput>,
        #[serde(default)]
        values: Json,
        #[serde(default)]
        release: Json,
        #[serde(default)]
        strict: bool,
        max_output_bytes: Option<u32>,
    }
    let it: Input = read(input)?;
    Ok(Job {
        templates: templates(it.templates, folder)?,
        partials: templates(it.partials, folder)?,
        values: it.values.0,
        release: it.release.0,
        strict: it.strict,
        max_output_bytes: it.max_output_bytes.unwrap_or(1 << 20),
    })
}

/// `check`.
pub(super) fn to_check(input: &Value, folder: &Path) -> Result<Vec<Template>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        templates: Vec<TemplateInput>,
    }
    templates(read::<Input>(input)?.templates, folder)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ScopeInput {
    platform: String,
    account: String,
    settings: Json,
    operation_id: String,
}

impl Default for ScopeInput {
    fn default() -> ScopeInput {
        ScopeInput {
            platform: "test".to_owned(),
            account: "default".to_owned(),
            settings: Json::default(),
            operation_id: first(),
        }
    }
}

impl From<ScopeInput> for Scope {
    fn from(it: ScopeInput) -> Scope {
        Scope {
            platform: it.platform,
            account: it.account,
            settings: it.settings.0,
            operation_id: it.operation_id,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AppInput {
    release: Option<String>,
    revision: Option<u32>,
    name: String,
    definition_name: Option<String>,
    group: Option<String>,
    version: Option<String>,
    resource: Option<String>,
    artifact: Option<ArtifactInput>,
    #[serde(default)]
    application_properties: Labels,
    #[serde(default)]
    deployment_properties: Labels,
    count: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ArtifactInput {
    uri: String,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    file_name: String,
}

impl From<AppInput> for App {
    fn from(it: AppInput) -> App {
        let revision = it.revision.unwrap_or(1);
        let release = it.release.unwrap_or_else(|| "release".to_owned());
        App {
            definition_name: it
                .definition_name
                .unwrap_or_else(|| format!("{}-v{revision}", it.name)),
            group: it.group.unwrap_or_else(|| release.clone()),
            resource: it.resource.unwrap_or_default(),
            artifact: it.artifact.map(|it| Artifact {
                sha256: match it.uri.strip_prefix("sha256:") {
                    Some(digest) if it.sha256.is_empty() => digest.to_owned(),
                    _ => it.sha256,
                },
                uri: it.uri,
                size: it.size,
                file_name: it.file_name,
            }),
            release,
            revision,
            name: it.name,
            version: it.version,
            application_properties: it.application_properties.into(),
            deployment_properties: it.deployment_properties.into(),
            count: it.count.unwrap_or(1),
        }
    }
}

/// What the calls of a deployer are given; each takes what it needs.
pub(super) struct Deployment {
    pub(super) scope: Scope,
    apps: Vec<App>,
    handles: Vec<String>,
    pub(super) count: u32,
    pub(super) instance: Option<String>,
    pub(super) cursor: Option<String>,
    pub(super) limit_bytes: u32,
}

/// The calls of deployers.
pub(super) fn deployment(input: &Value) -> Result<Deployment> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Input {
        #[serde(default)]
        scope: ScopeInput,
        app: Option<AppInput>,
        #[serde(default)]
        apps: Vec<AppInput>,
        current: Option<Json>,
        handle: Option<Json>,
        #[serde(default)]
        handles: Vec<Json>,
        count: Option<u32>,
        instance: Option<String>,
        cursor: Option<String>,
        limit_bytes: Option<u32>,
    }
    let it: Input = read(input)?;
    let handles = it.current.into_iter().chain(it.handle).chain(it.handles);
    Ok(Deployment {
        scope: it.scope.into(),
        apps: it.app.into_iter().chain(it.apps).map(App::from).collect(),
        handles: handles.map(|it| it.0).collect(),
        count: it.count.unwrap_or(1),
        instance: it.instance,
        cursor: it.cursor,
        limit_bytes: it.limit_bytes.unwrap_or(64 << 10),
    })
}

impl Deployment {
    /// All applications.
    pub(super) fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The one application.
    pub(super) fn app(&self) -> Result<&App> {
        self.apps.first().ok_or_else(|| "`input.app` is missing".to_owned())
    }

    /// All handles.
    pub(super) fn handles(&self) -> &[String] {
        &self.handles
    }

    /// The handle that there may be.
    pub(super) fn current(&self) -> Option<&str> {
        self.handles.first().map(String::as_str)
    }

    /// The one handle.
    pub(super) fn handle(&self) -> Result<&str> {
        self.current().ok_or_else(|| "`input.handle` is missing".to_owned())
    }
}

fn first() -> String {
    "operation-1".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_is_filled_in() {
        let it = operation(&json!({"action": "release:install", "actor": {"id": "user:ana"}}));
        let it = it.unwrap();
        assert_eq!((it.id.as_str(), it.object.as_str(), it.dry_run), ("operation-1", "{}", false));
        assert_eq!(it.actor.kind, PrincipalKind::User);
        assert_eq!(question(&json!({"action": "x"})).unwrap().principal.id, "anonymous");
        let events = events(&json!({"events": [{"action": "a"}, {"action": "b"}]}), 7).unwrap();
        assert_eq!((events[1].sequence, events[1].at, events[1].attempt), (2, 7, 1));
        assert_eq!(events[1].id, "event-2");
        let it = deployment(&json!({"app": {"name": "web", "revision": 3}})).unwrap();
        assert_eq!(it.app().unwrap().definition_name, "web-v3");
        assert_eq!(it.handle().unwrap_err(), "`input.handle` is missing");
    }

    #[test]
    fn json_text_stays_as_it_was_written() {
        let text = r#"{"b":1.10,"a":1}"#;
        let it = operation(&json!({"action": "x", "object": text, "previous": {"z": 1}})).unwrap();
        assert_eq!(it.object, text);
        assert_eq!(it.previous.as_deref(), Some(r#"{"z":1}"#));
        let it = operation(&json!({"action": "x", "object": "no json"})).unwrap();
        assert_eq!(it.object, r#""no json""#);
    }

    #[test]
    fn labels_are_a_table_or_a_list() {
        let target = |labels: Value| {
            let it = operation(&json!({"action": "x", "target": {"labels": labels}}));
            it.unwrap().target.labels
        };
        let both = [
            types::Label { key: "b".into(), value: "1".into() },
            types::Label { key: "a".into(), value: "x".into() },
        ];
        assert_eq!(target(json!({"b": 1, "a": "x"})), both);
        let list = json!([{"key": "b", "value": "1"}, {"key": "a", "value": "x"}]);
        assert_eq!(target(list), both);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (input, part) in [
            (json!({}), "`input`: missing field `action`"),
            (json!({"action": "x", "actor": {"kind": "robot"}}), "`input.actor.kind`: unknown"),
            (json!({"action": "x", "objekt": {}}), "`input.objekt`: unknown field"),
            (json!({"action": 5}), "`input.action`: invalid type"),
        ] {
            let why = operation(&input).err().unwrap();
            assert!(why.starts_with(part), "{why}");
        }
    }

    #[test]
    fn a_template_comes_from_its_text_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.yml"), "a: {{a}}").unwrap();
        let both = json!({"templates": [
            {"name": "t.yml", "file": "t.yml"},
            {"name": "u.yml", "source": "b"},
        ]});
        let job = job(&both, folder.path()).unwrap();
        assert_eq!((&*job.templates[0].source, &*job.templates[1].source), ("a: {{a}}", "b"));
        let none = json!({"templates": [{"name": "t.yml"}]});
        assert!(to_check(&none, folder.path()).unwrap_err().contains("either a `source`"));
    }
}
