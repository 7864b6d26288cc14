//! Restarts the daemon in place: what runs goes on, and the peers wait.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::order::{Manner, conclude};
use super::{Exit, Failure, print, unanswered};
use crate::causes::causes;
use crate::clock;
use crate::control::{self, ClientError, Order, Reply, Request, Status};

/// How often the new process is asked whether it is there.
const PAUSE: Duration = Duration::from_millis(20);

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    manner: Manner,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let dir = &args.manner.run_dir;
    let before = status(dir)
        .map_err(unanswered)?
        .context("the daemon answers another question")?;
    let began = clock::now();
    match control::ask(dir, &args.manner.request(Order::Restart)) {
        Ok(reply) => return conclude(reply),
        // The process that was asked is no more.
        Err(ClientError::Gone { .. } | ClientError::Io { .. }) => {}
        Err(
            error @ (ClientError::NotRunning { .. } | ClientError::NotPermitted { .. } | ClientError::Unreadable(_)),
        ) => {
            return Err(unanswered(error));
        }
    }
    loop {
        let asked = status(dir);
        if let Ok(Some(after)) = &asked {
            return print(&said(&before, after)?);
        }
        if u128::from(clock::now().since(began).0) > args.manner.timeout.as_nanos() {
            let why = asked.err().map(|error| causes(&error)).unwrap_or_default();
            return Err(Failure::new(
                Exit::NotInTime,
                anyhow!("the new process does not answer: {why}; see its log. The peers wait no longer than promised"),
            ));
        }
        clock::pause(PAUSE);
    }
}

/// What the new process is, compared with the former one.
fn said(before: &Status, after: &Status) -> Result<String, Failure> {
    if after.incarnation != before.incarnation {
        return Err(anyhow!("hb has begun anew, and knows nothing of before: see its log").into());
    }
    if after.restart.count == before.restart.count {
        return Err(anyhow!("hb has not restarted: see its log").into());
    }
    let version = if before.version == after.version {
        format!("hb {}", after.version)
    } else {
        format!("hb {}, which was {}", after.version, before.version)
    };
    let micros = after.restart.silence_us.unwrap_or_default();
    Ok(format!(
        "restarted: {version}; silent for {}.{} ms of the {} ms that were promised\n",
        micros / 1000,
        micros % 1000 / 100,
        after.restart.promise_ms
    ))
}

fn status(dir: &Path) -> Result<Option<Status>, ClientError> {
    Ok(match control::ask(dir, &Request::Status)? {
        Reply::Status(status) => Some(*status),
        Reply::Done { .. } | Reply::Refused { .. } | Reply::Failed { .. } | Reply::Pending { .. } | Reply::Error(_) => {
            None
        }
    })
}
