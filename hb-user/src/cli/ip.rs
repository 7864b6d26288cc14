//! Floating IPs by hand, and from scripts: who has one, give it to somebody, is it here.

use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use hb_ebpf::Nanos;
use serde_json::json;

use self::place::Place;
use super::answer::{Failed, NOT_ACTIVE, NOT_OURS, NOT_READY, Noted, address_field, fields};
use super::{Exit, Failure};
use crate::clock;
use crate::config::{InstanceId, parse_time};
use crate::resources::cloud::{self, Claim, FloatingIp, MoveError, Moved, Order, Owner, Progress, Readiness, Watch};

mod place;
#[cfg(test)]
mod tests;

/// What `--help` says.
pub(super) const EXITS: &str = "\
Exit codes:
  0  done; owner: the owner is known; verify: the address is this host's, and nothing stands in the way of a takeover
  1  it failed, or is not known; the message says why
  2  wrong usage
  4  the provider refuses the token, or its file may not be read
  5  not done within the timeout; what was begun goes on at the provider
  6  not configured: no table of this provider in hb.toml and no --token-file, or hb.toml or the token's file is refused
  7  the address is somebody else's (or nobody's), or is not active here; verify: and this host could take it over

With --json one object is printed, whatever comes of it, but for wrong usage (2). Of what failed it has `error`, the message, and `class`:
  setting       nothing was asked of the provider: hb.toml, the arguments or the token are at fault
  unauthorised  the token is refused; `status`
  refused       the API refuses what was asked for; `status`
  throttled     the API wants to be left alone for `retry_after_s`
  pending, passing, deadline
                trying again later may help
  action        the action was accepted, and failed at the provider
  not_ours, contended
                the address is `owner`'s; the second: and was not to be taken from it
  not_active    the API says that the address is this host's, its metadata service that it is not here
  not_ready     something stands in the way of a takeover, wherever the address is: `problems`
and what is known: of a move who had the address (`from`), and how far it came.

The daemon is not asked, and does not learn of it but by its own checks.";

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show who has an address
    #[command(after_long_help = EXITS)]
    Owner(OwnerArgs),
    /// Give an address to this host, or another, and wait until it is there
    #[command(after_long_help = EXITS)]
    Assign(AssignArgs),
    /// Show whether an address is here, and whether it could be taken over
    #[command(after_long_help = EXITS)]
    Verify(OwnerArgs),
}

#[derive(Debug, clap::Args)]
struct OwnerArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct AssignArgs {
    #[command(flatten)]
    place: Place,
    /// The instance that is to have it, by the provider's number or id; without it this host
    #[arg(long, value_name = "INSTANCE", value_parser = instance)]
    to: Option<InstanceId>,
    /// Take it from this instance only, or from nobody
    #[arg(long, value_name = "INSTANCE", value_parser = instance)]
    only_from: Option<InstanceId>,
    /// How long it may take (60s, 500ms, 2m); without it as hb.toml says
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    timeout: Option<Duration>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (place, result) = match &args.command {
        Command::Owner(args) => (&args.place, owner(&args.place)),
        Command::Assign(args) => (&args.place, assign(args)),
        Command::Verify(args) => (&args.place, verify(&args.place)),
    };
    let asked = fields(json!({ "address": place.address }));
    result.map_err(|failed| failed.told(place.json, asked))
}

fn owner(place: &Place) -> Result<(), Failed> {
    let ip = place.open()?;
    let (owner, me) = started(async {
        let owner = ip.owner().await?;
        // Who asks from elsewhere has no metadata service.
        Ok((owner, ip.identity().await.ok()))
    })?
    .map_err(|failure| Failed::refused(MoveError::Failed(failure)).knowing(address_field(&ip)))?;
    if place.json {
        say(&owner_json(&ip, &owner, me.as_ref()).to_string());
        return Ok(());
    }
    let note = match &me {
        Some(me) if owner.instance.as_ref() == Some(me) => ", this host",
        Some(_) | None => "",
    };
    say(&format!("{} belongs to {owner}{note}", ip.address().target));
    Ok(())
}

