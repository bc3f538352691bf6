//! What changes is told to those who watch, once, in order, and again to those who
//! come back.

use chandlery::store::{Audit, Outcome};
use chandlery_tests::{
    Answer, DryRun, EventStream, Host,
    dry_run::{app, install, upgrade},
    guest,
};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{problem, releases::settled};

const EVENTS: &str = "/api/v1/events";
const INSTALL: &str = "/api/package/install";

async fn host() -> Host {
    Host::builder().plugins(vec![patient(guest::allow_all())]).start().await
}

fn patient(mut binding: chandlery::plugins::Binding) -> chandlery::plugins::Binding {
    binding.limits.guest_ms = Some(5_000);
    binding
}

async fn with_plugins(host: &Host, bindings: Vec<chandlery::plugins::Binding>) {
    let bindings = bindings.into_iter().map(patient).collect();
    host.app.plugins.swap(host.app.plugins.build(bindings).await.unwrap());
}

async fn register(host: &Host, namespace: &str, unit: &str, version: &str) -> Answer {
    let path = format!("/api/v1/inventory/{namespace}/register");
    host.post(&path, &json!({ "name": unit, "version": version })).await
}

/// What the next event says was done to what.
async fn next(stream: &mut EventStream) -> String {
    let event = stream.event().await.expect("the stream goes on").json();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let target = &event["target"];
    let [namespace, name, version] = ["namespace", "name", "version"].map(|it| text(&target[it]));
    format!("{} {} {namespace}/{name}/{version}", text(&event["action"]), text(&event["turn"]))
}

/// Leaves records of changes, quickly.
async fn change(host: &Host, how_many: usize, name: &str) {
    let audit = |at: usize| Audit {
        actor: "user:ana".to_owned(),
        action: "inventory:tag:set".to_owned(),
        resource: format!("tag/acme/{name}/{at}"),
        ..Audit::default()
    };
    for chunk in (0..how_many).collect::<Vec<_>>().chunks(500) {
        let writes = chunk.iter().map(|at| host.app.store.write(audit(*at), |_| Ok(())));
        join_all(writes).await.into_iter().for_each(|it| it.unwrap());
    }
}

/// The versions of all events up to the one of that version.
async fn versions_to(stream: &mut EventStream, last: usize) -> Vec<usize> {
    let mut versions = Vec::new();
    while versions.last() != Some(&last) {
        let event = stream.event().await.expect("the stream goes on").json();
        versions.push(event["target"]["version"].as_str().unwrap().parse().unwrap());
    }
    versions
}

#[tokio::test]
async fn what_changes_is_told_with_who_did_it() {
    let host = host().await;
    let mut stream = host.stream(EVENTS).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-store");

    let release = json!({ "name": "web", "version": "1.0" });
    let answer = host.as_user("ana").post("/api/v1/inventory/acme/register", &release).await;
    let request_id = answer.expect(200).header("x-request-id").to_owned();

    let block = stream.event().await.unwrap();
    let mut event = block.json();
    assert_eq!(block.id.unwrap(), event["id"].to_string());
    assert_eq!(block.event, None, "browsers give it to `onmessage`");
    assert!(event["id"].take().is_u64());
    assert!(event["at"].take().as_str().unwrap().ends_with('Z'));
    let expected = json!({
        "id": null,
        "at": null,
        "action": "inventory:version:register",
        "turn": "done",
        "target": { "kind": "version", "namespace": "acme", "name": "web", "version": "1.0" },
        "actor": "user:ana",
        "request_id": request_id,
    });
    assert_eq!(event, expected);
}

