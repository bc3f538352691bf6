//! Sequences by chance.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::{
    asking::Ask,
    platform::{Call, Fault},
    reference::Apps,
    world::{Crash, Hold, Step, Then},
};

const NAMES: [&str; 3] = ["web", "db", "mail"];
/// An upgrade that is never healthy waits until somebody does something about it.
pub(super) const PATIENT: u64 = 3_600_000;
/// Or it is given up after the first look.
pub(super) const AT_ONCE: u64 = 0;

/// What is done to two releases.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Without a release there is little to do.
    let first = (apps(), apps()).prop_map(|(one, other)| {
        vec![Step::Ask(0, Ask::Install(one)), Step::Ask(1, Ask::Install(other))]
    });
    (first, vec(step(), 3..12)).prop_map(|(mut steps, more)| {
        steps.extend(more);
        steps
    })
}

fn step() -> impl Strategy<Value = Step> {
    let release = || 0..2usize;
    prop_oneof![
        8 => (release(), ask()).prop_map(|(release, ask)| Step::Ask(release, ask)),
        5 => (release(), ask(), hold())
            .prop_map(|(release, ask, hold)| Step::Held(release, ask, hold)),
        2 => release().prop_map(Step::Cancel),
        5 => (release(), fault(), name())
            .prop_map(|(release, (call, fault), app)| Step::Break(release, call, app, fault)),
        1 => release().prop_map(Step::Mend),
        4 => (release(), name()).prop_map(|(release, app)| Step::Sicken(release, app)),
        2 => release().prop_map(Step::Heal),
        3 => crash().prop_map(Step::Crash),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let timeout = || prop_oneof![2 => Just(PATIENT), 1 => Just(AT_ONCE)];
    prop_oneof![
        3 => apps().prop_map(Ask::Install),
        6 => (apps(), timeout()).prop_map(|(apps, timeout)| Ask::Upgrade(apps, timeout)),
        3 => (0..4u32, timeout()).prop_map(|(version, timeout)| Ask::Rollback(version, timeout)),
        1 => (name(), 0..4u32).prop_map(|(app, count)| Ask::Scale(app, count)),
        2 => Just(Ask::Delete),
    ]
}

fn apps() -> impl Strategy<Value = Apps> {
    let names = subsequence(NAMES.to_vec(), 1..=NAMES.len());
    (names, vec(1..4u32, NAMES.len()))
        .prop_map(|(names, versions)| names.into_iter().map(str::to_owned).zip(versions).collect())
}

fn name() -> impl Strategy<Value = String> {
    select(NAMES.to_vec()).prop_map(str::to_owned)
}

fn fault() -> impl Strategy<Value = (Call, Fault)> {
    use Fault::{Passing, PassingOnce, Permanent, Trap};
    select(vec![
        (Call::Validate, Trap),
        (Call::Deploy, Permanent),
        (Call::Deploy, Passing),
        (Call::Deploy, PassingOnce),
        (Call::Deploy, Trap),
        (Call::Undeploy, Permanent),
        (Call::Undeploy, Passing),
        (Call::Undeploy, Passing),
        (Call::Scale, Permanent),
        (Call::Scale, Passing),
    ])
}

fn hold() -> impl Strategy<Value = Hold> {
    let calls = vec![Call::Validate, Call::Deploy, Call::Undeploy, Call::Scale, Call::Status];
    let then = prop_oneof![
        4 => crash().prop_map(Then::Crash),
        2 => Just(Then::Cancel),
        1 => Just(Then::Others),
    ];
    (select(calls), 0..3u32, any::<bool>(), then).prop_map(|(call, passes, is_done, then)| Hold {
        call,
        passes,
        is_done,
        then,
    })
}

fn crash() -> impl Strategy<Value = Crash> {
    (prop::bool::weighted(0.5), prop::bool::weighted(0.3), prop::bool::weighted(0.3))
        .prop_map(|(mends, is_late, is_last)| Crash { mends, is_late, is_last })
}
