//! The network of the tutorial: two servers and an attacker on the cloud's switch, and a client behind its router.
//!
//! ```text
//!   primary 198.51.100.5 ----\
//!   secondary 198.51.100.6 ---+-- switch br0 -- cloud 198.51.100.1 -- router -- 192.0.2.1 -- client 192.0.2.2
//!   attacker 198.51.100.66 --/                        169.254.169.254
//! ```
//!
//! The floating IP is on the loopback of both servers, as a cloud's anchor address is on both of them: whichever the
//! router sends its packets to answers.

use std::{
    fmt::Write as _,
    io::{Seek, Write as _},
    net::Ipv4Addr,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{clock::poll, host::Host};

/// The address that the cluster keeps alive.
pub const FLOATING_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The router's and the API's address on the servers' network.
pub const CLOUD_IP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The metadata service's address.
pub const METADATA_IP: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The attacker's address.
pub const ATTACKER_IP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

/// The Ethernet address of the attacker's eth0.
pub const ATTACKER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x42];

/// The interface of every host, except the cloud, which has one per host.
pub const INTERFACE: &str = "eth0";

/// Longest that a link may take to come up.
pub(crate) const LINK_UP: Duration = Duration::from_secs(5);

/// One of the two servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Server {
    /// The one that haresources prefers.
    Primary,
    /// The other.
    Secondary,
}

impl Server {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Secondary];

    /// Its `uname -n`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }

    /// Its address on eth0.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::Primary => Ipv4Addr::new(198, 51, 100, 5),
            Self::Secondary => Ipv4Addr::new(198, 51, 100, 6),
        }
    }

    /// The Ethernet address of its eth0.
    #[must_use]
    pub fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.address().octets()[3]]
    }

    /// What the cloud calls it.
    #[must_use]
    pub fn droplet_id(self) -> u64 {
        match self {
            Self::Primary => 8_219_222,
            Self::Secondary => 8_219_223,
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// The port of the cloud's switch behind which it is.
    #[must_use]
    pub fn port(self) -> &'static str {
        match self {
            Self::Primary => "to-primary",
            Self::Secondary => "to-secondary",
        }
    }
}

/// How a server is cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// The cable is pulled: the server sees that its carrier is gone.
    Unplugged,
    /// The switch forwards nothing from it or to it; the carrier stays.
    Silent,
    /// Nothing reaches it; what it sends arrives.
    Deaf,
    /// Nothing that it sends arrives; what others send reaches it.
    Mute,
}

/// The hosts and what connects them.
#[derive(Debug)]
pub struct Network {
    /// Switch, router, metadata service and API.
    pub cloud: Host,
    /// 198.51.100.5.
    pub primary: Host,
    /// 198.51.100.6.
    pub secondary: Host,
    /// Looks at the floating IP from outside.
    pub client: Host,
    /// A third machine on the servers' network.
    pub attacker: Host,
}

impl Network {
    /// Makes the hosts and connects them. The floating IP leads nowhere yet.
    pub fn create() -> Result<Self> {
        let network = Self {
            cloud: Host::create("cloud")?,
            primary: Host::create("primary")?,
            secondary: Host::create("secondary")?,
            client: Host::create("client")?,
            attacker: Host::create("attacker")?,
        };
        network.set_sysctls()?;
        network.connect()?;
        Ok(network)
    }

    /// A server's host.
    #[must_use]
    pub fn server(&self, server: Server) -> &Host {
        match server {
            Server::Primary => &self.primary,
            Server::Secondary => &self.secondary,
        }
    }

    /// Cuts a server off.
    pub fn cut(&self, server: Server, how: Cut) -> Result<()> {
        let port = server.port();
        match how {
            Cut::Unplugged => self.cloud.run_ok("ip", &["link", "set", port, "down"]),
            Cut::Silent => self
                .cloud
                .run_ok("bridge", &["link", "set", "dev", port, "state", "disabled"]),
            Cut::Deaf => self.cloud.run_ok("tc", &drop_all(port)),
            Cut::Mute => self.server(server).run_ok("tc", &drop_all(INTERFACE)),
        }?;
        Ok(())
    }

    /// Undoes [`cut`](Self::cut), and waits until the link is there.
    pub fn heal(&self, server: Server, how: Cut) -> Result<()> {
        let port = server.port();
        match how {
            Cut::Unplugged => self.cloud.run_ok("ip", &["link", "set", port, "up"]),
            Cut::Silent => self
                .cloud
                .run_ok("bridge", &["link", "set", "dev", port, "state", "forwarding"]),
            Cut::Deaf => self.cloud.run_ok("tc", &["qdisc", "del", "dev", port, "root"]),
            Cut::Mute => self
                .server(server)
                .run_ok("tc", &["qdisc", "del", "dev", INTERFACE, "root"]),
        }?;
        wait_until_forwarding(&self.cloud, port)
    }

    /// Lets the two servers not reach each other any more, while each reaches all others; or lets them again.
    pub fn part(&self, parted: bool) -> Result<()> {
        let isolated = if parted { "on" } else { "off" };
        for server in Server::ALL {
            let set = ["link", "set", "dev", server.port(), "isolated", isolated];
            self.cloud.run_ok("bridge", &set)?;
        }
        Ok(())
    }

