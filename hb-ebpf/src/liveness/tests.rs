extern crate std;

use core::mem::{align_of, offset_of, size_of};
use core::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::*;

#[test]
fn layouts_are_pinned() {
    assert_eq!(size_of::<Heard>(), 64);
    assert_eq!(offset_of!(Heard, seen), 0);
    assert_eq!(offset_of!(Heard, incarnation), 8);
    assert_eq!(offset_of!(Heard, sequence), 16);
    assert_eq!(offset_of!(Heard, digest), 24);
    assert_eq!(offset_of!(Heard, promise_ms), 28);
    assert_eq!(offset_of!(Heard, present), 30);
    assert_eq!(offset_of!(Heard, echo), 32);
    assert_eq!(offset_of!(Heard, groups), 40);
    assert_eq!(offset_of!(Heard, flags), 56);

    assert_eq!(size_of::<Liveness>(), 424);
    assert_eq!(
        size_of::<Liveness>() % 8,
        0,
        "array elements of the kernel are multiples of 8 bytes apart"
    );
    assert_eq!(align_of::<Liveness>(), 8);
    assert_eq!(offset_of!(Liveness, heard), 0);
    assert_eq!(offset_of!(Liveness, accepted), 128);
    assert_eq!(offset_of!(Liveness, lost), 136);
    assert_eq!(offset_of!(Liveness, duplicates), 144);
    assert_eq!(offset_of!(Liveness, longest_gap), 152);
    assert_eq!(offset_of!(Liveness, budget), 160);
    assert_eq!(offset_of!(Liveness, gaps), 168);

    assert_eq!(size_of::<Event>(), 16);
    assert_eq!(offset_of!(Event, seen), 0);
    assert_eq!(offset_of!(Event, slot), 8);
    assert_eq!(offset_of!(Event, changes), 12);
}

#[test]
fn a_promise_beyond_the_deadtime_buys_time_but_not_for_ever() {
    let patience = |promise_ms| {
        let heard = Heard {
            promise_ms,
            ..Heard::default()
        };
        heard.patience(Nanos::from_millis(500))
    };
    assert_eq!(patience(0), Nanos::from_millis(500));
    assert_eq!(patience(100), Nanos::from_millis(500));
    assert_eq!(patience(501), Nanos::from_millis(501));
    assert_eq!(patience(2_000), Nanos::from_millis(2_000));
    assert_eq!(patience(u16::MAX), MAX_PROMISE);
}

/// A beat whose every field tells its number, so that a mix of two shows.
fn numbered(number: u64) -> Heard {
    let low = u32::try_from(number & 0xffff_ffff).expect("masked");
    let lowest = u16::try_from(number & 0xffff).expect("masked");
    Heard {
        seen: Nanos(number),
        incarnation: Incarnation(7),
        sequence: Sequence(number),
        digest: low,
        promise_ms: lowest,
        present: lowest,
        echo: Echo {
            incarnation: low,
            sequence: low,
        },
        groups: Groups([low; 4]),
        flags: low,
    }
}

#[test]
fn flags_are_told_apart() {
    let flags = Flags {
        status: Status::Leaving,
        maintenance: true,
        answer: false,
        pings: 9,
    };
    let heard = Heard {
        flags: flags.encode().into(),
        ..numbered(1)
    };
    let said = (heard.status(), heard.maintenance(), heard.answer(), heard.pings());
    assert_eq!(said, (Status::Leaving, true, false, 9));
    let other = Heard { flags: 0b1001, ..heard };
    assert_eq!(
        (other.status(), other.maintenance(), other.answer()),
        (Status::Up, false, true)
    );
    assert_eq!(Heard { flags: 3, ..heard }.status(), Status::Init, "is never admitted");
    assert_eq!(Heard { flags: 256, ..heard }.status(), Status::Init);
}

#[test]
fn nothing_is_heard_before_the_first_beat() {
    let liveness = Liveness::default();
    assert_eq!(liveness.heard(), None);
    assert_eq!(liveness.accepted(), 0);
}

