//! `ping`, `ping6`, `ping_group` and `deadping`: hosts outside the cluster that can settle who is cut off.

use std::net::IpAddr;
use std::time::Duration;

use super::{Given, Line, Resolve, values, warning};
use crate::config::error::Fault;
use crate::config::{Host, Link, Timers, Warning, time};

#[cfg(test)]
mod tests;

/// As many as a beat can count, in four bits.
const MAX_TARGETS: usize = 15;

/// Hosts outside the cluster that are asked for an ICMP echo.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pings {
    /// Each counts as one, however many hosts it stands for; in ha.cf's order.
    pub targets: Vec<PingTarget>,
    /// The silence after which a target cannot be reached.
    pub deadping: Duration,
}

/// One ping node, or one group of them that is reached when any of its members is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PingTarget {
    /// The host as ha.cf writes it, or the group's name; lower-cased.
    pub name: String,
    /// The addresses. Never empty.
    pub members: Vec<IpAddr>,
    /// The line of ha.cf.
    pub line: u32,
}

/// The ping directives as far as they have been read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) deadping: Option<Given<Duration>>,
    targets: Vec<PingTarget>,
}

impl Draft {
    /// A `ping` or `ping6` line: each host is a target of its own.
    pub(super) fn read_hosts(
        &mut self,
        line: &Line<'_>,
        family: values::Family,
        (host, resolve): (&Host, Resolve<'_>),
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Fault> {
        if line.values.is_empty() {
            return Err(line.refuse("", "expected the address of a host outside the cluster"));
        }
        for text in &line.values {
            let address = member(line, text, family, host, resolve)?;
            self.add(line, text, vec![address], warnings)?;
        }
        Ok(())
    }

    /// A `ping_group` line.
    pub(super) fn read_group(
        &mut self,
        line: &Line<'_>,
        (host, resolve): (&Host, Resolve<'_>),
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Fault> {
        let [name, hosts @ ..] = &line.values[..] else {
            return Err(line.refuse(
                "",
                "expected a name and addresses (ping_group routers 192.0.2.1 192.0.2.2)",
            ));
        };
        if hosts.is_empty() {
            return Err(line.refuse(name, "expected addresses after the name of the group"));
        }
        let mut members = Vec::new();
        for text in hosts {
            let address = member(line, text, values::Family::Any, host, resolve)?;
            if !members.contains(&address) {
                members.push(address);
            }
        }
        self.add(line, name, members, warnings)
    }

    fn add(
        &mut self,
        line: &Line<'_>,
        name: &str,
        members: Vec<IpAddr>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Fault> {
        let target = PingTarget {
            name: name.to_ascii_lowercase(),
            members,
            line: line.number,
        };
        if let Some(twin) = self.targets.iter().find(|twin| twin.name == target.name) {
            if twin.members != target.members {
                let expected = format!(
                    "line {} has other hosts of this name: expected each name once",
                    twin.line
                );
                return Err(line.refuse(name, expected));
            }
            let message = format!("{name} is in line {} already: ignored", twin.line);
            warnings.push(warning(line.number, message));
            return Ok(());
        }
        if self.targets.len() == MAX_TARGETS {
            let expected = format!("expected at most {MAX_TARGETS} ping nodes and groups");
            return Err(line.refuse(name, expected));
        }
        self.targets.push(target);
        Ok(())
    }

    /// Fills in what is not given, and refuses what cannot work.
    pub(super) fn finish(self, nodes: &[String], timers: &Timers, warnings: &mut Vec<Warning>) -> Result<Pings, Fault> {
        if let Some(target) = self.targets.iter().find(|target| nodes.contains(&target.name)) {
            let expected = "it is a node of the cluster: expected a host outside, such as a router";
            return Err(Fault::value(target.line, "ping", &target.name, expected));
        }
        let deadping = self.deadping.as_ref().map_or(timers.deadtime, |given| given.value);
        if let Some(given) = &self.deadping {
            let keepalive = time::shown(timers.keepalive);
            if deadping <= timers.keepalive * 2 {
                let expected = format!("expected more than twice keepalive, which is {keepalive}");
                return Err(Fault::value(given.line, "deadping", &given.text, expected));
            }
            if deadping > timers.deadtime {
                warnings.push(given.warning(format!(
                    "deadping {} is longer than deadtime {}: for the difference a node that was cut off from everything \
                     believes that it still reaches its ping nodes",
                    time::shown(deadping),
                    time::shown(timers.deadtime)
                )));
            }
        }
        Ok(Pings {
            targets: self.targets,
            deadping,
        })
    }
}

impl Pings {
    /// Refuses a target that is another node under its address: it would be down when that is.
    pub(in crate::config) fn check_links(&self, links: &[Link], nodes: &[String]) -> Result<(), Fault> {
        for target in &self.targets {
            let Some(link) = links.iter().find(|link| target.members.contains(&link.peer)) else {
                continue;
            };
            let expected = format!(
                "{} is an address of node {}: expected a host outside the cluster, such as a router",
                link.peer, nodes[link.node]
            );
            return Err(Fault::value(target.line, "ping", &target.name, expected));
        }
        Ok(())
    }
}

fn member(
    line: &Line<'_>,
    text: &str,
    family: values::Family,
    host: &Host,
    resolve: Resolve<'_>,
) -> Result<IpAddr, Fault> {
    let address = values::ping_address(text, family, resolve).map_err(|expected| line.refuse(text, expected))?;
    if host.owns(address) {
        // It would answer always, and so say nothing.
        let expected = "it is this host itself: expected a host outside the cluster, such as a router";
        return Err(line.refuse(text, expected));
    }
    Ok(address)
}
