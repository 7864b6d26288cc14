//! Daemons that were frozen, as a paused virtual machine is, and wake.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::Moment,
    expect::LIMIT,
    frames::is_beat_of,
    network::INTERFACE,
    nodes::{
        Files, Nodes,
        lan::{address, name},
    },
    stamp::{Stamp, What},
    wire::{Capture, Direction},
};

const DEADTIME: Duration = Duration::from_millis(800);

fn settled(nodes: usize, auto_failback: &str) -> Result<Nodes> {
    let ha_cf = format!("keepalive 50ms\ndeadtime 800ms\ninitdead 10\nauto_failback {auto_failback}\n");
    let mut cluster = Nodes::create(nodes, |_| Files::of(nodes, &ha_cf))?;
    cluster.start_all()?;
    cluster.wait_for_owner("web", 0, LIMIT)?;
    wait_until_met(&cluster)?;
    cluster.wait_until_everybody_counts()?;
    Ok(cluster)
}

fn wait_until_met(nodes: &Nodes) -> Result<()> {
    nodes.wait_until("all see each other", LIMIT, || {
        Ok((0..nodes.count()).all(|node| nodes.status(node).is_ok_and(|status| status.sees_all_peers())))
    })
}

/// Freezes a node's daemon until another says that it was silent for so long.
fn freeze(nodes: &Nodes, node: usize, witness: usize, silence: Duration) -> Result<()> {
    nodes.daemon(node)?.stop()?;
    nodes.wait_until("it was silent for long enough", LIMIT, || {
        let status = nodes.status(witness)?;
        let peers = status.peers.iter().position(|peer| peer.name == name(node));
        let peer = peers.context("no such peer")?;
        let silent = status.number(&format!("/peers/{peer}/links/0/last_seen_ms"))?;
        Ok(u128::from(silent) > silence.as_millis())
    })
}

/// The stamps of a host's script, but for `status`, as `stop-begin` and so on.
fn moves(nodes: &Nodes, node: usize) -> Result<Vec<Stamp>> {
    let mut stamps = nodes.stamps()?;
    stamps.retain(|stamp| stamp.host == name(node) && stamp.what != What::Status);
    Ok(stamps)
}

const START: [What; 2] = [What::StartBegin, What::StartEnd { ok: true }];
const STOP: [What; 2] = [What::StopBegin, What::StopEnd { ok: true }];

fn ensure_moves(nodes: &Nodes, node: usize, expected: &[[What; 2]]) -> Result<()> {
    let moves: Vec<_> = moves(nodes, node)?.iter().map(|stamp| stamp.what).collect();
    ensure!(
        moves == expected.concat(),
        "{}: {moves:?}\n{}",
        name(node),
        nodes.log(node)
    );
    Ok(())
}

/// What an owner does that wakes and finds that another has taken over.
fn woken_owner(nodes: &Nodes) -> Result<()> {
    let wire = Capture::start(nodes.host(0), INTERFACE, is_beat_of(address(0)))?;
    freeze(nodes, 0, 1, 3 * DEADTIME)?;
    nodes.wait_until("the other has it, too", LIMIT, || Ok(nodes.runs_on("web")? == [0, 1]))?;
    let _ = wire.take();
    let woken = Moment::now();
    nodes.daemon(0)?.cont()?;
    nodes.wait_until("it has stopped its own", LIMIT, || {
        Ok(moves(nodes, 0)?
            .get(2..4)
            .is_some_and(|stop| stop.iter().map(|stamp| stamp.what).eq(STOP)))
    })?;
    // Less than the time for which it says nothing: it has only to listen.
    let stop = moves(nodes, 0)?[2].at;
    ensure!(
        stop > woken && stop - woken < DEADTIME / 2,
        "it stopped {:?} after waking",
        stop - woken
    );

    wait_until_met(nodes)?;
    let beats = wire.frames();
    let first = beats
        .iter()
        .find(|frame| frame.direction == Direction::Sent)
        .context("it says nothing at all")?;
    ensure!(
        // Half a deadtime and half an interval; a peer that was frozen, too, would wait for a deadtime.
        (DEADTIME / 2..DEADTIME).contains(&(first.at - woken)),
        "it says something {:?} after waking, the deadtime being {DEADTIME:?}",
        first.at - woken
    );
    let log = nodes.log(0);
    ensure!(
        log.contains("this node was frozen; it listens before it does anything"),
        "{log}"
    );
    Ok(())
}

