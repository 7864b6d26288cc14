use proptest::prelude::*;

use super::Script::{IpAddr, IpAddr2, Ipv6Addr};
use super::{Address, Broadcast, Script};

#[test]
fn heartbeats_forms() {
    let table: [(Script, &str, &str); 21] = [
        (IpAddr, "192.0.2.10", "192.0.2.10 - - - last"),
        (IpAddr2, "192.0.2.10", "192.0.2.10 - - - last"),
        (IpAddr2, "192.0.2.10/24", "192.0.2.10 24 - - last"),
        (IpAddr2, "192.0.2.10/32", "192.0.2.10 32 - - last"),
        (IpAddr2, "192.0.2.10/1", "192.0.2.10 1 - - last"),
        (IpAddr2, "192.0.2.10/255.255.255.0", "192.0.2.10 24 - - last"),
        (IpAddr2, "192.0.2.10/255.255.255.255", "192.0.2.10 32 - - last"),
        (IpAddr, "192.0.2.10/24/eth0", "192.0.2.10 24 eth0 - last"),
        (IpAddr2, "192.0.2.10/24/eth0:web", "192.0.2.10 24 eth0 eth0:web last"),
        (
            IpAddr2,
            "192.0.2.10/24/eth0:1234567890",
            "192.0.2.10 24 eth0 eth0:1234567890 last",
        ),
        (IpAddr2, "192.0.2.10/24/eth0.100", "192.0.2.10 24 eth0.100 - last"),
        (IpAddr2, "192.0.2.10/24/192.0.2.127", "192.0.2.10 24 - - 192.0.2.127"),
        (
            IpAddr2,
            "192.0.2.10/24/eth0/192.0.2.127",
            "192.0.2.10 24 eth0 - 192.0.2.127",
        ),
        (
            IpAddr2,
            "192.0.2.10/24/eth0:0/192.0.2.127",
            "192.0.2.10 24 eth0 eth0:0 192.0.2.127",
        ),
        (IpAddr2, "192.0.2.10/24/eth0/+", "192.0.2.10 24 eth0 - last"),
        (IpAddr2, "192.0.2.10/24/eth0/-", "192.0.2.10 24 eth0 - none"),
        (IpAddr2, "192.0.2.10//24/", "192.0.2.10 24 - - last"),
        (IpAddr2, "2001:db8::10/64/eth0", "2001:db8::10 64 eth0 - last"),
        (Ipv6Addr, "2001:db8::10", "2001:db8::10 - - - last"),
        (Ipv6Addr, "2001:DB8:0:0::10/128", "2001:db8::10 128 - - last"),
        (Ipv6Addr, "fe80::10/64/eth0", "fe80::10 64 eth0 - last"),
    ];
    for (script, text, expected) in table {
        assert_eq!(shown(&script.parse(text).expect(text)), expected, "{text}");
    }
}

