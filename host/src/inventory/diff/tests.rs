use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DIFF_BYTES_MAX, Diff, between};
use crate::inventory::{decode, dependencies::kept, metadata::ReleaseMetadata, wire};

fn release(fields: &Value) -> ReleaseMetadata {
    let mut release = json!({ "name": "app", "version": "1" });
    for (name, value) in fields.as_object().unwrap() {
        release[name] = value.clone();
    }
    let release = decode::metadata(release.to_string().as_bytes()).unwrap();
    // As the store keeps it.
    kept(&wire::json_line(&release)).unwrap()
}

fn diff(old: &Value, new: &Value) -> Diff {
    between(&release(old), &release(new)).unwrap()
}

/// Checks all changes, each as `path = previous -> new`, in their order.
#[track_caller]
fn check(old: Value, new: Value, expected: &[&str]) {
    let mut changes = Vec::new();
    for (field, by_kind) in diff(&old, &new) {
        for (kind, list) in by_kind {
            assert!(!list.is_empty());
            for it in list {
                assert_eq!(it.path[0], field);
                assert_eq!((it.added, it.removed), (kind == "add", kind == "remove"));
                let path = it.path.concat();
                changes.push(match kind {
                    "change" => format!("{path} = {} -> {}", it.previous_value, it.new_value),
                    "add" => format!("{path} + {}", it.new_value),
                    "remove" => format!("{path} - {}", it.previous_value),
                    other => panic!("{other}"),
                });
                let absent = match kind {
                    "add" => it.previous_value,
                    "remove" => it.new_value,
                    _ => Value::Null,
                };
                assert_eq!(absent, Value::Null);
            }
        }
    }
    assert_eq!(changes, expected, "{old} {new}");
}

#[test]
fn equal_releases_differ_in_nothing() {
    check(json!({}), json!({}), &[]);
    let full = json!({ "inputs": [{ "id": "a", "default": [1, { "b": null }] }] });
    check(full.clone(), full, &[]);
}

#[test]
fn a_change_is_written_as_the_original_writes_it() {
    let changes = diff(&json!({ "version": "0.0.1" }), &json!({ "version": "0.0.2" }));
    assert_eq!(
        String::from_utf8(wire::json_line(&changes)).unwrap(),
        "{\"Version\":{\"change\":[{\"Path\":[\"Version\"],\"PreviousValue\":\"0.0.1\",\
         \"NewValue\":\"0.0.2\",\"Added\":false,\"Removed\":false}]}}\n"
    );
    assert_eq!(wire::json_line(&diff(&json!({}), &json!({}))), b"{}\n");
}

#[test]
fn each_text_of_a_release_has_its_name() {
    for (field, name) in [
        ("built_with_core_version", "BuiltWithCoreVersion"),
        ("built_with_escape_version", "BuiltWithEscapeVersion"),
        ("description", "Description"),
        ("license", "License"),
        ("logo", "Logo"),
        ("name", "Name"),
        ("repository", "Repository"),
        ("branch", "Branch"),
        ("git_revision", "Revision"),
        ("revision_message", "RevisionMessage"),
        ("revision_author", "RevisionAuthor"),
        ("version", "Version"),
        ("project", "Project"),
    ] {
        let expected = format!("{name} = \"ab\" -> \"cd\"");
        check(json!({ field: "ab" }), json!({ field: "cd" }), &[&expected]);
    }
}

#[test]
fn integers_are_texts_and_booleans_are_themselves() {
    let version = |it: i64| json!({ "api_version": it });
    check(version(14), version(15), &["ApiVersion = \"14\" -> \"15\""]);
    let input = |visible: bool| json!({ "inputs": [{ "id": "a", "visible": visible }] });
    check(input(false), input(true), &["Inputs[0].Visible = false -> true"]);
}

