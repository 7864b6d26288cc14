//! What `hb status` and `hb check` say of a real cluster.

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cluster::Cluster,
    expect::LIMIT,
    network::{Cut, Server},
    status::Status,
    tutorial::{self, Files},
};
use serde_json::Value;

use Server::{Primary, Secondary};

fn slow() -> Files {
    Files::recording().timers("15", "15")
}

/// What `hb status --json` prints.
fn printed(cluster: &Cluster, server: Server) -> Result<Status> {
    let printed = cluster.run_hb(server, &["status", "--json"])?;
    printed.ensure(0, &[])?;
    Status::parse(&printed.text)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Insists that an object has these keys and no others.
fn ensure_keys(value: &Value, at: &str, keys: &[&str]) -> Result<()> {
    let object = value.pointer(at).and_then(Value::as_object);
    let found: Vec<_> = object.with_context(|| format!("no object at {at}"))?.keys().collect();
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    ensure!(found == keys, "at {at:?}: {found:?} instead of {keys:?}");
    Ok(())
}

#[test]
fn every_field_is_there_and_plausible() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    cluster.wait_for_beats(Primary, 40)?;
    let status = printed(&cluster, Primary)?;
    let json = &status.json;
    ensure_keys(
        json,
        "",
        &[
            "version",
            "node",
            "status",
            "incarnation",
            "config_digest",
            "uptime_ms",
            "interval_us",
            "deadtime_us",
            "alarms",
            "maintenance",
            "maintenance_by",
            "quorum",
            "lease_held",
            "lease_needed",
            "pings_reached",
            "pings_named",
            "realtime",
            "pulse",
            "detection",
            "datapath",
            "restart",
            "verdicts",
            "peers",
            "groups",
            "last_takeover",
            "addresses",
            "floating_ips",
            "witness",
        ],
    )?;
    ensure!(status.node == "primary" && status.text("/status")? == "up");
    ensure!(is_hex(status.text("/incarnation")?, 16) && is_hex(status.text("/config_digest")?, 8));
    ensure!(status.number("/interval_us")? == 50_000 && status.number("/deadtime_us")? == 15_000_000);
    ensure!((1000..60_000).contains(&status.number("/uptime_ms")?));
    ensure!(json["maintenance"] == false && json["maintenance_by"] == serde_json::json!([]));
    ensure!(status.text("/quorum")? == "none" && json["lease_held"] == true && json["lease_needed"] == 0);
    let realtime = [
        "pulse",
        "controller",
        "hands",
        "second_best",
        "scheduling_refused",
        "affinity_refused",
        "locking_refused",
    ];
    ensure_keys(json, "/realtime", &realtime)?;
    ensure_keys(json, "/datapath/0", &["interface", "mode", "pinned", "reason"])?;
    ensure!(status.text("/datapath/0/interface")? == "eth0" && status.text("/datapath/0/mode")? == "native");
    ensure!(json["datapath"][0]["reason"].is_null() && json["datapath"][1].is_null());

    let pulse = [
        "sent",
        "send_errors",
        "last_send_error",
        "wakes",
        "worst_lateness_us",
        "lateness",
    ];
    ensure_keys(json, "/pulse", &pulse)?;
    let lateness = ["counted", "since_ms", "p50_us", "p99_us", "max_us", "max_ago_ms"];
    ensure_keys(json, "/pulse/lateness", &lateness)?;
    let detection = ["by", "reason", "graces", "machine_gaps", "machine_latest_us"];
    ensure_keys(json, "/detection", &detection)?;
    let uptime = status.number("/uptime_ms")?;
    let sent = status.number("/pulse/sent")?;
    // Every 50 ms, and at each change.
    ensure!(
        (uptime / 100..=uptime / 50 + 10).contains(&sent),
        "{sent} beats in {uptime} ms"
    );
    ensure!(status.number("/pulse/send_errors")? == 0 && json["pulse"]["last_send_error"].is_null());
    ensure!(status.number("/pulse/wakes")? >= sent - 1);
    Ok(())
}

