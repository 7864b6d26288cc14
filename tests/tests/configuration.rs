//! Configurations that differ between nodes: who notices, who is named, and what is blocked.

use std::time::Duration;

use anyhow::{Result, ensure};
use hb_tests::{
    clock::Moment,
    expect::LIMIT,
    nodes::{
        Files, Nodes,
        expect::WEB,
        lan::{address, name},
    },
};

/// What both have at first.
const SAME: &str = "n1 stamp::web\n";

/// What one of them has then.
const OTHER: &str = "n1 stamp::web\nn2 stamp::db\n";

/// A long one: two beats are more than a busy machine adds to anything.
const KEEPALIVE: Duration = Duration::from_secs(1);

const SLOW: &str = "keepalive 1000ms\ndeadtime 5\ninitdead 8";

const QUICK: &str = "keepalive 100ms\ndeadtime 600ms\ninitdead 1";

const DIFFERS: &str = "configuration differs";

/// Gives a node another haresources, and lets its daemon read it.
fn reload(nodes: &Nodes, node: usize, haresources: &str) -> Result<()> {
    nodes
        .host(node)
        .write_file("/etc/ha.d/haresources", 0o644, haresources)?;
    let ran = nodes.run(node, &["reload"])?;
    ensure!(ran.code == Some(0), "{ran:?}");
    Ok(())
}

/// Insists that both name each other, and what differs.
fn ensure_named(nodes: &Nodes, what: &str) -> Result<()> {
    for (node, other) in [(0, 1), (1, 0)] {
        let status = nodes.wait_for_alarm(node, DIFFERS, &name(other))?;
        ensure!(status.has_alarm(DIFFERS, what), "{}", status.json);
        nodes.ensure_shown(node, &["CONFIGURATION DIFFERS: "])?;
        let log = nodes.log(node);
        ensure!(log.contains("configurations differ") && log.contains(what), "{log}");
    }
    Ok(())
}

#[test]
fn other_haresources_are_named_at_once_and_what_runs_goes_on() -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, SLOW).haresources(SAME))?;
    let calm = Moment::now();
    reload(&nodes, 1, OTHER)?;
    let changed = Moment::now();
    for (node, other) in [(0, "n2"), (1, "n1")] {
        nodes.wait_for_alarm(node, DIFFERS, other)?;
    }
    let noticed = changed.elapsed();
    ensure!(noticed <= KEEPALIVE * 2, "only after {noticed:?}");
    ensure_named(&nodes, "haresources")?;

    // The new group is nobody's while it is not known what the other one does.
    let status = nodes.status(1)?;
    let new = status.groups.iter().position(|group| group.name == "stamp::db");
    let new = new.unwrap_or(status.groups.len());
    ensure!(
        status.text(&format!("/groups/{new}/waiting"))? == "differs",
        "{}",
        status.json
    );
    nodes.let_pass(0, 2)?;
    nodes.let_pass(1, 2)?;
    for (node, resource) in [(0, WEB), (1, WEB), (0, "db"), (1, "db")] {
        nodes.ensure_untouched(node, resource, calm)?;
    }
    ensure!(nodes.runs_on(WEB)? == [0]);

    reload(&nodes, 0, OTHER)?;
    nodes.wait_for_owner("db", 1, LIMIT)?;
    nodes.wait_until_agreed(0)?;
    nodes.ensure_untouched(0, WEB, calm)
}

#[test]
fn who_joins_with_other_haresources_starts_nothing() -> Result<()> {
    let mut nodes = Nodes::create(2, |node| Files::of(2, QUICK).haresources([SAME, OTHER][node]))?;
    let begun = Moment::now();
    nodes.start(0)?;
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    let owned = Moment::now();
    nodes.start(1)?;
    ensure_named(&nodes, "haresources")?;
    nodes.let_pass(0, 10)?;
    nodes.let_pass(1, 10)?;
    nodes.ensure_untouched(0, WEB, owned)?;
    for resource in [WEB, "db"] {
        nodes.ensure_untouched(1, resource, begun)?;
    }
    nodes.stop(1)?;
    nodes.wait_for_status(0, "no alarm", |status| Ok(status.alarms().is_empty()))?;
    nodes.ensure_untouched(0, WEB, owned)
}

#[test]
fn other_timers_of_two_nodes_are_named_and_block_nothing() -> Result<()> {
    let mut nodes = Nodes::create(2, |node| {
        let deadtime = ["deadtime 600ms", "deadtime 900ms"][node];
        Files::of(2, &format!("keepalive 100ms\n{deadtime}\ninitdead 3"))
    })?;
    nodes.start_all()?;
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    ensure_named(&nodes, "timers and policies")?;
    let standby = nodes.run(0, &["standby"])?;
    ensure!(standby.code == Some(0), "{standby:?}");
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    nodes.kill9(1)?;
    nodes.wait_until("it is taken over", LIMIT, || Ok(nodes.runs_on(WEB)?.contains(&0)))
}

#[test]
fn another_order_of_nodes_is_named_and_nothing_is_started() -> Result<()> {
    let mut nodes = Nodes::create(2, |node| {
        let order = if node == 0 { [0, 1] } else { [1, 0] };
        let lines = order.map(|node| format!("node {}\nucast eth0 {}\n", name(node), address(node)));
        Files {
            ha_cf: format!("{QUICK}\n{}", lines.concat()),
            ..Files::of(2, "")
        }
    })?;
    let begun = Moment::now();
    nodes.start_all()?;
    ensure_named(&nodes, "nodes of ha.cf")?;
    for node in 0..2 {
        nodes.wait_for_status(node, "it waits", |status| {
            Ok(status.text("/groups/0/waiting").is_ok_and(|why| why == "differs"))
        })?;
        nodes.let_pass(node, 10)?;
        nodes.ensure_untouched(node, WEB, begun)?;
    }
    Ok(())
}

/// Scripts run in `/`, wherever the daemon was started.
#[test]
fn scripts_are_found_in_a_relative_directory() -> Result<()> {
    let nodes = Nodes::create(1, |_| Files {
        ha_cf: format!("{QUICK}\nnode {}\nucast eth0 {}\n", name(0), address(1)),
        ..Files::of(1, "")
    })?;
    let host = nodes.host(0);
    let mut command = host.command("sh");
    command.args(["-c", "cd /etc && exec hb run --config-dir ha.d"]);
    let _daemon = host.spawn(&mut command)?;
    nodes.wait_for_owner(WEB, 0, LIMIT)
}
