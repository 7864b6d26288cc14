//! Where an address goes: what haresources says, and what the routing table adds.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::route::{RouteHeader, RouteType};
use serde::{Deserialize, Serialize};

use super::message::Message;
use super::netlink::{Netlink, attributes};
use crate::config::{Address, Broadcast};

/// Where an address goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// The address.
    pub ip: IpAddr,
    /// How many bits of it are its network's.
    pub bits: u8,
    /// The interface.
    pub interface: String,
    /// Its label, of an IPv4 address.
    pub label: Option<String>,
    /// Its broadcast address, of an IPv4 address.
    pub broadcast: Option<Ipv4Addr>,
}

/// A network that an interface is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Network {
    pub(super) ip: IpAddr,
    pub(super) bits: u8,
    pub(super) interface: u32,
    /// Of two that are equal otherwise the lower one is used (`RTA_PRIORITY`).
    pub(super) metric: u32,
}

impl Plan {
    /// For an address of which haresources says everything.
    pub(super) fn complete(address: &Address) -> Option<Self> {
        Some(Self::with(address, address.bits?, address.interface.clone()?))
    }

    /// The smallest network that contains the address says the rest. One of a single address says nothing of others. Of equal ones
    /// it is the one with the lower metric, or the first. Whether it has a carrier does not matter: that was so when the
    /// configuration was read, and the plan is for a takeover that may come much later.
    pub(super) fn find(address: &Address, networks: &[Network]) -> Option<(Network, u8)> {
        let all = if address.ip.is_ipv4() { 32 } else { 128 };
        let most = address.bits.unwrap_or(all);
        let fits = |network: &&Network| {
            (1..all).contains(&network.bits) && network.bits <= most && contains(network.ip, network.bits, address.ip)
        };
        let rank = |network: &&Network| (Reverse(network.bits), network.metric);
        let network = networks.iter().filter(fits).min_by_key(rank)?;
        Some((*network, address.bits.unwrap_or(network.bits)))
    }

    pub(super) fn with(address: &Address, bits: u8, interface: String) -> Self {
        Self {
            ip: address.ip,
            bits,
            interface,
            label: address.label.clone(),
            broadcast: broadcast(address, bits),
        }
    }
}

/// A network of two addresses has no room for one that means all (RFC 3021).
fn broadcast(address: &Address, bits: u8) -> Option<Ipv4Addr> {
    match (address.ip, address.broadcast) {
        (IpAddr::V4(ip), Broadcast::Last) if bits < 31 => {
            let hosts = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            Some(Ipv4Addr::from_bits(ip.to_bits() | hosts))
        }
        (IpAddr::V4(_), Broadcast::At(broadcast)) => Some(broadcast),
        (IpAddr::V4(_), Broadcast::Last | Broadcast::None) | (IpAddr::V6(_), _) => None,
    }
}

