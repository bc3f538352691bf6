//! The dialect, case by case. Cases marked A are the raw column of Appendix A.

use super::{json, *};

const SEED: &str = "apiVersion: skipper.spring.io/v1\nkind: SpringCloudDeployerApplication\n\
    metadata:\n  name: log\n  type: sink\nspec:\n  resource: maven://org.springframework.cloud.\
    stream.app:log-sink-rabbit\n  version: {{version}}\n  applicationProperties:\n    \
    {{#spec.applicationProperties.entrySet}}\n    {{key}}: {{value}}\n    \
    {{/spec.applicationProperties.entrySet}}\n  deploymentProperties:\n    \
    {{#spec.deploymentProperties.entrySet}}\n    {{key}}: {{value}}\n    \
    {{/spec.deploymentProperties.entrySet}}\n";

fn render_with(
    template: &str,
    values: &str,
    change: impl FnOnce(&mut Job<'_>),
) -> Result<String, Vec<Finding>> {
    let values = json::parse(values).expect("the test's values are JSON");
    let facts = json::parse(r#"{"release": "shop", "package": {"name": "web"}}"#).unwrap();
    let mut job = Job {
        values: &values,
        facts: &facts,
        strict: true,
        escape: true,
        output_bytes_max: 4 << 20,
    };
    change(&mut job);
    let template = Template::parse(template).map_err(|it| vec![it])?;
    Renderer::new(job).render(&template)
}

fn check(template: &str, values: &str, expected: &str) {
    let rendered = render_with(template, values, |_| {});
    assert_eq!(rendered.as_deref(), Ok(expected), "{template:?} over {values}");
}

/// Checks the message of the first finding, and its place.
fn check_fails(template: &str, values: &str, message: &str, place: (u32, u32)) {
    let findings = render_with(template, values, |_| {}).expect_err(template);
    let first = &findings[0];
    assert_eq!(
        (first.message.as_str(), (first.line, first.column)),
        (message, place),
        "{template:?}"
    );
}

#[test]
fn a_template_without_tags_is_left_as_it_is() {
    for text in
        ["", "\n", "a\r\nb\r", "  {not} } a tag\n", "d: 2020-01-02\ne: {}\nel: []\n|\n  x\n"]
    {
        check(text, "{}", text);
    }
    check("a: 1\n---\nb: {{v}}\n", r#"{"v": 2}"#, "a: 1\n---\nb: 2\n"); // A: two documents
}

#[test]
fn the_seeds_template_renders_as_documented() {
    // A, golden #7.
    let head = &SEED[..SEED.find("{{version}}").unwrap()];
    let empty = format!("{head}1.2.0.RC1\n  applicationProperties:\n  deploymentProperties:\n");
    check(SEED, r#"{"version": "1.2.0.RC1"}"#, &empty);

    let values = r#"{"version": 1.10, "spec": {"applicationProperties":
        {"server.port": 8080, "b": true, "a": "x"}, "deploymentProperties": {}}}"#;
    let full = format!(
        "{head}1.10\n  applicationProperties:\n    server.port: 8080\n    b: true\n    a: x\n  \
         deploymentProperties:\n"
    );
    check(SEED, values, &full);
}

#[test]
fn what_is_missing_or_null_is_an_error_with_its_line() {
    check_fails(SEED, "{}", "No method or field with name 'version' on line 8", (8, 12));
    let null = "No key, method or field with name 'version' on line 8";
    check_fails(SEED, r#"{"version": null}"#, null, (8, 12));

    check_fails("{{a.b}}", "{}", "No method or field with name 'a' on line 1", (1, 1));
    check_fails("{{a.b}}", r#"{"a": {}}"#, "No method or field with name 'a.b' on line 1", (1, 1));
    let null = "No key, method or field with name 'a.b' on line 1";
    check_fails("{{a.b}}", r#"{"a": {"b": null}}"#, null, (1, 1));
    check_fails("{{a.b}}", r#"{"a": null}"#, null, (1, 1));
    let missing = "Missing context for compound variable 'a.b.c' on line 2. 'b' was not found.";
    check_fails("\né {{a.b.c}}", r#"{"a": {}}"#, missing, (2, 3));
    let null = "Null context for variable 'x' on line 1";
    check_fails("{{#l}}{{x}}{{/l}}", r#"{"x": 1, "l": [null]}"#, null, (1, 7));
    check_fails("{{..}}", "{}", "No method or field with name '..' on line 1", (1, 1));
}

#[test]
fn every_missing_value_is_found_once() {
    let template = "{{#l}}{{a}} {{b}}{{/l}}\n{{a}}";
    let findings = render_with(template, r#"{"l": [1, 2, 3]}"#, |_| {}).unwrap_err();
    let places = findings.iter().map(|it| (it.line, it.column)).collect::<Vec<_>>();
    assert_eq!(places, [(1, 7), (1, 13), (2, 1)]);
}

#[test]
fn a_hint_names_what_was_probably_meant() {
    let hint = |template: &str, values: &str| {
        let findings = render_with(template, values, |_| {}).unwrap_err();
        findings[0].hint.clone().unwrap()
    };
    assert_eq!(hint("{{verison}}", r#"{"version": 1, "x": 2}"#), "did you mean `version`?");
    assert_eq!(hint("{{Version}}", r#"{"version": 1}"#), "did you mean `version`?");
    assert_eq!(
        hint("{{port}}", r#"{"version": 1}"#),
        "give `port` a value in the package's values"
    );
}

#[test]
fn without_strictness_what_is_missing_is_empty() {
    for (template, values) in
        [("[{{x}}]", "{}"), ("[{{x}}]", r#"{"x": null}"#), ("[{{x.y.z}}]", r#"{"x": {}}"#)]
    {
        let rendered = render_with(template, values, |it| it.strict = false);
        assert_eq!(rendered.as_deref(), Ok("[]"), "{template} over {values}");
    }
}

#[test]
fn a_variable_is_escaped_unless_it_is_raw() {
    let values = r#"{"v": "a&b<c>'d\"e`f=g/h"}"#;
    check("a: {{v}}", values, "a: a&amp;b&lt;c&gt;&#39;d&quot;e&#x60;f&#x3D;g/h"); // A
    for raw in ["{{{v}}}", "{{&v}}", "{{& v }}", "{{{ v }}}"] {
        check(raw, values, "a&b<c>'d\"e`f=g/h");
    }
    let values = r#"{"v": "C:\\path\\new and \\d+ é ☃"}"#;
    check("\"{{{v}}}\"", values, "\"C:\\path\\new and \\d+ é ☃\""); // A
    check("{{v}}", r#"{"v": "a \"q\" b"}"#, "a &quot;q&quot; b");
    let rendered = render_with("{{v}}", r#"{"v": "<"}"#, |it| it.escape = false);
    assert_eq!(rendered.as_deref(), Ok("<"));
}

#[test]
fn sections_depend_on_their_value() {
    // A: true, false, missing, null; empty text and 0 are something.
    for (values, inside) in [
        (r#"{"f": true}"#, true),
        (r#"{"f": false}"#, false),
        ("{}", false),
        (r#"{"f": null}"#, false),
        (r#"{"f": ""}"#, true),
        (r#"{"f": 0}"#, true),
        (r#"{"f": {}}"#, true),
        (r#"{"f": [0]}"#, true),
        (r#"{"f": []}"#, false),
    ] {
        check("{{#f}}in{{/f}}", values, if inside { "in" } else { "" });
        check("{{^f}}in{{/f}}", values, if inside { "" } else { "in" });
    }
    check("{{#a.b.c}}in{{/a.b.c}}{{^a.b.c}}out{{/a.b.c}}", "{}", "out");
    check("{{^m.entrySet}}none{{/m.entrySet}}", r#"{"m": {}}"#, "none");
}

#[test]
fn a_section_over_a_value_is_entered_with_it() {
    check("{{#m}}{{x}}{{y}}{{/m}}", r#"{"m": {"x": 1}, "y": 2}"#, "12");
    check("{{#s}}<{{.}}>{{/s}}", r#"{"s": "text"}"#, "<text>");
    check("{{#n}}{{this}}{{/n}}", r#"{"n": 7}"#, "7");
    check("{{#t}}{{x}}{{/t}}", r#"{"t": true, "x": 1}"#, "1");
    let null = "No key, method or field with name 'x' on line 1";
    check_fails("{{#m}}{{x}}{{/m}}", r#"{"m": {"x": null}, "x": 1}"#, null, (1, 7));
}

#[test]
fn lists_repeat() {
    // A.
    check("{{#l}}\n- {{.}}\n{{/l}}\n", r#"{"l": ["x", "y"]}"#, "- x\n- y\n");
    check("{{#l}}{{n}} {{/l}}", r#"{"l": [{"n": 1}, {"n": 2}]}"#, "1 2 ");
    check("{{l}}", r#"{"l": ["x", "y"]}"#, "[x, y]");
    check("{{l.0}}", r#"{"l": ["x", "y"]}"#, "x");

    check("{{#l}}{{#.}}{{.}}{{/.}};{{/l}}", r#"{"l": [[1, 2], [3]]}"#, "12;3;");
    check("{{#l}}{{0}}{{/l}}", r#"{"l": [["a"], ["b"]]}"#, "ab");
    check_fails("{{l.2}}", r#"{"l": [1]}"#, "No method or field with name 'l.2' on line 1", (1, 1));
    let template = "{{#l}}{{^-first}}, {{/-first}}{{-index}}:{{.}}{{#-last}}.{{/-last}}{{/l}}";
    check(template, r#"{"l": ["a", "b", "c"]}"#, "1:a, 2:b, 3:c.");
    check("{{#l}}{{#m}}{{-index}}{{/m}}{{/l}}", r#"{"l": [{"m": {"a": 1}}]}"#, "1");
    check("{{-index}}{{-first}}", "{}", "0false");
}

#[test]
fn maps_and_lists_print_as_in_java() {
    check("{{{m}}}", r#"{"m": {"x": 1}}"#, "{x=1}"); // A
    let values = r#"{"m": {"b": [1, null, true], "a": {"c": "d"}, "e": {}, "f": []}}"#;
    check("{{{m}}}", values, "{b=[1, null, true], a={c=d}, e={}, f=[]}");
    check("{{{m.entrySet}}}", r#"{"m": {"x": 1, "y": 2}}"#, "[x=1, y=2]");
    check("{{#m.entrySet}}{{{.}}} {{/m.entrySet}}", r#"{"m": {"x": 1, "y": 2}}"#, "x=1 y=2 ");
    check("{{m}}", r#"{"m": {"x": "<"}}"#, "{x&#x3D;&lt;}");
}

#[test]
fn the_entries_of_a_map_have_keys_and_values() {
    let template = "{{#m.entrySet}}{{key}}={{value}};{{/m.entrySet}}";
    check(template, r#"{"m": {"b": 1, "a.c": 2}}"#, "b=1;a.c=2;");
    let template =
        "{{#m.entrySet}}{{key}}:{{#value.entrySet}}{{key}}{{/value.entrySet}};{{/m.entrySet}}";
    check(template, r#"{"m": {"b": {"x": 1, "y": 2}}}"#, "b:xy;");
    check("{{m.entrySet}}", r#"{"m": {"entrySet": "mine"}}"#, "mine");
    let missing = "No method or field with name 'm.keySet' on line 1";
    check_fails("{{m.keySet}}", r#"{"m": {}}"#, missing, (1, 1));
}

#[test]
fn a_name_with_dots_is_looked_for_whole_first() {
    check("{{x.y}}", r#"{"x.y": 5}"#, "5"); // A
    check("{{x.y}}", r#"{"x.y": 5, "x": {"y": 6}}"#, "5");
    check("{{#m}}{{x.y}}{{/m}}", r#"{"x.y": 5, "m": {"x": {"y": 6}}}"#, "5");
    check("{{#m}}{{x.y}}{{/m}}", r#"{"m": {}, "x": {"y": 6}}"#, "6");
    let inner = "No method or field with name 'x.z' on line 1";
    check_fails("{{#m}}{{x.z}}{{/m}}", r#"{"m": {"x": {}}, "x": {"z": 6}}"#, inner, (1, 7));
    check("{{#m}}{{this.x}}{{.x}}{{/m}}", r#"{"m": {"x": 1}}"#, "11");
    check("{{metadata.count}}", r#"{"metadata": {"count": 3}}"#, "3");
}

#[test]
fn values_have_no_java_getters() {
    check_fails(
        "{{s.length}}",
        r#"{"s": "abc"}"#,
        "No method or field with name 's.length' on line 1",
        (1, 1),
    );
    check_fails(
        "{{m.size}}",
        r#"{"m": {}}"#,
        "No method or field with name 'm.size' on line 1",
        (1, 1),
    );
}

/// Where we differ from Skipper, on purpose: it prints what YAML 1.1 made of the
/// text (`1.5`, `1000.0`, `31`, a date in words), we print the text itself. What
/// the two agree on is above the line.
#[test]
fn numbers_and_dates_print_as_they_were_written() {
    let check = |json: &str, expected: &str| {
        check("{{v}}", &format!(r#"{{"v": {json}}}"#), expected);
    };
    check("10", "10");
    check("true", "true"); // `yes`, as the host reads YAML
    check("123456789012345678901234567890", "123456789012345678901234567890");

    check("1.50", "1.50"); // Skipper: 1.5
    check("1.10", "1.10"); // Skipper: 1.1
    check("1e3", "1e3"); // Skipper: 1000.0
    check(r#""2020-01-02""#, "2020-01-02"); // Skipper: Thu Jan 02 00:00:00 UTC 2020
    check(r#""0x1F""#, "0x1F"); // Skipper: 31
    check(r#""010""#, "010"); // Skipper: 8
}

#[test]
fn lines_with_only_a_section_tag_or_a_comment_vanish() {
    check("a\n{{#t}}\nb\n{{/t}}\nc\n", r#"{"t": true}"#, "a\nb\nc\n");
    check("a\n  {{#t}}  \n  b\n\t{{/t}}\nc", r#"{"t": true}"#, "a\n  b\nc");
    check("a\r\n{{#t}}\r\nb\r\n{{/t}}\r\nc\r\n", r#"{"t": true}"#, "a\r\nb\r\nc\r\n");
    check("a\n{{#t}}\nb\n{{/t}}\nc\n", "{}", "a\nc\n");
    check("a\n{{^t}}\nb\n{{/t}}\n", "{}", "a\nb\n");
    check("a\n{{! note }}\nb\n", "{}", "a\nb\n");
    check("{{! note }}\nb\n", "{}", "b\n");
    check("a\n  {{! note }}", "{}", "a\n");
    check("a\n{{=<% %>=}}\n<%x%>", r#"{"x": 1}"#, "a\n1");
    check("{{#t}}\nb\n{{/t}}", r#"{"t": true}"#, "b\n");
    check("  {{#t}}\n b\n  {{/t}}\n", r#"{"t": true}"#, " b\n");
}

#[test]
fn tags_that_share_their_line_leave_it() {
    check("a {{#t}}\nb\n{{/t}} c\n", r#"{"t": true}"#, "a \nb\n c\n");
    check("a {{! note }}\nb", "{}", "a \nb");
    check("{{x}}\n{{x}}\n", r#"{"x": 1}"#, "1\n1\n");
    check("{{#t}} b {{/t}}\n", r#"{"t": true}"#, " b \n");
    check("{{#t}}{{#t}}\nb\n{{/t}}{{/t}}\n", r#"{"t": true}"#, "\nb\n\n");
    check("\u{a0}{{! note }}\nb", "{}", "\u{a0}\nb");
}

#[test]
fn comments_leave_nothing_whatever_they_hold() {
    check("a{{! b {{ c\n }}d", "{}", "ad");
    check("{{!}}x", "{}", "x");
}

#[test]
fn delimiters_can_be_changed_and_changed_back() {
    check("{{=<% %>=}}<%x%> {{x}} <%={{ }}=%>{{x}}", r#"{"x": 1}"#, "1 {{x}} 1");
    check("{{=| |=}}|x| |#l||.||/l|", r#"{"x": 1, "l": [2, 3]}"#, "1 23");
    check("{{=<% %>=}}<%&x%>", r#"{"x": "<"}"#, "<");
    let message = "Invalid delimiter configuration '<%'. Must be of the form {{=1 2=}} or \
                   {{=12 34=}} where 1, 2, 3 and 4 are delimiter chars. @ line 1";
    check_fails("{{=<%=}}", "{}", message, (1, 1));
    assert!(render_with("{{=<<< >=}}", "{}", |_| {}).is_err());
}

#[test]
fn what_is_not_closed_is_text_and_gets_a_warning() {
    let warnings = |source| {
        let findings = Template::parse(source).unwrap().findings;
        findings.iter().map(|it| (it.level, it.line, it.column)).collect::<Vec<_>>()
    };
    check("a {{ b", "{}", "a {{ b");
    check("a {{x} b", "{}", "a {{x} b");
    check("{{a {{x}} b", r#"{"x": 1}"#, "{{a 1 b");
    check("{{a{b}} c", "{}", "{{a{b}} c");
    check("{ {x} }", "{}", "{ {x} }");
    assert_eq!(warnings("a\n {{ b"), [(Level::Warning, 2, 2)]);
    assert_eq!(warnings("{{a {{x}} b"), [(Level::Warning, 1, 1)]);
    assert_eq!(warnings("{{x}}"), []);
}

#[test]
fn what_does_not_balance_fails_with_its_line() {
    check_fails("\n{{#a}}\n", "{}", "Section missing close tag 'a' @ line 2", (2, 1));
    check_fails("{{^a}}", "{}", "Inverted section missing close tag 'a' @ line 1", (1, 1));
    check_fails("{{/a}}", "{}", "Section close tag with no open tag 'a' @ line 1", (1, 1));
    let mismatched = "Section close tag with mismatched open tag 'b' != 'a' @ line 2";
    check_fails("{{#a}}\n{{/b}}", "{}", mismatched, (2, 1));
    let newline = "Invalid tag name: contains newline 'a\nb' @ line 2";
    check_fails("{{a\nb}}", "{}", newline, (2, 1));
    check_fails("{{{a}} b", "{}", "Invalid triple-mustache tag: {{{a}}  @ line 1", (1, 1));
    check_fails("{{}}", "{}", "Tag without a name @ line 1", (1, 1));
    check_fails("{{# }}", "{}", "Tag without a name @ line 1", (1, 1));
}

#[test]
fn a_partial_fails_where_it_is_reached() {
    check_fails("a\n{{> p}}", "{}", "Partials are not supported: 'p' on line 2", (2, 1)); // A
    check("{{#f}}{{> p}}{{/f}}ok", "{}", "ok");
}

#[test]
fn the_facts_of_the_release_do_not_hide_values() {
    check("{{-release}} {{-package.name}}", "{}", "shop web");
    check("{{-release}}", r#"{"-release": "mine"}"#, "mine");
    check("{{#release}}in{{/release}}", "{}", "");
    let missing = "No method or field with name '-namespace' on line 1";
    check_fails("{{-namespace}}", "{}", missing, (1, 1));
}

/// Templates made to take all memory or for ever (R27): each ends with an error
/// that says why, within its limit.
mod bombs {
    use super::*;

    const TEN: &str = "[0,1,2,3,4,5,6,7,8,9]";

    fn code(template: &str, values: &str) -> &'static str {
        let findings = render_with(template, values, |_| {}).expect_err("it renders");
        findings.last().unwrap().code
    }

    fn nested(depth: usize, inside: &str) -> String {
        format!("{}{inside}{}", "{{#l}}".repeat(depth), "{{/l}}".repeat(depth))
    }

    #[test]
    fn a_product_of_lists_is_stopped_by_its_output() {
        let values = format!(r#"{{"l": {TEN}}}"#);
        assert_eq!(code(&nested(5, &"x".repeat(1000)), &values), "template.too-large");
        assert_eq!(code(&nested(7, "x"), &values), "template.too-long");
    }

    #[test]
    fn a_product_of_lists_without_output_is_stopped_by_its_steps() {
        let values = format!(r#"{{"l": {TEN}, "e": ""}}"#);
        for inside in ["", "{{e}}", "{{! }}", "{{#missing}}{{/missing}}", "{{^l}}{{/l}}"] {
            assert_eq!(code(&nested(31, inside), &values), "template.too-long", "{inside}");
        }
    }

    #[test]
    fn a_product_of_entries_is_stopped_by_its_steps() {
        let template = format!(
            "{}{}",
            "{{#entrySet}}{{#value.entrySet}}".repeat(16),
            "{{/value.entrySet}}{{/entrySet}}".repeat(16)
        );
        let map = (0..50).map(|it| format!(r#""k{it}": {{"a": {{"b": 1}}, "c": {{}}}}"#));
        let values = format!("{{{}}}", map.collect::<Vec<_>>().join(","));
        assert_eq!(code(&template, &values), "template.too-long");
    }

    #[test]
    fn a_large_value_printed_often_is_stopped_by_its_output() {
        let values = format!(r#"{{"l": {TEN}, "big": "{}"}}"#, "x".repeat(500_000));
        assert_eq!(code("{{#l}}{{big}}{{/l}}", &values), "template.too-large");
        assert_eq!(
            code("{{{this}}}{{{this}}}{{#l}}{{{big}}}{{/l}}", &values),
            "template.too-large"
        );
    }

    #[test]
    fn escaping_cannot_outgrow_the_limit() {
        let values = format!(r#"{{"v": "{}"}}"#, "=".repeat(1_000_000));
        assert_eq!(code("{{v}}", &values), "template.too-large");
    }

    #[test]
    fn missing_values_in_a_product_of_lists_are_stopped_too() {
        let values = format!(r#"{{"l": {TEN}}}"#);
        let missing = (0..200).map(|it| format!("{{{{m{it}}}}}")).collect::<String>();
        assert_eq!(code(&nested(8, &missing), &values), "template.too-long");
    }

    #[test]
    fn sections_nest_so_deep_and_no_deeper() {
        check(&nested(32, "x"), r#"{"l": true}"#, "x");
        assert_eq!(code(&nested(33, "x"), r#"{"l": true}"#), "template.too-deep");
        assert_eq!(code(&"{{#l}}".repeat(100_000), "{}"), "template.too-deep");
    }

    #[test]
    fn a_long_name_is_refused() {
        assert_eq!(code(&format!("{{{{{}}}}}", "x".repeat(2000)), "{}"), "template.syntax");
    }

    #[test]
    fn tags_that_never_close_do_not_take_for_ever() {
        let source = "{{a ".repeat(200_000);
        let template = Template::parse(&source).unwrap();
        assert_eq!(template.findings.len(), FINDINGS_MAX);
        check(&source, "{}", &source);
    }

    #[test]
    fn values_nested_without_end_are_refused() {
        assert!(json::parse(&"[".repeat(1_000_000)).is_err());
        assert!(json::parse(&r#"{"a":"#.repeat(1_000_000)).is_err());
    }
}
