//! Does what the tutorial's assign-ip script does, and waits until it is true.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use zeroize::Zeroizing;

use super::Failure;
use crate::resources::digitalocean::{API_URL, Assigned, Client, Progress};
use crate::secret::Secret;

/// The environment variables that may hold the token, the first one that is set counts; the tutorial uses the second.
const TOKEN: [&str; 2] = ["DO_TOKEN", "TOKEN"];

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "The API token is taken from DO_TOKEN, else from TOKEN, else from the file given.")]
pub struct Args {
    /// The floating (reserved) IP
    ip: IpAddr,
    /// The droplet that is to have it, by its number
    droplet_id: u64,
    /// A file that holds the API token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where the API is
    #[arg(long, value_name = "URL", env = "DO_API_URL", default_value = API_URL)]
    api_url: String,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let token = token(args.token_file.as_deref())?;
    let client = Client::new(&args.api_url, &token).map_err(anyhow::Error::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut report = |progress: &Progress<'_>| show(args.json, progress);
    let within = Duration::from_secs(args.timeout.into());
    let assigned = runtime.block_on(client.assign(args.ip, args.droplet_id, within, &mut report));
    // Not dropped: that would wait for a name server that does not answer, beyond the time given.
    runtime.shutdown_background();
    let assigned = assigned
        .map_err(anyhow::Error::from)
        .with_context(|| format!("cannot assign {} to droplet {}", args.ip, args.droplet_id))?;
    finish(args, assigned);
    Ok(())
}

fn token(file: Option<&Path>) -> anyhow::Result<Secret> {
    let from_env = TOKEN
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .map(Zeroizing::new);
    let set = from_env
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty());
    if let Some(token) = set {
        return Ok(Secret::new(token));
    }
    let file = file.context("no API token: set DO_TOKEN or TOKEN, or give --token-file")?;
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.with_context(|| format!("cannot read the API token from {}", file.display()))?;
    let token = text.trim();
    anyhow::ensure!(
        !token.is_empty(),
        "no API token in {}: the file is empty",
        file.display()
    );
    Ok(Secret::new(token.to_owned()))
}

/// Progress: on stdout for people, nothing for programs. Retries are on stderr for both.
fn show(json: bool, progress: &Progress<'_>) {
    match progress {
        Progress::Retrying { reason, pause } => {
            let _ = writeln!(std::io::stderr(), "hb: {reason}; again in {} s", pause.as_secs_f32());
        }
        Progress::Accepted { .. } | Progress::Completed { .. } if json => {}
        Progress::Accepted { action, after } => say(&format!("accepted: action {action} after {}", seconds(*after))),
        Progress::Completed { action, after } => say(&format!("completed: action {action} after {}", seconds(*after))),
    }
}

fn finish(args: &Args, assigned: Assigned) {
    let Assigned {
        action,
        accepted,
        completed,
        verified,
    } = assigned;
    if args.json {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        say(&serde_json::json!({
            "ip": args.ip,
            "droplet_id": args.droplet_id,
            "already": action.is_none(),
            "action": action,
            "accepted_us": accepted.map(micros),
            "completed_us": completed.map(micros),
            "verified_us": micros(verified),
        })
        .to_string());
        return;
    }
    let verb = if action.is_some() { "is" } else { "is already" };
    say(&format!(
        "{} {verb} assigned to droplet {}: verified after {}",
        args.ip,
        args.droplet_id,
        seconds(verified)
    ));
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

/// Prints a line. A reader that has gone away is no reason to leave an address behind half moved.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests;
