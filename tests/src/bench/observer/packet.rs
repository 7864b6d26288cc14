//! What a packet between two hosts says, as far as it matters who lives.

use std::net::{Ipv4Addr, Ipv6Addr};

use hb_ebpf::{
    NodeId, Sequence,
    beat::{LEN, MAGIC, MESSAGE_LEN, Message as _, Words},
};

/// A packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packet {
    /// A beat of hb's.
    Beat {
        /// Who sends it: its bit in `present`.
        source: NodeId,
        /// Which of its beats it is.
        sequence: Sequence,
        /// The nodes that the sender counts as present, by bit.
        present: u16,
    },
    /// A message of Heartbeat's.
    Heartbeat(Message),
    /// An advertisement of VRRP.
    Vrrp {
        /// The version of the protocol.
        version: u8,
        /// Which virtual router.
        router: u8,
        /// 0: the sender leaves.
        priority: u8,
        /// Between two advertisements, in hundredths of a second.
        interval: u16,
    },
    /// A control packet of BFD.
    Bfd {
        /// The session as its sender sees it.
        state: BfdState,
        /// Why its state changed last: 1 is that nothing came in time (RFC 5880, 4.1).
        diagnostic: u8,
    },
    /// A host tells everybody where this address is.
    Announcement(Ipv4Addr),
    /// The same for IPv6, without having been asked: a neighbour advertisement to all nodes.
    Advertisement(Ipv6Addr),
    /// This address answers a ping.
    EchoReply(Ipv4Addr),
    /// Something else.
    Other,
}

/// A message of Heartbeat's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// `t=status`: its heartbeat.
    Status {
        /// Whether its state is `active`.
        active: bool,
        /// After so many milliseconds of silence it wants to be taken for dead.
        deadtime_ms: u64,
    },
    /// `t=resource`: what it holds.
    Resource {
        /// Whether it is done with moving resources.
        stable: bool,
    },
    /// `t=stonith`: it has declared the other one dead, and says what became of the shooting.
    Stonith,
    /// Another one.
    Other,
}

/// The state of a session of BFD (RFC 5880, 4.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BfdState {
    /// Taken down by its operator.
    AdminDown,
    /// Down.
    Down,
    /// Hears the other one.
    Init,
    /// Up.
    Up,
}

const ETHERTYPE_IP: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_VRRP: u8 = 112;
/// Of hb and of Heartbeat.
const PORT_HEARTBEAT: u16 = 694;
/// Of BFD, one hop (RFC 5881).
const PORT_BFD: u16 = 3784;

impl Packet {
    /// From an Ethernet frame; what is cut or makes no sense is [`Packet::Other`].
    #[must_use]
    pub fn parse(frame: &[u8]) -> Self {
        let parsed = match word(frame, 12) {
            Some(ETHERTYPE_ARP) => announcement(&frame[14..]),
            Some(ETHERTYPE_IP) => ip(&frame[14..]),
            Some(ETHERTYPE_IPV6) => advertisement(&frame[14..]),
            Some(_) | None => None,
        };
        parsed.unwrap_or(Self::Other)
    }
}

/// An ARP packet for IPv4 over Ethernet whose sender's and target's addresses are the same (RFC 5227, 3).
fn announcement(arp: &[u8]) -> Option<Packet> {
    let (kinds, sender, target) = (arp.get(..6)?, arp.get(14..18)?, arp.get(24..28)?);
    let sender: [u8; 4] = sender.try_into().ok()?;
    let is_announcement = kinds == [0, 1, 8, 0, 6, 4] && sender == target;
    is_announcement.then(|| Packet::Announcement(sender.into()))
}

/// RFC 4861, 4.4, not solicited (7.2.6), without extension headers.
fn advertisement(packet: &[u8]) -> Option<Packet> {
    const ICMPV6: u8 = 58;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const SOLICITED: u8 = 0x40;
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let (header, message) = (packet.get(..40)?, packet.get(40..)?);
    let to: [u8; 16] = header.get(24..40)?.try_into().ok()?;
    let target: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    let is_one = header[6] == ICMPV6
        && message[0] == NEIGHBOUR_ADVERTISEMENT
        && message[4] & SOLICITED == 0
        && Ipv6Addr::from(to) == ALL_NODES;
    is_one.then(|| Packet::Advertisement(target.into()))
}

