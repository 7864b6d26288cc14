//! What is odd about the providers' settings.

use super::{CloudKind, WITNESS_LEASE};
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
            for all in self.crowded(settings.kind) {
                warn(format!(
                    "a droplet can have one reserved IPv4 address and one IPv6 address: no two of {all} can be on one host, so a \
                     node that has one cannot take over another"
                ));
            }
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

    /// Addresses of which a host of this provider's can have one only, where there are more.
    fn crowded(&self, kind: CloudKind) -> Vec<String> {
        match kind {
            CloudKind::DigitalOcean => {}
            CloudKind::Hetzner | CloudKind::Vultr | CloudKind::Aws => return Vec::new(),
        }
        let of_family = |is_v6: bool| {
            let all = self
                .addresses_of(kind)
                .filter(move |address| address.ip().is_some_and(|ip| ip.is_ipv6() == is_v6));
            all.map(ToString::to_string).collect::<Vec<_>>()
        };
        let families = [false, true].map(of_family);
        let crowded = families.into_iter().filter(|family| family.len() > 1);
        crowded.map(|family| family.join(", ")).collect()
    }
}
