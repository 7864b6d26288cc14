//! What is none of ours and goes on to the network stack, byte for byte.

use hb_ebpf::beat::{Beat, LEN};
use hb_ebpf::{NodeId, Verdict};
use hb_tests::frames::{KEY, signed};

use crate::rig::{PORT, Rig, THEIR_LINKS, datagram, datagram_from, frame, numbered};

#[test]
fn a_frame_cut_off_at_any_length_is_not_ours() {
    let mut rig = Rig::new();
    let mut tagged = datagram(signed(&numbered(1), KEY));
    tagged.vlans = vec![0x88a8, 0x8100];
    tagged.options = vec![1; 40];
    let of_ipv6 = datagram_from(THEIR_LINKS[1].0, signed(&numbered(1), KEY));
    for whole in [frame(&numbered(1)), tagged.frame(), of_ipv6.frame()] {
        for length in 14..whole.len() {
            rig.expect(&whole[..length], Verdict::NotOurs, None);
        }
    }
    assert!(
        rig.try_run(&[0; 13]).is_err(),
        "what the kernel does not run cannot be tested"
    );
}

#[test]
fn other_ports_are_not_ours() {
    let mut rig = Rig::new();
    for port in [0, PORT - 1, PORT + 1, PORT.swap_bytes(), 53, u16::MAX] {
        let mut datagram = datagram(signed(&numbered(1), KEY));
        datagram.ports = (PORT, port);
        rig.expect(&datagram.frame(), Verdict::NotOurs, None);
    }
}

#[test]
fn other_protocols_are_not_ours() {
    let mut rig = Rig::new();
    let (ethertype, protocol_4, protocol_6) = (12, 23, 20);
    // ARP, MPLS, LLDP, PPPoE, an 802.3 length.
    for value in [0x0806_u16, 0x8847, 0x88cc, 0x8864, 0x0064] {
        let mut frame = frame(&numbered(1));
        frame[ethertype..ethertype + 2].copy_from_slice(&value.to_be_bytes());
        rig.expect(&frame, Verdict::NotOurs, None);
    }
    // ICMP, IGMP, TCP, DCCP, UDP-Lite.
    for protocol in [1, 2, 6, 33, 136] {
        let mut frame = frame(&numbered(1));
        frame[protocol_4] = protocol;
        rig.expect(&frame, Verdict::NotOurs, None);
    }
    // Hop-by-hop options, TCP, routing, fragment, ICMPv6, no next header, destination options.
    for next_header in [0, 6, 43, 44, 58, 59, 60] {
        let mut frame = datagram_from(THEIR_LINKS[1].0, signed(&numbered(1), KEY)).frame();
        frame[14 + protocol_6 - 14] = next_header;
        rig.expect(&frame, Verdict::NotOurs, None);
    }
}

#[test]
fn an_extension_header_is_not_ours() {
    let mut rig = Rig::new();
    let whole = datagram_from(THEIR_LINKS[1].0, signed(&numbered(1), KEY)).frame();
    let (before, datagram) = whole.split_at(54);
    let mut frame = before.to_vec();
    let length = u16::from_be_bytes([frame[18], frame[19]]) + 8;
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame[20] = 60;
    // Destination options: UDP follows, eight bytes, padded.
    frame.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    frame.extend(datagram);
    rig.expect(&frame, Verdict::NotOurs, None);
}

#[test]
fn a_third_tag_is_not_ours() {
    let mut rig = Rig::new();
    for vlans in [[0x8100; 3], [0x88a8; 3], [0x88a8, 0x8100, 0x8100]] {
        let mut datagram = datagram(signed(&numbered(1), KEY));
        datagram.vlans = vlans.to_vec();
        rig.expect(&datagram.frame(), Verdict::NotOurs, None);
    }
}

