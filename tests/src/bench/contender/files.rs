//! What hb and Heartbeat have in common: their files.

use anyhow::Result;

use super::Timers;
use crate::{host::Host, nodes::Files};

/// haresources with which the address moves, too: as a group of its own, so that neither waits for the other where groups
/// are taken in parallel.
const WITH_ADDRESS: &str = "n1 stamp::web\nn1 IPaddr2::198.51.100.100/24/eth0\n";

/// What is written in them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) timers: Timers,
    /// Whether the address moves, beside the resource.
    pub(super) moves_address: bool,
}

impl Settings {
    /// Writes ha.cf, with more lines of it, authkeys and haresources to a host.
    pub(super) fn install(self, host: &Host, more: &str) -> Result<()> {
        let Timers { interval, deadtime } = self.timers;
        let ha_cf = format!(
            "{more}keepalive {}ms\ndeadtime {}ms\nauto_failback off",
            interval.as_millis(),
            deadtime.as_millis()
        );
        let files = Files::of(2, &ha_cf);
        let files = if self.moves_address {
            files.haresources(WITH_ADDRESS)
        } else {
            files
        };
        files.install(host)
    }
}
