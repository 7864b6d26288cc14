use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::{Owners, Ucast};
use crate::config::Link;
use crate::config::error::Fault;
use crate::config::hb_toml::Claim;

/// What hb.toml claims as (last byte, node), the last bytes of the `ucast` lines, and the node that each leads to.
type Row = (&'static [(u8, usize)], &'static [u8], &'static [(u8, usize)]);

/// `web1`, which is us, resolves to .1, `web2` to .2 and .12, `web3` to .3 and .12; `web4` does not resolve.
#[test]
fn leads_every_address_to_its_node() {
    let table: [(usize, Row); 9] = [
        (1, (&[], &[9], &[])),
        (2, (&[], &[9, 3], &[(9, 1), (3, 1)])),
        (2, (&[(9, 0)], &[9, 3], &[(3, 1)])),
        (3, (&[], &[2, 3], &[(2, 1), (3, 2)])),
        (3, (&[], &[3, 2, 1], &[(3, 2), (2, 1)])),
        (3, (&[(7, 2)], &[2, 7], &[(2, 1), (7, 2)])),
        (3, (&[(12, 2)], &[2, 12], &[(2, 1), (12, 2)])),
        (3, (&[(2, 2)], &[2, 12], &[])),
        (4, (&[(4, 3)], &[2, 3, 4], &[(2, 1), (3, 2), (4, 3)])),
    ];
    for (nodes, (claims, ucasts, expected)) in table {
        let result = assign(nodes, claims, ucasts);
        if expected.is_empty() && nodes > 1 {
            assert!(result.is_err(), "{ucasts:?}");
            continue;
        }
        let links = result.expect("accepted");
        let found: Vec<_> = links.iter().map(|link| (link.peer, link.node)).collect();
        let expected: Vec<_> = expected.iter().map(|&(last, node)| (address(last), node)).collect();
        assert_eq!(found, expected, "{nodes} nodes, {claims:?}, {ucasts:?}");
    }
}

#[test]
fn refuses_with_what_to_write() {
    let many: Vec<u8> = (20..29).collect();
    let table: [(usize, &[u8], Option<u32>, &str); 6] = [
        (
            3,
            &[2, 3, 9],
            Some(3),
            r#"ucast "192.0.2.9": no node's name resolves to it: write in hb.toml, below [nodes]: NODE = ["192.0.2.9"]"#,
        ),
        (
            3,
            &[2, 12, 3],
            Some(2),
            r#"ucast "192.0.2.12": the names of web2 and web3 resolve to it: write in hb.toml, below [nodes]: web2 = ["192.0.2.12"]"#,
        ),
        (
            3,
            &[3],
            None,
            "no ucast line leads to node web2: expected `ucast INTERFACE ADDRESS` with an address of that host",
        ),
        (
            4,
            &[2, 3],
            None,
            "no ucast line leads to node web4: expected `ucast INTERFACE ADDRESS` with an address of that host",
        ),
        (
            2,
            &[],
            None,
            "no ucast line leads to node web2: expected `ucast INTERFACE ADDRESS` with an address of that host",
        ),
        (
            2,
            &many,
            Some(9),
            r#"ucast "192.0.2.28": expected at most 8 links to web2"#,
        ),
    ];
    for (nodes, ucasts, line, message) in table {
        let fault = assign(nodes, &[], ucasts).expect_err(message);
        assert_eq!((fault.line, fault.message.as_str()), (line, message));
    }
}

/// The interfaces with a line of this host's, what hb.toml claims, the `ucast` lines, and the first line of each warning.
type Slips = (
    &'static [&'static str],
    &'static [(u8, usize)],
    &'static [(&'static str, u8)],
    &'static [&'static str],
);

