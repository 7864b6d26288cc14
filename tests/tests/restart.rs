//! `hb restart`: the daemon goes on in a new process, and nobody else notices more than a pause.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    calm::{Watch, wait_until_met},
    clock::Moment,
    cluster::HB,
    expect::LIMIT,
    nodes::{
        Files, Nodes, Ran,
        expect::WEB,
        lan::{GATEWAY_IP, Station},
    },
    stamp::{self, Fault},
};
use serde_json::Value;

/// As fast as the promise is measured at.
const FAST: &str = "keepalive 20ms\ndeadtime 100ms\ninitdead 2\nauto_failback off";

/// A deadtime that a busy machine keeps, shorter than the promise.
const TIMERS: &str = "keepalive 50ms\ndeadtime 600ms\ninitdead 3\nauto_failback off";

/// Where pins are.
const PINS: &str = "/sys/fs/bpf/hb";

fn restart(nodes: &Nodes, node: usize) -> Result<Ran> {
    nodes.run(node, &["restart"])
}

/// Restarts a node, which must succeed, and insists that it is the same life.
fn restart_well(nodes: &Nodes, node: usize) -> Result<()> {
    let before = nodes.status(node)?;
    let ran = restart(nodes, node)?;
    ensure!(
        ran.code == Some(0) && ran.out.starts_with("restarted: hb "),
        "{ran:?}\n{}",
        nodes.log(node)
    );
    let after = nodes.status(node)?;
    ensure!(after.text("/incarnation")? == before.text("/incarnation")?);
    ensure!(after.number("/restart/count")? == before.number("/restart/count")? + 1);
    ensure!(after.number("/uptime_ms")? >= before.number("/uptime_ms")?);
    ensure!(
        after.number("/restart/silence_us")? < after.number("/restart/promise_ms")? * 1000,
        "{}",
        after.json["restart"]
    );
    ensure!(after.json["last_takeover"] == before.json["last_takeover"]);
    Ok(())
}

fn refused(nodes: &Nodes, node: usize, why: &str) -> Result<()> {
    let ran = restart(nodes, node)?;
    ensure!(
        ran.code == Some(1) && ran.err.contains(why) && ran.out.is_empty(),
        "{why}: {ran:?}"
    );
    ensure!(nodes.status(node)?.number("/restart/count")? == 0);
    Ok(())
}

/// What a node has pinned.
fn pins(nodes: &Nodes, node: usize) -> Result<String> {
    nodes
        .host(node)
        .run_ok("find", &["/sys/fs/bpf", "-mindepth", "2", "-type", "f"])
}

#[test]
fn nothing_moves_with_a_deadtime_of_100_ms() -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, FAST))?;
    let watch = Watch::start(&nodes)?;
    let accepted = |node: usize| nodes.status(node)?.accepted();
    for node in [0, 1, 0] {
        let (here, there) = (accepted(node)?, accepted(1 - node)?);
        restart_well(&nodes, node)?;
        ensure!(accepted(node)? > here && accepted(1 - node)? > there, "counters go on");
        ensure!(nodes.status(node)?.json.pointer("/datapath/0/pinned") == Some(&Value::Bool(true)));
        nodes.wait_until_agreed(0)?;
    }
    for node in 0..2 {
        let log = nodes.log(node);
        ensure!(!log.contains("peer is silent") && !log.contains("late beat"), "{log}");
    }
    watch.ensure_calm(&nodes)?;
    // In good order nothing is left.
    ensure!(pins(&nodes, 0)?.lines().count() == 3, "{}", pins(&nodes, 0)?);
    nodes.stop(0)?;
    ensure!(pins(&nodes, 0)?.is_empty(), "{}", pins(&nodes, 0)?);
    Ok(())
}

/// The owner's lease rests on the echoes of the one that restarts.
#[test]
fn no_lease_ends_of_a_majority() -> Result<()> {
    let nodes = Nodes::settled(3, |_| Files::of(3, TIMERS).hb_toml("[restart]\npromise = \"5s\"\n"))?;
    // So long that everybody's support counts.
    nodes.let_pass(0, 60)?;
    nodes.kill9(2)?;
    nodes.wait_for_status(0, "n3 is dead", |status| {
        Ok(status
            .peers
            .iter()
            .any(|peer| peer.name == "n3" && peer.state == "dead"))
    })?;
    let since = Moment::now();
    for node in [1, 0, 1] {
        restart_well(&nodes, node)?;
        nodes.wait_for_status(node, "its peer is heard, and the lease held", |status| {
            Ok(
                status.json["lease_held"] == true
                    && status.peers.iter().any(|peer| peer.state == "up" && peer.hears_us),
            )
        })?;
    }
    for node in 0..2 {
        nodes.ensure_untouched(node, WEB, since)?;
        ensure!(
            !nodes.log(node).contains("too few others hear us"),
            "{}",
            nodes.log(node)
        );
    }
    Ok(())
}

