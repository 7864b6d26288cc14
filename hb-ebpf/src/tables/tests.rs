extern crate std;

use core::mem::{offset_of, size_of};

use super::*;

#[test]
fn layouts_are_pinned() {
    assert_eq!(size_of::<Address>(), 16);
    assert_eq!(size_of::<Link>(), 20);
    assert_eq!(offset_of!(Link, address), 0);
    assert_eq!(offset_of!(Link, slot), 16);
    assert_eq!(size_of::<Peer>(), 164);
    assert_eq!(offset_of!(Peer, count), 0);
    assert_eq!(offset_of!(Peer, links), 4);
}

#[test]
fn a_link_is_found_by_its_whole_address() {
    for count in 0..=MAX_LINKS {
        let mut peer = Peer {
            count: u32::try_from(count).expect("few"),
            ..Peer::default()
        };
        for (link, slot) in peer.links.iter_mut().zip(10..) {
            *link = Link {
                address: Address([1, 2, 3, slot]),
                slot,
            };
        }
        for (index, link) in peer.links.iter().enumerate() {
            let expected = (index < count).then_some(link.slot);
            assert_eq!(peer.slot(&link.address), expected, "link {index} of {count}");
            for word in 0..4 {
                let mut other = link.address;
                other.0[word] ^= 1 << 31;
                assert_eq!(peer.slot(&other), None, "word {word}");
            }
        }
    }
}

#[test]
fn ipv4_addresses_are_mapped() {
    let mapped = std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets();
    let words =
        [0, 4, 8, 12].map(|at| u32::from_be_bytes([mapped[at], mapped[at + 1], mapped[at + 2], mapped[at + 3]]));
    assert_eq!(Address::v4(0xc000_0201), Address(words));
}
