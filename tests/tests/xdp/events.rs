//! What is announced: transitions, and nothing else.

use hb_ebpf::beat::{Beat, Echo, Flags, Groups, Status};
use hb_ebpf::liveness::{Event, change};
use hb_ebpf::{Incarnation, Verdict};
use hb_tests::frames::{KEY, signed};

use crate::rig::{Rig, THEIR_LINKS, datagram_from, forged, frame, numbered};

/// A rig that has heard the first beat, whose event is taken.
fn heard_one() -> Rig {
    let mut rig = Rig::new();
    rig.run(&frame(&numbered(1)), 1);
    let seen = rig.link(0).heard().unwrap().seen;
    let all = change::INCARNATION | change::STATUS | change::GROUPS | change::DIGEST | change::ECHO | change::PRESENT;
    let first = Event {
        seen,
        slot: 0,
        changes: all,
    };
    assert_eq!(rig.take_events(), [first], "the first beat is news in everything");
    rig
}

#[test]
fn a_steady_beat_is_no_event() {
    let mut rig = heard_one();
    for sequence in 2..100 {
        let beat = Beat {
            // These change all the time.
            promise_ms: u16::try_from(sequence).unwrap(),
            echo: Echo {
                sequence: u32::try_from(sequence).unwrap(),
                ..numbered(1).echo
            },
            ..numbered(sequence)
        };
        rig.run(&frame(&beat), 1);
    }
    assert_eq!(rig.link(0).accepted(), 99);
    assert_eq!(rig.take_events(), []);
}

#[test]
fn each_change_is_an_event_once() {
    let steady = numbered(2);
    let changes = [
        (
            change::INCARNATION,
            Beat {
                incarnation: Incarnation::MAX,
                ..steady
            },
        ),
        (
            change::STATUS,
            Beat {
                flags: Flags::of(Status::Leaving),
                ..steady
            },
        ),
        (
            change::STATUS,
            Beat {
                flags: Flags::of(Status::Init),
                ..steady
            },
        ),
        (change::PRESENT, Beat { present: 1, ..steady }),
        (
            change::PRESENT,
            Beat {
                present: steady.present | 1 << 15,
                ..steady
            },
        ),
        (
            change::GROUPS,
            Beat {
                groups: steady.groups.with(31, 1),
                ..steady
            },
        ),
        (
            change::GROUPS,
            Beat {
                groups: Groups::default(),
                ..steady
            },
        ),
        (
            change::DIGEST,
            Beat {
                digest: !steady.digest,
                ..steady
            },
        ),
        (
            change::ECHO,
            Beat {
                echo: Echo {
                    incarnation: 0,
                    ..steady.echo
                },
                ..steady
            },
        ),
        (
            change::STATUS | change::DIGEST,
            Beat {
                flags: Flags::of(Status::Leaving),
                digest: 0,
                ..steady
            },
        ),
    ];
    for (changes, beat) in changes {
        is_announced_once(&beat, changes);
    }
}

#[test]
fn each_flag_is_news() {
    let up = numbered(2).flags;
    let changed = [
        Flags {
            maintenance: true,
            ..up
        },
        Flags { answer: true, ..up },
        Flags { pings: 8, ..up },
    ];
    for flags in changed {
        is_announced_once(&Beat { flags, ..numbered(2) }, change::STATUS);
    }
}

/// The second beat of a link is news for what it changes, and a third that says the same is none.
#[track_caller]
fn is_announced_once(beat: &Beat, changes: u32) {
    let mut rig = heard_one();
    rig.run(&frame(beat), 1);
    let seen = rig.link(0).heard().unwrap().seen;
    assert_eq!(rig.take_events(), [Event { seen, slot: 0, changes }]);
    let next = Beat {
        sequence: numbered(3).sequence,
        ..*beat
    };
    rig.run(&frame(&next), 1);
    assert_eq!(rig.link(0).accepted(), 3);
    assert_eq!(rig.take_events(), []);
}

#[test]
fn an_event_names_its_link() {
    let mut rig = Rig::new();
    for (address, slot) in THEIR_LINKS {
        rig.run(&datagram_from(address, signed(&numbered(1), KEY)).frame(), 1);
        assert_eq!(rig.take_events().len(), 1);
        rig.run(&datagram_from(address, signed(&leaving(2), KEY)).frame(), 1);
        let events = rig.take_events();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].slot, events[0].changes), (slot, change::STATUS));
    }
}

fn leaving(sequence: u64) -> Beat {
    Beat {
        flags: Flags::of(Status::Leaving),
        ..numbered(sequence)
    }
}

#[test]
fn what_is_refused_announces_nothing() {
    let mut rig = heard_one();
    rig.run(&forged(&leaving(2)), 1);
    rig.run(&frame(&leaving(1)), 1);
    let earlier = Beat {
        incarnation: Incarnation(1),
        ..leaving(9)
    };
    rig.run(&frame(&earlier), 1);
    for verdict in [Verdict::Tag, Verdict::Duplicate, Verdict::OldIncarnation] {
        assert_eq!(rig.count(Some(0), verdict), 1, "{verdict:?}");
    }
    assert_eq!(rig.take_events(), []);
}

/// The ring has 64 KiB, and an event takes 24 bytes of it: the kernel's header has eight.
#[test]
fn a_full_ring_loses_edges_and_nothing_else() {
    const ROOM: usize = 65_536 / 24;
    const BEATS: u64 = 3_000;
    let mut rig = heard_one();
    for sequence in 2..BEATS {
        let beat = if sequence % 2 == 0 {
            leaving(sequence)
        } else {
            numbered(sequence)
        };
        rig.run(&frame(&beat), 1);
    }
    assert_eq!(rig.link(0).accepted(), BEATS - 1);
    assert_eq!(rig.link(0).heard().unwrap().sequence.0, BEATS - 1);
    assert_eq!(rig.link(0).lost, 0);

    let kept = rig.take_events();
    assert!(
        (ROOM - 2..=ROOM).contains(&kept.len()),
        "{} events in a ring for {ROOM}",
        kept.len()
    );
    rig.run(&frame(&leaving(BEATS)), 1);
    assert_eq!(rig.take_events().len(), 1, "there is room again");
}
