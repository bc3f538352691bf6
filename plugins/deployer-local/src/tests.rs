use std::{cell::RefCell, collections::BTreeMap};

use chandlery_sdk::{
    artifacts::ArtifactError,
    deployer::{Artifact, Label, LogPlace},
    http::{HttpError, Request, Response},
    process::{Piece, Port, Spec, StartAt},
};

use super::*;
use crate::host::Read;

/// A host of which everything is known.
#[derive(Default)]
struct Fake {
    processes: RefCell<BTreeMap<String, Process>>,
    started: RefCell<Vec<Spec>>,
    stopped: RefCell<Vec<(String, u32)>>,
    asked: RefCell<Vec<String>>,
    /// Names of processes that do not start.
    broken: Vec<&'static str>,
    /// Names of processes that do not end.
    stuck: Vec<&'static str>,
    /// What is answered at a path; nobody listens at the others.
    answers: BTreeMap<&'static str, Result<u16, HttpError>>,
    jar: bool,
    /// What each process has written to its standard output.
    says: &'static str,
}

impl Host for Fake {
    fn start(&self, name: &str, spec: &Spec) -> Result<Process, ProcessError> {
        let broken = self.broken.contains(&name);
        let mut process = process(if broken { Phase::Failed } else { Phase::Running });
        if spec.ports.is_empty() {
            process.ports.clear();
        }
        self.started.borrow_mut().push(spec.clone());
        self.processes.borrow_mut().insert(name.to_owned(), process.clone());
        Ok(process)
    }

    fn status(&self, names: &[String]) -> Vec<Result<Process, ProcessError>> {
        let processes = self.processes.borrow();
        names.iter().map(|it| processes.get(it).cloned().ok_or(ProcessError::NotFound)).collect()
    }

    fn stop(&self, name: &str, grace_ms: u32) -> Result<Process, ProcessError> {
        self.stopped.borrow_mut().push((name.to_owned(), grace_ms));
        if self.stuck.contains(&name) {
            return Err(ProcessError::Failed("it does not end".into()));
        }
        let mut processes = self.processes.borrow_mut();
        let process = processes.get_mut(name).ok_or(ProcessError::NotFound)?;
        process.phase = Phase::Stopped;
        Ok(process.clone())
    }

    fn forget(&self, name: &str) -> Result<(), ProcessError> {
        self.processes.borrow_mut().remove(name).map(|_| ()).ok_or(ProcessError::NotFound)
    }

    fn tail(&self, name: &str, output: Output, _max_bytes: u32) -> Result<String, ProcessError> {
        match self.processes.borrow().contains_key(name) {
            true if output == Output::Stderr => Ok("no database".into()),
            true => Ok(String::new()),
            false => Err(ProcessError::NotFound),
        }
    }

    fn read_lines(&self, name: &str, output: Output, read: &Read) -> Result<Piece, ProcessError> {
        if !self.processes.borrow().contains_key(name) {
            return Err(ProcessError::NotFound);
        }
        let all = if output == Output::Stdout { self.says } else { "" };
        let from = match &read.start {
            StartAt::Oldest => 0,
            StartAt::Newest => all.len().saturating_sub(read.max_bytes as usize),
            StartAt::Behind(place) => place.parse().unwrap(),
        };
        let to = all.len().min(from + read.max_bytes as usize);
        let text = all[from..to].to_owned();
        Ok(Piece { text, next: to.to_string(), gap: false, more: to < all.len() })
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let path = request.url.strip_prefix("http://127.0.0.1:4711").expect("our own port");
        self.asked.borrow_mut().push(format!("{} {path}", request.method));
        let answer = self.answers.get(path).cloned();
        let status = answer.unwrap_or(Err(HttpError::Connect("refused".into())))?;
        Ok(Response { status, headers: Vec::new(), body: Vec::new() })
    }

    fn first_bytes(&self, _uri: &str, _count: u32) -> Result<Vec<u8>, ArtifactError> {
        Ok(if self.jar { b"PK\x03\x04".to_vec() } else { b"\x7fELF".to_vec() })
    }
}

