//! The facts about this host that a configuration is read against.

use std::io;
use std::net::IpAddr;

/// The facts about a host that a configuration is read against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// Its name, as `uname -n` prints it.
    pub name: String,
    /// The addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
}

impl Host {
    /// The host that this program runs on.
    pub fn this() -> io::Result<Self> {
        let name = nix::unistd::gethostname()?.to_string_lossy().into_owned();
        let addresses = nix::ifaddrs::getifaddrs()?
            .filter_map(|interface| interface.address)
            .filter_map(|address| {
                let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
            })
            .collect();
        Ok(Self { name, addresses })
    }

    /// Whether packets to `address` would stay on this host. Loopback counts, for Debian's installer writes the host's own
    /// name into /etc/hosts as 127.0.1.1, which is on no interface.
    #[must_use]
    pub fn owns(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }
}
