use core::mem::{align_of, offset_of, size_of};

use proptest::prelude::*;

use super::*;

const DEADTIME: Nanos = Nanos::from_millis(100);
const UNMET: Nanos = Nanos::from_millis(2_000);
const START: Nanos = Nanos::from_millis(1_000);

#[test]
fn layouts_are_pinned() {
    assert_eq!(size_of::<Watch>(), 56);
    assert_eq!(align_of::<Watch>(), 8);
    assert_eq!(offset_of!(Watch, deadtime), 0);
    assert_eq!(offset_of!(Watch, unmet), 8);
    assert_eq!(offset_of!(Watch, count), 16);
    assert_eq!(offset_of!(Watch, slots), 20);
    assert_eq!(offset_of!(Watch, unused), 52);

    assert_eq!(size_of::<Silence>(), 48);
    assert_eq!(offset_of!(Silence, edition), 0);
    assert_eq!(offset_of!(Silence, last_seen), 8);
    assert_eq!(offset_of!(Silence, deadline), 16);
    assert_eq!(offset_of!(Silence, found), 24);
    assert_eq!(offset_of!(Silence, excused), 32);
    assert_eq!(offset_of!(Silence, granted), 40);

    assert_eq!(size_of::<Awake>(), 32);
    assert_eq!(offset_of!(Awake, planned), 0);
    assert_eq!(offset_of!(Awake, since), 8);
    assert_eq!(offset_of!(Awake, gaps), 16);
    assert_eq!(offset_of!(Awake, latest), 24);
}

fn watch() -> Watch {
    Watch::of_peer(DEADTIME, UNMET, [0, 1].into_iter())
}

fn ms(millis: u64) -> Nanos {
    START.saturating_add(Nanos::from_millis(millis))
}

fn heard(sequence: u64, seen: Nanos) -> Heard {
    Heard {
        incarnation: Incarnation(7),
        sequence: Sequence(sequence),
        seen,
        promise_ms: 20,
        ..Heard::default()
    }
}

fn newest(beats: &[Heard]) -> Newest {
    let mut newest = Newest::default();
    for beat in beats {
        newest.or(beat);
    }
    newest
}

/// A machine that has run on until now.
fn awake(now: Nanos) -> Awake {
    Awake {
        planned: now,
        ..Awake::default()
    }
}

fn look(silence: &mut Silence, beats: &[Heard], now: Nanos) -> Look {
    silence.look(&watch(), &newest(beats), &awake(now), now)
}

#[test]
fn the_newest_beat_counts_whichever_link_it_came_by_and_when_it_came_first() {
    let of = |beats: &[Heard]| newest(beats).seen;
    assert_eq!(of(&[heard(5, ms(50)), heard(4, ms(90))]), ms(50));
    assert_eq!(of(&[heard(4, ms(90)), heard(5, ms(50))]), ms(50));
    assert_eq!(of(&[heard(5, ms(51)), heard(5, ms(50))]), ms(50));
    assert_eq!(of(&[heard(5, ms(50)), heard(5, ms(51))]), ms(50));
    let reborn = Heard {
        incarnation: Incarnation(8),
        ..heard(1, ms(10))
    };
    assert_eq!(of(&[heard(5, ms(50)), reborn]), ms(10));
    assert_eq!(of(&[Heard::default()]), Nanos(0), "a link that heard nothing");
}

#[test]
fn a_timer_sleeps_on_until_the_newest_beats_deadline() {
    let mut silence = Silence::default();
    let found = look(&mut silence, &[heard(5, ms(80))], ms(100));
    assert_eq!(
        found,
        Look {
            again: Nanos::from_millis(80),
            is_news: false
        }
    );
    assert_eq!(silence.read(), None);
}

#[test]
fn a_silence_is_told_once_and_the_next_one_again() {
    let mut silence = Silence::default();
    let beats = [heard(5, ms(80))];
    let late = ms(180).saturating_add(Nanos(30_000));
    let found = look(&mut silence, &beats, late);
    assert_eq!(
        found,
        Look {
            again: DEADTIME,
            is_news: true
        }
    );
    let told = silence.read().expect("it was found");
    assert_eq!((told.last_seen, told.deadline, told.found), (ms(80), ms(180), late));

    let again = look(&mut silence, &beats, ms(280));
    assert_eq!(
        again,
        Look {
            again: DEADTIME,
            is_news: false
        }
    );
    // It is back at 290, and silent again: the look at 380 comes before its deadline.
    let beats = [heard(6, ms(290))];
    assert_eq!(look(&mut silence, &beats, ms(380)).again, Nanos::from_millis(10));
    assert!(look(&mut silence, &beats, ms(390)).is_news);
    assert_eq!(silence.read().map(|told| told.last_seen), Some(ms(290)));
}

