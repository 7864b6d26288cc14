//! The parts of the benchmark: who adds one adds a line here to each list.

use anyhow::Result;
use clap::Subcommand;

use super::{
    address, cloud, detect, failover, flood,
    journal::{Journal, Show},
    packet,
    plan::Plan,
    quiet, restart, scale,
};

/// What can be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Subcommand)]
pub enum Name {
    /// What a frame costs in the XDP program
    Packet,
    /// From the deadline of a killed peer to the action, beside the rivals, under every kind of stress
    Detect,
    /// No fault, under every kind of stress: false deaths, gaps between beats, CPU, memory
    Quiet,
    /// Crash, cut, orderly stop and heal, beside the rivals: until the other's start, until a client's answer
    Failover,
    /// A flood at the standby's port: what it survives, what it costs, and detection meanwhile, beside the rivals
    Flood,
    /// For how long a peer hears nothing of a daemon that restarts in place
    Restart,
    /// 2 to 16 nodes that beat a thousand times a second, and tables of up to 4,096 peers
    Scale,
    /// From the decision to the first announcement of an address that moves, as a third host sees it
    Address,
    /// What hb adds to a provider's own time to move a floating IP, over a warm connection and a cold one
    Cloud,
}

impl Name {
    /// All parts, in the order in which they are measured.
    pub const ALL: &[Self] = &[
        Self::Packet,
        Self::Detect,
        Self::Quiet,
        Self::Failover,
        Self::Flood,
        Self::Restart,
        Self::Scale,
        Self::Address,
        Self::Cloud,
    ];

    /// Its name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Detect => "detect",
            Self::Quiet => "quiet",
            Self::Failover => "failover",
            Self::Flood => "flood",
            Self::Restart => "restart",
            Self::Scale => "scale",
            Self::Address => "address",
            Self::Cloud => "cloud",
        }
    }

    /// Measures it, and has each report shown and kept as soon as it is there.
    pub fn measure(self, plan: &Plan, journal: &mut Journal) -> Result<()> {
        journal.begin_part(self.name());
        let show: &mut Show<'_> = &mut |report| journal.report(report);
        match self {
            Self::Packet => {
                let standard = packet::Effort::default();
                let runs = plan.runs(standard.runs, standard.runs);
                let packets = packet::run(packet::Effort { runs, ..standard })?;
                journal.packets(packets)?;
            }
            Self::Detect => detect::measure(plan, show)?,
            Self::Quiet => quiet::measure(plan, show)?,
            Self::Failover => failover::measure(plan, show)?,
            Self::Flood => flood::measure(plan, show)?,
            Self::Restart => restart::measure(plan, show)?,
            Self::Scale => scale::measure(plan, show)?,
            Self::Address => address::measure(plan, show)?,
            Self::Cloud => cloud::measure(plan, show)?,
        }
        journal.end_part()
    }
}
