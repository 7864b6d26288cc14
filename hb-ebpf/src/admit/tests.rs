//! Each verdict, on the host. tests/tests/xdp has the same and more in the kernel.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::beat::Words;
use crate::beat::{Beat, Echo, Groups, LEN};
use crate::host::Memory;
use crate::liveness::{HASH_BURST, HASH_EVERY, change};
use crate::tables::Link;

const US: NodeId = NodeId(2);
const THEM: NodeId = NodeId(1);
/// The low half of our own incarnation.
const OURS: u32 = 0xf000_1234;
const KEY: [u8; 64] = [0x5a; 64];

fn world() -> Memory {
    let mut peer = Peer {
        count: 1,
        ..Peer::default()
    };
    peer.links[0] = Link {
        address: Address::v4(0xc000_0201),
        slot: 0,
    };
    let own = Own {
        node: US,
        incarnation: OURS,
        port: 694,
    };
    Memory::new(own, 1)
        .with_key(KeyId(1), Midstates::of_block(&KEY))
        .with_peer(THEM, peer)
}

fn beat(sequence: u64) -> Beat {
    Beat {
        key: KeyId(1),
        source: THEM,
        destination: US,
        incarnation: Incarnation(77),
        digest: 5,
        promise_ms: 100,
        echo: Echo::default(),
        sequence: Sequence(sequence),
        flags: Flags::of(Status::Up),
        groups: Groups::default(),
        present: 0b11,
    }
}

