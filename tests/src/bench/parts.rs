//! The parts of the benchmark: who adds one adds a line here to each of the three lists.

use anyhow::Result;
use clap::Subcommand;

use super::{detect, failover, flood, packet, plan::Plan, quiet, report::Report, restart, results::Part, scale};
use crate::clock::Moment;

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
    ];

    /// Measures it, prints each report as soon as it is there, and gives all of them.
    pub fn measure(self, plan: &Plan) -> Result<Part> {
        let began = Moment::now();
        let mut packets = None;
        let mut reports = Vec::new();
        let mut show = |report: Report| {
            println!("{report}");
            reports.push(report);
        };
        let name = match self {
            Self::Packet => {
                let standard = packet::Effort::default();
                let runs = plan.runs(standard.runs, standard.runs);
                let report = packet::run(packet::Effort { runs, ..standard })?;
                println!("{report}");
                packets = Some(report);
                "packet"
            }
            Self::Detect => {
                detect::measure(plan, &mut show)?;
                "detect"
            }
            Self::Quiet => {
                quiet::measure(plan, &mut show)?;
                "quiet"
            }
            Self::Failover => {
                failover::measure(plan, &mut show)?;
                "failover"
            }
            Self::Flood => {
                flood::measure(plan, &mut show)?;
                "flood"
            }
            Self::Restart => {
                restart::measure(plan, &mut show)?;
                "restart"
            }
            Self::Scale => {
                scale::measure(plan, &mut show)?;
                "scale"
            }
        };
        Ok(Part {
            name: name.to_owned(),
            seconds: began.elapsed().as_secs_f64(),
            packets,
            reports,
        })
    }
}
