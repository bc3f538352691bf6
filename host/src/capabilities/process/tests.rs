use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use crate::plugins::types::{Label, PortRequest, ProcessPhase};

const BINDING: &str = "deployer";
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

struct Setup {
    folder: TempDir,
    store: Store,
    blobs: Blobs,
    processes: Processes,
}

impl Setup {
    async fn new() -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).await.unwrap();
        let blobs = Blobs::open(&folder.path().join("blobs")).await.unwrap();
        let root = folder.path().join("processes");
        let open = Processes::open(store.clone(), blobs.clone(), root, OUTPUT_BYTES_MAX);
        let processes = open.await.unwrap();
        Setup { folder, store, blobs, processes }
    }

    /// A second supervisor over the same records, as after a restart.
    async fn again(&self) -> Processes {
        let root = self.folder.path().join("processes");
        let (store, blobs) = (self.store.clone(), self.blobs.clone());
        Processes::open(store, blobs, root, OUTPUT_BYTES_MAX).await.unwrap()
    }

    async fn start(&self, name: &str, spec: ProcessSpec) -> Result<ProcessState, ProcessError> {
        self.processes.start(BINDING, &grant(), name, spec).await
    }

    async fn end(&self, name: &str) {
        let stopped = self.processes.stop(BINDING, name, 0).await.unwrap();
        assert_ne!(stopped.phase, ProcessPhase::Running);
        self.processes.forget(BINDING, name).await.unwrap();
    }

    async fn artifact(&self, bytes: &[u8]) -> String {
        let body = futures::stream::iter([Ok(Bytes::copy_from_slice(bytes))]);
        let stored = self.blobs.put(body, 1 << 20).await.unwrap();
        format!("sha256:{}", stored.sha256)
    }
}

fn grant() -> Grant {
    Grant {
        programs: vec!["sh".into(), "{artifact}".into(), "no-such-program".into()],
        inherit_env: vec!["PATH".into(), "CHANDLERY_.*".into()],
        ..Grant::default()
    }
}

fn sh(script: &str) -> ProcessSpec {
    ProcessSpec {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        inherit_env: vec!["PATH".into()],
        artifact: None,
        artifact_name: None,
        workdir_root: None,
        delete_workdir: true,
        ports: Vec::new(),
    }
}

fn port(name: &str) -> PortRequest {
    PortRequest { name: name.into(), number: None, low: 0, high: 0 }
}

/// Waits for a condition, and says where it waited in vain.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), met).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn exists(pid: u32) -> bool {
    os::stat(pid).is_some_and(|it| !it.dead)
}

#[tokio::test]
async fn an_empty_grant_starts_nothing() {
    let setup = Setup::new().await;
    for program in ["sh", "/bin/sh", "{artifact}", ""] {
        let spec = ProcessSpec { program: program.into(), ..sh("true") };
        let refused = setup.processes.start(BINDING, &Grant::default(), "a", spec).await;
        assert!(matches!(refused, Err(ProcessError::Denied(_))), "{program}: {refused:?}");
    }
    assert_eq!(setup.processes.status(BINDING, "a").await, Err(ProcessError::NotFound));
}

#[tokio::test]
async fn a_process_may_open_as_many_files_as_the_server_could_at_its_start() {
    let half = crate::open_files::raise_from_half();
    let setup = Setup::new().await;
    setup.start("a", sh("ulimit -n; exec sleep 600")).await.unwrap();
    let tail = async || setup.processes.tail(BINDING, "a", ProcessOutput::Stdout, 100).await;
    until("the limit", async || tail().await.unwrap() == format!("{half}\n")).await;
    setup.end("a").await;
}

