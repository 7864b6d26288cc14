extern crate std;

use core::mem::{offset_of, size_of};

use proptest::prelude::*;

use super::*;

/// docs/PROTOCOL.md's table: offset, size, and a value whose bytes are all different from its neighbours'.
const TABLE: [(usize, &[u8]); 13] = [
    (0, b"hb"),
    (2, &[0x2e]),
    (3, &[0b1101_0110]),
    (4, &[0x11, 0x12, 0x13, 0x14]),
    (8, &[0x21, 0x22, 0x23, 0x24]),
    (12, &[0x31, 0x32, 0x33, 0x34, 0x35, 0x36]),
    (18, &[0x51, 0x52]),
    (20, &[0x41, 0x42, 0x43, 0x44]),
    (24, &[0x61, 0x62, 0x63, 0x64]),
    (28, &[0x71, 0x72, 0x73, 0x74]),
    (
        32,
        &[
            0x91, 0x92, 0x93, 0x94, 0xa1, 0xa2, 0xa3, 0xa4, 0xb1, 0xb2, 0xb3, 0xb4, 0xc1, 0xc2, 0xc3, 0xc4,
        ],
    ),
    (48, &[0x81, 0x82, 0x83, 0x84, 0x85]),
    (53, &[0xd1, 0xd2]),
];

fn of_table() -> Beat {
    Beat {
        key: KeyId(14),
        source: NodeId(0x1112_1314),
        destination: NodeId(0x2122_2324),
        incarnation: Incarnation(0x3132_3334_3536),
        digest: 0x4142_4344,
        promise_ms: 0x5152,
        echo: Echo {
            incarnation: 0x6162_6364,
            sequence: 0x7172_7374,
        },
        sequence: Sequence(0x81_8283_8485),
        flags: Flags {
            status: Status::Leaving,
            maintenance: true,
            answer: false,
            pings: 13,
        },
        groups: Groups([0x9192_9394, 0xa1a2_a3a4, 0xb1b2_b3b4, 0xc1c2_c3c4]),
        present: 0xd1d2,
    }
}

#[test]
fn fields_lie_where_the_protocol_says() {
    let message = of_table().encode();
    let mut end = 0;
    for (offset, bytes) in TABLE {
        assert_eq!(offset, end, "the table has a hole or an overlap");
        end = offset + bytes.len();
        assert_eq!(message[offset..end], *bytes, "at {offset}");
    }
    assert_eq!(end, MESSAGE_LEN);
    assert_eq!(decode(&message), of_table());
}

/// The decoder: what the accessors of [`Words`] make of a message.
fn decode(message: &[u8; MESSAGE_LEN]) -> Beat {
    let words = Words::of_message(message);
    assert_eq!(words.magic(), MAGIC);
    assert_eq!(words.version(), VERSION);
    Beat {
        key: words.key(),
        source: words.source(),
        destination: words.destination(),
        incarnation: words.incarnation(),
        digest: words.digest(),
        promise_ms: words.promise_ms(),
        echo: words.echo(),
        sequence: words.sequence(),
        flags: Flags::decode(words.flags()).expect("a status"),
        groups: words.groups(),
        present: words.present(),
    }
}

fn any_flags() -> impl Strategy<Value = Flags> {
    (0..=2_u8, any::<bool>(), any::<bool>(), 0..=Flags::MAX_PINGS).prop_map(|(status, maintenance, answer, pings)| {
        Flags {
            status: Status::from_u8(status).expect("one of three"),
            maintenance,
            answer,
            pings,
        }
    })
}

