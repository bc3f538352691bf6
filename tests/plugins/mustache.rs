//! The shipped renderer as a guest: what its native tests cannot see.

use chandlery::{
    error::{Error, Result},
    plugins::{
        renderer::{Job, Output, Template},
        types::Diagnostic,
    },
};
use chandlery_tests::Host;

async fn render(
    source: &str,
    values: &str,
) -> Result<std::result::Result<Vec<Output>, Vec<Diagnostic>>> {
    let host = Host::start().await;
    let job = Job {
        templates: vec![Template { name: "t.yml".to_owned(), source: source.to_owned() }],
        partials: Vec::new(),
        values: values.to_owned(),
        release: r#"{"release": "shop", "revision": 1}"#.to_owned(),
        strict: true,
        max_output_bytes: 4 << 20,
    };
    host.app.plugins.set().render("template-mustache", &job).await
}

fn nested(depth: usize, inside: &str) -> String {
    format!("{}{inside}{}", "{{#l}}".repeat(depth), "{{/l}}".repeat(depth))
}

#[tokio::test]
async fn the_deepest_templates_and_values_fit_a_guests_stack() {
    let values = format!(r#"{{"l": true, "v": {}1{}}}"#, "[".repeat(99), "]".repeat(99));
    let outputs = render(&nested(32, "{{-release}}: {{v}}"), &values).await.unwrap().unwrap();
    assert_eq!(outputs[0].text, format!("shop: {}1{}", "[".repeat(99), "]".repeat(99)));
}

#[tokio::test]
async fn a_template_made_to_take_all_time_or_memory_ends_with_a_finding() {
    let ten = r#"{"l": [0,1,2,3,4,5,6,7,8,9]}"#;
    let large = format!(r#"{{"l": [0,1,2,3,4,5,6,7,8,9], "v": "{}"}}"#, "=".repeat(1 << 20));
    for (template, values, code) in [
        (nested(31, ""), ten, "template.too-long"),
        (nested(31, "{{^l}}{{/l}}"), ten, "template.too-long"),
        (nested(5, &"x".repeat(1000)), ten, "template.too-large"),
        (nested(3, "{{v}}"), &large, "template.too-large"),
        ("{{#l}}".repeat(100_000), ten, "template.too-deep"),
    ] {
        match render(&template, values).await {
            Ok(Err(findings)) => assert_eq!(findings[0].code, code),
            Ok(Ok(outputs)) => panic!("{} bytes come out of it", outputs[0].text.len()),
            // A busy machine may call time before the template's own limit is reached.
            Err(Error::Plugin { message, .. }) => {
                assert!(message.contains("limit `guest_ms`"), "{message}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
