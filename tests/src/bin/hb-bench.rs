//! Measures what docs/BENCHMARKS.md states; `cargo xtask bench` is the way to it.

use std::{
    io::{Write as _, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use hb_tests::{
    bench::{drawings, parts::Name, plan::Plan, reach, results::Results, table},
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
    /// All of the above; what is measured when no part is named
    All,
    /// Draw what `--json` has written, to the directory of `--plots`
    Plot {
        /// What `--json` has written
        file: PathBuf,
    },
    /// Print what `--json` has written as tables in Markdown, the goals first
    Table {
        /// What `--json` has written
        file: PathBuf,
    },
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
    /// Draw the distributions, as SVG, in a directory
    #[arg(long, global = true, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// The hb to measure, which should be a release build [default: the one beside this program]
    #[arg(long, global = true, value_name = "PATH", env = "HB_BIN")]
    hb: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { command, options } = Arguments::parse();
    let done = match command {
        None | Some(Command::All) => measure(Name::ALL, options),
        Some(Command::Part(part)) => measure(&[part], options),
        Some(Command::Plot { file }) => plot(&file, options.plots),
        Some(Command::Table { file }) => table(&file),
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
    match options.plots {
        Some(directory) => draw(&results, &directory),
        None => Ok(()),
    }
}

fn plot(file: &Path, directory: Option<PathBuf>) -> Result<()> {
    let directory = directory.context("plot: --plots DIR says where to draw")?;
    draw(&Results::read(file)?, &directory)
}

fn draw(results: &Results, directory: &Path) -> Result<()> {
    for name in drawings::write(results, directory)? {
        println!("{}", directory.join(name).display());
    }
    Ok(())
}

fn table(file: &Path) -> Result<()> {
    let results = Results::read(file)?;
    let (reach, tables) = (reach::markdown(&results), table::markdown(&results));
    // Whoever reads it may have had enough.
    let _ = write!(stdout(), "{reach}\n{tables}");
    Ok(())
}