fn any_beat() -> impl Strategy<Value = Beat> {
    let ids = (0..16_u8, any::<u32>(), any::<u32>());
    let life = (0..=Incarnation::MAX.0, 0..=Sequence::MAX.0, any_flags());
    let words = (any::<u32>(), any::<[u16; 2]>(), any::<[u32; 2]>(), any::<[u32; 4]>());
    (ids, life, words).prop_map(
        |((key, source, destination), (incarnation, sequence, flags), (digest, halves, echo, groups))| Beat {
            key: KeyId(key),
            source: NodeId(source),
            destination: NodeId(destination),
            incarnation: Incarnation(incarnation),
            digest,
            promise_ms: halves[0],
            echo: Echo {
                incarnation: echo[0],
                sequence: echo[1],
            },
            sequence: Sequence(sequence),
            flags,
            groups: Groups(groups),
            present: halves[1],
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(beat in any_beat()) {
        prop_assert_eq!(decode(&beat.encode()), beat);
    }

    #[test]
    fn a_group_changes_alone(before in any::<[u32; 4]>(), index in 0..MAX_GROUPS, state in 0..16_u8) {
        let before = Groups(before);
        let after = before.with(index, state);
        for group in 0..MAX_GROUPS {
            let expected = if group == index { state } else { before.get(group) };
            prop_assert_eq!(after.get(group), expected);
        }
    }

    #[test]
    fn tags_match_only_themselves(tag in any::<[u32; 5]>(), word in 0..5_usize, bit in 0..32_u32) {
        let mut other = tag;
        other[word] ^= 1 << bit;
        prop_assert!(Tag(tag).matches(&Tag(tag)));
        prop_assert!(!Tag(tag).matches(&Tag(other)));
    }
}

#[test]
fn groups_lie_from_the_most_significant_bits_on() {
    assert_eq!(Groups::default().with(0, 15).0, [0xf000_0000, 0, 0, 0]);
    assert_eq!(Groups::default().with(7, 9).0, [0x9, 0, 0, 0]);
    assert_eq!(Groups::default().with(8, 9).0, [0, 0x9000_0000, 0, 0]);
    assert_eq!(Groups::default().with(31, 15).0, [0, 0, 0, 0xf]);
    let mut all = Groups::default();
    for index in 0..MAX_GROUPS {
        all = all.with(index, 15);
    }
    assert_eq!(all.0, [u32::MAX; 4]);
}

#[test]
fn groups_out_of_range_do_not_exist() {
    let groups = Groups([u32::MAX; 4]);
    assert_eq!(groups.get(MAX_GROUPS), 0);
    assert_eq!(groups.with(MAX_GROUPS, 0), groups);
    // And of a state only four bits count.
    assert_eq!(Groups::default().with(1, 0xff).0, [0x0f00_0000, 0, 0, 0]);
}

#[test]
fn each_flag_has_its_bits() {
    let none = Flags::of(Status::Init);
    assert_eq!(none.encode(), 0);
    assert_eq!(Flags::of(Status::Up).encode(), 1);
    assert_eq!(Flags::of(Status::Leaving).encode(), 2);
    let maintenance = Flags {
        maintenance: true,
        ..none
    };
    assert_eq!(maintenance.encode(), 4);
    assert_eq!(Flags { answer: true, ..none }.encode(), 8);
    assert_eq!(Flags { pings: 1, ..none }.encode(), 16);
    for pings in [15, 16, 255] {
        assert_eq!(Flags { pings, ..none }.encode(), 0xf0, "{pings}");
    }
}

#[test]
fn a_byte_of_flags_is_read_whole_or_not_at_all() {
    for byte in 0..=u8::MAX {
        let expected = (byte & 3 != 3).then_some(byte);
        assert_eq!(Flags::decode(byte).map(Flags::encode), expected);
    }
}

#[test]
fn a_promise_is_rounded_up_and_never_nothing() {
    let cases = [
        (0, 1),
        (1, 1),
        (999_999, 1),
        (1_000_000, 1),
        (1_000_001, 2),
        (100_000_000, 100),
        (65_534_000_001, 65_535),
        (65_535_000_001, 65_535),
        (u64::MAX, 65_535),
    ];
    for (interval, promise) in cases {
        assert_eq!(Beat::promise_ms(Nanos(interval)), promise, "{interval} ns");
    }
}

/// A key's number has four bits; no other part of the beat changes with a fifth.
#[test]
fn the_key_does_not_reach_the_version() {
    let key = KeyId(0xf1);
    assert_eq!(Beat { key, ..of_table() }.encode()[2], 0x21);
}

#[test]
fn statuses_have_their_numbers() {
    for status in [Status::Init, Status::Up, Status::Leaving] {
        assert_eq!(Status::from_u8(status as u8), Some(status));
    }
    assert_eq!(Status::from_u8(3), None);
    assert_eq!(Status::from_u8(255), None);
}

#[test]
fn layouts_are_pinned() {
    assert_eq!(LEN, 75);
    assert_eq!(size_of::<Echo>(), 8);
    assert_eq!(offset_of!(Echo, incarnation), 0);
    assert_eq!(offset_of!(Echo, sequence), 4);
    assert_eq!(size_of::<Groups>(), 16);
    assert_eq!(size_of::<Words>(), 56);
    assert_eq!(size_of::<Tag>(), 20);
}
