//! What a flood consists of.

use std::time::Duration;

use anyhow::{Result, ensure};
use hb_ebpf::{Incarnation, NodeId, Sequence, beat::Beat};
use hb_user::config::node_id;

use crate::{
    bench::{
        arena::Arena,
        contender::{Contender, Hb, Heartbeat},
        observer::packet::Packet,
    },
    frames::{self, Datagram, between},
    linux_ha,
    nodes::lan::{GATEWAY_IP, Station, address, name},
    random::Random,
    status::Status,
    wire::Capture,
};

/// A kind of flood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Genuine beats of the owner's, recorded before.
    Replayed,
    /// The same, each wrong in some places.
    Mutated,
    /// Their headers, and nothing but noise in them.
    Random,
    /// Heartbeat's packets.
    LinuxHa,
    /// Beats of the owner's life with greater sequences and no right tag: the attacker reads the wire.
    Forged,
    /// Beats of new lives of the owner's: he does not.
    Claimed,
}

/// How many different frames a flood has.
const FRAMES: u64 = 4096;
/// How many beats are recorded, and the longest that may take.
const RECORDED: usize = 50;
const RECORDING: Duration = Duration::from_secs(20);
const PORT: u16 = 694;
/// Of a frame of IPv4: where the payload of a UDP datagram begins.
const PAYLOAD: usize = 14 + 20 + 8;

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Replayed,
        Self::Mutated,
        Self::Random,
        Self::LinuxHa,
        Self::Forged,
        Self::Claimed,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Mutated => "mutated",
            Self::Random => "random",
            Self::LinuxHa => "linux-ha",
            Self::Forged => "forged",
            Self::Claimed => "claimed",
        }
    }

    pub(super) fn names() -> [&'static str; 6] {
        Self::ALL.map(Self::name)
    }

    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Replayed => "recorded packets of the owner's, again and again",
            Self::Mutated => "recorded packets of the owner's, each wrong in some bits",
            Self::Random => "random bytes behind the owner's headers",
            Self::LinuxHa => "Heartbeat's own packets, rightly signed",
            Self::Forged => "beats of the owner's present life with wrong tags",
            Self::Claimed => "beats of new lives of the owner's with wrong tags",
        }
    }

    /// Whether it says anything of this contender.
    pub(super) fn is_for(self, contender: &dyn Contender) -> bool {
        match self {
            Self::Replayed | Self::Mutated | Self::Random => true,
            Self::LinuxHa => [Hb::NAME, Heartbeat::NAME].contains(&contender.name()),
            Self::Forged | Self::Claimed => contender.name() == Hb::NAME,
        }
    }

    /// The frames of a flood at this node, as the third host sends them.
    pub(super) fn frames(self, arena: &Arena, victim: usize) -> Result<Vec<Vec<u8>>> {
        let mut random = Random::new(694);
        match self {
            Self::Replayed => record(arena, victim),
            Self::Mutated => {
                let recorded = record(arena, victim)?;
                let wrong = (0..FRAMES).map(|_| {
                    let mut frame = recorded[random.below(recorded.len())].clone();
                    for _ in 0..=random.below(4) {
                        let at = PAYLOAD.min(frame.len() - 1);
                        let place = at + random.below(frame.len() - at);
                        frame[place] ^= 1 << random.below(8);
                    }
                    frame
                });
                Ok(wrong.collect())
            }
            Self::Random => {
                let recorded = record(arena, victim)?;
                let noise = (0..FRAMES).map(|_| {
                    let mut frame = recorded[random.below(recorded.len())].clone();
                    let at = PAYLOAD.min(frame.len());
                    let bytes = random.bytes(frame.len() - at);
                    frame[at..].copy_from_slice(&bytes);
                    frame
                });
                Ok(noise.collect())
            }
            Self::LinuxHa => {
                let packet = |number| linux_ha::netstring(&name(1 - victim), number, frames::KEY);
                Ok((1..=u32::try_from(FRAMES)?)
                    .map(|number| framed(victim, packet(number)))
                    .collect())
            }
            Self::Forged => {
                let status = Status::of_host(arena.host(victim))?;
                let known = u64::from_str_radix(status.text("/peers/0/links/0/incarnation")?, 16)?;
                let beats = (1..=FRAMES).map(|ahead| Beat {
                    incarnation: Incarnation(known),
                    sequence: Sequence((1 << 32) + ahead),
                    ..beat(victim)
                });
                Ok(beats.map(|beat| forged(victim, &beat)).collect())
            }
            Self::Claimed => {
                let beats = (1..=FRAMES).map(|ahead| Beat {
                    incarnation: Incarnation((0xf000_0000 + ahead) << 16 | 1),
                    ..beat(victim)
                });
                Ok(beats.map(|beat| forged(victim, &beat)).collect())
            }
        }
    }
}

/// What the owner sends to this node, from now on, under the third host's Ethernet address: the switch would else take
/// the owner to be there.
fn record(arena: &Arena, victim: usize) -> Result<Vec<Vec<u8>>> {
    let owner = 1 - victim;
    let port = Station::Node(owner).port();
    let source = address(owner).octets();
    let capture = Capture::start(arena.lan().switch(), &port, move |frame| {
        frame.get(26..30) == Some(&source)
    })?;
    let mut frames = capture.wait_for(RECORDED, RECORDING)?;
    frames.retain(|frame| arena.contender().is_beat(&Packet::parse(&frame.bytes)));
    ensure!(!frames.is_empty(), "none of {RECORDED} recorded packets is a beat");
    let from_third = |frame: crate::wire::Frame| {
        let to = frame.bytes.first_chunk().copied().unwrap_or_default();
        between(mac(Station::Gateway), to, frame.bytes)
    };
    Ok(frames.into_iter().map(from_third).collect())
}

fn beat(victim: usize) -> Beat {
    let id = |node| NodeId(node_id(&name(node)));
    frames::beat(id(1 - victim), id(victim))
}

/// The beat with a tag that is not ours.
fn forged(victim: usize, beat: &Beat) -> Vec<u8> {
    framed(victim, frames::signed(beat, b"a guess"))
}

/// A datagram under the owner's address.
fn framed(victim: usize, payload: Vec<u8>) -> Vec<u8> {
    let datagram = Datagram::new(address(1 - victim).into(), address(victim).into(), PORT, payload);
    between(mac(Station::Gateway), mac(Station::Node(victim)), datagram.frame())
}

/// The Ethernet address of a station.
fn mac(station: Station) -> [u8; 6] {
    let [.., last] = match station {
        Station::Node(node) => address(node).octets(),
        Station::Gateway => GATEWAY_IP.octets(),
    };
    [2, 0, 0, 0, 0, last]
}