fn contains(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    let same = match (network, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    same >= u32::from(bits)
}

/// The networks of the family of `ip` that this host is in: the routes that lead to no gateway.
pub(super) fn networks(ip: IpAddr) -> std::io::Result<Vec<Network>> {
    let mut networks = Vec::new();
    let mut netlink = Netlink::open()?;
    netlink
        .dump(&Message::routes(ip), |_, payload| networks.extend(network(payload)))
        .map_err(|refusal| refusal.errno)?;
    Ok(networks)
}

/// What a route says of a network, if it does.
fn network(route: &[u8]) -> Option<Network> {
    /// The length of `struct rtmsg`, and attributes of linux/rtnetlink.h.
    const RTMSG: usize = 12;
    const DESTINATION: u16 = 1;
    const OUT_INTERFACE: u16 = 4;
    const PRIORITY: u16 = 6;
    const GATEWAYS: [u16; 3] = [5, 9, 18];

    let header = RouteHeader::parse(route).ok()?;
    // Of IPv4 a metric of 0 is left out.
    let (mut ip, mut interface, mut metric) = (None, None, 0);
    for attribute in attributes(route.get(RTMSG..)?) {
        let value = attribute.value();
        match attribute.kind() {
            DESTINATION => ip = address(value),
            OUT_INTERFACE => interface = value.first_chunk().map(|index| u32::from_ne_bytes(*index)),
            PRIORITY => metric = value.first_chunk().map_or(0, |metric| u32::from_ne_bytes(*metric)),
            kind if GATEWAYS.contains(&kind) => return None,
            _ => {}
        }
    }
    let network = Network {
        ip: ip?,
        bits: header.destination_prefix_length,
        interface: interface?,
        metric,
    };
    // Of what is local only 127.0.0.0/8 is a network.
    let is_wanted = (header.kind == RouteType::Unicast && header.table == RouteHeader::RT_TABLE_MAIN)
        || (header.kind == RouteType::Local && network.ip.is_loopback());
    is_wanted.then_some(network)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ip: &str, bits: u8, interface: u32) -> Network {
        Network {
            ip: ip.parse().expect("an address"),
            bits,
            interface,
            metric: 0,
        }
    }

    fn address(ip: &str, bits: Option<u8>) -> Address {
        Address {
            ip: ip.parse().expect("an address"),
            bits,
            interface: None,
            label: None,
            broadcast: Broadcast::Last,
        }
    }

    #[test]
    fn the_smallest_network_that_contains_it() {
        let networks = [
            network("10.0.0.0", 8, 1),
            network("10.1.0.0", 16, 2),
            network("10.1.2.0", 24, 3),
            network("10.1.2.10", 32, 4),
            network("2001:db8::", 32, 5),
            network("2001:db8:1::", 64, 6),
            network("2001:db8:1::10", 128, 7),
        ];
        let table = [
            ("10.1.2.10", None, Some((3, 24))),
            ("10.1.3.10", None, Some((2, 16))),
            ("10.2.3.10", None, Some((1, 8))),
            ("11.2.3.10", None, None),
            // As many bits as are asked for, where they are not fewer than the network's.
            ("10.1.2.10", Some(32), Some((3, 32))),
            ("10.1.2.10", Some(24), Some((3, 24))),
            ("10.1.2.10", Some(20), Some((2, 20))),
            ("10.1.2.10", Some(7), None),
            ("2001:db8:1::10", None, Some((6, 64))),
            ("2001:db8:1::10", Some(128), Some((6, 128))),
            ("2001:db8:2::10", None, Some((5, 32))),
            ("2001:db9::10", None, None),
        ];
        for (ip, bits, expected) in table {
            let found = Plan::find(&address(ip, bits), &networks);
            assert_eq!(
                found.map(|(network, bits)| (network.interface, bits)),
                expected,
                "{ip} {bits:?}"
            );
        }
        assert_eq!(
            Plan::find(&address("10.1.2.10", None), &[network("0.0.0.0", 0, 1)]),
            None
        );
    }

    #[test]
    fn of_equal_networks_the_one_that_the_kernel_would_use() {
        let table = [
            // The kernel tells of equal networks by rising metrics; their order must not matter.
            ([(1, 100), (2, 600)], 1),
            ([(1, 600), (2, 100)], 2),
            ([(1, 100), (2, 100)], 1),
        ];
        for (ip, net, bits) in [("10.1.2.10", "10.1.2.0", 24), ("2001:db8:1::10", "2001:db8:1::", 64)] {
            for (equals, expected) in table {
                let networks = equals.map(|(interface, metric)| Network {
                    metric,
                    ..network(net, bits, interface)
                });
                let found = Plan::find(&address(ip, None), &networks);
                assert_eq!(found.map(|(it, _)| it.interface), Some(expected), "{ip} of {equals:?}");
            }
        }
    }

    #[test]
    fn broadcast_addresses() {
        let table = [
            ("192.0.2.10", 24, Broadcast::Last, "192.0.2.255"),
            ("192.0.2.10", 30, Broadcast::Last, "192.0.2.11"),
            ("10.1.2.3", 1, Broadcast::Last, "127.255.255.255"),
            ("192.0.2.10", 31, Broadcast::Last, "-"),
            ("192.0.2.10", 32, Broadcast::Last, "-"),
            ("192.0.2.10", 24, Broadcast::None, "-"),
            (
                "192.0.2.10",
                24,
                Broadcast::At(Ipv4Addr::new(192, 0, 2, 127)),
                "192.0.2.127",
            ),
            ("2001:db8::10", 64, Broadcast::Last, "-"),
        ];
        for (ip, bits, broadcast, expected) in table {
            let address = Address {
                broadcast,
                ..address(ip, None)
            };
            let plan = Plan::with(&address, bits, "eth0".to_owned());
            let found = plan.broadcast.map_or("-".to_owned(), |ip| ip.to_string());
            assert_eq!(found, expected, "{ip}/{bits}");
        }
    }

    type Attribute<'a> = (u16, &'a [u8]);

    /// `struct rtmsg`, then attributes.
    fn route(bits: u8, table: u8, kind: u8, attributes: &[Attribute<'_>]) -> Vec<u8> {
        let mut bytes = vec![2, bits, 0, 0, table, 2, 253, kind, 0, 0, 0, 0];
        for (kind, value) in attributes {
            bytes.extend(u16::try_from(4 + value.len()).expect("short").to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
        }
        bytes
    }

    #[test]
    fn routes_without_a_gateway_are_networks() {
        let (net, index, gateway) = ([10, 1, 2, 0], 3_u32.to_ne_bytes(), [10, 1, 2, 1]);
        let (dst, oif, via): (Attribute<'_>, Attribute<'_>, Attribute<'_>) = ((1, &net), (4, &index), (5, &gateway));
        let network = super::Network {
            ip: IpAddr::from(net),
            bits: 24,
            interface: 3,
            metric: 0,
        };
        let expected = Some(network);
        let (main, local, unicast, host) = (254, 255, 1, 2);
        assert_eq!(super::network(&route(24, main, unicast, &[dst, oif])), expected);
        let metric = 600_u32.to_ne_bytes();
        let far = super::Network { metric: 600, ..network };
        assert_eq!(
            super::network(&route(24, main, unicast, &[dst, (6, &metric), oif])),
            Some(far)
        );
        let not = [
            route(24, main, unicast, &[dst, oif, via]),
            route(24, main, unicast, &[dst]),
            route(0, main, unicast, &[oif]),
            route(24, 100, unicast, &[dst, oif]),
            route(24, local, host, &[dst, oif]),
            vec![],
            vec![2, 24],
        ];
        for bytes in not {
            assert_eq!(super::network(&bytes), None, "{bytes:?}");
        }
        let loopback = [127, 0, 0, 0];
        let found = super::network(&route(8, local, host, &[(1, &loopback), oif]));
        assert_eq!(found.map(|it| it.bits), Some(8));
    }
}
