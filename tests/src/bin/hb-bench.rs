//! Measures what docs/BENCHMARKS.md states.

use std::{fs::File, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use hb_tests::{
    bench::{detect, handover, heal, idle, machine::Machine, packet, report::Report, restart},
    cluster::hb_binary,
};
use serde::Serialize;

/// Measures what docs/BENCHMARKS.md states, on hosts made of namespaces.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What to measure
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    /// The hb to measure, which should be a release build [default: the one beside this program]
    #[arg(long, value_name = "PATH", env = "HB_BIN")]
    hb: Option<PathBuf>,
    /// Write all figures, with each run's value, to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often to repeat [default: as docs/BENCHMARKS.md does]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
}

/// The measurements.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum What {
    /// What a frame costs in the XDP program
    Packet,
    /// From the deadline of a killed peer to the script, and from the SIGTERM of an owner to its peer's
    Detect,
    /// What a quiet cluster costs
    Idle,
    /// For how long a peer hears nothing of a daemon that restarts in place
    Restart,
    /// What a healed partition costs, beside Heartbeat
    Heal,
    All,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Results {
    machine: Machine,
    packets: Option<packet::PacketReport>,
    reports: Vec<Report>,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hb-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let hb = arguments.hb.clone().map_or_else(hb_binary, Ok)?;
    let runs = |default| arguments.runs.map_or(default, usize::from);
    let wanted = |what| arguments.what == what || arguments.what == What::All;
    let mut results = Results {
        machine: Machine::this()?,
        packets: None,
        reports: Vec::new(),
    };
    println!("{}\n", results.machine);

    if wanted(What::Packet) {
        let standard = packet::Effort::default();
        let report = packet::run(packet::Effort {
            runs: runs(standard.runs),
            ..standard
        })?;
        println!("{report}");
        results.packets = Some(report);
    }
    let mut add = |report: Report| {
        println!("{report}");
        results.reports.push(report);
    };
    if wanted(What::Detect) {
        add(detect::measure(&hb, runs(detect::RUNS))?);
        add(handover::measure(&hb, runs(handover::RUNS))?);
    }
    if wanted(What::Idle) {
        add(idle::measure(&hb, runs(idle::RUNS))?);
    }
    if wanted(What::Restart) {
        add(restart::measure(&hb, runs(restart::RUNS))?);
    }
    match heal::obstacle() {
        // Heartbeat is not for everybody's machine: only who asks for it must have it.
        Some(reason) if arguments.what == What::All => println!("HEAL: left out: {reason:#}\n"),
        Some(_) | None if wanted(What::Heal) => heal::measure(&hb, runs(heal::RUNS))?.into_iter().for_each(add),
        Some(_) | None => {}
    }
    match &arguments.json {
        Some(path) => write_json(path, &results).with_context(|| format!("cannot write {}", path.display())),
        None => Ok(()),
    }
}

fn write_json(path: &PathBuf, results: &Results) -> Result<()> {
    let mut file = File::create(path)?;
    serde_json::to_writer_pretty(&mut file, results)?;
    Ok(writeln!(file)?)
}
