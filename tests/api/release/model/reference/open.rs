//! What becomes of an operation that is open: by itself, and after a crash.

use super::*;

impl Release {
    /// What a server does that starts.
    pub(in super::super) fn resume(&mut self, weather: &mut Weather) {
        let Some(doing) = self.open() else { return };
        match (doing.kind, doing.phase) {
            (Kind::Scale, _) => drop(self.scale_all(weather)),
            (Kind::Delete, _) => self.take_off(weather),
            (_, Phase::Doing) => self.fail(weather, NOT_DEPLOYED.to_owned()),
            _ => self.go_on(weather),
        }
    }

    /// What becomes of it when its applications are healthy.
    pub(in super::super) fn healed(&mut self, weather: &mut Weather) {
        if self.open().is_some_and(|it| it.phase == Phase::Waiting) {
            self.watch(weather);
        }
    }

    /// What the engine does as soon as it can.
    pub(super) fn go_on(&mut self, weather: &mut Weather) {
        let Some(doing) = self.open() else { return };
        match doing.phase {
            Phase::Waiting => self.watch(weather),
            Phase::Retiring => self.retire(weather),
            Phase::Undoing => self.undo(weather),
            _ => {}
        }
    }

    pub(super) fn watch(&mut self, weather: &mut Weather) {
        let Doing { kind, version, timeout_ms, is_cancelled, is_late, .. } = *self.doing();
        let placed = self.version(version).placed.clone();
        if is_cancelled {
            self.fail(weather, CANCELLED.to_owned());
        } else if placed.iter().all(|it| weather.is_healthy(self, &it.id)) {
            let complete =
                if kind == Kind::Upgrade { "Upgrade complete" } else { "Rollback complete" };
            let version = self.version(version);
            (version.status, version.says) = (StatusCode::Deployed, complete.to_owned());
            self.to(Phase::Retiring);
            self.retire(weather);
        } else if timeout_ms == 0 || is_late {
            let says = format!(
                "Did not detect apps in replacing release as healthy after {timeout_ms} ms."
            );
            self.fail(weather, says);
        }
    }

    pub(super) fn retire(&mut self, weather: &mut Weather) {
        self.doing().attempts += 1;
        let mut parts = std::mem::take(&mut self.doing().retired);
        let again = self.undeploy(weather, &mut parts);
        let leaves = parts.iter().any(|it| it.has_failed);
        self.doing().retired = parts;
        if again && self.doing().attempts < ATTEMPTS_MAX {
            return;
        }
        self.doing().leaves = leaves;
        let source = self.doing().source.expect("it takes the place of one");
        let source = self.version(source);
        if source.status == StatusCode::Deployed {
            (source.status, source.says) = match leaves {
                false => (StatusCode::Deleted, "Delete complete".to_owned()),
                true => (StatusCode::Failed, NOT_RETIRED.to_owned()),
            };
        }
        self.to(Phase::Done);
    }

    pub(super) fn fail(&mut self, weather: &mut Weather, says: String) {
        self.doing().says = Some(says);
        self.to(Phase::Undoing);
        self.undo(weather);
    }

    pub(super) fn undo(&mut self, weather: &mut Weather) {
        self.doing().attempts += 1;
        let mut parts = std::mem::take(&mut self.doing().parts);
        let (mut again, mut left) = (false, false);
        let started = |it: &&mut Part| matches!(it.state, StepState::Begun | StepState::Done);
        for part in parts.iter_mut().rev().filter(started) {
            let fault = self.undo_one(weather, part);
            part.has_failed = fault.is_some();
            match fault {
                None => part.state = StepState::Undone,
                Some(it) => (left, again) = (true, again || it != Fault::Permanent),
            }
        }
        self.doing().parts = parts;
        if again && self.doing().attempts < ATTEMPTS_MAX {
            return;
        }
        self.doing().leaves = left;
        let number = self.doing().version;
        let says = match (left, self.doing().says.clone()) {
            (true, _) => NOT_UNDONE.to_owned(),
            (false, says) => says.unwrap_or_else(|| NOT_DEPLOYED.to_owned()),
        };
        if number as usize <= self.versions.len() {
            let version = self.version(number);
            (version.status, version.says) = (StatusCode::Failed, says);
        }
        self.to(Phase::Failed);
    }

    // What nobody knows of is asked for again, to be told what it is called.
    fn undo_one(&mut self, weather: &mut Weather, part: &mut Part) -> Option<Fault> {
        let id = part.placed.id.clone();
        if !part.is_known {
            if let Some(fault) = self.deploy(weather, &id) {
                return Some(fault);
            }
            part.is_known = true;
        }
        let fault = weather.fault(Call::Undeploy, &id);
        if matches!(fault, None | Some(Fault::Trap)) {
            self.running.remove(&id);
        }
        fault
    }

    fn deploy(&mut self, weather: &mut Weather, id: &str) -> Option<Fault> {
        let fault = weather.fault(Call::Deploy, id);
        if !matches!(fault, Some(Fault::Permanent | Fault::Trap)) {
            self.running.entry(id.to_owned()).or_insert(1);
        }
        fault
    }

    pub(super) fn begin(&mut self, kind: Kind, version: u32, apps: Vec<String>) {
        self.begun += 1;
        let (name, begun) = (&self.name, self.begun);
        let parts = apps.into_iter().map(|app| {
            let id = format!("{name}/{app}-v{version}#{begun}");
            Part::of(Placed { app, id }, false)
        });
        self.doing = Some(Doing {
            kind,
            phase: Phase::Doing,
            version,
            source: None,
            parts: parts.collect(),
            kept: Vec::new(),
            retired: Vec::new(),
            timeout_ms: 0,
            is_late: false,
            is_cancelled: false,
            attempts: 0,
            says: None,
            leaves: false,
        });
    }

    /// The applications are checked before any is started.
    pub(super) fn is_valid(&mut self, weather: &mut Weather) -> bool {
        let first = self.doing().parts.first().map(|it| it.placed.id.clone());
        first.is_none_or(|id| weather.fault(Call::Validate, &id).is_none())
    }

    /// Starts all, and says whether that went well.
    pub(super) fn start(&mut self, weather: &mut Weather) -> bool {
        for index in 0..self.doing().parts.len() {
            let id = self.doing().parts[index].placed.id.clone();
            let fault = self.deploy(weather, &id);
            let part = &mut self.doing().parts[index];
            part.has_failed = fault.is_some();
            part.is_known = fault.is_none();
            part.state = match fault {
                None => StepState::Done,
                Some(Fault::Permanent) => StepState::Undone,
                Some(_) => StepState::Begun,
            };
            if fault.is_some() {
                return false;
            }
        }
        true
    }

    pub(super) fn placed(&mut self, names: &[String]) -> Vec<Placed> {
        let doing = self.doing();
        let started = doing.parts.iter().map(|it| &it.placed);
        let all: Vec<&Placed> = doing.kept.iter().chain(started).collect();
        let of = |name: &String| all.iter().find(|it| it.app == *name).map(|it| (*it).clone());
        names.iter().filter_map(of).collect()
    }

    pub(super) fn doing(&mut self) -> &mut Doing {
        self.doing.as_mut().expect("something is being done")
    }

    pub(super) fn to(&mut self, phase: Phase) {
        let doing = self.doing();
        let (kind, from) = (doing.kind, doing.phase);
        doing.phase = phase;
        if from != phase {
            self.edges.insert([format!("{kind:?}"), format!("{from:?}"), format!("{phase:?}")]);
        }
    }
}