fn ip(packet: &[u8]) -> Option<Packet> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let (version, protocol) = (packet[0] >> 4, *packet.get(9)?);
    let fragment = word(packet, 6)? & 0x1fff;
    let content = packet.get(header..usize::from(word(packet, 2)?))?;
    if version != 4 || header < 20 || fragment != 0 {
        return None;
    }
    match protocol {
        PROTOCOL_VRRP => vrrp(content),
        // RFC 792: an echo reply is of type 0.
        PROTOCOL_ICMP => (content.first()? == &0).then(|| Packet::EchoReply(source(packet))),
        PROTOCOL_UDP => match (word(content, 2)?, content.get(8..)?) {
            (PORT_HEARTBEAT, payload) => beat(payload).or_else(|| heartbeat(payload).map(Packet::Heartbeat)),
            (PORT_BFD, payload) => bfd(payload),
            (_, _) => None,
        },
        _ => None,
    }
}

/// Of a packet of which the header is whole.
fn source(packet: &[u8]) -> Ipv4Addr {
    let bytes = packet.get(12..16).and_then(|bytes| bytes.try_into().ok());
    Ipv4Addr::from(bytes.unwrap_or([0; 4]))
}

fn beat(payload: &[u8]) -> Option<Packet> {
    let message: &[u8; MESSAGE_LEN] = payload.first_chunk()?;
    let words = Words::of_message(message);
    (payload.len() == LEN && words.magic() == MAGIC).then(|| Packet::Beat {
        source: words.source(),
        sequence: words.sequence(),
        present: words.present(),
    })
}

/// RFC 5798, 5.1.
fn vrrp(packet: &[u8]) -> Option<Packet> {
    const ADVERTISEMENT: u8 = 1;
    let [kind, router, priority, _addresses] = *packet.first_chunk()?;
    let interval = word(packet, 4)? & 0x0fff;
    (kind & 0xf == ADVERTISEMENT).then_some(Packet::Vrrp {
        version: kind >> 4,
        router,
        priority,
        interval,
    })
}

/// RFC 5880, 4.1.
fn bfd(packet: &[u8]) -> Option<Packet> {
    let [first, second, ..] = *packet.first_chunk::<24>()?;
    let state = match second >> 6 {
        0 => BfdState::AdminDown,
        1 => BfdState::Down,
        2 => BfdState::Init,
        _ => BfdState::Up,
    };
    (first >> 5 == 1).then_some(Packet::Bfd {
        state,
        diagnostic: first & 0x1f,
    })
}

/// A message of Heartbeat's in either of its forms: `LENGTH:(TYPE)NAME=VALUE,` each, or `NAME=VALUE` a line.
fn heartbeat(payload: &[u8]) -> Option<Message> {
    let fields: Vec<(&[u8], &[u8])> = if let Some(fields) = payload.strip_prefix(b"###\n") {
        netstrings(fields).filter_map(|field| split(field.get(3..)?)).collect()
    } else {
        let lines = payload.strip_prefix(b">>>\n")?;
        lines.split(|byte| *byte == b'\n').filter_map(split).collect()
    };
    let field = |name: &[u8]| fields.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    Some(match field(b"t")? {
        b"status" => Message::Status {
            active: field(b"st") == Some(b"active"),
            deadtime_ms: u64::from_str_radix(std::str::from_utf8(field(b"dt")?).ok()?, 16).ok()?,
        },
        b"resource" => Message::Resource {
            stable: field(b"isstable") == Some(b"1"),
        },
        b"stonith" => Message::Stonith,
        _ => Message::Other,
    })
}

/// `LENGTH:...,` one after the other, as far as they are whole.
fn netstrings(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let colon = rest.iter().position(|byte| *byte == b':')?;
        let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
        let end = (colon + 1).checked_add(length)?;
        let (content, comma) = (rest.get(colon + 1..end)?, rest.get(end)?);
        rest = &rest[end + 1..];
        (*comma == b',').then_some(content)
    })
}

fn split(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = field.iter().position(|byte| *byte == b'=')?;
    Some((&field[..equals], &field[equals + 1..]))
}

/// Two bytes, the more significant first.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests;
