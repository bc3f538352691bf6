//! The real server on that platform, and what the rules say of each of its releases.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chandlery::{
    plugins::{Binding, Kind as PluginKind, shipped::shipped},
    store::{
        Store,
        operations::{self, Kind, Phase},
    },
};
use chandlery_tests::{Answer as Said, Host, PATIENCE, Remains, dry_run, guest};
use serde_json::json;
use tokio::{runtime::Runtime, task::JoinHandle};

use super::{
    asking::{Ask, carry_out, check, request},
    platform::{Call, Fault, Faults, Gate, Platform},
    reading::{self, Known, check_alive},
    reference::{Answer, Doing, Edge, Release, Weather},
};

/// Between two looks at what becomes of something.
const PAUSE: Duration = Duration::from_millis(3);

/// What is done to the world. The number says to which release.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Ask(usize, Ask),
    /// The same, with a call of the platform held in the midst of it.
    Held(usize, Ask, Hold),
    Cancel(usize),
    Break(usize, Call, String, Fault),
    /// All that is broken for it is mended.
    Mend(usize),
    Sicken(usize, String),
    Heal(usize),
    Crash(Crash),
}

/// Which call is held, and what happens then.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hold {
    pub(super) call: Call,
    pub(super) passes: u32,
    pub(super) is_done: bool,
    pub(super) then: Then,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Then {
    Crash(Crash),
    Cancel,
    /// Others come and want something of the same release.
    Others,
}

/// The server is killed and started again. While it is away:
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Crash {
    /// All that is broken is mended.
    pub(super) mends: bool,
    /// The time of what waits is over.
    pub(super) is_late: bool,
    /// What could not be taken away was tried so often that one attempt is left.
    pub(super) is_last: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    pub(super) edges: BTreeSet<Edge>,
    /// In which phases the server was killed.
    pub(super) crashes: BTreeSet<[String; 2]>,
    pub(super) steps: usize,
    pub(super) lives: u64,
}

/// A release, and the operations of it that were seen.
struct Subject {
    model: Release,
    known: Known,
}

/// All of it.
pub(super) struct World {
    platform: Platform,
    life: Option<(Runtime, Host)>,
    remains: Option<Remains>,
    lives: u64,
    sequences: u32,
    subjects: Vec<Subject>,
    weather: Weather,
    pub(super) coverage: Coverage,
}

impl World {
    pub(super) fn start() -> World {
        let platform = Platform::start();
        let mut world = World {
            life: None,
            remains: None,
            lives: 0,
            sequences: 0,
            subjects: Vec::new(),
            weather: Weather::default(),
            coverage: Coverage::default(),
            platform,
        };
        world.begin_life(None);
        let (runtime, host) = world.life.as_ref().expect("it lives");
        for version in dry_run::VERSIONS {
            let upload = dry_run::upload(version);
            runtime.block_on(host.post("/api/package/upload", &upload)).expect(201);
        }
        world
    }

    fn begin_life(&mut self, remains: Option<Remains>) {
        self.lives += 1;
        self.coverage.lives = self.lives;
        self.platform.begin(self.lives);
        let number = self.lives;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().expect("there are threads");
        let change = |config: &mut chandlery::config::Config| {
            let accounts = [("default".to_owned(), json!(number))];
            config.platforms.insert("model".to_owned(), accounts.into());
            config.releases.health_check_ms = 20;
        };
        let host = runtime.block_on(async {
            match remains {
                Some(remains) => remains.config(change).start().await,
                None => {
                    let plugins = bindings(&self.platform);
                    Host::builder().plugins(plugins).config(change).in_memory().start().await
                }
            }
        });
        self.life = Some((runtime, host));
    }

    /// Does all of it to releases of its own, and brings them to an end.
    pub(super) fn run(&mut self, steps: &[Step]) {
        self.sequences += 1;
        let name = |it: &str| format!("m{}{it}", self.sequences);
        let subject = |it: &str| Subject { model: Release::new(name(it)), known: Known::default() };
        self.subjects = vec![subject("a"), subject("b")];
        self.weather = Weather::default();
        self.platform.let_go();
        self.tell_platform();
        if self.life.is_none() {
            let remains = self.remains.take();
            self.begin_life(remains);
        }
        for step in steps {
            self.coverage.steps += 1;
            self.step(step.clone());
            self.platform.check();
        }
        self.weather.sick.clear();
        self.tell_platform();
        for index in 0..self.subjects.len() {
            self.heal(index);
        }
        if self.subjects.iter().any(|it| it.model.open().is_some()) {
            self.crash(Crash { mends: true, ..Crash::default() }, None);
        }
        let open = self.subjects.iter().find_map(|it| it.model.open());
        assert!(open.is_none(), "{open:?} stays open");
    }

