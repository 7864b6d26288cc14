//! Every developer and CI command of hb: `cargo xtask --help`.

mod bench;
mod build_ebpf;
mod ci;
mod demo;
mod process;
mod setup;
mod sim;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Builds, tests and shows hb")]
enum Command {
    /// Install whatever is missing to build and test
    Setup(setup::Args),
    /// Build the XDP object that `cargo build` embeds in hb
    BuildEbpf,
    /// Set up, build the XDP object, and run the whole test suite
    Test(test::Args),
    /// What a change has to pass: format, lints, docs, build, tests
    Ci,
    /// Watch the tutorial's cluster fail over on this machine
    Demo(demo::Args),
    /// Simulate clusters through seeded disasters
    Sim(sim::Args),
    /// Measure what docs/BENCHMARKS.md states
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Not anyhow's own report: a missing package needs no backtrace.
            eprintln!("error: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup(args) => setup::run(&workspace, &args),
        Command::BuildEbpf => build_ebpf::run(&workspace, &setup::toolchain()?),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Ci => ci::run(workspace),
        Command::Demo(args) => demo::run(&workspace, &args),
        Command::Sim(args) => sim::run(&workspace, &args),
        Command::Bench(args) => bench::run(&workspace, &args),
    }
}
