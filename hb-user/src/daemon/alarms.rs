//! What an operator has to act on.

use std::fs;
use std::path::Path;

use nix::errno::Errno;

use super::words::Words;
use crate::core::{Contact, Fencing, GroupState, Quorum};
use hb_ebpf::beat::Status;

impl Words<'_> {
    /// All alarms, the gravest first. Each says what it is about before its first colon.
    pub(super) fn alarms(&self, refused_realtime: &[String]) -> Vec<String> {
        let mut alarms = self.two_owners();
        alarms.extend(self.may_both_own());
        alarms.extend(self.lease_lost());
        alarms.extend((0..self.groups.len()).filter_map(|index| self.broken(index)));
        alarms.extend(self.peers().filter_map(|node| self.unfenced(node)));
        alarms.extend(self.peers().filter_map(|node| self.differs(node)));
        alarms.extend(refused_realtime.iter().map(|why| format!("not in real time: {why}")));
        alarms
    }

    fn peers(&self) -> impl Iterator<Item = usize> {
        let settings = self.node.settings();
        let (nodes, me) = (settings.nodes, settings.me);
        (0..nodes).filter(move |node| *node != me)
    }

    fn two_owners(&self) -> Vec<String> {
        let is_owner = |node: usize, index: usize| {
            let peer = self.node.peer(node);
            let is_readable = !peer.sight.differs.groups && !peer.sight.differs.nodes;
            peer.contact == Contact::Up && is_readable && peer.group(index).is_owned()
        };
        let mut alarms = Vec::new();
        for index in 0..self.groups.len() {
            let mut owners: Vec<_> = self.peers().filter(|node| is_owner(*node, index)).collect();
            if self.node.group(index).is_some_and(|group| group.state.is_owned()) {
                owners.insert(0, self.node.settings().me);
            }
            if owners.len() > 1 {
                let names: Vec<_> = owners.into_iter().map(|node| self.name(node)).collect();
                alarms.push(format!(
                    "two owners: {} is on {}; one of them is about to let go",
                    self.group(index),
                    names.join(" and on ")
                ));
            }
        }
        alarms
    }

    /// Two nodes, with nothing that tells the other's death from a cut. Ping nodes do not where the other reaches them, too.
    fn may_both_own(&self) -> Option<String> {
        let (settings, has_lease) = (self.node.settings(), self.node.has_lease());
        let why = match settings.quorum {
            Quorum::None => "nothing tells a cut from its death",
            Quorum::Pings if has_lease => "if it reaches the ping nodes, too, nothing tells a cut from its death",
            Quorum::Pings | Quorum::Majority => return None,
        };
        let silent = self.peers().find(|node| {
            // Who has to be fenced first owns nothing when somebody else does.
            let is_fenced = settings.fenced.get(*node).copied().unwrap_or(false);
            self.node.peer(*node).contact == Contact::Dead && !is_fenced
        })?;
        Some(format!(
            "both nodes may own: {} is silent, and {why}",
            self.name(silent)
        ))
    }

    fn lease_lost(&self) -> Option<String> {
        let is_up = match self.node.advert().status {
            Status::Up => true,
            Status::Init | Status::Leaving => false,
        };
        (is_up && !self.node.has_lease()).then(|| {
            if self.node.lacks_witness() {
                "lease lost: a node is silent, and the provider does not answer, so this node owns nothing".to_owned()
            } else {
                "lease lost: too few others hear this node, so it owns nothing".to_owned()
            }
        })
    }

    fn broken(&self, index: usize) -> Option<String> {
        let state = self.node.group(index)?.state;
        let name = self.group(index);
        let why = self.problems.get(index).and_then(Option::as_ref);
        let why = why.map(|problem| format!(" ({problem})")).unwrap_or_default();
        match state {
            GroupState::Failed => Some(format!("group failed: {name} could not be started here{why}")),
            GroupState::Stuck => Some(format!(
                "group stuck: {name} could not be stopped here{why}, and nobody else takes it; when it is stopped, \
                 `hb cleanup {name}`"
            )),
            GroupState::Released
            | GroupState::Wanting
            | GroupState::Asking
            | GroupState::Acquiring
            | GroupState::Running
            | GroupState::Claimed
            | GroupState::Releasing
            | GroupState::Declined => None,
        }
    }

    fn unfenced(&self, node: usize) -> Option<String> {
        match self.node.peer(node).fencing {
            Fencing::Failed(_) => Some(format!(
                "fencing failed: {} could not be reset, so nothing is taken over from it; it is tried again",
                self.name(node)
            )),
            Fencing::None | Fencing::Running | Fencing::Done => None,
        }
    }

    fn differs(&self, node: usize) -> Option<String> {
        let peer = self.node.peer(node);
        let differs = peer.sight.differs;
        (peer.contact == Contact::Up && differs.is_any()).then(|| {
            format!(
                "configuration differs: between this node and {}, {differs}",
                self.name(node)
            )
        })
    }
}

/// Where the kernel says how its interfaces are, of the network namespace for which this was mounted.
const INTERFACES: &str = "/sys/class/net";

/// The interfaces of this host by which nothing is heard or sent, as they are now.
pub(super) fn deaf<'a>(interfaces: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let alarms = interfaces.into_iter().filter_map(|name| {
        let index = match nix::net::if_::if_nametoindex(name) {
            Ok(index) => Some(index),
            Err(Errno::ENODEV) => None,
            Err(_) => return None,
        };
        deafness(Path::new(INTERFACES), name, index)
    });
    alarms.collect()
}

/// Neither file makes its reader wait for the lock under which interfaces are changed; `carrier` would.
fn deafness(interfaces: &Path, name: &str, index: Option<u32>) -> Option<String> {
    const IFF_UP: u32 = 1;

    let Some(index) = index else {
        return Some(format!(
            "interface gone: there is no {name} any more, nothing is heard or sent by it; where beats go by it, stop hb and start \
             it when it is back"
        ));
    };
    let read = |file: &str| fs::read_to_string(interfaces.join(name).join(file)).ok();
    // Of another namespace's interface of that name nothing is to be said.
    if read("ifindex")?.trim().parse() != Ok(index) {
        return None;
    }
    let flags = u32::from_str_radix(read("flags")?.trim().strip_prefix("0x")?, 16).ok()?;
    if flags & IFF_UP == 0 {
        return Some(format!(
            "interface down: {name} is switched off, nothing is heard or sent by it: `ip link set {name} up`"
        ));
    }
    // Many virtual ones do not tell (RFC 2863, ifOperStatus).
    match read("operstate")?.trim() {
        "up" | "unknown" | "testing" => None,
        "dormant" => Some(format!(
            "no carrier: {name} waits to be admitted to its network, nothing is heard or sent by it"
        )),
        _ => Some(format!(
            "no carrier: nothing is heard or sent by {name}: is its cable plugged in, and what is at the other end on?"
        )),
    }
}

#[cfg(test)]
mod tests;
