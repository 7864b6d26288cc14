//! Asks the running daemon how it stands.

use std::path::PathBuf;

use anyhow::anyhow;

use super::{Exit, Failure};
use crate::control::{
    self, AddressStatus, DetectionStatus, FloatingIpStatus, GroupStatus, LinkStatus, PeerStatus, Reply, Request,
    RestartStatus, Status, StepStatus, Takeover,
};

/// What `--help` says.
const EXITS: &str = "\
Exit codes:
  0  the daemon answered, whatever it says of itself
  1  it did not answer as it should
  2  wrong usage
  3  hb is not running here
  4  not permitted: try as root";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Args {
    /// Print JSON, as docs/STATUS.md describes it
    #[arg(long)]
    json: bool,
    /// Where the control socket is
    #[arg(long, value_name = "DIR", default_value = control::RUN_DIR)]
    run_dir: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let status = match control::ask(&args.run_dir, &Request::Status).map_err(super::unanswered)? {
        Reply::Status(status) => status,
        Reply::Error(error) => return Err(anyhow!(error).into()),
        Reply::Done { .. } | Reply::Refused { .. } | Reply::Failed { .. } | Reply::Pending { .. } => {
            return Err(anyhow!("the daemon answers another question").into());
        }
    };
    if args.json {
        let json = serde_json::to_string_pretty(&*status).map_err(|error| Failure::new(Exit::Failed, error))?;
        super::print(&format!("{json}\n"))
    } else {
        super::print(&render(&status))
    }
}

fn render(status: &Status) -> String {
    let mut lines: Vec<_> = status.alarms.iter().map(|alarm| shout(alarm)).collect();
    lines.extend([
        format!(
            "node {}: {}, incarnation {}",
            status.node, status.status, status.incarnation
        ),
        format!(
            "  keepalive {}, deadtime {}",
            time(status.interval_us),
            time(status.deadtime_us)
        ),
    ]);
    lines.extend(render_maintenance(status));
    if status.quorum != "none" {
        let held = if status.lease_held { "held" } else { "not held" };
        lines.push(format!(
            "  lease {held}, by {}, {} needed",
            status.quorum, status.lease_needed
        ));
    }
    if status.pings_named > 0 {
        let (reached, named) = (status.pings_reached, status.pings_named);
        lines.push(format!("  ping nodes reached: {reached} of {named}"));
    }
    lines.extend(status.datapath.iter().map(|datapath| match &datapath.reason {
        None => format!("  {}: XDP {}", datapath.interface, datapath.mode),
        Some(reason) => format!("  {}: XDP {} ({reason})", datapath.interface, datapath.mode),
    }));
    lines.push(render_detection(&status.detection));
    lines.extend(render_restarts(&status.restart));
    lines.push(format!(
        "  beats sent {}, refused {}{}",
        status.pulse.sent,
        status.pulse.send_errors,
        status
            .pulse
            .last_send_error
            .as_ref()
            .map(|error| format!(" ({error})"))
            .unwrap_or_default(),
    ));
    lines.push(render_lateness(status));
    lines.extend(
        status
            .peers
            .iter()
            .flat_map(|peer| render_peer(peer, status.pings_named)),
    );
    lines.extend(status.groups.iter().map(render_group));
    lines.extend(status.floating_ips.iter().map(render_floating_ip));
    lines.extend(status.addresses.iter().map(render_address));
    lines.extend(status.last_takeover.iter().flat_map(render_takeover));
    lines.join("\n") + "\n"
}

fn render_lateness(status: &Status) -> String {
    let (realtime, lateness) = (&status.realtime, &status.pulse.lateness);
    let late = match (lateness.p50_us, lateness.p99_us, lateness.max_us, lateness.max_ago_ms) {
        (Some(median), Some(most), Some(longest), Some(ago)) => format!(
            "woken late by p50 {} p99 {} max {}, that {} ago, of {} in {}",
            time(median),
            time(most),
            time(longest),
            time(ago.saturating_mul(1_000)),
            lateness.counted,
            time(lateness.since_ms.saturating_mul(1_000)),
        ),
        _ => "never woken late".to_owned(),
    };
    let why = realtime.second_best.as_ref().map(|why| format!(" ({why})"));
    format!(
        "  scheduling: beats {}{}, decisions {}; {late}",
        realtime.pulse,
        why.unwrap_or_default(),
        realtime.controller
    )
}

