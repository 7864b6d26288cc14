//! The values of ha.cf: each function returns the value, or what was expected.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::super::{AutoFailback, time};
use super::{Facility, Resolve};
use crate::realtime::Priority;

pub(super) fn time(text: &str) -> Result<Duration, String> {
    time::parse(text).map_err(|error| error.to_string())
}

pub(super) fn peer_address(text: &str, resolve: Resolve<'_>) -> Result<IpAddr, String> {
    let address = match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => return Err("expected an IPv4 address: beats go by IPv4 only".to_owned()),
        Ok(v4) => v4,
        Err(_) if is_numbers(text) => return Err(NO_ADDRESS.to_owned()),
        Err(_) => resolve(text)
            .map_err(|error| format!("cannot resolve this host name: {error}"))?
            .into_iter()
            .find(IpAddr::is_ipv4)
            .ok_or("expected a host name with an IPv4 address")?,
    };
    one_host(address)
}

const NO_ADDRESS: &str = "this is no IPv4 address: expected four numbers from 0 to 255";

/// What can only be meant for an IPv4 address: no host's name ends in a number (RFC 3696, section 2), though a resolver takes
/// `198.51.1` for an address that nobody means.
fn is_numbers(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Which addresses a ping directive takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    V4,
    V6,
    /// Either; a host name stands for its IPv4 address where it has one.
    Any,
}

pub(super) fn ping_address(text: &str, family: Family, resolve: Resolve<'_>) -> Result<IpAddr, String> {
    let candidates = match text.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) if is_numbers(text) => return Err(NO_ADDRESS.to_owned()),
        Err(_) => resolve(text).map_err(|error| format!("cannot resolve this host name: {error}"))?,
    };
    let v4 = candidates.iter().find(|address| address.is_ipv4());
    let v6 = candidates.iter().find(|address| address.is_ipv6());
    let (found, expected) = match family {
        Family::V4 => (v4, "expected an IPv4 address (ping6 takes others)"),
        Family::V6 => (v6, "expected an IPv6 address (ping takes others)"),
        Family::Any => (v4.or(v6), "expected a host name with an address"),
    };
    let address = *found.ok_or(expected)?;
    if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return Err("expected an address that is good on every interface".to_owned());
    }
    one_host(address)
}

fn one_host(address: IpAddr) -> Result<IpAddr, String> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err("expected the address of one host".to_owned());
    }
    Ok(address)
}

pub(super) fn udp_port(text: &str) -> Result<u16, String> {
    let port = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten();
    port.filter(|port| *port > 0)
        .ok_or_else(|| "expected a port from 1 to 65535".to_owned())
}

pub(super) fn auto_failback(text: &str) -> Result<AutoFailback, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Ok(AutoFailback::On),
        "false" | "off" | "no" | "n" | "0" => Ok(AutoFailback::Off),
        "legacy" => Ok(AutoFailback::Legacy),
        _ => Err("expected on, off or legacy".to_owned()),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Ok(true),
        "false" | "off" | "no" | "n" | "0" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

pub(super) fn rtprio(text: &str) -> Result<Priority, String> {
    let number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok());
    number
        .flatten()
        .and_then(Priority::new)
        .ok_or_else(|| "expected a priority from 1 to 99".to_owned())
}

pub(super) fn absolute_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    // A relative one would depend on where the daemon was started.
    path.is_absolute()
        .then_some(path)
        .ok_or_else(|| "expected an absolute path".to_owned())
}

pub(super) fn facility(text: &str) -> Result<Option<Facility>, String> {
    match text {
        "none" => Ok(None),
        name => Facility::named(name)
            .map(Some)
            .ok_or_else(|| "expected a syslog facility (daemon, local0, ...) or none".to_owned()),
    }
}

pub(super) fn debug(text: &str) -> Result<u8, String> {
    let level = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten();
    level.ok_or_else(|| "expected a level from 0 to 255".to_owned())
}
