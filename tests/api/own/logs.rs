//! What applications write is read, and followed, by those who may.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chandlery::config::Config;
use chandlery_tests::{
    DryRun, EventStream, Host, HostBuilder, PATIENCE,
    dry_run::{self, app, install, upgrade},
    guest,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{problem, releases::settled};

const INSTALL: &str = "/api/package/install";
const LOGS: &str = "/api/v1/releases/mine/logs";
const FOLLOW: &str = "/api/v1/releases/mine/logs?follow=true";

/// Writes what it finds in a file of its working folder.
const REPEATS: &str = "#!/bin/sh
echo begun; echo troubled >&2
while :; do
  if [ -e say ]; then cat say; rm say; fi
  sleep 0.02
done
";

/// A server on which the release `mine` runs so many instances of that.
async fn repeating(builder: HostBuilder, count: u32) -> Host {
    let host = builder.start().await;
    host.post("/api/package/upload", &dry_run::upload("1.0.0")).await.expect(201);
    host.post("/api/v1/inventory/acme/register", &json!({ "name": "says", "version": "1" }))
        .await
        .expect(200);
    let upload = "/api/v1/inventory/acme/units/says/versions/v1/upload";
    host.upload(upload, REPEATS.as_bytes()).await.expect(200);
    let mut web = app("web", json!({}));
    web["resource"] = json!("inventory://acme/says");
    web["version"] = json!("1");
    web["applicationProperties"] = json!({ "server.port": "-1" });
    web["deploymentProperties"] = json!({
        "spring.cloud.deployer.count": count.to_string(),
        "spring.cloud.deployer.local.shutdown-timeout": "1",
    });
    host.post(INSTALL, &install("mine", &[web])).await.expect(201);
    host
}

/// The working folders of the instances, by index.
fn folders(host: &Host) -> Vec<PathBuf> {
    let all = fs::read_dir(host.data().join("work")).unwrap().flatten();
    let mut folders: Vec<PathBuf> = all.map(|it| it.path()).filter(|it| it.is_dir()).collect();
    folders.sort();
    folders
}

/// Has an instance write that, and waits until it has.
async fn say(folder: &Path, text: &str) {
    let (new, said) = (folder.join("say.new"), folder.join("say"));
    fs::write(&new, text).unwrap();
    fs::rename(&new, &said).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while said.exists() {
        assert!(Instant::now() < deadline, "it is said");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The next line, and the id that came with it.
async fn line(stream: &mut EventStream) -> (Value, Option<String>) {
    let block = stream.event().await.expect("the stream goes on");
    assert_eq!(block.event, None, "{block:?}");
    (block.json(), block.id)
}

async fn lines(stream: &mut EventStream, how_many: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..how_many {
        let (line, _) = line(stream).await;
        lines.push(line["line"].as_str().unwrap().to_owned());
    }
    lines
}

async fn reason_of_end(stream: &mut EventStream) -> String {
    loop {
        let block = stream.event().await.expect("the end is told");
        if block.event.as_deref() == Some("end") {
            assert_eq!(stream.block().await, None, "nothing comes after the end");
            return block.json()["reason"].as_str().unwrap().to_owned();
        }
    }
}

fn dry(log: &str) -> Value {
    app("web", json!({ "log": log }))
}

#[tokio::test]
async fn the_last_lines_are_told_by_application_instance_and_output() {
    let says = json!({ "log": "1\n\n<b>\u{e9}</b>\r\n4" });
    let host = DryRun { account: says, ..DryRun::default() }.host().await;
    let two = [app("web", json!({})), app("db", json!({}))];
    host.post(INSTALL, &install("mine", &two)).await.expect(201);

    let log = |app: &str, lines: &[&str]| {
        let id = format!("mine.{app}-v1");
        json!({ "app": app, "deployment_id": id, "instance": format!("{id}-0"),
            "output": "stdout", "lines": lines })
    };
    let [web, db] = ["web", "db"].map(|it| log(it, &["1", "", "<b>\u{e9}</b>", "4"]));
    let of = async |query: &str| host.get(&format!("{LOGS}?{query}")).await.expect(200).json();
    assert_eq!(of("").await, json!({ "logs": [web, db] }));
    assert_eq!(of("tail=1&app=web").await, json!({ "logs": [log("web", &["4"])] }));
    assert_eq!(of("app=mine.db-v1").await, json!({ "logs": [db] }));
    assert_eq!(of("app=db&app=web&instance=mine.web-v1-0").await, json!({ "logs": [web] }));
    assert_eq!(of("tail=0&app=db").await["logs"][0]["lines"], json!([]));

    let text = async |query: &str| {
        let answer = host.stream_as(&format!("{LOGS}?{query}"), "text/plain").await.answer().await;
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        answer.expect(200).text().to_owned()
    };
    assert_eq!(text("app=web&tail=2").await, "mine.web-v1-0 | <b>\u{e9}</b>\nmine.web-v1-0 | 4\n");
    assert_eq!(text("instance=mine.db-v1-0").await, "1\n\n<b>\u{e9}</b>\n4\n");
}

#[tokio::test]
async fn what_is_asked_for_and_makes_no_sense_is_said() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[dry("x")])).await.expect(201);
    for (query, field) in [
        ("follow=yes", "follow"),
        ("tail=-1", "tail"),
        ("tail=10001", "tail"),
        ("tail=", "tail"),
        ("tail=1&tail=2", "tail"),
        ("app=other", "app"),
        ("instance=mine.web-v1-1", "instance"),
        ("after=x", "after"),
        ("follow=true&after=x", "after"),
        ("lines=5", "lines"),
    ] {
        let body = problem(host.get(&format!("{LOGS}?{query}")).await, 400, "invalid");
        assert_eq!(body["field"], field, "{query}: {body}");
    }
    let body = problem(host.get(&format!("{LOGS}?app=other")).await, 400, "invalid");
    assert_eq!(body["detail"], "no application `other` runs; these do: `web`");
    let bad = host.stream_after(FOLLOW, "yesterday").await.answer().await;
    assert_eq!(problem(bad, 400, "invalid")["field"], "Last-Event-ID");
    problem(host.get("/api/v1/releases/none/logs").await, 404, "not-found");
    problem(host.get("/api/v1/releases/none/logs?follow=true").await, 404, "not-found");
    problem(host.delete(LOGS).await, 405, "method");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_a_conflict_and_no_empty_stream() {
    let host = DryRun::default().host().await;
    let web = app("web", json!({ "logs.fails": "permanent", "logs.message": "no logs today" }));
    host.post(INSTALL, &install("mine", &[web])).await.expect(201);
    for path in [LOGS, FOLLOW] {
        let body = problem(host.get(path).await, 409, "conflict");
        assert!(body["detail"].as_str().unwrap().contains("no logs today"), "{body}");
    }
}

#[tokio::test]
async fn lines_are_followed_as_they_come_and_whoever_comes_back_misses_none() {
    let host = repeating(Host::builder(), 1).await;
    let folder = folders(&host).remove(0);
    let mut stream = host.stream(FOLLOW).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-store");
    let mut first = lines(&mut stream, 2).await;
    first.sort();
    assert_eq!(first, ["begun", "troubled"]);

    let many: Vec<String> = (0..600).map(|it| format!("line {it}")).collect();
    say(&folder, &format!("{}\n", many.join("\n"))).await;
    let mut last = String::new();
    for expected in &many[..300] {
        let (line, id) = line(&mut stream).await;
        assert_eq!(
            line,
            json!({ "app": "web", "deployment_id": "mine.web-v1", "instance": "mine.web-v1-0",
                "output": "stdout", "line": expected })
        );
        last = id.expect("so few places are short");
    }
    drop(stream);
    say(&folder, "after that\n").await;

    // As often as one likes, from the middle of a piece.
    for path in [FOLLOW.to_owned(), format!("{FOLLOW}&after={last}")] {
        let mut again = match path.contains("after") {
            true => host.stream(&path).await,
            false => host.stream_after(&path, &last).await,
        };
        assert_eq!(lines(&mut again, 299).await, many[300..599]);
        let (line_599, id) = line(&mut again).await;
        assert_eq!(line_599["line"], many[599]);
        assert_eq!(lines(&mut again, 1).await, ["after that"]);
        let mut at_end = host.stream_after(FOLLOW, &id.unwrap()).await;
        assert_eq!(lines(&mut at_end, 1).await, ["after that"]);
    }
    let mut now = host.stream_after(FOLLOW, &last).await;
    lines(&mut now, 301).await;
    say(&folder, "and more\n").await;
    assert_eq!(lines(&mut now, 1).await, ["and more"]);
    host.delete("/api/release/mine").await.expect(200);
}

#[tokio::test]
async fn a_place_is_still_one_after_the_server_was_started_again() {
    let host = repeating(Host::builder(), 1).await;
    let folder = folders(&host).remove(0);
    let mut stream = host.stream(&format!("{FOLLOW}&tail=0")).await;
    say(&folder, "one\ntwo\n").await;
    let id = loop {
        let (line, id) = line(&mut stream).await;
        if line["line"] == "one" {
            break id;
        }
    };
    drop(stream);
    let host = host.restart().await;
    say(&folder, "three\n").await;
    let mut stream = host.stream_after(FOLLOW, &id.unwrap()).await;
    assert_eq!(lines(&mut stream, 2).await, ["two", "three"]);
    host.delete("/api/release/mine").await.expect(200);
}

#[tokio::test]
async fn plain_text_is_followed_with_the_instances_or_of_one_without() {
    let host = repeating(Host::builder(), 2).await;
    let folders = folders(&host);
    let one = format!("{FOLLOW}&tail=0&instance=mine.web-v1-1");
    let mut one = host.stream_as(&one, "text/plain").await;
    let mut both = host.stream_as(&format!("{FOLLOW}&tail=0"), "text/plain").await;
    assert_eq!(both.headers["content-type"], "text/plain; charset=utf-8");
    let mut seen = Vec::new();
    for (index, folder) in folders.iter().enumerate() {
        say(folder, &format!("I am {index}\n")).await;
        loop {
            let line = both.line().await.unwrap();
            // The first lines may be newer than the stream.
            if line.contains("I am") {
                seen.push(line);
                break;
            }
        }
    }
    assert_eq!(seen, ["mine.web-v1-0 | I am 0", "mine.web-v1-1 | I am 1"]);
    loop {
        match one.line().await.unwrap().as_str() {
            "I am 1" => break,
            line => assert!(["begun", "troubled"].contains(&line), "{line}"),
        }
    }
    host.delete("/api/release/mine").await.expect(200);
    while one.line().await.is_some() {}
}

#[tokio::test]
async fn a_follower_goes_along_with_an_upgrade_and_ends_with_the_release() {
    let host = DryRun::default().host().await;
    host.post(INSTALL, &install("mine", &[dry("first")])).await.expect(201);
    let mut stream = host.stream(FOLLOW).await;
    assert_eq!(lines(&mut stream, 1).await, ["first"]);

    host.post("/api/release/upgrade", &upgrade("mine", &[dry("second")])).await.expect(201);
    let (second, _) = line(&mut stream).await;
    assert_eq!((&second["line"], &second["instance"]), (&"second".into(), &"mine.web-v2-0".into()));
    settled(&host, "mine").await;

    host.delete("/api/release/mine").await.expect(200);
    assert_eq!(reason_of_end(&mut stream).await, "the release is deleted");
    let mut late = host.stream(FOLLOW).await;
    assert_eq!(reason_of_end(&mut late).await, "the release is deleted");
    assert_eq!(host.get(LOGS).await.expect(200).json(), json!({ "logs": [] }));
}

#[tokio::test]
async fn the_policy_decides_who_may_follow_and_for_how_long() {
    let often = |it: &mut Config| it.events.heartbeat_ms = 100;
    let dry_run = DryRun::default();
    let host = dry_run.host_set(dry_run.bindings(), often).await;
    host.post(INSTALL, &install("mine", &[dry("x")])).await.expect(201);
    let mut stream = host.stream(FOLLOW).await;
    lines(&mut stream, 1).await;

    let mut bindings = dry_run.bindings();
    bindings[0] = guest::deny_action("release:logs");
    host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());
    problem(host.get(LOGS).await, 403, "denied");
    problem(host.get(FOLLOW).await, 403, "denied");
    assert_eq!(reason_of_end(&mut stream).await, "it may not be followed any more");
}

#[tokio::test]
async fn there_are_no_more_followers_than_the_settings_allow_and_all_end_with_the_server() {
    let dry_run = DryRun::default();
    let one = |it: &mut Config| it.releases.log_followers_max = 1;
    let host = dry_run.host_set(dry_run.bindings(), one).await;
    host.post(INSTALL, &install("mine", &[dry("x")])).await.expect(201);
    let first = host.stream(FOLLOW).await;
    let refused = host.get(FOLLOW).await;
    assert_eq!(refused.header("retry-after"), "5");
    problem(refused, 503, "busy");
    host.get(LOGS).await.expect(200);
    drop(first);

    let mut stream = host.stream(FOLLOW).await;
    lines(&mut stream, 1).await;
    host.stop().await;
    assert_eq!(reason_of_end(&mut stream).await, "the server is stopping");
}
