//! What the store and the platform say of a release, in the words of the rules.

use std::collections::BTreeSet;

use chandlery::{
    release::model::StatusCode,
    store::{
        Store,
        operations::{self, Operation, Phase, Step, StepState},
        releases::{self, DeployedApp, ReleaseRow},
    },
};

use super::{
    platform::Platform,
    reference::{Doing, Part, Placed, Release, Version},
    world::Crash,
};

/// Which operations of a release were there, and the one that is spoken of. (Which is
/// the newest cannot be told by the clock, which may stand still.)
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    all: BTreeSet<String>,
    current: Option<String>,
}

/// Reads a release.
pub(super) fn release(
    store: &Store,
    platform: &Platform,
    model: &Release,
    known: &Known,
) -> (Release, Known) {
    let name = model.name.clone();
    let read = store.read(move |view| {
        let mut rows = Vec::new();
        while let Some(row) = releases::find(view, &name, rows.len() as u32 + 1)? {
            rows.push(row);
        }
        Ok((rows, operations::history(view, &name, 100)?))
    });
    let (rows, history) = futures::executor::block_on(read).expect("it can be read");
    let new = history.iter().find(|it| !known.all.contains(&it.id)).map(|it| it.id.clone());
    let current = new.or(known.current.clone());
    let operation = history.iter().find(|it| Some(&it.id) == current.as_ref());
    let found = Release {
        versions: rows.iter().map(version).collect(),
        doing: operation.map(doing),
        running: platform.running(&model.name),
        ..model.clone()
    };
    let all = history.iter().map(|it| it.id.clone()).collect();
    (found, Known { all, current })
}

fn version(row: &ReleaseRow) -> Version {
    let says = timeless(&row.release.info.description);
    Version { status: row.status(), says, placed: row.apps.iter().map(placed).collect() }
}

/// How long something took is not in the rules.
fn timeless(says: &str) -> String {
    let waited = says.strip_prefix("Cancelled after ").and_then(|it| it.strip_suffix(" ms."));
    match waited.map(str::parse::<u64>) {
        Some(Ok(_)) => "Cancelled after N ms.".to_owned(),
        _ => says.to_owned(),
    }
}

fn placed(app: &DeployedApp) -> Placed {
    Placed { app: app.name.clone(), id: app.handle.trim_matches('"').to_owned() }
}

fn doing(it: &Operation) -> Doing {
    let message = it.message.as_deref().unwrap_or_default();
    Doing {
        kind: it.kind,
        phase: it.phase,
        version: it.version,
        source: it.source,
        parts: it.steps.iter().map(|step| part(it, step)).collect(),
        kept: it.kept.iter().map(placed).collect(),
        retired: it.retired.iter().map(|step| part(it, step)).collect(),
        timeout_ms: it.timeout_ms,
        is_late: false,
        is_cancelled: it.cancelled,
        attempts: it.attempts,
        says: it.description.as_deref().map(timeless),
        leaves: !it.is_open() && message.contains("these may still run: "),
    }
}

fn part(operation: &Operation, step: &Step) -> Part {
    let Operation { id, release, version, .. } = operation;
    let id = match &step.handle {
        Some(handle) => handle.trim_matches('"').to_owned(),
        None => format!("{release}/{}-v{version}#{id}", step.name),
    };
    let placed = Placed { app: step.name.clone(), id };
    Part {
        state: step.state,
        has_failed: step.message.is_some(),
        count: step.count.unwrap_or(1),
        ..Part::of(placed, step.handle.is_some())
    }
}

/// What is different when the server comes back: in what was found, and how to bring
/// its record there. Nothing where nothing is open.
pub(super) fn changed(
    found: &mut Release,
    crash: Crash,
) -> Option<impl FnOnce(&mut Operation) + Send + use<>> {
    let doing = found.doing.as_mut().filter(|it| it.is_open())?;
    let is_late = crash.is_late && doing.phase == Phase::Waiting;
    doing.is_late = is_late;
    if crash.is_last {
        doing.attempts = 9;
    }
    Some(move |operation: &mut Operation| {
        if is_late {
            operation.deadline_ms = 1;
        }
        if crash.is_last {
            operation.attempts = 9;
        }
    })
}

/// Nothing runs that nobody knows of, and what is to run does.
pub(super) fn check_alive(before: &Release, found: &Release) {
    let deployed: Vec<&Version> =
        found.versions.iter().filter(|it| it.status == StatusCode::Deployed).collect();
    let open = found.open();
    let most = if open.is_some_and(|it| it.phase == Phase::Retiring) { 2 } else { 1 };
    assert!(deployed.len() <= most, "{} versions of {found:#?} are deployed", deployed.len());

    let touched = |doing: Option<&'_ Doing>| -> BTreeSet<String> {
        let parts = doing.into_iter().flat_map(|it| it.parts.iter().chain(&it.retired));
        let parts = parts.filter(|it| it.state != StepState::Planned);
        parts.map(|it| it.placed.id.clone()).collect()
    };
    let (going, may_stay) = (touched(open), touched(found.doing.as_ref()));
    let placed: BTreeSet<String> =
        deployed.iter().flat_map(|it| &it.placed).map(|it| it.id.clone()).collect();
    for id in found.running.keys() {
        // What was left behind before is left behind still.
        let was_there = before.running.contains_key(id);
        let is_known = was_there || placed.contains(id) || may_stay.contains(id);
        assert!(is_known, "nobody knows of `{id}`: {found:#?}");
    }
    for id in placed.difference(&going) {
        assert!(found.running.contains_key(id), "`{id}` does not run: {found:#?}");
    }
}
