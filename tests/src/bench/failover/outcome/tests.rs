use std::time::Duration;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_clock(Duration::from_millis(millis))
}

const STARTED: What = What::StartEnd { ok: true };
const STOPPED: What = What::StopEnd { ok: true };

/// Node 0 owns it; the event is at 1000, the end at 3000.
fn seen(stamps: &[(u64, &str, What)], answers: &[(u64, usize)]) -> Seen {
    let stamp = |(millis, host, what): &(u64, &str, What)| Stamp {
        at: at(*millis),
        host: (*host).to_owned(),
        resource: RESOURCE.to_owned(),
        pid: 7,
        what: *what,
    };
    let before = [(10, "n1", What::StartBegin), (12, "n1", STARTED)];
    let answer = |(millis, node): &(u64, usize)| Answer {
        at: at(*millis),
        node: *node,
    };
    Seen {
        stamps: before.iter().chain(stamps).map(stamp).collect(),
        answers: answers.iter().map(answer).collect(),
        announced: Some(at(1031)),
        owner: 0,
        zero: at(1000),
        end: at(3000),
    }
}

fn whole(values: &[Option<f64>]) -> Vec<Option<i64>> {
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds")]
    let rounded = |value: f64| value.round() as i64;
    values.iter().map(|value| value.map(rounded)).collect()
}

#[test]
fn a_crash_leaves_nobody_until_the_others_start() {
    let seen = seen(
        &[
            (1032, "n2", What::Status),
            (1033, "n2", What::StartBegin),
            (1036, "n2", STARTED),
        ],
        // The last answer is from before; node 0 is dead, whatever its kernel still says.
        &[(999, 0), (1001, 0), (1040, 1), (2999, 1)],
    );
    let outcome = seen.of_a_death().told();
    let found = [outcome.start, outcome.announced, outcome.answered, outcome.settled];
    assert_eq!(whole(&found), [Some(33), Some(31), Some(40), Some(36)]);
    assert_eq!(
        whole(&[Some(outcome.no_owner), Some(outcome.two_owners)]),
        [Some(33), Some(0)]
    );
    assert_eq!(outcome.handover, None);
}

#[test]
fn an_orderly_stop_is_told_from_stop_to_start() {
    let stamps = [
        (1002, "n1", What::StopBegin),
        (1006, "n1", STOPPED),
        (1009, "n2", What::StartBegin),
        (1012, "n2", STARTED),
    ];
    let outcome = seen(&stamps, &[(1000, 0), (1003, 0), (1011, 1), (2995, 1)]).told();
    let found = [
        outcome.handover,
        outcome.stopping,
        outcome.start,
        Some(outcome.no_owner),
    ];
    assert_eq!(whole(&found), [Some(7), Some(4), Some(9), Some(3)]);
    assert_eq!(whole(&[outcome.answered, Some(outcome.silent)]), [Some(11), Some(1984)]);
}

#[test]
fn a_start_before_the_stop_is_two_owners_and_a_negative_gap() {
    let stamps = [
        (1005, "n2", What::StartBegin),
        (1006, "n1", What::StopBegin),
        (1008, "n2", STARTED),
        (1010, "n1", STOPPED),
    ];
    let outcome = seen(&stamps, &[]).told();
    let found = [
        outcome.handover,
        Some(outcome.two_owners),
        Some(outcome.no_owner),
        outcome.settled,
    ];
    assert_eq!(whole(&found), [Some(-1), Some(5), Some(0), Some(10)]);
    assert_eq!(whole(&[Some(outcome.silent), outcome.answered]), [Some(2000), None]);
}

#[test]
fn what_did_not_happen_has_no_time() {
    let mut seen = seen(&[], &[(500, 1), (1000, 0), (2000, 0)]);
    seen.announced = Some(at(900));
    let outcome = seen.told();
    assert_eq!(
        [
            outcome.start,
            outcome.announced,
            outcome.answered,
            outcome.settled,
            outcome.stopping
        ],
        [None; 5]
    );
}

#[test]
fn who_was_taken_for_dead_before_spoils_the_run() {
    let early = [(990, "n2", What::StartBegin), (1005, "n2", STARTED)];
    assert_eq!(seen(&early, &[]).outcome(), None);
    // What it gave up again does not matter.
    let gone = [
        (500, "n2", What::StartBegin),
        (800, "n2", STOPPED),
        (1033, "n2", What::StartBegin),
    ];
    let outcome = seen(&gone, &[]).outcome();
    assert_eq!(whole(&[outcome.and_then(|outcome| outcome.start)]), [Some(33)]);
}