fn process(phase: Phase) -> Process {
    Process {
        phase,
        pid: Some(42),
        exit_code: None,
        message: (phase == Phase::Failed).then(|| "it ended at once".to_owned()),
        since: 0,
        ports: vec![Port { name: "http".into(), number: 4711 }],
        workdir: "/w".into(),
        stdout: "/w/out".into(),
        stderr: "/w/err".into(),
    }
}

fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
    pairs.iter().map(|&(key, value)| Label::new(key, value)).collect()
}

fn app(application: &[(&str, &str)], deployment: &[(&str, &str)]) -> App {
    App {
        release: "shop".into(),
        revision: 2,
        name: "web".into(),
        definition_name: "web-v2".into(),
        group: "shop".into(),
        version: None,
        resource: "inventory://acme/web/1.0".into(),
        artifact: Some(Artifact {
            uri: "sha256:00".into(),
            sha256: "00".into(),
            size: 1,
            file_name: "web-v1.0".into(),
        }),
        application_properties: labels(application),
        deployment_properties: labels(deployment),
        count: 1,
    }
}

fn scope(settings: &str) -> Scope {
    Scope {
        platform: "local".into(),
        account: "default".into(),
        settings: settings.into(),
        operation_id: "1".into(),
    }
}

fn started(host: &Fake, settings: &str, app: &App) -> Spec {
    deploy(host, &scope(settings), app).unwrap();
    host.started.borrow()[0].clone()
}

fn variable<'a>(spec: &'a Spec, name: &str) -> Option<&'a str> {
    spec.env.iter().find(|it| it.key == name).map(|it| it.value.as_str())
}

#[test]
fn a_program_runs_itself_and_is_told_as_json_and_as_variables() {
    let spec = started(&Fake::default(), "{}", &app(&[("log.level", "debug")], &[]));

    assert_eq!((spec.program.as_str(), spec.args.len()), ("{artifact}", 0));
    assert_eq!(variable(&spec, "LOG_LEVEL"), Some("debug"));
    assert_eq!(variable(&spec, "PORT"), Some("{port:http}"));
    assert_eq!(variable(&spec, "SERVER_PORT"), Some("{port:http}"));
    let json: serde_json::Value =
        serde_json::from_str(variable(&spec, "SPRING_APPLICATION_JSON").unwrap()).unwrap();
    assert_eq!(json["log.level"], "debug");
    assert_eq!(json["server.port"], "{port:http}");
    assert_eq!(json["spring.cloud.application.guid"], "shop.web-v2-0");
    assert_eq!(json["spring.application.index"], "0");
    assert!(!spec.inherit_env.contains(&"SPRING_APPLICATION_JSON".to_owned()));
    assert!(spec.inherit_env.contains(&"PATH".to_owned()));
    assert!(spec.delete_workdir);
}

