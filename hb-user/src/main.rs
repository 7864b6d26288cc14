//! The binary `hb`: the command line, and nothing else.

use std::process::ExitCode;

use clap::Parser;
use hb_user::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