#[test]
fn no_lease_ends_that_ping_nodes_renew() -> Result<()> {
    let timers = format!("{TIMERS}\nping {GATEWAY_IP}");
    let nodes = Nodes::settled(2, |_| Files::of(2, &timers))?;
    // So long that the peer's support counts.
    nodes.let_pass(0, 60)?;
    let watch = Watch::start(&nodes)?;
    for node in [0, 1] {
        restart_well(&nodes, node)?;
        nodes.wait_until_agreed(0)?;
        ensure!(nodes.status(node)?.number("/pings_reached")? == 1);
    }
    for node in 0..2 {
        ensure!(
            !nodes.log(node).contains("not all ping nodes answer"),
            "{}",
            nodes.log(node)
        );
    }
    watch.ensure_calm(&nodes)?;
    // Nobody is there to wait, and what a ping node answers is good for a deadtime.
    nodes.kill9(1)?;
    nodes.wait_for_status(0, "n2 is dead", |status| Ok(status.peers[0].state == "dead"))?;
    let ran = restart(&nodes, 0)?;
    ensure!(
        ran.code == Some(1) && ran.err.contains("no peer is up to wait"),
        "{ran:?}"
    );
    ensure!(nodes.runs_on(WEB)? == [0]);
    Ok(())
}

#[test]
fn a_new_program_takes_the_place_of_the_old_one() -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, TIMERS))?;
    let watch = Watch::start(&nodes)?;
    let host = nodes.host(0);
    host.run_ok("cp", &[HB, "/usr/local/sbin/hb.new"])?;
    host.run_ok("mv", &["/usr/local/sbin/hb.new", HB])?;
    let program = || -> Result<String> {
        let pid = nodes.daemon(0)?.pid();
        Ok(std::fs::read_link(format!("/proc/{pid}/exe"))?.display().to_string())
    };
    ensure!(program()?.ends_with(" (deleted)"), "{}", program()?);
    restart_well(&nodes, 0)?;
    ensure!(!program()?.ends_with(" (deleted)"), "{}", program()?);
    watch.ensure_calm(&nodes)?;

    // One that does not know what to do with the state of this one is refused before anything has happened.
    host.write_file(
        "/usr/local/sbin/hb.new",
        0o755,
        "#!/bin/sh\necho what is that >&2\nexit 2\n",
    )?;
    host.run_ok("cp", &[HB, "/usr/local/sbin/hb.good"])?;
    host.run_ok("mv", &["/usr/local/sbin/hb.new", HB])?;
    let ran = nodes.host(0).run("/usr/local/sbin/hb.good", &["restart"])?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(
        ran.status.code() == Some(1) && said.contains("the new program cannot go on from here"),
        "{said}"
    );
    ensure!(said.contains("what is that"), "{said}");
    watch.ensure_calm(&nodes)
}

/// It passes the test, and does not start: a promise hides nobody for longer than it says.
#[test]
fn a_daemon_that_does_not_come_back_is_taken_over_when_its_promise_ends() -> Result<()> {
    let promise = Duration::from_millis(2500);
    let mut nodes = Nodes::settled(2, |_| Files::of(2, TIMERS).hb_toml("[restart]\npromise = \"2500ms\"\n"))?;
    let good = "/usr/local/sbin/hb.good";
    let host = nodes.host(0);
    host.run_ok("mv", &[HB, good])?;
    let broken = format!("#!/bin/sh\ncase \"$*\" in *--check-handover*) exec {good} \"$@\" ;; esac\nexit 1\n");
    host.write_file(HB, 0o755, broken)?;
    let ran = host.run(good, &["restart", "--timeout", "1s"])?;
    ensure!(ran.status.code() == Some(5), "{ran:?}");
    let status = nodes.wait_exit(0)?;
    ensure!(status.code() == Some(1), "{status}");

    let taken = nodes.host(1);
    let owner = hb_tests::clock::poll(LIMIT, || Ok(stamp::runs_on(taken, WEB)?.then_some(())))?;
    owner.context("nobody takes over")?;
    let takeover = nodes.status(1)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "peer_died", "{takeover:?}");
    let micros = i64::try_from(promise.as_micros())?;
    ensure!(takeover.deadline_us == Some(micros), "{takeover:?}");
    ensure!(
        takeover.decided_us.is_some_and(|decided| decided >= micros),
        "{takeover:?}"
    );

    // What it has left in the kernel is no obstacle to another life.
    ensure!(!pins(&nodes, 0)?.is_empty());
    nodes.host(0).run_ok("mv", &[good, HB])?;
    nodes.start(0)?;
    nodes.wait_for_status(1, "n1 is back", |status| Ok(status.sees_all_peers()))?;
    nodes.kill9(0)?;
    nodes.start(0)?;
    nodes.wait_for_status(0, "n1 is back again", |status| Ok(status.sees_all_peers()))?;
    Ok(())
}

