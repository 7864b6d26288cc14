//! Where this host would put the addresses in haresources, now, and through whom it would move the floating IPs.

use std::net::IpAddr;

use crate::config::{Cluster, SecretSource, Warning, outer_name};
use crate::resources::address::{self, PlaceError, Plan};

/// An address in haresources, and what becomes of it here.
pub(super) struct Place {
    pub(super) resource: String,
    /// The line of haresources where its group begins.
    pub(super) line: u32,
    pub(super) by: By,
}

/// What moves an address.
pub(super) enum By {
    /// hb itself, to there.
    Us(Result<Plan, PlaceError>),
    /// hb itself, through its provider's API, and what it must know for that.
    Provider {
        identity: String,
        secret: String,
        api: String,
    },
    /// A script of that name in resource.d.
    Script(String),
}

/// Looks at this host for all addresses of a configuration.
pub(super) fn all(cluster: &Cluster) -> Vec<Place> {
    let resources = cluster
        .groups
        .iter()
        .flat_map(|group| group.resources.iter().map(|resource| (group.line, resource)));
    let places = resources.filter_map(|(line, resource)| {
        let by = match &resource.address {
            Some(address) => By::Us(address::place(address)),
            None if let Some(settings) = resource.cloud.as_ref().and_then(|cloud| cluster.cloud(cloud.kind)) => {
                By::Provider {
                    identity: settings.identity.to_string(),
                    secret: secret(&settings.secret),
                    api: settings.api_url.clone(),
                }
            }
            None if resource.is_called_as_address() => By::Script(
                cluster
                    .dir
                    .join("resource.d")
                    .join(&resource.name)
                    .display()
                    .to_string(),
            ),
            None => return None,
        };
        Some(Place {
            resource: resource.to_string(),
            line,
            by,
        })
    });
    places.collect()
}

impl Place {
    /// A row of the table of addresses.
    pub(super) fn row(&self) -> [String; 5] {
        let origin = format!("haresources:{}", self.line);
        let [place, label, broadcast] = match &self.by {
            By::Us(Ok(plan)) => [
                format!("{}/{} on {}", plan.ip, plan.bits, plan.interface),
                plan.label
                    .as_ref()
                    .map(|label| format!("label {label}"))
                    .unwrap_or_default(),
                plan.broadcast.map(|ip| format!("broadcast {ip}")).unwrap_or_default(),
            ],
            By::Us(Err(_)) => ["nowhere, as it is now".to_owned(), String::new(), String::new()],
            By::Provider { identity, secret, api } => [
                format!("moved through {api}"),
                format!("token from {secret}"),
                format!("this host by {identity}"),
            ],
            By::Script(path) => [format!("moved by {path}"), String::new(), String::new()],
        };
        [self.resource.clone(), place, label, broadcast, origin]
    }

    pub(super) fn warning(&self) -> Option<Warning> {
        let odd = match &self.by {
            By::Us(Err(error)) => crate::causes::causes(error),
            By::Us(Ok(plan)) => nobodys(plan)?,
            By::Provider { .. } | By::Script(_) => return None,
        };
        Some(Warning {
            origin: format!("haresources:{}", self.line),
            message: format!("{}: {odd}", self.resource),
        })
    }
}

/// Where the token is, and whether it is known to be good.
fn secret(source: &SecretSource) -> String {
    let is_seen = match source {
        SecretSource::Credential(_) => std::env::var_os("CREDENTIALS_DIRECTORY").is_some(),
        SecretSource::File(_) | SecretSource::Given | SecretSource::InstanceRole => true,
    };
    let note = if is_seen {
        ""
    } else {
        " (not checked here: only the service can read it)"
    };
    format!("{source}{note}")
}

/// Where haresources does not say how large the network is, only the host knows.
fn nobodys(plan: &Plan) -> Option<String> {
    let IpAddr::V4(ip) = plan.ip else { return None };
    let name = outer_name(ip, plan.bits)?;
    Some(format!(
        "{ip} is the {name} address of the network of {} bits on {}: expected one that a host can have",
        plan.bits, plan.interface
    ))
}