#[test]
fn the_peer_is_described_by_what_the_kernel_saw() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    cluster.wait_for_beats(Primary, 40)?;
    let (status, peer) = (printed(&cluster, Primary)?, printed(&cluster, Secondary)?);
    let json = &status.json;
    ensure_keys(
        json,
        "/peers/0",
        &[
            "name",
            "state",
            "hears_us",
            "config_matches",
            "differs",
            "fencing",
            "pings",
            "links",
        ],
    )?;
    ensure_keys(json, "/peers/0/differs", &["groups", "nodes", "settings"])?;
    ensure!(json["peers"][0]["fencing"] == "none" && json["peers"][0]["differs"]["groups"] == false);
    let link = [
        "interface",
        "address",
        "state",
        "last_seen_ms",
        "incarnation",
        "sequence",
        "accepted",
        "lost",
        "duplicates",
        "gap_p50_us",
        "gap_p99_us",
        "gap_max_us",
        "rejected",
    ];
    ensure_keys(json, "/peers/0/links/0", &link)?;
    ensure!(status.sees_all_peers() && status.text("/peers/0/name")? == "secondary");
    ensure!(json["peers"][0]["config_matches"] == true);
    let text = |name: &str| status.text(&format!("/peers/0/links/0/{name}"));
    let number = |name: &str| status.number(&format!("/peers/0/links/0/{name}"));
    ensure!(text("interface")? == "eth0" && text("address")? == "198.51.100.6" && text("state")? == "up");
    ensure!(text("incarnation")? == peer.text("/incarnation")?);
    ensure!(peer.text("/peers/0/links/0/incarnation")? == status.text("/incarnation")?);
    ensure!(number("last_seen_ms")? < 5000);
    // The first beats may have come before the program was there.
    ensure!(number("accepted")? >= 40 && number("sequence")? >= number("accepted")?);
    ensure!(number("lost")? == 0 && number("duplicates")? == 0);
    let (p50, p99, max) = (number("gap_p50_us")?, number("gap_p99_us")?, number("gap_max_us")?);
    ensure!(p50 <= p99 && p99 <= max);
    // The histogram is in powers of two: 50 ms lie between 33.6 and 67.1.
    ensure!((33_000..68_000).contains(&p50), "p50 {p50} us");
    Ok(())
}

#[test]
fn groups_and_takeovers_are_described() -> Result<()> {
    let cluster = Cluster::settled(Files::recording().timers("1", "10"))?;
    cluster.stop_hb(Primary)?;
    let peer = cluster.status(Secondary)?.peers.remove(0);
    ensure!(peer.state == "leaving" || peer.state == "left", "{peer:?}");
    cluster.wait_for_owner(Secondary)?;
    let status = printed(&cluster, Secondary)?;
    let json = &status.json;
    ensure_keys(
        json,
        "/groups/0",
        &[
            "name",
            "preferred",
            "owner",
            "state",
            "since_ms",
            "problem",
            "waiting",
            "waiting_for",
            "retry_ms",
        ],
    )?;
    let group = &json["groups"][0];
    ensure!(group["name"] == "floatip" && group["preferred"] == "primary" && group["owner"] == "secondary");
    ensure!(group["state"] == "running" && group["problem"].is_null() && json["groups"][1].is_null());
    let takeover = [
        "origin_monotonic_us",
        "group",
        "peer",
        "cause",
        "last_beat_us",
        "deadline_us",
        "detected_us",
        "decided_us",
        "detected_by",
        "graced",
        "own_lateness_us",
        "steps",
        "result",
    ];
    ensure_keys(json, "/last_takeover", &takeover)?;
    let takeover = &json["last_takeover"];
    ensure!(takeover["peer"] == "primary" && takeover["cause"] == "peer_left" && takeover["result"] == "done");
    let steps = takeover["steps"].as_array().context("no steps")?;
    ensure!(steps.len() == 2 && steps[0]["operation"] == "status" && steps[1]["operation"] == "start");
    // The script may have been asked while the other still stopped it.
    let mut last = steps[0]["started_us"].as_i64();
    ensure!(
        takeover["decided_us"].as_i64() < steps[1]["started_us"].as_i64(),
        "{takeover}"
    );
    for step in steps {
        let (started, ended) = (step["started_us"].as_i64(), step["ended_us"].as_i64());
        ensure!(
            last <= started && started < ended && step["outcome"] == "exit code 0",
            "{takeover}"
        );
        last = ended;
    }
    let left = cluster.wait_for_peer(Secondary, "left")?;
    ensure!(!left.peers[0].hears_us && left.text("/peers/0/links/0/state")? == "down");
    Ok(())
}

