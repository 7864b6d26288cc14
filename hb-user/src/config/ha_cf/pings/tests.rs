use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::config::error::Fault;
use crate::config::ha_cf::tests::only;
use crate::config::ha_cf::{HaCf, parse};
use crate::config::{Host, Link};

const CLUSTER: &str = "node primary secondary\nucast eth0 198.51.100.6\nauto_failback on\n";

/// Lines after the cluster's three; then the targets and deadping in milliseconds.
#[test]
fn accepts_what_heartbeat_accepts() {
    let table = [
        ("", "", 500),
        ("ping 192.0.2.1", "192.0.2.1 192.0.2.1", 500),
        (
            "ping 192.0.2.1 192.0.2.2",
            "192.0.2.1 192.0.2.1, 192.0.2.2 192.0.2.2",
            500,
        ),
        (
            "ping 192.0.2.1\nping 192.0.2.2",
            "192.0.2.1 192.0.2.1, 192.0.2.2 192.0.2.2",
            500,
        ),
        ("ping Router\ndeadping 400ms", "router 192.0.2.7", 400),
        (
            "ping6 2001:DB8::1 router",
            "2001:db8::1 2001:db8::1, router 2001:db8::7",
            500,
        ),
        (
            "ping_group Routers 192.0.2.1 2001:db8::1 router 192.0.2.1",
            "routers 192.0.2.1 2001:db8::1 192.0.2.7",
            500,
        ),
        ("deadtime 10\ndeadping 9", "", 9000),
        ("deadping 3\ndeadping .3", "", 300),
    ];
    for (lines, targets, deadping) in table {
        let pings = read(lines).expect(lines).pings;
        let shown: Vec<String> = pings
            .targets
            .iter()
            .map(|target| {
                let members: Vec<String> = target.members.iter().map(ToString::to_string).collect();
                format!("{} {}", target.name, members.join(" "))
            })
            .collect();
        assert_eq!(
            (shown.join(", ").as_str(), pings.deadping.as_millis()),
            (targets, deadping),
            "{lines}"
        );
    }
}

#[test]
fn refuses_with_the_reason() {
    let outside = "expected a host outside the cluster, such as a router";
    let table = [
        (
            "ping",
            "ping \"\": expected the address of a host outside the cluster".to_owned(),
        ),
        (
            "ping_group",
            r#"ping_group "": expected a name and addresses (ping_group routers 192.0.2.1 192.0.2.2)"#.to_owned(),
        ),
        (
            "ping_group routers",
            r#"ping_group "routers": expected addresses after the name of the group"#.to_owned(),
        ),
        (
            "ping nowhere",
            r#"ping "nowhere": cannot resolve this host name: no such host"#.to_owned(),
        ),
        (
            "ping 2001:db8::1",
            r#"ping "2001:db8::1": expected an IPv4 address (ping6 takes others)"#.to_owned(),
        ),
        (
            "ping6 192.0.2.1",
            r#"ping6 "192.0.2.1": expected an IPv6 address (ping takes others)"#.to_owned(),
        ),
        (
            "ping6 fe80::1",
            r#"ping6 "fe80::1": expected an address that is good on every interface"#.to_owned(),
        ),
        (
            "ping 255.255.255.255",
            r#"ping "255.255.255.255": expected the address of one host"#.to_owned(),
        ),
        (
            "ping6 ff02::1",
            r#"ping6 "ff02::1": expected the address of one host"#.to_owned(),
        ),
        (
            "ping 198.51.100.5",
            format!(r#"ping "198.51.100.5": it is this host itself: {outside}"#),
        ),
        (
            "ping 127.0.0.1",
            format!(r#"ping "127.0.0.1": it is this host itself: {outside}"#),
        ),
        (
            "ping SECONDARY",
            r#"ping "secondary": it is a node of the cluster: expected a host outside, such as a router"#.to_owned(),
        ),
        (
            "ping_group a 192.0.2.1\nping_group A 192.0.2.2",
            r#"ping_group "A": line 4 has other hosts of this name: expected each name once"#.to_owned(),
        ),
        (
            "deadping soon",
            r#"deadping "soon": expected seconds (2, 0.5) or milliseconds (100ms)"#.to_owned(),
        ),
        (
            "deadping 200ms",
            r#"deadping "200ms": expected more than twice keepalive, which is 100ms"#.to_owned(),
        ),
    ];
    for (lines, message) in table {
        assert_eq!(read(lines).expect_err(lines).message, message);
    }
}

#[test]
fn refuses_more_than_a_beat_counts() {
    let hosts = |count: u8| {
        let hosts: Vec<String> = (1..=count).map(|last| format!(" 192.0.2.{last}")).collect();
        hosts.concat()
    };
    assert_eq!(read(&format!("ping{}", hosts(15))).expect("15").pings.targets.len(), 15);
    let fault = read(&format!("ping{}", hosts(16))).expect_err("16");
    assert_eq!(
        fault.message,
        r#"ping "192.0.2.16": expected at most 15 ping nodes and groups"#
    );
}

#[test]
fn refuses_the_address_of_another_node() {
    let pings = read("ping_group routers 192.0.2.1 198.51.100.6")
        .expect("accepted so far")
        .pings;
    let nodes = ["primary".to_owned(), "secondary".to_owned()];
    let link = |last| Link {
        node: 1,
        interface: "eth0".to_owned(),
        peer: IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)),
        line: 2,
    };
    assert_eq!(pings.check_links(&[link(7)], &nodes), Ok(()));
    let fault = pings.check_links(&[link(6)], &nodes).expect_err("refused");
    assert_eq!(
        fault.message,
        r#"ping "routers": 198.51.100.6 is an address of node secondary: expected a host outside the cluster, such as a router"#
    );
}

#[test]
fn warns_of_what_is_odd() {
    let table = [
        (
            "ping 192.0.2.1\nping 192.0.2.1",
            "ha.cf:5: 192.0.2.1 is in line 4 already: ignored",
        ),
        (
            "deadping 3",
            "ha.cf:4: deadping 3s is longer than deadtime 500ms: for the difference a node that was cut off from everything \
             believes that it still reaches its ping nodes",
        ),
    ];
    for (lines, expected) in table {
        let warnings: Vec<String> = read(lines)
            .expect(lines)
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(warnings, [expected]);
    }
}

fn read(lines: &str) -> Result<HaCf, Fault> {
    let host = Host {
        name: "primary".to_owned(),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, 5))],
    };
    parse(format!("{CLUSTER}{lines}\n").as_bytes(), &host, &resolve).map_err(only)
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    match name.to_ascii_lowercase().as_str() {
        "router" => Ok(["2001:db8::7", "192.0.2.7"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()),
        "secondary" => Ok(vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, 6))]),
        _ => Err(io::Error::other("no such host")),
    }
}