#[test]
fn maps_are_compared_by_key_in_order() {
    for (field, name) in
        [("files", "Files"), ("metadata", "Metadata"), ("variable_context", "VariableCtx")]
    {
        let old = json!({ "z": "1", "y": "1", "same": "1", "b": "1", "a": "1" });
        let new = json!({ "z": "2", "x": "1", "same": "1", "c": "1", "a": "2", "q\"": "" });
        let expected = [
            format!("{name} + \"c\""),
            format!("{name} + \"q\\\"\""),
            format!("{name} + \"x\""),
            format!("{name}[\"a\"] = \"1\" -> \"2\""),
            format!("{name}[\"z\"] = \"1\" -> \"2\""),
            format!("{name} - \"b\""),
            format!("{name} - \"y\""),
        ];
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check(json!({ field: old }), json!({ field: new }), &expected);
        check(json!({ field: null }), json!({ field: { "a": "" } }), &[&format!("{name} + \"a\"")]);
        check(json!({ field: null }), json!({ field: {} }), &[]);
    }
}

#[test]
fn lists_are_compared_by_place() {
    let generates = |it: Value| json!({ "generates": it });
    check(
        generates(json!(["a", "b"])),
        generates(json!(["b"])),
        &["Generates[0] = \"a\" -> \"b\"", "Generates - \"b\""],
    );
    check(
        generates(json!([])),
        generates(json!(["b", "a"])),
        &["Generates + \"b\"", "Generates + \"a\""],
    );
    check(json!({ "downloads": null }), json!({ "downloads": [] }), &[]);
}

#[test]
fn what_a_list_gains_or_loses_is_told_by_its_short_name() {
    let download = json!({
        "url": "http://a", "dest": "b", "overwrite": false, "if_not_exists": null,
        "unpack": false, "platform": "", "arch": "", "scopes": null,
    });
    for (field, name, element, short) in [
        ("consumes", "Consumes", json!({ "name": "db" }), json!("db")),
        ("provides", "Provides", json!({ "name": "db" }), json!("db")),
        ("depends", "Depends", json!({ "release_id": "p/a-v1" }), json!("p/a-v1")),
        ("extends", "Extends", json!({ "release_id": "p/a-v1" }), json!("p/a-v1")),
        ("inputs", "Inputs", json!({ "id": "in" }), json!("in")),
        ("outputs", "Outputs", json!({ "id": "out" }), json!("out")),
        ("templates", "Templates", json!({ "file": "f" }), json!("f")),
        ("templates", "Templates", json!(null), json!(null)),
        ("downloads", "Downloads", json!({ "url": "http://a", "dest": "b" }), download),
    ] {
        let (without, with) = (json!({ field: [] }), json!({ field: [element] }));
        check(without.clone(), with.clone(), &[&format!("{name} + {short}")]);
        check(with, without, &[&format!("{name} - {short}")]);
    }
}

/// Members as they are sent, each with its name in a diff.
type Members = &'static [(&'static str, &'static str)];

/// Changes one member of a thing, and checks that this is the one change.
#[track_caller]
fn check_member(make: impl Fn(Value) -> Value, member: &str, place: &str, values: [Value; 2]) {
    let [old, new] = values;
    let expected = format!("{place} = {old} -> {new}");
    check(make(json!({ member: old })), make(json!({ member: new })), &[&expected]);
}

