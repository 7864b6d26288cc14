extern crate std;

use core::mem::{offset_of, size_of};

use proptest::prelude::*;

use super::*;

/// docs/PROTOCOL.md's table: offset, size, and a value whose bytes are all different from its neighbours'.
const TABLE: [(usize, &[u8]); 12] = [
    (0, b"hb"),
    (2, &[1]),
    (3, &[0x0e]),
    (4, &[0x11, 0x12, 0x13, 0x14]),
    (8, &[0x21, 0x22, 0x23, 0x24]),
    (12, &[0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38]),
    (20, &[0x41, 0x42, 0x43, 0x44]),
    (24, &[0x51, 0x52, 0x53, 0x54]),
    (28, &[0x61, 0x62, 0x63, 0x64, 0x71, 0x72, 0x73, 0x74]),
    (36, &[0x81, 0x82, 0x83, 0x84, 0x85, 0x86]),
    (42, &[2]),
    (
        43,
        &[0x91, 0x92, 0x93, 0x94, 0xa1, 0xa2, 0xa3, 0xa4, 0xb1, 0xb2, 0xb3, 0xb4],
    ),
];

fn of_table() -> Beat {
    Beat {
        key: KeyId(14),
        source: NodeId(0x1112_1314),
        destination: NodeId(0x2122_2324),
        incarnation: Incarnation(0x3132_3334_3536_3738),
        digest: 0x4142_4344,
        promise_us: 0x5152_5354,
        echo: Echo {
            incarnation: 0x6162_6364,
            sequence: 0x7172_7374,
        },
        sequence: Sequence(0x8182_8384_8586),
        status: Status::Leaving,
        groups: Groups([0x9192_9394, 0xa1a2_a3a4, 0xb1b2_b3b4]),
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
        promise_us: words.promise_us(),
        echo: words.echo(),
        sequence: words.sequence(),
        status: Status::from_u8(words.status()).expect("one of three"),
        groups: words.groups(),
    }
}

fn any_beat() -> impl Strategy<Value = Beat> {
    let ids = (any::<u8>(), any::<u32>(), any::<u32>());
    let life = (any::<u64>(), 0..=Sequence::MAX.0, 0..=2_u8);
    let words = (any::<u32>(), any::<u32>(), any::<[u32; 2]>(), any::<[u32; 3]>());
    (ids, life, words).prop_map(
        |((key, source, destination), (incarnation, sequence, status), (digest, promise_us, echo, groups))| Beat {
            key: KeyId(key),
            source: NodeId(source),
            destination: NodeId(destination),
            incarnation: Incarnation(incarnation),
            digest,
            promise_us,
            echo: Echo {
                incarnation: echo[0],
                sequence: echo[1],
            },
            sequence: Sequence(sequence),
            status: Status::from_u8(status).expect("one of three"),
            groups: Groups(groups),
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(beat in any_beat()) {
        prop_assert_eq!(decode(&beat.encode()), beat);
    }

    #[test]
    fn a_group_changes_alone(before in any::<[u32; 3]>(), index in 0..MAX_GROUPS, state in 0..8_u8) {
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
    assert_eq!(Groups::default().with(0, 7).0, [0xe000_0000, 0, 0]);
    // Group 10 crosses from the first word into the second.
    assert_eq!(Groups::default().with(10, 7).0, [0b11, 0x8000_0000, 0]);
    assert_eq!(Groups::default().with(31, 7).0, [0, 0, 0b111]);
    let mut all = Groups::default();
    for index in 0..MAX_GROUPS {
        all = all.with(index, 7);
    }
    assert_eq!(all.0, [u32::MAX; 3]);
}

#[test]
fn groups_out_of_range_do_not_exist() {
    let groups = Groups([u32::MAX; 3]);
    assert_eq!(groups.get(MAX_GROUPS), 0);
    assert_eq!(groups.with(MAX_GROUPS, 0), groups);
    // And of a state only three bits count.
    assert_eq!(Groups::default().with(1, 0xff).get(0), 0);
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
    assert_eq!(size_of::<Groups>(), 12);
    assert_eq!(size_of::<Words>(), 56);
    assert_eq!(size_of::<Tag>(), 20);
}
