//! Clusters of the real core through seeded disasters: a short run of what `cargo xtask sim` does at length.

use hb_tests::sim::{self, Tally};
use hb_user::core::Cause;

/// How many seeds.
const SEEDS: u64 = 2000;

/// Seeds that once failed, one a line; what follows the number says why.
const REGRESSIONS: &str = include_str!("simulation/seeds.txt");

fn live(seed: u64) -> Tally {
    match sim::run(seed, false) {
        Ok(tally) => tally,
        Err(_) => match sim::run(seed, true) {
            Ok(_) => panic!("seed {seed} does not fail twice"),
            Err(failure) => panic!("{}\nseed {seed}: {}", failure.trace.join("\n"), failure.violation),
        },
    }
}

#[test]
fn no_disaster_breaks_a_rule_and_every_kind_of_disaster_happens() {
    let threads = 2;
    let sums = std::thread::scope(|scope| {
        let spawn = |first: u64| {
            scope.spawn(move || {
                let mut sum = Tally::default();
                (first..SEEDS).step_by(threads).for_each(|seed| sum.add(&live(seed)));
                sum
            })
        };
        let running: Vec<_> = (0..threads as u64).map(spawn).collect();
        running
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect::<Vec<_>>()
    });
    let mut sum = Tally::default();
    for part in sums {
        match part {
            Ok(part) => sum.add(&part),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let causes = [
        Cause::Start,
        Cause::PeerDied(0),
        Cause::PeerLeft(0),
        Cause::PeerFailed(0),
        Cause::PeerDeclined(0),
        Cause::FailBack(0),
        Cause::Takeover(0),
        Cause::Standby,
        Cause::Conflict(0),
        Cause::Lease,
        Cause::Sick,
        Cause::Moved,
        Cause::Retry,
        Cause::Cleanup,
        Cause::Reload,
        Cause::Leave,
    ];
    let happenings = [
        "aborted starts",
        "addresses contended",
        "addresses missed",
        "addresses out of reach",
        "addresses stolen",
        "addresses unknown",
        "answers of the witness",
        "answers that ended",
        "cleanup commands",
        "crashes",
        "cuts",
        "deaths",
        "dropped",
        "failbacks put off",
        "failed fencings",
        "failed starts",
        "farewells",
        "fencings",
        "frozen daemons",
        "frozen machines",
        "graced",
        "lapses",
        "maintenance commands",
        "moves that nobody waits for",
        "overlaps",
        "pauses",
        "providers out of reach",
        "reasserted",
        "reboots",
        "refused as old",
        "refused commands",
        "reloads",
        "restarts",
        "restarts refused",
        "restarts that were late",
        "silences of the witness",
        "standby commands",
        "steps of wall time",
        "storms",
        "stuck groups",
        "takeover commands",
        "withdraw commands",
        "woken",
    ];
    for name in causes.map(Cause::name).into_iter().chain(happenings) {
        assert!(sum.of(name) >= 3, "too few of {name}:\n{sum}");
    }
}

#[test]
fn seeds_that_failed_once_do_not_again() {
    let lines = REGRESSIONS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let numbers = lines.filter_map(|line| line.split_whitespace().next());
    let seeds: Vec<u64> = numbers.map(|number| number.parse().expect("a seed")).collect();
    assert!(seeds.len() > 20, "{seeds:?}");
    for seed in seeds {
        live(seed);
    }
}

#[test]
fn a_seed_gives_one_run() {
    assert_eq!(live(7).to_string(), live(7).to_string());
    assert_ne!(live(7).to_string(), live(8).to_string());
}

#[cfg(feature = "mutations")]
mod mutations {
    use hb_tests::sim::{self, Rule};
    use hb_user::core::{Mutation, mutate};

    /// How many seeds it may take.
    const PATIENCE: u64 = 600;

    /// The core, broken like this, breaks this rule, which the simulator says.
    fn breaks(mutation: Mutation, rule: Rule) {
        mutate(Some(mutation));
        // The last need what only they have: a freeze at the worst of times, or a long cut through which both reach the provider.
        let seeds = (0..PATIENCE).chain([2484, 61773, 93666, 1976, 3963, 3380, 9245]);
        let rules = seeds.filter_map(|seed| sim::run(seed, false).err().map(|failure| failure.violation.rule));
        let found = { rules }.any(|found| found == rule);
        mutate(None);
        assert!(found, "{mutation:?} does not break {rule:?} in {PATIENCE} seeds");
    }

    #[test]
    fn an_owner_that_ignores_the_end_of_its_lease_is_caught() {
        breaks(Mutation::LeaseNeverEnds, Rule::OneOwner);
    }

    #[test]
    fn a_start_without_the_word_of_others_is_caught() {
        breaks(Mutation::NobodyIsAsked, Rule::OneOwner);
    }

    #[test]
    fn two_that_both_keep_a_group_are_caught() {
        breaks(Mutation::NobodyYields, Rule::Partition);
    }

    #[test]
    fn a_group_in_the_wrong_place_is_caught() {
        breaks(Mutation::NeverReturns, Rule::Settled);
    }

    #[test]
    fn a_failback_that_would_fail_is_caught() {
        breaks(Mutation::IgnoresOutlook, Rule::Unready);
    }

    #[test]
    fn a_wrong_cause_is_caught() {
        breaks(Mutation::WrongCause, Rule::Cause);
    }

    #[test]
    fn a_stop_beside_a_stop_is_caught() {
        breaks(Mutation::StopsTwice, Rule::Works);
    }

    #[test]
    fn work_in_maintenance_is_caught() {
        breaks(Mutation::TouchesAnyway, Rule::Maintenance);
    }

    #[test]
    fn haste_after_a_freeze_is_caught() {
        breaks(Mutation::NeverDoubts, Rule::Frozen);
    }

    #[test]
    fn a_takeover_without_the_witness_is_caught() {
        breaks(Mutation::AsksNoWitness, Rule::Unwitnessed);
    }

    #[test]
    fn an_answer_that_counts_for_ever_is_caught() {
        breaks(Mutation::AnswersNeverEnd, Rule::Unwitnessed);
    }

    #[test]
    fn two_that_take_an_address_from_each_other_are_caught() {
        breaks(Mutation::NeverGivesWay, Rule::Fight);
    }

    #[test]
    fn silence_for_as_long_as_the_others_wait_is_caught() {
        breaks(Mutation::KeepsQuiet, Rule::Cause);
    }
}