#[test]
fn each_member_of_each_type_has_its_name() {
    let texts = || [json!("a"), json!("b")];
    let bools = || [json!(true), json!(false)];
    let within = |list: &str| {
        let list = list.to_owned();
        move |it: Value| json!({ &list: [it] })
    };
    let cases: [(&str, &str, Members, Members); 4] = [
        (
            "consumes",
            "Consumes",
            &[("name", "Name"), ("variable", "VariableName")],
            &[("skip_activate", "SkipActivate"), ("skip_deactivate", "SkipDeactivate")],
        ),
        (
            "downloads",
            "Downloads",
            &[("url", "URL"), ("dest", "Dest"), ("platform", "Platform"), ("arch", "Arch")],
            &[("overwrite", "OverwriteExistingDest"), ("unpack", "Unpack")],
        ),
        ("templates", "Templates", &[("file", "File"), ("target", "Target")], &[]),
        (
            "inputs",
            "Inputs",
            &[
                ("id", "Id"),
                ("type", "Type"),
                ("description", "Description"),
                ("friendly", "Friendly"),
            ],
            &[
                ("visible", "Visible"),
                ("sensitive", "Sensitive"),
                ("eval_before_dependencies", "EvalBeforeDependencies"),
            ],
        ),
    ];
    for (list, name, text_members, bool_members) in cases {
        for (member, its_name) in text_members {
            check_member(within(list), member, &format!("{name}[0].{its_name}"), texts());
        }
        for (member, its_name) in bool_members {
            check_member(within(list), member, &format!("{name}[0].{its_name}"), bools());
        }
        let scopes = |it: Value| json!({ list: [{ "scopes": it }] });
        check(
            scopes(json!(["build"])),
            scopes(json!(["deploy", "x"])),
            &[
                &format!("{name}[0].Scopes + \"x\""),
                &format!("{name}[0].Scopes[0] = \"build\" -> \"deploy\""),
            ],
        );
    }
    check_member(within("provides"), "name", "Provides[0].Name", texts());
    check_member(within("extends"), "release_id", "Extends[0].ReleaseId", texts());
    let if_not_exists = |it: Value| json!({ "downloads": [{ "if_not_exists": it }] });
    let added = ["Downloads[0].IfNotExists + \"f\""];
    check(if_not_exists(json!(null)), if_not_exists(json!(["f"])), &added);
    let mapping = |it: Value| json!({ "templates": [{ "mapping": it }] });
    let changed = ["Templates[0].Mapping[\"a\"] = 1 -> 2"];
    check(mapping(json!({ "a": 1 })), mapping(json!({ "a": 2 })), &changed);
}

#[test]
fn a_dependency_has_the_parts_of_its_release_id_too() {
    let depends = |it: &str| json!({ "depends": [{ "release_id": it }] });
    check(
        depends("p/lib-v1.0"),
        depends("p/lib-v1.1"),
        &[
            "Depends[0].ReleaseId = \"p/lib-v1.0\" -> \"p/lib-v1.1\"",
            "Depends[0].Version = \"1.0\" -> \"1.1\"",
        ],
    );
    check(
        depends("p/lib-v1"),
        depends("q/other-v1"),
        &[
            "Depends[0].ReleaseId = \"p/lib-v1\" -> \"q/other-v1\"",
            "Depends[0].Project = \"p\" -> \"q\"",
            "Depends[0].Name = \"lib\" -> \"other\"",
        ],
    );
    check(
        depends("p/lib:a"),
        depends("p/lib:b"),
        &["Depends[0].ReleaseId = \"p/lib:a\" -> \"p/lib:b\"", "Depends[0].Tag = \"a\" -> \"b\""],
    );
    let with = |member: &str, it: Value| json!({ "depends": [{ member: it }] });
    for (member, name) in [
        ("mapping", "Mapping"),
        ("build_mapping", "BuildMapping"),
        ("deploy_mapping", "DeployMapping"),
        ("consumes", "Consumes"),
    ] {
        let expected = format!("Depends[0].{name}[\"a\"] = \"1\" -> \"2\"");
        let (old, new) = (json!({ "a": "1" }), json!({ "a": "2" }));
        check(with(member, old.clone()), with(member, new), &[&expected]);
        let expected = format!("Depends[0].{name} + \"a\"");
        check(with(member, json!(null)), with(member, old), &[&expected]);
    }
    for (member, name) in [("deployment_name", "DeploymentName"), ("variable", "VariableName")] {
        let expected = format!("Depends[0].{name} = \"a\" -> \"b\"");
        check(with(member, json!("a")), with(member, json!("b")), &[&expected]);
    }
    let scopes = ["Depends[0].Scopes - \"deploy\""];
    let (old, new) = (json!(["build", "deploy"]), json!(["build"]));
    check(with("scopes", old), with("scopes", new), &scopes);
}

