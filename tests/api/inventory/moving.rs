//! The script that moves data out of an Escape Inventory, which another server
//! stands in for.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::cli::Cli;

fn move_from(from: &Cli, to: &Cli, tags: &[&str]) -> Output {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let address = |it: &Cli| format!("http://{}", it.server.address);
    let mut script = Command::new("sh");
    script.arg(top.join("examples/move/from-escape.sh")).arg(address(from)).arg(address(to));
    script.args(tags).output().expect("a shell is there")
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|it| it.status.success())
}

/// Everything that the API shows of a server, without the times at which it was told.
async fn shown(cli: &Cli) -> Value {
    let mut all = json!({});
    for namespace in cli.get("/").await.expect(200).json().as_object().unwrap().keys() {
        let mut answer = cli.get(&format!("/{namespace}/")).await.expect(200).json();
        let units = answer["units"].take();
        all[namespace] = json!({ "itself": answer });
        all[namespace]["hooks"] = cli.get(&format!("/{namespace}/hooks/")).await.expect(200).json();
        for unit in units.as_object().unwrap().keys() {
            let place = format!("/{namespace}/units/{unit}");
            let mut answer = cli.get(&format!("{place}/")).await.expect(200).json();
            answer["uploaded_at"] = Value::Null;
            let versions = answer["versions"].as_array().unwrap().clone();
            let mut releases = json!({});
            for version in versions.iter().map(|it| it.as_str().unwrap()) {
                let release = cli.get(&format!("{place}/versions/v{version}/")).await;
                let package = cli.get(&format!("{place}/versions/v{version}/download")).await;
                releases[version] = json!([release.expect(200).json(), package.body]);
            }
            let tag = cli.get(&format!("{place}/versions/production/")).await.body;
            let hooks = cli.get(&format!("{place}/hooks/")).await.expect(200).json();
            all[namespace][unit] = json!([answer, releases, tag, hooks]);
        }
    }
    all
}

#[tokio::test]
async fn everything_that_the_original_shows_is_moved_and_may_be_moved_again() {
    if !(is_there("curl") && is_there("jq")) {
        println!("skipped: it takes curl and jq");
        return;
    }
    let (from, to) = (Cli::start(), Cli::start());
    for _ in 0..11 {
        from.release("_", "lib", "0.", json!([])).await;
    }
    let depends = json!([{ "release_id": "_/lib-v0.3 as it", "mapping": { "a": 1.5 } }]);
    from.release("team", "app", "", depends).await;
    let bare = json!({
        "name": "bare", "version": "1.0", "description": "Nothing <b>was</b> uploaded",
        "inputs": [{ "id": "x", "default": [1, { "y": null }] }], "downloads": null,
        "extends": [{ "release_id": "_/lib-v0.1" }], "provides": [{ "name": "web" }],
    });
    from.post("/team/register", &bare).await.expect(200);
    let tag = json!({ "release_id": "_/lib-v0.2", "tag": "production" });
    from.post("/_/units/lib/tags/", &tag).await.expect(200);
    let put = async |path: &str, body: Value| {
        let path = format!("/api/v1/inventory{path}");
        from.call("PUT", &path, "application/json", body.to_string().as_bytes()).await.expect(201);
    };
    put("/team/", json!({ "name": "team", "description": "We", "is_public": true })).await;
    put("/team/hooks/", json!({ "events": { "url": "http://127.0.0.1:9/e" } })).await;
    put("/team/units/app/hooks/", json!({ "build": { "url": "http://127.0.0.1:9/b" } })).await;

    let before = shown(&from).await;
    for _ in 0..2 {
        let moved = move_from(&from, &to, &["production", "nobody-has-it"]);
        let said = String::from_utf8_lossy(&moved.stderr);
        assert!(moved.status.success() && said.is_empty(), "{said}");
        assert_eq!(shown(&to).await, before);
    }
}

#[tokio::test]
async fn what_cannot_be_moved_is_said() {
    if !(is_there("curl") && is_there("jq")) {
        println!("skipped: it takes curl and jq");
        return;
    }
    let (from, to) = (Cli::start(), Cli::start());
    from.release("ns", "app", "", json!([])).await;
    let other = json!({ "name": "app", "version": "0", "description": "Another" });
    to.post("/ns/register", &other).await.expect(200);
    let moved = move_from(&from, &to, &[]);
    let said = String::from_utf8_lossy(&moved.stderr);
    assert!(!moved.status.success(), "{said}");
    assert!(said.contains("differs: ns/units/app/versions/v0"), "{said}");
}
