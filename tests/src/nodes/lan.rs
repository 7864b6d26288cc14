//! The network of a cluster of any size: nodes and a gateway on one switch, which loses what it is told to lose.
//!
//! ```text
//!   n1 198.51.100.11 --\
//!   n2 198.51.100.12 ---+-- switch -- gateway 198.51.100.1
//!   ...              --/
//! ```
//!
//! In IPv6 they are `2001:db8::11` and so on, and the gateway is `2001:db8::1`.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context, Result, ensure};

use crate::{
    clock::poll,
    host::Host,
    network::{INTERFACE, LINK_UP, configure, ip, lay, quieten, wait_until_forwarding},
};

/// The gateway's address, which answers pings.
pub const GATEWAY_IP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// The gateway's other address, which answers pings, too.
pub const GATEWAY_IP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// How many nodes a network may have: as many as a configuration. The tests use few; those that need more are the
/// simulator's.
pub const MAX_NODES: usize = 16;

/// A node's second interface.
const SECOND: &str = "eth1";

/// The switch's list of who reaches whom not, and the rule that goes by it. The bridge forwards what has no entry.
const FILTER: &str = "\
table bridge cuts {
    set cuts { type ifname . ifname; }
    chain forward {
        type filter hook forward priority 0; policy accept;
        iifname . oifname @cuts drop
    }
}
";

/// The name of a node, which counts from 0: `n1` and so on.
#[must_use]
pub fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// The address of a node, which counts from 0.
#[must_use]
pub fn address(node: usize) -> Ipv4Addr {
    let [a, b, c, _] = GATEWAY_IP.octets();
    // There are at most MAX_NODES.
    Ipv4Addr::new(a, b, c, u8::try_from(node + 11).unwrap_or(u8::MAX))
}

/// The IPv6 address of a station.
fn address6(station: Station) -> Ipv6Addr {
    let mut segments = GATEWAY_IP6.segments();
    segments[7] = match station {
        Station::Node(node) => u16::try_from(node).map_or(u16::MAX, |node| 0x11 + node),
        Station::Gateway => 1,
    };
    Ipv6Addr::from(segments)
}

/// Who is on the switch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Station {
    /// A node, counted from 0.
    Node(usize),
    /// The gateway.
    Gateway,
}

impl Station {
    /// The port of the switch behind which it is.
    #[must_use]
    pub fn port(self) -> String {
        match self {
            Self::Node(node) => format!("to-{}", name(node)),
            Self::Gateway => "to-gateway".to_owned(),
        }
    }
}

/// The hosts and what connects them.
#[derive(Debug)]
pub struct Lan {
    /// The nodes.
    pub nodes: Vec<Host>,
    /// Is there, and answers pings.
    pub gateway: Host,
    switch: Host,
}

impl Lan {
    /// Makes the hosts and connects them.
    pub fn create(nodes: usize) -> Result<Self> {
        ensure!(
            (1..=MAX_NODES).contains(&nodes),
            "{nodes} nodes: expected 1 to {MAX_NODES}"
        );
        let lan = Self {
            nodes: (0..nodes)
                .map(|node| Host::create(&name(node)))
                .collect::<Result<_>>()?,
            gateway: Host::create("gateway")?,
            switch: Host::create("switch")?,
        };
        lan.connect()?;
        Ok(lan)
    }

    /// All nodes of the network, and the gateway.
    pub fn stations(&self) -> impl Iterator<Item = Station> {
        (0..self.nodes.len()).map(Station::Node).chain([Station::Gateway])
    }

    /// From now on nothing of `left` reaches `right`, nor the other way round. Everybody's carrier stays.
    pub fn cut(&self, left: &[Station], right: &[Station]) -> Result<()> {
        self.cut_one_way(left, right)?;
        self.cut_one_way(right, left)
    }

