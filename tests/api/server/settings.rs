//! Settings, from the outside.

use chandlery_tests::program;

#[test]
fn config_show_tells_values_and_origins() {
    let program = program!().variable("CHANDLERY_LIMITS__JSON_BYTES_MAX", "2097152");
    let file = program.settings("dev = true\n[log]\nlevel = 'warn'\n");
    let file = file.to_str().unwrap();
    let ended = program.run(&["config", "show", "--config", file, "--log-level", "debug"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    let line = |key: &str| {
        let line = ended.out.lines().find(|it| it.starts_with(key));
        line.unwrap_or_else(|| panic!("{key} is in\n{}", ended.out)).to_owned()
    };
    assert!(line("listen = \"127.0.0.1:7577\"").ends_with("# default"));
    assert!(line("dev = true").ends_with(&format!("# file {file}, line 1")));
    assert!(line("log.level = \"debug\"").ends_with("# flag --log-level"));
    assert!(
        line("limits.json_bytes_max = 2097152")
            .ends_with("# variable CHANDLERY_LIMITS__JSON_BYTES_MAX")
    );
}

#[test]
fn config_show_masks_secrets() {
    let program = program!();
    let file = program.settings(
        "[[plugins]]\nname = 'x'\n[plugins.settings]\napi_key = 'hunter2'\nurl = 'http://a:hunter2@b/'\n",
    );
    let ended = program.run(&["config", "show", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(!ended.out.contains("hunter2"), "{}", ended.out);
    assert!(ended.out.contains("plugins.0.settings.api_key = \"***\""), "{}", ended.out);
}

#[test]
fn a_mistake_in_the_settings_ends_it_with_2_and_a_sentence() {
    let program = program!();
    for (text, sentence) in [
        ("lisen = '127.0.0.1:0'\n", "`lisen` is not a setting; did you mean `listen`?"),
        ("dev = 'yes'\n", "`dev` must be `true` or `false`, not text"),
        ("[[plugins]]\nname = 'x'\n", "`plugins.0.kind`"),
        (
            "[[plugins]]\nname = 'x'\nkind = 'policy'\npath = '/nowhere/x.wasm'\n",
            "`plugins.0.path`: the component `/nowhere/x.wasm` cannot be read",
        ),
        (
            "[[plugins]]\nname = 'x'\nkind = 'policy'\nshipped = 'nothing'\n",
            "`plugins.0.shipped`: no plugin `nothing` is shipped",
        ),
        (
            "[[plugins]]\nname = 'x'\nkind = 'renderer'\nshipped = 'policy-rbac'\n",
            "the plugin `x` cannot be put to work",
        ),
        (
            "[[plugins]]\nname = 'x'\nkind = 'policy'\nshipped = 'policy-rbac'\n\
             settings = { roles = 7 }\n",
            "the plugin `x` cannot be put to work",
        ),
    ] {
        let file = program.settings(text);
        let file = file.to_str().unwrap();
        let ended = program.run(&["serve", "--listen", "127.0.0.1:0", "--config", file]);
        assert_eq!(ended.code, 2, "{text}: {}", ended.log);
        assert!(ended.log.contains(sentence), "{text}: {}", ended.log);
        assert!(ended.log.contains(file), "the place is named: {}", ended.log);
        assert!(ended.out.is_empty(), "{}", ended.out);
    }
}

#[test]
fn a_component_that_is_none_is_refused_at_the_start() {
    let program = program!();
    let path = program.settings("not a component");
    let plugins = format!("[{{name = 'x', kind = 'policy', path = {path:?}}}]");
    let program = program.variable("CHANDLERY_PLUGINS", &plugins);
    let ended = program.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, 2, "{}", ended.log);
    assert!(ended.log.contains("variable CHANDLERY_PLUGINS"), "{}", ended.log);
}

#[test]
fn a_wrong_command_line_ends_it_with_2() {
    assert_eq!(program!().run(&["serv"]).code, 2);
    assert_eq!(program!().run(&["serve", "--set", "nothing"]).code, 2);
    let version = program!().run(&["--version"]);
    assert_eq!((version.code, version.out.trim()), (0, "chandlery 0.1.0"));
}