/// What an alarm is about is in capitals.
fn shout(alarm: &str) -> String {
    match alarm.split_once(':') {
        Some((what, rest)) => format!("{}:{rest}", what.to_uppercase()),
        None => alarm.to_uppercase(),
    }
}

fn render_maintenance(status: &Status) -> Option<String> {
    let by = status.maintenance_by.join(", ");
    status
        .maintenance
        .then(|| format!("  MAINTENANCE, by {by}: nothing is touched"))
}

fn render_detection(detection: &DetectionStatus) -> String {
    let reason = detection.reason.as_ref().map(|reason| format!(" ({reason})"));
    let mut line = format!(
        "  deadlines watched by the {}{}",
        detection.by,
        reason.unwrap_or_default()
    );
    if let (Some(gaps), Some(latest)) = (detection.machine_gaps, detection.machine_latest_us) {
        line = format!(
            "{line}, machine stopped {gaps} times, its timer late by at most {}",
            time(latest)
        );
    }
    format!("{line}; graces {}", detection.graces)
}

fn render_restarts(restart: &RestartStatus) -> Option<String> {
    let silent = restart
        .silence_us
        .map(|silence| format!(", silent for {} the last time", time(silence)));
    let pins = restart
        .pins_refused
        .as_ref()
        .map(|reason| format!("not pinned: {reason}"));
    let count = (restart.count > 0).then(|| {
        format!(
            "restarted in place {} times{}",
            restart.count,
            silent.unwrap_or_default()
        )
    });
    let parts: Vec<_> = count.into_iter().chain(pins).collect();
    (!parts.is_empty()).then(|| format!("  {}", parts.join("; ")))
}

fn render_peer(peer: &PeerStatus, pings: usize) -> Vec<String> {
    let mut line = format!("peer {}: {}", peer.name, peer.state);
    if peer.state == "up" && !peer.hears_us {
        line += ", does not hear us";
    }
    if peer.config_matches == Some(false) {
        line += ", CONFIGURATION DIFFERS";
    }
    if peer.fencing != "none" {
        line.extend([", fencing ", &peer.fencing]);
    }
    if pings > 0 {
        line = format!("{line}, reaches {} ping nodes", peer.pings);
    }
    let mut lines = vec![line];
    lines.extend(peer.links.iter().map(render_link));
    lines
}

fn render_link(link: &LinkStatus) -> String {
    let mut parts = vec![format!("  {} {}: {}", link.interface, link.address, link.state)];
    parts.extend(link.last_seen_ms.map(|ms| format!("last seen {ms} ms ago")));
    parts.push(format!("accepted {}", link.accepted));
    parts.push(format!("lost {}", link.lost));
    if let (Some(median), Some(most), Some(longest)) = (link.gap_p50_us, link.gap_p99_us, link.gap_max_us) {
        parts.push(format!(
            "gap p50 {} p99 {} max {}",
            time(median),
            time(most),
            time(longest)
        ));
    }
    parts.extend(
        link.rejected
            .iter()
            .map(|(verdict, count)| format!("{verdict} {count}")),
    );
    parts.join(", ")
}

fn render_group(group: &GroupStatus) -> String {
    let owner = group.owner.as_deref().unwrap_or("nobody");
    let problem = group
        .problem
        .as_ref()
        .map(|problem| format!(" ({problem})"))
        .unwrap_or_default();
    let node = group.waiting_for.as_ref().map(|node| format!(" {node}"));
    let waiting = group
        .waiting
        .as_ref()
        .map(|waiting| format!(", waiting: {waiting}{}", node.unwrap_or_default()))
        .unwrap_or_default();
    let retry = group
        .retry_ms
        .map(|ms| format!(", tried again in {ms} ms"))
        .unwrap_or_default();
    format!(
        "group {}: owner {owner}, preferred {}, here {} for {} ms{waiting}{retry}{problem}",
        group.name, group.preferred, group.state, group.since_ms
    )
}

