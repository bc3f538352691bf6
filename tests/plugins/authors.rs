//! The author's commands, from the outside.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use chandlery_tests::{Program, guest, program};

const CASES: &str = "
[[case]]
name = 'too much is refused'
input = { action = 'release:install' }
expect.deny = { code = 'quota.exceeded' }
";

/// A program with what cargo needs to know, and compiled guests of its own.
fn author() -> Program {
    let mut author = program!();
    for name in
        ["HOME", "CARGO_HOME", "RUSTUP_HOME", "CHANDLERY_WASM_TOOLCHAIN", "CARGO_NET_OFFLINE"]
    {
        if let Ok(value) = env::var(name) {
            author = author.variable(name, &value);
        }
    }
    // Where the shipped plugins are compiled: what they are made of is there already.
    let program = Path::new(env!("CARGO_BIN_EXE_chandlery-under-test"));
    let target = program.ancestors().find(|it| it.join("CACHEDIR.TAG").is_file());
    let target = target.expect("it is in a target folder").join("guests");
    author.variable("CARGO_TARGET_DIR", target.to_str().unwrap())
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

#[test]
fn the_exit_code_tells_what_became_of_the_cases() {
    let (program, folder) = (program!(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (component, cases, other) = (path("plugin.wasm"), path("cases.toml"), path("other.toml"));
    fs::write(&component, &guest::refusing_hook().component).unwrap();
    fs::write(&cases, CASES).unwrap();
    fs::write(&other, CASES.replace("quota.exceeded", "quota.low")).unwrap();

    let held = program.run(&["plugin", "test", &component, &cases]);
    assert_eq!(held.code, 0, "{held:?}");
    assert!(held.out.contains("ok    too much is refused"), "{}", held.out);
    assert!(held.out.ends_with("1 case, 0 failed\n"), "{}", held.out);

    let failed = program.run(&["plugin", "test", &component, &cases, &other]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(
        failed.out.contains(r#"deny.code: expected "quota.low", found "quota.exceeded""#),
        "{}",
        failed.out
    );

    for arguments in [
        vec!["plugin", "test", &component, "nowhere.toml"],
        vec!["plugin", "test", "nowhere.wasm", &cases],
        vec!["plugin", "test", &cases, &cases],
        vec!["plugin", "test", &component, &cases, "--only", "another"],
        vec!["plugin", "inspect", &cases],
    ] {
        let wrong = program.run(&arguments);
        assert_eq!(wrong.code, 2, "{wrong:?}");
        assert!(wrong.log.starts_with("error: "), "{wrong:?}");
    }

    let json = program.run(&["plugin", "test", &component, &other, "-o", "json"]);
    assert_eq!(json.code, 1);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json[0]["passed"], false);
    assert_eq!(json[0]["answer"]["deny"]["code"], "quota.exceeded");
    assert!(json[0]["fuel"].as_u64() > Some(0), "{json}");
}

#[test]
fn a_new_project_of_each_kind_is_built_and_holds_its_cases() {
    let author = author();
    let made = |name: &str, kind: &str| {
        let ended = author.run(&["plugin", "new", name, "--kind", kind]);
        assert_eq!(ended.code, 0, "{ended:?}");
        author.data().parent().unwrap().join(name)
    };
    // One project takes the place of all: what differs are these, and the SDK in it is
    // compiled once.
    let project = made("project", "hook");
    // The versions that the server's own plugins are built with are here already.
    fs::copy(top().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    for kind in ["hook", "after-hook", "policy", "renderer", "deployer"] {
        let other = made(&format!("a-{kind}"), kind);
        for file in ["chandlery.toml", "src/lib.rs", "cases/first.toml"] {
            fs::copy(other.join(file), project.join(file)).unwrap();
        }
        let tested = author.run(&["plugin", "test", "project"]);
        assert_eq!(tested.code, 0, "{kind}: {tested:?}");
        assert!(tested.out.contains(", 0 failed"), "{}", tested.out);
    }
    assert!(project.join("project.wasm").is_file());

    let built = author.run(&["plugin", "build", "project", "--out", "other.wasm"]);
    assert_eq!(built.code, 0, "{built:?}");
    assert!(built.out.contains("kinds        deployer"), "{}", built.out);

    // What is imported and not asked for is no component.
    let greedy = "use chandlery_sdk::{after_hook::{self, Diagnostic, Event, Lifecycle, Notifying, Outcome}, clock};
        struct Plugin;
        impl Lifecycle for Plugin {
            fn check_settings(_: String) -> Vec<Diagnostic> { Vec::new() }
            fn configure(_: String) -> Result<(), String> { Ok(()) }
        }
        impl Notifying for Plugin {
            fn deliver(events: Vec<Event>) -> Vec<Outcome> {
                events.iter().map(|_| Outcome::Retry(Some(clock::now() as u32))).collect()
            }
        }
        after_hook::export!(Plugin);";
    fs::write(project.join("src/lib.rs"), greedy).unwrap();
    fs::write(project.join("chandlery.toml"), "kinds = ['after-hook']\ndescription = 'x'").unwrap();
    let refused = author.run(&["plugin", "build", "project"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.log.contains("imports `clock`: ask for it"), "{}", refused.log);
}

#[test]
fn what_is_there_is_never_overwritten() {
    let program = program!();
    let new = |name: &str| program.run(&["plugin", "new", name, "--kind", "policy"]);
    assert_eq!(new("mine").code, 0);
    let kept = program.data().parent().unwrap().join("mine/src/lib.rs");
    fs::write(&kept, "precious").unwrap();
    let again = new("mine");
    assert_eq!(again.code, 2);
    assert!(again.log.contains("`mine` is there already"), "{}", again.log);
    assert_eq!(fs::read_to_string(kept).unwrap(), "precious");
    for name in ["../mine", "Mine", "a/b"] {
        assert_eq!(new(name).code, 2, "{name}");
    }
    let empty = program.run(&["plugin", "build"]);
    assert_eq!(empty.code, 2);
    assert!(empty.log.contains("`chandlery plugin new` makes one"), "{}", empty.log);
}

#[test]
fn the_licence_check_of_the_examples_holds_its_cases() {
    let example = top().join("examples/licence-check");
    let tested = author().run(&["plugin", "test", example.to_str().unwrap()]);
    assert_eq!(tested.code, 0, "{tested:?}");
}
