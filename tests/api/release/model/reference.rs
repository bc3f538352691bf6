//! What a release must be after each thing that is done to it: the rules of the
//! engine, without stores, servers and time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chandlery::{
    release::model::StatusCode,
    store::operations::{Kind, Phase, StepState},
};

use super::platform::{Call, Fault, Faults, named};

mod open;

pub(super) const SAME: &str = "Package to upgrade has no difference than existing";
const UNDERWAY: &str = "Upgrade install underway";
const ROLLBACK_UNDERWAY: &str = "Initial install underway";
const NOT_DEPLOYED: &str = "Could not deploy app.";
const CANCELLED: &str = "Cancelled after N ms.";
const NOT_UNDONE: &str = "Could not delete replacing release application, Manual intervention \
                          needed.  Sorry it didn't work out.";
const NOT_RETIRED: &str = "Could not delete existing application, manual intervention needed.  \
                           Sorry it didn't work out.";
/// After so many attempts what cannot be taken away is left.
const ATTEMPTS_MAX: u32 = 10;

/// Applications by name, with their versions.
pub(super) type Apps = Vec<(String, u32)>;
/// One edge of the state machine that was walked: a kind, and two phases of it.
pub(super) type Edge = [String; 3];

/// What the platform does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Weather {
    pub(super) faults: Faults,
    pub(super) sick: BTreeSet<(String, String)>,
}

/// An application on the platform.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) app: String,
    pub(super) id: String,
}

/// A version of the release.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) status: StatusCode,
    pub(super) says: String,
    pub(super) placed: Vec<Placed>,
}

/// One application's part of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) placed: Placed,
    pub(super) state: StepState,
    /// Whether the deployer has said what it is called.
    pub(super) is_known: bool,
    pub(super) has_failed: bool,
    pub(super) count: u32,
}

/// What is being done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Doing {
    pub(super) kind: Kind,
    pub(super) phase: Phase,
    pub(super) version: u32,
    pub(super) source: Option<u32>,
    pub(super) parts: Vec<Part>,
    pub(super) kept: Vec<Placed>,
    pub(super) retired: Vec<Part>,
    pub(super) timeout_ms: u64,
    pub(super) is_late: bool,
    pub(super) is_cancelled: bool,
    pub(super) attempts: u32,
    /// What the new version says if it does not come about.
    pub(super) says: Option<String>,
    /// Whether it has ended and left something running.
    pub(super) leaves: bool,
}

/// How an upgrade is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Patience {
    pub(super) timeout_ms: u64,
    /// Whether it will be cancelled when it waits.
    pub(super) is_cancelled: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// The release in that version and status.
    Release(u32, StatusCode),
    /// Busy with that.
    Busy(Kind, Kind),
    /// An error of that status that says this; of any where it is 0.
    Refused(u16, String),
}

/// A release.
#[derive(Clone, Debug, Default)]
pub(super) struct Release {
    pub(super) name: String,
    pub(super) versions: Vec<Version>,
    /// The applications of each version, and of the one that is tried.
    pub(super) wants: BTreeMap<u32, Apps>,
    /// The operation that is open, or ended last.
    pub(super) doing: Option<Doing>,
    /// How many instances the platform runs, by the id.
    pub(super) running: BTreeMap<String, u32>,
    pub(super) edges: BTreeSet<Edge>,
    /// Operations that this model has begun, to tell their ids apart.
    pub(super) begun: u32,
}

/// What of it is looked at: ids without the operation that made them.
#[derive(PartialEq)]
pub(super) struct Seen {
    versions: Vec<(StatusCode, String, Vec<String>)>,
    doing: Option<(Kind, Phase, u32, bool, bool)>,
    running: Vec<(String, u32)>,
}

impl Doing {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Done | Phase::Failed)
    }
}

impl Release {
    pub(super) fn new(name: String) -> Release {
        Release { name, ..Release::default() }
    }