#[test]
fn errands_and_stages_are_looked_into() {
    let errand = |it: Value| json!({ "errands": { "x": it } });
    for (member, name) in [("name", "Name"), ("description", "Description"), ("script", "Script")] {
        check_member(errand, member, &format!("Errands[\"x\"].{name}"), [json!("a"), json!("b")]);
    }
    check(json!({ "errands": {} }), errand(json!({})), &["Errands + \"x\""]);
    check(errand(json!({})), json!({ "errands": null }), &["Errands - \"x\""]);
    let inputs = |it: Value| errand(json!({ "inputs": it }));
    check(
        inputs(json!([{ "id": "a" }])),
        inputs(json!([{ "id": "b" }, { "id": "c" }])),
        &["Errands[\"x\"].Inputs + \"c\"", "Errands[\"x\"].Inputs[0].Id = \"a\" -> \"b\""],
    );

    let stage = |it: Value| json!({ "stages": { "build": it } });
    for (member, name) in [("cmd", "Cmd"), ("inline", "Inline"), ("script", "RelativeScript")] {
        let place = format!("Stages[\"build\"].{name}");
        check_member(stage, member, &place, [json!("a"), json!("b")]);
    }
    let args = ["Stages[\"build\"].Args + \"y\"", "Stages[\"build\"].Args[0] = \"a\" -> \"x\""];
    check(stage(json!({ "args": ["a"] })), stage(json!({ "args": ["x", "y"] })), &args);
    check(json!({}), stage(json!({})), &["Stages + \"build\""]);
    check(stage(json!({})), json!({}), &["Stages - \"build\""]);
}

#[test]
fn what_may_be_absent_comes_and_goes_whole() {
    let run = |it: Value| json!({ "errands": { "x": { "exec_stage": it } } });
    let stage = json!({ "cmd": "a", "args": ["b"] });
    let shown = "{\"cmd\":\"a\",\"args\":[\"b\"]}";
    check(run(json!(null)), run(stage.clone()), &[&format!("Errands[\"x\"].Run + {shown}")]);
    check(run(stage.clone()), run(json!(null)), &[&format!("Errands[\"x\"].Run - {shown}")]);
    check(
        run(stage),
        run(json!({ "cmd": "c", "args": ["b"] })),
        &["Errands[\"x\"].Run.Cmd = \"a\" -> \"c\""],
    );
    let template = |it: Value| json!({ "templates": [it] });
    let shown = "{\"file\":\"f\",\"target\":\"\",\"scopes\":null,\"mapping\":null}";
    check(
        template(json!(null)),
        template(json!({ "file": "f" })),
        &[&format!("Templates[0] + {shown}")],
    );
    let errand = |it: Value| json!({ "errands": { "x": it } });
    let shown = "{\"name\":\"\",\"description\":\"\",\"script\":\"\",\"exec_stage\":null,\
                 \"inputs\":null}";
    check(errand(json!({})), errand(json!(null)), &[&format!("Errands[\"x\"] - {shown}")]);
}

