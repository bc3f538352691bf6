//! Renderers.

use chandlery::plugins::{
    Kind,
    renderer::{Job, Template},
};
use chandlery_tests::guest::{self, Wat};

use crate::runtime;

fn job(sources: &[&str]) -> Job {
    let template = |(index, source): (usize, &&str)| Template {
        name: format!("{index}.yml"),
        source: source.to_string(),
    };
    Job {
        templates: sources.iter().enumerate().map(template).collect(),
        partials: Vec::new(),
        values: "{}".into(),
        release: "{}".into(),
        strict: true,
        max_output_bytes: 1_000,
    }
}

#[tokio::test]
async fn each_template_has_its_output_under_its_name() {
    let (_host, plugins) = runtime().await;
    let set = plugins.build(vec![guest::echoing_renderer()]).await.unwrap();
    let outputs = set.render("echoing-renderer", &job(&["a: 1", "", "b: 2"])).await.unwrap();
    let outputs: Vec<_> = outputs.unwrap().into_iter().map(|it| (it.name, it.text)).collect();
    let expected = [("0.yml", "a: 1"), ("1.yml", ""), ("2.yml", "b: 2")];
    assert_eq!(outputs, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

#[tokio::test]
async fn more_output_than_the_job_allows_is_refused() {
    let (_host, plugins) = runtime().await;
    let set = plugins.build(vec![guest::echoing_renderer()]).await.unwrap();
    let error = set.render("echoing-renderer", &job(&[&"x".repeat(1_001)])).await.err().unwrap();
    assert!(error.to_string().contains("1001 bytes of output (the limit is 1000)"), "{error}");
}

#[tokio::test]
async fn outputs_that_do_not_match_the_templates_are_refused() {
    let (_host, plugins) = runtime().await;
    let silent = Wat::new("template-renderer").on("renderer#render", "(i32.const 0)");
    let silent = guest::binding("silent", Kind::Renderer, silent.component());
    let set = plugins.build(vec![silent]).await.unwrap();
    let error = set.render("silent", &job(&["a"])).await.err().unwrap();
    assert!(error.to_string().contains("0 outputs for 1 templates"), "{error}");
}

#[tokio::test]
async fn a_job_too_long_for_the_callers_thread_is_done_on_another() {
    let (_host, plugins) = runtime().await;
    // Some 200 ms of counting, and then nothing, for no templates.
    let slow = "(local $i i64)
        (loop $more
          (local.set $i (i64.add (local.get $i) (i64.const 1)))
          (br_if $more (i64.lt_u (local.get $i) (i64.const 100000000))))
        (i32.const 0)";
    let slow = Wat::new("template-renderer").on("renderer#render", slow);
    let mut slow = guest::binding("slow", Kind::Renderer, slow.component());
    slow.limits.guest_ms = Some(3);
    let set = plugins.build(vec![slow]).await.unwrap();
    assert!(set.render("slow", &job(&[])).await.unwrap().unwrap().is_empty());
}
