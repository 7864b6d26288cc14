//! `cargo xtask demo`: the tutorial's cluster on this machine.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{build_ebpf, process, setup};

#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the demo, as in `cargo xtask demo --json FILE`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    with_hb(workspace, "hb-demo", &args.args)
}

/// Builds hb and a program of the package hb-tests as they would be shipped, and becomes `program --hb PATH ARGS`, as
/// root.
pub fn with_hb(workspace: &Workspace, program: &str, args: &[String]) -> Result<()> {
    build_ebpf::run(workspace, &setup::install(workspace)?)?;
    process::loudly(workspace.cargo("build").args([
        "--release",
        "-p",
        "hb-user",
        "-p",
        "hb-tests",
        "--bin",
        "hb",
        "--bin",
        program,
    ]))?;
    let release: PathBuf = workspace.target.join("release");
    let mut command = process::as_root(release.join(program))?;
    command.arg("--hb").arg(release.join("hb")).args(args);
    // Becoming it, so that a signal meets the one who cleans up, and its exit code is ours.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run `{}`", process::shown(&command)))
}
