use chandlery_sdk::types::Label;

use super::*;

const T: u64 = 1_000_000;

fn scope(settings: &str) -> Scope {
    Scope {
        platform: "dry-run".to_owned(),
        account: "default".to_owned(),
        settings: settings.to_owned(),
        operation_id: "op-1".to_owned(),
    }
}

fn app(count: u32, properties: &[(&str, &str)]) -> App {
    let labels = |texts: &[(&str, &str)], prefix: &str| -> Vec<Label> {
        texts.iter().map(|(key, it)| Label::new(format!("{prefix}{key}"), *it)).collect()
    };
    App {
        release: "r".to_owned(),
        revision: 2,
        name: "web".to_owned(),
        definition_name: "web-v2".to_owned(),
        group: "r".to_owned(),
        version: Some("1.0".to_owned()),
        resource: "docker:web:1.0".to_owned(),
        artifact: None,
        application_properties: labels(&[("greeting", "hello")], ""),
        deployment_properties: labels(properties, "spring.cloud.deployer.dry-run."),
        count,
    }
}

fn placed(settings: &str, app: &App) -> Result<Placement, PluginError> {
    deploy(&Told::default(), &scope(settings), app, None, T)
}

/// The states of the application and of its instances, some time after it was deployed.
#[track_caller]
fn after(settings: &str, app: &App, ms: u64) -> (State, Vec<State>) {
    let handle = placed(settings, app).unwrap().handle;
    let status = status(&Told::default(), &scope(settings), &handle, T + ms).unwrap();
    (status.state, status.instances.iter().map(|it| it.state).collect())
}

#[test]
fn without_a_word_everything_goes_well_at_once() {
    let placed = placed("", &app(2, &[])).unwrap();
    assert_eq!(placed.status.state, State::Deployed);
    assert_eq!(placed.status.deployment_id, "r.web-v2");
    let ids: Vec<&str> = placed.status.instances.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["r.web-v2-0", "r.web-v2-1"]);
    let shown = &placed.status.instances[1].attributes;
    let of = |name: &str| shown.iter().find(|it| it.key == name).map(|it| it.value.as_str());
    assert_eq!(of("guid"), Some("r.web-v2-1"));
    assert_eq!(of("version"), Some("1.0"));
    assert_eq!(of("operation"), Some("op-1"));
    assert_eq!(of("property.greeting"), None, "properties are shown only when it is asked for");
    let gone = undeploy(&Told::default(), &scope(""), &placed.handle, T).unwrap();
    assert_eq!(gone.state, State::Undeployed);
}

#[test]
fn time_makes_the_states() {
    let slow = app(1, &[("deployed-after", "2s"), ("failsAfter", "1m")]);
    assert_eq!(after("", &slow, 1_999).0, State::Deploying);
    assert_eq!(after("", &slow, 2_000).0, State::Deployed);
    assert_eq!(after("", &slow, 60_000).0, State::Failed);
    assert_eq!(
        after("", &app(1, &[("deployed-after", "never")]), u64::MAX / 2).0,
        State::Deploying
    );
    let at = (T + 500).to_string();
    assert_eq!(after("", &app(1, &[("deployed-at", &at)]), 499).0, State::Deploying);
    assert_eq!(after("", &app(1, &[("deployed-at", &at)]), 500).0, State::Deployed);
    assert_eq!(after("", &app(1, &[("vanishes-after", "10")]), 10), (State::Unknown, Vec::new()));
    assert_eq!(after("", &app(1, &[("becomes", "error")]), 0).0, State::Error);
}

#[test]
fn some_instances_may_fail() {
    let (whole, each) = after("", &app(3, &[("failing-instances", "0, 2")]), 0);
    assert_eq!(whole, State::Partial);
    assert_eq!(each, [State::Failed, State::Deployed, State::Failed]);
}

