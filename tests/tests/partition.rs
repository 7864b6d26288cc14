//! A network that is cut: who goes on, who gives up, and how it ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::Moment,
    cluster::Cluster,
    expect::{FLOATIP, LIMIT},
    network::{Cut, Server},
    nodes::{
        Files, Nodes,
        expect::WEB,
        lan::{GATEWAY_IP, GATEWAY_IP6, Station, name},
    },
    ownership::total,
    resource,
    stamp::{self, Fault, What},
    tutorial,
};

use Station::{Gateway, Node};

/// Short, and yet such that a busy machine keeps them.
const TIMERS: &str = "keepalive 100ms\ndeadtime 600ms\ninitdead 3\nauto_failback off";

/// The keepalive of [`TIMERS`].
const KEEPALIVE: Duration = Duration::from_millis(100);

/// The deadtime of [`TIMERS`].
const DEADTIME: Duration = Duration::from_millis(600);

/// How much later than it should a busy machine may begin with a script.
const SLACK: Duration = Duration::from_millis(400);

/// The alarm of a node that takes nothing for granted.
const BOTH: &str = "both nodes may own";

/// The first node is cut off, gives up what it has, and the second takes over; after the heal nothing moves any more.
/// How long both owned it.
fn cut_off(nodes: &Nodes, from: &[Station]) -> Result<Duration> {
    let (incarnations, calm) = (nodes.incarnations()?, Moment::now());
    nodes.lan.cut(&[Node(0)], from)?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    let status = nodes.wait_for_alarm(0, "lease lost", "")?;
    ensure!(
        status.json["lease_held"] == false && status.groups[0].owner.is_none(),
        "{}",
        status.json
    );
    nodes.ensure_shown(0, &["LEASE LOST", "lease not held"])?;
    let taken = nodes.wait_for_status(1, "it has it", |status| Ok(status.owner() == Some("n2")))?;
    let takeover = taken.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "peer_died", "{takeover:?}");
    // The loser does not try to get it back.
    nodes.let_pass(0, 10)?;
    let whats: Vec<_> = nodes.calls(0, WEB, calm)?.iter().map(|stamp| stamp.what).collect();
    ensure!(whats == [What::StopBegin, What::StopEnd { ok: true }], "{whats:?}");
    ensure!(nodes.log(0).contains("too few others hear us"), "{}", nodes.log(0));

    let healed = Moment::now();
    nodes.lan.heal()?;
    nodes.wait_until_agreed(1)?;
    nodes.let_pass(0, 10)?;
    nodes.wait_until_agreed(1)?;
    for node in 0..nodes.count() {
        nodes.ensure_untouched(node, WEB, healed)?;
    }
    ensure!(nodes.incarnations()? == incarnations, "a daemon was started again");
    let ownership = nodes.ownership()?;
    ensure!(ownership.clashes().is_empty(), "{:?}", ownership.clashes());
    Ok(total(&ownership.overlaps(WEB, calm, Moment::now())))
}

#[test]
fn a_minoritys_owner_gives_up_as_the_majority_takes_over() -> Result<()> {
    let nodes = Nodes::settled(3, |_| Files::of(3, TIMERS))?;
    let stop = Duration::from_millis(800);
    stamp::spoil(nodes.host(0), WEB, "stop", Fault::Takes(stop))?;
    let overlap = cut_off(&nodes, &[Node(1), Node(2)])?;
    ensure!(overlap + KEEPALIVE <= stop + SLACK, "both owned it for {overlap:?}");
    Ok(())
}

#[test]
fn with_room_for_its_stop_nobody_else_owns_it_meanwhile() -> Result<()> {
    let files = |_| Files::of(3, TIMERS).hb_toml("[cluster]\ntakeover_delay = \"1500ms\"\n");
    let nodes = Nodes::settled(3, files)?;
    stamp::spoil(nodes.host(0), WEB, "stop", Fault::Takes(Duration::from_millis(400)))?;
    let cut = Moment::now();
    let overlap = cut_off(&nodes, &[Node(1), Node(2), Gateway])?;
    ensure!(overlap.is_zero(), "both owned it for {overlap:?}");
    let start = nodes.calls(1, WEB, cut)?;
    let waited = start.first().context("no start")?.at - cut;
    ensure!(
        waited + KEEPALIVE >= DEADTIME + Duration::from_millis(1500),
        "{waited:?}"
    );
    Ok(())
}

