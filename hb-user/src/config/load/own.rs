//! Addresses in haresources that cannot move, since a host has them of its own: hb would take them from it.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::error::Fault;
use crate::config::{Address, Group};

#[cfg(test)]
mod tests;

/// Of two addresses both are hosts' (RFC 3021); with more, the network's and the broadcast address are nobody's.
const NO_ROOM_FOR_ALL: u8 = 31;

/// Every address that hb moves itself is one that a host can do without. `ucasts` are the addresses of ha.cf's `ucast` lines,
/// whosever they are, and their lines.
pub(super) fn check(groups: &[Group], ucasts: &[(IpAddr, u32)]) -> Result<(), Fault> {
    for group in groups {
        for resource in &group.resources {
            let Some(address) = &resource.address else { continue };
            if let Some(expected) = refusal(address, ucasts) {
                return Err(Fault::value(group.line, "resource", &resource.to_string(), expected));
            }
        }
    }
    Ok(())
}

fn refusal(address: &Address, ucasts: &[(IpAddr, u32)]) -> Option<String> {
    // An IPv4 address may hide in an IPv6 one.
    let ip = address.ip.to_canonical();
    let is_link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let what = if let Some((_, line)) = ucasts.iter().find(|(ucast, _)| *ucast == ip) {
        format!(
            "the address of the ucast line in ha.cf:{line}, which that host keeps: beats would end where hb takes it away"
        )
    } else if ip.is_loopback() {
        "an address that every host has (loopback)".to_owned()
    } else if ip.is_unspecified() || ip.is_multicast() {
        "nobody's own address".to_owned()
    } else if is_link_local {
        "an address of one link only, which nobody beyond it can use (link-local)".to_owned()
    } else {
        outer(address)?
    };
    Some(format!("{ip} is {what}: expected an address of its own for the group"))
}

/// The first and the last address of the network, where haresources says how large that is.
fn outer(address: &Address) -> Option<String> {
    let (IpAddr::V4(ip), Some(bits)) = (address.ip, address.bits) else {
        return None;
    };
    let name = outer_name(ip, bits)?;
    Some(format!("the {name} address of its network of {bits} bits"))
}

/// What an address is in a network of so many bits, if it is no host's.
pub(crate) fn outer_name(ip: Ipv4Addr, bits: u8) -> Option<&'static str> {
    if bits >= NO_ROOM_FOR_ALL {
        return None;
    }
    let hosts = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
    match ip.to_bits() & hosts {
        0 => Some("network"),
        host if host == hosts => Some("broadcast"),
        _ => None,
    }
}
