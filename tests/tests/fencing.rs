//! Fencing before a takeover, with cluster-glue's `stonith`, a plugin of its, and a switch that takes the power away.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::Moment,
    expect::LIMIT,
    nodes::{
        Files, Nodes,
        expect::WEB,
        lan::{Station::Node, name},
        power::{Manner, Switch},
    },
    stamp::What,
};

/// The pause after a failed attempt.
const RETRY: Duration = Duration::from_millis(1500);

/// After it a call of `stonith` is killed. One that works takes a small part of it.
const TIMEOUT: Duration = Duration::from_secs(4);

fn files(nodes: usize) -> Files {
    let ha_cf = "keepalive 100ms\ndeadtime 600ms\ninitdead 3";
    Files::of(nodes, &format!("{ha_cf}\n{}", Switch::directive(nodes))).hb_toml(&format!(
        "[fencing]\nretry = \"{}ms\"\ntimeout = \"{}ms\"\n",
        RETRY.as_millis(),
        TIMEOUT.as_millis()
    ))
}

/// Waits until the fencing of a peer, as the second node sees it, is as wanted.
fn wait_for_fencing(nodes: &Nodes, wanted: &str) -> Result<()> {
    nodes.wait_for_status(1, &format!("the fencing is {wanted}"), |status| {
        Ok(status.text("/peers/0/fencing")? == wanted)
    })?;
    Ok(())
}

/// Insists that the first node lost its power before the second took over, and that they never owned it both.
fn ensure_fenced_first(nodes: &Nodes, since: Moment) -> Result<()> {
    let lost = nodes.calls(0, WEB, since)?;
    let [lost] = &lost[..] else {
        anyhow::bail!("on the one that was fenced: {lost:?}");
    };
    ensure!(lost.what == What::Lost, "{lost:?}");
    let start = nodes.calls(1, WEB, since)?;
    let start = start.first().context("no start")?;
    ensure!(lost.at <= start.at, "the takeover was earlier than the loss of power");
    let ownership = nodes.ownership()?;
    let overlaps = ownership.overlaps(WEB, since, Moment::now());
    ensure!(overlaps.is_empty(), "{overlaps:?}");
    Ok(())
}

#[test]
fn nobody_takes_over_before_the_fence_has_succeeded() -> Result<()> {
    let mut nodes = Nodes::settled(2, |_| files(2))?;
    let switch = Switch::start(&nodes, Manner::Fails)?;
    let cut = Moment::now();
    // It lives on, and goes on owning: only its power can be taken.
    nodes.lan.cut(&[Node(0)], &[Node(1)])?;
    let status = nodes.wait_for_alarm(1, "fencing failed", "n1")?;
    ensure!(status.has_alarm("fence n1", "a fuse has blown"), "{}", status.json);
    ensure!(status.text("/groups/0/waiting")? == "fence", "{}", status.json);
    nodes.ensure_shown(1, &["FENCING FAILED: n1", "waiting: fence n1"])?;
    nodes.wait_until("it is tried again", LIMIT, || Ok(switch.calls().len() >= 3))?;
    wait_for_fencing(&nodes, "failed")?;
    ensure!(nodes.runs_on(WEB)? == [0]);
    for node in 0..2 {
        nodes.ensure_untouched(node, WEB, cut)?;
    }

    switch.set(Manner::Works);
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    wait_for_fencing(&nodes, "done")?;
    nodes.wait_for_status(1, "no alarm", |status| Ok(status.alarms().is_empty()))?;
    ensure_fenced_first(&nodes, cut)?;
    let calls = switch.calls();
    ensure!(calls.iter().all(|call| call.node == name(0)), "{calls:?}");
    for pair in calls.windows(2) {
        ensure!(pair[1].at - pair[0].at >= RETRY, "tried again too early: {calls:?}");
    }
    ensure!(
        calls.iter().filter(|call| call.manner == Manner::Works).count() == 1,
        "{calls:?}"
    );

    // It has its power again, and gets what it prefers, without another fence.
    nodes.lan.heal()?;
    nodes.start(0)?;
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    nodes.wait_until_agreed(0)?;
    ensure!(switch.calls() == calls, "{:?}", switch.calls());
    Ok(())
}

#[test]
fn a_fence_that_hangs_is_given_up_and_tried_again() -> Result<()> {
    let nodes = Nodes::settled(2, |_| files(2))?;
    let switch = Switch::start(&nodes, Manner::Hangs)?;
    let cut = Moment::now();
    nodes.lan.cut(&[Node(0)], &[Node(1)])?;
    wait_for_fencing(&nodes, "running")?;
    nodes.wait_until("the switch is asked", LIMIT, || Ok(switch.calls().len() == 1))?;
    // Who is asked already is not asked beside that.
    nodes.let_pass(1, 10)?;
    ensure!(switch.calls().len() == 1, "{:?}", switch.calls());
    ensure!(nodes.runs_on(WEB)? == [0]);
    nodes.wait_for_alarm(1, "fencing failed", "n1")?;
    switch.set(Manner::Works);
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    ensure_fenced_first(&nodes, cut)?;
    let took = switch.calls().last().context("no call")?.at - cut;
    ensure!(took >= TIMEOUT, "it was not waited for: {took:?}");
    // Nobody of those that hung is left.
    let left = nodes.host(1).run("pgrep", &["-fl", "stonith|hb-switch"])?;
    ensure!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
    Ok(())
}

#[test]
fn who_leaves_in_good_order_is_not_fenced() -> Result<()> {
    let nodes = Nodes::settled(2, |_| files(2))?;
    let switch = Switch::start(&nodes, Manner::Works)?;
    nodes.stop(0)?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    let status = nodes.wait_for_status(1, "it has left", |status| Ok(status.peers[0].state == "left"))?;
    ensure!(status.text("/peers/0/fencing")? == "none", "{}", status.json);
    ensure!(status.alarms().is_empty(), "{}", status.json);
    ensure!(switch.calls().is_empty(), "{:?}", switch.calls());
    Ok(())
}

#[test]
fn of_three_the_one_that_takes_over_fences_and_who_had_nothing_is_spared() -> Result<()> {
    let mut nodes = Nodes::settled(3, |_| files(3))?;
    let switch = Switch::start(&nodes, Manner::Works)?;
    // Whose support came when the owner owned already counts after a deadtime: before, the third is needed.
    nodes.let_pass(0, 10)?;
    let before = Moment::now();
    nodes.power_off(2)?;
    for node in 0..2 {
        nodes.wait_for_status(node, "the third is dead", |status| {
            Ok(status
                .peers
                .iter()
                .any(|peer| peer.name == "n3" && peer.state == "dead"))
        })?;
        nodes.let_pass(node, 10)?;
    }
    ensure!(switch.calls().is_empty(), "{:?}", switch.calls());
    nodes.ensure_untouched(0, WEB, before)?;

    nodes.start(2)?;
    nodes.wait_until_agreed(0)?;
    let cut = Moment::now();
    nodes.lan.cut(&[Node(0)], &[Node(1), Node(2)])?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    let calls = switch.calls();
    let [call] = &calls[..] else {
        anyhow::bail!("{calls:?}");
    };
    ensure!(call.node == name(0), "{call:?}");
    // Cut off, it gave up what it had before it was fenced.
    let ownership = nodes.ownership()?;
    let overlaps = ownership.overlaps(WEB, cut, Moment::now());
    ensure!(overlaps.is_empty(), "{overlaps:?}");
    Ok(())
}
