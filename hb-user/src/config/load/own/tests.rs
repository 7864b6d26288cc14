use std::net::IpAddr;

use super::{check, outer_name};
use crate::config::haresources;

fn verdict(line: &str, has_script: bool) -> Result<(), (Option<u32>, String)> {
    let nodes = ["primary".to_owned(), "secondary".to_owned()];
    let text = format!("\nprimary floatip {line}\n");
    let (groups, _) = haresources::parse(text.as_bytes(), &nodes, &|_| has_script).expect("parsed");
    let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let ucasts = [(ip("198.51.100.5"), 2), (ip("198.51.100.6"), 4)];
    check(&groups, &ucasts).map_err(|fault| (fault.line, fault.message))
}

#[test]
fn what_a_host_has_of_its_own_does_not_move() {
    for (address, shown, what) in [
        ("198.51.100.5", "IPaddr::198.51.100.5", "ucast line in ha.cf:2"),
        ("IPaddr::198.51.100.6/32", "IPaddr::198.51.100.6/32", "ha.cf:4"),
        (
            "IPaddr2::198.51.100.6/24/eth0:web",
            "IPaddr2::198.51.100.6/24/eth0:web",
            "ha.cf:4",
        ),
        (
            "IPv6addr::::ffff:198.51.100.5",
            "IPv6addr::::ffff:198.51.100.5",
            "ha.cf:2",
        ),
        ("127.0.0.1", "IPaddr::127.0.0.1", "loopback"),
        ("IPaddr2::127.1.2.3/8", "IPaddr2::127.1.2.3/8", "loopback"),
        ("IPv6addr::::1/128", "IPv6addr::::1/128", "loopback"),
        ("fe80::10/64/eth0", "IPv6addr::fe80::10/64/eth0", "link-local"),
        ("IPaddr2::fe80::10/64/eth0", "IPaddr2::fe80::10/64/eth0", "link-local"),
        (
            "192.0.2.0/24",
            "IPaddr::192.0.2.0/24",
            "the network address of its network of 24 bits",
        ),
        (
            "IPaddr2::192.0.2.255/24/eth0",
            "IPaddr2::192.0.2.255/24/eth0",
            "the broadcast address",
        ),
        (
            "IPaddr2::192.0.2.131/30",
            "IPaddr2::192.0.2.131/30",
            "the broadcast address",
        ),
    ] {
        let (line, message) = verdict(address, false).expect_err(address);
        assert_eq!(line, Some(2), "{address}");
        assert!(message.starts_with(&format!("resource \"{shown}\": ")), "{message}");
        assert!(
            message.contains(what) && message.contains("expected an address of its own"),
            "{message}"
        );
    }
}

#[test]
fn all_others_do() {
    for address in [
        "198.51.100.10",
        "IPaddr2::198.51.100.7/24/eth0",
        "IPaddr2::192.0.2.0/31",
        "IPaddr2::192.0.2.255/32",
        "192.0.2.255/16",
        // Where the size of the network is not said it is not known.
        "192.0.2.255",
        "2001:db8::/64",
        "IPv6addr::2001:db8::10/64/eth0",
        // Moved through a provider's API.
        "digitalocean::198.51.100.5",
    ] {
        assert_eq!(verdict(address, false), Ok(()), "{address}");
    }
}

/// It knows what it does.
#[test]
fn a_script_of_ones_own_may_be_given_anything() {
    assert_eq!(verdict("IPaddr2::198.51.100.5", true), Ok(()));
}

#[test]
fn the_outer_addresses_of_a_network() {
    let name = |text: &str, bits| outer_name(text.parse().expect("an address"), bits);
    assert_eq!(name("10.0.0.0", 8), Some("network"));
    assert_eq!(name("10.255.255.255", 8), Some("broadcast"));
    assert_eq!(name("10.0.0.255", 8), None);
    assert_eq!(name("10.0.0.0", 31), None);
    assert_eq!(name("10.0.0.1", 32), None);
}