    /// From now on nothing of `from` reaches `to`. What `to` sends still arrives.
    pub fn cut_one_way(&self, from: &[Station], to: &[Station]) -> Result<()> {
        let mut pairs = Vec::new();
        for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
            ensure!(from != to, "{from:?} cannot be cut off from itself");
            pairs.push(format!("{} . {}", from.port(), to.port()));
        }
        ensure!(!pairs.is_empty(), "nobody to be cut off");
        self.nft(&format!("add element bridge cuts cuts {{ {} }}", pairs.join(", ")))
    }

    /// Undoes every cut.
    pub fn heal(&self) -> Result<()> {
        self.nft("flush set bridge cuts cuts")
    }

    /// Lays a cable between two nodes, past the switch: eth1 of each, 203.0.113.11 and so on.
    pub fn cable(&self, one: usize, other: usize) -> Result<()> {
        let (left, right) = (self.nodes[one].pid(), self.nodes[other].pid());
        lay(&format!(
            "link add {SECOND} index 201 netns {left} type veth peer name {SECOND} index 202 netns {right}\n"
        ))?;
        for node in [one, other] {
            let [.., last] = address(node).octets();
            ip(
                &self.nodes[node],
                &format!("address add 203.0.113.{last}/24 dev {SECOND}\nlink set {SECOND} up"),
            )?;
        }
        Ok(())
    }

    /// A station's host.
    #[must_use]
    pub fn host(&self, station: Station) -> &Host {
        match station {
            Station::Node(node) => &self.nodes[node],
            Station::Gateway => &self.gateway,
        }
    }

    /// The switch, whose ports are [`Station::port`].
    #[must_use]
    pub fn switch(&self) -> &Host {
        &self.switch
    }

    /// Waits until the switch forwards what comes from a station, and to it, and the station knows that it may send.
    pub fn wait_until_connected(&self, station: Station) -> Result<()> {
        wait_until_forwarding(&self.switch, &station.port())?;
        let state = format!("/sys/class/net/{INTERFACE}/operstate");
        let host = self.host(station);
        let up = host.enter(|| {
            poll(LINK_UP, || {
                Ok((std::fs::read_to_string(&state)? == "up\n").then_some(()))
            })
        })??;
        up.with_context(|| format!("{}: {INTERFACE} is not up after {LINK_UP:?}", host.name()))
    }

    fn connect(&self) -> Result<()> {
        let (mut cables, mut ports) = (String::new(), String::new());
        for (index, station) in self.stations().enumerate() {
            let (host, port, number) = (self.host(station), station.port(), last_octet(station));
            let (switch, end) = (self.switch.pid(), host.pid());
            quieten(host)?;
            // As for the tutorial's network: an index that is not its peer's, so that the carrier is reported at once.
            writeln!(
                cables,
                "link add {port} index 1{index:02} netns {switch} type veth peer name {INTERFACE} address \
                 02:00:00:00:00:{number:02x} netns {end}"
            )?;
            writeln!(ports, "link set {port} master br0 up")?;
        }
        quieten(&self.switch)?;
        lay(&cables)?;
        for (node, host) in self.nodes.iter().enumerate() {
            configure(host, address(node), Some(GATEWAY_IP))?;
        }
        configure(&self.gateway, GATEWAY_IP, None)?;
        for station in self.stations() {
            let address = address6(station);
            ip(self.host(station), &format!("address add {address}/64 dev {INTERFACE}"))?;
        }
        ip(
            &self.switch,
            &format!(
                "link add br0 address 02:00:00:00:00:ff type bridge stp_state 0 forward_delay 0 mcast_snooping 0
                 link set br0 up
                 {ports}"
            ),
        )?;
        self.nft(FILTER)?;
        self.stations()
            .try_for_each(|station| wait_until_forwarding(&self.switch, &station.port()))
    }

    fn nft(&self, commands: &str) -> Result<()> {
        self.switch
            .run_with_input("nft", &["-f", "-"], commands.as_bytes())
            .map(|_| ())
    }
}

fn last_octet(station: Station) -> u8 {
    let [.., last] = match station {
        Station::Node(node) => address(node).octets(),
        Station::Gateway => GATEWAY_IP.octets(),
    };
    last
}
