//! The floating IPs in haresources that hb moves through a provider's API, and the settings of the providers:
//!
//! ```text
//! digitalocean::ADDRESS   hetzner::ADDRESS   vultr::ADDRESS   aws::ADDRESS   aws::eipalloc-ID
//! ```

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Cluster;

mod oddities;
#[cfg(test)]
mod tests;

/// In seconds.
const HOUR: u64 = 3600;

/// A provider of floating IPs, which is also the name of its table in hb.toml, and of its resources in haresources.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CloudKind {
    /// `DigitalOcean`'s reserved IPs.
    DigitalOcean,
    /// Hetzner Cloud's floating IPs.
    Hetzner,
    /// Vultr's reserved IPs.
    Vultr,
    /// The Elastic IPs of AWS.
    Aws,
}

impl CloudKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DigitalOcean, Self::Hetzner, Self::Vultr, Self::Aws];

    /// The provider of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in haresources and hb.toml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DigitalOcean => "digitalocean",
            Self::Hetzner => "hetzner",
            Self::Vultr => "vultr",
            Self::Aws => "aws",
        }
    }

    /// Reads what stands after `NAME::`, or says what was expected.
    pub fn parse(self, text: &str) -> Result<CloudAddress, String> {
        let expected = || format!("expected {}", self.expected());
        let target = match text.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) if self == Self::Aws => return Err("an Elastic IP is an IPv4 address".to_owned()),
            Ok(ip) if is_floating(ip) => CloudTarget::Ip(ip),
            Ok(ip) => return Err(format!("{ip} is no public address: {}", expected())),
            Err(_) if self == Self::Aws && is_allocation(text) => CloudTarget::Allocation(text.to_owned()),
            Err(_) => return Err(expected()),
        };
        Ok(CloudAddress { kind: self, target })
    }

    /// Where the API is, unless hb.toml says otherwise.
    #[must_use]
    pub fn api(self, region: Option<&str>) -> String {
        match (self, region) {
            (Self::DigitalOcean, _) => "https://api.digitalocean.com".to_owned(),
            (Self::Hetzner, _) => "https://api.hetzner.cloud".to_owned(),
            (Self::Vultr, _) => "https://api.vultr.com".to_owned(),
            (Self::Aws, Some(region)) if region.starts_with("cn-") => {
                format!("https://ec2.{region}.amazonaws.com.cn")
            }
            (Self::Aws, Some(region)) => format!("https://ec2.{region}.amazonaws.com"),
            (Self::Aws, None) => "https://ec2.amazonaws.com".to_owned(),
        }
    }

    /// How many requests a token is good for, where the documentation says it by the hour.
    fn requests_an_hour(self) -> Option<u64> {
        match self {
            Self::DigitalOcean => Some(5000),
            Self::Hetzner => Some(3600),
            // 30 a second, and buckets that fill up faster than anybody reads owners.
            Self::Vultr | Self::Aws => None,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::DigitalOcean => "digitalocean::ADDRESS, a reserved IP",
            Self::Hetzner => "hetzner::ADDRESS, a floating IP",
            Self::Vultr => "vultr::ADDRESS, a reserved IP",
            Self::Aws => "aws::ADDRESS or aws::eipalloc-ID, an Elastic IP",
        }
    }
}

impl Display for CloudKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A floating IP of a provider.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CloudAddress {
    /// Whose.
    pub kind: CloudKind,
    /// Which.
    pub target: CloudTarget,
}

impl CloudAddress {
    /// The address itself, if it is named by that.
    fn ip(&self) -> Option<&IpAddr> {
        match &self.target {
            CloudTarget::Ip(ip) => Some(ip),
            CloudTarget::Allocation(_) => None,
        }
    }
}

/// `digitalocean::203.0.113.10`, as haresources has it.
impl Display for CloudAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.kind, self.target)
    }
}

/// How a floating IP is named.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum CloudTarget {
    /// By itself.
    Ip(IpAddr),
    /// By AWS's id of its allocation.
    Allocation(String),
}

impl Display for CloudTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Allocation(id) => f.write_str(id),
        }
    }
}

/// A provider's name for a host: a droplet's number, an instance's id.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct InstanceId(String);

impl InstanceId {
    /// Takes what can be an id: up to 64 letters, digits and hyphens; the longest real ones have 36.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.to_owned()))
    }

    /// As it is written in requests.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the provider counts its hosts.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether this can be an id of something at a provider.
pub(crate) fn is_id(text: &str) -> bool {
    const MAX: usize = 64;
    !text.is_empty() && text.len() <= MAX && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

/// For how long a witness's answer counts, where hb.toml does not say.
const WITNESS_LEASE: Duration = Duration::from_mins(1);

/// A provider's table in hb.toml.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloudSettings {
    /// Whose.
    pub kind: CloudKind,
    /// Where the token is.
    pub secret: SecretSource,
    /// The API's base URL, without a slash at its end.
    pub api_url: String,
    /// The metadata service's, likewise.
    pub metadata_url: String,
    /// The certificates, in PEM, of which one must have signed the API's; without it the system's count.
    pub ca_file: Option<PathBuf>,
    /// How long a connection to the API may take, TLS included.
    pub connect_timeout: Duration,
    /// How long one call may take in all.
    pub timeout: Duration,
    /// How long taking an address over may take in all.
    pub move_timeout: Duration,
    /// Who this host is.
    pub identity: Identity,
    /// AWS's region.
    pub region: Option<String>,
    /// How often the address's owner is read again, and readiness looked after.
    pub verify_interval: Duration,
    /// Whether a side that lost its peer takes over only when the API answers it, and gives up when it does not.
    pub witness: bool,
    /// For how long an answer of it counts, while the peer is silent; `None`: for the whole of the silence.
    pub witness_lease: Option<Duration>,
    /// The line of hb.toml where the table begins.
    pub line: u32,
}

