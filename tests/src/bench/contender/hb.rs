//! hb.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Contender, Timers, Verdict, files::Settings};
use crate::{
    bench::{
        arena::{NODES, View},
        observer::packet::Packet,
        processes,
    },
    clock::Moment,
    cluster::HB,
    host::Host,
    status::Status,
};

/// hb, from a file.
#[derive(Clone, Debug)]
pub struct Hb {
    binary: PathBuf,
    settings: Settings,
}

impl Hb {
    /// Its name.
    pub const NAME: &'static str = "hb";

    /// This binary, with these timers.
    #[must_use]
    pub fn new(binary: &Path, timers: Timers) -> Self {
        Self {
            binary: binary.to_owned(),
            settings: Settings {
                timers,
                moves_address: false,
            },
        }
    }

    /// The same, with an address to move.
    #[must_use]
    pub fn with_address(mut self) -> Self {
        self.settings.moves_address = true;
        self
    }
}

impl Contender for Hb {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn timers(&self) -> Timers {
        self.settings.timers
    }

    fn processes(&self) -> &'static [&'static str] {
        &["hb"]
    }

    fn moves_address(&self) -> bool {
        self.settings.moves_address
    }

    fn install(&self, host: &Host, _node: usize) -> Result<()> {
        self.settings.install(host, "")?;
        host.install_file(&self.binary, HB, 0o755)
    }

    fn start(&self, host: &Host, _node: usize) -> Result<()> {
        super::launch(host, &[HB, "run"])
    }

    fn stop(&self, host: &Host) -> Result<()> {
        processes::terminate(host, self.processes())
    }

    fn is_beat(&self, packet: &Packet) -> bool {
        matches!(packet, Packet::Beat { .. })
    }

    fn is_settled(&self, view: &View<'_>) -> Result<bool> {
        let mut groups = Vec::new();
        for host in view.hosts {
            // While it starts there is nobody to ask.
            let Ok(status) = Status::of_host(host) else {
                return Ok(false);
            };
            if !status.sees_all_peers() {
                return Ok(false);
            }
            let mut each: Vec<_> = status.groups.into_iter().map(|group| group.state).collect();
            each.dedup();
            groups.push(each);
        }
        groups.sort_unstable();
        // One node has all groups, and the other one none.
        Ok(groups == [["released"], ["running"]])
    }

    /// As its beats tell: who counts a peer as gone clears the peer's bit in the next one, which is sent at once.
    fn verdicts(&self, view: &View<'_>, since: Moment) -> Result<Vec<Verdict>> {
        let mut counted = [false; NODES];
        let mut verdicts = Vec::new();
        for seen in view.observer.since(since)? {
            let Packet::Beat { present, .. } = seen.packet else {
                continue;
            };
            let peer = 1 - seen.sender;
            let is_present = present & (1 << peer) != 0;
            if counted[seen.sender] && !is_present {
                verdicts.push(Verdict {
                    by: seen.sender,
                    at: seen.at,
                });
            }
            counted[seen.sender] = is_present;
        }
        Ok(verdicts)
    }

    /// As its status says.
    fn detected(&self, view: &View<'_>, by: usize, since: Moment) -> Result<Option<Moment>> {
        let takeover = Status::of_host(&view.hosts[by])?.last_takeover;
        let detected = takeover.and_then(|takeover| takeover.moment(takeover.detected_us?));
        Ok(detected.filter(|at| *at >= since))
    }
}
