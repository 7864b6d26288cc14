//! Runs the daemon, in the foreground.

use std::os::fd::{AsFd as _, RawFd};
use std::path::PathBuf;

use anyhow::Context;

use super::{Exit, Failure};
use crate::clock;
use crate::config::{Cluster, Host};
use crate::control::RUN_DIR;
use crate::daemon::{self, Handover, HandoverError, Invocation, Places, StartError};
use crate::datapath::DatapathError;
use crate::logging;
use crate::pulse::{self, SocketError};

/// What `--help` says.
const EXITS: &str = "\
Exit codes:
  0  it was told to end (SIGTERM, SIGINT), and has handed over
  1  it could not start, or could not go on; the message says why
  2  wrong usage
  4  not permitted: try as root
  6  the configuration is missing or refused, or a token that it names";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Args {
    /// Where ha.cf, authkeys and haresources are
    #[arg(long, value_name = "DIR", default_value = "/etc/ha.d", value_parser = super::directory())]
    config_dir: PathBuf,
    /// Where the daemon keeps what must survive a reboot
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hb")]
    state_dir: PathBuf,
    /// Where the control socket and the lock are
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    run_dir: PathBuf,
    /// The descriptor of the state from which this process goes on, which was another before
    #[arg(long, value_name = "FD", hide = true)]
    handover: Option<RawFd>,
    /// Only try whether a process could go on from the state at its input
    #[arg(long, hide = true)]
    check_handover: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let host = Host::this().context("cannot read this host's name and addresses")?;
    let loaded = Cluster::load(&args.config_dir, &host)?;
    if args.check_handover {
        return check(&loaded.cluster);
    }
    // No thread but this one is to take them: only so can they wait while one process becomes another.
    daemon::hold_signals().context("cannot block signals")?;
    let former = args.handover.map(|descriptor| former(descriptor, &loaded.cluster));
    let _flush = logging::start(&loaded.cluster.logging).map_err(|error| Failure::new(Exit::of(&error), error))?;
    for warning in &loaded.warnings {
        tracing::warn!(origin = %warning.origin, "{}", warning.message);
    }
    let places = Places {
        state: args.state_dir.clone(),
        run: args.run_dir.clone(),
        again: Invocation::this().context("cannot tell which program this is")?,
    };
    let former = former.transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(|| {
            // It fails for no set of signals that there are.
            let _ = daemon::hold_signals();
        })
        .build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime
        .block_on(daemon::run(loaded.cluster, &places, former))
        .map_err(|error| Failure::new(exit(&error), error))
}

/// The state that the former program of this process has left, which goes on with the same configuration.
fn former(descriptor: RawFd, cluster: &Cluster) -> Result<Handover, Failure> {
    let file = pulse::adopt(descriptor).context("--handover")?;
    let former = read(daemon::text_of(file), std::process::id())?;
    former.fits(cluster).map_err(failure)?;
    Ok(former)
}

/// Tries all that a process has to do that goes on from the state at our input, which our parent has written.
fn check(cluster: &Cluster) -> Result<(), Failure> {
    let file = std::io::stdin().as_fd().try_clone_to_owned().context("stdin")?;
    let former = read(daemon::text_of(file), std::os::unix::process::parent_id())?;
    daemon::check(cluster, &former).map_err(|error| Failure::new(exit(&error), error))
}

fn read(text: Result<String, HandoverError>, process: u32) -> Result<Handover, Failure> {
    let boot = daemon::boot().context("cannot read the boot id")?;
    let former = text.and_then(|text| Handover::read(&text, process, &boot, clock::now()));
    former.map_err(failure)
}

fn failure(error: HandoverError) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// Some lacks of permission have a message of their own; any other shows in the causes.
fn exit(error: &StartError) -> Exit {
    match error {
        StartError::Datapath(DatapathError::NotPermitted(_))
        | StartError::Sockets(SocketError::NotPermitted { .. }) => Exit::NotPermitted,
        StartError::Cloud(error) => Exit::of_cloud(error),
        StartError::AlreadyRunning { .. }
        | StartError::Directory { .. }
        | StartError::Incarnation(_)
        | StartError::Datapath(_)
        | StartError::Sockets(_)
        | StartError::Pulse(_)
        | StartError::Pings(_)
        | StartError::Recorder(_)
        | StartError::Logfile(_)
        | StartError::Watchdog(_)
        | StartError::Hands(_)
        | StartError::Control(_)
        | StartError::Handover(_)
        | StartError::Io(_)
        | StartError::Stuck { .. } => Exit::of(error),
    }
}
