//! `cargo xtask sim`: clusters through seeded disasters, on a virtual clock.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{build_ebpf, process, setup};

#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the simulator: --seeds N, --seed S, --trace, --all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    // The simulator loads no XDP program, but it is built with the daemon's crate, which embeds it.
    build_ebpf::run(workspace, &setup::toolchain()?)?;
    let mut command = workspace.cargo("run");
    command.args(["--release", "--package", "hb-tests", "--bin", "hb-sim", "--"]);
    process::loudly(command.args(&args.args))
}
