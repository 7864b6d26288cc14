//! The filter is asked by the kernel itself: one of a socket of another kind looks at what is sent through it.

use std::os::unix::net::UnixDatagram;

use proptest::prelude::*;

use super::super::frame;
use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What the announcement of an address looks like, from who has it.
fn announcements(text: &str) -> Vec<Vec<u8>> {
    let frames = frame::announcement(MAC, ip(text), false);
    frames.iter().flatten().map(|frame| frame.bytes().to_vec()).collect()
}

/// Who says what in a frame, and whether he only asks.
fn says(frame: &[u8]) -> Option<(IpAddr, [u8; 6], bool)> {
    read(frame, 3).map(|claim| {
        assert_eq!(claim.interface, 3);
        (claim.ip, claim.mac, claim.is_probe)
    })
}

/// Which of these frames come through.
fn passed(filter: &Filter, frames: &[Vec<u8>]) -> Vec<bool> {
    let (to, from) = UnixDatagram::pair().expect("sockets");
    from.set_nonblocking(true).expect("not blocking");
    filter.attach(from.as_fd()).expect("the kernel takes it");
    let passes = |frame: &Vec<u8>| {
        to.send(frame).expect("sent");
        let mut buffer = [0; 128];
        from.recv(&mut buffer).is_ok()
    };
    frames.iter().map(passes).collect()
}

#[test]
fn arp_about_our_addresses_only() {
    let ours = ["192.0.2.10", "192.0.2.11"];
    let v4 = ours.map(|text| text.parse::<std::net::Ipv4Addr>().expect("an address"));
    let mut filter = Filter::new();
    assert_eq!(passed(&filter, &announcements("192.0.2.10")), [false, false]);
    filter.arp(v4.into_iter(), std::iter::empty());
    for text in ours {
        assert_eq!(passed(&filter, &announcements(text)), [true, true], "{text}");
    }
    assert_eq!(passed(&filter, &announcements("192.0.2.12")), [false, false]);
    // A probe says nobody's, whatever it asks for.
    let probe = frame::probe(MAC, ip("192.0.2.10"));
    assert_eq!(
        passed(&filter, &[probe.bytes().to_vec(), vec![0; 14], vec![]])[..2],
        [false, false]
    );
    // But of one that we are about to take it is let through.
    filter.arp(v4.into_iter(), [v4[1]].into_iter());
    let probes = ["192.0.2.10", "192.0.2.11", "192.0.2.12"].map(|text| frame::probe(MAC, ip(text)).bytes().to_vec());
    assert_eq!(passed(&filter, &probes), [false, true, false]);
    assert_eq!(passed(&filter, &announcements("192.0.2.10")), [true, true]);
    assert_eq!(passed(&filter, &announcements("192.0.2.12")), [false, false]);
}

#[test]
fn advertisements_of_our_addresses_only() {
    let ours = ["2001:db8::10", "2001:db8:1::10", "fe80::10"];
    let v6 = ours.map(|text| text.parse::<std::net::Ipv6Addr>().expect("an address"));
    let mut filter = Filter::new();
    filter.neighbours(v6.into_iter());
    for text in ours {
        assert_eq!(passed(&filter, &announcements(text)), [true], "{text}");
    }
    for text in ["2001:db8::11", "2001:db8::1:10", "2002:db8::10", "fe80::11"] {
        assert_eq!(passed(&filter, &announcements(text)), [false], "{text}");
    }
    let mut other = announcements("2001:db8::10").remove(0);
    other[54] = 135;
    let mut udp = announcements("2001:db8::10").remove(0);
    udp[20] = 17;
    assert_eq!(passed(&filter, &[other, udp]), [false, false]);
}

#[test]
fn as_many_as_are_looked_after_fit() {
    let mut filter = Filter::new();
    filter.neighbours((0..256).map(|last| std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | last)));
    assert_eq!(passed(&filter, &announcements("2001:db8::ff")), [true]);
    filter.neighbours((0..2_000).map(|last| std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | last)));
    assert_eq!(
        passed(&filter, &announcements("2001:db8::1")),
        [true],
        "more are left out"
    );
}

#[test]
fn who_says_what() {
    for text in ["192.0.2.10", "2001:db8::10"] {
        for frame in announcements(text) {
            assert_eq!(says(&frame), Some((ip(text), MAC, false)), "{frame:x?}");
            for length in 0..frame.len().min(42) {
                assert_eq!(says(&frame[..length]), None, "{text} of {length} bytes");
            }
        }
    }
    // What a router forwarded is nobody's word here, and without the option the sender is who has it.
    let mut forwarded = announcements("2001:db8::10").remove(0);
    forwarded[21] = 254;
    assert_eq!(says(&forwarded), None);
    let mut bare = announcements("2001:db8::10").remove(0);
    bare.truncate(78);
    bare[6..12].copy_from_slice(&[9; 6]);
    assert_eq!(says(&bare), Some((ip("2001:db8::10"), [9; 6], false)));
    // A probe says that nobody has anything, and what somebody is about to take; an answer from nobody says nothing.
    let probe = frame::probe(MAC, ip("192.0.2.10"));
    assert_eq!(says(probe.bytes()), Some((ip("192.0.2.10"), MAC, true)));
    let mut answer = probe.bytes().to_vec();
    answer[21] = 2;
    assert_eq!(says(&answer), Some((ip("0.0.0.0"), MAC, false)));
    assert_eq!(says(frame::probe(MAC, ip("2001:db8::10")).bytes()), None);
}

proptest! {
    #[test]
    fn whatever_comes_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..128), kind in 0..3_u8) {
        let mut bytes = bytes;
        if let Some(place) = bytes.get_mut(12..14) {
            match kind {
                0 => place.copy_from_slice(&[0x08, 0x06]),
                1 => place.copy_from_slice(&[0x86, 0xDD]),
                _ => {}
            }
        }
        let _ = read(&bytes, 3);
    }
}