impl CloudSettings {
    /// A provider's settings, where hb.toml says only where the token is.
    #[must_use]
    pub fn new(kind: CloudKind, secret: SecretSource) -> Self {
        Self {
            kind,
            secret,
            api_url: kind.api(None),
            metadata_url: "http://169.254.169.254".to_owned(),
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            move_timeout: Duration::from_mins(2),
            identity: Identity::Metadata,
            region: None,
            verify_interval: Duration::from_secs(30),
            witness: false,
            witness_lease: Some(WITNESS_LEASE),
            line: 0,
        }
    }
}

/// Where a provider's token is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretSource {
    /// In a file, which only its owner may read.
    File(PathBuf),
    /// In a credential that systemd hands over: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// In the hands of who asks, who passes it on by himself.
    Given,
    /// Nowhere: AWS gives an instance temporary keys for the role that it has.
    InstanceRole,
}

impl Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Credential(name) => write!(f, "the systemd credential {name}"),
            Self::Given => f.write_str("given"),
            Self::InstanceRole => f.write_str("the instance's role"),
        }
    }
}

/// Who this host is for its provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Identity {
    /// As the metadata service says.
    Metadata,
    /// This one.
    Fixed(InstanceId),
}

impl Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata => f.write_str("metadata"),
            Self::Fixed(id) => id.fmt(f),
        }
    }
}

/// The base URL of an API, without a slash at its end.
pub(crate) fn api_url(text: &str) -> Result<String, String> {
    url(text, &["https://", "http://"])
}

/// A base URL without what would change the paths that are put behind it; nothing at its end.
pub(super) fn url(text: &str, schemes: &[&str]) -> Result<String, String> {
    let expected = || format!("expected {}HOST[:PORT][/PATH]", schemes.join(" or "));
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    let rest = rest.ok_or_else(expected)?;
    let is_plain = rest
        .bytes()
        .all(|c| c.is_ascii_graphic() && !matches!(c, b'@' | b'?' | b'#' | b'\\'));
    let is_url = is_plain && reqwest::Url::parse(text).is_ok_and(|url| url.has_host());
    if is_url {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(expected())
    }
}

impl Cluster {
    /// A provider's settings, if hb.toml has any.
    #[must_use]
    pub fn cloud(&self, kind: CloudKind) -> Option<&CloudSettings> {
        self.clouds.iter().find(|settings| settings.kind == kind)
    }

    /// Whether a provider that is used is a witness.
    #[must_use]
    pub fn has_witness(&self) -> bool {
        self.cloud_addresses()
            .any(|address| self.cloud(address.kind).is_some_and(|settings| settings.witness))
    }

    /// For how long an answer of the witness counts: the shortest of what its providers' tables say.
    #[must_use]
    pub fn witness_lease(&self) -> Option<Duration> {
        self.cloud_addresses()
            .filter_map(|address| self.cloud(address.kind))
            .filter(|settings| settings.witness)
            .filter_map(|settings| settings.witness_lease)
            .min()
    }

    /// The floating IPs that hb moves itself, in haresources' order.
    pub fn cloud_addresses(&self) -> impl Iterator<Item = &CloudAddress> {
        let resources = self.groups.iter().flat_map(|group| &group.resources);
        resources.filter_map(|resource| resource.cloud.as_ref())
    }

    /// The floating IPs of a provider's.
    fn addresses_of(&self, kind: CloudKind) -> impl Iterator<Item = &CloudAddress> {
        self.cloud_addresses().filter(move |address| address.kind == kind)
    }

    /// How often each node reads each owner again: as hb.toml says, but not more often than the token allows.
    #[must_use]
    pub fn verify_interval(&self, settings: &CloudSettings) -> Duration {
        settings.verify_interval.max(self.least_verify_interval(settings.kind))
    }

    /// How often that may be, so that of the requests which a token is good for, and which all nodes share, half are left to
    /// takeovers.
    #[must_use]
    pub fn least_verify_interval(&self, kind: CloudKind) -> Duration {
        let Some(limit) = kind.requests_an_hour() else {
            return Duration::ZERO;
        };
        let readers = self.addresses_of(kind).count().saturating_mul(self.nodes.len());
        let readers = u64::try_from(readers).unwrap_or(u64::MAX);
        Duration::from_secs(readers.saturating_mul(2 * HOUR).div_ceil(limit))
    }
}

/// Loopback, link-local and the like are nothing that a provider moves.
fn is_floating(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.octets()[0] != 0 && !(ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast())
        }
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast()),
    }
}

fn is_allocation(text: &str) -> bool {
    text.strip_prefix("eipalloc-")
        .is_some_and(|id| (8..=17).contains(&id.len()) && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
}
