//! Puts values in the place of `${their.names}`.

use chandlery_sdk::{
    log,
    renderer::{self, Diagnostic, Job, Lifecycle, Output, Renderer, Template},
};
use serde_json::Value;

struct Plugin;

impl Lifecycle for Plugin {
    fn check_settings(_settings: String) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn configure(_settings: String) -> Result<(), String> {
        log::panics();
        Ok(())
    }
}

impl Renderer for Plugin {
    fn render(job: Job) -> Result<Vec<Output>, Vec<Diagnostic>> {
        let values: Value = serde_json::from_str(&job.values)
            .map_err(|it| vec![Diagnostic::error("values", "values", it.to_string())])?;
        let mut outputs = Vec::new();
        let mut findings = Vec::new();
        for template in &job.templates {
            match text(template, &values, job.strict) {
                Ok(text) => {
                    let name = template.name.clone();
                    outputs.push(Output { name, text, findings: Vec::new() });
                }
                Err(found) => findings.extend(found),
            }
        }
        // All or nothing: every finding at once.
        if findings.is_empty() { Ok(outputs) } else { Err(findings) }
    }

    // The server does not call it yet.
    fn check(_templates: Vec<Template>) -> Vec<Diagnostic> {
        Vec::new()
    }
}

fn text(template: &Template, values: &Value, strict: bool) -> Result<String, Vec<Diagnostic>> {
    let mut text = String::new();
    let mut findings = Vec::new();
    for (index, line) in template.source.split_inclusive('\n').enumerate() {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            let column = (line.len() - rest.len() + before.len()) as u32 + 1;
            text.push_str(before);
            match value(values, name) {
                Some(Value::String(it)) => text.push_str(it),
                Some(it) => text.push_str(&it.to_string()),
                None if strict => findings.push(
                    Diagnostic::error("value", &template.name, format!("there is no `{name}`"))
                        .at(index as u32 + 1, column),
                ),
                None => {}
            }
            rest = after;
        }
        text.push_str(rest);
    }
    if findings.is_empty() { Ok(text) } else { Err(findings) }
}

/// `web.port` is the member `port` of `web`.
fn value<'a>(values: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(values, |it, part| it.get(part))
}

renderer::export!(Plugin);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_reach_into_tables() {
        let values = json!({"web": {"port": 80}});
        assert_eq!(value(&values, "web.port"), Some(&json!(80)));
        assert_eq!(value(&values, "web.host"), None);
    }
}
