//! What one process hands to the next when the daemon restarts in place.
//!
//! It goes through memory that only the two of them have: a file without a name, which stays open while one program becomes
//! the other, and which nobody can change once it is sealed. Nothing lies on a disk that could be read, altered or found
//! again when it means nothing any more.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::IpAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use hb_ebpf::{Incarnation, Nanos};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::{keeper, settings};
use crate::config::{Cluster, Resource};
use crate::control::Takeover;
use crate::core::{Node, Silence};
use crate::datapath::Mode;
use crate::pulse::Snapshot;
use crate::resources::address::Held;

/// Changes whenever what follows the header is not understood by a version that knows another number.
const FORMAT: u32 = 1;
/// After so long everybody has taken over, and nothing of it holds.
const LONGEST: Nanos = Nanos::from_millis(60_000);
/// A state is shorter than this.
const MAX_BYTES: u64 = 16 << 20;

/// Why a state is not gone on with.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HandoverError {
    #[error("cannot read the state of the former process")]
    Unreadable(#[source] io::Error),
    #[error("the state of the former process is of format {found}, from hb {version}: expected {FORMAT}")]
    Format { found: u32, version: String },
    #[error("the state of the former process: {0}")]
    Text(#[source] serde_json::Error),
    #[error("the state of the former process: expected two lines")]
    Torn,
    #[error("the state is of another start of this machine")]
    Boot,
    #[error("the state is of process {found}: expected {expected}")]
    Process { found: u32, expected: u32 },
    #[error("the state is {seconds} s old: expected at most {} s", LONGEST.0 / 1_000_000_000)]
    Old { seconds: u64 },
    #[error("the state of the former process does not fit together: {0}")]
    Broken(String),
    #[error("{what} of the configuration is not what the former process ran with")]
    Configuration { what: &'static str },
    #[error(
        "{resource} is moved {now}, and the former process moved it {before}: `hb reload` first, which moves its group"
    )]
    Moved {
        resource: String,
        before: &'static str,
        now: &'static str,
    },
}

/// What is understood in every format.
#[derive(Debug, Deserialize, Serialize)]
struct Header {
    format: u32,
    version: String,
    boot: String,
    process: u32,
    made: Nanos,
}

/// The state of a daemon that goes on in another process, under the same life.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Handover {
    pub(super) incarnation: Incarnation,
    pub(super) started: Nanos,
    /// How often this life was handed over, this time included.
    pub(super) restarts: u32,
    /// The version that handed over.
    pub(super) version: String,
    pub(super) node: Node,
    pub(super) nodes: Vec<String>,
    /// Each with all its resources.
    pub(super) groups: Vec<String>,
    /// Of each resource of each group, whether it is moved without a script. Some versions told nothing of it.
    #[serde(default)]
    pub(super) built_in: Option<Vec<Vec<bool>>>,
    pub(super) slots: Vec<Slot>,
    pub(super) next_slot: u32,
    pub(super) attached: Vec<(String, Mode)>,
    pub(super) pulse: Snapshot,
    pub(super) last_takeover: Option<Takeover>,
    /// The addresses that were added without a script, and where. A version that knew nothing of them told nothing.
    #[serde(default)]
    pub(super) addresses: Vec<Held>,
    /// What is known of floating IPs.
    #[serde(default)]
    pub(super) keeper: keeper::Past,
    pub(super) problems: Vec<Option<String>>,
    pub(super) silences: Vec<Option<Silence>>,
    pub(super) troubles: BTreeMap<String, String>,
    /// The descriptor that holds the lock.
    pub(super) lock: RawFd,
    pub(super) watchdog: Option<Armed>,
}

/// A link's place in the liveness map.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Slot {
    pub(super) node: usize,
    pub(super) address: IpAddr,
    pub(super) place: u32,
}

/// A watchdog that bites unless it is fed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Armed {
    pub(super) device: PathBuf,
    pub(super) descriptor: RawFd,
}

impl Handover {
    /// As text, by a process at a time.
    pub(super) fn write(&self, process: u32, boot: &str, now: Nanos) -> serde_json::Result<String> {
        let header = Header {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: boot.to_owned(),
            process,
            made: now,
        };
        let (header, state) = (serde_json::to_string(&header)?, serde_json::to_string(self)?);
        Ok(format!("{header}\n{state}\n"))
    }

