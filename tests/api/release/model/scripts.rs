//! Sequences that walk every transition, whatever chance does.

use super::{
    asking::Ask,
    chance::{AT_ONCE, PATIENT},
    platform::{Call, Fault},
    reference::Apps,
    world::{Crash, Hold, Step, Then},
};

const KILL: Crash = Crash { mends: false, is_late: false, is_last: false };
const MEND: Crash = Crash { mends: true, ..KILL };
const LATE: Crash = Crash { is_late: true, ..KILL };
const LAST: Crash = Crash { is_last: true, ..KILL };

/// Where what starts something is killed.
const KILLED_AT: [(Call, u32, bool); 4] = [
    (Call::Validate, 0, false),
    (Call::Deploy, 0, true),
    (Call::Deploy, 1, false),
    (Call::Deploy, 1, true),
];

/// All of them.
pub(super) fn all() -> Vec<Vec<Step>> {
    let mut all = vec![installs(), scales(), deletes()];
    // A rollback is asked for with the versions turned round.
    for turned in [false, true] {
        all.extend([
            replaced(turned),
            not_healthy(turned),
            not_started(turned),
            not_undone(turned),
            not_retired(turned),
            killed(turned),
        ]);
    }
    all.push(brought_back());
    all
}

fn apps(version: u32) -> Apps {
    vec![("web".to_owned(), version), ("db".to_owned(), version), ("mail".to_owned(), 1)]
}

fn install(version: u32) -> Step {
    Step::Ask(0, Ask::Install(apps(version)))
}

/// To other applications, by an upgrade; or back to those of version 1, by a rollback.
fn replace(is_rollback: bool, timeout_ms: u64) -> Ask {
    match is_rollback {
        false => Ask::Upgrade(apps(2), timeout_ms),
        true => Ask::Rollback(1, timeout_ms),
    }
}

/// What comes before [`replace`].
fn running(is_rollback: bool) -> Vec<Step> {
    let mut steps = vec![install(1)];
    if is_rollback {
        steps.push(Step::Ask(0, Ask::Upgrade(apps(3), PATIENT)));
    }
    steps
}

fn break_it(call: Call, fault: Fault) -> Step {
    Step::Break(0, call, "db".to_owned(), fault)
}

fn sicken() -> Step {
    Step::Sicken(0, "web".to_owned())
}

fn held(ask: Ask, call: Call, passes: u32, is_done: bool, then: Then) -> Step {
    Step::Held(0, ask, Hold { call, passes, is_done, then })
}

fn installs() -> Vec<Step> {
    let mut steps = Vec::new();
    let install_it = || Ask::Install(apps(1));
    for (call, passes, is_done) in KILLED_AT {
        steps.push(held(install_it(), call, passes, is_done, Then::Crash(KILL)));
    }
    for fault in [Fault::Permanent, Fault::PassingOnce, Fault::Trap] {
        steps.extend([break_it(Call::Deploy, fault), install(1)]);
    }
    // What was started cannot be taken back at once.
    for end in [MEND, LAST] {
        steps.extend([break_it(Call::Deploy, Fault::Passing), install(1), Step::Crash(KILL)]);
        steps.extend([Step::Cancel(0), Step::Ask(0, Ask::Delete), Step::Crash(end)]);
    }
    steps.push(Step::Mend(0));
    steps.push(held(install_it(), Call::Deploy, 1, true, Then::Others));
    steps.extend([install(2), Step::Crash(KILL)]);
    steps
}

fn scales() -> Vec<Step> {
    let scale = |count| Ask::Scale("db".to_owned(), count);
    let mut steps = vec![install(1), Step::Ask(0, scale(3))];
    for is_done in [false, true] {
        steps.push(held(scale(2), Call::Scale, 0, is_done, Then::Crash(KILL)));
    }
    steps.push(held(scale(4), Call::Scale, 0, false, Then::Others));
    for fault in [Fault::Permanent, Fault::Passing] {
        steps.extend([break_it(Call::Scale, fault), Step::Ask(0, scale(1))]);
    }
    steps.push(held(scale(1), Call::Scale, 0, false, Then::Crash(KILL)));
    steps
}

fn deletes() -> Vec<Step> {
    let mut steps = Vec::new();
    for (fault, end) in [
        (Fault::Permanent, KILL),
        (Fault::Passing, MEND),
        (Fault::Passing, LAST),
        (Fault::Trap, MEND),
    ] {
        steps.extend([install(1), break_it(Call::Undeploy, fault), Step::Ask(0, Ask::Delete)]);
        steps.extend([Step::Cancel(0), Step::Crash(end), Step::Mend(0)]);
    }
    for is_done in [false, true] {
        let then = Then::Crash(KILL);
        steps.extend([install(1), held(Ask::Delete, Call::Undeploy, 1, is_done, then)]);
    }
    steps.extend([install(1), held(Ask::Delete, Call::Undeploy, 0, true, Then::Others)]);
    steps
}