#[test]
fn of_two_nodes_one_line_is_mostly_ones_own() {
    let table: [(usize, Slips); 11] = [
        // The other's only; as in the tutorial; with a slip in one's own.
        (2, (&[], &[], &[("eth0", 2)], &[])),
        (2, (&["eth0"], &[], &[("eth0", 2)], &[])),
        (2, (&[], &[], &[("eth0", 55), ("eth0", 2)], &["ha.cf:1"])),
        // Each interface for itself.
        (2, (&[], &[], &[("eth0", 2), ("eth1", 12)], &[])),
        (
            2,
            (&["eth0"], &[], &[("eth0", 2), ("eth1", 12), ("eth1", 55)], &["ha.cf:2"]),
        ),
        (2, (&["eth0"], &[], &[("eth0", 2), ("eth0", 12)], &[])),
        // Two of the other's, as hb.toml says; one of them; and one's own behind a translator.
        (2, (&[], &[(2, 1), (12, 1)], &[("eth0", 2), ("eth0", 12)], &[])),
        (2, (&[], &[(2, 1)], &[("eth0", 2), ("eth0", 55)], &["ha.cf:1"])),
        (2, (&[], &[(1, 0)], &[("eth0", 1), ("eth0", 2), ("eth0", 12)], &[])),
        // Where each address needs its owner, nothing is taken for anybody's; a node alone has no links.
        (3, (&[], &[], &[("eth0", 2), ("eth0", 3)], &[])),
        (1, (&[], &[], &[("eth0", 2), ("eth0", 3)], &[])),
    ];
    for (nodes, (own, claims, ucasts, expected)) in table {
        let claims: Vec<Claim> = claims.iter().copied().map(claim).collect();
        let own: Vec<String> = own.iter().map(ToString::to_string).collect();
        let ucasts = ucasts.iter().zip(1..).map(|(&(interface, last), line)| Ucast {
            interface: interface.to_owned(),
            ..ucast(last, line)
        });
        let ucasts: Vec<Ucast> = ucasts.collect();
        let warnings = owners(&names(nodes), &claims).slips(&ucasts, &own);
        let origins: Vec<&str> = warnings.iter().map(|it| it.origin.as_str()).collect();
        assert_eq!(origins, expected, "{own:?}, {claims:?}, {ucasts:?}");
    }
}

#[test]
fn the_limit_is_for_each_peer() {
    let addresses: Vec<u8> = (20..36).collect();
    let claims: Vec<(u8, usize)> = addresses
        .iter()
        .map(|&last| (last, 1 + usize::from(last % 2)))
        .collect();
    assert_eq!(assign(3, &claims, &addresses).expect("8 to each").len(), 16);
}

#[test]
fn hb_toml_alone_asks_no_resolver() {
    let owners = Owners {
        nodes: &names(3),
        me: 0,
        claims: &[claim((2, 1)), claim((3, 2))],
        resolve: &|name| panic!("{name} was resolved"),
    };
    assert_eq!(
        owners.assign(vec![ucast(2, 1), ucast(3, 2)]).expect("accepted").len(),
        2
    );
}

fn assign(nodes: usize, claims: &[(u8, usize)], ucasts: &[u8]) -> Result<Vec<Link>, Fault> {
    let claims: Vec<Claim> = claims.iter().copied().map(claim).collect();
    let ucasts = ucasts.iter().zip(1..).map(|(&last, line)| ucast(last, line));
    owners(&names(nodes), &claims).assign(ucasts.collect())
}

fn owners<'a>(nodes: &'a [String], claims: &'a [Claim]) -> Owners<'a> {
    Owners {
        nodes,
        me: 0,
        claims,
        resolve: &resolve,
    }
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("web{number}")).collect()
}

fn claim((last, node): (u8, usize)) -> Claim {
    Claim {
        address: address(last),
        node,
        line: 1,
    }
}

fn ucast(last: u8, line: u32) -> Ucast {
    Ucast {
        interface: "eth0".to_owned(),
        peer: address(last),
        line,
    }
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    let lasts: &[u8] = match name {
        "web1" => &[1],
        "web2" => &[2, 12],
        "web3" => &[3, 12],
        _ => return Err(io::Error::other("no such host")),
    };
    Ok(lasts.iter().copied().map(address).collect())
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}
