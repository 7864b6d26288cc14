//! What is made ready before it is needed: the netlink messages about an address, and the frames that announce it.

use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope};
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::frame::{self, Frame};
use super::interface::Interface;
use super::plan::Plan;

/// Room for the longest of our messages: an IPv4 address with a label of 15 characters takes 80 bytes.
const MAX: usize = 96;

/// A netlink message, as bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    bytes: [u8; MAX],
    length: usize,
}

impl Message {
    fn new(flags: u16, about: RouteNetlinkMessage) -> Self {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(about));
        message.finalize();
        let mut bytes = [0; MAX];
        let length = message.buffer_len();
        message.serialize(&mut bytes[..length]);
        Self { bytes, length }
    }

    /// Asks for all routes of a family.
    pub(super) fn routes(ip: IpAddr) -> Self {
        let mut routes = RouteMessage::default();
        routes.header.address_family = family(ip);
        Self::new(NLM_F_DUMP, RouteNetlinkMessage::GetRoute(routes))
    }

    /// Asks for all addresses of a family on an interface.
    fn addresses(ip: IpAddr, interface: u32) -> Self {
        let mut addresses = AddressMessage::default();
        addresses.header.family = family(ip);
        addresses.header.index = interface;
        Self::new(NLM_F_DUMP, RouteNetlinkMessage::GetAddress(addresses))
    }

    /// With this number, by which its answers are known.
    pub(super) fn numbered(mut self, sequence: u32) -> Self {
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self
    }

    /// The same about an address with another number of bits.
    pub(super) fn with_bits(mut self, bits: u8) -> Self {
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        self.bytes[17] = bits;
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// How the neighbours of an address are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    /// Where.
    pub(super) interface: u32,
    /// Whose it is then.
    pub(super) mac: [u8; 6],
    /// With what.
    pub(super) frames: [Option<Frame>; 2],
    /// What asks whether somebody else has it.
    pub(super) probe: Frame,
}

/// All that is needed to move an address. It is small, and is handed on by value: whoever uses it has nothing to free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared {
    pub(super) ip: IpAddr,
    /// The interface's number.
    pub(super) interface: u32,
    pub(super) add: Message,
    pub(super) delete: Message,
    pub(super) look: Message,
    /// `None` where there are no neighbours to tell.
    pub(super) announcement: Option<Announcement>,
}

impl Prepared {
    pub(super) fn new(plan: &Plan, interface: &Interface) -> Self {
        let announcement = interface.mac.map(|mac| Announcement {
            interface: interface.index,
            mac,
            frames: frame::announcement(mac, plan.ip, is_router(&plan.interface)),
            probe: frame::probe(mac, plan.ip),
        });
        Self {
            ip: plan.ip,
            interface: interface.index,
            add: add(plan, interface.index),
            delete: delete(plan, interface.index),
            look: Message::addresses(plan.ip, interface.index),
            announcement,
        }
    }
}

impl Prepared {
    /// About no address: what fills a queue's memory once.
    pub(super) fn nothing() -> Self {
        let message = Message {
            bytes: [0; MAX],
            length: 0,
        };
        Self {
            ip: IpAddr::from([0; 4]),
            interface: 0,
            add: message,
            delete: message,
            look: message,
            announcement: None,
        }
    }
}