    /// Reads what a process has written since this machine was started, if it is not too old by now.
    pub fn read(text: &str, process: u32, boot: &str, now: Nanos) -> Result<Self, HandoverError> {
        let (header, state) = text.split_once('\n').ok_or(HandoverError::Torn)?;
        let header: Header = serde_json::from_str(header).map_err(HandoverError::Text)?;
        if header.format != FORMAT {
            return Err(HandoverError::Format {
                found: header.format,
                version: header.version,
            });
        }
        if header.boot != boot {
            return Err(HandoverError::Boot);
        }
        if header.process != process {
            return Err(HandoverError::Process {
                found: header.process,
                expected: process,
            });
        }
        let age = now.since(header.made);
        if age > LONGEST {
            return Err(HandoverError::Old {
                seconds: age.0 / 1_000_000_000,
            });
        }
        let state: Self = serde_json::from_str(state).map_err(HandoverError::Text)?;
        state.check().map_err(HandoverError::Broken)?;
        Ok(state)
    }

    /// Refuses, with what was expected, a state whose parts do not fit together.
    fn check(&self) -> Result<(), String> {
        self.node.check()?;
        let settings = self.node.settings();
        self.pulse.check(settings.nodes)?;
        let counts = [
            ("nodes", self.nodes.len(), settings.nodes),
            ("silences", self.silences.len(), settings.nodes),
            ("groups", self.groups.len(), settings.groups.len()),
            ("problems", self.problems.len(), settings.groups.len()),
        ];
        if let Some((what, found, expected)) = counts.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(format!("{found} {what}: expected {expected}"));
        }
        if self.incarnation > Incarnation::MAX || self.incarnation == Incarnation(0) {
            return Err(format!("incarnation {:x}: expected 48 bits", self.incarnation.0));
        }
        let slots = crate::datapath::SLOTS;
        let is_wrong = |slot: &&Slot| slot.place >= self.next_slot || slot.node >= settings.nodes;
        if self.next_slot > slots || self.slots.iter().any(|slot| is_wrong(&slot)) {
            return Err(format!("the links' places: expected each below {slots} and of a node"));
        }
        Ok(())
    }

    /// Refuses a configuration that is not the one of this state.
    pub fn fits(&self, cluster: &Cluster) -> Result<(), HandoverError> {
        let parts = [
            ("the list of nodes", self.nodes == cluster.nodes),
            ("haresources", self.groups == groups(cluster)),
            (
                "the timers and rules",
                *self.node.settings() == settings::ownership(cluster),
            ),
        ];
        match parts.into_iter().find(|(_, is_same)| !is_same) {
            Some((what, _)) => Err(HandoverError::Configuration { what }),
            None => self.moves_as_before(cluster),
        }
    }

    /// A script in resource.d may have come or gone, or the new version do without one: nobody would look after what the
    /// script has started, or what was added without it.
    fn moves_as_before(&self, cluster: &Cluster) -> Result<(), HandoverError> {
        let by = |is_built_in: bool| if is_built_in { "by hb itself" } else { "by a script" };
        let before = self.built_in.iter().flatten().flatten();
        let resources = cluster.groups.iter().flat_map(|group| &group.resources);
        let mut both = before.zip(resources);
        match both.find(|(before, resource)| **before != resource.is_built_in()) {
            Some((before, resource)) => Err(HandoverError::Moved {
                resource: resource.to_string(),
                before: by(*before),
                now: by(resource.is_built_in()),
            }),
            None => Ok(()),
        }
    }

    /// Where a link has its place.
    pub(super) fn slot(&self, node: usize, address: IpAddr) -> Option<u32> {
        let is_it = |slot: &&Slot| slot.node == node && slot.address == address;
        self.slots.iter().find(is_it).map(|slot| slot.place)
    }

    /// How the program ran on an interface.
    pub(super) fn mode(&self, interface: &str) -> Option<&Mode> {
        let is_it = |attached: &&(String, Mode)| attached.0 == interface;
        self.attached.iter().find(is_it).map(|(_, mode)| mode)
    }
}

/// All resources of each group, as text.
pub(super) fn groups(cluster: &Cluster) -> Vec<String> {
    let resources = |group: &crate::config::Group| {
        let resources: Vec<String> = group.resources.iter().map(ToString::to_string).collect();
        resources.join(" ")
    };
    cluster.groups.iter().map(resources).collect()
}

/// Of each resource of each group, whether it is moved without a script.
pub(super) fn built_in(cluster: &Cluster) -> Vec<Vec<bool>> {
    let of = |group: &crate::config::Group| group.resources.iter().map(Resource::is_built_in).collect();
    cluster.groups.iter().map(of).collect()
}

/// What tells one start of this machine from another.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A file without a name, which says this and nothing else for ever. Its reader begins at the start.
pub(super) fn sealed(text: &str) -> io::Result<OwnedFd> {
    let memory = memfd_create("hb-handover", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(memory);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// All that is in such a file.
pub fn text_of(file: OwnedFd) -> Result<String, HandoverError> {
    let mut text = String::new();
    let mut file = File::from(file).take(MAX_BYTES);
    file.read_to_string(&mut text).map_err(HandoverError::Unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
