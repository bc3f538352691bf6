//! Makes a manifest of a package and its values, through the renderer in force.
//!
//! The text is the renderer's, untouched, after a line that names the template.
//! First the package's own templates, then those of its sub-packages, each with
//! its own part of the values.

use serde_json::{Value, json};

use super::{
    beside,
    manifest::SOURCE,
    model::{Package, PackageMetadata},
    values::{self, Values},
};
use crate::{
    error::{Error, Result},
    plugins::{
        Kind, PluginSet,
        renderer::{Job, Output, Template},
        types::{Diagnostic, Severity},
    },
};

/// The binding that renders a package that names no other.
pub const RENDERER: &str = "template-mustache";

/// A manifest may grow to this.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// What a template may know of the release that it is rendered for.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The release's name.
    pub release: String,
    /// The release's version.
    pub revision: u32,
    /// The platform account it goes to.
    pub platform: String,
}

/// What `package` is rendered with: `config_values`, the request's YAML, laid over its
/// own values.
pub async fn model(package: &Package, config_values: Option<&str>) -> Result<Values> {
    let (owned, config_values) = (package.clone(), config_values.map(str::to_owned));
    beside(move || values::merge(&owned, config_values.as_deref())).await
}

/// The manifest of `package` with that model.
pub async fn manifest(
    plugins: &PluginSet,
    package: &Package,
    model: &Values,
    facts: &Facts,
) -> Result<String> {
    let mut text = String::new();
    let mut waiting = vec![(package, model.clone(), renderer(package))];
    while let Some((package, model, renderer)) = waiting.pop() {
        level(plugins, renderer, package, &model, facts, &mut text).await?;
        // Taken from the end, so the first goes in last.
        for dependency in package.dependencies.iter().rev() {
            let its = dependency.metadata.renderer.as_deref().unwrap_or(renderer);
            waiting.push((dependency, part(&model, &dependency.metadata.name), its));
        }
    }
    Ok(text)
}

/// The binding that renders a package, and those of its sub-packages that name no
/// other.
pub fn renderer(package: &Package) -> &str {
    package.metadata.renderer.as_deref().unwrap_or(RENDERER)
}

/// Renders one package's own templates onto the end of `text`.
async fn level(
    plugins: &PluginSet,
    renderer: &str,
    package: &Package,
    model: &Values,
    facts: &Facts,
    text: &mut String,
) -> Result<()> {
    if package.templates.is_empty() {
        return Ok(());
    }
    let left = MANIFEST_BYTES_MAX.saturating_sub(text.len());
    let job = job(package, model, facts, left);
    let outputs = match plugins.render(renderer, &job).await {
        Ok(Ok(outputs)) => outputs,
        Ok(Err(findings)) => return Err(unrendered(package, &findings)),
        Err(Error::NotFound { .. }) => return Err(no_renderer(package, renderer, plugins)),
        Err(error) => return Err(error),
    };
    append(renderer, &job.templates, outputs, text)?;
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(Error::TooLarge { what: "manifest", limit_bytes: MANIFEST_BYTES_MAX as u64 });
    }
    Ok(())
}

fn job(package: &Package, model: &Values, facts: &Facts, left: usize) -> Job {
    let template =
        |it: &super::model::Template| Template { name: it.name.clone(), source: it.data.clone() };
    Job {
        templates: package.templates.iter().map(template).collect(),
        partials: Vec::new(),
        values: Value::Object(model.clone()).to_string(),
        release: json!({
            "release": facts.release,
            "revision": facts.revision,
            "package": { "name": package.metadata.name, "version": package.metadata.version },
            "platform": facts.platform,
        })
        .to_string(),
        strict: true,
        max_output_bytes: u32::try_from(left).unwrap_or(u32::MAX),
    }
}

/// A renderer is a guest: that it answers with each template's text, in order, is
/// checked before it is believed.
fn append(
    renderer: &str,
    templates: &[Template],
    outputs: Vec<Output>,
    text: &mut String,
) -> Result<()> {
    let names = templates.iter().map(|it| &it.name);
    if !names.eq(outputs.iter().map(|it| &it.name)) {
        return Err(Error::Plugin {
            plugin: renderer.to_owned(),
            message: "the outputs are not those of the templates that were given".to_owned(),
            source: None,
        });
    }
    for output in outputs {
        for finding in &output.findings {
            tracing::warn!(template = output.name, "rendering: {}", sentence(finding));
        }
        *text += &format!("\n---\n{SOURCE}{}\n{}", output.name, output.text);
    }
    Ok(())
}