#[tokio::test]
async fn a_process_runs_until_it_is_stopped_and_is_forgotten_with_its_folder() {
    let setup = Setup::new().await;
    let started = setup.start("a", sh("echo out; echo err >&2; exec sleep 600")).await.unwrap();
    assert_eq!(started.phase, ProcessPhase::Running);
    let pid = started.pid.unwrap();
    assert!(exists(pid));
    let tail = async |output| setup.processes.tail(BINDING, "a", output, 100).await.unwrap();
    until("output", async || tail(ProcessOutput::Stdout).await == "out\n").await;
    until("errors", async || tail(ProcessOutput::Stderr).await == "err\n").await;
    let busy = setup.processes.forget(BINDING, "a").await;
    assert!(matches!(busy, Err(ProcessError::Failed(_))), "{busy:?}");

    let stopped = setup.processes.stop(BINDING, "a", 10_000).await.unwrap();
    assert_eq!((stopped.phase, stopped.pid), (ProcessPhase::Stopped, None));
    assert!(!exists(pid));
    assert!(Path::new(&stopped.workdir).exists());
    setup.processes.stop(BINDING, "a", 0).await.unwrap();

    setup.processes.forget(BINDING, "a").await.unwrap();
    assert!(!Path::new(&stopped.workdir).exists());
    assert_eq!(setup.processes.status(BINDING, "a").await, Err(ProcessError::NotFound));
}

#[tokio::test]
async fn the_same_start_twice_is_one_process_and_another_is_a_conflict() {
    let setup = Setup::new().await;
    let first = setup.start("a", sh("exec sleep 600")).await.unwrap();
    let second = setup.start("a", sh("exec sleep 600")).await.unwrap();
    assert_eq!(first.pid, second.pid);
    assert_eq!(setup.start("a", sh("exec sleep 601")).await, Err(ProcessError::Conflict));
    let other =
        setup.processes.start("another", &grant(), "a", sh("exec sleep 600")).await.unwrap();
    assert_ne!(first.pid, other.pid, "names belong to the binding");
    setup.end("a").await;
    setup.processes.stop("another", "a", 0).await.unwrap();
}

