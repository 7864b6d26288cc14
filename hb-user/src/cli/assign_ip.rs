//! Does what the tutorial's assign-ip script does, and waits until it is true.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::answer::{Failed, Fields, Noted, fields};
use super::ip::{micros, say, seconds, since, started, warn_unencrypted};
use super::{Exit, Failure};
use crate::config::{self, CloudAddress, CloudKind, CloudSettings, CloudTarget, InstanceId, SecretSource};
use crate::resources::cloud::{self, Claim, FloatingIp, Moved, Order};
use crate::secret::Secret;

/// The environment variables that may hold the token, the first one that is set counts; the tutorial uses the second.
const TOKEN: [&str; 2] = ["DO_TOKEN", "TOKEN"];

/// The longest that it may take.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// What `--help` says.
const EXITS: &str = "\
The API token is taken from DO_TOKEN, else from TOKEN, else from the file given.

Exit codes:
  0  the address is the droplet's
  1  it failed; the message says why
  2  wrong usage
  4  the token's file may not be read
  5  not done within the timeout; what was begun goes on at the provider
  6  the token's file is missing, or refused";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Args {
    /// The floating (reserved) IP
    ip: IpAddr,
    /// The droplet that is to have it, by its number
    droplet_id: u64,
    /// A file that holds the API token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where the API is
    #[arg(
        long,
        value_name = "URL",
        env = "DO_API_URL",
        default_value = "https://api.digitalocean.com",
        value_parser = crate::config::api_url
    )]
    api_url: String,
    /// How long it may take: 60s, 500ms, 2m, or a number of seconds
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = timeout)]
    timeout: Duration,
    /// Print one JSON object at the end, whatever comes of it
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let asked = fields(json!({ "ip": args.ip, "droplet_id": args.droplet_id }));
    assign(args).map_err(|failed| failed.told(args.json, asked))
}

fn assign(args: &Args) -> Result<(), Failed> {
    let address = CloudAddress {
        kind: CloudKind::DigitalOcean,
        target: CloudTarget::Ip(args.ip),
    };
    warn_unencrypted("--api-url (or DO_API_URL)", &args.api_url);
    let ip = open(args, &address)?;
    let order = Order {
        to: InstanceId::new(&args.droplet_id.to_string()),
        claim: Claim::Anybody,
        within: args.timeout,
    };
    let noted = Noted::default();
    let watch = noted.watch(super::ip::watch(args.json));
    let moved = started(ip.take_over(order, watch))?.map_err(|error| {
        let mut failed = Failed::refused(error).knowing(numbered(noted.known()));
        // As the tutorial's script has it, whatever the reason; but who waits no longer has not failed.
        if failed.failure.exit != Exit::NotInTime {
            failed.failure.exit = Exit::Failed;
        }
        let what = format!("cannot assign {} to droplet {}", args.ip, args.droplet_id);
        failed.failure.error = failed.failure.error.context(what);
        failed
    })?;
    finish(args, &moved);
    Ok(())
}

/// With the token of the environment, else with the one in the file given, which has to be as for the daemon: readable by its owner only.
fn open(args: &Args, address: &CloudAddress) -> Result<FloatingIp, Failed> {
    let settings = |secret| CloudSettings {
        api_url: args.api_url.clone(),
        ..CloudSettings::new(CloudKind::DigitalOcean, secret)
    };
    let from_env = TOKEN
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .map(Zeroizing::new);
    let set = from_env
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty());
    if let Some(token) = set {
        return Ok(cloud::open_with(
            address,
            &settings(SecretSource::Given),
            &Secret::new(token),
        )?);
    }
    let file = args.token_file.clone();
    let file = file.context("no API token: set DO_TOKEN or TOKEN, or give --token-file")?;
    Ok(cloud::open(address, &settings(SecretSource::File(file)))?)
}

fn finish(args: &Args, moved: &Moved) {
    let was_ours = moved.was_ours();
    let after = |time| micros(since(moved.begun, time));
    let verified = since(moved.begun, moved.verified);
    if args.json {
        say(&json!({
            "ip": args.ip,
            "droplet_id": args.droplet_id,
            "already": was_ours,
            "action": moved.action.as_ref().and_then(|action| number(action.as_str())),
            "accepted_us": moved.accepted.map(after),
            "completed_us": moved.completed.map(after),
            "verified_us": micros(verified),
        })
        .to_string());
        return;
    }
    let verb = if was_ours { "is already" } else { "is" };
    say(&format!(
        "{} {verb} assigned to droplet {}: verified after {}",
        args.ip,
        args.droplet_id,
        seconds(verified)
    ));
}

fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| format!("{text}s"));
    let time = config::parse_time(seconds.as_deref().unwrap_or(text)).map_err(|error| error.to_string())?;
    if time > MAX_TIMEOUT {
        return Err(format!("expected at most {}m", MAX_TIMEOUT.as_secs() / 60));
    }
    Ok(time)
}

/// `DigitalOcean` counts its actions.
fn numbered(mut known: Fields) -> Fields {
    let action = known.get("action").and_then(Value::as_str).and_then(number);
    if let Some(action) = action {
        known.insert("action".to_owned(), action.into());
    }
    known
}

fn number(action: &str) -> Option<u64> {
    action.parse().ok()
}

#[cfg(test)]
mod tests;
