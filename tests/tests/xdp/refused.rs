//! What looks like a beat and is refused: consumed, counted, and nothing recorded.

use hb_ebpf::beat::{Beat, LEN, MESSAGE_LEN};
use hb_ebpf::{Incarnation, KeyId, NodeId, Verdict};
use hb_tests::frames::{KEY, signed};
use hb_user::pulse::Signer;

use crate::rig::{OTHERS, OTHERS_LINK, Rig, THEIR_LINKS, THEM, US, datagram, datagram_from, forged, frame, numbered};

/// A good beat, signed after one byte of the message was set.
fn with_byte(at: usize, value: u8) -> Vec<u8> {
    let mut message = numbered(42).encode();
    assert_ne!(message[at], value);
    message[at] = value;
    datagram(Signer::new(KEY).sign(&message).to_vec()).frame()
}

#[test]
fn a_field_that_is_wrong_under_a_good_tag_is_refused_by_its_own_verdict() {
    let mut rig = Rig::new();
    // The version is the high half of the byte; version 1 had a byte 0x01 for it.
    for version in [0x01, 0x11, 0x31, 0xa1, 0xf1] {
        rig.expect(&with_byte(2, version), Verdict::Version, None);
    }
    for key in [0, 2, 8, 14] {
        let beat = Beat {
            key: KeyId(key),
            ..numbered(42)
        };
        rig.expect(&frame(&beat), Verdict::UnknownKey, None);
    }
    for source in [NodeId(0), NodeId(9), US, NodeId(!THEM.0)] {
        let beat = Beat { source, ..numbered(42) };
        rig.expect(&frame(&beat), Verdict::UnknownNode, None);
    }
    for flags in [3, 0x07, 0x0b, 0xf3, 0xff] {
        rig.expect(&with_byte(3, flags), Verdict::Field, 0);
    }
    let zeros = [
        Beat {
            incarnation: Incarnation(0),
            ..numbered(42)
        },
        Beat {
            promise_ms: 0,
            ..numbered(42)
        },
        numbered(0),
    ];
    for beat in zeros {
        rig.expect(&frame(&beat), Verdict::Field, 0);
    }
    assert_eq!(rig.link(0).heard(), None);
    rig.expect(&frame(&numbered(42)), Verdict::Accepted, 0);
}

#[test]
fn a_source_that_is_not_a_link_of_the_node_is_refused() {
    let mut rig = Rig::new();
    let payload = signed(&numbered(1), KEY);
    for address in ["192.0.2.9", OTHERS_LINK.0, "2001:db8::9", "::ffff:192.0.2.1", "::"] {
        let outcome = rig.judge(&datagram_from(address, payload.clone()).frame());
        // An IPv4 address that comes mapped in IPv6 is the same address.
        let expected = if address.starts_with("::ffff") {
            Verdict::Accepted
        } else {
            Verdict::Source
        };
        assert_eq!(outcome.verdict, expected, "{address}");
    }
    let of_others = Beat {
        source: OTHERS,
        ..numbered(1)
    };
    let datagram = datagram_from(THEIR_LINKS[0].0, signed(&of_others, KEY));
    rig.expect(&datagram.frame(), Verdict::Source, None);
}

/// What a beat gets for one wrong bit at this byte, when 42 of this incarnation was heard last.
fn expected_for(at: usize) -> &'static [Verdict] {
    match at {
        0..2 => &[Verdict::Foreign],
        // Another version, or another key's number.
        2 => &[Verdict::Version, Verdict::UnknownKey],
        // Up becomes init, a status that is none, or keeps its bits.
        3 => &[Verdict::Field, Verdict::Tag],
        4..8 => &[Verdict::UnknownNode],
        8..12 => &[Verdict::Elsewhere],
        12..18 => &[Verdict::OldIncarnation, Verdict::Tag, Verdict::Budget],
        48..53 => &[Verdict::OldSequence, Verdict::Duplicate, Verdict::Tag],
        _ => &[Verdict::Tag],
    }
}

#[test]
fn a_bit_that_is_wrong_anywhere_in_a_beat_is_noticed() {
    let mut rig = Rig::new();
    rig.expect(&frame(&numbered(42)), Verdict::Accepted, 0);
    let good = datagram(signed(&numbered(43), KEY));
    for at in 0..LEN {
        for bit in 0..8 {
            let mut wrong = good.clone();
            wrong.payload[at] ^= 1 << bit;
            let verdict = rig.judge(&wrong.frame()).verdict;
            assert!(
                expected_for(at).contains(&verdict),
                "bit {bit} of byte {at}: {verdict:?}"
            );
        }
    }
    rig.expect(&good.frame(), Verdict::Accepted, 0);
}

#[test]
fn a_byte_of_the_tag_that_is_wrong_is_noticed_wherever_it_is() {
    let mut rig = Rig::new();
    rig.expect(&frame(&numbered(42)), Verdict::Accepted, 0);
    for at in MESSAGE_LEN..LEN {
        for value in [0x01, 0x80, 0xff] {
            let mut wrong = datagram(signed(&numbered(43), KEY));
            wrong.payload[at] ^= value;
            rig.expect(&wrong.frame(), Verdict::Tag, 0);
        }
    }
    assert_eq!(rig.count(Some(0), Verdict::Tag), 60);
}

#[test]
fn beats_of_every_other_length_are_refused() {
    let mut rig = Rig::new();
    let good = signed(&numbered(1), KEY);
    for length in (0..LEN).chain(LEN + 1..200) {
        let payload = good.iter().copied().chain([0; 200]).take(length).collect();
        let expected = if length < 4 { Verdict::Foreign } else { Verdict::Length };
        rig.expect(&datagram(payload).frame(), expected, None);
    }
    assert_eq!(rig.link(0).heard(), None);
}

/// The version stands before the length: a later version's beats may be longer.
#[test]
fn another_version_of_another_length_is_another_version() {
    let mut rig = Rig::new();
    let mut payload = signed(&numbered(1), KEY);
    payload[2] = 0x31;
    payload.push(0);
    rig.expect(&datagram(payload).frame(), Verdict::Version, None);
}

#[test]
fn a_forged_beat_leaves_no_trace_but_a_count() {
    let mut rig = Rig::new();
    rig.expect(&forged(&numbered(1)), Verdict::Tag, 0);
    assert_eq!(rig.link(0).heard(), None);
    rig.expect(&frame(&numbered(1)), Verdict::Accepted, 0);
    let before = rig.link(0).heard();
    rig.expect(&forged(&numbered(2)), Verdict::Tag, 0);
    assert_eq!(rig.link(0).heard(), before);
    assert_eq!(rig.count(Some(0), Verdict::Tag), 2);
}
