//! What is odd about the providers' settings.

use super::{CloudAddress, CloudKind, WITNESS_LEASE};
use crate::config::{Cluster, Warning, time};

impl Cluster {
    /// One warning each.
    pub(in crate::config) fn cloud_oddities(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for settings in &self.clouds {
            let mut warn = |message: String| {
                warnings.push(Warning {
                    origin: format!("hb.toml:{}", settings.line),
                    message,
                });
            };
            if self.addresses_of(settings.kind).next().is_none() {
                warn(format!(
                    "no {0}::ADDRESS of haresources is moved by hb: the table [{0}] is not used",
                    settings.kind
                ));
            }
            if settings.witness_lease != Some(WITNESS_LEASE) && !settings.witness {
                warn(format!(
                    "{}.witness_lease: the provider is no witness, whose answers could end: `witness = true` makes it one",
                    settings.kind
                ));
            }
            if settings.witness && self.nodes.len() > 2 {
                warn(format!(
                    "{}.witness: with three nodes or more a majority decides, and the provider is not asked",
                    settings.kind
                ));
            }
            self.crowded(settings.kind).into_iter().for_each(&mut warn);
            let interval = self.verify_interval(settings);
            if interval > settings.verify_interval {
                warn(format!(
                    "{}.verify_interval {}: every owner is read again every {} only, so that all nodes together use no more than \
                     half of the requests that the provider takes",
                    settings.kind,
                    time::shown(settings.verify_interval),
                    time::shown(interval)
                ));
            }
            if settings.api_url.starts_with("http:") {
                warn(format!(
                    "{}.api_url: the token goes over the network unencrypted: use https, but for tests",
                    settings.kind
                ));
            }
        }
        warnings
    }

    /// What follows where there are more addresses than a host of this provider's can have.
    fn crowded(&self, kind: CloudKind) -> Vec<String> {
        let named = |all: Vec<&CloudAddress>| {
            let all: Vec<_> = all.into_iter().map(ToString::to_string).collect();
            (all.len() > 1).then(|| all.join(", "))
        };
        let of_family = |is_v6: bool| {
            let all = self.addresses_of(kind);
            named(
                all.filter(|it| it.ip().is_some_and(|ip| ip.is_ipv6() == is_v6))
                    .collect(),
            )
        };
        match kind {
            CloudKind::DigitalOcean => {
                let families = [of_family(false), of_family(true)].into_iter().flatten();
                let crowded = families.map(|all| {
                    format!(
                        "a droplet can have one reserved IPv4 address and one IPv6 address: no two of {all} can be on one host, so \
                         a node that has one cannot take over another"
                    )
                });
                crowded.collect()
            }
            // AssociateAddress, without a private address: "the existing address is disassociated".
            CloudKind::Aws => {
                let crowded = named(self.addresses_of(kind).collect()).map(|all| {
                    format!(
                        "an instance can have one Elastic IP in this way: each of {all} that is moved to a host takes away the one that \
                         the host has"
                    )
                });
                crowded.into_iter().collect()
            }
            CloudKind::Hetzner | CloudKind::Vultr => Vec::new(),
        }
    }
}
