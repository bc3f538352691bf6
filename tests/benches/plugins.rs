//! What a guest costs, as ratios within one run.
//!
//! Absolute figures depend on the machine; the aims are of the issue that built
//! the runtime. Run with `cargo bench -p chandlery-tests --bench plugins`.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use chandlery::{
    authz::{Label, Principal, PrincipalKind, Target},
    plugins::{
        Binding, Kind, PluginSet,
        policy::{Decision, Effect, Question},
        validating_hook::Operation,
    },
};
use chandlery_tests::{
    Host,
    guest::{self, Wat, attack},
};

const ROUNDS: usize = 20_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::spawn(run()).await.expect("no panic") });
}

async fn run() {
    let host = Host::with(Vec::new()).await;
    let policy = policy().await;
    let name = policy.name.clone();
    let set = host.app.plugins.build(vec![policy, guest::passing_hook()]).await;
    let set = Arc::new(set.expect("the plugins are fine"));
    decisions(&set, &name).await;
    hooks(&set).await;
    runaways(&host).await;
}

/// The shipped policy: what every request pays for.
async fn policy() -> Binding {
    let shipped = chandlery::config::Config::default();
    let shipped = chandlery::config::plugins::bindings(&shipped).await;
    let mut shipped = shipped.expect("the shipped plugins are built").into_iter();
    shipped.find(|it| it.kind == Kind::Policy).expect("a policy is among the shipped plugins")
}

async fn decisions(set: &PluginSet, policy: &str) {
    let question = question();
    let native = median(|| black_box(natively(black_box(&question))));
    let fresh = median(|| set.authorize(black_box(&question)).expect("an answer"));
    let mut kept = set.keep(policy).expect("a guest");
    let kept = median(|| kept.authorize(black_box(&question)).expect("an answer"));
    let hop = hop(&question).await;
    println!("policy `{policy}`, one decision, median of {ROUNDS}:");
    row("native call", native, native, "");
    row("kept guest", kept, native, &aim(kept, 2));
    row("fresh guest", fresh, native, &aim(fresh, 12));
    row("native call over spawn_blocking", hop, native, "");
    let below = if fresh < hop { "met" } else { "MISSED" };
    println!("  fresh guest / hop = {:.2} (aim: below 1, {below})", ratio(fresh, hop));
}

async fn hooks(set: &PluginSet) {
    let operation = operation();
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let operation = operation.clone();
        let began = Instant::now();
        black_box(set.review(operation).await.expect("it passes"));
        times.push(began.elapsed());
    }
    let hook = at(times, 0.5);
    println!("before-hook, full path, median of {ROUNDS}:");
    row("fresh guest", hook, hook, &aim(hook, 20));
}

async fn runaways(host: &Host) {
    let rogue = Wat::new("validating-hook").on("validating#review", attack::LOOP);
    let mut rogue = guest::binding("rogue", Kind::BeforeHook, rogue.component());
    rogue.limits.guest_ms = Some(60_000);
    rogue.limits.wall_ms = Some(60_000);
    let set = Arc::new(host.app.plugins.build(vec![rogue]).await.expect("it is a component"));
    let guests: Vec<_> = (0..2)
        .map(|_| {
            let set = set.clone();
            tokio::spawn(async move { set.review(operation()).await.map(|_| ()) })
        })
        .collect();
    let mut times = Vec::new();
    for _ in 0..400 {
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(5)).await;
        times.push(began.elapsed());
    }
    for guest in guests {
        guest.abort();
    }
    println!("a 5 ms timer beside two runaway guests on two workers:");
    let (half, most) = (at(times.clone(), 0.5), at(times, 0.99));
    row("median", half, Duration::from_millis(5), "");
    row("p99", most, Duration::from_millis(5), &aim(most, 25_000));
}

/// What the policy does, without a guest: the same data in, the same data out.
fn natively(question: &Question) -> Decision {
    let question = question.clone();
    let local = question.context.iter().any(|it| it.key == "listen" && it.value == "loopback");
    let open = question.context.iter().any(|it| it.key == "accounts" && it.value == "none");
    Decision {
        effect: if local && open { Effect::Allow } else { Effect::Deny },
        reason: Some(format!("{} may {}", question.principal.id, question.action)),
        rules: vec!["local".to_owned()],
        obligations: Vec::new(),
        cache_ms: 0,
    }
}

async fn hop(question: &Question) -> Duration {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let question = question.clone();
        let began = Instant::now();
        let decision = tokio::task::spawn_blocking(move || natively(&question)).await;
        black_box(decision.expect("no panic"));
        times.push(began.elapsed());
    }
    at(times, 0.5)
}

fn median<T>(mut work: impl FnMut() -> T) -> Duration {
    for _ in 0..ROUNDS / 10 {
        black_box(work());
    }
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        black_box(work());
        times.push(began.elapsed());
    }
    at(times, 0.5)
}

fn at(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort();
    times[((times.len() - 1) as f64 * share) as usize]
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn aim(time: Duration, micros: u64) -> String {
    let met = if time <= Duration::from_micros(micros) { "met" } else { "MISSED" };
    format!("aim: {micros} µs, {met}")
}

fn row(what: &str, time: Duration, base: Duration, note: &str) {
    let micros = time.as_secs_f64() * 1e6;
    println!("  {what:<34}{micros:>10.2} µs  × {:>8.1}  {note}", ratio(time, base));
}

fn target() -> Target {
    Target {
        kind: "version".into(),
        namespace: "acme".into(),
        name: "web".into(),
        version: Some("1.2.3".into()),
        labels: Vec::new(),
    }
}

fn principal() -> Principal {
    Principal {
        id: "anonymous".into(),
        kind: PrincipalKind::Anonymous,
        groups: Vec::new(),
        roles: Vec::new(),
        claims: Vec::new(),
    }
}

fn question() -> Question {
    let label = |key: &str, value: &str| Label { key: key.into(), value: value.into() };
    Question {
        principal: principal(),
        action: "inventory:version:read".into(),
        target: target(),
        context: vec![
            label("listen", "loopback"),
            label("accounts", "none"),
            label("method", "GET"),
            label("remote", "127.0.0.1"),
        ],
    }
}

fn operation() -> Operation {
    Operation {
        id: "op-1".into(),
        action: "inventory:version:register".into(),
        target: target(),
        actor: principal(),
        request: None,
        dry_run: false,
        object: r#"{"name":"web","version":"1.2.3","description":"an application"}"#.into(),
        previous: None,
    }
}