#[tokio::test]
async fn one_who_comes_back_hears_what_was_missed_and_nothing_twice() {
    let host = host().await;
    let mut stream = host.stream(EVENTS).await;
    let begin = stream.block().await.unwrap();
    assert_eq!(begin.data, None, "the place to go on from is there before any event");
    for version in ["1", "2", "3"] {
        register(&host, "acme", "web", version).await.expect(200);
    }
    let first = stream.event().await.unwrap();
    drop(stream);

    let mut again = host.stream_after(EVENTS, first.id.as_deref().unwrap()).await;
    assert_eq!(next(&mut again).await, "inventory:version:register done acme/web/2");
    assert_eq!(next(&mut again).await, "inventory:version:register done acme/web/3");
    let mut whole = host.stream_after(EVENTS, begin.id.as_deref().unwrap()).await;
    assert_eq!(next(&mut whole).await, "inventory:version:register done acme/web/1");
    let mut whole = host.stream(&format!("{EVENTS}?after=0")).await;
    assert_eq!(next(&mut whole).await, "inventory:version:register done acme/web/1");
    let url = format!("{EVENTS}?after=0");
    let mut header_wins = host.stream_after(&url, first.id.as_deref().unwrap()).await;
    assert_eq!(next(&mut header_wins).await, "inventory:version:register done acme/web/2");
}

#[tokio::test]
async fn events_outlive_the_server() {
    let host = host().await;
    let mut stream = host.stream(EVENTS).await;
    register(&host, "acme", "web", "1").await.expect(200);
    let first = stream.event().await.unwrap().id.unwrap();
    register(&host, "acme", "web", "2").await.expect(200);
    drop(stream);

    let host = host.restart().await;
    register(&host, "acme", "web", "3").await.expect(200);

    let mut stream = host.stream_after(EVENTS, &first).await;
    assert_eq!(next(&mut stream).await, "inventory:version:register done acme/web/2");
    assert_eq!(next(&mut stream).await, "inventory:version:register done acme/web/3");
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let host = host().await;
    let open = async |query: &str| host.stream(&format!("{EVENTS}?{query}")).await;
    let mut of_acme = open("namespace=acme").await;
    let mut of_two = open("namespace=acme&namespace=team").await;
    let mut of_card = open("name=card").await;
    let mut of_tags = open("action=inventory:tag:*&action=release:*").await;
    let mut of_all_four = open("namespace=team&name=card&action=inventory:version:register").await;
    register(&host, "team", "web", "1").await.expect(200);
    register(&host, "acme", "card", "2").await.expect(200);
    register(&host, "team", "card", "3").await.expect(200);
    let tag = json!({ "release_id": "acme/card-v2", "tag": "live" });
    host.post("/api/v1/inventory/acme/units/card/tags/", &tag).await.expect(200);
    register(&host, "acme", "web", "4").await.expect(200);

    let registered = |what: &str| format!("inventory:version:register done {what}");
    let tagged = "inventory:tag:set done acme/card/2";
    assert_eq!(next(&mut of_acme).await, registered("acme/card/2"));
    assert_eq!(next(&mut of_acme).await, tagged);
    assert_eq!(next(&mut of_acme).await, registered("acme/web/4"));
    for what in ["team/web/1", "acme/card/2", "team/card/3"] {
        assert_eq!(next(&mut of_two).await, registered(what));
    }
    for what in ["acme/card/2", "team/card/3"] {
        assert_eq!(next(&mut of_card).await, registered(what));
    }
    assert_eq!(next(&mut of_card).await, tagged);
    assert_eq!(next(&mut of_tags).await, tagged);
    assert_eq!(next(&mut of_all_four).await, registered("team/card/3"));
}

#[tokio::test]
async fn what_is_refused_is_no_event() {
    let host = host().await;
    let mut stream = host.stream(EVENTS).await;
    with_plugins(&host, vec![guest::deny_version("1")]).await;
    register(&host, "acme", "web", "1").await.expect(403);
    register(&host, "acme", "no name", "2").await.expect(400);
    register(&host, "acme", "web", "3").await.expect(200);
    assert_eq!(next(&mut stream).await, "inventory:version:register done acme/web/3");
}

