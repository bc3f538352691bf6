//! `chandlery plugin …` against a running server.

use std::path::PathBuf;

use chandlery_tests::{Program, guest::Wat, program};
use serde_json::{Value, json};

use super::{bindings::warning, plugins::saying};

/// A client of the server at that address, and a folder for components.
struct Desk {
    client: Program,
    folder: tempfile::TempDir,
}

impl Desk {
    fn of(address: std::net::SocketAddr) -> Desk {
        let client = program!().variable("CHANDLERY_SERVER", &format!("http://{address}"));
        Desk { client, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What a command prints that goes well.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let ended = self.client.run(&[&["plugin"], arguments].concat());
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.log);
        ended.out
    }

    /// The same as JSON.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// What a command says that does not.
    #[track_caller]
    fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.client.run(&[&["plugin"], arguments].concat());
        assert_eq!(ended.code, code, "{arguments:?}: {}{}", ended.out, ended.log);
        ended.log
    }
}

/// A hook with a manifest; the second version wants the clock.
fn component(version: &str) -> Vec<u8> {
    let component = match version {
        "1.0.0" => warning("one"),
        _ => {
            let guest = Wat::new("validating-hook").import("clock", "now");
            guest.on("validating#review", "(drop (call $clock-now)) (i32.const 0)").component()
        }
    };
    let capabilities = if version == "1.0.0" { json!({}) } else { json!({ "clock": "to know" }) };
    let manifest = json!({ "name": "gate", "version": version, "capabilities": capabilities });
    saying(component, &manifest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_gets_by_with_commands() {
    let program = program!();
    let server = program.serve(&[]);
    let desk = Desk::of(server.address);
    let files = ["1.0.0", "2.0.0"].map(|it| desk.file(&format!("{it}.wasm"), &component(it)));
    let added = desk.run(&["add", &files[0]]);
    assert!(added.contains("gate  1.0.0    before-hook  installed"), "{added}");
    desk.run(&["add", &files[1]]);
    let listed = desk.json(&["list"]);
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert!(names.contains(&json!("gate")) && names.contains(&json!("policy-rbac")), "{names:?}");
    assert_eq!(desk.json(&["inspect", "gate"])["version"], "2.0.0");
    let inspected = desk.run(&["inspect", "gate@2.0.0"]);
    assert!(inspected.contains("granted to nobody  to know"), "{inspected}");

    let bound = ["bind", "gate", "gate@1.0.0", "--action", "inventory:*", "--order", "-3"];
    let bound = desk.json(&bound);
    assert_eq!((&bound["state"], &bound["spec"]["order"]), (&json!("in-force"), &json!(-3)));
    let waits = desk.run(&["swap", "gate", "2.0.0"]);
    assert!(waits.contains("needs-grant: clock"), "{waits}");
    let granted = desk.json(&["grant", "gate", r#"{"clock": true}"#]);
    assert_eq!(granted["spec"]["version"], "2.0.0");
    assert_eq!(desk.json(&["rollback", "gate"])["spec"]["version"], "1.0.0");
    assert_eq!(desk.json(&["rollback", "gate", "--to", "3"])["spec"]["version"], "2.0.0");
    assert_eq!(desk.json(&["disable", "gate"])["state"], "disabled");
    assert_eq!(desk.json(&["enable", "gate"])["state"], "in-force");
    let told = desk.run(&["bindings", "gate"]);
    assert!(
        told.contains("REVISION  STATE") && told.contains("user:") || told.contains("anonymous")
    );
    let all = desk.json(&["bindings"]);
    assert_eq!(all.as_array().unwrap().len(), 4, "{all}");

    let used = desk.fail(1, &["remove", "gate@2.0.0"]);
    assert!(used.contains("is used") && used.contains("`gate`"), "{used}");
    desk.run(&["unbind", "gate"]);
    desk.run(&["remove", "gate@2.0.0"]);
    let gone = desk.fail(1, &["inspect", "gate@2.0.0"]);
    assert!(gone.contains("does not exist"), "{gone}");
    assert!(server.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_said_in_a_sentence() {
    let program = program!().variable("CHANDLERY_BASIC_AUTH_PASSWORD", "sesame");
    let server = program.serve(&[]);
    let address = server.address;
    let desk = Desk::of(address);
    let locked = desk.fail(1, &["list"]);
    assert!(locked.contains("401"), "{locked}");
    let client = program!()
        .variable("CHANDLERY_SERVER", &format!("http://{address}"))
        .variable("CHANDLERY_PASSWORD", "sesame");
    let desk = Desk { client, ..desk };
    desk.run(&["list"]);
    let rubbish = desk.file("rubbish.wasm", b"rubbish");
    assert!(desk.fail(2, &["add", &rubbish]).contains("use `--name`"));
    let refused = desk.fail(1, &["add", &rubbish, "--name", "x", "--version", "1.0.0"]);
    assert!(refused.contains("`component`: it is not WebAssembly"), "{refused}");
    assert!(desk.fail(2, &["add", "nowhere.wasm"]).contains("cannot be read"));
    assert!(desk.fail(2, &["remove", "gate"]).contains("gate@VERSION"));
    assert!(desk.fail(1, &["enable", "nobody"]).contains("does not exist"));
    assert!(desk.fail(2, &["grant", "x", "{"]).contains("--grants"));
    assert!(server.stop().success());
    assert!(desk.fail(1, &["list"]).contains("asking http://"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_a_binding_keeps_from_starting_can_be_mended() {
    let program = program!();
    let server = program.serve(&[]);
    let desk = Desk::of(server.address);
    desk.run(&["add", &desk.file("1.wasm", &component("1.0.0"))]);
    desk.run(&["bind", "gate", "gate@1.0.0", "--action", "*"]);
    assert!(server.stop().success());
    // Its component is gone, as after a disk that was restored in part.
    let objects = program.data().join("blobs/objects");
    for folder in std::fs::read_dir(objects).unwrap() {
        std::fs::remove_dir_all(folder.unwrap().path()).unwrap();
    }
    let data = program.data();
    let start = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let ended = program.run(&start);
    assert_eq!(ended.code, 2, "{}", ended.log);
    assert!(ended.log.contains("the binding `gate`"), "{}", ended.log);
    assert!(ended.log.contains("--set stored_bindings=false"), "{}", ended.log);

    let server = program.serve(&["--set", "stored_bindings=false"]);
    let desk = Desk::of(server.address);
    let all = desk.json(&["bindings"]);
    let gate = all.as_array().unwrap().iter().find(|it| it["name"] == "gate").unwrap();
    assert_eq!(gate["state"], "left-aside");
    desk.run(&["disable", "gate"]);
    assert!(server.stop().success());
    let server = program.serve(&[]);
    assert_eq!(Desk::of(server.address).json(&["bindings", "gate"])["state"], "disabled");
    assert!(server.stop().success());
}
