//! The program in the kernel and the library on the host, given the same frames.

use std::net::IpAddr;

use aya::maps::{MapData, RingBuf};
use aya::programs::ProgramError;
use aya::{TestRun, TestRunOptions, TestRunResult};
use hb_ebpf::beat::Beat;
use hb_ebpf::host::Memory;
use hb_ebpf::liveness::Event;
use hb_ebpf::tables::{Address, Link, Own, Peer};
use hb_ebpf::{Heard, Incarnation, KeyId, Liveness, Nanos, NodeId, Sequence, Verdict};
use hb_tests::frames::{Datagram, KEY, beat, signed};
use hb_user::clock;
use hb_user::datapath::{Counters, LivenessMap, Program, Tables};
use hb_user::pulse::midstates;

pub const PORT: u16 = 694;
pub const US: NodeId = NodeId(0x2222_0002);
pub const OUR_LIFE: Incarnation = Incarnation(0x6920_f000_4321);
/// A peer with three links.
pub const THEM: NodeId = NodeId(0x1111_0001);
pub const THEIR_LINKS: [(&str, u32); 3] = [("192.0.2.1", 0), ("2001:db8::1", 1), ("198.51.100.1", 3)];
/// A peer with one link.
pub const OTHERS: NodeId = NodeId(0x3333_0003);
pub const OTHERS_LINK: (&str, u32) = ("192.0.2.3", 2);
pub const SLOTS: u32 = 4;
/// The second key that is valid for receiving: longer than a block of SHA-1.
pub const OTHER_KEY: (KeyId, &[u8]) = (KeyId(15), &[0xa5; 100]);

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

pub struct Rig {
    program: Program,
    links: LivenessMap,
    counters: Counters,
    events: RingBuf<MapData>,
    host: Memory,
    /// All counters, if nothing was counted since they were read: to read them takes longer than all else.
    counted: Option<Vec<(Outcome, u64)>>,
}

/// What became of a frame, and of which link it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub slot: Option<u32>,
}

impl Rig {
    pub fn new() -> Self {
        Self::logging(false)
    }

    pub fn logging(log: bool) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests load a program into the kernel: run them as root"
        );
        let tables = tables(log);
        let mut program = Program::load(&tables).unwrap();
        let mut host = Memory::new(tables.own, SLOTS as usize);
        for (id, midstates) in tables.keys {
            host = host.with_key(id, midstates);
        }
        for (id, peer) in tables.peers {
            host = host.with_peer(id, peer);
        }
        Self {
            links: program.liveness().unwrap(),
            counters: program.take_counters().unwrap(),
            events: program.take_events().unwrap(),
            program,
            host,
            counted: None,
        }
    }

    /// Gives the frame to both sides, which must agree in everything, and says what they make of it.
    pub fn judge(&mut self, frame: &[u8]) -> Outcome {
        let before = self.counted.take().unwrap_or_else(|| self.counts());
        let arrived = clock::now();
        let action = self.run(frame, 1).return_value;
        let after_all = self.counts();

        let mut changed = before
            .iter()
            .zip(&after_all)
            .filter(|(before, after)| before.1 != after.1);
        let (before, after) = changed.next().expect("no counter has counted the frame");
        assert_eq!(changed.next(), None, "two counters have counted one frame");
        assert_eq!(after.1, before.1 + 1);
        let outcome = before.0;
        let expected = if outcome.verdict.passes() { XDP_PASS } else { XDP_DROP };
        assert_eq!(action, expected, "{outcome:?}");

        self.compare_with_host(frame, outcome, arrived);
        self.counted = Some(after_all);
        outcome
    }

    /// The host's clock shows what the kernel's did for an accepted frame. For others it does not matter but for one
    /// thing: whether the budget allowed to hash a claim that has a bad tag.
    fn compare_with_host(&mut self, frame: &[u8], outcome: Outcome, arrived: Nanos) {
        let seen = outcome
            .slot
            .and_then(|slot| self.link(slot).heard())
            .map(|heard| heard.seen);
        self.host.now.set(match (outcome.verdict, seen) {
            (Verdict::Accepted, Some(seen)) => seen,
            _ => arrived,
        });
        let judged = self.host.admit(frame);
        let hashed_or_not = [Verdict::Tag, Verdict::Budget];
        assert!(
            judged == outcome.verdict || (hashed_or_not.contains(&judged) && hashed_or_not.contains(&outcome.verdict)),
            "the kernel says {:?}, the host {judged:?}",
            outcome.verdict
        );
        let rings = (self.take_events(), self.host.take_events());
        assert_eq!(rings.0, rings.1, "events of the kernel and of the host");
        for slot in 0..SLOTS {
            let host = snapshot(self.host.link(slot));
            assert_eq!(
                snapshot(self.link(slot)),
                host,
                "slot {slot} in the kernel and on the host"
            );
        }
    }

    /// Gives the frame to both sides and checks what becomes of it.
    #[track_caller]
    pub fn expect(&mut self, frame: &[u8], verdict: Verdict, slot: impl Into<Option<u32>>) {
        let slot = slot.into();
        assert_eq!(self.judge(frame), Outcome { verdict, slot });
    }

    /// Gives the frame to the kernel alone, so many times at once.
    pub fn run(&mut self, frame: &[u8], repeat: u32) -> TestRunResult {
        self.counted = None;
        let mut out = vec![0; frame.len() + 64];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat,
            ..TestRunOptions::default()
        };
        let result = self.program.xdp().unwrap().test_run(options).unwrap();
        let written = result.data_size_out as usize;
        assert_eq!(out[..written], *frame, "the frame was changed");
        result
    }

    /// Like [`Rig::run`], for what the kernel refuses to run.
    pub fn try_run(&mut self, frame: &[u8]) -> Result<TestRunResult, ProgramError> {
        self.program.xdp().unwrap().test_run(TestRunOptions {
            data_in: Some(frame),
            ..TestRunOptions::default()
        })
    }

    pub fn link(&self, slot: u32) -> &Liveness {
        self.links.get(slot).unwrap()
    }

    /// How many frames got a verdict, of one link or of none.
    pub fn count(&self, slot: Option<u32>, verdict: Verdict) -> u64 {
        match (slot, verdict) {
            (Some(slot), Verdict::Accepted) => self.link(slot).accepted(),
            (Some(slot), Verdict::Duplicate) => self.link(slot).duplicates,
            _ => self.counters.read(slot, verdict).unwrap(),
        }
    }

    fn counts(&self) -> Vec<(Outcome, u64)> {
        let rows = std::iter::once(None).chain((0..SLOTS).map(Some));
        rows.flat_map(|slot| Verdict::ALL.map(|verdict| Outcome { verdict, slot }))
            .map(|outcome| (outcome, self.count(outcome.slot, outcome.verdict)))
            .collect()
    }

    /// What the program announced since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(item) = self.events.next() {
            let (seen, rest) = item.split_first_chunk::<8>().unwrap();
            let (slot, rest) = rest.split_first_chunk::<4>().unwrap();
            events.push(Event {
                seen: Nanos(u64::from_ne_bytes(*seen)),
                slot: u32::from_ne_bytes(*slot),
                changes: u32::from_ne_bytes(rest.try_into().unwrap()),
            });
        }
        events
    }

    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}

