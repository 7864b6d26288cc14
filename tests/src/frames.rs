//! Frames, byte by byte, as tests want them: right, or wrong in one place.

use std::net::{IpAddr, Ipv4Addr};

use hb_ebpf::beat::{Beat, Echo, Flags, Groups, MAGIC, Status};
use hb_ebpf::{Incarnation, KeyId, NodeId, Sequence};
use hb_user::pulse::Signer;

/// A UDP datagram and what is around it.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The ethertypes of the VLAN tags, outermost first.
    pub vlans: Vec<u16>,
    /// Options behind the IPv4 header; a multiple of 4 bytes, at most 40.
    pub options: Vec<u8>,
    /// From where.
    pub source: IpAddr,
    /// To where; of the same family.
    pub destination: IpAddr,
    /// The UDP ports, from and to.
    pub ports: (u16, u16),
    /// The payload.
    pub payload: Vec<u8>,
}

impl Datagram {
    /// A plain datagram.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr, port: u16, payload: Vec<u8>) -> Self {
        Self {
            vlans: Vec::new(),
            options: Vec::new(),
            source,
            destination,
            ports: (port, port),
            payload,
        }
    }

    /// Where the payload starts in the frame.
    #[must_use]
    pub fn payload_offset(&self) -> usize {
        let ip = if self.source.is_ipv4() {
            20 + self.options.len()
        } else {
            40
        };
        14 + 4 * self.vlans.len() + ip + 8
    }

    /// The whole Ethernet frame.
    ///
    /// # Panics
    ///
    /// If the addresses are of different families or the payload does not fit a datagram.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01];
        for (index, ethertype) in self.vlans.iter().enumerate() {
            frame.extend(ethertype.to_be_bytes());
            frame.extend(u16::try_from(100 + index).expect("few tags").to_be_bytes());
        }
        let udp_length = u16::try_from(8 + self.payload.len()).expect("a datagram's length");
        let udp = self.udp(udp_length);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend(0x0800_u16.to_be_bytes());
                let header_words = u8::try_from(5 + self.options.len() / 4).expect("at most 40 bytes of options");
                let total = u16::from(header_words) * 4 + udp_length;
                let mut header = vec![0x40 | header_words, 0x10];
                header.extend(total.to_be_bytes());
                header.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
                header.extend(source.octets());
                header.extend(destination.octets());
                header.extend(&self.options);
                let sum = !checksum(&header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                frame.extend(header);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend(0x86dd_u16.to_be_bytes());
                frame.extend([0x60, 0, 0, 0]);
                frame.extend(udp_length.to_be_bytes());
                frame.extend([17, 64]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families in one datagram"),
        }
        frame.extend(udp);
        frame
    }

    fn udp(&self, length: u16) -> Vec<u8> {
        let mut udp = Vec::new();
        udp.extend(self.ports.0.to_be_bytes());
        udp.extend(self.ports.1.to_be_bytes());
        udp.extend(length.to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.payload);

        let mut covered = Vec::new();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                covered.extend(source.octets());
                covered.extend(destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                covered.extend(source.octets());
                covered.extend(destination.octets());
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
        covered.extend([0, 17]);
        covered.extend(length.to_be_bytes());
        covered.extend(&udp);
        let sum = match !checksum(&covered) {
            0 => 0xffff,
            sum => sum,
        };
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        udp
    }
}

/// A frame with other Ethernet addresses: where it comes from, and where the switch takes it.
#[must_use]
pub fn between(from: [u8; 6], to: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame
}

/// Whether a frame is a beat over plain IPv4 that comes from an address.
pub fn is_beat_of(address: Ipv4Addr) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |frame| {
        frame.get(12..15) == Some(&[8, 0, 0x45]) && frame.get(26..30) == Some(&address.octets()) && {
            frame.get(42..44) == Some(&MAGIC.to_be_bytes())
        }
    }
}

/// The ones' complement sum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(0xffff)
}

/// The key of docs/PROTOCOL.md's worked example, which is the tutorial's.
pub const KEY: &[u8] = b"d1e6557e2fcb30ff8d4d3ae65b50345fa46a2faa";

/// A beat that a receiver with the node id `to` admits.
#[must_use]
pub fn beat(from: NodeId, to: NodeId) -> Beat {
    Beat {
        key: KeyId(1),
        source: from,
        destination: to,
        incarnation: Incarnation(0x6920_f000_cdef),
        digest: 0xfeed_beef,
        promise_ms: 100,
        echo: Echo {
            incarnation: 0x0123_4567,
            sequence: 41,
        },
        sequence: Sequence(42),
        flags: Flags::of(Status::Up),
        groups: Groups::default().with(0, 4),
        present: 0b11,
    }
}

/// The beat's bytes with its tag.
#[must_use]
pub fn signed(beat: &Beat, key: &[u8]) -> Vec<u8> {
    Signer::new(key).sign(&beat.encode()).to_vec()
}