#[test]
fn lost_beats_are_counted() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let lost = |status: &Status| status.number("/peers/0/links/0/lost");
    ensure!(lost(&cluster.status(Secondary)?)? == 0);
    cluster.network.cut(Secondary, Cut::Deaf)?;
    let silent = |status: &Status| Ok(status.number("/peers/0/links/0/last_seen_ms")? > 500);
    cluster.wait_for_status(Secondary, "it misses beats", silent)?;
    cluster.network.heal(Secondary, Cut::Deaf)?;
    cluster.wait_for_beats(Secondary, 2)?;
    let status = cluster.status(Secondary)?;
    ensure!((5..100).contains(&lost(&status)?), "{}", status.json);
    ensure!(status.number("/peers/0/links/0/gap_max_us")? > 400_000);
    ensure!(lost(&cluster.status(Primary)?)? == 0);
    cluster.ensure_agreed(Primary)
}

#[test]
fn people_read_it_too() -> Result<()> {
    let mut cluster = Cluster::settled(slow())?;
    cluster.run_hb(Primary, &["status"])?.ensure(
        0,
        &[
            "node primary: up, incarnation ",
            "keepalive 50 ms, deadtime 15 s",
            "eth0: XDP native",
            "peer secondary: up\n",
            "eth0 198.51.100.6: up, last seen ",
            "group floatip: owner primary, preferred primary, here running",
            "last takeover: floatip, start, done",
            "floatip start, ended at ",
        ],
    )?;
    // Another configuration on one side is said on both.
    cluster.stop_hb(Secondary)?;
    let secondary = &cluster.network.secondary;
    secondary.write_file("/etc/ha.d/haresources", 0o644, "secondary floatip\n")?;
    cluster.start_hb(Secondary)?;
    cluster.wait_until_joined(LIMIT)?;
    for server in Server::ALL {
        cluster
            .run_hb(server, &["status"])?
            .ensure(0, &["CONFIGURATION DIFFERS"])?;
        ensure!(
            cluster
                .network
                .server(server)
                .log()
                .contains("differ between this node and its peer")
        );
    }
    Ok(())
}

#[test]
fn an_interface_of_ones_own_that_hears_nothing_is_an_alarm() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    ensure!(cluster.status(Primary)?.alarms().is_empty());
    cluster.network.cut(Primary, Cut::Unplugged)?;
    cluster.wait_for_status(Primary, "no carrier", |status| {
        Ok(status.has_alarm("no carrier", "eth0"))
    })?;
    cluster
        .run_hb(Primary, &["status"])?
        .ensure(0, &["NO CARRIER: ", "eth0"])?;
    // Who is at the other end has a carrier.
    ensure!(!cluster.status(Secondary)?.has_alarm("no carrier", ""));
    cluster.network.heal(Primary, Cut::Unplugged)?;
    cluster.wait_for_status(Primary, "all is well", |status| Ok(status.alarms().is_empty()))?;
    cluster.network.primary.run_ok("ip", &["link", "set", "eth0", "down"])?;
    let down = "ip link set eth0 up";
    cluster.wait_for_status(Primary, "down", |status| Ok(status.has_alarm("interface down", down)))?;
    cluster.network.primary.run_ok("ip", &["link", "set", "eth0", "up"])?;
    cluster.wait_for_status(Primary, "all is well again", |status| Ok(status.alarms().is_empty()))?;
    Ok(())
}

#[test]
fn without_a_daemon_it_says_so() -> Result<()> {
    let cluster = Cluster::recording(slow())?;
    for arguments in [&["status"][..], &["status", "--json"]] {
        cluster
            .run_hb(Primary, arguments)?
            .ensure(3, &["hb is not running here", "/run/hb/hb.sock"])?;
    }
    Ok(())
}

#[test]
fn check_reads_the_tutorials_files() -> Result<()> {
    let cluster = Cluster::recording(Files::default())?;
    for server in Server::ALL {
        let other = format!("eth0  {}", server.other().address());
        cluster.run_hb(server, &["check"])?.ensure(
            0,
            &[
                "configuration in /etc/ha.d is valid",
                "keepalive",
                "deadtime",
                &other,
                "primary  floatip",
                "different from Heartbeat",
            ],
        )?;
    }
    let settings = cluster.run_hb(Primary, &["check"])?.text;
    let value = |name: &str| {
        let line = settings.lines().find(|line| line.trim_start().starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned)
    };
    ensure!(
        value("keepalive") == Some(format!("{:?}", tutorial::KEEPALIVE)),
        "{settings}"
    );
    ensure!(
        value("deadtime") == Some(format!("{:?}", tutorial::DEADTIME)),
        "{settings}"
    );
    Ok(())
}
