//! The author's workbench: cases against components, good and bad.

use std::{fs, path::Path};

use chandlery::{
    error::Error,
    plugins::shipped::SHIPPED,
    workbench::{Outcome, Tested, Workbench, read},
};
use chandlery_tests::guest::{self, Wat, attack};

/// Runs the cases of a file, in their order.
async fn run(component: &[u8], cases: &str) -> Vec<Tested> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.toml");
    fs::write(&file, cases).unwrap();
    let bench = Workbench::new(component.to_owned()).unwrap();
    let mut tested = Vec::new();
    for case in read(&file).unwrap() {
        tested.push(bench.run(&case).await.unwrap());
    }
    tested
}

#[track_caller]
fn failed(tested: &Tested, part: &str) {
    let Outcome::Failed(problems) = &tested.outcome else { panic!("it holds: {tested:?}") };
    assert!(problems.iter().any(|it| it.contains(part)), "{problems:?}");
}

#[tokio::test]
async fn every_shipped_plugin_holds_its_own_cases() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    for shipped in SHIPPED {
        let bench = Workbench::new(shipped.component.to_owned()).unwrap();
        let cases = fs::read_dir(plugins.join(shipped.name).join("cases"));
        let cases = cases.unwrap_or_else(|it| panic!("{} has no cases: {it}", shipped.name));
        for file in cases.map(|it| it.unwrap().path()) {
            for case in read(&file).unwrap() {
                let tested = bench.run(&case).await.unwrap();
                assert_eq!(tested.outcome, Outcome::Passed, "{}: {tested:?}", case.name);
                assert!(tested.used.guest.as_nanos() > 0 || tested.used.fuel == 0, "{tested:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_case_that_does_not_hold_says_what_differs() {
    let cases = r#"
        [[case]]
        name = "wrong code"
        input = { action = "release:install" }
        expect.deny = { code = "quota.low", message = "too much" }

        [[case]]
        name = "wrong verdict"
        input = { action = "release:install" }
        expect = "allow"

        [[case]]
        name = "right"
        input = { action = "release:install" }
        expect.deny = { code = "quota.exceeded" }
    "#;
    let tested = run(&guest::refusing_hook().component, cases).await;
    failed(&tested[0], r#"deny.code: expected "quota.low", found "quota.exceeded""#);
    failed(&tested[1], r#"the answer: expected "allow", found {"deny""#);
    assert_eq!(tested[2].outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_guest_meets_the_limits_of_the_server() {
    let cases = r#"
        [[case]]
        name = "time"
        limits = { guest_ms = 20 }
        input = { action = "x" }
        expect.failure = { contains = "limit `guest_ms` is 20" }
    "#;
    let looping = guest::policy(attack::LOOP);
    assert_eq!(run(&looping, cases).await[0].outcome, Outcome::Passed);
    let trapping = guest::policy(attack::TRAP);
    failed(&run(&trapping, cases).await[0], "it trapped");
    let cases = r#"
        [[case]]
        name = "memory"
        limits = { memory_bytes = 1_000_000, guest_ms = 10_000 }
        input = { action = "x" }
        expect.failure = { contains = "limit `memory_bytes` is 1000000" }
    "#;
    let greedy = guest::policy(attack::ALLOCATE);
    assert_eq!(run(&greedy, cases).await[0].outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_patch_needs_its_grant_and_is_shown_applied() {
    let cases = r#"
        [[case]]
        name = "granted"
        grants = { mutate = true }
        input = { action = "release:install", object = { name = "web" } }
        expect.mutate = { name = "web", team = "a" }

        [[case]]
        name = "not granted"
        input = { action = "release:install", object = { name = "web" } }
        expect.failure = { contains = "set `grants.mutate`" }
    "#;
    let patch = r#"[{"op":"add","path":"/team","value":"a"}]"#;
    for tested in run(&guest::patching_hook(patch).component, cases).await {
        assert_eq!(tested.outcome, Outcome::Passed);
    }
}

#[tokio::test]
async fn the_same_case_takes_the_same_fuel() {
    let case = r#"
        [[case]]
        name = "named"
        input = { action = "x", principal = { id = "user:ana" } }
        expect.effect = "allow"
    "#;
    let component = guest::named_only().component;
    let (one, other) = (run(&component, case).await, run(&component, case).await);
    assert!(one[0].used.fuel > 0 && one[0].used.memory_bytes >= 64 << 10, "{one:?}");
    assert_eq!(one[0].used.fuel, other[0].used.fuel);
}

const POSTING: &str = r#"
    kind = "after-hook"
    settings = { urls = [{ url = "https://chat.example.org/in" }] }
    grants = { clock = true, http = { origins = ["https://chat.example.org"] }, secrets = {} }

    [[case]]
    name = "one"
    input.events = [{ action = "package:upload" }]
    expect = ["retry"]
"#;

#[tokio::test]
async fn what_nothing_answers_and_what_was_never_sent_fail_a_case() {
    let hook = chandlery::plugins::shipped::shipped("hook-webhook").unwrap().component;
    failed(
        &run(hook, POSTING).await[0],
        "http: nothing answers POST https://chat.example.org/in with",
    );
    let other = format!("{POSTING}\n[[case.http]]\nurl = 'https://chat.example.org/other'\n");
    failed(
        &run(hook, &other).await[0],
        "http: any method https://chat.example.org/other was never",
    );
    let unheard = format!("{POSTING}\nlog = ['hello']\n[[case.http]]\nerror = 'timeout'\n");
    failed(&run(hook, &unheard).await[0], r#"log: no line contains "hello""#);
    let odd = format!("{POSTING}\n[[case.http]]\nerror = 'sleepy'\n");
    failed(&run(hook, &odd).await[0], r#""sleepy" is no `http-error`"#);
}

#[tokio::test]
async fn an_answer_of_the_world_is_held_to_the_grant() {
    let hook = chandlery::plugins::shipped::shipped("hook-webhook").unwrap().component;
    let private = r#"
        kind = "after-hook"
        settings = { urls = [{ url = "http://10.0.0.1/in" }] }
        [grants]
        clock = true
        http = { origins = ["http://10.0.0.1"] }
        secrets = {}

        [[case]]
        name = "a private address"
        input.events = [{ action = "package:upload" }]
        log = ["which is not a public address"]
        expect = ["retry"]
    "#;
    assert_eq!(run(hook, private).await[0].outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_case_that_makes_no_sense_is_told_from_one_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.toml");
    let bench = Workbench::new(guest::passing_hook().component.to_vec()).unwrap();
    for (case, part) in [
        ("input = {}", "case `x`: `input`: missing field `action`"),
        ("call = 'render'\ninput.templates = []", "it does not export"),
        ("kind = 'singer'", "`singer` is not a kind of plugin"),
        ("kind = 'policy'\ncall = 'review'", "a policy has no such call"),
        ("input.action = 'x'\ngrants.http.origins = ['nowhere']", "`nowhere` is no origin"),
        ("input.action = 'x'\nartifacts.a = { file = 'none' }", "`none` cannot be read"),
    ] {
        fs::write(&file, format!("[[case]]\nname = 'x'\nexpect = 1\n{case}")).unwrap();
        let said = match bench.run(&read(&file).unwrap()[0]).await {
            Ok(tested) => tested.answer.to_string(),
            Err(error @ Error::Invalid { .. }) => error.to_string(),
            Err(error) => panic!("{error}"),
        };
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn the_clock_stands_still_and_chance_repeats_itself() {
    // Two looks at the clock and four bytes of chance, in the denial's code and message.
    let body = "(local $first i64)
        (local.set $first (call $clock-now))
        (if (i64.ne (local.get $first) (call $clock-now)) (then (unreachable)))
        (if (i64.ne (local.get $first) (i64.const 1767225600000)) (then (unreachable)))
        (if (i64.ge_u (call $clock-monotonic-ns) (call $clock-monotonic-ns)) (then (unreachable)))
        (i32.const 0)";
    let hook = Wat::new("validating-hook")
        .import("clock", "now")
        .import("clock", "monotonic-ns")
        .on("validating#review", body);
    let case = r#"
        grants = { clock = true }
        [[case]]
        name = "still"
        input.action = "x"
        expect = "allow"
    "#;
    assert_eq!(run(&hook.component(), case).await[0].outcome, Outcome::Passed);
}
