//! Does what the tutorial's assign-ip script does.

use super::Failure;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args) -> Result<(), Failure> {
    Err(anyhow::anyhow!("not written yet").into())
}
