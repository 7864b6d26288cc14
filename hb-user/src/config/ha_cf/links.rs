//! `ucast` lines, and whose addresses they name.

use std::cell::OnceCell;
use std::io;
use std::net::IpAddr;

use hb_ebpf::tables::MAX_LINKS;

use super::{Draft, Line, Resolve, values, warning};
use crate::config::error::Fault;
use crate::config::hb_toml::Claim;
use crate::config::{Host, Link, Warning};

#[cfg(test)]
mod tests;

/// Linux's `IFNAMSIZ` less the NUL.
const MAX_INTERFACE_NAME: usize = 15;

/// One `ucast` line that does not name this host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::config) struct Ucast {
    pub(in crate::config) interface: String,
    pub(in crate::config) peer: IpAddr,
    pub(in crate::config) line: u32,
}

impl Draft {
    pub(super) fn read_ucast(&mut self, line: &Line<'_>, host: &Host, resolve: Resolve<'_>) -> Result<(), Fault> {
        let [interface, peer] = line.values[..] else {
            let given = line.values.join(" ");
            return Err(line.refuse(&given, "expected an interface and an address (ucast eth0 192.0.2.1)"));
        };
        if interface.len() > MAX_INTERFACE_NAME || interface.contains(['/', ':']) || matches!(interface, "." | "..") {
            return Err(line.refuse(interface, "expected the name of an interface (`ip link`)"));
        }
        let address = values::peer_address(peer, resolve).map_err(|expected| line.refuse(peer, expected))?;
        self.all_ucasts.push((address, line.number));
        if host.owns(address) {
            self.own_interfaces.push(interface.to_owned());
            return Ok(());
        }
        if let Some(twin) = self.ucasts.iter().find(|ucast| ucast.peer == address) {
            if twin.interface != interface {
                // A beat shows which link it came by only by where it comes from.
                return Err(line.refuse(peer, "expected another address than on the other interfaces"));
            }
            let message = format!("the same link as in line {}: ignored", twin.line);
            self.warnings.push(warning(line.number, message));
            return Ok(());
        }
        self.ucasts.push(Ucast {
            interface: interface.to_owned(),
            peer: address,
            line: line.number,
        });
        Ok(())
    }
}

/// What decides whose an address is: `claims` are hb.toml's.
pub(in crate::config) struct Owners<'a> {
    pub(in crate::config) nodes: &'a [String],
    pub(in crate::config) me: usize,
    pub(in crate::config) claims: &'a [Claim],
    pub(in crate::config) resolve: Resolve<'a>,
}

impl Owners<'_> {
    /// Leads every `ucast` line to its node.
    ///
    /// ha.cf does not say whose an address is. Of two nodes, all but our own are the other's. With more, an address is
    /// that node's to which hb.toml gives it, or else the one whose name resolves to it.
    pub(in crate::config) fn assign(&self, ucasts: Vec<Ucast>) -> Result<Vec<Link>, Fault> {
        let resolved = OnceCell::new();
        let mut links: Vec<Link> = Vec::new();
        if self.nodes.len() < 2 {
            return Ok(links);
        }
        for Ucast { interface, peer, line } in ucasts {
            let claimed = self.claims.iter().find(|claim| claim.address == peer);
            let node = match claimed {
                Some(claim) => claim.node,
                None if self.nodes.len() == 2 => 1 - self.me,
                None => self.find_by_name(peer, line, resolved.get_or_init(|| self.resolve_names()))?,
            };
            // The address that this host has behind a translator is on none of its interfaces.
            if node == self.me {
                continue;
            }
            if links.iter().filter(|link| link.node == node).count() == MAX_LINKS {
                let expected = format!("expected at most {MAX_LINKS} links to {}", self.nodes[node]);
                return Err(Fault::value(line, "ucast", &peer.to_string(), expected));
            }
            links.push(Link {
                node,
                interface,
                peer,
                line,
            });
        }
        self.check_reach(&links)?;
        Ok(links)
    }

    /// A slip in the line with this host's own address makes that line one more link to the other of two nodes.
    ///
    /// A file may do without a line of this host's: one line an interface is as good as any. Of several that nothing shows to
    /// be the other's, one is likely to be meant for this host. With three nodes or more every address needs its owner.
    pub(in crate::config) fn slips(&self, ucasts: &[Ucast], own_interfaces: &[String]) -> Vec<Warning> {
        let [_, _] = self.nodes else { return Vec::new() };
        let owner = |ucast: &Ucast| {
            let claim = self.claims.iter().find(|claim| claim.address == ucast.peer);
            claim.map(|claim| claim.node)
        };
        let mut warnings = Vec::new();
        for (index, first) in ucasts.iter().enumerate() {
            let is_beside = |ucast: &&Ucast| ucast.interface == first.interface;
            if ucasts[..index].iter().any(|ucast| is_beside(&ucast)) || own_interfaces.contains(&first.interface) {
                continue;
            }
            let beside: Vec<&Ucast> = ucasts.iter().filter(is_beside).collect();
            let is_clear = beside.iter().any(|ucast| owner(ucast) == Some(self.me))
                || beside.iter().all(|ucast| owner(ucast).is_some());
            if beside.len() < 2 || is_clear {
                continue;
            }
            let other = &self.nodes[1 - self.me];
            let addresses: Vec<String> = beside.iter().map(|ucast| ucast.peer.to_string()).collect();
            let message = format!(
                "none of the ucast addresses on {} is this host's, all are taken for {other}'s ({}): mend the one that is \
                 wrong, or say in hb.toml, below [nodes], whose they are: {other} = [\"{}\"]",
                first.interface,
                addresses.join(", "),
                addresses.join("\", \"")
            );
            warnings.push(warning(first.line, message));
        }
        warnings
    }

    fn resolve_names(&self) -> Vec<io::Result<Vec<IpAddr>>> {
        self.nodes.iter().map(|node| (self.resolve)(node)).collect()
    }

    fn find_by_name(&self, address: IpAddr, line: u32, resolved: &[io::Result<Vec<IpAddr>>]) -> Result<usize, Fault> {
        let has = |found: &io::Result<Vec<IpAddr>>| found.as_ref().is_ok_and(|found| found.contains(&address));
        let owners: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| resolved.get(node).is_some_and(has))
            .collect();
        let refuse = |reason: String, node: &str| {
            let expected = format!("{reason}: write in hb.toml, below [nodes]: {node} = [\"{address}\"]");
            Err(Fault::value(line, "ucast", &address.to_string(), expected))
        };
        match owners[..] {
            [node] => Ok(node),
            [] => refuse("no node's name resolves to it".to_owned(), "NODE"),
            [first, ..] => {
                let names: Vec<&str> = owners.iter().map(|&node| self.nodes[node].as_str()).collect();
                let reason = format!("the names of {} resolve to it", names.join(" and "));
                refuse(reason, &self.nodes[first])
            }
        }
    }

    fn check_reach(&self, links: &[Link]) -> Result<(), Fault> {
        let cut_off = |node: &usize| *node != self.me && links.iter().all(|link| link.node != *node);
        let Some(node) = (0..self.nodes.len()).find(cut_off) else {
            return Ok(());
        };
        Err(Fault::file(format!(
            "no ucast line leads to node {}: expected `ucast INTERFACE ADDRESS` with an address of that host",
            self.nodes[node]
        )))
    }
}
