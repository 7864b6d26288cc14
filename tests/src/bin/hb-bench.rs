//! Measures what docs/BENCHMARKS.md states; `cargo xtask bench` is the way to it.

use std::{
    io::{Write as _, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};
use hb_tests::{
    bench::{drawings, journal::Journal, parts::Name, plan::Plan, reach, results::Results, table},
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
        /// What `--json` has written, in one go or in several; what stands in two files is taken from the later one
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print what `--json` has written as tables in Markdown, the goals first
    Table {
        /// What `--json` has written, in one go or in several; what stands in two files is taken from the later one
        #[arg(required = true)]
        files: Vec<PathBuf>,
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
    /// Only these: hb, heartbeat, keepalived, bfdd, script [default: all that are installed]
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
        Some(Command::Plot { files }) => plot(&files, options.plots),
        Some(Command::Table { files }) => table(&files),
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
    let results = Results::begin(&plan.hb)?;
    println!("{}\n{}\n", results.machine, results.programs);
    let mut journal = Journal::begin(results, options.json)?;
    let mut failed = Vec::new();
    for part in parts {
        // The other parts are not lost by it.
        if let Err(error) = part.measure(&plan, &mut journal) {
            eprintln!("hb-bench: {}: {error:#}\n", part.name());
            failed.push(part.name());
        }
    }
    if let Some(directory) = options.plots {
        draw(journal.results(), &directory)?;
    }
    ensure!(
        failed.is_empty(),
        "not measured, or not as a whole: {}",
        failed.join(", ")
    );
    Ok(())
}

fn plot(files: &[PathBuf], directory: Option<PathBuf>) -> Result<()> {
    let directory = directory.context("plot: --plots DIR says where to draw")?;
    draw(&Results::read_all(files)?, &directory)
}

fn draw(results: &Results, directory: &Path) -> Result<()> {
    for name in drawings::write(results, directory)? {
        println!("{}", directory.join(name).display());
    }
    Ok(())
}

fn table(files: &[PathBuf]) -> Result<()> {
    let results = Results::read_all(files)?;
    let (reach, tables) = (reach::markdown(&results), table::markdown(&results));
    // Whoever reads it may have had enough.
    let _ = write!(stdout(), "{reach}\n{tables}");
    Ok(())
}
