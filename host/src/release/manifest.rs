//! Reads a manifest: YAML documents, one for each application.
//!
//! The text is kept as it was rendered; what is read here is only what an
//! application needs to be started. Unknown keys are ignored.

use serde_json::Value;

use super::{beside, yaml};
use crate::error::{Error, Result};

/// The kinds that deployers run.
const KINDS: [&str; 2] = ["SpringCloudDeployerApplication", "SpringBootApp"];
/// The line that [`render`](super::render) puts before each template.
pub(super) const SOURCE: &str = "# Source: ";

/// Names and texts, in the manifest's order.
pub type Texts = Vec<(String, String)>;

/// An application of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The version of the document's form; empty where it says none.
    pub api_version: String,
    /// One of the kinds that deployers run.
    pub kind: String,
    /// The application's name.
    pub name: String,
    /// All of its metadata, its name among it.
    pub metadata: Texts,
    /// Where its program comes from, without its version.
    pub resource: String,
    /// The version of its program.
    pub version: Option<String>,
    /// Where more about its settings is; read by user interfaces.
    pub resource_metadata: Option<String>,
    /// Its own settings.
    pub application_properties: Texts,
    /// Settings for the deployer.
    pub deployment_properties: Texts,
}

/// Reads the applications of a manifest, beside the async threads.
pub async fn read(text: String) -> Result<Vec<Application>> {
    beside(move || applications(&text)).await
}

/// The applications of a manifest, in its order.
pub fn applications(text: &str) -> Result<Vec<Application>> {
    let documents = yaml::documents(text).map_err(|error| unreadable(text, &error))?;
    let documents: Vec<_> = documents.into_iter().filter(|it| !it.value.is_null()).collect();
    if documents.is_empty() {
        return Err(conflict("Can't parse manifest, it is empty".to_owned()));
    }
    documents.iter().map(|it| application(&it.value)).collect()
}

/// The template that a line of a manifest comes from, and the line in its output.
/// Lines count from 1.
pub fn place_of(text: &str, line: usize) -> Option<(&str, usize)> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let header = |at: usize| lines[at - 1] == "---" && lines[at].starts_with(SOURCE);
    let at = (1..lines.len()).rev().find(|&at| header(at))?;
    Some((&lines[at][SOURCE.len()..], line - (at + 1)))
}

fn application(document: &Value) -> Result<Application> {
    let Value::Object(map) = document else {
        return Err(conflict(format!(
            "Can't parse manifest, it is not a map.  Manifest = {}",
            shorten(&document.to_string())
        )));
    };
    let kind = text_of(map.get("kind")).unwrap_or_default();
    if !KINDS.contains(&kind.as_str()) {
        return Err(conflict(format!("No release manager available for '{kind}'")));
    }
    let metadata = texts("metadata", map.get("metadata"))?;
    let name = metadata.iter().find(|(key, _)| key == "name").map(|(_, it)| it.clone());
    let Some(name) = name.filter(|it| !it.is_empty()) else {
        return Err(conflict(
            "SpringCloudDeployerApplicationManifest must define a 'name' property in the metadata"
                .to_owned(),
        ));
    };
    let spec = map.get("spec").unwrap_or(&Value::Null);
    let Some(resource) = text_of(spec.get("resource")).filter(|it| !it.is_empty()) else {
        return Err(conflict(format!(
            "The manifest of application [{name}] must define a 'resource' in its spec"
        )));
    };
    Ok(Application {
        api_version: text_of(map.get("apiVersion")).unwrap_or_default(),
        kind,
        metadata,
        resource,
        version: text_of(spec.get("version")).filter(|it| !it.is_empty()),
        resource_metadata: text_of(spec.get("resourceMetadata")),
        application_properties: texts(
            "spec.applicationProperties",
            spec.get("applicationProperties"),
        )
        .map_err(|it| of(&name, it))?,
        deployment_properties: texts("spec.deploymentProperties", spec.get("deploymentProperties"))
            .map_err(|it| of(&name, it))?,
        name,
    })
}

