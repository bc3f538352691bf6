//! Renders packages' templates: the Mustache dialect that Skipper's packages are
//! written in. The rules are in `engine`; this is the glue.
//!
//! Beyond Skipper, a `-` before a name asks for a fact of the release that is
//! rendered for: `{{-release}}`, `{{-revision}}`, `{{-package.version}}`,
//! `{{-platform}}`. Settings: `escape` (default true) says whether `{{x}}` is
//! escaped for HTML; `{{{x}}}` and `{{&x}}` never are.

mod engine;
mod settings;

use std::cell::Cell;

use chandlery_sdk::renderer::{
    self, Diagnostic, Job, Lifecycle, Output, Renderer, Severity, Template,
};

use crate::{
    engine::{Finding, Level, json},
    settings::Settings,
};

/// The most that the outputs of a job come to, whatever it allows.
const OUTPUT_BYTES_MAX: u32 = 4 << 20;

thread_local! {
    static SETTINGS: Cell<Settings> = Cell::new(Settings::default());
}

struct Mustache;

impl Lifecycle for Mustache {
    fn check_settings(settings: String) -> Vec<Diagnostic> {
        let findings = Settings::read(&settings).err().unwrap_or_default();
        findings.into_iter().map(|(place, it)| diagnostic(&place, it)).collect()
    }

    fn configure(settings: String) -> Result<(), String> {
        let settings = Settings::read(&settings).map_err(|findings| {
            let messages = findings.into_iter().map(|(_, it)| it.message);
            messages.collect::<Vec<_>>().join("; ")
        })?;
        SETTINGS.set(settings);
        Ok(())
    }
}

impl Renderer for Mustache {
    fn render(job: Job) -> Result<Vec<Output>, Vec<Diagnostic>> {
        let values = read_json("values", &job.values)?;
        let facts = read_json("release", &job.release)?;
        let mut renderer = engine::Renderer::new(engine::Job {
            values: &values,
            facts: &facts,
            strict: job.strict,
            escape: SETTINGS.get().escape,
            output_bytes_max: job.max_output_bytes.min(OUTPUT_BYTES_MAX) as usize,
        });

        let mut outputs = Vec::new();
        let mut findings = Vec::new();
        for Template { name, source } in &job.templates {
            if renderer.exhausted() {
                break;
            }
            match render_one(&mut renderer, name, source) {
                Ok(output) => outputs.push(output),
                Err(more) => findings.extend(more),
            }
        }
        if findings.is_empty() { Ok(outputs) } else { Err(findings) }
    }

    fn check(templates: Vec<Template>) -> Vec<Diagnostic> {
        let check_one = |it: Template| match engine::Template::parse(&it.source) {
            Ok(template) => diagnostics(&it.name, template.findings),
            Err(finding) => vec![diagnostic(&it.name, finding)],
        };
        templates.into_iter().flat_map(check_one).collect()
    }
}

renderer::export!(Mustache);

fn render_one(
    renderer: &mut engine::Renderer<'_>,
    name: &str,
    source: &str,
) -> Result<Output, Vec<Diagnostic>> {
    let template =
        engine::Template::parse(source).map_err(|finding| vec![diagnostic(name, finding)])?;
    let text = renderer.render(&template).map_err(|findings| diagnostics(name, findings))?;
    Ok(Output { name: name.to_owned(), text, findings: diagnostics(name, template.findings) })
}

fn read_json<'a>(place: &str, text: &'a str) -> Result<json::Json<'a>, Vec<Diagnostic>> {
    json::parse(text).map_err(|why| {
        let what = format!("the {place} cannot be read: {why}");
        vec![diagnostic(place, Finding::error("template.values", what))]
    })
}

fn diagnostics(place: &str, findings: Vec<Finding>) -> Vec<Diagnostic> {
    findings.into_iter().map(|it| diagnostic(place, it)).collect()
}

