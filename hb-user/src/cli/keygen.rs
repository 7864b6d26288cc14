//! Writes a fresh authkeys file.

use super::Failure;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args) -> Result<(), Failure> {
    Err(anyhow::anyhow!("not written yet").into())
}