fn assign(args: &AssignArgs) -> Result<(), Failed> {
    let place = &args.place;
    let ip = place.open()?;
    let order = Order {
        to: args.to.clone(),
        claim: args
            .only_from
            .clone()
            .map_or(Claim::Anybody, |from| Claim::From(vec![Some(from)])),
        within: args.timeout.unwrap_or(ip.settings().move_timeout),
    };
    let noted = Noted::default();
    let moved = started(ip.take_over(order, noted.watch(watch(place.json))))?;
    let moved = moved.map_err(|error| {
        let failed = Failed::refused(error).knowing(noted.known());
        failed.knowing(address_field(&ip))
    })?;
    if place.json {
        say(&moved_json(&ip, &moved).to_string());
        return Ok(());
    }
    let verb = if moved.was_ours() { "is already" } else { "is" };
    say(&format!(
        "{} {verb} assigned to {}: verified after {}",
        ip.address().target,
        moved.instance,
        seconds(since(moved.begun, moved.verified))
    ));
    Ok(())
}

fn verify(place: &Place) -> Result<(), Failed> {
    let ip = place.open()?;
    let readiness = started(ip.readiness())?;
    let known = readiness_json(&ip, &readiness);
    if !place.json {
        show(&ip, &readiness);
    }
    match complaint(&ip, readiness) {
        None if place.json => say(&known.to_string()),
        None => {}
        Some(failed) => return Err(failed.knowing(fields(known))),
    }
    Ok(())
}

/// Why the exit code of `verify` is not 0.
fn complaint(ip: &FloatingIp, readiness: Readiness) -> Option<Failed> {
    let is_ours = readiness.is_ours();
    let problems = readiness.problems();
    let owner = match (readiness.owner, readiness.identity) {
        (Ok(owner), Ok(_)) => owner,
        (Err(failure), _) | (Ok(_), Err(failure)) => return Some(Failed::refused(MoveError::Failed(failure))),
    };
    let problems = problems.join("; ");
    let (exit, class, complaint) = match is_ours {
        Some(true) if !problems.is_empty() => (Exit::Failed, NOT_READY, problems),
        Some(true) if readiness.is_active == Some(false) => {
            (Exit::NotOurs, NOT_ACTIVE, MoveError::NotActive.to_string())
        }
        Some(true) => return None,
        Some(false) | None => {
            let complaint = format!("{} belongs to {owner}", ip.address().target);
            if problems.is_empty() {
                (Exit::NotOurs, NOT_OURS, complaint)
            } else {
                let complaint = format!("{complaint}, and could not be taken over: {problems}");
                (Exit::Failed, NOT_READY, complaint)
            }
        }
    };
    Some(Failed::new(Failure::new(exit, anyhow::anyhow!(complaint)), class))
}

fn owner_json(ip: &FloatingIp, owner: &Owner, me: Option<&InstanceId>) -> serde_json::Value {
    json!({
        "address": ip.address().to_string(),
        "owner": owner.instance.as_ref().map(InstanceId::as_str),
        "changing": owner.is_changing,
        "me": me.map(InstanceId::as_str),
        "ours": me.map(|me| owner.instance.as_ref() == Some(me)),
    })
}

fn moved_json(ip: &FloatingIp, moved: &Moved) -> serde_json::Value {
    let after = |time| micros(since(moved.begun, time));
    json!({
        "address": ip.address().to_string(),
        "instance": moved.instance.as_str(),
        "from": moved.from.as_ref().map(InstanceId::as_str),
        "already": moved.was_ours(),
        "action": moved.action.as_ref().map(cloud::ActionId::as_str),
        "accepted_us": moved.accepted.map(after),
        "completed_us": moved.completed.map(after),
        "verified_us": after(moved.verified),
        "active": moved.is_active,
    })
}

