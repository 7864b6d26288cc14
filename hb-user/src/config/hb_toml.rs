//! hb.toml: the options that Heartbeat does not have. The file is optional.

mod file;
mod reader;

use std::net::IpAddr;
use std::time::Duration;

use super::error::{Fault, Quoted};
use super::similar::similar;
use super::{
    Addresses, CloudSettings, Fencing, Group, Host, Monitor, Policy, Realtime, Recorder, Restart, Scripts, Setting,
    text, time,
};
use file::File;
use reader::Reader;

#[cfg(test)]
mod tests;

/// What hb.toml sets, or leaves at its default.
#[derive(Debug, PartialEq)]
pub(super) struct HbToml {
    pub(super) scripts: Scripts,
    /// What of it hb.toml says.
    pub(super) realtime: Realtime,
    pub(super) cpus_line: Option<u32>,
    pub(super) policy: Policy,
    pub(super) fencing: Fencing,
    pub(super) recorder: Option<Recorder>,
    pub(super) restart: Restart,
    pub(super) addresses: Addresses,
    pub(super) clouds: Vec<CloudSettings>,
    /// The line of `restart.promise`, if there is one.
    promised: Option<u32>,
    pub(super) settings: Vec<Setting>,
    monitors: Vec<Named<Monitor>>,
    nodes: Vec<Named<Vec<Placed>>>,
}

/// A table named by the reader, and its line.
#[derive(Debug, PartialEq)]
struct Named<T> {
    name: String,
    line: u32,
    value: T,
}

/// An address, and its line.
#[derive(Debug, PartialEq)]
struct Placed {
    address: IpAddr,
    line: u32,
}

/// An address that hb.toml gives to a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Claim {
    pub(super) address: IpAddr,
    /// An index into ha.cf's nodes.
    pub(super) node: usize,
    pub(super) line: u32,
}

/// Reads hb.toml.
pub(super) fn parse(bytes: &[u8]) -> Result<HbToml, Fault> {
    let file: File = toml::from_str(text::checked(bytes)?).map_err(|error| Fault {
        line: error.span().map(|span| text::line_of(bytes, span.start)),
        message: with_hint(error.message().replace('\n', ", ")),
    })?;
    Reader::new(bytes).read(file)
}

/// What is said of an unknown key or table, and which of those that serde lists may have been meant.
fn with_hint(message: String) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return message;
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let meant = names.next().and_then(|unknown| similar(unknown, names));
    match meant {
        Some(meant) => format!("{message}: did you mean `{meant}`?"),
        None => message,
    }
}

impl HbToml {
    /// Whose an address is, where hb.toml says so.
    pub(super) fn claims(&self, nodes: &[String], me: usize, host: &Host) -> Result<Vec<Claim>, Fault> {
        let mut claims: Vec<Claim> = Vec::new();
        for table in &self.nodes {
            let Some(node) = nodes.iter().position(|node| node.eq_ignore_ascii_case(&table.name)) else {
                let expected = format_args!("expected a node of ha.cf ({})", nodes.join(", ")).to_string();
                return Err(Fault::value(table.line, "nodes", &table.name, expected));
            };
            for &Placed { address, line } in &table.value {
                let refuse = |reason: String| {
                    let directive = format!("nodes.{}", table.name);
                    Err(Fault::value(line, &directive, &address.to_string(), reason))
                };
                if let Some(twin) = claims.iter().find(|claim| claim.address == address) {
                    return refuse(format!("line {} has it too: expected each address once", twin.line));
                }
                if node != me && host.owns(address) {
                    return refuse("it is an address of this host: expected one of that node".to_owned());
                }
                claims.push(Claim { address, node, line });
            }
        }
        Ok(claims)
    }

    /// Nobody is declared dead within a deadtime anyway: less than that is no promise.
    pub(super) fn check_promise(&self, deadtime: Duration) -> Result<(), Fault> {
        let promise = self.restart.promise;
        match self.promised {
            Some(line) if promise <= deadtime => Err(Fault::value(
                line,
                "restart.promise",
                &time::shown(promise),
                format!("expected more than deadtime, which is {}", time::shown(deadtime)),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Gives the groups their monitors.
    pub(super) fn set_monitors(&self, groups: &mut [Group]) -> Result<(), Fault> {
        for table in &self.monitors {
            let Some(group) = groups.iter_mut().find(|group| group.name() == table.name) else {
                let names: Vec<String> = groups.iter().map(|group| Quoted(&group.name()).to_string()).collect();
                let names = if names.is_empty() {
                    "it has none".to_owned()
                } else {
                    names.join(", ")
                };
                let expected = format!("expected the name of a group of haresources ({names})");
                return Err(Fault::value(table.line, "monitor", &table.name, expected));
            };
            group.monitor = Some(table.value.clone());
        }
        Ok(())
    }
}