#[test]
fn refuses_with_what_was_expected() {
    let (v4, any, v6) = (
        "expected an IPv4 address",
        "expected an address",
        "expected an IPv6 address",
    );
    let bits = |most: u8, text: &str| format!("expected 1 to {most} bits of network, not {text:?}");
    let name = |text: &str| format!("expected an interface's name of 1 to 15 characters, not {text:?}");
    let label = |text: &str| {
        format!("expected a label after the colon, and at most 15 characters with the interface, not {text:?}")
    };
    let colons = |text: &str| {
        format!(
            "Heartbeat takes what follows `::` in {text:?} for an argument of its own: expected one colon and a label"
        )
    };
    let broadcast = |text: &str| format!("expected a broadcast address, not {text:?}");
    let more = |text: &str| format!("expected nothing more where {text:?} stands");
    let nobody = |text: &str| format!("{text} is nobody's own address: expected one that a host can have");
    let table = [
        (IpAddr, "", v4.to_owned()),
        (IpAddr, "eth0", v4.to_owned()),
        (IpAddr, "192.0.2", v4.to_owned()),
        (IpAddr, "192.0.2.256", v4.to_owned()),
        (IpAddr, "192.0.2.010", v4.to_owned()),
        (IpAddr, "192.0.2.10::eth0", v4.to_owned()),
        (IpAddr, "2001:db8::10", v4.to_owned()),
        (IpAddr2, "a.example", any.to_owned()),
        (Ipv6Addr, "192.0.2.10", v6.to_owned()),
        (Ipv6Addr, "2001:db8::10::1", v6.to_owned()),
        (IpAddr, "0.0.0.0", nobody("0.0.0.0")),
        (IpAddr, "224.0.0.1", nobody("224.0.0.1")),
        (IpAddr, "255.255.255.255", nobody("255.255.255.255")),
        (Ipv6Addr, "::", nobody("::")),
        (Ipv6Addr, "ff02::1/64", nobody("ff02::1")),
        (IpAddr2, "192.0.2.10/0", bits(32, "0")),
        (IpAddr2, "192.0.2.10/24/eth0::x", colons("eth0::x")),
        (IpAddr2, "192.0.2.10/24/eth0:a::x", colons("eth0:a::x")),
        (IpAddr2, "192.0.2.10/33", bits(32, "33")),
        (IpAddr2, "192.0.2.10/-1", bits(32, "-1")),
        (IpAddr2, "192.0.2.10/eth0", bits(32, "eth0")),
        (IpAddr2, "192.0.2.10/255.0.255.0", bits(32, "255.0.255.0")),
        (IpAddr2, "192.0.2.10/0.0.0.0", bits(32, "0.0.0.0")),
        (Ipv6Addr, "2001:db8::10/129", bits(128, "129")),
        (Ipv6Addr, "2001:db8::10/255.0.0.0", bits(128, "255.0.0.0")),
        (IpAddr2, "192.0.2.10/24/1eth", broadcast("1eth")),
        (IpAddr2, "192.0.2.10/24/192.0.2.300", broadcast("192.0.2.300")),
        (IpAddr2, "192.0.2.10/24/eth0/eth1", broadcast("eth1")),
        (IpAddr2, "192.0.2.10/24/192.0.2.255/eth0", more("eth0")),
        (IpAddr2, "192.0.2.10/24/eth0/192.0.2.255/x", more("x")),
        (IpAddr2, "192.0.2.10/24/..", name("..")),
        (IpAddr2, "192.0.2.10/24/:web", name("")),
        (IpAddr2, "192.0.2.10/24/an-interface-of16", name("an-interface-of16")),
        (IpAddr2, "192.0.2.10/24/eth0:", label("eth0:")),
        (IpAddr2, "192.0.2.10/24/eth0:12345678901", label("eth0:12345678901")),
        (
            Ipv6Addr,
            "2001:db8::10/64/eth0:web",
            "an IPv6 address has no label: expected an interface's name".to_owned(),
        ),
        (Ipv6Addr, "2001:db8::10/64/eth0/eth1", more("eth1")),
        (
            Ipv6Addr,
            "fe80::10/64",
            "a link-local address is on every interface: expected ADDRESS/BITS/INTERFACE".to_owned(),
        ),
    ];
    for (script, text, expected) in table {
        assert_eq!(script.parse(text), Err(expected), "{text}");
    }
}

proptest! {
    #[test]
    fn anything_like_an_address_is_judged(text in "([0-9]{1,3}|[.:/+-]|::|eth0|fe80|[a-z]){0,20}") {
        for script in [IpAddr, IpAddr2, Ipv6Addr] {
            if let Ok(address) = script.parse(&text) {
                prop_assert!(address.bits.is_none_or(|bits| bits >= 1));
                prop_assert!(address.label.is_none_or(|label| label.len() <= 15));
            }
        }
        let _ = Script::of_bare(&text);
    }
}

fn shown(address: &Address) -> String {
    let bits = address.bits.map_or("-".to_owned(), |bits| bits.to_string());
    let interface = address.interface.as_deref().unwrap_or("-");
    let label = address.label.as_deref().unwrap_or("-");
    let broadcast = match address.broadcast {
        Broadcast::Last => "last".to_owned(),
        Broadcast::None => "none".to_owned(),
        Broadcast::At(ip) => ip.to_string(),
    };
    format!("{} {bits} {interface} {label} {broadcast}", address.ip)
}
