use std::net::IpAddr;

use hb_ebpf::beat::Beat;

use super::*;
use crate::{
    frames::{self, Datagram},
    linux_ha,
};

const SENDER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 11);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 12);

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    Datagram::new(IpAddr::V4(SENDER), IpAddr::V4(RECEIVER), port, payload.to_vec()).frame()
}

/// An IPv4 frame of another protocol.
fn frame(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend(ETHERTYPE_IP.to_be_bytes());
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX);
    frame.extend([0x45, 0xc0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0, 0, 0, 255, protocol, 0, 0]);
    frame.extend(SENDER.octets());
    frame.extend(RECEIVER.octets());
    frame.extend(payload);
    frame
}

#[test]
fn a_beat_of_hb_tells_whom_it_counts_as_present() {
    let beat = Beat {
        sequence: Sequence(7),
        present: 0b01,
        ..frames::beat(NodeId(1), NodeId(2))
    };
    let payload = frames::signed(&beat, frames::KEY);
    let expected = Packet::Beat {
        source: beat.source,
        sequence: Sequence(7),
        present: 0b01,
    };
    assert_eq!(Packet::parse(&udp(694, &payload)), expected);
    assert_eq!(Packet::parse(&udp(695, &payload)), Packet::Other);
    assert_eq!(Packet::parse(&udp(694, &payload[..LEN - 1])), Packet::Other);
}

#[test]
fn a_status_of_heartbeat_is_read_in_both_forms() {
    let status = Packet::Heartbeat(Message::Status {
        active: true,
        deadtime_ms: 2000,
    });
    assert_eq!(Packet::parse(&udp(694, &linux_ha::netstring("n1", 3, b"key"))), status);
    assert_eq!(Packet::parse(&udp(694, &linux_ha::classic("n1", 3, b"key"))), status);
}

#[test]
fn other_messages_of_heartbeat_are_told_apart() {
    let message = |fields: &[u8]| Packet::parse(&udp(694, &[b"###\n", fields].concat()));
    let fields = |fields: &[&str]| {
        let netstring = |field: &&str| format!("{}:{field},", field.len());
        fields.iter().map(netstring).collect::<String>()
    };
    // A field of bytes may contain what separates others.
    let binary = fields(&["(1)srcuuid=\0,4:(0)t", "(0)t=stonith"]);
    assert_eq!(message(binary.as_bytes()), Packet::Heartbeat(Message::Stonith));
    for (isstable, stable) in [("(0)isstable=1", true), ("(0)isstable=0", false)] {
        let resource = fields(&["(0)t=resource", isstable]);
        let expected = Packet::Heartbeat(Message::Resource { stable });
        assert_eq!(message(resource.as_bytes()), expected);
    }
    let other = fields(&["(0)t=NS_ackmsg"]);
    assert_eq!(message(other.as_bytes()), Packet::Heartbeat(Message::Other));
    assert_eq!(message(b"99999999999999999999:(0)t=stonith,"), Packet::Other);
    assert_eq!(message(b"18446744073709551615:(0)t=stonith,"), Packet::Other);
}

#[test]
fn an_advertisement_of_vrrp_is_read() {
    let advertisement = [0x31, 51, 254, 1, 0, 1, 0xde, 0xad, 198, 51, 100, 100];
    let expected = Packet::Vrrp {
        version: 3,
        router: 51,
        priority: 254,
        interval: 1,
    };
    assert_eq!(Packet::parse(&frame(PROTOCOL_VRRP, &advertisement)), expected);
    assert_eq!(
        Packet::parse(&frame(PROTOCOL_VRRP, &[0x32, 51, 254, 1, 0, 1])),
        Packet::Other
    );
}

#[test]
fn a_control_packet_of_bfd_is_read() {
    let mut control = [0; 24];
    control[0] = (1 << 5) | 1;
    control[1] = 1 << 6;
    let expected = Packet::Bfd {
        state: BfdState::Down,
        diagnostic: 1,
    };
    assert_eq!(Packet::parse(&udp(3784, &control)), expected);
    assert_eq!(Packet::parse(&udp(3784, &control[..23])), Packet::Other);
}

#[test]
fn an_announcement_is_an_arp_packet_about_its_sender() {
    let arp = |operation: u8, target: [u8; 4]| {
        let mut frame = vec![0; 12];
        frame.extend(ETHERTYPE_ARP.to_be_bytes());
        frame.extend([0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 1]);
        frame.extend([198, 51, 100, 100, 0, 0, 0, 0, 0, 0]);
        frame.extend(target);
        frame
    };
    let address = Ipv4Addr::new(198, 51, 100, 100);
    for operation in [1, 2] {
        let found = Packet::parse(&arp(operation, address.octets()));
        assert_eq!(found, Packet::Announcement(address));
    }
    assert_eq!(Packet::parse(&arp(1, [198, 51, 100, 1])), Packet::Other);
}

#[test]
fn an_advertisement_is_one_to_all_nodes_that_nobody_asked_for() {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
    let advertisement = |to: Ipv6Addr, kind: u8, flags: u8| {
        let mut frame = vec![0; 12];
        frame.extend(ETHERTYPE_IPV6.to_be_bytes());
        frame.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
        frame.extend(address.octets());
        frame.extend(to.octets());
        frame.extend([kind, 0, 0, 0, flags, 0, 0, 0]);
        frame.extend(address.octets());
        frame.extend([2, 1, 2, 0, 0, 0, 0, 1]);
        frame
    };
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let good = advertisement(all, 136, 0x20);
    assert_eq!(Packet::parse(&good), Packet::Advertisement(address));
    assert_eq!(Packet::parse(&good[..77]), Packet::Other);
    assert_eq!(Packet::parse(&advertisement(address, 136, 0x20)), Packet::Other);
    assert_eq!(Packet::parse(&advertisement(all, 136, 0x60)), Packet::Other);
    assert_eq!(Packet::parse(&advertisement(all, 135, 0x20)), Packet::Other);
}

#[test]
fn what_is_cut_or_senseless_is_something_else() {
    let whole = udp(694, &linux_ha::netstring("n1", 3, b"key"));
    for length in 0..whole.len() - 60 {
        let cut = Packet::parse(&whole[..length]);
        assert!(matches!(cut, Packet::Other), "{length}: {cut:?}");
    }
    let mut short_header = udp(694, b"x");
    short_header[14] = 0x41;
    assert_eq!(Packet::parse(&short_header), Packet::Other);
}