fn diagnostic(place: &str, finding: Finding) -> Diagnostic {
    let Finding { level, code, message, line, column, hint } = finding;
    let severity = match level {
        Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
    };
    let (code, place) = (code.to_owned(), place.to_owned());
    Diagnostic { severity, code, message, place, line, column, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(templates: &[(&str, &str)], values: &str) -> Job {
        let template = |(name, source): &(&str, &str)| Template {
            name: name.to_string(),
            source: source.to_string(),
        };
        Job {
            templates: templates.iter().map(template).collect(),
            partials: Vec::new(),
            values: values.to_owned(),
            release: r#"{"release": "shop", "revision": 3, "package": {"name": "web"}}"#.to_owned(),
            strict: true,
            max_output_bytes: 1 << 20,
        }
    }

    #[test]
    fn all_templates_are_rendered_in_their_order() {
        let outputs = Mustache::render(job(&[("b.yml", "b: {{x}}"), ("a.yml", "a")], r#"{"x":1}"#));
        let texts = outputs.unwrap().into_iter().map(|it| (it.name, it.text)).collect::<Vec<_>>();
        assert_eq!(texts, [("b.yml".into(), "b: 1".into()), ("a.yml".into(), "a".into())]);
    }

    #[test]
    fn the_findings_of_all_templates_come_at_once() {
        let templates = [("a.yml", "{{x}}\n {{y}}"), ("b.yml", "{{#s}}"), ("c.yml", "fine")];
        let findings = Mustache::render(job(&templates, "{}")).unwrap_err();
        let places = findings.iter().map(|it| (it.place.as_str(), it.line, it.column));
        assert_eq!(places.collect::<Vec<_>>(), [("a.yml", 1, 1), ("a.yml", 2, 2), ("b.yml", 1, 1)]);
        let codes = findings.iter().map(|it| it.code.as_str()).collect::<Vec<_>>();
        assert_eq!(codes, ["template.missing-value", "template.missing-value", "template.syntax"]);
    }

    #[test]
    fn the_limit_counts_all_outputs_and_stops_the_job() {
        let mut job = job(&[("a", "12345"), ("b", "12345"), ("c", "{{x}}")], "{}");
        job.max_output_bytes = 9;
        let findings = Mustache::render(job).unwrap_err();
        assert_eq!(findings.len(), 1);
        assert_eq!(
            (findings[0].place.as_str(), findings[0].code.as_str()),
            ("b", "template.too-large")
        );
    }

    #[test]
    fn values_that_are_no_object_are_an_error() {
        for values in ["[]", "1", "null", "{"] {
            let findings = Mustache::render(job(&[("a", "x")], values)).unwrap_err();
            assert_eq!(findings[0].code, "template.values", "{values}");
        }
    }

    #[test]
    fn a_template_names_the_facts_of_its_release() {
        let outputs =
            Mustache::render(job(&[("a", "{{-release}} {{-revision}} {{-package.name}}")], "{}"));
        assert_eq!(outputs.unwrap()[0].text, "shop 3 web");
    }

    #[test]
    fn escaping_can_be_switched_off() {
        let render = || Mustache::render(job(&[("a", "{{x}}")], r#"{"x": "a=b"}"#)).unwrap();
        assert_eq!(render()[0].text, "a&#x3D;b");
        Mustache::configure(r#"{"escape": false}"#.to_owned()).unwrap();
        assert_eq!(render()[0].text, "a=b");
        assert!(
            Mustache::configure("{\"escape\": 1}".to_owned()).unwrap_err().contains("`escape`")
        );
    }

    #[test]
    fn a_check_parses_and_renders_nothing() {
        let template = |source: &str| Template { name: "t.yml".into(), source: source.into() };
        assert_eq!(Mustache::check(vec![template("{{missing}}")]), []);
        let found = Mustache::check(vec![template("{{/a}}"), template("{{ open")]);
        let severities = found.iter().map(|it| it.severity).collect::<Vec<_>>();
        assert_eq!(severities, [Severity::Error, Severity::Warning]);
    }
}
