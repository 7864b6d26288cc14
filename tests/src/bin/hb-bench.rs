//! Measures what docs/BENCHMARKS.md states; `cargo xtask bench` is the way to it.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use hb_tests::{
    bench::{parts::Name, plan::Plan, results::Results},
    cluster::hb_binary,
};

/// Measures what docs/BENCHMARKS.md states, on hosts made of namespaces
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask bench",
    version,
    subcommand_value_name = "PART",
    subcommand_help_heading = "Parts"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

/// What to measure, or to do with what was measured.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Part(Name),
    /// All of the above [default]
    All,
}

#[derive(Args, Clone, Debug)]
struct Options {
    /// A first impression, within minutes
    #[arg(long, global = true)]
    quick: bool,
    /// How often to repeat [default: as docs/BENCHMARKS.md does]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
    /// Only these: hb, heartbeat, keepalived, bfdd [default: all that are installed]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    contender: Vec<String>,
    /// Only these events or steps of the ladder, such as crash, stop, idle [default: all]
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Write all figures, with each run's value, to a file
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The hb to measure, which should be a release build [default: the one beside this program]
    #[arg(long, global = true, value_name = "PATH", env = "HB_BIN")]
    hb: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { command, options } = Arguments::parse();
    let done = match command {
        None | Some(Command::All) => measure(Name::ALL, options),
        Some(Command::Part(part)) => measure(&[part], options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hb-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(parts: &[Name], options: Options) -> Result<()> {
    let plan = Plan {
        hb: options.hb.map_or_else(hb_binary, Ok)?,
        runs: options.runs.map(usize::from),
        quick: options.quick,
        contenders: options.contender,
        only: options.only,
    };
    let mut results = Results::begin(&plan.hb)?;
    println!("{}\n{}\n", results.machine, results.programs);
    for part in parts {
        results.parts.push(part.measure(&plan)?);
        // After each part, so that a failure later on does not lose what is there.
        if let Some(path) = &options.json {
            results.write(path)?;
        }
    }
    Ok(())
}