#[tokio::test]
async fn what_ignores_the_request_to_end_is_killed_with_all_it_started() {
    let setup = Setup::new().await;
    let script = "trap '' TERM; (trap '' TERM; setsid sleep 600 & wait) & echo $! > child; \
                  while :; do sleep 1; done";
    let started = setup.start("a", sh(script)).await.unwrap();
    let mark = setup.processes.supervisor.find(&key(BINDING, "a")).unwrap().record().unwrap().mark;
    until("children", async || os::all_marked().remove(&mark).unwrap_or_default().len() >= 3).await;

    let stopped = setup.processes.stop(BINDING, "a", 100).await.unwrap();
    assert_eq!(stopped.phase, ProcessPhase::Stopped);
    assert!(!exists(started.pid.unwrap()));
    assert_eq!(os::all_marked().remove(&mark).unwrap_or_default(), Vec::<u32>::new());
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_with_its_name() {
    let setup = Setup::new().await;
    let spec = ProcessSpec { program: "no-such-program".into(), ..sh("") };
    let failed = setup.start("a", spec).await.unwrap();
    assert_eq!(failed.phase, ProcessPhase::Failed);
    assert!(failed.message.unwrap().contains("`no-such-program`"));
    setup.end("a").await;

    let artifact = setup.artifact(b"#!/no/such/interpreter\n").await;
    let spec = ProcessSpec { program: "{artifact}".into(), artifact: Some(artifact), ..sh("") };
    let failed = setup.start("b", spec).await.unwrap();
    assert_eq!(failed.phase, ProcessPhase::Failed);
    assert!(failed.message.unwrap().contains("does not exist"));

    let absent = format!("sha256:{}", "0".repeat(64));
    let spec = ProcessSpec { program: "{artifact}".into(), artifact: Some(absent), ..sh("") };
    let failed = setup.start("c", spec).await.unwrap();
    assert!(failed.message.unwrap().contains("is not stored"));
}

#[tokio::test]
async fn a_program_that_dies_at_once_fails_with_what_it_said() {
    let setup = Setup::new().await;
    let failed = setup.start("a", sh("echo no database >&2; exit 3")).await.unwrap();
    assert_eq!((failed.phase, failed.exit_code), (ProcessPhase::Failed, Some(3)));
    let message = failed.message.unwrap();
    assert!(message.contains("exit code 3") && message.contains("no database"), "{message}");
}

#[tokio::test]
async fn a_process_that_ends_by_itself_is_seen() {
    let setup = Setup::new().await;
    setup.start("a", sh("sleep 0.3; exit 7")).await.unwrap();
    let state = async || setup.processes.status(BINDING, "a").await.unwrap();
    until("its end", async || state().await.phase == ProcessPhase::Exited).await;
    assert_eq!(state().await.exit_code, Some(7));
    assert_eq!(state().await.message.as_deref(), Some("exit code 7"));
}

#[tokio::test]
async fn placeholders_are_filled_in_and_other_braces_are_left_alone() {
    let setup = Setup::new().await;
    let artifact = setup.artifact(b"#!/bin/sh\necho \"$JSON\" \"$@\"\nexec sleep 600\n").await;
    let spec = ProcessSpec {
        program: "{artifact}".into(),
        args: vec!["{port:http}".into(), "{artifact}".into(), "{workdir}".into(), "{x}{".into()],
        env: vec![Label { key: "JSON".into(), value: r#"{"a":{"port":"{port:http}"}}"#.into() }],
        artifact: Some(artifact),
        artifact_name: Some("app".into()),
        ports: vec![port("http")],
        ..sh("")
    };
    let started = setup.start("a", spec).await.unwrap();
    let number = started.ports[0].number;
    let workdir = &started.workdir;
    let expected =
        format!("{{\"a\":{{\"port\":\"{number}\"}}}} {number} {workdir}/app {workdir} {{x}}{{\n");
    let tail =
        async || setup.processes.tail(BINDING, "a", ProcessOutput::Stdout, 9999).await.unwrap();
    until("output", async || tail().await.ends_with('\n')).await;
    assert_eq!(tail().await, expected);
    let mode = fs::metadata(format!("{workdir}/app")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o500);
    assert_eq!(setup.processes.ports(BINDING), [number]);
    setup.end("a").await;
    assert!(setup.processes.ports(BINDING).is_empty());

    let spec = ProcessSpec { args: vec!["{port:none}".into()], ..sh("") };
    let failed = setup.start("b", spec).await.unwrap();
    assert!(failed.message.unwrap().contains("`none`"));
}

#[tokio::test]
async fn nothing_of_the_host_environment_reaches_a_process_but_what_is_granted_and_wanted() {
    let setup = Setup::new().await;
    let spec = ProcessSpec { inherit_env: vec![".*".into()], ..sh("env; exec sleep 600") };
    setup.start("a", spec).await.unwrap();
    let tail =
        async || setup.processes.tail(BINDING, "a", ProcessOutput::Stdout, 9999).await.unwrap();
    until("output", async || tail().await.contains("PATH=")).await;
    let names: Vec<String> =
        tail().await.lines().filter_map(|it| Some(it.split_once('=')?.0.to_owned())).collect();
    for name in names {
        let known = ["PATH", "PWD", "OLDPWD", "SHLVL", "_", os::MARK];
        assert!(known.contains(&name.as_str()), "{name}");
    }
    setup.end("a").await;
}

#[tokio::test]
async fn odd_specs_are_refused_before_anything_is_kept() {
    let setup = Setup::new().await;
    let label = |key: &str, value: &str| vec![Label { key: key.into(), value: value.into() }];
    let odd = [
        ProcessSpec { program: "python".into(), ..sh("") },
        ProcessSpec { program: "../sh".into(), ..sh("") },
        ProcessSpec { env: label("CHANDLERY_PROCESS", "x"), ..sh("") },
        ProcessSpec { env: label("A=B", "x"), ..sh("") },
        ProcessSpec { env: label("", "x"), ..sh("") },
        ProcessSpec { env: label("A", "x\0"), ..sh("") },
        ProcessSpec { args: vec!["\0".into()], ..sh("") },
        ProcessSpec { args: vec!["x".into(); 2000], ..sh("") },
        ProcessSpec { inherit_env: vec!["(".into()], ..sh("") },
        ProcessSpec { artifact: Some("sha256:../../etc".into()), ..sh("") },
        ProcessSpec { artifact_name: Some("../x".into()), ..sh("") },
        ProcessSpec { artifact_name: Some("stderr.log".into()), ..sh("") },
        ProcessSpec { workdir_root: Some("/etc".into()), ..sh("") },
        ProcessSpec { workdir_root: Some("tmp".into()), ..sh("") },
        ProcessSpec { ports: vec![port("a"); 40], ..sh("") },
    ];
    for spec in odd {
        let refused = setup.start("a", spec.clone()).await;
        assert!(matches!(refused, Err(ProcessError::Denied(_))), "{spec:?}: {refused:?}");
    }
    for name in ["", "a\0b", "a\nb"] {
        let refused = setup.start(name, sh("true")).await;
        assert!(matches!(refused, Err(ProcessError::Denied(_))), "{name}");
    }
    assert!(setup.processes.supervisor.entries.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_working_folder_is_only_made_below_a_granted_one() {
    let setup = Setup::new().await;
    let granted = setup.folder.path().join("apps");
    fs::create_dir(&granted).unwrap();
    let outside = setup.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, granted.join("link")).unwrap();
    let grant = Grant { workdir_roots: vec![granted.clone()], ..grant() };
    let at = |path: std::path::PathBuf| ProcessSpec {
        workdir_root: Some(path.display().to_string()),
        ..sh("exec sleep 600")
    };
    for path in [
        granted.join("link"),
        granted.join("link/x"),
        granted.join("../outside"),
        granted.join("new/../../x"),
    ] {
        let refused = setup.processes.start(BINDING, &grant, "a", at(path.clone())).await;
        assert!(matches!(refused, Err(ProcessError::Denied(_))), "{path:?}: {refused:?}");
    }
    let started =
        setup.processes.start(BINDING, &grant, "a", at(granted.join("new"))).await.unwrap();
    assert!(started.workdir.starts_with(&*granted.join("new").to_string_lossy()));
    setup.end("a").await;
}

#[tokio::test]
async fn a_process_that_writes_without_end_does_not_fill_the_disk() {
    let setup = Setup::new().await;
    let script = "head -c 60000000 /dev/zero | tr '\\0' x; echo; echo the end; \
                  while :; do echo tick >&2; sleep 0.1; done";
    let state = setup.start("a", sh(script)).await.unwrap();
    let size = |path: &str| fs::metadata(path).map_or(0, |it| it.len());
    let ticks = async || size(&state.stderr) > 0;
    until("it has written all", ticks).await;

    let all = || size(&state.stdout) + size(&format!("{}.1", state.stdout));
    until("it is cut", async || all() <= OUTPUT_BYTES_MAX * 3 / 2).await;

    let tail = setup.processes.tail(BINDING, "a", ProcessOutput::Stdout, 1 << 20).await.unwrap();
    assert!(tail.ends_with("x\nthe end\n"), "{} bytes", tail.len());
    let before = size(&state.stderr);
    until("it goes on", async || size(&state.stderr) > before).await;
    setup.end("a").await;
    assert!(!Path::new(&state.workdir).exists());
}

#[tokio::test]
async fn a_link_in_place_of_an_output_is_not_followed() {
    let setup = Setup::new().await;
    let secret = setup.folder.path().join("secret");
    fs::write(&secret, "s3cret").unwrap();
    let script = format!("rm stdout.log; ln -s {} stdout.log; exec sleep 600", secret.display());
    let started = setup.start("a", sh(&script)).await.unwrap();
    let link = format!("{}/stdout.log", started.workdir);
    until("the link", async || fs::read_link(&link).is_ok()).await;
    let tail = setup.processes.tail(BINDING, "a", ProcessOutput::Stdout, 100).await;
    assert!(matches!(tail, Err(ProcessError::Failed(_))), "{tail:?}");
    setup.processes.stop(BINDING, "a", 0).await.unwrap();
    let again = setup.start("a", sh("echo over >&1")).await.unwrap();
    assert_eq!(again.phase, ProcessPhase::Failed);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "s3cret");
    setup.end("a").await;
    assert!(secret.exists());
}

#[tokio::test]
async fn no_more_processes_run_than_are_granted() {
    let setup = Setup::new().await;
    let grant = Grant { count_max: 1, ..grant() };
    let start =
        async |name: &str| setup.processes.start(BINDING, &grant, name, sh("exec sleep 600")).await;
    start("a").await.unwrap();
    assert_eq!(start("b").await, Err(ProcessError::Quota));
    setup.end("a").await;
    start("b").await.unwrap();
    setup.end("b").await;
}

#[tokio::test]
async fn processes_are_found_again_by_another_server_and_keep_their_ports() {
    let setup = Setup::new().await;
    let spec = ProcessSpec { ports: vec![port("http")], ..sh("exec sleep 600") };
    let first = setup.start("a", spec.clone()).await.unwrap();

    let again = setup.again().await;
    let found = again.status(BINDING, "a").await.unwrap();
    assert_eq!((found.phase, found.pid), (ProcessPhase::Running, first.pid));
    assert_eq!(found.ports, first.ports);
    assert_eq!(again.ports(BINDING), [first.ports[0].number]);
    let same = again.start(BINDING, &grant(), "a", spec).await.unwrap();
    assert_eq!(same.pid, first.pid, "it was not started twice");

    let stopped = again.stop(BINDING, "a", 0).await.unwrap();
    assert_eq!(stopped.phase, ProcessPhase::Stopped);
    assert!(!exists(first.pid.unwrap()));
}

#[tokio::test]
async fn a_process_that_ended_meanwhile_is_not_taken_for_another() {
    let setup = Setup::new().await;
    let started = setup.start("a", sh("exec sleep 600")).await.unwrap();
    let entry = setup.processes.supervisor.find(&key(BINDING, "a")).unwrap();
    // As if the pid had been given to somebody else since.
    let stranger = entry.record().map(|it| Process { started_ticks: Some(1), ..it }).unwrap();
    setup.processes.supervisor.write(&stranger).await.unwrap();

    let again = setup.again().await;
    let found = again.status(BINDING, "a").await.unwrap();
    assert_eq!((found.phase, found.pid), (ProcessPhase::Exited, None));
    assert!(exists(started.pid.unwrap()), "the stranger was left alone");
    setup.end("a").await;
}

#[tokio::test]
async fn an_intention_without_a_pid_finds_its_process_by_the_mark() {
    let setup = Setup::new().await;
    let started = setup.start("a", sh("exec sleep 600")).await.unwrap();
    let record = setup.processes.supervisor.find(&key(BINDING, "a")).unwrap().record().unwrap();
    // As if the server had died between the start and its record.
    let intention =
        Process { phase: ProcessPhase::Starting, pid: None, started_ticks: None, ..record.clone() };
    setup.processes.supervisor.write(&intention).await.unwrap();
    let again = setup.again().await;
    let found = again.status(BINDING, "a").await.unwrap();
    assert_eq!((found.phase, found.pid), (ProcessPhase::Running, started.pid));
    again.stop(BINDING, "a", 0).await.unwrap();
    again.forget(BINDING, "a").await.unwrap();

    // As if it had died before the start.
    let nothing = Process { mark: "nobody".into(), name: "b".into(), ..intention };
    setup.processes.supervisor.write(&nothing).await.unwrap();
    let found = setup.again().await.status(BINDING, "b").await.unwrap();
    assert_eq!(found.phase, ProcessPhase::Failed);
    assert!(found.message.unwrap().contains("before it was started"));
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_any_more_is_still_recorded() {
    let setup = Setup::new().await;
    let state = async || setup.processes.status(BINDING, "a").await;
    // It is cut off while it watches whether the process stays.
    tokio::select! {
        biased;
        () = until("it is announced", async || state().await.is_ok()) => {}
        ended = setup.start("a", sh("exec sleep 600")) => panic!("not cut off: {ended:?}"),
    }
    let running = async || state().await.is_ok_and(|it| it.phase == ProcessPhase::Running);
    until("it runs", running).await;
    setup.end("a").await;
}

#[tokio::test]
async fn a_child_that_dropped_the_mark_ends_with_its_group() {
    let setup = Setup::new().await;
    let script = "env -i sleep 600 & echo $! > child; exec sleep 600";
    let started = setup.start("a", sh(script)).await.unwrap();
    let path = Path::new(&started.workdir).join("child");
    let read = || fs::read_to_string(&path).ok()?.trim().parse::<u32>().ok();
    let unmarked = |pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|it| it.is_empty());
    until("a child without a mark", async || read().is_some_and(unmarked)).await;
    let child = read().unwrap();

    os::kill_all(&[started.pid.unwrap()]);
    let ended = async || setup.processes.status(BINDING, "a").await.unwrap().pid.is_none();
    until("the leader has ended", ended).await;
    assert!(exists(child));

    setup.processes.forget(BINDING, "a").await.unwrap();
    assert!(!exists(child));
}

#[tokio::test]
async fn what_a_launcher_without_a_recorded_pid_has_left_is_ended() {
    let setup = Setup::new().await;
    let started = setup.start("a", sh("sleep 600 & echo $! > child")).await.unwrap();
    let ended = async || setup.processes.status(BINDING, "a").await.unwrap().pid.is_none();
    until("the launcher has ended", ended).await;
    let path = Path::new(&started.workdir).join("child");
    let child: u32 = fs::read_to_string(path).unwrap().trim().parse().unwrap();
    let entry = setup.processes.supervisor.find(&key(BINDING, "a")).unwrap();
    entry.record.send_modify(|it| it.as_mut().unwrap().pid = None);
    assert!(exists(child));

    setup.processes.forget(BINDING, "a").await.unwrap();
    assert!(!exists(child));
}

#[tokio::test]
async fn of_many_starts_at_once_no_more_are_let_in_than_are_granted() {
    let setup = Setup::new().await;
    let grant = Grant { count_max: 2, ..grant() };
    let names: Vec<String> = (0..8).map(|it| format!("p{it}")).collect();
    let starts =
        names.iter().map(|it| setup.processes.start(BINDING, &grant, it, sh("exec sleep 600")));
    let started = futures::future::join_all(starts).await;
    assert_eq!(started.iter().filter(|it| it.is_ok()).count(), 2, "{started:?}");
    for (name, _) in names.iter().zip(&started).filter(|(_, it)| it.is_ok()) {
        setup.end(name).await;
    }
}

#[tokio::test]
async fn starting_and_forgetting_at_once_never_leaves_a_process_that_nobody_knows() {
    let setup = Setup::new().await;
    for _ in 0..20 {
        let script = || sh("exec sleep 600");
        setup.start("a", sh("exit 0")).await.unwrap();
        let ended = async || setup.processes.status(BINDING, "a").await.unwrap().pid.is_none();
        until("ended", ended).await;
        let (forgotten, started) =
            tokio::join!(setup.processes.forget(BINDING, "a"), setup.start("a", script()));
        drop(forgotten);
        let pid = started.unwrap().pid.unwrap();
        assert_eq!(setup.processes.status(BINDING, "a").await.unwrap().pid, Some(pid));
        setup.end("a").await;
        assert!(!exists(pid));
    }
}