#[test]
fn a_minority_starts_nothing_and_a_majority_does() -> Result<()> {
    let files = Files::of(3, "keepalive 100ms\ndeadtime 600ms\ninitdead 800ms");
    let mut nodes = Nodes::create(3, |_| files.clone())?;
    let begun = Moment::now();
    nodes.start(0)?;
    let alone = nodes.wait_for_status(0, "it knows that it is alone", |status| {
        Ok(status.text("/status")? == "up" && status.peers.iter().all(|peer| peer.state == "dead"))
    })?;
    ensure!(
        alone.text("/quorum")? == "majority" && alone.json["lease_held"] == false,
        "{}",
        alone.json
    );
    ensure!(alone.text("/groups/0/waiting")? == "lease", "{}", alone.json);
    ensure!(alone.has_alarm("lease lost", ""), "{}", alone.json);
    nodes.let_pass(0, 10)?;
    nodes.ensure_untouched(0, WEB, begun)?;

    // The third never comes.
    nodes.start(1)?;
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    nodes.wait_for_status(1, "no alarm", |status| Ok(status.alarms().is_empty()))?;
    nodes.ensure_untouched(1, WEB, begun)
}

#[test]
fn who_is_cut_off_from_the_ping_node_gives_up() -> Result<()> {
    let ha_cf = format!("{TIMERS}\ndeadping 500ms\nping {GATEWAY_IP}");
    let files = Files::of(2, &ha_cf).hb_toml("[cluster]\ntakeover_delay = \"1500ms\"\n");
    let nodes = Nodes::settled(2, |_| files.clone())?;
    stamp::spoil(nodes.host(0), WEB, "stop", Fault::Takes(Duration::from_millis(400)))?;
    let overlap = cut_off(&nodes, &[Node(1), Gateway])?;
    ensure!(overlap.is_zero(), "both owned it for {overlap:?}");
    Ok(())
}

#[test]
fn who_reaches_fewer_ping_nodes_does_not_take_over() -> Result<()> {
    // Of a group one member is enough; the other is nobody's address.
    let ha_cf =
        format!("{TIMERS}\ndeadping 500ms\nping_group routers 198.51.100.250 {GATEWAY_IP}\nping6 {GATEWAY_IP6}");
    let nodes = Nodes::settled(2, |_| Files::of(2, &ha_cf))?;
    for node in 0..2 {
        nodes.wait_for_status(node, "the peer reaches both", |status| {
            Ok(status.number("/peers/0/pings")? == 2 && status.number("/pings_reached")? == 2)
        })?;
        nodes.ensure_shown(
            node,
            &["by pings", "ping nodes reached: 2 of 2", "reaches 2 ping nodes"],
        )?;
    }
    let calm = Moment::now();
    let lose = ["-6", "route", "add", "unreachable", &GATEWAY_IP6.to_string()];
    nodes.host(1).run_ok("ip", &lose)?;
    nodes.wait_for_status(0, "the peer reaches one", |status| {
        Ok(status.number("/peers/0/pings")? == 1)
    })?;
    ensure!(nodes.log(1).contains("not all ping nodes answer"), "{}", nodes.log(1));

    nodes.lan.cut(&[Node(0)], &[Node(1)])?;
    nodes.wait_for_alarm(0, BOTH, "n2")?;
    let status = nodes.wait_for_status(1, "the peer is dead", |status| Ok(status.peers[0].state == "dead"))?;
    ensure!(
        ["lease", "pings"].contains(&status.text("/groups/0/waiting")?),
        "{}",
        status.json
    );
    nodes.let_pass(1, 10)?;
    for node in 0..2 {
        nodes.ensure_untouched(node, WEB, calm)?;
    }
    // Then it reaches as many.
    let find = ["-6", "route", "del", "unreachable", &GATEWAY_IP6.to_string()];
    nodes.host(1).run_ok("ip", &find)?;
    nodes.wait_until("it takes over", LIMIT, || Ok(nodes.runs_on(WEB)? == [0, 1]))?;
    nodes.wait_for_alarm(1, BOTH, "n1").map(|_| ())
}

