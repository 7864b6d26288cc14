//! What a frame's fate owes to the frames before it: replay, order, incarnations, the budget.

use hb_ebpf::beat::{Beat, Echo};
use hb_ebpf::liveness::{HASH_BURST, HASH_EVERY};
use hb_ebpf::{Incarnation, Nanos, Verdict};
use hb_tests::frames::{KEY, signed};
use hb_user::clock;

use crate::rig::{OUR_LIFE, Rig, THEIR_LINKS, datagram_from, forged, frame, numbered};

/// The budget's clock goes by ticks of at most ten milliseconds, and two of them may lie between two moments.
const TICK: Nanos = Nanos::from_millis(20);

const FIRST_LIFE: u64 = 0x6920_f000_cdef;

fn of_life(incarnation: u64, sequence: u64) -> Beat {
    Beat {
        incarnation: Incarnation(incarnation),
        ..numbered(sequence)
    }
}

#[test]
fn a_replayed_beat_is_a_duplicate_and_then_old() {
    let mut rig = Rig::new();
    let captured = frame(&numbered(5));
    rig.expect(&captured, Verdict::Accepted, 0);
    for _ in 0..3 {
        rig.expect(&captured, Verdict::Duplicate, 0);
    }
    assert_eq!(rig.link(0).duplicates, 3);
    rig.expect(&frame(&numbered(6)), Verdict::Accepted, 0);
    rig.expect(&captured, Verdict::OldSequence, 0);
    rig.expect(&frame(&numbered(1)), Verdict::OldSequence, 0);
    assert_eq!(rig.link(0).accepted(), 2);
    assert_eq!(rig.count(Some(0), Verdict::OldSequence), 2);
}

/// An old beat never costs a hash: its tag does not matter.
#[test]
fn old_beats_are_refused_before_the_tag_is_looked_at() {
    let mut rig = Rig::new();
    rig.expect(&frame(&numbered(5)), Verdict::Accepted, 0);
    rig.expect(&forged(&numbered(5)), Verdict::Duplicate, 0);
    rig.expect(&forged(&numbered(4)), Verdict::OldSequence, 0);
    rig.expect(&forged(&of_life(FIRST_LIFE - 1, 9)), Verdict::OldIncarnation, 0);
}

#[test]
fn gaps_in_the_sequence_are_counted_as_lost() {
    let mut rig = Rig::new();
    for (sequence, lost) in [(10, 0), (11, 0), (13, 1), (20, 7), (1 << 39, (1 << 39) - 21 + 7)] {
        rig.expect(&frame(&numbered(sequence)), Verdict::Accepted, 0);
        assert_eq!(rig.link(0).lost, lost);
    }
    assert_eq!(rig.link(0).gaps.iter().sum::<u64>(), 4);
}

#[test]
fn a_new_incarnation_begins_anew_and_ends_the_old() {
    let mut rig = Rig::new();
    rig.expect(&frame(&of_life(FIRST_LIFE, 1_000)), Verdict::Accepted, 0);
    rig.expect(&frame(&of_life(FIRST_LIFE + 1, 3)), Verdict::Accepted, 0);
    assert_eq!(rig.link(0).lost, 0);
    assert_eq!(rig.link(0).gaps, [0; 32], "the time between two lives is no gap");
    rig.expect(&frame(&of_life(FIRST_LIFE, 1_001)), Verdict::OldIncarnation, 0);
    rig.expect(&frame(&of_life(FIRST_LIFE + 1, 4)), Verdict::Accepted, 0);
    // The time and the random part count as one number.
    rig.expect(
        &frame(&of_life(FIRST_LIFE + (1 << 16) - 0x1000, 1)),
        Verdict::Accepted,
        0,
    );
    rig.expect(&frame(&of_life(FIRST_LIFE + 1, 5)), Verdict::OldIncarnation, 0);
    assert_eq!(rig.count(Some(0), Verdict::OldIncarnation), 2);
}

#[test]
fn links_have_histories_of_their_own() {
    let mut rig = Rig::new();
    rig.expect(&frame(&of_life(FIRST_LIFE + 1, 9)), Verdict::Accepted, 0);
    let on_the_second = datagram_from(THEIR_LINKS[1].0, signed(&of_life(FIRST_LIFE, 3), KEY));
    rig.expect(&on_the_second.frame(), Verdict::Accepted, 1);
    rig.expect(&on_the_second.frame(), Verdict::Duplicate, 1);
    assert_eq!(rig.link(0).duplicates, 0);
}