#[test]
fn fragments_are_not_ours() {
    let mut rig = Rig::new();
    let first = 0x2000_u16;
    let middle = 0x2000 | 6;
    let last = 6;
    for flags in [first, middle, last, 0x1fff, 0x1000, 0x4000 | first, 0x4000 | last] {
        let mut frame = frame(&numbered(1));
        frame[20..22].copy_from_slice(&flags.to_be_bytes());
        rig.expect(&frame, Verdict::NotOurs, None);
    }
    for flags in [0_u16, 0x4000, 0x8000] {
        let mut frame = frame(&numbered(u64::from(flags) + 1));
        frame[20..22].copy_from_slice(&flags.to_be_bytes());
        rig.expect(&frame, Verdict::Accepted, 0);
    }
}

#[test]
fn headers_that_contradict_each_other_are_not_ours() {
    let mut rig = Rig::new();
    let wrongs = [
        ("IP version", 14, 0x65),
        ("header length", 14, 0x44),
        ("IP's length one less than UDP's", 17, 102),
        ("UDP's length one more than IP's", 39, 84),
        ("UDP's length less than its header", 39, 7),
    ];
    for (what, at, value) in wrongs {
        let mut frame = frame(&numbered(1));
        assert_ne!(frame[at], value, "{what}");
        frame[at] = value;
        rig.expect(&frame, Verdict::NotOurs, None);
    }
}

/// Packets of Linux-HA Heartbeat 3.0.6, of the lengths that its messages have.
fn linux_ha() -> Vec<Vec<u8>> {
    let status = [
        ("t", "status"),
        ("st", "active"),
        ("dt", "7530"),
        ("protocol", "1"),
        ("src", "primary"),
        ("(1)srcuuid", "ycHDyJzZSEq3VtVzBvPg5w=="),
        ("seq", "2f"),
        ("hg", "5641c3a7"),
        ("ts", "5641c3d9"),
        ("ld", "0.08 0.06 0.05 2/132 1783"),
        ("ttl", "3"),
        ("auth", "1 9c32d8a4cd58e4b9a6e4d6b1f8d5c4e0f2b7a613"),
    ];
    let mut all = Vec::new();
    for fields in [&status[..], &status[..9], &status[3..]] {
        let mut classic = b">>>\n".to_vec();
        let mut netstring = b"###\n".to_vec();
        for (name, value) in fields {
            let field = format!("{name}={value}");
            classic.extend(format!("{field}\n").bytes());
            netstring.extend(format!("{}:{field},", field.len()).bytes());
        }
        classic.extend(b"<<<\n\0");
        netstring.extend(b"%%%\n\0");
        all.extend([classic, netstring]);
    }
    let repeated = [all[0].clone(), all[0].clone()].concat();
    all.push(repeated[..380].to_vec());
    all
}

#[test]
fn linux_ha_s_packets_are_told_and_passed() {
    let mut rig = Rig::new();
    let mut count = 0;
    for packet in linux_ha() {
        assert!((100..=380).contains(&packet.len()), "{} bytes", packet.len());
        // Also of a beat's length, and as short as can be told.
        for length in [packet.len(), LEN, 4] {
            rig.expect(&datagram(packet[..length].to_vec()).frame(), Verdict::LinuxHa, None);
            count += 1;
        }
        rig.expect(&datagram(packet[..3].to_vec()).frame(), Verdict::Foreign, None);
    }
    assert_eq!(rig.count(None, Verdict::LinuxHa), count);
}

#[test]
fn a_foreign_payload_on_our_port_passes() {
    let mut rig = Rig::new();
    let mut good = signed(&numbered(1), KEY);
    good[0] = b'H';
    for payload in [
        vec![],
        vec![0; LEN],
        vec![b'#'; LEN],
        b"hc\x01\x01".to_vec(),
        b"hello".to_vec(),
        good,
    ] {
        rig.expect(&datagram(payload).frame(), Verdict::Foreign, None);
    }
}

#[test]
fn a_beat_to_another_node_passes() {
    let mut rig = Rig::new();
    for destination in [NodeId(0), NodeId(1), NodeId(u32::MAX)] {
        let beat = Beat {
            destination,
            ..numbered(1)
        };
        rig.expect(&frame(&beat), Verdict::Elsewhere, None);
    }
    assert_eq!(rig.count(None, Verdict::Elsewhere), 3);
}