    pub(super) fn open(&self) -> Option<&Doing> {
        self.doing.as_ref().filter(|it| it.is_open())
    }

    pub(super) fn seen(&self) -> Seen {
        let plain = |id: &str| id.split('#').next().unwrap_or_default().to_owned();
        let version = |it: &Version| {
            let is_running = it.status == StatusCode::Deployed;
            let placed = it.placed.iter().filter(|_| is_running).map(|it| plain(&it.id));
            (it.status, it.says.clone(), placed.collect())
        };
        let doing = self.doing.as_ref();
        let mut running: Vec<_> = self.running.iter().map(|(id, it)| (plain(id), *it)).collect();
        running.sort();
        Seen {
            versions: self.versions.iter().map(version).collect(),
            doing: doing.map(|it| (it.kind, it.phase, it.version, it.is_cancelled, it.leaves)),
            running,
        }
    }

    fn next_version(&self) -> u32 {
        self.versions.len() as u32 + 1
    }

    fn version(&mut self, number: u32) -> &mut Version {
        &mut self.versions[number as usize - 1]
    }

    /// The greatest version below that one of which this is true.
    fn newest(&self, below: u32, is_it: impl Fn(StatusCode) -> bool) -> Option<u32> {
        let numbers = (1..=self.versions.len() as u32).rev().filter(|it| *it < below);
        numbers.into_iter().find(|it| is_it(self.versions[*it as usize - 1].status))
    }

    fn settled_below(&self, below: u32) -> Option<u32> {
        self.newest(below, |it| matches!(it, StatusCode::Deployed | StatusCode::Deleted))
    }

    fn status(&self, number: u32) -> StatusCode {
        self.versions[number as usize - 1].status
    }

    fn busy(&self, wanted: Kind) -> Option<Answer> {
        self.open().map(|it| Answer::Busy(wanted, it.kind))
    }

    fn unknown(&self) -> Answer {
        Answer::Refused(404, format!("Release with the name [{}] doesn't exist", self.name))
    }

    /// Installs it.
    pub(super) fn install(&mut self, weather: &mut Weather, apps: &Apps) -> Answer {
        if let Some(busy) = self.busy(Kind::Install) {
            return busy;
        }
        let last = self.newest(u32::MAX, |it| it != StatusCode::Failed);
        if last.is_some_and(|it| self.status(it) != StatusCode::Deleted) {
            let name = &self.name;
            let why = format!("Release with the name [{name}] already exists and it is not");
            return Answer::Refused(409, why);
        }
        self.put(weather, Kind::Install, apps)
    }

    fn put(&mut self, weather: &mut Weather, kind: Kind, apps: &Apps) -> Answer {
        let number = self.next_version();
        self.wants.insert(number, apps.clone());
        let names: Vec<String> = apps.iter().map(|it| it.0.clone()).collect();
        self.begin(kind, number, names.clone());
        if !self.is_valid(weather) || !self.start(weather) {
            self.to(Phase::Undoing);
            self.undo(weather);
            return Answer::Refused(0, String::new());
        }
        let placed = self.placed(&names);
        let (status, says) = (StatusCode::Deployed, "Install complete".to_owned());
        self.versions.push(Version { status, says, placed });
        self.to(Phase::Done);
        Answer::Release(number, status)
    }

    /// Upgrades it.
    pub(super) fn upgrade(
        &mut self,
        weather: &mut Weather,
        apps: &Apps,
        patience: Patience,
    ) -> Answer {
        if let Some(busy) = self.busy(Kind::Upgrade) {
            return busy;
        }
        match self.settled_below(u32::MAX) {
            None => self.unknown(),
            Some(source) => self.replace(weather, Kind::Upgrade, source, apps, patience),
        }
    }