#[test]
fn free_values_change_whatever_they_become() {
    let input = |it: Value| json!({ "inputs": [{ "id": "a", "default": it }] });
    let at = "Inputs[0].Default";
    let cases = [
        (json!("a"), json!("b"), vec![format!("{at} = \"a\" -> \"b\"")]),
        (json!(1), json!(2.5), vec![format!("{at} = 1 -> 2.5")]),
        (json!(1.0), json!(1), vec![]),
        (json!(true), json!(false), vec![format!("{at} = true -> false")]),
        (json!(1), json!("1"), vec![format!("{at} = 1 -> \"1\"")]),
        (json!(["s"]), json!("s"), vec![format!("{at} = [\"s\"] -> \"s\"")]),
        (json!("s"), json!(["s"]), vec![format!("{at} = \"s\" -> [\"s\"]")]),
        (json!({ "a": 1 }), json!([1]), vec![format!("{at} = {{\"a\":1}} -> [1]")]),
        (json!(null), json!("v"), vec![format!("{at} + \"v\"")]),
        (json!(["v"]), json!(null), vec![format!("{at} - [\"v\"]")]),
        (
            json!([1, "a", null]),
            json!([2, "a"]),
            vec![format!("{at}[0] = 1 -> 2"), format!("{at} - null")],
        ),
        (json!([null]), json!(["a"]), vec![format!("{at}[0] + \"a\"")]),
        (
            json!({ "a": { "b": 1 }, "c": 1 }),
            json!({ "a": { "b": 2 }, "d": 1 }),
            vec![
                format!("{at} + \"d\""),
                format!("{at}[\"a\"][\"b\"] = 1 -> 2"),
                format!("{at} - \"c\""),
            ],
        ),
    ];
    for (old, new, expected) in cases {
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check(input(old), input(new), &expected);
    }
    let items = |it: Value| json!({ "outputs": [{ "id": "a", "items": it }] });
    check(items(json!(null)), items(json!(["a", 1])), &["Outputs[0].Items + [\"a\",1]"]);
    let options = |it: Value| json!({ "inputs": [{ "id": "a", "options": it }] });
    let changed = ["Inputs[0].Options + \"b\"", "Inputs[0].Options[\"a\"] = 1 -> \"x\""];
    check(options(json!({ "a": 1 })), options(json!({ "a": "x", "b": null })), &changed);
}

#[test]
fn a_diff_has_a_size() {
    let key = "k".repeat(400_000);
    let with = |value: i64| {
        let inner: Value = (0..1000).map(|at| (at.to_string(), json!(value))).collect();
        json!({ "inputs": [{ "id": "a", "default": { &key: inner } }] })
    };
    let error = between(&release(&with(1)), &release(&with(2))).unwrap_err();
    let expected = format!("the diff is larger than the limit of {DIFF_BYTES_MAX} bytes");
    assert_eq!(error.to_string(), expected);
}

fn free() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3i64).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|it| it.into_iter().collect::<Value>()),
        ]
    })
}

/// Releases that differ a little, in all their parts.
fn some_release() -> impl Strategy<Value = ReleaseMetadata> {
    let parts = (free(), free(), "[ab]", any::<bool>(), 0..3usize, 0..3usize);
    parts.prop_map(|(one, other, text, flag, count, more)| {
        let input = json!({ "id": text, "default": one, "items": other, "visible": flag });
        release(&json!({
            "description": text,
            "metadata": { &text: "x" },
            "inputs": vec![input.clone(); count],
            "errands": { &text: { "inputs": [input], "exec_stage": if flag { json!({ "cmd": text }) } else { json!(null) } } },
            "depends": vec![json!({ "release_id": format!("ns/{text}b-v1"), "mapping": { "m": one } }); more],
            "templates": if flag { json!([{ "file": text, "mapping": { "m": other } }]) } else { json!([null]) },
            "stages": { "build": { "script": text } },
            "provides": vec![json!({ "name": text }); count],
        }))
    })
}

proptest! {
    #[test]
    fn a_release_differs_from_another_and_not_from_itself(
        one in some_release(), other in some_release(),
    ) {
        prop_assert_eq!(between(&one, &one).unwrap(), Diff::new());
        let there = between(&one, &other).unwrap();
        prop_assert_eq!(there.is_empty(), one == other);
        // Backwards the same places differ, with their sides changed.
        let back = between(&other, &one).unwrap();
        let places = |it: &Diff| {
            let all = it.values().flat_map(|it| it.values().flatten());
            let mut all: Vec<_> = all.map(|it| format!("{:?}", it.path)).collect();
            all.sort();
            all
        };
        prop_assert_eq!(places(&there), places(&back));
    }
}