fn readiness_json(ip: &FloatingIp, readiness: &Readiness) -> serde_json::Value {
    json!({
        "address": ip.address().to_string(),
        "owner": readiness.owner.as_ref().ok().and_then(|owner| owner.instance.as_ref()).map(InstanceId::as_str),
        "changing": readiness.owner.as_ref().ok().map(|owner| owner.is_changing),
        "me": readiness.identity.as_ref().ok().map(InstanceId::as_str),
        "ours": readiness.is_ours(),
        "active": readiness.is_active,
        "rehearsed": readiness.rehearsal.as_ref().ok(),
        "requests_left": readiness.rate_limit.map(|limit| limit.remaining),
        "ready": readiness.is_ready(),
        "problems": readiness.problems(),
    })
}

fn show(ip: &FloatingIp, readiness: &Readiness) {
    let target = &ip.address().target;
    match (&readiness.owner, readiness.is_ours()) {
        (Ok(owner), Some(true)) => say(&format!("{target} belongs to {owner}, this host")),
        (Ok(owner), Some(false) | None) => say(&format!("{target} belongs to {owner}")),
        (Err(_), _) => say(&format!("{target}: the owner is not known")),
    }
    if let Ok(me) = &readiness.identity {
        say(&format!("this host is {me}"));
    }
    match readiness.is_active {
        Some(true) => say("the metadata service shows the address here"),
        Some(false) => say("the metadata service does not show the address here"),
        None => {}
    }
    if readiness.rehearsal == Ok(true) {
        say("the API would take an order to assign it to this host");
    }
    if let Some(limit) = readiness.rate_limit {
        say(&format!("requests left: {} of {}", limit.remaining, limit.limit));
    }
    if readiness.is_ours() == Some(false) && readiness.is_ready() {
        say("it could be taken over by this host at any time");
    }
    for problem in readiness.problems() {
        say(&format!("in the way of a takeover: {problem}"));
    }
}

/// Runs to its end what asks a provider.
pub(super) fn started<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(work);
    // Not dropped: that would wait for a name server that does not answer, beyond the time given.
    runtime.shutdown_background();
    Ok(result)
}

/// Progress: on stdout for people, nothing for programs. Retries are on stderr for both.
pub(super) fn watch(json: bool) -> Watch {
    let begun = clock::now();
    Arc::new(move |progress| match progress {
        Progress::Retrying { reason, pause, .. } => {
            let _ = writeln!(std::io::stderr(), "hb: {reason}; again in {:.1} s", pause.as_secs_f32());
        }
        Progress::Accepted { action, at } if !json => {
            say(&format!(
                "accepted: {}after {}",
                shown(action.as_ref()),
                seconds(since(begun, *at))
            ));
        }
        Progress::Completed { action, at } if !json => {
            say(&format!(
                "completed: {}after {}",
                shown(action.as_ref()),
                seconds(since(begun, *at))
            ));
        }
        Progress::Found { .. } | Progress::Accepted { .. } | Progress::Completed { .. } | Progress::Verified { .. } => {
        }
    })
}

fn shown(action: Option<&cloud::ActionId>) -> String {
    action.map(|action| format!("action {action} ")).unwrap_or_default()
}

fn instance(text: &str) -> Result<InstanceId, String> {
    InstanceId::new(text).ok_or_else(|| "expected the number or id of an instance".to_owned())
}

pub(super) fn since(begun: Nanos, time: Nanos) -> Duration {
    Duration::from_nanos(time.since(begun).0)
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

/// As hb.toml's is warned of.
pub(super) fn warn_unencrypted(what: &str, url: &str) {
    if let Some(warning) = unencrypted(what, url) {
        let _ = writeln!(std::io::stderr(), "hb: {warning}");
    }
}

pub(super) fn unencrypted(what: &str, url: &str) -> Option<String> {
    url.starts_with("http:")
        .then(|| format!("{what}: the token goes over the network unencrypted: use https, but for tests"))
}

/// Prints a line. A reader that has gone away is no reason to leave an address behind half moved.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