#[test]
fn the_newest_beat_is_read_and_the_one_before_it_kept() {
    let mut liveness = Liveness::default();
    for number in 1..=5 {
        liveness.record(&numbered(number));
        assert_eq!(liveness.accepted(), number);
        assert_eq!(liveness.heard(), Some(numbered(number)));
        assert_eq!(*liveness.newest(), numbered(number));
        assert_eq!(liveness.heard[usize::from(number % 2 == 0)].sequence.0, number - 1);
    }
}

#[test]
fn gaps_in_the_sequence_are_lost_beats() {
    let mut liveness = Liveness::default();
    liveness.record(&numbered(40));
    assert_eq!(liveness.lost, 0, "nothing is known of what came before the first");
    liveness.record(&numbered(41));
    assert_eq!(liveness.lost, 0);
    liveness.record(&numbered(45));
    assert_eq!(liveness.lost, 3);
    let reborn = Heard {
        incarnation: Incarnation(8),
        ..numbered(90)
    };
    liveness.record(&reborn);
    assert_eq!(liveness.lost, 3, "nor of a new incarnation");
}

#[test]
fn each_field_that_matters_is_a_change() {
    let steady = numbered(5);
    let changes: [(u32, Heard); 11] = [
        (
            change::INCARNATION,
            Heard {
                incarnation: Incarnation(8),
                ..steady
            },
        ),
        (
            change::INCARNATION,
            Heard {
                incarnation: Incarnation(7 | 1 << 63),
                ..steady
            },
        ),
        (change::STATUS, Heard { flags: 4, ..steady }),
        (
            change::GROUPS,
            Heard {
                groups: Groups([4, 5, 5, 5]),
                ..steady
            },
        ),
        (
            change::GROUPS,
            Heard {
                groups: Groups([5, 4, 5, 5]),
                ..steady
            },
        ),
        (
            change::GROUPS,
            Heard {
                groups: Groups([5, 5, 4, 5]),
                ..steady
            },
        ),
        (
            change::GROUPS,
            Heard {
                groups: Groups([5, 5, 5, 4]),
                ..steady
            },
        ),
        (change::PRESENT, Heard { present: 4, ..steady }),
        (
            change::PRESENT,
            Heard {
                present: 5 | 1 << 15,
                ..steady
            },
        ),
        (change::DIGEST, Heard { digest: 4, ..steady }),
        (
            change::ECHO,
            Heard {
                echo: Echo {
                    incarnation: 4,
                    ..steady.echo
                },
                ..steady
            },
        ),
    ];
    for (bit, changed) in changes {
        let mut liveness = Liveness::default();
        liveness.record(&steady);
        let difference = liveness.record(&Heard {
            sequence: Sequence(6),
            ..changed
        });
        assert!(difference.is_any());
        assert_eq!(difference.changes(), bit);
    }
}

#[test]
fn what_changes_with_every_beat_is_no_change() {
    let mut liveness = Liveness::default();
    liveness.record(&numbered(5));
    let difference = liveness.record(&Heard {
        seen: Nanos(99),
        sequence: Sequence(9),
        promise_ms: 9,
        echo: Echo {
            sequence: 9,
            ..numbered(5).echo
        },
        ..numbered(5)
    });
    assert!(!difference.is_any());
    assert_eq!(difference.changes(), 0);
    assert_eq!(difference.gap(), Some(Nanos(94)));
}

#[test]
fn times_between_incarnations_are_no_gaps() {
    let mut liveness = Liveness::default();
    assert_eq!(
        liveness.record(&numbered(5)).gap(),
        None,
        "nor is the time before the first beat"
    );
    let reborn = Heard {
        incarnation: Incarnation(8),
        ..numbered(9)
    };
    assert_eq!(liveness.record(&reborn).gap(), None);
}

#[test]
fn gaps_are_tallied() {
    let mut liveness = Liveness::default();
    let gaps = [0, 2_047, 2_048, 100_000_000, 100_000_001, u64::MAX];
    for gap in gaps {
        liveness.tally(Nanos(gap));
    }
    liveness.tally(Nanos(3));
    assert_eq!(liveness.longest_gap, Nanos(u64::MAX));
    assert_eq!(liveness.gaps.iter().sum::<u64>(), 7);
    assert_eq!(liveness.gaps[0], 3);
    assert_eq!(liveness.gaps[1], 1);
    // 2^26 <= 100 ms < 2^27.
    assert_eq!(liveness.gaps[16], 2);
    assert_eq!(liveness.gaps[31], 1);
}

