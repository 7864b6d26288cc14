//! What is accepted, and what is recorded of it.

use hb_ebpf::beat::{Beat, Echo, Flags, Groups, Status};
use hb_ebpf::{Heard, Incarnation, Nanos, Sequence, Verdict};
use hb_tests::frames::{KEY, signed};
use hb_user::clock;

use crate::rig::{
    OTHER_KEY, OTHERS, OTHERS_LINK, Rig, THEIR_LINKS, datagram, datagram_from, frame, numbered, snapshot,
};

#[test]
fn a_good_beat_is_recorded_in_every_field() {
    let mut rig = Rig::new();
    let beat = Beat {
        incarnation: Incarnation(0x3132_3334_3536),
        digest: 0x4142_4344,
        promise_ms: 0x5152,
        echo: Echo {
            incarnation: 0x6162_6364,
            sequence: 0x7172_7374,
        },
        flags: Flags {
            status: Status::Leaving,
            maintenance: true,
            answer: false,
            pings: 13,
        },
        groups: Groups([0x9192_9394, 0xa1a2_a3a4, 0xb1b2_b3b4, 0xc1c2_c3c4]),
        present: 0xd1d2,
        ..numbered(0x81_8283_8485)
    };
    let before = clock::now();
    rig.expect(&frame(&beat), Verdict::Accepted, 0);
    let after = clock::now();

    let heard = rig.link(0).heard().unwrap();
    assert!(
        before <= heard.seen && heard.seen <= after,
        "the kernel's clock is ours"
    );
    let expected = Heard {
        seen: heard.seen,
        incarnation: beat.incarnation,
        sequence: beat.sequence,
        digest: beat.digest,
        promise_ms: beat.promise_ms,
        present: beat.present,
        echo: beat.echo,
        groups: beat.groups,
        flags: 0xd6,
    };
    assert_eq!(snapshot(rig.link(0)), (1, Some(expected), 0, 0, Nanos(0), [0; 32]));
    for slot in 1..4 {
        assert_eq!(
            snapshot(rig.link(slot)),
            (0, None, 0, 0, Nanos(0), [0; 32]),
            "slot {slot}"
        );
    }
}

#[test]
fn fields_may_have_their_extreme_values() {
    let extremes = [
        Beat {
            incarnation: Incarnation(1),
            digest: 0,
            promise_ms: 1,
            echo: Echo::default(),
            flags: Flags::of(Status::Init),
            groups: Groups::default(),
            present: 0,
            ..numbered(1)
        },
        Beat {
            incarnation: Incarnation::MAX,
            digest: u32::MAX,
            promise_ms: u16::MAX,
            echo: Echo {
                incarnation: u32::MAX,
                sequence: u32::MAX,
            },
            flags: Flags {
                status: Status::Leaving,
                maintenance: true,
                answer: true,
                pings: Flags::MAX_PINGS,
            },
            groups: Groups([u32::MAX; 4]),
            present: u16::MAX,
            ..numbered(Sequence::MAX.0)
        },
    ];
    for beat in extremes {
        let mut rig = Rig::new();
        rig.expect(&frame(&beat), Verdict::Accepted, 0);
        let heard = rig.link(0).heard().unwrap();
        assert_eq!((heard.groups, heard.sequence), (beat.groups, beat.sequence));
        assert_eq!((heard.promise_ms, heard.present), (beat.promise_ms, beat.present));
        assert_eq!(heard.flags, u32::from(beat.flags.encode()));
    }
}

#[test]
fn tags_options_and_both_families_lead_to_a_beat() {
    let mut rig = Rig::new();
    let mut sequence = 0;
    for vlans in [&[][..], &[0x8100], &[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x8100]] {
        for length in (0..=40).step_by(4) {
            sequence += 1;
            let mut datagram = datagram(signed(&numbered(sequence), KEY));
            datagram.vlans = vlans.to_vec();
            datagram.options = vec![1; length];
            rig.expect(&datagram.frame(), Verdict::Accepted, 0);
        }
        let mut datagram = datagram_from(THEIR_LINKS[1].0, signed(&numbered(sequence), KEY));
        datagram.vlans = vlans.to_vec();
        rig.expect(&datagram.frame(), Verdict::Accepted, 1);
    }
    assert_eq!(rig.link(0).accepted(), 55);
    assert_eq!(rig.link(1).accepted(), 5);
}

#[test]
fn padding_behind_the_datagram_does_not_matter() {
    let mut rig = Rig::new();
    for padding in 0..=64 {
        let mut frame = frame(&numbered(u64::from(padding) + 1));
        frame.extend((0..padding).map(|byte| byte ^ 0x55));
        rig.expect(&frame, Verdict::Accepted, 0);
    }
}

/// The tag decides, not the checksums: docs/PROTOCOL.md.
#[test]
fn checksums_do_not_matter() {
    let mut rig = Rig::new();
    let (ip, udp) = (24, 40);
    for (sequence, (at, value)) in (1..).zip([(ip, [0, 0]), (ip, [0xde, 0xad]), (udp, [0, 0]), (udp, [0xbe, 0xef])]) {
        let mut frame = frame(&numbered(sequence));
        assert_ne!(frame[at..at + 2], value);
        frame[at..at + 2].copy_from_slice(&value);
        rig.expect(&frame, Verdict::Accepted, 0);
    }
}

#[test]
fn what_routers_and_senders_choose_does_not_matter() {
    let mut rig = Rig::new();
    let mut sequence = 0;
    // MAC addresses, type of service, identification, time to live, the destination's address, the source port.
    for at in (0..12).chain([15, 18, 19, 22]).chain(30..36) {
        sequence += 1;
        let mut frame = frame(&numbered(sequence));
        frame[at] ^= 0xff;
        rig.expect(&frame, Verdict::Accepted, 0);
    }
}

#[test]
fn each_link_has_its_own_slot_and_history() {
    let mut rig = Rig::new();
    for (number, (address, slot)) in (1..).zip(THEIR_LINKS) {
        for sequence in 1..=number {
            let datagram = datagram_from(address, signed(&numbered(sequence), KEY));
            rig.expect(&datagram.frame(), Verdict::Accepted, slot);
        }
    }
    let other = Beat {
        source: OTHERS,
        ..numbered(9)
    };
    let datagram = datagram_from(OTHERS_LINK.0, signed(&other, KEY));
    rig.expect(&datagram.frame(), Verdict::Accepted, OTHERS_LINK.1);
    let sequences = [0, 1, 2, 3].map(|slot| rig.link(slot).heard().unwrap().sequence.0);
    assert_eq!(sequences, [1, 2, 9, 3]);
}

#[test]
fn every_key_that_is_ours_is_good() {
    let mut rig = Rig::new();
    let (key, secret) = OTHER_KEY;
    let of_other_key = |sequence| Beat {
        key,
        ..numbered(sequence)
    };
    rig.expect(&frame(&numbered(1)), Verdict::Accepted, 0);
    rig.expect(
        &datagram(signed(&of_other_key(2), secret)).frame(),
        Verdict::Accepted,
        0,
    );
    rig.expect(&frame(&numbered(3)), Verdict::Accepted, 0);
    // The number in the beat chooses the key.
    rig.expect(&datagram(signed(&of_other_key(4), KEY)).frame(), Verdict::Tag, 0);
    rig.expect(&datagram(signed(&numbered(4), secret)).frame(), Verdict::Tag, 0);
}