    fn set_sysctls(&self) -> Result<()> {
        for host in [
            &self.cloud,
            &self.primary,
            &self.secondary,
            &self.client,
            &self.attacker,
        ] {
            quieten(host)?;
            // The floating IP answers from where the cloud has not (yet) routed it to.
            host.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
            host.sysctl("net.ipv4.conf.default.rp_filter", "0")?;
        }
        self.cloud.sysctl("net.ipv4.ip_forward", "1")?;
        // A router that tells hosts of shorter ways would lead them past the floating IP's route.
        self.cloud.sysctl("net.ipv4.conf.all.send_redirects", "0")?;
        self.cloud.sysctl("net.ipv4.conf.default.send_redirects", "0")
    }

    fn connect(&self) -> Result<()> {
        let ends = [
            (&self.primary, "to-primary", 5),
            (&self.secondary, "to-secondary", 6),
            (&self.attacker, "to-attacker", 66),
            (&self.client, "to-client", 2),
        ];
        let mut cables = String::new();
        // The kernel reports a new carrier at once where an interface's index is not its peer's, and may else take a
        // second (linkwatch_urgent_event in net/core/link_watch.c).
        for (host, port, number) in ends {
            let (cloud, end) = (self.cloud.pid(), host.pid());
            let peer = format!("peer name {INTERFACE} address 02:00:00:00:00:{number:02x} netns {end}");
            writeln!(
                cables,
                "link add {port} index 1{number:02} netns {cloud} type veth {peer}"
            )?;
        }
        lay(&cables)?;

        for server in Server::ALL {
            configure(self.server(server), server.address(), Some(CLOUD_IP))?;
            ip(self.server(server), &format!("address add {FLOATING_IP}/32 dev lo"))?;
        }
        configure(&self.attacker, ATTACKER_IP, Some(CLOUD_IP))?;
        configure(
            &self.client,
            Ipv4Addr::new(192, 0, 2, 2),
            Some(Ipv4Addr::new(192, 0, 2, 1)),
        )?;
        ip(
            &self.cloud,
            &format!(
                "link set lo up
                 link add br0 address 02:00:00:00:00:01 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
                 address add {CLOUD_IP}/24 dev br0
                 address add {METADATA_IP}/32 dev br0
                 link set br0 up
                 link set to-primary master br0 up
                 link set to-secondary master br0 up
                 link set to-attacker master br0 up
                 address add 192.0.2.1/24 dev to-client
                 link set to-client up
                 route add unreachable {FLOATING_IP}/32"
            ),
        )?;
        ["to-primary", "to-secondary", "to-attacker"]
            .iter()
            .try_for_each(|port| wait_until_forwarding(&self.cloud, port))
    }
}

/// Spares a host the seconds of waiting, and the search for routers, that IPv6 has for addresses that nobody uses.
pub(crate) fn quieten(host: &Host) -> Result<()> {
    host.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
    host.sysctl("net.ipv6.conf.default.router_solicitations", "0")
}

/// Waits until a port of a switch forwards.
pub(crate) fn wait_until_forwarding(switch: &Host, port: &str) -> Result<()> {
    let state = format!("/sys/class/net/{port}/brport/state");
    // BR_STATE_FORWARDING of linux/if_bridge.h.
    let forwards = switch.enter(|| {
        poll(
            LINK_UP,
            || Ok((std::fs::read_to_string(&state)? == "3\n").then_some(())),
        )
    });
    forwards??.with_context(|| format!("the switch's port {port} does not forward after {LINK_UP:?}"))
}

/// Runs ip outside the hosts.
pub(crate) fn lay(cables: &str) -> Result<()> {
    let mut commands = tempfile::tempfile()?;
    commands.write_all(cables.as_bytes())?;
    commands.rewind()?;
    let made = Command::new("ip").args(["-batch", "-"]).stdin(commands).output();
    let made = made.context("cannot run ip (iproute2)")?;
    ensure!(
        made.status.success(),
        "cannot connect the hosts: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(())
}

/// Gives a host its address and its way out.
pub(crate) fn configure(host: &Host, address: Ipv4Addr, gateway: Option<Ipv4Addr>) -> Result<()> {
    let route = gateway.map_or_else(String::new, |gateway| format!("route add default via {gateway}"));
    ip(
        host,
        &format!(
            "link set lo up
             address add {address}/24 dev {INTERFACE}
             link set {INTERFACE} up
             {route}"
        ),
    )
}

/// Runs ip on a host.
pub(crate) fn ip(host: &Host, commands: &str) -> Result<()> {
    host.run_with_input("ip", &["-batch", "-"], commands.as_bytes())
        .map(|_| ())
}

/// The arguments that make tc drop all that would leave through an interface: a queue with room for nothing.
fn drop_all(interface: &str) -> [&str; 8] {
    ["qdisc", "replace", "dev", interface, "root", "pfifo", "limit", "0"]
}