#[test]
fn it_is_refused_while_it_would_do_harm() -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, TIMERS).haresources("n1 stamp::web\nn2 stamp::db\n"))?;
    nodes.wait_for_owner("db", 1, LIMIT)?;
    // Scripts are at work.
    stamp::spoil(nodes.host(0), "db", "start", Fault::Takes(Duration::from_secs(3)))?;
    let ran = nodes.run(0, &["takeover", "foreign", "--no-wait"])?;
    ensure!(ran.code == Some(0), "{ran:?}");
    nodes.wait_for_status(0, "it is starting it", |status| {
        Ok(status.groups[1].state == "acquiring")
    })?;
    refused(&nodes, 0, "stamp::db is being started or stopped")?;
    nodes.wait_for_owner("db", 0, LIMIT)?;
    nodes.wait_for_status(0, "it has started it", |status| Ok(status.groups[1].state == "running"))?;
    let watch = Watch::start(&nodes)?;

    // What no restart can change.
    let files = Files::of(2, &format!("{TIMERS}\nudpport 7694")).haresources("n1 stamp::web\nn2 stamp::db\n");
    files.install(nodes.host(0))?;
    refused(&nodes, 0, "udpport cannot be changed")?;
    let nonsense = "nonsense\n".to_owned();
    Files {
        ha_cf: nonsense,
        ..files
    }
    .install(nodes.host(0))?;
    refused(&nodes, 0, "/etc/ha.d/ha.cf:")?;
    Files::of(2, TIMERS)
        .haresources("n1 stamp::web\nn2 stamp::db\n")
        .install(nodes.host(0))?;
    watch.ensure_calm(&nodes)?;

    // A peer that hears nothing of it does not wait.
    nodes.lan.cut(&[Station::Node(0)], &[Station::Node(1)])?;
    refused(&nodes, 0, "n2 has not confirmed")?;
    nodes.lan.heal()?;
    ensure!(nodes.log(0).contains("no restart"), "{}", nodes.log(0));
    Ok(())
}

#[test]
fn without_pins_nothing_moves_either() -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, TIMERS).hb_toml("[restart]\npin = false\n"))?;
    ensure!(!nodes.host(0).enter(|| std::path::Path::new(PINS).exists())?);
    let since = Moment::now();
    let incarnations = nodes.incarnations()?;
    for node in [0, 1] {
        restart_well(&nodes, node)?;
        ensure!(nodes.status(node)?.json.pointer("/datapath/0/pinned") == Some(&Value::Bool(false)));
        nodes.wait_until_agreed(0)?;
    }
    for node in 0..2 {
        nodes.ensure_untouched(node, WEB, since)?;
        ensure!(!nodes.log(node).contains("peer is silent"), "{}", nodes.log(node));
    }
    ensure!(nodes.incarnations()? == incarnations);
    wait_until_met(&nodes, 0..2)
}

/// What a restart can change, it does; what a reload can change comes first.
#[test]
fn a_changed_configuration_is_taken_along() -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, TIMERS))?;
    let since = Moment::now();
    let changed = format!("{TIMERS}\nlogfile /var/log/hb.log\nwarntime 400ms");
    Files::of(2, &changed)
        .hb_toml("[recorder]\nfile = \"/var/log/hb.jsonl\"\n[restart]\npromise = \"3s\"\n")
        .install(nodes.host(0))?;
    restart_well(&nodes, 0)?;
    ensure!(nodes.status(0)?.number("/restart/promise_ms")? == 3000);
    ensure!(nodes.host(0).read_file("/var/log/hb.log")?.contains("started"));
    ensure!(nodes.host(0).read_file("/var/log/hb.jsonl")?.contains("\"start\""));
    nodes.ensure_untouched(0, WEB, since)?;
    // The recording goes on in its file.
    restart_well(&nodes, 0)?;
    let ran = nodes.run(0, &["replay", "/var/log/hb.jsonl"])?;
    ensure!(ran.code == Some(0), "{ran:?}");
    Ok(())
}

/// It would be too late for a complaint when the old process is no more.
#[test]
fn what_the_new_process_could_not_open_is_refused() -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, TIMERS))?;
    let since = Moment::now();
    Files::of(2, &format!("{TIMERS}\nlogfile /nowhere/hb.log")).install(nodes.host(0))?;
    refused(&nodes, 0, "/nowhere/hb.log")?;
    Files::of(2, TIMERS)
        .hb_toml("[recorder]\nfile = \"/nowhere/hb.jsonl\"\n")
        .install(nodes.host(0))?;
    refused(&nodes, 0, "/nowhere/hb.jsonl")?;
    Files::of(2, &format!("{TIMERS}\nwatchdog /dev/null"))
        .hb_toml("")
        .install(nodes.host(0))?;
    refused(&nodes, 0, "watchdog cannot be changed")?;
    nodes.ensure_untouched(0, WEB, since)
}
