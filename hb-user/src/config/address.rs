//! The addresses in haresources that hb moves itself, in the forms that Heartbeat's scripts of these names take:
//!
//! ```text
//! IPaddr, IPaddr2:  ADDRESS[/BITS[/INTERFACE[:LABEL]][/BROADCAST]]
//! IPv6addr:         ADDRESS[/BITS[/INTERFACE]]
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// An interface's name and an address's label have at most so many bytes (`IFNAMSIZ` less the NUL).
const MAX_NAME: usize = 15;

/// An address that moves with its group.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// How many bits of it are its network's. Where it is not given, that of the network in which the host is already.
    pub bits: Option<u8>,
    /// The interface. Where it is not given, the one whose network contains the address.
    pub interface: Option<String>,
    /// What the kernel shows beside an IPv4 address: the interface's name, a colon, and what haresources says.
    pub label: Option<String>,
    /// The broadcast address of an IPv4 address.
    pub broadcast: Broadcast,
}

/// The broadcast address of an IPv4 address.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Broadcast {
    /// The last one of the network, where that has more than two addresses. Also written `+`.
    Last,
    /// None, written `-`.
    None,
    /// This one.
    At(Ipv4Addr),
}

/// The scripts of Heartbeat's in whose place hb does it itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Script {
    IpAddr,
    IpAddr2,
    Ipv6Addr,
}

impl Script {
    pub(super) const ALL: [Self; 3] = [Self::IpAddr, Self::IpAddr2, Self::Ipv6Addr];

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|script| script.name() == name)
    }

    /// The script that a resource without a name means, if it is an address.
    pub(super) fn of_bare(word: &str) -> Option<Self> {
        if is_dotted_quad(word) {
            Some(Self::IpAddr)
        } else if is_bare_ipv6(word) {
            Some(Self::Ipv6Addr)
        } else {
            None
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IpAddr => "IPaddr",
            Self::IpAddr2 => "IPaddr2",
            Self::Ipv6Addr => "IPv6addr",
        }
    }

    /// Reads the script's argument, or says what was expected.
    pub(super) fn parse(self, text: &str) -> Result<Address, String> {
        // For the scripts several slashes are as good as one.
        let mut parts = text.split('/').filter(|part| !part.is_empty());
        let ip = self.ip(parts.next().unwrap_or_default())?;
        let bits = parts.next().map(|part| bits(ip, part)).transpose()?;
        let mut address = Address {
            ip,
            bits,
            interface: None,
            label: None,
            broadcast: Broadcast::Last,
        };
        match ip {
            IpAddr::V4(_) => address.read_v4(parts)?,
            IpAddr::V6(ip) => address.read_v6(ip, parts)?,
        }
        Ok(address)
    }

    fn ip(self, text: &str) -> Result<IpAddr, String> {
        let (v4, v6) = (text.parse::<Ipv4Addr>(), text.parse::<Ipv6Addr>());
        let (ip, family) = match self {
            Self::IpAddr => (v4.map(IpAddr::V4).ok(), "an IPv4 address"),
            Self::IpAddr2 => (v4.map(IpAddr::V4).or(v6.map(IpAddr::V6)).ok(), "an address"),
            Self::Ipv6Addr => (v6.map(IpAddr::V6).ok(), "an IPv6 address"),
        };
        let ip = ip.ok_or_else(|| format!("expected {family}"))?;
        let is_one_host = match ip {
            IpAddr::V4(ip) => ip.octets()[0] != 0 && !ip.is_multicast() && !ip.is_broadcast(),
            IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        };
        if is_one_host {
            Ok(ip)
        } else {
            Err(format!(
                "{ip} is nobody's own address: expected one that a host can have"
            ))
        }
    }
}

