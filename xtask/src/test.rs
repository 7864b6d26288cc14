//! `cargo xtask test`: everything that `cargo test` needs, then `cargo test`.

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{build_ebpf, process, setup};

#[derive(clap::Args)]
pub struct Args {
    /// Passed on to `cargo test`, as in `cargo xtask test -p hb-user -- --nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build_ebpf::run(workspace, &setup::install(workspace)?)?;
    suite(workspace, &args.args)?;
    if args.args.is_empty() {
        mutations(workspace)?;
    }
    Ok(())
}

/// Breaks the core on purpose, rule by rule, and sees the simulator catch it.
pub fn mutations(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo("test");
    command.args([
        "--package",
        "hb-tests",
        "--features",
        "mutations",
        "--test",
        "simulation",
        "mutations",
    ]);
    process::loudly(&mut command)
}

/// Runs `cargo test`, as root where we are not: hosts made of namespaces and XDP need it.
pub fn suite(workspace: &Workspace, args: &[String]) -> Result<()> {
    let mut command = workspace.cargo("test");
    let names_package = |arg: &String| arg.starts_with("-p") || arg.starts_with("--package");
    if !args.iter().take_while(|arg| *arg != "--").any(names_package) {
        command.arg("--workspace");
    }
    // One run names all that fails.
    if args.is_empty() {
        command.arg("--no-fail-fast");
    }
    command.args(args);
    if !process::is_root() {
        let runner = format!(
            "CARGO_TARGET_{}_RUNNER",
            host(workspace)?.to_uppercase().replace('-', "_")
        );
        println!("the tests make network namespaces and load XDP, so they run through sudo ({runner}='sudo -E')");
        command.env(runner, "sudo -E");
    }
    process::loudly(&mut command)
}

fn host(workspace: &Workspace) -> Result<String> {
    let about = process::quietly(workspace.cargo("version").arg("--verbose"))?;
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("cargo does not tell its host")?;
    Ok(host.to_owned())
}