#[test]
fn claims_of_a_new_incarnation_are_hashed_within_a_budget() {
    const CLAIMS: u32 = 2_000;
    let mut rig = Rig::new();
    rig.run(&frame(&numbered(1)), 1);
    // The first beat of all is such a claim, too. Its share comes back after a while.
    let rested = rig.link(0).heard().unwrap().seen.saturating_add(TICK);
    while clock::now() < rested {
        std::thread::yield_now();
    }
    let start = clock::now();
    rig.run(&forged(&of_life(FIRST_LIFE + 1, 1)), CLAIMS);
    let grown = clock::now().saturating_add(TICK).since(start).0 / HASH_EVERY.0;
    let hashed = rig.count(Some(0), Verdict::Tag);
    assert!((HASH_BURST..=HASH_BURST + grown).contains(&hashed), "{hashed} hashed");
    assert_eq!(rig.count(Some(0), Verdict::Budget), u64::from(CLAIMS) - hashed);

    // The known incarnation needs no budget, and other links have their own.
    rig.run(&frame(&numbered(2)), 1);
    assert_eq!(rig.link(0).accepted(), 2);
    let elsewhere = datagram_from(THEIR_LINKS[2].0, signed(&of_life(FIRST_LIFE + 1, 1), KEY));
    rig.run(&elsewhere.frame(), 1);
    assert_eq!(rig.link(THEIR_LINKS[2].1).accepted(), 1);
}

#[test]
fn the_budget_grows_again() {
    let mut rig = Rig::new();
    rig.run(&frame(&numbered(1)), 1);
    let restarted = frame(&of_life(FIRST_LIFE + 2, 1));
    let claim = forged(&of_life(FIRST_LIFE + 1, 1));
    rig.run(&claim, 20);
    assert!(rig.count(Some(0), Verdict::Budget) > 0);
    // Among false claims that never stop, a true one gets its turn within seconds at the latest.
    let start = clock::now();
    while rig.link(0).accepted() == 1 {
        rig.run(&restarted, 1);
        assert!(
            clock::now().since(start).as_micros() < 10_000_000,
            "the budget does not grow"
        );
    }
    assert_eq!(rig.link(0).heard().unwrap().incarnation, Incarnation(FIRST_LIFE + 2));
}

/// A beat that echoes our life.
fn echoing(beat: Beat) -> Beat {
    let echo = Echo {
        incarnation: OUR_LIFE.low(),
        sequence: 1,
    };
    Beat { echo, ..beat }
}

#[test]
fn who_has_heard_us_gets_in_through_any_flood_of_strangers() {
    let mut rig = Rig::new();
    rig.run(&frame(&numbered(1)), 1);
    let claim = forged(&of_life(FIRST_LIFE + (1 << 40), 1));
    // More lives than the budget has hashes at once.
    for life in 1..=3 * HASH_BURST {
        rig.run(&claim, 500);
        rig.run(&frame(&echoing(of_life(FIRST_LIFE + life, 1))), 1);
        assert_eq!(rig.link(0).accepted(), 1 + life);
    }
    assert!(rig.count(Some(0), Verdict::Budget) > 0, "the flood was none");
}

#[test]
fn an_echo_of_ours_is_no_tag() {
    let mut rig = Rig::new();
    rig.expect(&frame(&numbered(1)), Verdict::Accepted, 0);
    for _ in 0..3 * HASH_BURST {
        let claim = echoing(of_life(FIRST_LIFE + 1, 1));
        rig.expect(&forged(&claim), Verdict::Tag, 0);
    }
    rig.expect(
        &forged(&echoing(of_life(FIRST_LIFE - 1, 1))),
        Verdict::OldIncarnation,
        0,
    );
    assert_eq!(rig.link(0).accepted(), 1);
}

/// Whoever reads the wire can make every frame cost a hash. More he does not get.
#[test]
fn forgeries_of_the_known_life_end_nothing() {
    let mut rig = Rig::new();
    rig.run(&frame(&numbered(1)), 1);
    for sequence in 2..=20 {
        rig.run(&forged(&numbered(1_000_000)), 500);
        rig.run(&frame(&numbered(sequence)), 1);
        assert_eq!(rig.link(0).accepted(), sequence);
    }
    assert_eq!(rig.count(Some(0), Verdict::Tag), 19 * 500);
}

#[test]
fn a_flood_of_recorded_beats_costs_no_hash_and_wakes_nobody() {
    let mut rig = Rig::new();
    let recorded: Vec<_> = (1..=40)
        .flat_map(|sequence| [of_life(FIRST_LIFE, sequence), of_life(FIRST_LIFE + 1, sequence)])
        .collect();
    rig.run(&frame(&echoing(of_life(FIRST_LIFE + 1, 50))), 1);
    rig.take_events();
    let before = rig.link(0).heard();
    for beat in &recorded {
        rig.run(&frame(beat), 100);
    }
    assert_eq!(rig.count(Some(0), Verdict::OldSequence), 4_000);
    assert_eq!(rig.count(Some(0), Verdict::OldIncarnation), 4_000);
    for bought in [Verdict::Tag, Verdict::Budget] {
        assert_eq!(rig.count(Some(0), bought), 0);
    }
    assert_eq!(rig.link(0).heard(), before);
    assert_eq!(rig.take_events(), []);
}