fn no_renderer(package: &Package, renderer: &str, plugins: &PluginSet) -> Error {
    let PackageMetadata { name, version, .. } = &package.metadata;
    let there = plugins.names().into_iter().filter(|(_, kind)| *kind == Kind::Renderer);
    let there: Vec<String> = there.map(|(name, _)| name).collect();
    Error::Conflict(format!(
        "Package [{name}:{version}] is to be rendered by '{renderer}', and there is no renderer of \
         that name; there are [{}]",
        there.join(", ")
    ))
}

fn unrendered(package: &Package, findings: &[Diagnostic]) -> Error {
    let wrong: Vec<String> =
        findings.iter().filter(|it| it.severity == Severity::Error).map(sentence).collect();
    let wrong = if wrong.is_empty() { "no reason given".to_owned() } else { wrong.join("; ") };
    let metadata = &package.metadata;
    Error::Conflict(format!(
        "Could not render package [{}:{}]: {wrong}",
        metadata.name, metadata.version
    ))
}

fn sentence(finding: &Diagnostic) -> String {
    let Diagnostic { place, line, message, .. } = finding;
    match (place.as_str(), line) {
        ("", _) => message.clone(),
        (_, 0) => format!("template `{place}`: {message}"),
        _ => format!("template `{place}`, line {line}: {message}"),
    }
}

/// The values of a sub-package: what lies under its name, or none.
fn part(model: &Values, name: &str) -> Values {
    match model.get(name) {
        Some(Value::Object(values)) => values.clone(),
        _ => Values::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        let template = |name: &str| crate::release::model::Template {
            name: name.into(),
            data: format!("{name}: {{{{v}}}}"),
        };
        Package {
            metadata: PackageMetadata {
                name: "log".into(),
                version: "1.2.0".into(),
                ..PackageMetadata::default()
            },
            templates: vec![template("a.yml"), template("b.yml")],
            dependencies: Vec::new(),
            config_values: None,
            file_holders: Vec::new(),
        }
    }

    fn facts() -> Facts {
        Facts { release: "mine".into(), revision: 3, platform: "default".into() }
    }

    fn output(name: &str, text: &str) -> Output {
        Output { name: name.into(), text: text.into(), findings: Vec::new() }
    }

    fn finding(severity: Severity, place: &str, line: u32, message: &str) -> Diagnostic {
        Diagnostic {
            severity,
            code: String::new(),
            message: message.into(),
            place: place.into(),
            line,
            column: 0,
            hint: None,
        }
    }

    #[test]
    fn a_job_keeps_the_text_of_numbers_and_the_order_of_keys() {
        let model = values::merge(&package(), Some("z: 1.10\na: 010\nm: {y: on, x: 1}")).unwrap();

        let job = job(&package(), &model, &facts(), 100);

        assert_eq!(job.values, r#"{"z":1.10,"a":"010","m":{"y":true,"x":1}}"#);
        assert_eq!(
            job.release,
            r#"{"release":"mine","revision":3,"package":{"name":"log","version":"1.2.0"},"platform":"default"}"#
        );
        assert!(job.strict);
        assert_eq!(job.max_output_bytes, 100);
    }

    #[test]
    fn each_output_follows_a_line_that_names_its_template() {
        let job = job(&package(), &Values::new(), &facts(), 100);
        let mut text = String::new();

        append(
            RENDERER,
            &job.templates,
            vec![output("a.yml", "x: 1\n"), output("b.yml", "")],
            &mut text,
        )
        .unwrap();

        assert_eq!(text, "\n---\n# Source: a.yml\nx: 1\n\n---\n# Source: b.yml\n");
    }

    #[test]
    fn outputs_of_other_templates_are_not_believed() {
        let job = job(&package(), &Values::new(), &facts(), 100);
        for outputs in [
            vec![output("a.yml", "")],
            vec![output("b.yml", ""), output("a.yml", "")],
            vec![output("a.yml", ""), output("b.yml", ""), output("c.yml", "")],
        ] {
            assert!(append(RENDERER, &job.templates, outputs, &mut String::new()).is_err());
        }
    }

    #[test]
    fn a_failure_names_the_template_and_the_line() {
        let findings = [
            finding(Severity::Warning, "a.yml", 1, "odd"),
            finding(Severity::Error, "a.yml", 8, "No method or field with name 'x' on line 8"),
            finding(Severity::Error, "b.yml", 0, "broken"),
        ];
        assert_eq!(
            unrendered(&package(), &findings).to_string(),
            "Could not render package [log:1.2.0]: template `a.yml`, line 8: No method or field \
             with name 'x' on line 8; template `b.yml`: broken"
        );
    }

    #[test]
    fn a_sub_package_has_its_own_part_of_the_values() {
        let model = values::merge(&package(), Some("log: {a: 1}\ntext: b")).unwrap();
        assert_eq!(Value::Object(part(&model, "log")).to_string(), r#"{"a":1}"#);
        assert_eq!(part(&model, "text"), Values::new());
        assert_eq!(part(&model, "absent"), Values::new());
    }
}