#[test]
fn a_woken_owner_listens_stops_and_gets_it_back() -> Result<()> {
    let nodes = settled(2, "on")?;
    woken_owner(&nodes)?;
    nodes.wait_for_owner("web", 0, LIMIT)?;
    ensure_moves(&nodes, 0, &[START, STOP, START])?;
    ensure_moves(&nodes, 1, &[START, STOP])?;
    let takeover = nodes.status(0)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "fail_back", "{takeover:?}");
    let ownership = nodes.ownership()?;
    ensure!(ownership.clashes().is_empty(), "{:?}", ownership.clashes());
    Ok(())
}

#[test]
fn without_failback_the_other_keeps_it() -> Result<()> {
    let nodes = settled(2, "off")?;
    woken_owner(&nodes)?;
    ensure_stays(&nodes, 1)?;
    ensure_moves(&nodes, 0, &[START, STOP])?;
    ensure_moves(&nodes, 1, &[START])
}

#[test]
fn of_three_the_others_have_taken_over_and_the_woken_one_stops() -> Result<()> {
    let nodes = settled(3, "off")?;
    woken_owner(&nodes)?;
    ensure_stays(&nodes, 1)?;
    ensure_moves(&nodes, 0, &[START, STOP])?;
    ensure_moves(&nodes, 1, &[START])?;
    ensure_moves(&nodes, 2, &[])
}

#[test]
fn a_woken_standby_moves_nothing() -> Result<()> {
    for count in [2, 3] {
        let nodes = settled(count, "on")?;
        let last = count - 1;
        freeze(&nodes, last, 0, 3 * DEADTIME)?;
        let log = nodes.log(last).len();
        nodes.daemon(last)?.cont()?;
        nodes.wait_until("it knows that it was frozen", LIMIT, || {
            Ok(nodes.log(last)[log..].contains("this node was frozen"))
        })?;
        wait_until_met(&nodes)?;
        ensure_stays(&nodes, 0)?;
        ensure_moves(&nodes, 0, &[START])?;
        for node in 1..count {
            ensure_moves(&nodes, node, &[])?;
        }
    }
    Ok(())
}

/// The daemon cannot notice anything, and its kernel does: the death counts from when it was due.
#[test]
fn what_the_kernel_found_while_the_daemon_was_frozen_counts_from_then() -> Result<()> {
    let nodes = settled(2, "on")?;
    nodes.daemon(1)?.stop()?;
    let killed = Moment::now();
    nodes.kill9(0)?;
    nodes.wait_until("its deadline is long past", LIMIT, || {
        Ok(killed.elapsed() > 3 * DEADTIME)
    })?;
    nodes.daemon(1)?.cont()?;
    nodes.wait_until("the woken one has taken over", LIMIT, || {
        let takeover = nodes.status(1)?.last_takeover;
        Ok(takeover.is_some_and(|takeover| takeover.cause == "peer_died"))
    })?;
    let takeover = nodes.status(1)?.last_takeover.context("no takeover")?;
    ensure!(takeover.detected_by.as_deref() == Some("kernel"), "{takeover:?}");
    let detected = takeover.detected_us.context("nothing was detected")?;
    let decided = takeover.decided_us.context("nothing was decided")?;
    let deadtime = i64::try_from(DEADTIME.as_micros())?;
    // The timer may be late on a busy machine, but was not frozen; whoever decides was.
    ensure!(detected >= deadtime && detected < 2 * deadtime, "{takeover:?}");
    ensure!(decided > 2 * deadtime, "{takeover:?}");
    Ok(())
}

/// Insists that all agree on the owner, while each hears some beats more.
fn ensure_stays(nodes: &Nodes, owner: usize) -> Result<()> {
    let agree = || -> Result<bool> {
        let agree = (0..nodes.count()).all(|node| {
            nodes
                .status(node)
                .is_ok_and(|status| status.sees_all_peers() && status.owner() == Some(name(owner).as_str()))
        });
        Ok(agree && nodes.runs_on("web")? == [owner])
    };
    nodes.wait_until("all agree on the owner", LIMIT, agree)?;
    let beats: Vec<_> = (0..nodes.count())
        .map(|node| nodes.status(node)?.accepted())
        .collect::<Result<_>>()?;
    nodes.wait_until("ten beats more are heard", LIMIT, || {
        let heard = |node: usize| {
            nodes
                .status(node)
                .is_ok_and(|status| status.accepted().is_ok_and(|now| now >= beats[node] + 10))
        };
        Ok((0..nodes.count()).all(heard))
    })?;
    ensure!(agree()?, "they agree no more");
    Ok(())
}