#[test]
fn an_application_overrides_its_account_and_that_the_plugin() {
    let account = r#"{ "deployed-after": "never", "undeploy": { "fails": "retryable" } }"#;
    assert_eq!(after(account, &app(1, &[]), 0).0, State::Deploying);
    let own = app(1, &[("deployed-after", "0"), ("undeploy.fails", "")]);
    assert_eq!(after(account, &own, 0).0, State::Deployed);
    let handle = placed(account, &own).unwrap().handle;
    assert!(undeploy(&Told::default(), &scope(account), &handle, T).is_ok());

    let plugin = Told::of_json(r#"{ "status.fails": "permanent" }"#).unwrap();
    assert!(status(&plugin, &scope(""), &handle, T).is_err());
    let mended = scope(r#"{ "status": { "fails": "" } }"#);
    assert!(status(&plugin, &mended, &handle, T).is_ok());
}

#[test]
fn calls_fail_as_and_when_they_are_told_to() {
    let own = Told::default();
    let told = [
        ("undeploy.fails", "retryable"),
        ("undeploy.message", "not now"),
        ("undeploy.retry-after", "7"),
        ("undeploy.fails-for", "100"),
        ("status.fails", "permanent"),
        ("status.fails-after", "50"),
    ];
    let handle = placed("", &app(1, &told)).unwrap().handle;
    let error = undeploy(&own, &scope(""), &handle, T + 99).unwrap_err();
    assert_eq!((error.retryable, error.message.as_str()), (true, "not now"));
    assert_eq!(error.retry_after_ms, Some(7));
    assert!(undeploy(&own, &scope(""), &handle, T + 100).is_ok());
    assert!(status(&own, &scope(""), &handle, T + 49).is_ok());
    assert!(!status(&own, &scope(""), &handle, T + 50).unwrap_err().retryable);

    let until = (T + 1).to_string();
    let late = app(1, &[("deploy.fails", "retryable"), ("deploy.fails-until", &until)]);
    assert!(placed("", &late).is_err());
    assert!(deploy(&own, &scope(""), &late, None, T + 1).is_ok());
}

#[test]
fn scaling_goes_on_with_the_index_and_takes_the_highest() {
    let own = Told::default();
    let slow = app(2, &[("deployed-after", "100")]);
    let handle = placed("", &slow).unwrap().handle;
    let up = scale(&own, &scope(""), &handle, 4, T + 100).unwrap();
    let each: Vec<State> = up.status.instances.iter().map(|it| it.state).collect();
    assert_eq!(each, [State::Deployed, State::Deployed, State::Deploying, State::Deploying]);
    let down = scale(&own, &scope(""), &up.handle, 1, T + 200).unwrap();
    assert_eq!(down.status.instances[0].id, "r.web-v2-0");
    assert_eq!(down.status.instances.len(), 1);
    assert_eq!(scale(&own, &scope(""), &down.handle, 0, T).unwrap().status.state, State::Unknown);
}

#[test]
fn an_earlier_attempt_keeps_its_time() {
    let slow = app(1, &[("deployed-after", "100")]);
    let first = placed("", &slow).unwrap().handle;
    let again = deploy(&Told::default(), &scope(""), &slow, Some(&first), T + 100).unwrap();
    assert_eq!(again.status.state, State::Deployed);
}

#[test]
fn what_cannot_be_told_is_refused() {
    for (name, value, expected) in [
        ("deployed-afer", "1", "is nothing that can be told"),
        ("deployed-after", "soon", "must be milliseconds"),
        ("becomes", "happy", "must be `deployed`"),
        ("reply.fails", "permanent", "is nothing that can be told"),
        ("deploy.fails", "maybe", "must be `permanent`"),
        ("deploy.fails-for", "1", "has no deployment to count from"),
        ("failing-instances", "x", "must be indexes"),
    ] {
        let error = placed("", &app(1, &[(name, value)])).unwrap_err();
        assert_eq!(error.code, "config");
        assert!(error.message.contains(expected), "{}", error.message);
        let finding = validate(&Told::default(), &scope(""), &app(1, &[(name, value)]), T);
        assert!(finding.is_err(), "{name}");
    }
    assert!(placed("[1]", &app(1, &[])).is_err());
    let huge = "x".repeat(40_000);
    assert!(placed("", &app(1, &[("log", &huge)])).unwrap_err().message.contains("bytes"));
}

#[test]
fn attributes_and_properties_are_shown_when_that_is_asked_for() {
    let told =
        [("attributes.Url", "http://127.0.0.1:8{index}/{id}"), ("report-properties", "true")];
    let status = placed("", &app(2, &told)).unwrap().status;
    let shown = &status.instances[1].attributes;
    let of = |name: &str| shown.iter().find(|it| it.key == name).map(|it| it.value.as_str());
    assert_eq!(of("Url"), Some("http://127.0.0.1:81/r.web-v2-1"));
    assert_eq!(of("property.greeting"), Some("hello"));
}

#[test]
fn a_log_is_read_in_pieces() {
    let handle = placed("", &app(2, &[("log", "äöü")])).unwrap().handle;
    let read = |cursor: Option<&str>, limit_bytes: u32| {
        let cursor = cursor.map(str::to_owned);
        let wanted = Wanted { instance: Some("r.web-v2-1".to_owned()), cursor, limit_bytes };
        logs(&Told::default(), &scope(""), &handle, &wanted, T)
    };
    let first = read(None, 11).unwrap();
    assert_eq!((first.text.as_str(), first.next.as_deref()), ("stdout:\nä", Some("10")));
    let rest = read(Some("10"), 100).unwrap();
    assert_eq!((rest.text.as_str(), rest.next), ("öü\n", None));
    assert!(read(Some("9"), 100).is_err());
    assert!(read(Some("x"), 100).is_err());
}

#[test]
fn a_log_is_read_on_from_where_it_was_read_to() {
    let handle = placed("", &app(2, &[("log", "äöü\nx")])).unwrap().handle;
    let read = |read: Vec<LogPlace>, limit_bytes: u32| {
        let want = LogWant { instance: None, read, newest: false, limit_bytes, unfinished: false };
        read_log(&Told::default(), &scope(""), &handle, &want, T)
    };
    let place = |instance: &str, position: &str| LogPlace {
        instance: instance.to_owned(),
        output: "stdout".to_owned(),
        position: position.to_owned(),
    };
    let texts = |lines: LogLines| -> Vec<String> {
        lines.texts.into_iter().map(|it| format!("{}:{}", it.place.position, it.text)).collect()
    };
    let first = read(Vec::new(), 12).unwrap();
    assert!(first.more);
    assert_eq!(texts(first), ["9:äöü\nx\n", "2:ä"]);
    let rest = read(vec![place("r.web-v2-0", "9"), place("r.web-v2-1", "2")], 100).unwrap();
    assert!(!rest.more);
    assert_eq!(texts(rest), ["9:", "9:öü\nx\n"]);
    assert_eq!(texts(read(vec![place("r.web-v2-0", "99")], 9).unwrap()), ["9:äöü\nx\n", "0:"]);
    assert!(read(vec![place("r.web-v2-1", "x")], 100).is_err());
}