impl Address {
    fn read_v4<'a>(&mut self, mut parts: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let Some(third) = parts.next() else {
            return Ok(());
        };
        // As in Heartbeat: what begins with a digit is no interface.
        if third.starts_with(|first: char| first.is_ascii_digit()) {
            self.broadcast = broadcast(third)?;
        } else {
            if third.contains("::") {
                return Err(format!(
                    "Heartbeat takes what follows `::` in {third:?} for an argument of its own: expected one colon and a label"
                ));
            }
            let (interface, label) = third.split_once(':').map_or((third, None), |(a, b)| (a, Some(b)));
            self.interface = Some(interface_name(interface)?);
            self.label = label.map(|label| full_label(interface, label)).transpose()?;
            if let Some(fourth) = parts.next() {
                self.broadcast = broadcast(fourth)?;
            }
        }
        nothing_more(parts)
    }

    fn read_v6<'a>(&mut self, ip: Ipv6Addr, mut parts: impl Iterator<Item = &'a str>) -> Result<(), String> {
        if let Some(interface) = parts.next() {
            if interface.contains(':') {
                return Err("an IPv6 address has no label: expected an interface's name".to_owned());
            }
            self.interface = Some(interface_name(interface)?);
        }
        if ip.is_unicast_link_local() && self.interface.is_none() {
            return Err("a link-local address is on every interface: expected ADDRESS/BITS/INTERFACE".to_owned());
        }
        nothing_more(parts)
    }
}

fn bits(ip: IpAddr, text: &str) -> Result<u8, String> {
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let count = match text.parse::<Ipv4Addr>() {
        Ok(mask) if ip.is_ipv4() => mask_bits(mask),
        Ok(_) | Err(_) => text.parse().ok(),
    };
    count
        .filter(|bits| (1..=most).contains(bits))
        .ok_or_else(|| format!("expected 1 to {most} bits of network, not {text:?}"))
}

/// Heartbeat takes `255.255.255.0` for 24, too.
fn mask_bits(mask: Ipv4Addr) -> Option<u8> {
    let mask = mask.to_bits();
    let is_mask = mask.leading_ones() + mask.trailing_zeros() == 32;
    u8::try_from(mask.leading_ones()).ok().filter(|_| is_mask)
}

fn broadcast(text: &str) -> Result<Broadcast, String> {
    match text {
        "+" => Ok(Broadcast::Last),
        "-" => Ok(Broadcast::None),
        _ => text
            .parse()
            .map(Broadcast::At)
            .map_err(|_| format!("expected a broadcast address, not {text:?}")),
    }
}

fn interface_name(text: &str) -> Result<String, String> {
    let is_name =
        !matches!(text, "" | "." | "..") && text.len() <= MAX_NAME && text.bytes().all(|c| c.is_ascii_graphic());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "expected an interface's name of 1 to {MAX_NAME} characters, not {text:?}"
        ))
    }
}

fn full_label(interface: &str, label: &str) -> Result<String, String> {
    let full = format!("{interface}:{label}");
    if !label.is_empty() && full.len() <= MAX_NAME && label.bytes().all(|c| c.is_ascii_graphic()) {
        Ok(full)
    } else {
        Err(format!(
            "expected a label after the colon, and at most {MAX_NAME} characters with the interface, not {full:?}"
        ))
    }
}

fn nothing_more<'a>(mut parts: impl Iterator<Item = &'a str>) -> Result<(), String> {
    match parts.next() {
        Some(part) => Err(format!("expected nothing more where {part:?} stands")),
        None => Ok(()),
    }
}

/// Whether this is `1.2.3.4` or `1.2.3.4/...`, its numbers in range or not.
fn is_dotted_quad(word: &str) -> bool {
    let address = word.split('/').next().unwrap_or_default();
    let numbers = address.split('.');
    let all_digits = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    numbers.clone().count() == 4 && numbers.clone().all(all_digits)
}

/// Whether this is an IPv6 address, and not a script whose name happens to look like the beginning of one with its
/// arguments: a colon stands in what would be the name, or bits follow.
fn is_bare_ipv6(word: &str) -> bool {
    let (address, rest) = word.split_once('/').unwrap_or((word, ""));
    let bits = rest.split('/').next().unwrap_or_default();
    let has_bits = bits.parse::<u8>().is_ok_and(|bits| (1..=128).contains(&bits));
    address.parse::<Ipv6Addr>().is_ok()
        && (has_bits || address.split("::").next().is_some_and(|name| name.contains(':')))
}