fn replaced(turned: bool) -> Vec<Step> {
    let mut steps = running(turned);
    steps.push(held(replace(turned, PATIENT), Call::Deploy, 1, false, Then::Others));
    // Once more is no difference.
    steps.extend([Step::Ask(0, replace(turned, PATIENT)), Step::Crash(KILL)]);
    steps
}

fn not_healthy(turned: bool) -> Vec<Step> {
    let mut steps = running(turned);
    steps.push(sicken());
    let patient = || Step::Ask(0, replace(turned, PATIENT));
    // In time, too late, cancelled, and too late while the server was away.
    steps.extend([Step::Ask(0, replace(turned, AT_ONCE)), patient(), Step::Cancel(0)]);
    steps.extend([patient(), Step::Ask(0, Ask::Delete), Step::Crash(KILL), Step::Crash(LATE)]);
    // Cancelled in the moment in which it becomes healthy.
    steps.push(Step::Heal(0));
    steps.push(held(replace(turned, PATIENT), Call::Status, 2, true, Then::Cancel));
    // And healthy late.
    steps.extend([sicken(), patient(), Step::Crash(KILL), Step::Heal(0)]);
    steps
}

fn not_started(turned: bool) -> Vec<Step> {
    let mut steps = running(turned);
    for (call, fault) in [
        (Call::Validate, Fault::Trap),
        (Call::Deploy, Fault::Permanent),
        (Call::Deploy, Fault::PassingOnce),
        (Call::Deploy, Fault::Trap),
    ] {
        let app = if call == Call::Validate { "web" } else { "db" }.to_owned();
        steps.push(Step::Break(0, call, app, fault));
        steps.extend([Step::Ask(0, replace(turned, PATIENT)), Step::Mend(0)]);
    }
    steps
}

fn not_undone(turned: bool) -> Vec<Step> {
    let mut steps = running(turned);
    for (fault, end) in [
        (Fault::Permanent, KILL),
        (Fault::Passing, MEND),
        (Fault::Passing, LAST),
        (Fault::Trap, KILL),
    ] {
        steps.extend([sicken(), break_it(Call::Undeploy, fault)]);
        steps.extend([Step::Ask(0, replace(turned, PATIENT)), Step::Cancel(0)]);
        steps.extend([Step::Cancel(0), Step::Crash(end), Step::Mend(0)]);
    }
    steps
}

fn not_retired(turned: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for (fault, end) in [(Fault::Permanent, KILL), (Fault::Passing, MEND), (Fault::Passing, LAST)] {
        // Whatever ran before goes.
        steps.extend([Step::Ask(0, Ask::Delete), install(1)]);
        steps.push(Step::Ask(0, Ask::Upgrade(apps(3), PATIENT)));
        steps.push(break_it(Call::Undeploy, fault));
        let ask = match turned {
            false => Ask::Upgrade(apps(2), PATIENT),
            true => Ask::Rollback(0, PATIENT),
        };
        steps.extend([Step::Ask(0, ask), Step::Cancel(0), Step::Crash(end), Step::Mend(0)]);
    }
    steps
}

fn killed(turned: bool) -> Vec<Step> {
    let mut steps = running(turned);
    let ask = || replace(turned, PATIENT);
    for (call, passes, is_done) in KILLED_AT {
        steps.push(held(ask(), call, passes, is_done, Then::Crash(KILL)));
    }
    // While it is undone: once it was healthy too late.
    for is_done in [false, true] {
        let then = Then::Crash(KILL);
        steps.push(sicken());
        steps.push(held(replace(turned, AT_ONCE), Call::Undeploy, 0, is_done, then));
        steps.push(Step::Heal(0));
    }
    // While it is looked at, and while the version before is taken away.
    steps.push(sicken());
    steps.push(held(ask(), Call::Status, 4, true, Then::Crash(KILL)));
    steps.push(Step::Cancel(0));
    steps.push(Step::Heal(0));
    steps.push(held(ask(), Call::Undeploy, 1, true, Then::Crash(KILL)));
    steps
}

/// What was deleted comes back by a rollback, which is an install then; or does not.
fn brought_back() -> Vec<Step> {
    let back = || Ask::Rollback(1, PATIENT);
    let mut steps = vec![install(1), Step::Ask(0, Ask::Delete)];
    for is_done in [false, true] {
        steps.push(held(back(), Call::Deploy, 1, is_done, Then::Crash(KILL)));
    }
    steps.extend([break_it(Call::Deploy, Fault::Permanent), Step::Ask(0, back())]);
    steps.extend([break_it(Call::Deploy, Fault::Passing), Step::Ask(0, back())]);
    steps.push(Step::Crash(MEND));
    steps.extend([Step::Ask(0, back()), Step::Ask(0, Ask::Delete)]);
    // An upgrade of what was deleted starts all of it.
    steps.push(Step::Ask(0, Ask::Upgrade(apps(2), PATIENT)));
    steps
}