    /// Rolls it back to that version, or the one before where it is none.
    pub(super) fn roll_back(
        &mut self,
        weather: &mut Weather,
        version: u32,
        patience: Patience,
    ) -> Answer {
        if let Some(busy) = self.busy(Kind::Rollback) {
            return busy;
        }
        let Some(source) = self.settled_below(u32::MAX) else { return self.unknown() };
        let target = match version {
            0 => self.settled_below(source),
            it => Some(it).filter(|it| *it <= self.versions.len() as u32),
        };
        let Some(target) = target else {
            return Answer::Refused(404, "doesn't exist".to_owned());
        };
        if !matches!(self.status(target), StatusCode::Deployed | StatusCode::Deleted) {
            let why = "Rollback version should either be in deployed or deleted status.";
            return Answer::Refused(409, why.to_owned());
        }
        let apps = self.wants[&target].clone();
        match self.status(source) {
            StatusCode::Deleted => self.put(weather, Kind::Rollback, &apps),
            _ => self.replace(weather, Kind::Rollback, source, &apps, patience),
        }
    }

    fn replace(
        &mut self,
        weather: &mut Weather,
        kind: Kind,
        source: u32,
        apps: &Apps,
        patience: Patience,
    ) -> Answer {
        let old = self.wants[&source].clone();
        if old.iter().collect::<BTreeSet<_>>() == apps.iter().collect() {
            return Answer::Refused(409, SAME.to_owned());
        }
        let runs = self.status(source) == StatusCode::Deployed;
        let placed = self.version(source).placed.clone();
        let stays = |it: &(String, u32)| {
            runs && old.contains(it) && placed.iter().any(|placed| placed.app == it.0)
        };
        let changed = apps.iter().filter(|it| !stays(it)).map(|it| it.0.clone()).collect();
        let number = self.next_version();
        self.wants.insert(number, apps.clone());
        self.begin(kind, number, changed);
        let doing = self.doing();
        (doing.source, doing.timeout_ms) = (Some(source), patience.timeout_ms);
        for it in placed.iter().filter(|_| runs).cloned() {
            match apps.iter().any(|app| app.0 == it.app && stays(app)) {
                true => doing.kept.push(it),
                false => doing.retired.push(Part::of(it, true)),
            }
        }
        if !self.is_valid(weather) {
            self.to(Phase::Undoing);
            self.undo(weather);
            return Answer::Refused(0, String::new());
        }
        let says = if kind == Kind::Upgrade { UNDERWAY } else { ROLLBACK_UNDERWAY };
        let status = StatusCode::Unknown;
        self.versions.push(Version { status, says: says.to_owned(), placed: Vec::new() });
        if !self.start(weather) {
            self.fail(weather, NOT_DEPLOYED.to_owned());
            return Answer::Release(number, StatusCode::Failed);
        }
        let names: Vec<String> = apps.iter().map(|it| it.0.clone()).collect();
        self.version(number).placed = self.placed(&names);
        self.to(Phase::Waiting);
        self.doing().is_cancelled = patience.is_cancelled;
        self.go_on(weather);
        Answer::Release(number, StatusCode::Unknown)
    }

    /// Changes how many instances of an application run.
    pub(super) fn scale(&mut self, weather: &mut Weather, app: &str, count: u32) -> Answer {
        if let Some(busy) = self.busy(Kind::Scale) {
            return busy;
        }
        let running = self.newest(u32::MAX, |it| it == StatusCode::Deployed);
        let Some(number) = running.or_else(|| self.newest(u32::MAX, |_| true)) else {
            return self.unknown();
        };
        let placed = self.version(number).placed.iter().find(|it| it.app == app).cloned();
        let status = self.status(number);
        let Some(placed) = placed.filter(|_| status == StatusCode::Deployed) else {
            return Answer::Release(number, status);
        };
        self.begin(Kind::Scale, number, Vec::new());
        self.doing().parts = vec![Part { count, ..Part::of(placed, true) }];
        match self.scale_all(weather) {
            true => Answer::Release(number, status),
            false => Answer::Refused(409, format!("Could not scale application [{app}]: ")),
        }
    }