fn render_address(address: &AddressStatus) -> String {
    let interface = address.interface.as_deref().unwrap_or("no interface");
    let place = if address.held { "here, on" } else { "not here, for" };
    let mut line = format!(
        "address {}: {place} {interface}, probe {}",
        address.address, address.probe
    );
    if address.repairs > 0 {
        line = format!("{line}, put back {} times", address.repairs);
    }
    if address.conflicts > 0 {
        line = format!("{line}, heard from others {} times", address.conflicts);
    }
    if let (Some(mac), Some(ago)) = (&address.conflict_mac, address.conflict_ago_ms) {
        line = format!("{line}, used by {mac}, too, {} ago", time(ago.saturating_mul(1_000)));
    }
    if let Some(why) = &address.missing {
        line = format!("{line}, missing: {why}");
    }
    line
}

fn render_takeover(takeover: &Takeover) -> Vec<String> {
    let peer = takeover
        .peer
        .as_ref()
        .map(|peer| format!(" {peer}"))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "last takeover: {}, {}{peer}, {}",
        takeover.group, takeover.cause, takeover.result
    )];
    let by = takeover.detected_by.as_deref().unwrap_or("thread");
    let detected = format!("detected by the {by}");
    let moments = [
        ("last beat", takeover.last_beat_us),
        ("deadline", takeover.deadline_us),
        (detected.as_str(), takeover.detected_us),
        ("decided", Some(takeover.decided_us)),
    ];
    lines.extend(
        moments
            .into_iter()
            .filter_map(|(name, time)| Some(format!("  {:>10} us  {name}", time?))),
    );
    lines.extend(
        takeover
            .graced
            .as_deref()
            .map(|why| match (why, takeover.own_lateness_us) {
                ("late", Some(late)) => format!(
                    "  this node was late itself, by {}: the deadline is one deadtime later",
                    time(late)
                ),
                _ => "  all peers fell silent at once: the deadline is one deadtime later".to_owned(),
            }),
    );
    lines.extend(takeover.steps.iter().flat_map(render_step));
    lines
}

fn render_step(step: &StepStatus) -> Vec<String> {
    let (resource, operation) = (&step.resource, &step.operation);
    let mut lines = vec![format!(
        "  {:>10} us  {resource} {operation}, ended at {} us: {}",
        step.started_us, step.ended_us, step.outcome
    )];
    let moments = [
        ("accepted by the API", step.accepted_us),
        ("completed by the API", step.completed_us),
        ("verified: read back as ours", step.verified_us),
    ];
    let moments = moments.into_iter();
    lines.extend(moments.filter_map(|(name, time)| Some(format!("  {:>10} us    {name}", time?))));
    lines
}

fn render_floating_ip(ip: &FloatingIpStatus) -> String {
    let owner = match (ip.ours, &ip.owner) {
        (Some(true), _) => "ours".to_owned(),
        (Some(false) | None, Some(owner)) => format!("owner {owner}"),
        (Some(false), None) => "owner nobody".to_owned(),
        (None, None) => "owner unknown".to_owned(),
    };
    let mut line = format!("floating IP {}: {owner}", ip.address);
    line = match ip.ready {
        Some(true) => format!("{line}, ready"),
        Some(false) => format!("{line}, NOT READY ({})", ip.problems.join("; ")),
        None => format!("{line}, not asked yet"),
    };
    if let Some(ago) = ip.checked_ms {
        line = format!("{line}, asked {} ago", time(ago.saturating_mul(1_000)));
    }
    if let Some(took) = ip.answer_us {
        line = format!("{line}, answered within {}", time(took));
    }
    if let (Some(left), Some(limit)) = (ip.requests_left, ip.requests_limit) {
        line = format!("{line}, {left} of {limit} requests left");
    }
    if ip.moved_away > 0 {
        let (away, back) = (ip.moved_away, ip.taken_back);
        line = format!("{line}, found elsewhere {away} times, taken back {back} times");
    }
    if let Some(wait) = ip.held_off_ms {
        line = format!("{line}, not taken back for {}", time(wait.saturating_mul(1_000)));
    }
    line
}

fn time(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{micros} us"),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        10_000_000.. => format!("{} s", micros / 1_000_000),
    }
}
