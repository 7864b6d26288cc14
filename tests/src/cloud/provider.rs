//! The clouds that can be played, and what each calls the two servers.

use std::net::{IpAddr, Ipv6Addr};

use crate::network::{FLOATING_IP, Server};

/// The floating IP of the other family, for providers that have such. It is never routed.
pub const FLOATING_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf7, 0x1017, 0, 0, 0, 0x10);

/// A cloud.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Provider {
    /// Droplets and reserved IPs.
    DigitalOcean,
    /// Hetzner Cloud: servers and floating IPs.
    Hetzner,
    /// Instances and reserved IPs.
    Vultr,
    /// EC2: instances and Elastic IPs.
    Aws,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DigitalOcean, Self::Hetzner, Self::Vultr, Self::Aws];

    /// As in haresources.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DigitalOcean => "digitalocean",
            Self::Hetzner => "hetzner",
            Self::Vultr => "vultr",
            Self::Aws => "aws",
        }
    }

    /// The token that is good at first; the secret key for EC2.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::DigitalOcean => super::TOKEN,
            Self::Hetzner => "LRK9DAWQ1ZAEFSrCNEEzLCUwhYX1U3g7wMg4dTlkkDC96fyDuyJ39nVbVjCKSDfj",
            Self::Vultr => "4NW5ZJQ7SKJ4GGLJTZ3DW2P7XQ5ZJRMB6TRA",
            Self::Aws => "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        }
    }

    /// What it calls a server.
    #[must_use]
    pub fn instance(self, server: Server) -> String {
        let (primary, secondary) = match self {
            Self::DigitalOcean => return server.droplet_id().to_string(),
            Self::Hetzner => ("4711", "4712"),
            Self::Vultr => (
                "4f0f12e5-1f84-404f-aa84-85f431ea5ec2",
                "2b9bf5fb-1644-4e0a-b706-1116ab64d783",
            ),
            Self::Aws => ("i-0598c7d356eba48d7", "i-0b263919b6498b123"),
        };
        match server {
            Server::Primary => primary.to_owned(),
            Server::Secondary => secondary.to_owned(),
        }
    }

    /// The server that it calls so.
    #[must_use]
    pub fn server(self, instance: &str) -> Option<Server> {
        Server::ALL
            .into_iter()
            .find(|server| self.instance(*server) == instance)
    }

    /// What it calls a floating IP, where that is not the address itself.
    pub(super) fn address_id(self, ip: IpAddr) -> &'static str {
        match (self, ip) {
            (Self::DigitalOcean, _) => "",
            (Self::Hetzner, IpAddr::V4(_)) => "1337",
            (Self::Hetzner, IpAddr::V6(_)) => "1338",
            (Self::Vultr, IpAddr::V4(_)) => "cb676a46-66fd-4dfb-b839-443f2e6c0b60",
            (Self::Vultr, IpAddr::V6(_)) => "6a31648d-ebfa-4d43-9a00-9c9f0e5048f5",
            (Self::Aws, _) => "eipalloc-64d5890a",
        }
    }

    /// The floating IP that it calls so.
    pub(super) fn address(self, id: &str) -> Option<IpAddr> {
        let ours = [IpAddr::V4(FLOATING_IP), IpAddr::V6(FLOATING_IPV6)];
        ours.into_iter().find(|ip| self.address_id(*ip) == id)
    }
}
