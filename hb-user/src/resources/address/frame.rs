//! What tells the neighbours of an address: gratuitous ARP, and the unsolicited neighbour advertisement. And what asks them
//! whether one of them has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERNET: usize = 14;
const ARP: usize = 28;
/// An IPv6 header, and a neighbour advertisement with its one option.
const ADVERTISEMENT: usize = 40 + 24 + 8;
const MAX: usize = ETHERNET + ADVERTISEMENT;

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86DD;
const BROADCAST: [u8; 6] = [0xFF; 6];
/// Where `ff02::1` goes on Ethernet (RFC 2464, section 7).
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// A frame, ready to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    bytes: [u8; MAX],
    length: usize,
}

impl Frame {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut frame = Self {
            bytes: [0; MAX],
            length: 0,
        };
        for part in parts {
            frame.bytes[frame.length..frame.length + part.len()].copy_from_slice(part);
            frame.length += part.len();
        }
        frame
    }
}

/// The frames that make the neighbours send to `mac` what they send to `ip`. Of ARP some heed the request only, some
/// the reply only.
pub(super) fn announcement(mac: [u8; 6], ip: IpAddr, is_router: bool) -> [Option<Frame>; 2] {
    match ip {
        IpAddr::V4(ip) => [
            Some(arp(mac, ip, Operation::Request)),
            Some(arp(mac, ip, Operation::Reply)),
        ],
        IpAddr::V6(ip) => [Some(advertisement(mac, ip, is_router)), None],
    }
}

/// What asks whether somebody has `ip`, without saying that it is ours: an ARP probe (RFC 5227, section 2.1.1), or a neighbour
/// solicitation from the unspecified address (RFC 4862, section 5.4.2).
pub(super) fn probe(mac: [u8; 6], ip: IpAddr) -> Frame {
    match ip {
        IpAddr::V4(ip) => arp_frame(mac, 1, Ipv4Addr::UNSPECIFIED, [0; 6], ip),
        IpAddr::V6(ip) => solicitation(mac, ip),
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Request,
    Reply,
}

/// RFC 5227, section 3; RFC 5944, section 4.6: sender and target are the same address, and in a reply the target's
/// hardware address is the sender's. Linux takes a reply with another one for no gratuitous ARP (`arp_is_garp`).
fn arp(mac: [u8; 6], ip: Ipv4Addr, operation: Operation) -> Frame {
    let (code, target) = match operation {
        Operation::Request => (1, [0; 6]),
        Operation::Reply => (2, mac),
    };
    arp_frame(mac, code, ip, target, ip)
}

fn arp_frame(mac: [u8; 6], code: u8, sender: Ipv4Addr, target_mac: [u8; 6], target: Ipv4Addr) -> Frame {
    let fixed = [0, 1, 8, 0, 6, 4, 0, code];
    let frame = Frame::of(&[
        &ethernet(BROADCAST, mac, ETHERTYPE_ARP),
        &fixed,
        &mac,
        &sender.octets(),
        &target_mac,
        &target.octets(),
    ]);
    debug_assert_eq!(frame.length, ETHERNET + ARP);
    frame
}

/// RFC 4861, sections 4.4 and 7.2.6: to all nodes, not solicited, and to override what they know. Who is a router has to
/// say so, or its neighbours take it off their list of routers.
fn advertisement(mac: [u8; 6], ip: Ipv6Addr, is_router: bool) -> Frame {
    const ROUTER: u8 = 0x80;
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_LAYER_ADDRESS: [u8; 2] = [2, 1];
    const LENGTH: u8 = 32;

    let flags = OVERRIDE | if is_router { ROUTER } else { 0 };
    let mut message = [0; LENGTH as usize];
    message[0] = NEIGHBOUR_ADVERTISEMENT;
    message[4] = flags;
    message[8..24].copy_from_slice(&ip.octets());
    message[24..26].copy_from_slice(&TARGET_LINK_LAYER_ADDRESS);
    message[26..].copy_from_slice(&mac);
    icmpv6(mac, ALL_NODES_MAC, ip, ALL_NODES, &mut message)
}

/// RFC 4861, section 4.3, without the option, since nobody's address is the sender. It goes to the group that who has the
/// address is in (RFC 4291, section 2.7.1).
fn solicitation(mac: [u8; 6], ip: Ipv6Addr) -> Frame {
    let octets = ip.octets();
    let [.., high, middle, low] = octets;
    let last = u16::from_be_bytes([middle, low]);
    let group = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, 0xFF00 | u16::from(high), last);
    let mut message = [0; 24];
    message[0] = NEIGHBOUR_SOLICITATION;
    message[8..].copy_from_slice(&octets);
    icmpv6(
        mac,
        [0x33, 0x33, 0xFF, high, middle, low],
        Ipv6Addr::UNSPECIFIED,
        group,
        &mut message,
    )
}