    /// Ends the server, and looks at whether its records hold together.
    pub(super) fn stop(mut self) -> Coverage {
        let (runtime, host) = self.life.take().expect("it lives");
        runtime.block_on(async {
            let store = &host.app.store;
            assert!(store.verify_audit().await.expect("the chain holds") > 0);
            let open = store.read(|view| operations::open(view, "", 10)).await;
            assert_eq!(open.expect("it can be read"), []);
            host.stop().await;
        });
        self.coverage
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(index, ask) => self.ask(index, &ask, None),
            Step::Held(index, ask, hold) => self.ask(index, &ask, Some(hold)),
            Step::Cancel(index) => self.cancel(index),
            Step::Break(index, call, app, fault) => {
                let release = self.subjects[index].model.name.clone();
                self.change_faults(index, |it| {
                    it.insert((call, release, app), fault);
                });
            }
            Step::Mend(index) => {
                let release = self.subjects[index].model.name.clone();
                self.change_faults(index, |it| it.retain(|(_, of, _), _| *of != release));
            }
            Step::Sicken(index, app) => {
                let release = self.subjects[index].model.name.clone();
                self.weather.sick.insert((release, app));
                self.tell_platform();
            }
            Step::Heal(index) => {
                let release = self.subjects[index].model.name.clone();
                self.weather.sick.retain(|(of, _)| *of != release);
                self.tell_platform();
                self.heal(index);
            }
            Step::Crash(crash) => self.crash(crash, None),
        }
    }

    /// Not while something is tried again: that meets what was broken when it began.
    fn change_faults(&mut self, index: usize, change: impl FnOnce(&mut Faults)) {
        let phase = self.subjects[index].model.open().map(|it| it.phase);
        if phase.is_none_or(|it| it == Phase::Waiting) {
            change(&mut self.weather.faults);
            self.tell_platform();
        }
    }

    fn tell_platform(&self) {
        self.platform.set_faults(self.weather.faults.clone());
        self.platform.set_sick(self.weather.sick.clone());
    }

    fn heal(&mut self, index: usize) {
        let mut model = self.subjects[index].model.clone();
        model.healed(&mut self.weather);
        self.wait_for(index, model);
    }

    fn cancel(&mut self, index: usize) {
        let mut model = self.subjects[index].model.clone();
        let is_expected = model.cancel(&mut self.weather);
        assert_eq!(self.is_cancelled(&model.name), is_expected, "{model:#?}");
        self.wait_for(index, model);
    }

    fn is_cancelled(&self, release: &str) -> bool {
        let body = json!({ "releaseName": release });
        let (runtime, host) = self.life.as_ref().expect("it lives");
        let said = runtime.block_on(host.post("/api/release/cancel", &body)).expect(200);
        said.json()["accepted"].as_bool().expect("it is yes or no")
    }

    fn ask(&mut self, index: usize, ask: &Ask, hold: Option<Hold>) {
        let before = self.subjects[index].model.clone();
        // It would wait a while for what is decided already.
        if before.open().is_some_and(|it| it.phase == Phase::Retiring) {
            return;
        }
        let mut weather = self.weather.clone();
        let mut after = before.clone();
        let expected = carry_out(&mut after, &mut weather, ask, false);
        let waits = after.open().is_some_and(|it| it.phase == Phase::Waiting);
        let is_new = before.open().is_none();
        let hold = hold.filter(|_| is_new);
        let must_be_held = waits && hold.as_ref().is_some_and(|it| it.call == Call::Status);
        if let Some(Hold { call, passes, is_done, .. }) = hold.clone() {
            let release = before.name.clone();
            self.platform.hold(Gate { release, call, passes, is_done });
        }

        let asking = self.begin(&before.name, ask);
        let started = Instant::now();
        loop {
            if hold.is_some() && self.platform.is_held() {
                break;
            }
            if asking.is_finished() && !must_be_held && self.is_so(index, &after) {
                break;
            }
            if started.elapsed() > PATIENCE {
                let found = self.look(index).0.seen();
                panic!("{ask:?} is not {:?}\nbut {found:?}", after.seen());
            }
            std::thread::sleep(PAUSE);
        }
        let then = hold.filter(|_| self.platform.is_held()).map(|it| (it.then, it.call));
        match then {
            Some((Then::Crash(crash), _)) => {
                let answered = asking.is_finished();
                if answered {
                    check(&expected, ask, &self.answer(asking), &after.name);
                }
                let version = after.versions.len();
                let known = before.versions.len();
                let wants = after.wants.clone();
                self.subjects[index].model.wants = wants;
                self.subjects[index].model.begun = after.begun;
                self.crash(crash, Some(index));
                let found = self.subjects[index].model.versions.len();
                assert!((known..=version).contains(&found), "{known} {found} {version}");
                assert!(!answered || found == version, "{ask:?} was answered");
                return;
            }
            Some((Then::Cancel, _)) if self.is_cancelled(&before.name) => {
                after = before;
                weather = self.weather.clone();
                carry_out(&mut after, &mut weather, ask, true);
            }
            Some((Then::Others, call)) if call != Call::Status => self.others_come(index),
            _ => {}
        }
        self.platform.let_go();
        check(&expected, ask, &self.answer(asking), &after.name);
        self.weather = weather;
        self.wait_for(index, after);
    }

    /// Whoever else wants something of a release is told who has it, and nothing else
    /// becomes of it.
    fn others_come(&self, index: usize) {
        let (found, _) = self.look(index);
        let open = found.open().expect("a call is held, so something is being done");
        if open.phase == Phase::Retiring {
            return;
        }
        let apps = vec![("web".to_owned(), 99)];
        for (kind, ask) in [
            (Kind::Install, Ask::Install(apps.clone())),
            (Kind::Upgrade, Ask::Upgrade(apps, 0)),
            (Kind::Rollback, Ask::Rollback(0, 0)),
            (Kind::Scale, Ask::Scale("web".to_owned(), 3)),
            (Kind::Delete, Ask::Delete),
        ] {
            let asking = self.begin(&found.name, &ask);
            let said = self.answer(asking);
            check(&Answer::Busy(kind, open.kind), &ask, &said, &found.name);
        }
        assert!(!self.is_cancelled(&found.name), "only what waits can be cancelled");
        assert_eq!(self.look(index).0.seen(), found.seen());
    }

    /// Kills the server and starts it again. What was in flight then may be anywhere;
    /// all else is where it was.
    fn crash(&mut self, crash: Crash, in_flight: Option<usize>) {
        let (runtime, host) = self.life.take().expect("it lives");
        let remains = host.killed();
        runtime.shutdown_timeout(PATIENCE);
        self.platform.begin(0);
        let looking = Runtime::new().expect("there are threads");
        let store = looking.block_on(remains.store());
        self.weather.faults = self.platform.faults();
        if crash.mends {
            self.weather.faults.clear();
            self.tell_platform();
        }
        for index in 0..self.subjects.len() {
            let (mut found, known) = self.look_into(&store, index);
            let model = &self.subjects[index].model;
            if in_flight != Some(index) {
                assert_eq!(found.seen(), model.seen(), "what was killed has kept something else");
            }
            check_alive(model, &found);
            let change = reading::changed(&mut found, crash);
            if let Some(Doing { kind, phase, .. }) = found.open() {
                self.coverage.crashes.insert([format!("{kind:?}"), format!("{phase:?}")]);
            }
            if let Some(change) = change {
                let name = found.name.clone();
                let write = store.write_unaudited(move |view| {
                    let open = operations::open_of(view, &name)?;
                    let mut operation = open.expect("it is open");
                    change(&mut operation);
                    operations::advance(view, &mut operation)
                });
                looking.block_on(write).expect("it is kept");
            }
            self.subjects[index] = Subject { model: found, known };
        }
        looking.block_on(store.close()).expect("it closes");
        drop((store, looking));
        self.begin_life(Some(remains));
        for index in 0..self.subjects.len() {
            let mut model = self.subjects[index].model.clone();
            model.resume(&mut self.weather);
            self.wait_for(index, model);
        }
    }

    /// Waits until a release is what the rules say.
    fn wait_for(&mut self, index: usize, model: Release) {
        let started = Instant::now();
        while !self.is_so(index, &model) && started.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
        let (found, known) = self.look(index);
        assert_eq!(found.seen(), model.seen(), "`{}` is not what it must be", model.name);
        check_alive(&self.subjects[index].model, &found);
        self.coverage.edges.extend(model.edges.iter().cloned());
        let Release { wants, edges, begun, .. } = model;
        let model = Release { wants, edges, begun, ..found };
        self.subjects[index] = Subject { model, known };
    }

    fn is_so(&self, index: usize, model: &Release) -> bool {
        self.look(index).0.seen() == model.seen()
    }

    fn look(&self, index: usize) -> (Release, Known) {
        let (_, host) = self.life.as_ref().expect("it lives");
        self.look_into(&host.app.store, index)
    }

    /// What the store and the platform say of a release.
    fn look_into(&self, store: &Store, index: usize) -> (Release, Known) {
        let Subject { model, known } = &self.subjects[index];
        reading::release(store, &self.platform, model, known)
    }

    fn begin(&self, release: &str, ask: &Ask) -> JoinHandle<Said> {
        let (runtime, host) = self.life.as_ref().expect("it lives");
        let (api, request) = (host.api(), request(release, ask));
        runtime.spawn(async move { Said::of(api.answer(request).await).await })
    }

    fn answer(&self, asking: JoinHandle<Said>) -> Said {
        let (runtime, _) = self.life.as_ref().expect("it lives");
        let answered = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
        answered.expect("it is answered").expect("it does not panic")
    }
}

/// Everything is allowed, the shipped renderer renders, and the platform is ours.
fn bindings(platform: &Platform) -> Vec<Binding> {
    let mustache = shipped("template-mustache").expect("it is shipped").component.to_vec();
    let renderer = guest::binding("template-mustache", PluginKind::Renderer, mustache);
    vec![guest::allow_all(), renderer, platform.deployer()]
}
