//! Runs the daemon, in the foreground.

use std::path::PathBuf;

use anyhow::Context;

use super::{Exit, Failure};
use crate::config::{Cluster, Host};
use crate::control::RUN_DIR;
use crate::daemon::{self, Places, StartError};
use crate::datapath::DatapathError;
use crate::logging;
use crate::pulse::SocketError;

/// The arguments.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "they are named as the options")]
pub struct Args {
    /// Where ha.cf, authkeys and haresources are
    #[arg(long, value_name = "DIR", default_value = "/etc/ha.d")]
    config_dir: PathBuf,
    /// Where the daemon keeps what must survive a reboot
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hb")]
    state_dir: PathBuf,
    /// Where the control socket and the lock are
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    run_dir: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let host = Host::this().context("cannot read this host's name and addresses")?;
    let loaded = Cluster::load(&args.config_dir, &host)?;
    let _flush = logging::start(&loaded.cluster.logging).map_err(|error| Failure::new(Exit::of(&error), error))?;
    for warning in &loaded.warnings {
        tracing::warn!(origin = %warning.origin, "{}", warning.message);
    }
    let places = Places {
        state: args.state_dir.clone(),
        run: args.run_dir.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime
        .block_on(daemon::run(loaded.cluster, &places))
        .map_err(|error| Failure::new(exit(&error), error))
}

/// Some lacks of permission have a message of their own; any other shows in the causes.
fn exit(error: &StartError) -> Exit {
    match error {
        StartError::Datapath(DatapathError::NotPermitted(_))
        | StartError::Sockets(SocketError::NotPermitted { .. }) => Exit::NotPermitted,
        StartError::AlreadyRunning { .. }
        | StartError::Directory { .. }
        | StartError::Incarnation(_)
        | StartError::Datapath(_)
        | StartError::Sockets(_)
        | StartError::Pulse(_)
        | StartError::Pings(_)
        | StartError::Recorder(_)
        | StartError::Watchdog(_)
        | StartError::Hands(_)
        | StartError::Control(_)
        | StartError::Io(_)
        | StartError::Stuck { .. } => Exit::of(error),
    }
}