#[tokio::test]
async fn how_an_operation_begins_and_fails_is_told() {
    let host = host().await;
    let mut stream = host.stream(EVENTS).await;
    let audit = Audit {
        action: "release:install".to_owned(),
        resource: "release//mine/3".to_owned(),
        ..Audit::default()
    };
    host.app.store.write_as(audit.clone(), Outcome::Begun, |_| Ok(())).await.unwrap();
    let failed = Outcome::Failed { why: "no room".to_owned() };
    host.app.store.write_as(audit, failed, |_| Ok(())).await.unwrap();

    assert_eq!(next(&mut stream).await, "release:install begun /mine/3");
    let event = stream.event().await.unwrap().json();
    assert_eq!((&event["turn"], &event["why"]), (&json!("failed"), &json!("no room")));
    host.app.store.verify_audit().await.unwrap();
}

/// The next event's action, turn and version, and why.
async fn told(stream: &mut EventStream) -> (String, Option<String>) {
    let event = stream.event().await.expect("the stream goes on").json();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut told =
        [&event["action"], &event["turn"], &event["target"]["version"]].map(text).join(" ");
    if let Some(became) = event["target"]["became"].as_str() {
        told += &format!(" {became}");
    }
    assert_eq!((&event["target"]["name"], &event["actor"]), (&"mine".into(), &"user:ana".into()));
    (told, event["why"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn an_operation_is_told_of_when_it_begins_and_when_it_is_done_or_has_failed() {
    let host = DryRun::default().host().await;
    let ana = host.as_user("ana");
    let mut stream = host.stream(&format!("{EVENTS}?action=release:*")).await;
    let install = |told: Value| install("mine", &[app("web", told)]);
    let to = |count: u32| json!({ "scale": [{ "name": "web", "count": count }] });
    let bad = install(json!({ "deploy.fails": "permanent", "deploy.message": "no room" }));
    ana.post(INSTALL, &bad).await.expect(409);
    ana.post(INSTALL, &install(json!({ "scale.fails": "permanent" }))).await.expect(201);
    ana.post("/api/release/scale/mine", &to(2)).await.expect(409);
    let mut second = app("web", json!({}));
    second["version"] = "2.0.0".into();
    ana.post("/api/release/upgrade", &upgrade("mine", &[second.clone()])).await.expect(201);
    settled(&host, "mine").await;
    ana.post("/api/release/scale/mine", &to(2)).await.expect(201);
    second["deploymentProperties"] =
        app("web", json!({ "deployed-after": "never" }))["deploymentProperties"].take();
    let mut third = upgrade("mine", &[second]);
    third["timeout"] = 50.into();
    ana.post("/api/release/upgrade", &third).await.expect(201);
    settled(&host, "mine").await;
    ana.delete("/api/release/mine").await.expect(200);

    let late = "Did not detect apps in replacing release as healthy after 50 ms.";
    for (expected, why) in [
        ("release:install begun 1", None),
        ("release:install failed 1", Some("no room")),
        ("release:install begun 1", None),
        ("release:install done 1", None),
        ("release:scale begun 1", None),
        ("release:scale failed 1", Some("Could not scale application [web]")),
        ("release:upgrade begun 2", None),
        ("release:upgrade done 2", None),
        ("release:upgrade done 1 retired", None),
        ("release:scale begun 2", None),
        ("release:scale done 2", None),
        ("release:upgrade begun 3", None),
        ("release:upgrade failed 3", Some(late)),
        ("release:delete begun 2", None),
        ("release:delete done 2", None),
    ] {
        let (told, because) = told(&mut stream).await;
        assert_eq!(told, expected);
        match why {
            Some(why) => {
                assert!(because.as_ref().is_some_and(|it| it.contains(why)), "{because:?}")
            }
            None => assert_eq!(because, None, "{expected}"),
        }
    }
    host.app.store.verify_audit().await.unwrap();
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_told_so() {
    let host = host().await;
    for (query, field) in [
        ("after=x", "after"),
        ("after=-1", "after"),
        ("after=", "after"),
        ("after=99999999999999999999", "after"),
        ("after=1&after=2", "after"),
        ("actoin=release:*", "actoin"),
        ("action=release:instal", "action"),
        ("action=release:*&action=relase:*", "action"),
        ("action=", "action"),
    ] {
        let answer = host.get(&format!("{EVENTS}?{query}")).await;
        let body = problem(answer, 400, "invalid");
        assert_eq!(body["field"], field, "{body}");
        assert_eq!(body["instance"], EVENTS);
        assert!(body["request_id"].is_string(), "{body}");
    }
    let answer = host.stream_after(EVENTS, "yesterday").await.answer().await;
    assert_eq!(problem(answer, 400, "invalid")["field"], "Last-Event-ID");
    problem(host.delete(EVENTS).await, 405, "method");
    problem(host.get("/api/v1/events/1").await, 404, "no-route");
}

#[tokio::test]
async fn what_is_kept_no_longer_is_said_to_be_gone() {
    let kept = |it: &mut chandlery::config::Config| it.events.kept_max = 3;
    let host =
        Host::builder().plugins(vec![patient(guest::allow_all())]).config(kept).start().await;
    change(&host, 10, "web").await;

    let body = problem(host.get(&format!("{EVENTS}?after=6")).await, 410, "gone");
    assert!(body["detail"].as_str().unwrap().contains("the first that is kept is 8"), "{body}");
    problem(host.stream_after(EVENTS, "1").await.answer().await, 410, "gone");
    let body = problem(host.get(&format!("{EVENTS}?after=11")).await, 410, "gone");
    assert!(body["detail"].as_str().unwrap().contains("whose last is 10"), "{body}");
    for after in ["0", "7"] {
        let mut stream = host.stream(&format!("{EVENTS}?after={after}")).await;
        assert_eq!(versions_to(&mut stream, 9).await, [7, 8, 9], "after {after}");
    }
}

#[tokio::test]
async fn one_who_falls_too_far_behind_is_told_and_let_go() {
    let kept = |it: &mut chandlery::config::Config| it.events.kept_max = 1100;
    let host =
        Host::builder().plugins(vec![patient(guest::allow_all())]).config(kept).start().await;
    let mut slow = host.stream(EVENTS).await;
    // More than are kept for all, and than are kept at all.
    change(&host, 4000, "web").await;
    slow.block().await.unwrap();
    let last = loop {
        let block = slow.event().await.unwrap();
        if block.event.as_deref() == Some("end") {
            break block.json();
        }
    };
    assert!(last["reason"].as_str().unwrap().contains("told no more"), "{last}");
    assert_eq!(slow.block().await, None);
}

#[tokio::test]
async fn one_who_hears_nothing_hears_that_and_how_far_the_server_is() {
    let often = |it: &mut chandlery::config::Config| it.events.heartbeat_ms = 100;
    let host =
        Host::builder().plugins(vec![patient(guest::allow_all())]).config(often).start().await;
    let mut stream = host.stream(&format!("{EVENTS}?name=nothing")).await;
    let begin: u64 = stream.block().await.unwrap().id.unwrap().parse().unwrap();
    change(&host, 5, "web").await;
    loop {
        let block = stream.block().await.unwrap();
        assert_eq!(block.data, None, "it is no event");
        if block.id.unwrap() == (begin + 5).to_string() {
            break;
        }
    }
}

#[tokio::test]
async fn there_are_no_more_watchers_than_the_settings_allow() {
    let one = |it: &mut chandlery::config::Config| it.events.watchers_max = 1;
    let host = Host::builder().plugins(vec![patient(guest::allow_all())]).config(one).start().await;
    let first = host.stream(EVENTS).await;
    let refused = host.get(EVENTS).await;
    assert_eq!(refused.header("retry-after"), "5");
    problem(refused, 503, "busy");
    drop(first);
    assert_eq!(host.stream(EVENTS).await.status, 200);
}

#[tokio::test]
async fn the_policy_decides_who_may_watch_and_for_how_long() {
    let often = |it: &mut chandlery::config::Config| it.events.heartbeat_ms = 100;
    let host =
        Host::builder().plugins(vec![patient(guest::allow_all())]).config(often).start().await;
    let mut stream = host.stream(EVENTS).await;
    with_plugins(&host, vec![guest::deny_action("event:read")]).await;
    problem(host.get(EVENTS).await, 403, "denied");
    problem(host.get(&format!("{EVENTS}?namespace=acme")).await, 403, "denied");
    let end = stream.event().await.unwrap();
    assert_eq!(end.event.as_deref(), Some("end"));
    assert_eq!(end.json()["reason"], "it may not be watched any more");
    assert_eq!(stream.block().await, None);
}

#[tokio::test]
async fn a_reader_of_one_namespace_watches_that_one_alone() {
    let settings = json!({ "bindings": [
        { "principal": "user:rea", "role": "reader", "namespaces": ["acme"] },
    ] });
    let host = Host::builder()
        .config(|it| {
            it.plugins.push(chandlery::config::PluginConfig {
                name: "policy-rbac".to_owned(),
                shipped: Some("policy-rbac".to_owned()),
                kind: "policy".to_owned(),
                settings,
                ..Default::default()
            });
        })
        .start()
        .await;
    let rea = host.as_user("rea");
    for (query, status) in
        [("", 403), ("?namespace=team", 403), ("?namespace=acme&namespace=team", 403)]
    {
        let answer = rea.stream(&format!("{EVENTS}{query}")).await;
        assert_eq!(answer.status, status, "{query}");
    }
    let answer = rea.stream(&format!("{EVENTS}?namespace=acme")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let host = host().await;
    let mut stream = host.stream(EVENTS).await;
    register(&host, "acme", "web", "1").await.expect(200);
    assert_eq!(next(&mut stream).await, "inventory:version:register done acme/web/1");
    host.stop().await;
    let end = stream.event().await.unwrap();
    assert_eq!((end.event.as_deref(), &end.id), (Some("end"), &None));
    assert_eq!(end.json()["reason"], "the server is stopping");
    assert_eq!(stream.block().await, None);
}

#[tokio::test]
async fn many_writers_are_heard_once_each_by_one_who_comes_and_goes() {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let host = host().await;
    let begin = host.stream(EVENTS).await.block().await.unwrap().id.unwrap();
    let write = async |unit: usize| {
        for version in 0..EACH {
            let unit = format!("unit-{unit}");
            register(&host, "acme", &unit, &version.to_string()).await.expect(200);
        }
    };
    let listen = async {
        let (mut last, mut heard) = (begin, Vec::new());
        while heard.len() < WRITERS * EACH {
            let mut stream = host.stream_after(EVENTS, &last).await;
            for _ in 0..7.min(WRITERS * EACH - heard.len()) {
                let event = stream.event().await.unwrap();
                last = event.id.clone().unwrap();
                let event = event.json();
                let text = |it: &str| event["target"][it].as_str().unwrap().to_owned();
                heard.push((text("name"), text("version").parse::<usize>().unwrap()));
            }
        }
        heard
    };
    let (heard, _) = tokio::join!(listen, join_all((0..WRITERS).map(write)));
    for unit in 0..WRITERS {
        let unit = format!("unit-{unit}");
        let of_unit: Vec<usize> = heard.iter().filter(|it| it.0 == unit).map(|it| it.1).collect();
        assert_eq!(of_unit, (0..EACH).collect::<Vec<_>>(), "{unit}");
    }
}

#[tokio::test]
async fn a_watcher_far_behind_gets_everything_in_order() {
    let host = host().await;
    let mut stream = host.stream(EVENTS).await;
    change(&host, 3000, "web").await;
    assert_eq!(versions_to(&mut stream, 2999).await, (0..3000).collect::<Vec<_>>());
    change(&host, 10, "web").await;
    assert_eq!(versions_to(&mut stream, 9).await, (0..10).collect::<Vec<_>>());
}