/// The message gets its checksum, and is put into a packet.
fn icmpv6(mac: [u8; 6], to_mac: [u8; 6], from: Ipv6Addr, to: Ipv6Addr, message: &mut [u8]) -> Frame {
    let sum = checksum(from, to, ICMPV6, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    // Version 6, and the hop limit without which nobody listens.
    let header = [0x60, 0, 0, 0, 0, message.len().to_be_bytes()[7], ICMPV6, 255];
    Frame::of(&[
        &ethernet(to_mac, mac, ETHERTYPE_IPV6),
        &header,
        &from.octets(),
        &to.octets(),
        message,
    ])
}

fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16) -> [u8; ETHERNET] {
    let mut header = [0; ETHERNET];
    header[..6].copy_from_slice(&to);
    header[6..12].copy_from_slice(&from);
    header[12..].copy_from_slice(&kind.to_be_bytes());
    header
}

/// RFC 4443, section 2.3: over the addresses, the length, the protocol, and the message with a zero in its place.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes
            .chunks_exact(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum()
    };
    let length = u32::try_from(message.len()).unwrap_or(0);
    let sum = words(&from.octets()) + words(&to.octets()) + length + u32::from(protocol) + words(message);
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];

    fn frames(ip: &str, is_router: bool) -> Vec<Vec<u8>> {
        let frames = announcement(MAC, ip.parse().expect("an address"), is_router);
        frames.iter().flatten().map(|frame| frame.bytes().to_vec()).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).expect("digits"), 16).expect("a byte");
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn arp_as_request_and_as_reply() {
        let request = "ffffffffffff 020000000005 0806  0001 0800 06 04 0001
            020000000005 c000020a  000000000000 c000020a";
        let reply = "ffffffffffff 020000000005 0806  0001 0800 06 04 0002
            020000000005 c000020a  020000000005 c000020a";
        assert_eq!(frames("192.0.2.10", false), [bytes(request), bytes(reply)]);
    }

    #[test]
    fn neighbour_advertisement() {
        // Its checksum was computed by hand: 2001 + 0db8 + 10 + ff02 + 1 + 20 + 3a, and the message's words.
        let expected = "333300000001 020000000005 86dd  60000000 0020 3a ff
            20010db8000000000000000000000010  ff020000000000000000000000000001
            88 00 0000 20000000 20010db8000000000000000000000010 02 01 020000000005";
        let found = frames("2001:db8::10", false);
        let mut without_sum = found[0].clone();
        without_sum[56..58].fill(0);
        assert_eq!((found.len(), without_sum), (1, bytes(expected)));
        let words = [
            0x2001, 0x0db8, 0x10, 0xff02, 1, 0x20, 0x3a, 0x8800, 0x2000, 0x2001, 0x0db8, 0x10, 0x0201, 0x0200, 5,
        ];
        let sum: u32 = words.iter().sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        assert_eq!(
            u32::from(u16::from_be_bytes([found[0][56], found[0][57]])),
            0xffff - sum
        );
    }

    #[test]
    fn probes_say_nothing_of_the_sender() {
        let probe = |ip: &str| super::probe(MAC, ip.parse().expect("an address")).bytes().to_vec();
        let arp = "ffffffffffff 020000000005 0806  0001 0800 06 04 0001
            020000000005 00000000  000000000000 c000020a";
        assert_eq!(probe("192.0.2.10"), bytes(arp));
        let expected = "3333ff340010 020000000005 86dd  60000000 0018 3a ff
            00000000000000000000000000000000  ff0200000000000000000001ff340010
            87 00 0000 00000000 20010db8000000000000000012340010";
        let found = probe("2001:db8::1234:10");
        let mut without_sum = found.clone();
        without_sum[56..58].fill(0);
        assert_eq!(without_sum, bytes(expected));
        let words = [0xff02, 1, 0xff34, 0x10, 24, 0x3a, 0x8700, 0x2001, 0x0db8, 0x1234, 0x10];
        let sum: u32 = words.iter().sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        assert_eq!(u32::from(u16::from_be_bytes([found[56], found[57]])), 0xffff - sum);
    }

    #[test]
    fn a_router_says_that_it_is_one() {
        assert_eq!(frames("2001:db8::10", false)[0][58], 0x20);
        assert_eq!(frames("2001:db8::10", true)[0][58], 0xa0);
    }
}
