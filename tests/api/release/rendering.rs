//! What becomes of templates and values on the way from an upload to a manifest: the vectors
//! that were taken from the original, and where we differ from it on purpose.

use chandlery_tests::Host;
use serde_json::json;

use super::{SKIPPER, UPLOAD, bindings, failure, upload_of, zip};

const INSTALL: &str = "/api/package/install";

const VALUES: &str = r#"
q: "a&b<c>'d\"e`f=g/h"
f: {t: true, f: false, n: , e: '', z: 0}
l: [x, y]
maps: [{n: 1}, {n: 2}]
m: {x: 1}
x.y: 5
props: {server.port: 8080, b: true, a: x}
path: 'C:\path\new and \d+ é ☃'
num: {i: 10, f: 1.50, y: yes, d: 2020-01-02, e: 1e3, v: 1.10, h: 0x1F, o: 010,
  big: 123456789012345678901234567890}
"#;

/// Lines of a template, as comments of its YAML, and what becomes of them.
const LINES: [(&str, &str); 15] = [
    ("{{q}}", "a&amp;b&lt;c&gt;&#39;d&quot;e&#x60;f&#x3D;g/h"),
    ("{{{q}}} {{&q}}", "a&b<c>'d\"e`f=g/h a&b<c>'d\"e`f=g/h"),
    ("{{#f.t}}in{{/f.t}}|{{#f.f}}in{{/f.f}}|{{#f.no}}in{{/f.no}}|{{#f.n}}in{{/f.n}}", "in|||"),
    ("{{#f.e}}in{{/f.e}}|{{#f.z}}in{{/f.z}}", "in|in"),
    ("{{^f.t}}in{{/f.t}}|{{^f.f}}in{{/f.f}}|{{^f.no}}in{{/f.no}}", "|in|in"),
    ("{{#l}}- {{.}};{{/l}}", "- x;- y;"),
    ("{{#maps}}{{n}},{{/maps}}", "1,2,"),
    ("{{l}} {{l.0}}", "[x, y] x"),
    ("{{{m}}}", "{x=1}"),
    ("{{x.y}}", "5"),
    (
        "{{#props.entrySet}}{{key}}: {{value}};{{/props.entrySet}}",
        "server.port: 8080;b: true;a: x;",
    ),
    ("d: 2020-01-02 e: {} el: []", "d: 2020-01-02 e: {} el: []"),
    (r#""{{{path}}}""#, r#""C:\path\new and \d+ é ☃""#),
    ("{{num.i}} {{num.y}} {{num.big}}", "10 true 123456789012345678901234567890"),
    // The original prints what YAML makes of these: 1.5, 1.1, 1000.0, a date in words, 31
    // and 8. Here they stay as they were written.
    (
        "{{num.f}} {{num.v}} {{num.e}} {{num.d}} {{num.h}} {{num.o}}",
        "1.50 1.10 1e3 2020-01-02 0x1F 010",
    ),
];

const APPLICATION: &str =
    "kind: SpringBootApp\nmetadata: {name: web}\nspec: {resource: docker:x}\n";

/// Uploads package `log` with these templates and values, and installs it.
async fn installed(templates: &[(&str, &str)], values: &str) -> chandlery_tests::Answer {
    let host = Host::with(bindings()).await;
    let mut files = vec![
        ("log-1.0.0/package.yml".to_owned(), "name: log\nversion: 1.0.0\n"),
        ("log-1.0.0/values.yml".to_owned(), values),
    ];
    let paths = templates.iter().map(|(name, text)| (format!("log-1.0.0/templates/{name}"), *text));
    files.extend(paths);
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    host.post(UPLOAD, &upload_of(&zip(&files))).await.expect(201);
    let request = json!({
        "packageIdentifier": { "packageName": "log" },
        "installProperties": { "releaseName": "a", "platformName": "default" },
    });
    host.post(INSTALL, &request).await
}

#[tokio::test]
async fn templates_and_values_become_what_they_become_there() {
    let lines = |of: fn(&(&str, &str)) -> String| -> String {
        LINES.iter().map(|it| format!("# {}\n", of(it))).collect()
    };
    let template = format!("{APPLICATION}{}", lines(|it| it.0.to_owned()));

    let release = installed(&[("app.yml", &template)], VALUES).await.expect(201).json();

    let expected = lines(|it| it.1.to_owned());
    let expected = format!("\n---\n# Source: app.yml\n{APPLICATION}{expected}");
    assert_eq!(release["manifest"]["data"], expected);
}

#[tokio::test]
async fn documents_and_empty_templates_stay_as_they_are() {
    let second = APPLICATION.replace("web", "{{name}}");
    let two = format!("{APPLICATION}---\n{second}");

    let templates = [("a.yml", ""), ("b.yml", two.as_str())];
    let release = installed(&templates, "name: db").await.expect(201).json();

    let second = second.replace("{{name}}", "db");
    let expected =
        format!("\n---\n# Source: a.yml\n\n---\n# Source: b.yml\n{APPLICATION}---\n{second}");
    assert_eq!(release["manifest"]["data"], expected);
}

#[tokio::test]
async fn what_cannot_be_rendered_is_refused_with_its_line() {
    let eighth = |line: &str| format!("{}{line}\n", "# a line\n".repeat(7));
    for (template, values, expected) in [
        (
            eighth("v: {{version}}"),
            "",
            "template `app.yml`, line 8: No method or field with name 'version' on line 8",
        ),
        (
            eighth("v: {{version}}"),
            "version:",
            "template `app.yml`, line 8: No key, method or field with name 'version' on line 8",
        ),
        (
            "{{> p}}".to_owned(),
            "",
            "template `app.yml`, line 1: Partials are not supported: 'p' on line 1",
        ),
        (
            "{{#a}}".to_owned(),
            "",
            "template `app.yml`, line 1: Section missing close tag 'a' @ line 1",
        ),
    ] {
        let message = failure(installed(&[("app.yml", &template)], values).await, 409, SKIPPER);
        assert_eq!(message, format!("Could not render package [log:1.0.0]: {expected}"));
    }
    // What the generic template of the original's clients makes of a quote.
    let quoted = format!("{APPLICATION}more: \"{{{{{{v}}}}}}\"\n");
    let answer = installed(&[("app.yml", &quoted)], "v: 'a \"q\" b'").await;
    let message = failure(answer, 409, SKIPPER);
    let expected =
        "Can't parse manifest: template `app.yml` gives no YAML in its rendered line 4, ";
    assert!(message.starts_with(expected), "{message}");
}