#[test]
fn a_jar_runs_with_java_and_is_told_as_json_only() {
    let host = Fake { jar: true, ..Fake::default() };
    let deployment = [
        ("spring.cloud.deployer.memory", "1g"),
        ("spring.cloud.deployer.local.javaOpts", "-Da=b -Xss1m"),
    ];
    let spec = started(&host, r#"{"java-cmd":"/usr/bin/java"}"#, &app(&[("a", "b")], &deployment));
    assert_eq!(spec.program, "/usr/bin/java");
    assert_eq!(spec.args, ["-Xmx1024m", "-Da=b", "-Xss1m", "-jar", "{artifact}"]);
    assert_eq!(variable(&spec, "A"), None);
    assert!(variable(&spec, "SPRING_APPLICATION_JSON").is_some());

    let host = Fake { jar: true, ..Fake::default() };
    let deployment = [("spring.cloud.deployer.local.use-spring-application-json", "false")];
    let spec = started(&host, "{}", &app(&[("a", "b")], &deployment));
    assert_eq!(variable(&spec, "A"), Some("b"));
    assert_eq!(variable(&spec, "SPRING_APPLICATION_JSON"), None);
}

#[test]
fn the_port_is_the_one_wished_for() {
    let number = |port: &str| {
        let spec = started(&Fake::default(), "{}", &app(&[("server.port", port)], &[]));
        spec.ports.first().map(|it| it.number)
    };
    assert_eq!(number("8080"), Some(Some(8080)));
    assert_eq!(number("0"), Some(None));
    assert_eq!(number("-1"), None);
    assert!(deploy(&Fake::default(), &scope("{}"), &app(&[("server.port", "x")], &[])).is_err());

    let settings = r#"{"port-range":{"low":30000,"high":30100}}"#;
    let spec = started(
        &Fake::default(),
        settings,
        &app(&[], &[("spring.cloud.deployer.local.port-range.high", "30200")]),
    );
    assert_eq!((spec.ports[0].low, spec.ports[0].high), (30_000, 30_200));
}

#[test]
fn what_cannot_run_here_is_found_before_anything_starts() {
    let finding = |app: &App| plan::check(&scope("{}"), app).unwrap_err().message;
    let image = App { artifact: None, resource: "docker:web:1".into(), ..app(&[], &[]) };
    assert!(finding(&image).contains("`docker:web:1`"));
    let shared = App { count: 2, ..app(&[("server.port", "80")], &[]) };
    assert!(finding(&shared).contains("cannot share"));
    for (name, value) in [
        ("shutdownTimeout", "soon"),
        ("memory", "much"),
        ("port-range.low", "-1"),
        ("delete-files-on-exit", "yes"),
    ] {
        let name = format!("spring.cloud.deployer.local.{name}");
        let message = finding(&app(&[], &[(&name, value)]));
        assert!(message.contains(&name) && message.contains(value), "{message}");
    }
    assert!(plan::check(&scope(r#"{"java-comand":"x"}"#), &app(&[], &[])).is_err());
}

#[test]
fn what_has_no_effect_here_is_named() {
    let told = |properties: &[(&str, &str)]| -> Vec<String> {
        let findings = Local::validate(scope("{}"), vec![app(&[], properties)]);
        let is_warning = |it: &Diagnostic| it.severity == deployer::Severity::Warning;
        assert!(findings.iter().all(is_warning), "{findings:?}");
        findings.into_iter().map(|it| it.message).collect()
    };
    let all = [
        ("spring.cloud.deployer.count", "1"),
        ("spring.cloud.deployer.group", "shop"),
        ("spring.cloud.deployer.appName", "web"),
        ("spring.cloud.deployer.indexed", "true"),
        ("spring.cloud.deployer.memory", "1g"),
        ("spring.cloud.deployer.bootVersion", "3"),
        ("spring.cloud.deployer.local.JAVA_OPTS", "-Xss1m"),
        ("spring.cloud.deployer.local.inheritLogging", "false"),
        ("spring.cloud.deployer.kubernetes.limits.cpu", "1"),
        ("other", "x"),
    ];
    assert!(told(&all).is_empty(), "{:?}", told(&all));
    for key in ["cpu", "disk", "local.docker.network", "local.inherit-logging", "local.nothing"] {
        let key = format!("spring.cloud.deployer.{key}");
        let expected = format!("deployment property `{key}` has no effect on this platform");
        assert_eq!(told(&[(&key, "true")]), [expected]);
    }
}

#[test]
fn an_account_may_be_written_as_in_yaml() {
    let host = Fake { jar: true, ..Fake::default() };
    let settings = r#"{"javaCmd":"/j","shutdown_timeout":7,"portRange":{"low":30000,"high":30001},
        "javaHomePath":{"3.2":"/opt/17"}}"#;
    let spec = started(&host, settings, &app(&[], &[("spring.cloud.deployer.bootVersion", "3.2")]));
    assert_eq!((spec.program.as_str(), spec.ports[0].low), ("/opt/17/bin/java", 30_000));
    let host = Fake { jar: true, ..Fake::default() };
    assert_eq!(started(&host, settings, &app(&[], &[])).program, "/j");
}

#[test]
fn every_instance_is_a_process_of_its_own() {
    let host = Fake::default();
    let app = App { count: 3, ..app(&[], &[]) };
    let placement = deploy(&host, &scope("{}"), &app).unwrap();
    let names: Vec<String> = host.processes.borrow().keys().cloned().collect();
    assert_eq!(names, ["shop/shop.web-v2-0", "shop/shop.web-v2-1", "shop/shop.web-v2-2"]);
    assert_eq!(placement.status.deployment_id, "shop.web-v2");
    assert_eq!(placement.status.state, State::Deploying);
    assert_eq!(placement.status.instances[2].id, "shop.web-v2-2");
    assert!(host.asked.borrow().is_empty(), "nothing can answer yet");
}

#[test]
fn a_start_that_fails_takes_back_the_others_and_says_why() {
    let host = Fake { broken: vec!["shop/shop.web-v2-1"], ..Fake::default() };
    let error = deploy(&host, &scope("{}"), &App { count: 3, ..app(&[], &[]) }).unwrap_err();
    assert_eq!(error.message, "it ended at once; its standard error ends with: no database");
    assert!(!error.retryable, "nothing is left to look for");
    assert!(host.processes.borrow().is_empty());
    assert_eq!(host.started.borrow().len(), 2);
}

#[test]
fn a_start_that_cannot_be_taken_back_whole_takes_back_the_rest_and_is_tried_again() {
    let host = Fake {
        broken: vec!["shop/shop.web-v2-2"],
        stuck: vec!["shop/shop.web-v2-1"],
        ..Fake::default()
    };
    let error = deploy(&host, &scope("{}"), &App { count: 3, ..app(&[], &[]) }).unwrap_err();
    assert!(error.retryable);
    assert!(error.message.ends_with("; and not all of it has ended: it does not end"), "{error:?}");
    let left: Vec<String> = host.processes.borrow().keys().cloned().collect();
    assert_eq!(left, ["shop/shop.web-v2-1"]);
}

/// The state of an application whose process is in `phase`.
#[track_caller]
fn check(
    phase: Phase,
    properties: &[(&str, &str)],
    answers: &[(&'static str, u16)],
    expected: State,
) {
    let answers = answers.iter().map(|&(path, status)| (path, Ok(status))).collect();
    let host = Fake { answers, ..Fake::default() };
    let handle = deploy(&host, &scope("{}"), &app(&[], properties)).unwrap().handle;
    host.processes.borrow_mut().values_mut().for_each(|it| it.phase = phase);
    let status = status(&host, &[handle]).remove(0).unwrap();
    assert_eq!(status.state, expected, "{phase:?} {properties:?}");
}

#[test]
fn an_application_is_as_its_process_and_its_answers_are() {
    const STARTUP: (&str, &str) = ("spring.cloud.deployer.local.startup-probe.path", "/up");
    const HEALTH: (&str, &str) = ("spring.cloud.deployer.local.healthProbe.path", "health");
    check(Phase::Starting, &[], &[], State::Deploying);
    check(Phase::Failed, &[], &[], State::Failed);
    check(Phase::Exited, &[], &[], State::Failed);
    check(Phase::Stopped, &[], &[], State::Undeployed);
    check(Phase::Running, &[], &[], State::Deploying);
    check(Phase::Running, &[], &[("/", 500)], State::Deployed);
    check(Phase::Running, &[STARTUP], &[("/", 200)], State::Deploying);
    check(Phase::Running, &[STARTUP], &[("/up", 503)], State::Deploying);
    check(Phase::Running, &[STARTUP], &[("/up", 204)], State::Deployed);
    check(Phase::Running, &[HEALTH], &[], State::Deploying);
    check(Phase::Running, &[HEALTH], &[("/health", 200)], State::Deployed);
    check(Phase::Running, &[HEALTH], &[("/health", 503)], State::Failed);
    check(Phase::Running, &[STARTUP, HEALTH], &[("/up", 200), ("/health", 200)], State::Deployed);
    check(Phase::Running, &[STARTUP, HEALTH], &[("/up", 200)], State::Failed);
}

#[test]
fn an_application_without_a_port_is_deployed_when_it_runs() {
    let host = Fake::default();
    let handle = deploy(&host, &scope("{}"), &app(&[("server.port", "-1")], &[])).unwrap().handle;
    let status = status(&host, &[handle]).remove(0).unwrap();
    assert_eq!(status.state, State::Deployed);
    assert!(!status.instances[0].attributes.iter().any(|it| it.key == "url"));
}

#[test]
fn an_instance_tells_where_it_is() {
    let host = Fake::default();
    let placement = deploy(&host, &scope("{}"), &app(&[], &[])).unwrap();
    let mut attributes: Vec<String> = placement.status.instances[0]
        .attributes
        .iter()
        .map(|it| format!("{}={}", it.key, it.value))
        .collect();
    attributes.sort();
    assert_eq!(
        attributes,
        [
            "guid=shop.web-v2-0",
            "pid=42",
            "port=4711",
            "stderr=/w/err",
            "stdout=/w/out",
            "url=http://127.0.0.1:4711",
            "working.dir=/w",
        ]
    );
}

#[test]
fn applications_that_hang_are_not_asked_for_ever() {
    let host = Fake { answers: [("/", Err(HttpError::Timeout))].into(), ..Fake::default() };
    let handle = deploy(&host, &scope("{}"), &app(&[], &[])).unwrap().handle;
    let states = status(&host, &vec![handle; 64]);
    assert!(states.iter().all(|it| it.as_ref().unwrap().state == State::Deployed));
    assert_eq!(host.asked.borrow().len(), 10);
}

fn names(host: &Fake) -> Vec<String> {
    host.processes.borrow().keys().map(|it| it.replace("shop/shop.web-v2-", "")).collect()
}

#[test]
fn scaling_goes_on_with_the_index_and_takes_the_highest() {
    let host = Fake::default();
    let settings = r#"{"java-opts":"-Xss1m","shutdown-timeout":7}"#;
    let two = App { count: 2, ..app(&[("a", "b")], &[]) };
    let handle = deploy(&host, &scope(settings), &two).unwrap().handle;

    let up = scale(&host, &handle, 4).unwrap();

    assert_eq!(names(&host), ["0", "1", "2", "3"]);
    assert_eq!(up.status.instances[3].id, "shop.web-v2-3");
    let started = host.started.borrow().clone();
    assert_eq!(started.len(), 4, "those that ran are left alone");
    assert_eq!(variable(&started[3], "A"), Some("b"));
    assert_eq!(variable(&started[3], "INSTANCE_INDEX"), Some("3"));
    assert_eq!(variable(&started[3], "SPRING_CLOUD_APPLICATION_GUID"), Some("shop.web-v2-3"));

    let down = scale(&host, &up.handle, 1).unwrap();

    assert_eq!(names(&host), ["0"]);
    let stopped: Vec<String> = host.stopped.borrow().iter().map(|it| it.0.clone()).collect();
    assert_eq!(stopped, ["shop/shop.web-v2-3", "shop/shop.web-v2-2", "shop/shop.web-v2-1"]);
    assert_eq!(host.stopped.borrow()[0].1, 7_000);
    let none = scale(&host, &down.handle, 0).unwrap();
    assert_eq!(none.status.state, State::Unknown);
    assert_eq!(scale(&host, &none.handle, 1).unwrap().status.state, State::Deploying);
}

#[test]
fn what_a_scaling_began_and_nobody_remembers_goes_with_the_application() {
    let host = Fake::default();
    let handle = deploy(&host, &scope("{}"), &app(&[], &[])).unwrap().handle;
    scale(&host, &handle, 3).unwrap();
    undeploy(&host, &handle).unwrap();
    assert!(host.processes.borrow().is_empty());

    let handle = deploy(&host, &scope("{}"), &app(&[], &[])).unwrap().handle;
    scale(&host, &handle, 3).unwrap();
    scale(&host, &handle, 1).unwrap();
    assert_eq!(names(&host), ["0"]);
}

#[test]
fn a_scaling_that_fails_leaves_what_was() {
    let host = Fake { broken: vec!["shop/shop.web-v2-2"], ..Fake::default() };
    let handle = deploy(&host, &scope("{}"), &app(&[], &[])).unwrap().handle;
    let error = scale(&host, &handle, 4).unwrap_err();
    assert!(!error.retryable && error.message.contains("no database"), "{error:?}");
    assert_eq!(names(&host), ["0"]);
    assert!(scale(&host, &handle, 101).unwrap_err().message.contains("100"));

    let fixed = deploy(&host, &scope("{}"), &app(&[("server.port", "80")], &[])).unwrap().handle;
    assert!(scale(&host, &fixed, 2).unwrap_err().message.contains("cannot share"));
    let huge = "x".repeat(50_000);
    let large = deploy(&host, &scope("{}"), &app(&[("a", &huge)], &[])).unwrap().handle;
    assert!(large.len() < 64 << 10);
    assert!(scale(&host, &large, 2).unwrap_err().message.contains("remembered"));
}

#[test]
fn a_jar_runs_with_the_java_of_its_spring_boot() {
    let java = |boot: Option<&str>| {
        let host = Fake { jar: true, ..Fake::default() };
        let settings = r#"{"java-home-path":{"2":"/opt/8","3":"/opt/17/"}}"#;
        let property = boot.map(|it| ("spring.cloud.deployer.bootVersion", it));
        started(&host, settings, &app(&[], property.as_slice())).program
    };
    assert_eq!(java(None), "/opt/8/bin/java");
    assert_eq!(java(Some("3")), "/opt/17/bin/java");
    assert_eq!(java(Some("3.2.1")), "/opt/17/bin/java");
    assert_eq!(java(Some("1")), "java");
    let host = Fake { jar: true, ..Fake::default() };
    let own = [("spring.cloud.deployer.local.javaHomePath.2", "/own")];
    assert_eq!(started(&host, "{}", &app(&[], &own)).program, "/own/bin/java");
}

#[test]
fn a_debugger_finds_each_instance_at_a_port_of_its_own() {
    let args = |properties: &[(&str, &str)]| {
        let host = Fake { jar: true, ..Fake::default() };
        let app = App { count: 2, ..app(&[], properties) };
        deploy(&host, &scope("{}"), &app).unwrap();
        let second = host.started.borrow()[1].clone();
        (second.args[0].clone(), second.ports.get(1).and_then(|it| it.number))
    };
    const PORT: (&str, &str) = ("spring.cloud.deployer.local.debugPort", "5005");
    let agent = "-agentlib:jdwp=transport=dt_socket,server=y,suspend=";
    assert_eq!(args(&[PORT]), (format!("{agent}n,address={{port:debug}}"), Some(5006)));
    let address = ("spring.cloud.deployer.local.debug-address", "*:6000");
    let suspend = ("spring.cloud.deployer.local.debug-suspend", "y");
    let expected = (format!("{agent}y,address=*:{{port:debug}}"), Some(6001));
    assert_eq!(args(&[PORT, address, suspend]), expected);
    assert_eq!(args(&[]).1, None);
    for (name, value) in [("debug-port", "65536"), ("debug-address", "*"), ("debug-suspend", "x")] {
        let name = format!("spring.cloud.deployer.local.{name}");
        assert!(plan::check(&scope("{}"), &app(&[], &[(&name, value)])).is_err(), "{name}");
    }
}

#[test]
fn undeploying_asks_a_jar_first_and_leaves_nothing() {
    let host = Fake { jar: true, ..Fake::default() };
    let app = App { count: 4, ..app(&[], &[]) };
    let handle = deploy(&host, &scope("{}"), &app).unwrap().handle;
    assert_eq!(undeploy(&host, &handle).unwrap().state, State::Undeployed);
    assert_eq!(host.asked.borrow().as_slice(), ["POST /shutdown"; 4]);
    assert!(host.processes.borrow().is_empty());
    let grace: u32 = host.stopped.borrow().iter().map(|(_, grace)| grace).sum();
    assert_eq!(grace, 100_000, "all together stay within the host's patience");

    assert_eq!(undeploy(&host, &handle).unwrap().state, State::Undeployed, "once more");
}

#[test]
fn a_program_that_is_no_jar_is_only_signalled() {
    let host = Fake::default();
    let deployment = [("spring.cloud.deployer.local.shutdown-timeout", "5")];
    let handle = deploy(&host, &scope("{}"), &app(&[], &deployment)).unwrap().handle;
    undeploy(&host, &handle).unwrap();
    assert!(host.asked.borrow().is_empty());
    assert_eq!(host.stopped.borrow()[0].1, 5000);
}

#[test]
fn a_log_is_what_each_instance_wrote() {
    let host = Fake::default();
    let handle = deploy(&host, &scope("{}"), &app(&[], &[])).unwrap().handle;
    assert_eq!(logs::ends(&host, &handle, None, 1000).unwrap().text, "stderr:\nno database\n");
    assert_eq!(logs::ends(&host, &handle, Some("other"), 1000).unwrap().text, "");
}

#[test]
fn a_log_is_read_on_in_turns() {
    let host = Fake { says: "0123456789abcdef\n", ..Fake::default() };
    let handle = deploy(&host, &scope("{}"), &App { count: 2, ..app(&[], &[]) }).unwrap().handle;
    let of = |it: &LogPlace| format!("{} {} {}", it.instance, it.output, it.position);
    let want = |read: Vec<LogPlace>, limit_bytes| LogWant {
        instance: None,
        read,
        newest: false,
        limit_bytes,
        unfinished: false,
    };

    let all = logs::read(&host, &handle, &want(Vec::new(), 1 << 16)).unwrap();
    assert!(!all.more);
    let mut places: Vec<_> = all.texts.into_iter().map(|it| it.place).collect();
    let ids: Vec<String> = places.iter().map(|it| it.instance.clone()).collect();
    assert_eq!(
        places.iter().map(of).collect::<Vec<_>>(),
        [
            format!("{} stdout 17", ids[0]),
            format!("{} stderr 0", ids[0]),
            format!("{} stdout 17", ids[2]),
            format!("{} stderr 0", ids[2]),
        ]
    );

    // The one that waited longest is the first to be read.
    places.rotate_left(2);
    let again = logs::read(&host, &handle, &want(places.clone(), 1 << 16)).unwrap();
    assert_eq!(again.texts.into_iter().map(|it| it.place).collect::<Vec<_>>(), places);

    let one = LogWant { instance: Some(ids[2].clone()), ..want(Vec::new(), 1 << 16) };
    let one = logs::read(&host, &handle, &one).unwrap();
    assert!(one.texts.iter().all(|it| it.place.instance == ids[2]));
    assert_eq!(one.texts.iter().map(|it| &*it.text).collect::<String>(), host.says);

    host.processes.borrow_mut().clear();
    let none = logs::read(&host, &handle, &want(Vec::new(), 1 << 16)).unwrap();
    assert_eq!((none.texts.len(), none.more), (0, false));
}

#[test]
fn what_does_not_fit_waits_for_the_next_call() {
    let host = Fake { says: Box::leak("x".repeat(5000).into_boxed_str()), ..Fake::default() };
    let handle = deploy(&host, &scope("{}"), &App { count: 9, ..app(&[], &[]) }).unwrap().handle;
    let mut read: Vec<LogPlace> = Vec::new();
    let mut sizes = std::collections::BTreeMap::<String, usize>::new();
    loop {
        let want = LogWant {
            instance: None,
            read: read.clone(),
            newest: false,
            limit_bytes: 4096,
            unfinished: false,
        };
        let lines = logs::read(&host, &handle, &want).unwrap();
        assert!(lines.texts.iter().map(|it| it.text.len()).sum::<usize>() <= 4096);
        for it in lines.texts {
            *sizes.entry(it.place.instance.clone()).or_default() += it.text.len();
            read.retain(|of| of.instance != it.place.instance || of.output != it.place.output);
            read.push(it.place);
        }
        if !lines.more {
            break;
        }
    }
    assert_eq!(sizes.into_values().collect::<Vec<_>>(), [5000; 9]);
}

#[test]
fn an_account_is_described_in_a_line() {
    assert_eq!(
        Local::describe(scope(r#"{"java-opts":"-Da=b"}"#)),
        "JavaOpts = [-Da=b], ShutdownTimeout = [30], EnvVarsToInherit = \
         [TMP,LANG,LANGUAGE,LC_.*,PATH,SPRING_APPLICATION_JSON], JavaCmd = [java], \
         WorkingDirectoriesRoot = [], DeleteFilesOnExit = [true]"
    );
}

#[test]
fn settings_of_the_plugin_itself_are_refused() {
    assert!(Local::check_settings("{}".into()).is_empty());
    assert_eq!(Local::check_settings(r#"{"java-cmd":"x"}"#.into()).len(), 1);
}