/// All that is known of a link but for its budget: accepted, the newest beat, lost, duplicates, longest gap, gaps.
pub type Snapshot = (u64, Option<Heard>, u64, u64, Nanos, [u64; 32]);

pub fn snapshot(link: &Liveness) -> Snapshot {
    (
        link.accepted(),
        link.heard(),
        link.lost,
        link.duplicates,
        link.longest_gap,
        link.gaps,
    )
}

pub fn tables(log: bool) -> Tables {
    Tables {
        own: Own {
            node: US,
            incarnation: OUR_LIFE.low(),
            port: PORT,
        },
        keys: vec![(KeyId(1), midstates(KEY)), (OTHER_KEY.0, midstates(OTHER_KEY.1))],
        peers: vec![(THEM, peer(&THEIR_LINKS)), (OTHERS, peer(&[OTHERS_LINK]))],
        log,
    }
}

fn peer(links: &[(&str, u32)]) -> Peer {
    let mut peer = Peer {
        count: u32::try_from(links.len()).unwrap(),
        ..Peer::default()
    };
    for (place, (address, slot)) in peer.links.iter_mut().zip(links) {
        *place = Link {
            address: mapped(address.parse().unwrap()),
            slot: *slot,
        };
    }
    peer
}

fn mapped(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => Address::v4(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            Address([96, 64, 32, 0].map(|shift| u32::try_from((bits >> shift) & 0xffff_ffff).unwrap()))
        }
    }
}

/// A beat of [`THEM`] with this sequence.
pub fn numbered(sequence: u64) -> Beat {
    Beat {
        sequence: Sequence(sequence),
        ..beat(THEM, US)
    }
}

/// A datagram to us, on the first link of [`THEM`].
pub fn datagram(payload: Vec<u8>) -> Datagram {
    datagram_from(THEIR_LINKS[0].0, payload)
}

pub fn datagram_from(source: &str, payload: Vec<u8>) -> Datagram {
    let source: IpAddr = source.parse().unwrap();
    let destination = if source.is_ipv4() { "192.0.2.2" } else { "2001:db8::2" };
    Datagram::new(source, destination.parse().unwrap(), PORT, payload)
}

/// The beat's frame, on the first link of [`THEM`].
pub fn frame(beat: &Beat) -> Vec<u8> {
    datagram(signed(beat, KEY)).frame()
}

/// The beat's frame with a tag that is wrong in its last bit.
pub fn forged(beat: &Beat) -> Vec<u8> {
    let mut payload = signed(beat, KEY);
    *payload.last_mut().unwrap() ^= 1;
    datagram(payload).frame()
}
