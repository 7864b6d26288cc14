//! The clouds that can be played, and what each calls the instances of the account.

use std::{
    net::{IpAddr, Ipv6Addr},
    panic, thread,
};

use anyhow::{Context, Result};

use super::instance::Instance;
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

    /// Plays something with each, side by side: most of it is waiting.
    pub fn each(play: fn(Self) -> Result<()>) -> Result<()> {
        thread::scope(|scope| {
            let playing = Self::ALL.map(|provider| (provider, scope.spawn(move || play(provider))));
            playing.into_iter().try_for_each(|(provider, playing)| {
                let played = playing.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
                played.with_context(|| format!("with {}", provider.name()))
            })
        })
    }

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

    /// What it calls an instance.
    #[must_use]
    pub fn instance(self, instance: impl Into<Instance>) -> String {
        let id = match (self, instance.into()) {
            (Self::DigitalOcean, Instance::Of(server)) => return server.droplet_id().to_string(),
            (Self::DigitalOcean, Instance::Stranger) => "8219224",
            (Self::Hetzner, Instance::Of(Server::Primary)) => "4711",
            (Self::Hetzner, Instance::Of(Server::Secondary)) => "4712",
            (Self::Hetzner, Instance::Stranger) => "4713",
            (Self::Vultr, Instance::Of(Server::Primary)) => "4f0f12e5-1f84-404f-aa84-85f431ea5ec2",
            (Self::Vultr, Instance::Of(Server::Secondary)) => "2b9bf5fb-1644-4e0a-b706-1116ab64d783",
            (Self::Vultr, Instance::Stranger) => "79a5dc8e-0c2b-4a57-9a6f-4b6f2d3d7c11",
            (Self::Aws, Instance::Of(Server::Primary)) => "i-0598c7d356eba48d7",
            (Self::Aws, Instance::Of(Server::Secondary)) => "i-0b263919b6498b123",
            (Self::Aws, Instance::Stranger) => "i-07f1c09a8d2be6c45",
        };
        id.to_owned()
    }

    /// The number that it calls an instance by, where its ids are numbers.
    pub(super) fn number(self, instance: Instance) -> u64 {
        self.instance(instance).parse().unwrap_or_default()
    }

    /// The instance that it calls so.
    pub(super) fn known(self, id: &str) -> Option<Instance> {
        Instance::ALL
            .into_iter()
            .find(|instance| self.instance(*instance) == id)
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