/// Both own it while they are cut apart, and say so; after the heal one does, and the other has stopped first.
fn both_own(ha_cf: &str) -> Result<()> {
    let nodes = Nodes::settled(2, |_| Files::of(2, ha_cf))?;
    let (incarnations, cut) = (nodes.incarnations()?, Moment::now());
    nodes.lan.cut(&[Node(0)], &[Node(1)])?;
    nodes.wait_until("both run it", LIMIT, || Ok(nodes.runs_on(WEB)? == [0, 1]))?;
    for (node, other) in [(0, 1), (1, 0)] {
        nodes.wait_for_alarm(node, BOTH, &name(other))?;
        nodes.ensure_shown(node, &["BOTH NODES MAY OWN"])?;
    }
    nodes.ensure_untouched(0, WEB, cut)?;

    let healed = Moment::now();
    nodes.lan.heal()?;
    let calls = |node: usize| -> Result<Vec<_>> {
        let calls = nodes.calls(node, WEB, healed)?;
        Ok(calls.iter().map(|stamp| (stamp.what, stamp.at)).collect())
    };
    // The loser has stopped before its daemon, and then the other's, know of it.
    nodes.wait_until("n1 has started it again", LIMIT, || {
        Ok(calls(0)?.iter().any(|(what, _)| *what == What::StartEnd { ok: true }))
    })?;
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    nodes.wait_until_agreed(0)?;
    let end = Moment::now();
    let (kept, lost) = (calls(0)?, calls(1)?);
    let [(What::StartBegin, again), (What::StartEnd { ok: true }, _)] = kept[..] else {
        anyhow::bail!("on the one that keeps it: {kept:?}");
    };
    let [(What::StopBegin, _), (What::StopEnd { ok: true }, stopped)] = lost[..] else {
        anyhow::bail!("on the one that yields: {lost:?}");
    };
    ensure!(stopped <= again, "it was started again before the other had stopped");
    let overlaps = nodes.ownership()?.overlaps(WEB, healed, end);
    let room = DEADTIME + Duration::from_secs(2);
    ensure!(total(&overlaps) <= room, "after the heal {overlaps:?}");
    ensure!(nodes.incarnations()? == incarnations, "a daemon was started again");
    Ok(())
}

#[test]
fn without_a_tie_breaker_both_own_it_and_say_so() -> Result<()> {
    both_own(TIMERS)
}

#[test]
fn a_ping_node_that_both_reach_breaks_no_tie() -> Result<()> {
    both_own(&format!("{TIMERS}\nping {GATEWAY_IP}"))
}

#[test]
fn to_lose_the_carrier_is_no_reason_to_give_up() -> Result<()> {
    let files = tutorial::Files::recording().timers("500ms", "10");
    let cluster = Cluster::settled(files)?;
    let before = cluster.called(Server::Primary)?;
    cluster.network.cut(Server::Primary, Cut::Unplugged)?;
    let carrier = "/sys/class/net/eth0/carrier";
    ensure!(cluster.network.primary.read_file(carrier)? == "0\n");
    cluster.wait_for_peer(Server::Primary, "dead")?;
    cluster.wait_until("secondary has it, too", LIMIT, || {
        resource::runs_on(&cluster.network.secondary, FLOATIP)
    })?;
    let sent = cluster.status(Server::Primary)?.number("/pulse/wakes")?;
    cluster.wait_for_status(Server::Primary, "it goes on", |status| {
        Ok(status.number("/pulse/wakes")? > sent + 10)
    })?;
    let status = cluster.status(Server::Primary)?;
    ensure!(
        status.owner() == Some("primary") && status.has_alarm(BOTH, "secondary"),
        "{}",
        status.json
    );
    ensure!(cluster.called(Server::Primary)? == before);
    cluster.network.heal(Server::Primary, Cut::Unplugged)?;
    cluster.wait_until_agreed(Server::Primary)
}