/// A map of texts; a null in it is the empty text.
fn texts(field: &str, value: Option<&Value>) -> Result<Texts> {
    let map = match value {
        None | Some(Value::Null) => return Ok(Texts::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(conflict(format!("`{field}` must be a map"))),
    };
    map.iter()
        .map(|(key, value)| match value {
            Value::Object(_) | Value::Array(_) => Err(conflict(format!(
                "`{field}.{key}` must be a text, a number or a boolean: write nested keys with \
                 dots, as in `{key}.name: value`"
            ))),
            value => Ok((key.clone(), text_of(Some(value)).unwrap_or_default())),
        })
        .collect()
}

fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(it) => Some(it.clone()),
        Value::Number(it) => Some(it.to_string()),
        Value::Bool(it) => Some(it.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn unreadable(text: &str, error: &yaml::YamlError) -> Error {
    let message = &error.message;
    conflict(match place_of(text, error.line) {
        Some((template, line)) => format!(
            "Can't parse manifest: template `{template}` gives no YAML in its rendered line {line}, \
             column {}: {message}",
            error.column
        ),
        None => format!("Can't parse manifest: {error}"),
    })
}

fn of(application: &str, error: Error) -> Error {
    conflict(format!("Can't parse manifest of application [{application}]: {error}"))
}

fn conflict(message: String) -> Error {
    Error::Conflict(message)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\n---\n# Source: log.yml\n\
        apiVersion: skipper.spring.io/v1\n\
        kind: SpringCloudDeployerApplication\n\
        metadata:\n  name: log\n  type: sink\n\
        spec:\n  resource: maven://a:b\n  version: 1.10\n\
        \x20 applicationProperties:\n    server.port: 0\n    debug: yes\n    none:\n\
        \x20 deploymentProperties:\n";

    fn pairs(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[track_caller]
    fn message(text: &str) -> String {
        applications(text).unwrap_err().to_string()
    }

    #[test]
    fn an_application_is_read_with_its_texts_as_they_were_written() {
        let expected = Application {
            api_version: "skipper.spring.io/v1".into(),
            kind: "SpringCloudDeployerApplication".into(),
            name: "log".into(),
            metadata: pairs(&[("name", "log"), ("type", "sink")]),
            resource: "maven://a:b".into(),
            version: Some("1.10".into()),
            resource_metadata: None,
            application_properties: pairs(&[("server.port", "0"), ("debug", "true"), ("none", "")]),
            deployment_properties: Texts::new(),
        };
        assert_eq!(applications(LOG).unwrap(), [expected]);
    }

    #[test]
    fn each_document_is_an_application_and_empty_ones_are_not() {
        let text =
            format!("{LOG}\n---\n# Source: empty.yml\n{}", LOG.replace("name: log", "name: b"));
        let names: Vec<_> = applications(&text).unwrap().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["log", "b"]);
    }

    #[test]
    fn what_no_deployer_runs_is_refused() {
        assert_eq!(message(""), "Can't parse manifest, it is empty");
        assert_eq!(message("\n---\n# Source: a.yml\n"), "Can't parse manifest, it is empty");
        assert_eq!(message("[a]"), "Can't parse manifest, it is not a map.  Manifest = [\"a\"]");
        assert_eq!(
            message("kind: CloudFoundryApplication"),
            "No release manager available for 'CloudFoundryApplication'"
        );
        assert_eq!(message("a: b"), "No release manager available for ''");
        assert_eq!(
            message(&LOG.replace("name: log", "")),
            "SpringCloudDeployerApplicationManifest must define a 'name' property in the metadata"
        );
        assert_eq!(
            message(&LOG.replace("resource:", "resourse:")),
            "The manifest of application [log] must define a 'resource' in its spec"
        );
    }

    #[test]
    fn properties_must_be_texts() {
        let text = LOG.replace("debug: yes", "debug: {a: 1}");
        assert!(
            message(&text).contains("[log]: `spec.applicationProperties.debug` must be a text")
        );
        let text = LOG.replace("  deploymentProperties:\n", "  deploymentProperties: x\n");
        assert!(message(&text).ends_with("`spec.deploymentProperties` must be a map"));
    }

    #[test]
    fn a_manifest_that_is_no_yaml_names_the_template_and_its_line() {
        let text = format!("{LOG}\n---\n# Source: time.yml\nkind: x\nmore: \"a\"b\"\n");
        let message = message(&text);
        assert!(message.contains("template `time.yml`"), "{message}");
        assert!(message.contains("rendered line 2, "), "{message}");
    }

    #[test]
    fn a_line_is_found_in_its_template() {
        assert_eq!(place_of(LOG, 4), Some(("log.yml", 1)));
        assert_eq!(place_of(LOG, 1), None);
        assert_eq!(place_of("a: 1\n# Source: x\nb", 3), None);
    }
}
