//! An upload as it is told: to Escape's web hook, and to the URLs in hooks documents.

use chandlery_sdk::hook::{Event, PrincipalKind};
use serde_json::{Map, Value, json};

/// The action that these are about.
const UPLOAD: &str = "inventory:version:upload";

/// An event, looked at.
pub(crate) enum Seen {
    /// Its object is for everybody.
    Plain,
    /// An upload; what was put beside its object is not for everybody.
    Upload(Upload),
    /// An upload, to be told to the one URL in it.
    Notice(Upload, To),
}

/// An upload without what was put beside its object.
pub(crate) struct Upload {
    object: Map<String, Value>,
    hooks: Value,
}

/// Where a notice goes.
pub(crate) struct To {
    pub(crate) kind: String,
    pub(crate) url: String,
    settings: Map<String, Value>,
}

impl Seen {
    pub(crate) fn of(event: &Event) -> Seen {
        let object = event.object.as_deref().filter(|_| event.action == UPLOAD);
        let object = object.and_then(|it| serde_json::from_str::<Map<String, Value>>(it).ok());
        let Some(mut object) = object else { return Seen::Plain };
        let hooks = object.shift_remove("hooks").unwrap_or_default();
        let to = object.shift_remove("to");
        let upload = Upload { object, hooks };
        match to {
            Some(Value::Object(settings)) => {
                let text = |name: &str| settings.get(name).and_then(Value::as_str);
                let (kind, url) = (text("type").unwrap_or_default(), text("url"));
                let (kind, url) = (kind.to_owned(), url.unwrap_or_default().to_owned());
                Seen::Notice(upload, To { kind, url, settings })
            }
            _ => Seen::Upload(upload),
        }
    }
}

impl Upload {
    /// The object as everybody may see it.
    pub(crate) fn object(&self) -> String {
        Value::Object(self.object.clone()).to_string()
    }

    /// As Escape's Inventory posts it to its web hook.
    pub(crate) fn escape(&self, event: &Event) -> String {
        let hooks = |name: &str, missing: Value| match self.hooks.get(name) {
            None | Some(Value::Null) => missing,
            Some(it) => it.clone(),
        };
        json!({
            "event": "NEW_UPLOAD",
            "project": event.target.namespace,
            "project_hooks": hooks("project_hooks", json!({})),
            "unit": event.target.name,
            "unit_hooks": hooks("unit_hooks", json!({})),
            "downstream_hooks": hooks("downstream_hooks", json!([])),
            "version": version(event),
            "release": release(event),
            "username": username(event),
        })
        .to_string()
    }

    /// For one URL of a hooks document.
    pub(crate) fn notice(&self, event: &Event, to: &To) -> String {
        match to.kind.as_str() {
            "slack" => slack(event, to),
            _ => self.build(event, to),
        }
    }

    fn build(&self, event: &Event, to: &To) -> String {
        let mut body = json!({
            "event": "NEW_UPLOAD",
            "project": event.target.namespace,
            "unit": event.target.name,
            "version": version(event),
            "release": release(event),
            "username": username(event),
        });
        for name in ["sha256", "size"] {
            body[name] = self.object.get(name).cloned().unwrap_or_default();
        }
        if let Some(downstream) = to.settings.get("downstream") {
            body["downstream"] = downstream.clone();
        }
        body.to_string()
    }
}

/// A message as Slack's incoming web hooks take it.
fn slack(event: &Event, to: &To) -> String {
    let text = |name: &str| to.settings.get(name).and_then(Value::as_str);
    let by = match username(event) {
        "" => String::new(),
        name => format!(" by {}", escaped(name)),
    };
    let of = |name: &str| to.settings.get("downstream").and_then(|it| it.get(name)?.as_str());
    let needs = match (of("project"), of("unit")) {
        (Some(project), Some(unit)) => {
            format!(", which {} depends on", escaped(&format!("{project}/{unit}")))
        }
        _ => String::new(),
    };
    let message = format!("New upload{by}: *{}*{needs}", escaped(&release(event)));
    let mut body = json!({ "text": message });
    for name in ["username", "icon_emoji"] {
        if let Some(it) = text(name) {
            body[name] = it.into();
        }
    }
    body.to_string()
}

/// Slack reads these three as its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn version(event: &Event) -> String {
    format!("v{}", event.target.version.as_deref().unwrap_or_default())
}

fn release(event: &Event) -> String {
    format!("{}/{}-{}", event.target.namespace, event.target.name, version(event))
}

/// Empty for nobody in particular.
fn username(event: &Event) -> &str {
    match event.actor.kind {
        PrincipalKind::Anonymous => "",
        _ => event.actor.id.split_once(':').map_or(&*event.actor.id, |(_, name)| name),
    }
}
