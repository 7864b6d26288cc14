//! IPv6 networks, which some providers move as a whole: whether an address is in one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address, or the network around it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// `203.0.113.10`, `2001:db8::/64`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').unzip();
        let whole = if text.contains(':') { 128 } else { 32 };
        let bits = bits.map_or(Ok(whole), str::parse).ok()?;
        Self::new(address.unwrap_or(text), bits)
    }

    /// The network of an address and so many bits.
    pub(super) fn new(address: &str, bits: u32) -> Option<Self> {
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (1..=most).contains(&bits).then_some(Self { address, bits })
    }

    pub(super) fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let shift = Ipv4Addr::BITS - self.bits;
                network.to_bits() >> shift == ip.to_bits() >> shift
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let shift = Ipv6Addr::BITS - self.bits;
                network.to_bits() >> shift == ip.to_bits() >> shift
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_network() {
        for (network, ip, is_in) in [
            ("203.0.113.10", "203.0.113.10", true),
            ("203.0.113.10", "203.0.113.11", false),
            ("2001:db8::/64", "2001:db8::1", true),
            ("2001:db8::/64", "2001:db8:0:1::1", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("203.0.113.10", "2001:db8::1", false),
        ] {
            let parsed = Network::parse(network).expect(network);
            assert_eq!(parsed.contains(ip.parse().expect(ip)), is_in, "{network} {ip}");
        }
        for bad in [
            "",
            "x",
            "203.0.113.10/33",
            "2001:db8::/0",
            "2001:db8::/129",
            "203.0.113.10/",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