fn signed(message: &[u8; beat::MESSAGE_LEN]) -> [u8; LEN] {
    let tag = Midstates::of_block(&KEY).tag(&Words::of_message(message));
    let mut payload = [0; LEN];
    payload[..beat::MESSAGE_LEN].copy_from_slice(message);
    for (bytes, word) in payload[beat::MESSAGE_LEN..].chunks_exact_mut(4).zip(tag.0) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    payload
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short");
    let mut frame = std::vec![2; 12];
    frame.extend([0x08, 0x00, 0x45, 0x10]);
    frame.extend((28 + length).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    for half in [694, 694, 8 + length, 0] {
        frame.extend(half.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

fn good(beat: &Beat) -> Vec<u8> {
    frame(&signed(&beat.encode()))
}

/// The message with one byte changed, signed.
fn with_byte(at: usize, value: u8) -> Vec<u8> {
    let mut message = beat(1).encode();
    message[at] = value;
    frame(&signed(&message))
}

#[test]
fn a_good_beat_is_recorded_and_announced() {
    let mut world = world();
    world.now.set(Nanos(1_000));
    assert_eq!(world.admit(&good(&beat(9))), Verdict::Accepted);
    let expected = Heard {
        seen: Nanos(1_000),
        incarnation: Incarnation(77),
        sequence: Sequence(9),
        digest: 5,
        promise_ms: 100,
        present: 0b11,
        echo: Echo::default(),
        groups: Groups::default(),
        flags: 1,
    };
    assert_eq!(world.link(0).heard(), Some(expected));
    let first = Event {
        seen: Nanos(1_000),
        slot: 0,
        changes: change::INCARNATION | change::STATUS | change::DIGEST | change::PRESENT,
    };
    assert_eq!(world.take_events(), [first]);

    world.now.set(Nanos(9_000));
    assert_eq!(world.admit(&good(&beat(10))), Verdict::Accepted);
    assert_eq!(world.take_events(), []);
    assert_eq!(world.link(0).longest_gap, Nanos(8_000));
    assert_eq!(world.link(0).gaps[2], 1);
}

#[test]
fn verdicts_come_from_cheap_to_expensive() {
    let mut stranger = good(&beat(1));
    stranger[29] = 9;
    let mut forged = good(&beat(1));
    forged[42 + LEN - 1] ^= 1;
    let cases = [
        (Verdict::NotOurs, std::vec![0; 60]),
        (Verdict::LinuxHa, frame(b"###\n")),
        (Verdict::LinuxHa, frame(b">>>\nt=status\n")),
        (Verdict::Foreign, frame(b"")),
        (Verdict::Foreign, with_byte(0, b'H')),
        (Verdict::Foreign, with_byte(1, b'B')),
        (Verdict::Version, with_byte(2, 0x01)),
        (Verdict::Version, with_byte(2, 0x11)),
        (Verdict::Version, with_byte(2, 0x31)),
        (Verdict::Version, with_byte(2, 0xf1)),
        (Verdict::Version, frame(b"hb\x11\x01")),
        (Verdict::Length, frame(b"hb\x21\x01")),
        (Verdict::Elsewhere, with_byte(11, 3)),
        (Verdict::UnknownKey, with_byte(2, 0x20)),
        (Verdict::UnknownKey, with_byte(2, 0x22)),
        (Verdict::UnknownKey, with_byte(2, 0x2f)),
        (Verdict::UnknownNode, with_byte(7, 9)),
        (Verdict::Source, stranger),
        (Verdict::Field, with_byte(3, 3)),
        (Verdict::Field, with_byte(3, 0xff)),
        (
            Verdict::Field,
            good(&Beat {
                incarnation: Incarnation(0),
                ..beat(1)
            }),
        ),
        (Verdict::Field, good(&beat(0))),
        (
            Verdict::Field,
            good(&Beat {
                promise_ms: 0,
                ..beat(1)
            }),
        ),
        (Verdict::Tag, forged),
    ];
    for (index, (verdict, frame)) in cases.into_iter().enumerate() {
        let mut world = world();
        assert_eq!(world.admit(&frame), verdict, "case {index}");
        let row = (verdict >= Verdict::Field).then_some(0);
        assert_eq!(world.counted(row, verdict), 1, "case {index}");
        assert_eq!(world.link(0).accepted(), 0);
        assert_eq!(world.take_events(), []);
    }
}

#[test]
fn only_newer_beats_are_accepted() {
    let mut world = world();
    let of = |incarnation, sequence| {
        good(&Beat {
            incarnation: Incarnation(incarnation),
            ..beat(sequence)
        })
    };
    assert_eq!(world.admit(&of(77, 5)), Verdict::Accepted);
    assert_eq!(world.admit(&of(77, 5)), Verdict::Duplicate);
    assert_eq!(world.admit(&of(77, 4)), Verdict::OldSequence);
    assert_eq!(world.admit(&of(76, 6)), Verdict::OldIncarnation);
    assert_eq!(world.admit(&of(77, 8)), Verdict::Accepted);
    assert_eq!(world.admit(&of(78, 1)), Verdict::Accepted);
    assert_eq!(world.admit(&of(77, 9)), Verdict::OldIncarnation);
    let link = world.link(0);
    assert_eq!((link.accepted(), link.lost, link.duplicates), (3, 2, 1));
}

#[test]
fn claims_of_a_new_incarnation_have_a_budget() {
    let world = world();
    assert_eq!(world.admit(&good(&beat(1))), Verdict::Accepted);
    let mut claim = good(&Beat {
        incarnation: Incarnation(99),
        ..beat(1)
    });
    claim[42 + LEN - 1] ^= 1;
    // The first beat was a claim itself.
    for _ in 1..8 {
        assert_eq!(world.admit(&claim), Verdict::Tag);
    }
    assert_eq!(world.admit(&claim), Verdict::Budget);
    assert_eq!(
        world.admit(&good(&beat(2))),
        Verdict::Accepted,
        "the known incarnation needs none"
    );
    world.now.set(HASH_EVERY);
    assert_eq!(world.admit(&claim), Verdict::Tag);
    assert_eq!(world.admit(&claim), Verdict::Budget);
}

/// A frame with a tag that is wrong in its last bit.
fn forged(beat: &Beat) -> Vec<u8> {
    let mut frame = good(beat);
    frame[42 + LEN - 1] ^= 1;
    frame
}

fn of_life(incarnation: u64, sequence: u64) -> Beat {
    Beat {
        incarnation: Incarnation(incarnation),
        ..beat(sequence)
    }
}

/// Both sides of the attacker's dilemma: what he can send without knowing either life buys next to nothing.
#[test]
fn a_flood_of_strangers_does_not_keep_out_who_has_restarted() {
    let world = world();
    assert_eq!(world.admit(&good(&beat(1))), Verdict::Accepted);
    let mut guess = 0_u32;
    let mut flood = |frames: u32| {
        for _ in 0..frames {
            guess = guess.wrapping_add(0x9e37_79b9);
            let claim = Beat {
                echo: Echo {
                    incarnation: guess,
                    sequence: 1,
                },
                ..of_life(u64::from(guess) << 8, 1)
            };
            world.admit(&forged(&claim));
        }
    };
    // Its first beat has heard nobody, and has to win a hash by chance.
    flood(1_000);
    assert_eq!(world.admit(&good(&of_life(78, 1))), Verdict::Budget);
    flood(1_000);
    // Its second has heard us.
    let restarted = Beat {
        echo: Echo {
            incarnation: OURS,
            sequence: 9,
        },
        ..of_life(78, 2)
    };
    assert_eq!(world.admit(&good(&restarted)), Verdict::Accepted);
    flood(1_000);
    assert_eq!(world.admit(&good(&of_life(78, 3))), Verdict::Accepted);
    // All that the flood has bought, at one moment, is the burst.
    assert_eq!(world.counted(Some(0), Verdict::Tag), HASH_BURST - 1);
}

/// Whoever reads the wire knows our incarnation: he pays no budget, and is still refused.
#[test]
fn an_echo_of_ours_needs_a_right_tag_all_the_same() {
    let mut world = world();
    let claim = Beat {
        echo: Echo {
            incarnation: OURS,
            sequence: 1,
        },
        ..of_life(99, 1)
    };
    for _ in 0..100 {
        assert_eq!(world.admit(&forged(&claim)), Verdict::Tag);
    }
    assert_eq!(world.link(0).accepted(), 0);
    // Nor does it buy an older life a hash.
    assert_eq!(world.admit(&good(&of_life(77, 1))), Verdict::Accepted);
    let older = Beat {
        incarnation: Incarnation(76),
        ..claim
    };
    assert_eq!(world.admit(&good(&older)), Verdict::OldIncarnation);
}

#[test]
fn a_stolen_older_life_comes_to_nothing_once_a_newer_is_known() {
    let mut world = world();
    let stolen: Vec<_> = (1..=500).map(|sequence| good(&of_life(77, sequence))).collect();
    assert_eq!(world.admit(&good(&of_life(78, 1))), Verdict::Accepted);
    for frame in &stolen {
        assert_eq!(world.admit(frame), Verdict::OldIncarnation);
    }
    assert_eq!(world.link(0).accepted(), 1);
    assert_eq!(world.counted(Some(0), Verdict::OldIncarnation), 500);
}

/// We have restarted and know of no life: what was recorded is taken once, at most, and ends with the first true beat.
#[test]
fn a_stolen_older_life_is_worth_each_beat_once() {
    let mut world = world();
    let stolen: Vec<_> = (1..=500).map(|sequence| good(&of_life(77, sequence))).collect();
    for _ in 0..3 {
        for frame in &stolen {
            world.admit(frame);
        }
    }
    assert_eq!(world.link(0).accepted(), 500);
    let present = Beat {
        echo: Echo {
            incarnation: OURS,
            sequence: 1,
        },
        ..of_life(78, 9_000)
    };
    assert_eq!(world.admit(&good(&present)), Verdict::Accepted);
    assert_eq!(world.admit(&stolen[499]), Verdict::OldIncarnation);
    assert_eq!(world.link(0).accepted(), 501);
}
