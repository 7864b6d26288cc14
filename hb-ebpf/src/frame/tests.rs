extern crate std;

use std::vec::Vec;

use super::*;

const PORT: u16 = 694;
const PAYLOAD: [u8; 5] = *b"hello";

/// An Ethernet header without its type, VLAN tags, and the type.
fn ethernet(vlans: &[u16], ethertype: u16) -> Vec<u8> {
    let mut frame = std::vec![2; 12];
    for vlan in vlans {
        frame.extend(vlan.to_be_bytes());
        frame.extend([0, 100]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame
}

fn udp() -> Vec<u8> {
    let mut udp = Vec::new();
    for half in [1_234, PORT, 8 + 5, 0] {
        udp.extend(half.to_be_bytes());
    }
    udp.extend(PAYLOAD);
    udp
}

fn ipv4(vlans: &[u16], option_words: u8) -> Vec<u8> {
    let mut frame = ethernet(vlans, TYPE_IPV4);
    let total = 20 + 4 * option_words + 8 + 5;
    frame.extend([0x45 + option_words, 0x10, 0, total, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(std::iter::repeat_n(1, 4 * usize::from(option_words)));
    frame.extend(udp());
    frame
}

fn ipv6(vlans: &[u16]) -> Vec<u8> {
    let mut frame = ethernet(vlans, TYPE_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, 8 + 5, 17, 64]);
    frame.extend(0x2001_0db8_0000_0000_0000_0000_0000_0001_u128.to_be_bytes());
    frame.extend(0x2001_0db8_0000_0000_0000_0000_0000_0002_u128.to_be_bytes());
    frame.extend(udp());
    frame
}

fn found(frame: &[u8]) -> Option<Datagram> {
    datagram(&frame, PORT)
}

fn of_ipv4(payload: usize) -> Datagram {
    Datagram {
        source: Address::v4(0xc000_0201),
        payload,
        length: 5,
    }
}

#[test]
fn datagrams_are_found_behind_tags_and_options() {
    for vlans in [
        &[][..],
        &[TYPE_VLAN],
        &[TYPE_SERVICE_VLAN],
        &[TYPE_SERVICE_VLAN, TYPE_VLAN],
    ] {
        let start = 14 + 4 * vlans.len();
        for option_words in 0..=10 {
            let payload = start + 20 + 4 * usize::from(option_words) + 8;
            assert_eq!(found(&ipv4(vlans, option_words)), Some(of_ipv4(payload)));
        }
        let expected = Datagram {
            source: Address([0x2001_0db8, 0, 0, 1]),
            payload: start + 48,
            length: 5,
        };
        assert_eq!(found(&ipv6(vlans)), Some(expected));
    }
}

#[test]
fn three_tags_are_not_ours() {
    assert_eq!(found(&ipv4(&[TYPE_VLAN; 3], 0)), None);
    assert_eq!(found(&ipv6(&[TYPE_SERVICE_VLAN; 3])), None);
}

#[test]
fn a_header_that_is_wrong_in_one_byte_is_not_ours() {
    let of_ipv4: &[(&str, usize, u8)] = &[
        ("type ARP", 13, 0x06),
        ("type 802.3 length", 12, 0x00),
        ("version", 14, 0x55),
        ("header length below the least", 14, 0x44),
        ("header length above the datagram", 14, 0x4f),
        ("total length one short", 17, 20 + 8 + 4),
        ("total length below the header", 17, 19),
        ("more fragments", 20, 0x20),
        ("fragment offset, high bits", 20, 0x01),
        ("fragment offset, low bits", 21, 0x01),
        ("protocol TCP", 23, 6),
        ("protocol ICMP", 23, 1),
        ("destination port, high byte", 36, 0x03),
        ("destination port, low byte", 37, 0xb5),
        ("UDP length above IP's", 39, 8 + 6),
        ("UDP length below its header", 39, 7),
    ];
    let of_ipv6: &[(&str, usize, u8)] = &[
        ("version", 14, 0x40),
        ("payload length one short", 19, 8 + 4),
        ("next header hop-by-hop", 20, 0),
        ("next header fragment", 20, 44),
        ("destination port", 57, 0xb5),
        ("UDP length above IP's", 59, 8 + 6),
        ("UDP length below its header", 59, 7),
    ];
    for (frame, wrongs) in [(ipv4(&[], 0), of_ipv4), (ipv6(&[]), of_ipv6)] {
        for (what, at, value) in wrongs {
            let mut wrong = frame.clone();
            assert_ne!(wrong[*at], *value, "{what}");
            wrong[*at] = *value;
            assert_eq!(found(&wrong), None, "{what}");
        }
    }
}

#[test]
fn what_does_not_matter_may_be_anything() {
    for at in (0..12).chain([15, 18, 19, 22, 24, 25]).chain(30..36).chain([40, 41]) {
        let mut frame = ipv4(&[], 0);
        frame[at] ^= 0xff;
        assert_eq!(found(&frame), Some(of_ipv4(42)), "byte {at}");
    }
    // "Don't fragment" and the reserved bit are no fragment.
    let mut frame = ipv4(&[], 0);
    frame[20] = 0xc0;
    assert_eq!(found(&frame), Some(of_ipv4(42)));
}

#[test]
fn a_frame_that_ends_in_a_header_is_not_ours() {
    for (frame, headers) in [
        (ipv4(&[], 0), 42),
        (ipv4(&[TYPE_SERVICE_VLAN, TYPE_VLAN], 10), 90),
        (ipv6(&[TYPE_VLAN]), 66),
    ] {
        for length in 0..headers {
            assert_eq!(found(&frame[..length]), None, "{length} bytes");
        }
        // Whether the payload is there is for who reads it.
        assert!(found(&frame[..headers]).is_some());
        let padded = [frame.as_slice(), &[0; 20]].concat();
        assert_eq!(found(&padded), found(&frame), "padding");
    }
}

#[test]
fn windows_are_read_as_the_network_writes() {
    let bytes: [u8; 9] = [0xff, 1, 2, 3, 4, 5, 6, 7, 8];
    let frame = &bytes[..];
    let window = frame.bytes::<8>(1).expect("the frame has them");
    assert_eq!(window.byte(7), 8);
    assert_eq!(window.half(1), 0x0203);
    assert_eq!(window.word(4), 0x0506_0708);
    assert!(frame.bytes::<8>(2).is_none());
    assert!(frame.bytes::<8>(usize::MAX).is_none());
}
