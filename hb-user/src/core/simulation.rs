//! Two real nodes and two real detectors on one virtual clock, through seeded disasters.
//!
//! [`World`] is the clock, the network and what goes wrong; [`Host`](host::Host) is what surrounds the core on a machine:
//! the kernel's slots, the pulse thread and the scripts; [`Witness`](witness::Witness) sees what really runs where, and
//! knows what must not be. The same seed gives the same run.

mod host;
mod witness;
mod world;

use std::collections::BTreeMap;

use hb_ebpf::Nanos;

use super::testing::ms;
use super::{Cause, Timing};
use world::World;

const INTERVAL: Nanos = ms(100);
const TIMING: Timing = Timing {
    deadtime: ms(500),
    warntime: ms(250),
    initdead: ms(1000),
};
/// The longest that a script takes, in milliseconds.
const SCRIPT: u64 = 500;
/// The last disaster ends before this, in milliseconds.
const DISASTERS: u64 = 6000;
/// How long after a cut or a freeze two nodes may still run one group: until both have heard each other, ended the work
/// that they were at, and stopped.
const CALM: Nanos = ms(3 * 500 + 2 * SCRIPT);
/// How long after the last disaster each group may still be on its way: a node that starts waits for its peer, is
/// started into, fails, is taken over, and is given back; each step is one work and a beat or two.
const SETTLED: Nanos = ms(1000 + 3 * 500 + 6 * SCRIPT);
/// Then nothing moves any more.
const QUIET: Nanos = ms(1000);

const GROUPS: usize = 3;
const LINKS: usize = 2;

/// What a run did, to see that it was not idle: how often a group moved for each cause, and what the detectors saw.
type Tally = BTreeMap<&'static str, u32>;

fn run(seed: u64, is_traced: bool) -> Result<Tally, String> {
    let mut world = World::new(seed, is_traced);
    let end = ms(DISASTERS).saturating_add(SETTLED);
    let outcome = world
        .run(end)
        .and_then(|()| world.check_settled())
        .and_then(|()| world.run(end.saturating_add(QUIET)));
    match outcome {
        Ok(()) => Ok(world.witness.tally),
        Err(violation) => Err(format!("{}\n{violation}", world.witness.trace.join("\n"))),
    }
}

fn try_seeds(seeds: std::ops::Range<u64>) -> Tally {
    let mut sum = Tally::new();
    for seed in seeds {
        let Ok(tally) = run(seed, false) else {
            let trace = run(seed, true).expect_err("the same seed fails again");
            panic!("seed {seed}:\n{trace}");
        };
        for (name, count) in tally {
            *sum.entry(name).or_default() += count;
        }
    }
    sum
}

#[test]
fn no_disaster_leaves_a_group_with_two_owners_or_none() {
    let sum = try_seeds(0..2000);
    let causes = [
        Cause::Start,
        Cause::PeerDied(0),
        Cause::PeerLeft(0),
        Cause::PeerFailed(0),
        Cause::FailBack(0),
        Cause::Conflict(0),
        Cause::Leave,
    ];
    for name in causes
        .map(Cause::name)
        .into_iter()
        .chain(["up", "dead", "graced", "again", "two owners"])
    {
        assert!(
            sum.get(name).is_some_and(|count| *count >= 50),
            "too few of {name}: {sum:?}"
        );
    }
}

#[test]
fn a_seed_gives_one_run() {
    let again = |seed| World::new(seed, true).trace_of(ms(DISASTERS));
    assert_eq!(again(7), again(7));
    assert_ne!(again(7), again(8));
}
