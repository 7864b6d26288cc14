//! Who watches the deadlines, and who may be the sick one.

use anyhow::{Context, Result, ensure};
use hb_tests::{
    expect::LIMIT,
    nodes::{Files, Nodes, expect::WEB, lan::Station::Node},
};

/// A deadtime that a busy machine keeps, and that a test can wait for.
const TIMERS: &str = "keepalive 100ms\ndeadtime 600ms\ninitdead 3";

/// A cluster that runs, and whose first node has the group.
fn running(nodes: usize, hb_toml: &str) -> Result<Nodes> {
    let mut cluster = Nodes::create(nodes, |_| Files::of(nodes, TIMERS).hb_toml(hb_toml))?;
    cluster.start_all()?;
    cluster.wait_for_owner(WEB, 0, LIMIT)?;
    cluster.wait_until("all see each other", LIMIT, || {
        Ok((0..nodes).all(|node| cluster.status(node).is_ok_and(|status| status.sees_all_peers())))
    })?;
    Ok(cluster)
}

/// Who found the death of the first node, by the second.
fn found_by(nodes: &Nodes) -> Result<Option<String>> {
    nodes.kill9(0)?;
    nodes.wait_until("the second has taken over", LIMIT, || {
        let takeover = nodes.status(1)?.last_takeover;
        Ok(takeover.is_some_and(|takeover| takeover.cause == "peer_died"))
    })?;
    Ok(nodes.status(1)?.last_takeover.context("no takeover")?.detected_by)
}

#[test]
fn the_kernel_watches_and_the_status_says_so() -> Result<()> {
    let nodes = running(2, "")?;
    let status = nodes.status(1)?;
    ensure!(status.json["detection"]["by"] == "kernel", "{}", status.json);
    ensure!(status.json["detection"]["reason"].is_null(), "{}", status.json);
    nodes.ensure_shown(1, &["deadlines watched by the kernel"])?;
    let by = found_by(&nodes)?;
    // The thread watches, too, and whoever is first counts.
    ensure!(matches!(by.as_deref(), Some("kernel" | "thread")), "{by:?}");
    Ok(())
}

#[test]
fn without_the_kernel_s_timers_the_thread_watches_alone() -> Result<()> {
    let nodes = running(2, "[realtime]\ndeadlines = \"thread\"\n")?;
    let status = nodes.status(1)?;
    ensure!(status.json["detection"]["by"] == "thread", "{}", status.json);
    ensure!(status.json["detection"]["machine_gaps"].is_null(), "{}", status.json);
    nodes.ensure_shown(1, &["deadlines watched by the thread (hb.toml: realtime.deadlines)"])?;
    let by = found_by(&nodes)?;
    ensure!(by.as_deref() == Some("thread"), "{by:?}");
    Ok(())
}

#[test]
fn who_hears_nobody_any_more_may_be_the_sick_one() -> Result<()> {
    let nodes = running(3, "")?;
    nodes.lan.cut(&[Node(2)], &[Node(0), Node(1)])?;
    nodes.wait_until("it takes itself for the sick one", LIMIT, || {
        Ok(nodes.log(2).contains("all peers fell silent at once"))
    })?;
    let status = nodes.status(2)?;
    ensure!(status.number("/detection/graces")? > 0, "{}", status.json);
    // The two others miss one peer of two, and take it for dead at once.
    nodes.wait_until("the others take it for dead", LIMIT, || {
        let is_dead = |node| -> Result<bool> {
            let status = nodes.status(node)?;
            Ok(status.peers.iter().any(|peer| peer.state == "dead"))
        };
        Ok(is_dead(0)? && is_dead(1)?)
    })?;
    ensure!(!nodes.log(0).contains("all peers fell silent at once"));
    ensure!(!nodes.log(1).contains("all peers fell silent at once"));
    Ok(())
}
