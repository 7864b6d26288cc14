//! Frames that nobody thought of: the kernel and the host must agree on them, and accept none that is not signed.

use hb_ebpf::beat::{Beat, Flags, Groups};
use hb_ebpf::{Incarnation, NodeId, Sequence, Verdict};
use hb_tests::frames::{KEY, signed};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng};

use crate::rig::{OTHER_KEY, OTHERS, OTHERS_LINK, Rig, THEIR_LINKS, THEM, datagram, datagram_from, frame, numbered};

fn seeded(seed: u8) -> TestRng {
    TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32])
}

#[test]
fn random_frames_of_every_length_are_not_ours() {
    let mut rig = Rig::new();
    let mut rng = seeded(1);
    let mut bytes = 0;
    for length in 14..=1_514 {
        let mut frame = vec![0; length];
        rng.fill_bytes(&mut frame);
        rig.expect(&frame, Verdict::NotOurs, None);
        bytes += length;
    }
    assert!(bytes >= 64 * 1024);
    assert_eq!(rig.count(None, Verdict::NotOurs), 1_501);
}

/// Random bytes behind headers that lead to our port, with ever more of a beat's start.
#[test]
fn random_payloads_are_never_accepted() {
    let mut rig = Rig::new();
    let mut rng = seeded(2);
    let good = numbered(1).encode();
    for round in 0..2_000_usize {
        let mut payload = vec![0; if round % 2 == 0 { 75 } else { round % 1_400 }];
        rng.fill_bytes(&mut payload);
        let known = (round / 3 % 13).min(payload.len());
        payload[..known].copy_from_slice(&good[..known]);
        let verdict = rig.judge(&datagram(payload).frame()).verdict;
        assert_ne!(verdict, Verdict::Accepted, "round {round}");
    }
    assert_eq!(rig.link(0).heard(), None);
}

#[test]
fn mutated_beats_are_never_accepted() {
    let mut rig = Rig::new();
    let mut rng = seeded(3);
    let start = 42;
    for _ in 0..2_000 {
        let mut frame = frame(&numbered(7));
        let payload = frame[start..].to_vec();
        for _ in 0..=rng.next_u32() % 4 {
            let at = rng.next_u32() as usize % frame.len();
            frame[at] = rng.next_u32().to_be_bytes()[0];
        }
        if frame[start..] == payload {
            // Only headers have changed, and they are not signed.
            frame[start + 74] ^= 1;
        }
        let verdict = rig.judge(&frame).verdict;
        assert_ne!(verdict, Verdict::Accepted);
    }
    assert_eq!(rig.link(0).heard(), None);
}

/// One frame of a history.
#[derive(Clone, Debug)]
struct Step {
    /// Which link of which peer.
    link: usize,
    /// Of four lives.
    life: u64,
    sequence: u64,
    other_key: bool,
    /// As a beat carries them.
    flags: u8,
    group: u8,
    present: u16,
    /// What is done to the frame: a byte, and the bits to change in it.
    mutation: Option<(usize, u8)>,
    vlan: bool,
}

const LINKS: [(NodeId, (&str, u32)); 4] = [
    (THEM, THEIR_LINKS[0]),
    (THEM, THEIR_LINKS[1]),
    (THEM, THEIR_LINKS[2]),
    (OTHERS, OTHERS_LINK),
];

impl Step {
    fn frame(&self) -> Vec<u8> {
        let (source, (address, _)) = LINKS[self.link];
        let mut beat = Beat {
            source,
            incarnation: Incarnation((self.life << 16) | 7),
            sequence: Sequence(self.sequence),
            flags: Flags::decode(self.flags).unwrap(),
            groups: Groups::default().with(3, self.group).with(28, self.group),
            present: self.present,
            ..numbered(1)
        };
        let mut key = KEY;
        if self.other_key {
            (beat.key, key) = OTHER_KEY;
        }
        let mut datagram = datagram_from(address, signed(&beat, key));
        if self.vlan {
            datagram.vlans.push(0x8100);
        }
        let mut frame = datagram.frame();
        if let Some((at, bits)) = self.mutation {
            let at = at % frame.len();
            frame[at] ^= bits;
        }
        frame
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let mutation = prop_oneof![
        3 => Just(None),
        1 => (0..200_usize, 1..=255_u8).prop_map(Some),
    ];
    // Few values, so that some beats say what the one before said.
    let flags = (0..3_u8, 0..2_u8, 0..2_u8, prop_oneof![Just(0), Just(15_u8)])
        .prop_map(|(status, maintenance, answer, pings)| status | maintenance << 2 | answer << 3 | pings << 4);
    let present = prop_oneof![Just(1), Just(3), Just(0x8001_u16)];
    let beat = (0..LINKS.len(), 1..5_u64, 0..12_u64, flags, 0..16_u8, present);
    (beat, any::<bool>(), any::<bool>(), mutation).prop_map(
        |((link, life, sequence, flags, group, present), other_key, vlan, mutation)| Step {
            link,
            life,
            sequence,
            other_key,
            flags,
            group,
            present,
            mutation,
            vlan,
        },
    )
}

proptest! {
    #![proptest_config(Config { cases: 48, failure_persistence: None, ..Config::default() })]

    /// [`Rig::judge`] compares verdicts, counters, events and all that is recorded.
    ///
    /// The two clocks are not one, and the budget is a matter of time: so no link gets more claims of a new incarnation
    /// than its budget allows at once.
    #[test]
    fn the_kernel_and_the_host_agree(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut rig = Rig::new();
        let mut claims = [0; LINKS.len()];
        let mut accepted = 0;
        for step in steps {
            let slot = LINKS[step.link].1.1;
            let newest = rig.link(slot).heard().map_or(0, |heard| heard.incarnation.0 >> 16);
            if step.life > newest || step.mutation.is_some() {
                claims[step.link] += 1;
                if claims[step.link] > 8 {
                    continue;
                }
            }
            let outcome = rig.judge(&step.frame());
            accepted += u64::from(outcome.verdict == Verdict::Accepted);
        }
        let recorded: u64 = (0..4).map(|slot| rig.link(slot).accepted()).sum();
        prop_assert_eq!(recorded, accepted);
    }
}