/// As [`FIRST_BUCKET_LOG2`] says.
fn naive_bucket(gap: u64) -> u32 {
    match gap.checked_ilog2() {
        None => 0,
        Some(log2) => log2.saturating_sub(FIRST_BUCKET_LOG2).min(31),
    }
}

#[test]
fn buckets_end_at_powers_of_two() {
    for log2 in 0..64 {
        let power = 1_u64 << log2;
        for gap in [power - 1, power, power + 1, power + power / 2] {
            assert_eq!(bucket(Nanos(gap)), naive_bucket(gap), "{gap}");
        }
    }
    assert_eq!(bucket(Nanos(u64::MAX)), 31);
}

proptest! {
    #[test]
    fn buckets_are_logarithms(gap in any::<u64>(), shift in 0..64_u32) {
        prop_assert_eq!(bucket(Nanos(gap >> shift)), naive_bucket(gap >> shift));
    }

    /// Whenever the claims come: never more than the burst and one each ten milliseconds, and never fewer than asked
    /// for where there is less than one each ten milliseconds.
    #[test]
    fn the_budget_holds(waits in prop::collection::vec(prop_oneof![0..1_000_u64, 0..30_000_000_u64], 1..200)) {
        let mut liveness = Liveness::default();
        let mut now = 0;
        let mut hashed = 0;
        for wait in waits {
            now += wait;
            let allowed = liveness.may_hash(Nanos(now));
            hashed += u64::from(allowed);
            prop_assert!(hashed <= HASH_BURST + now / HASH_EVERY.0);
            prop_assert!(allowed || wait < HASH_EVERY.0);
        }
    }
}

#[test]
fn the_budget_is_a_burst_and_then_a_pace() {
    // The first hash may be wanted at boot, when the clock is 0.
    for start in [0, 1, 12_345_678_901] {
        let mut liveness = Liveness::default();
        for _ in 0..HASH_BURST {
            assert!(liveness.may_hash(Nanos(start)));
        }
        assert!(!liveness.may_hash(Nanos(start)));
        assert!(
            !liveness.may_hash(Nanos(start + HASH_EVERY.0 - 1)),
            "a refusal costs nothing"
        );
        assert!(liveness.may_hash(Nanos(start + HASH_EVERY.0)));
        assert!(!liveness.may_hash(Nanos(start + HASH_EVERY.0)));
        // After a long rest there is one burst, and not more.
        let rested = start + 1_000 * HASH_EVERY.0;
        let burst = (0..100).filter(|_| liveness.may_hash(Nanos(rested))).count();
        assert_eq!(burst as u64, HASH_BURST);
    }
}

/// Memory that a writer and readers share, as the kernel and its readers do.
struct Shared(core::cell::UnsafeCell<Liveness>);

// SAFETY: one thread writes; the others read through `heard`, which is made for that.
unsafe impl Sync for Shared {}

#[test]
fn a_reader_never_sees_half_a_beat() {
    const BEATS: u64 = 200_000;
    let shared = Shared(core::cell::UnsafeCell::default());
    let shared = &shared;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=BEATS {
                // SAFETY: nobody else writes.
                unsafe { &mut *shared.0.get() }.record(&numbered(number));
            }
            done.store(true, Ordering::Release);
        });
        let mut newest = 0;
        let mut reads = 0_u64;
        while !done.load(Ordering::Acquire) || reads == 0 {
            // SAFETY: see `Shared`.
            if let Some(heard) = unsafe { &*shared.0.get() }.heard() {
                assert_eq!(heard, numbered(heard.sequence.0));
                assert!(heard.sequence.0 >= newest, "an older beat after a newer one");
                newest = heard.sequence.0;
                reads += 1;
            }
        }
    });
    // SAFETY: the writer has ended.
    assert_eq!(unsafe { &*shared.0.get() }.heard(), Some(numbered(BEATS)));
}