fn add(plan: &Plan, interface: u32) -> Message {
    let mut message = about(plan, interface);
    message.attributes.push(AddressAttribute::Address(plan.ip));
    match plan.ip {
        IpAddr::V4(ip) => {
            // As ip(8): what begins with 127 is for this host only.
            if ip.is_loopback() {
                message.header.scope = AddressScope::Host;
            }
            let broadcast = plan.broadcast.map(AddressAttribute::Broadcast);
            message.attributes.extend(broadcast);
            let label = plan.label.clone().map(AddressAttribute::Label);
            message.attributes.extend(label);
        }
        IpAddr::V6(_) => {
            // Who had it may be dead a moment, and still answer: nothing is waited for (RFC 4862, section 5.4).
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    Message::new(flags, RouteNetlinkMessage::NewAddress(message))
}

/// Without `IFA_ADDRESS` an IPv4 address is deleted whatever its number of bits.
fn delete(plan: &Plan, interface: u32) -> Message {
    Message::new(NLM_F_ACK, RouteNetlinkMessage::DelAddress(about(plan, interface)))
}

fn about(plan: &Plan, interface: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(plan.ip);
    message.header.prefix_len = plan.bits;
    message.header.index = interface;
    message.attributes.push(AddressAttribute::Local(plan.ip));
    message
}

fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// Whether this host forwards what comes by an interface, of IPv6.
fn is_router(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn plan(ip: &str, bits: u8, broadcast: Option<Ipv4Addr>, label: Option<&str>) -> Plan {
        Plan {
            ip: ip.parse().expect("an address"),
            bits,
            interface: "lo".to_owned(),
            label: label.map(str::to_owned),
            broadcast,
        }
    }

    fn prepared(plan: &Plan) -> Prepared {
        let interface = Interface {
            index: 0x0102_0304,
            is_up: true,
            has_carrier: true,
            mac: Some([2, 0, 0, 0, 0, 5]),
        };
        Prepared::new(plan, &interface)
    }

    /// A message of netlink(7) and rtnetlink(7): its length, type, flags, a sequence and a port of zero, what follows, and
    /// attributes, each padded to four bytes. All of it in the machine's order of bytes.
    fn message(kind: u16, flags: u16, fixed: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = fixed.to_vec();
        for (kind, value) in attributes {
            let length = u16::try_from(4 + value.len()).expect("short");
            body.extend(length.to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let length = u32::try_from(16 + body.len()).expect("short");
        let mut all = length.to_ne_bytes().to_vec();
        all.extend(kind.to_ne_bytes());
        all.extend(flags.to_ne_bytes());
        all.extend([0; 8]);
        all.extend(body);
        all
    }

    /// family, prefix length, flags, scope, and index of `struct ifaddrmsg`.
    fn ifaddrmsg(first: [u8; 4]) -> Vec<u8> {
        let index: u32 = 0x0102_0304;
        [first.as_slice(), index.to_ne_bytes().as_slice()].concat()
    }

    /// The numbers of `linux/netlink.h`, `linux/rtnetlink.h` and `linux/if_addr.h`.
    const RTM_NEWADDR: u16 = 20;
    const RTM_DELADDR: u16 = 21;
    const RTM_GETADDR: u16 = 22;
    const RTM_GETROUTE: u16 = 26;
    const CREATE: u16 = 0x0001 | 0x0004 | 0x0400 | 0x0200;
    const ACK: u16 = 0x0001 | 0x0004;
    const DUMP: u16 = 0x0001 | 0x0300;
    const INET: u8 = 2;
    const INET6: u8 = 10;

    #[test]
    fn an_ipv4_address_with_all_there_is() {
        let broadcast = Some(Ipv4Addr::new(192, 0, 2, 127));
        let it = prepared(&plan("192.0.2.10", 24, broadcast, Some("eth0:1234567890")));
        let ip = [192, 0, 2, 10];
        let attributes: [(u16, &[u8]); 4] = [(2, &ip), (1, &ip), (4, &[192, 0, 2, 127]), (3, b"eth0:1234567890\0")];
        let header = ifaddrmsg([INET, 24, 0, 0]);
        assert_eq!(it.add.bytes(), message(RTM_NEWADDR, CREATE, &header, &attributes));
        assert_eq!(it.add.bytes().len(), 68);
        assert_eq!(it.delete.bytes(), message(RTM_DELADDR, ACK, &header, &attributes[..1]));
        assert_eq!(
            it.look.bytes(),
            message(RTM_GETADDR, DUMP, &ifaddrmsg([INET, 0, 0, 0]), &[])
        );
    }

    #[test]
    fn an_ipv4_address_without_anything() {
        let ip = [192, 0, 2, 10];
        let it = prepared(&plan("192.0.2.10", 32, None, None));
        let header = ifaddrmsg([INET, 32, 0, 0]);
        assert_eq!(
            it.add.bytes(),
            message(RTM_NEWADDR, CREATE, &header, &[(2, &ip), (1, &ip)])
        );
    }

    #[test]
    fn one_of_this_host_only() {
        let ip = [127, 0, 0, 2];
        let it = prepared(&plan("127.0.0.2", 8, None, None));
        let host = 254;
        let header = ifaddrmsg([INET, 8, 0, host]);
        assert_eq!(
            it.add.bytes(),
            message(RTM_NEWADDR, CREATE, &header, &[(2, &ip), (1, &ip)])
        );
    }

    #[test]
    fn an_ipv6_address_that_nothing_is_waited_for() {
        let it = prepared(&plan("2001:db8::10", 64, None, None));
        let ip = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
        let nodad: u32 = 2;
        let attributes: [(u16, &[u8]); 3] = [(2, &ip), (1, &ip), (8, &nodad.to_ne_bytes())];
        let header = ifaddrmsg([INET6, 64, 2, 0]);
        assert_eq!(it.add.bytes(), message(RTM_NEWADDR, CREATE, &header, &attributes));
        let header = ifaddrmsg([INET6, 64, 0, 0]);
        assert_eq!(it.delete.bytes(), message(RTM_DELADDR, ACK, &header, &attributes[..1]));
        let header = ifaddrmsg([INET6, 48, 0, 0]);
        assert_eq!(
            it.delete.with_bits(48).bytes(),
            message(RTM_DELADDR, ACK, &header, &attributes[..1])
        );
    }

    #[test]
    fn a_question_for_routes_has_its_number() {
        let sequence: u32 = 7;
        let mut expected = message(RTM_GETROUTE, DUMP, &[INET6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]);
        expected[8..12].copy_from_slice(&sequence.to_ne_bytes());
        assert_eq!(
            Message::routes("::1".parse().expect("an address"))
                .numbered(sequence)
                .bytes(),
            expected
        );
    }

    #[test]
    fn only_who_has_neighbours_tells_them() {
        let plan = plan("192.0.2.10", 24, None, None);
        assert!(
            prepared(&plan)
                .announcement
                .is_some_and(|it| it.interface == 0x0102_0304)
        );
        let tunnel = Interface {
            index: 1,
            is_up: true,
            has_carrier: true,
            mac: None,
        };
        assert!(Prepared::new(&plan, &tunnel).announcement.is_none());
    }
}