    fn scale_all(&mut self, weather: &mut Weather) -> bool {
        for index in 0..self.doing().parts.len() {
            let Part { placed, count, state, .. } = self.doing().parts[index].clone();
            if state == StepState::Done {
                continue;
            }
            if weather.fault(Call::Scale, &placed.id).is_some() {
                self.to(Phase::Failed);
                return false;
            }
            self.running.insert(placed.id, count);
            self.doing().parts[index].state = StepState::Done;
        }
        self.to(Phase::Done);
        true
    }

    /// Deletes it.
    pub(super) fn delete(&mut self, weather: &mut Weather) -> Answer {
        if let Some(busy) = self.busy(Kind::Delete) {
            return busy;
        }
        let Some(number) = self.newest(u32::MAX, |it| it == StatusCode::Deployed) else {
            return self.unknown();
        };
        self.begin(Kind::Delete, number, Vec::new());
        let placed = self.version(number).placed.clone();
        self.doing().parts = placed.into_iter().map(|it| Part::of(it, true)).collect();
        self.take_off(weather);
        match self.open() {
            None => Answer::Release(number, StatusCode::Deleted),
            Some(_) => Answer::Refused(409, "is not deleted yet".to_owned()),
        }
    }

    fn take_off(&mut self, weather: &mut Weather) {
        self.doing().attempts += 1;
        let mut parts = std::mem::take(&mut self.doing().parts);
        let again = self.undeploy(weather, &mut parts);
        self.doing().parts = parts;
        if again && self.doing().attempts < ATTEMPTS_MAX {
            return;
        }
        let leaves = self.doing().parts.iter().any(|it| it.has_failed);
        self.doing().leaves = leaves;
        let number = self.doing().version;
        let version = self.version(number);
        (version.status, version.says) = (StatusCode::Deleted, "Delete complete".to_owned());
        self.to(Phase::Done);
    }

    /// Ends those that are left, and says whether some are to be tried again.
    fn undeploy(&mut self, weather: &mut Weather, parts: &mut [Part]) -> bool {
        let mut again = false;
        for part in parts.iter_mut().filter(|it| it.state != StepState::Done) {
            let fault = weather.fault(Call::Undeploy, &part.placed.id);
            if matches!(fault, None | Some(Fault::Trap)) {
                self.running.remove(&part.placed.id);
            }
            let passes = fault.is_some_and(|it| it != Fault::Permanent);
            again |= passes;
            part.has_failed = fault.is_some();
            part.state = if passes { StepState::Begun } else { StepState::Done };
        }
        again
    }

    /// Cancels what waits, and says whether there was something to cancel.
    pub(super) fn cancel(&mut self, weather: &mut Weather) -> bool {
        let waits = self.open().is_some_and(|it| it.phase == Phase::Waiting && !it.is_cancelled);
        if waits {
            self.doing().is_cancelled = true;
            self.go_on(weather);
        }
        waits
    }
}

impl Part {
    pub(super) fn of(placed: Placed, is_known: bool) -> Part {
        let state = StepState::Planned;
        Part { placed, state, is_known, has_failed: false, count: 1 }
    }
}

impl Weather {
    /// How that call fails now. What fails once is mended by it.
    fn fault(&mut self, call: Call, id: &str) -> Option<Fault> {
        let (release, app) = named(id);
        let broken = (call, release.to_owned(), app.to_owned());
        let fault = self.faults.get(&broken).copied();
        if fault.is_some_and(|it| it.is_over(call)) {
            self.faults.remove(&broken);
        }
        fault
    }

    fn is_healthy(&self, release: &Release, id: &str) -> bool {
        let (name, app) = named(id);
        let is_sick = self.sick.contains(&(name.to_owned(), app.to_owned()));
        release.running.contains_key(id) && !is_sick
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (status, says, placed)) in self.versions.iter().enumerate() {
            writeln!(out, "  {}: {status:?} {says:?} {placed:?}", index + 1)?;
        }
        writeln!(out, "  {:?} (cancelled, leaves)\n  runs {:?}", self.doing, self.running)
    }
}
