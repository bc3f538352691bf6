//! The engine against its rules: sequences of everything that can be done to releases,
//! with a platform that fails in all ways and a server that is killed at any moment.
//!
//! `reference` says what must come of each step; `world` does it to the real server,
//! over a real store and a `platform` that knows what runs, and compares: what is
//! answered, what is stored and what runs. When the server is killed, it is the records
//! that it leaves which say what the next one has to do. Nothing here waits for the
//! clock: what is late is late because its record says so.
//!
//! Each run does the same, all transitions and then some chance. For longer:
//! `CHANDLERY_MODEL_CASES=5000 cargo test --test api release::model`, from other seeds
//! each time; `CHANDLERY_MODEL_SEED` is for the one that it prints.

mod asking;
mod chance;
mod forwarding;
mod platform;
mod reading;
mod reference;
mod scripts;
mod world;

use std::{cell::RefCell, collections::BTreeSet};

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::world::World;

/// Sequences by chance, where the environment does not ask for another number.
const CASES: u32 = 15;

/// What an operation may come to, by the phase that it is in.
const EDGES: [(&str, &[[&str; 2]]); 6] = [
    ("Install", STARTING),
    ("Upgrade", REPLACING),
    ("Rollback", REPLACING),
    // Of what was deleted it is an install.
    ("Rollback", STARTING),
    ("Scale", &[["Doing", "Done"], ["Doing", "Failed"]]),
    ("Delete", &[["Doing", "Done"]]),
];

const STARTING: &[[&str; 2]] = &[["Doing", "Done"], ["Doing", "Undoing"], ["Undoing", "Failed"]];

const REPLACING: &[[&str; 2]] = &[
    ["Doing", "Waiting"],
    ["Doing", "Undoing"],
    ["Waiting", "Retiring"],
    ["Waiting", "Undoing"],
    ["Retiring", "Done"],
    ["Undoing", "Failed"],
];

#[test]
fn whatever_is_done_to_releases_they_are_what_the_rules_say() {
    let mut world = World::start();
    for script in scripts::all() {
        world.run(&script);
    }
    let world = RefCell::new(world);
    let cases = number("CHANDLERY_MODEL_CASES");
    let config = Config {
        cases: cases.map_or(CASES, |it| it as u32),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let ran =
        TestRunner::new_with_rng(config, rng(cases.is_some())).run(&chance::steps(), |steps| {
            world.borrow_mut().run(&steps);
            Ok(())
        });
    if let Err(error) = ran {
        panic!("{error}");
    }
    let coverage = world.into_inner().stop();
    println!("{} steps, {} servers", coverage.steps, coverage.lives);

    let drawn = EDGES.iter().flat_map(|(kind, edges)| {
        edges.iter().map(move |[from, to]| [kind, from, to].map(|it| (*it).to_owned()))
    });
    let drawn: BTreeSet<[String; 3]> = drawn.collect();
    assert_eq!(coverage.edges, drawn, "every transition is walked, and no other");
    let open = drawn.into_iter().map(|[kind, from, _]| [kind, from]);
    assert_eq!(coverage.crashes, open.collect(), "it is killed in every phase");
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The same each time, unless it is to be a long run.
fn rng(is_long: bool) -> TestRng {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let otherwise = || if is_long { now().map_or(0, |it| it.as_nanos() as u64) } else { 4 };
    let seed = number("CHANDLERY_MODEL_SEED").unwrap_or_else(otherwise);
    println!("seed {seed}");
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}