#[test]
fn a_promise_is_waited_for() {
    let mut silence = Silence::default();
    let promised = Heard {
        promise_ms: 500,
        ..heard(5, ms(0))
    };
    assert_eq!(
        look(&mut silence, &[promised], ms(50)).again,
        DEADTIME,
        "it may be back at any time"
    );
    assert!(!look(&mut silence, &[promised], ms(499)).is_news);
    assert!(look(&mut silence, &[promised], ms(500)).is_news);
}

#[test]
fn a_peer_that_was_never_heard_has_until_initdead() {
    let mut silence = Silence::default();
    assert_eq!(
        look(&mut silence, &[], START).again,
        DEADTIME,
        "it may come at any time"
    );
    assert_eq!(look(&mut silence, &[], Nanos(UNMET.0 - 1)).again, Nanos(1));
    assert!(look(&mut silence, &[], UNMET).is_news);
    assert_eq!(silence.read().map(|told| told.deadline), Some(UNMET));
    assert!(!look(&mut silence, &[], UNMET.saturating_add(DEADTIME)).is_news);
}

#[test]
fn a_machine_that_was_stopped_grants_a_whole_deadtime_from_its_waking() {
    let machine = Watch::of_machine(DEADTIME);
    let mut awake = Awake::default();
    assert_eq!(awake.tick(&machine, ms(0)), Nanos::from_millis(25));
    awake.tick(&machine, ms(26));
    assert_eq!(
        (awake.since, awake.gaps, awake.latest),
        (Nanos(0), 0, Nanos::from_millis(1))
    );
    // It should have gone off at 51 ms.
    let beats = [heard(5, ms(20))];
    let mut silence = Silence::default();
    let watched = silence.look(&watch(), &newest(&beats), &awake, ms(150));
    assert_eq!(watched.again, DEADTIME, "the peer's timer may be the first to notice");
    awake.tick(&machine, ms(150));
    assert_eq!(
        (awake.since, awake.gaps, awake.latest),
        (ms(150), 1, Nanos::from_millis(99))
    );
    awake.tick(&machine, ms(175));
    awake.tick(&machine, ms(200));
    awake.tick(&machine, ms(225));
    assert!(!silence.look(&watch(), &newest(&beats), &awake, ms(249)).is_news);
    assert!(silence.look(&watch(), &newest(&beats), &awake, ms(250)).is_news);
    assert_eq!(silence.read().map(|told| told.deadline), Some(ms(250)));
}

#[test]
fn a_machine_that_is_stopped_again_and_again_hides_no_death() {
    let mut silence = Silence::default();
    let beats = [heard(5, ms(20))];
    let stopped_at = |at| Awake {
        planned: ms(at + 10),
        since: ms(at),
        gaps: 1,
        ..Awake::default()
    };
    assert!(
        !silence
            .look(&watch(), &newest(&beats), &stopped_at(100), ms(120))
            .is_news
    );
    assert!(
        !silence
            .look(&watch(), &newest(&beats), &stopped_at(180), ms(199))
            .is_news
    );
    assert!(
        silence
            .look(&watch(), &newest(&beats), &stopped_at(180), ms(200))
            .is_news
    );
    assert_eq!(silence.read().map(|told| told.deadline), Some(ms(200)));
}

#[test]
fn a_gap_before_the_newest_beat_took_nothing_from_it() {
    let awake = Awake {
        planned: ms(120),
        since: ms(10),
        gaps: 1,
        ..Awake::default()
    };
    let mut silence = Silence::default();
    assert!(
        silence
            .look(&watch(), &newest(&[heard(5, ms(20))]), &awake, ms(120))
            .is_news
    );
}

proptest! {
    /// However beats come, and whatever they promise, a look is never later than the deadline that they have, and a silence is
    /// never told before it.
    #[test]
    fn no_silence_is_found_early_or_late(
        beats in prop::collection::vec((0_u64..600_000_000, prop::sample::select(&[20_u16, 500][..])), 1..50),
    ) {
        let mut silence = Silence::default();
        let (mut seen, mut next) = (START, START.saturating_add(Nanos(1)));
        for (sequence, (gap, promise_ms)) in (1_u64..).zip(beats) {
            let before = seen;
            seen = Nanos(seen.0 + gap);
            let beat = Heard { promise_ms, ..heard(sequence, before) };
            let deadline = before.saturating_add(beat.patience(DEADTIME));
            // All looks until the next beat.
            while next <= seen {
                let found = look(&mut silence, &[beat], next);
                prop_assert!(!found.is_news || next == deadline, "found at {next:?}, the deadline was {deadline:?}");
                prop_assert!(found.again > Nanos(0));
                next = next.saturating_add(found.again);
            }
            let told = silence.read().is_some_and(|told| told.last_seen == before);
            prop_assert_eq!(told, gap >= beat.patience(DEADTIME).0, "after a gap of {} ns", gap);
        }
    }
}
