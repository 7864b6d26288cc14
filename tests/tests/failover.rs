//! Who has the group, whatever happens to the servers and the network between them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cluster::Cluster,
    expect::{FLOATIP, timed},
    network::{Cut, Server},
    resource,
    tutorial::Files,
};

use Server::{Primary, Secondary};

/// Short enough to wait for, long enough for a busy machine.
fn quick() -> Files {
    Files::recording().timers("800ms", "10")
}

/// A deadtime that no test waits for: what happens sooner does not happen because of it.
const LONG: Duration = Duration::from_secs(15);

fn slow() -> Files {
    Files::recording().timers("15", "15")
}

#[test]
fn started_together_primary_has_it() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.called(Primary)? == ["floatip status", "floatip start"]);
    ensure!(cluster.called(Secondary)?.is_empty());
    let takeover = cluster.status(Primary)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "start");
    Ok(())
}

#[test]
fn started_one_after_the_other_nothing_moves() -> Result<()> {
    for first in Server::ALL {
        let mut cluster = Cluster::recording(slow())?;
        cluster.start_hb(first)?;
        cluster.wait_until_answering(first)?;
        ensure!(cluster.status(first)?.peers[0].state == "unknown");
        ensure!(cluster.called(first)?.is_empty());
        cluster.start_hb(first.other())?;
        cluster.ensure_agreed(Primary)?;
        ensure!(cluster.called(Secondary)?.is_empty());
    }
    Ok(())
}

#[test]
fn alone_it_waits_for_initdead_and_takes_over() -> Result<()> {
    for alone in Server::ALL {
        let mut cluster = Cluster::recording(Files::recording().timers("500ms", "2"))?;
        cluster.start_hb(alone)?;
        cluster.wait_until_answering(alone)?;
        cluster.wait_for_owner(alone)?;
        let status = cluster.status(alone)?;
        let takeover = status.last_takeover.as_ref().context("no takeover")?;
        ensure!(takeover.cause == "peer_died");
        ensure!(status.json.pointer("/last_takeover/last_beat_us") == Some(&serde_json::Value::Null));
        ensure!(status.number("/uptime_ms")? - status.number("/groups/0/since_ms")? >= 2000);
        // Whoever comes later finds it taken, and takes it only if it is the preferred one.
        cluster.start_hb(alone.other())?;
        cluster.ensure_agreed(Primary)?;
    }
    Ok(())
}

#[test]
fn a_crash_is_noticed_after_the_deadtime() -> Result<()> {
    let mut cluster = Cluster::settled(quick())?;
    cluster.power_off(Primary)?;
    resource::lose(&cluster.network.primary, FLOATIP)?;
    cluster.wait_for_owner(Secondary)?;
    let takeover = cluster.status(Secondary)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "peer_died");
    ensure!(takeover.deadline_us == Some(800_000), "{takeover:?}");
    ensure!(takeover.detected_us >= takeover.deadline_us && takeover.decided_us >= takeover.detected_us);
    ensure!(cluster.called(Secondary)? == ["floatip status", "floatip start"]);
    // What is pinned would be for a process that goes on; the next daemon replaces it, as it does the socket's name.
    ensure!(cluster.has_xdp(Primary)?);
    cluster.power_on(Primary)?;
    cluster.ensure_agreed(Primary)?;
    cluster.ensure_handed_over(Secondary, Primary)
}

#[test]
fn an_orderly_stop_hands_over_at_once() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let took = timed(|| {
        cluster.stop_hb(Primary)?;
        cluster.wait_for_owner(Secondary)
    })?;
    ensure!(took < LONG / 3, "it took {took:?}");
    let takeover = cluster.status(Secondary)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "peer_left" && takeover.deadline_us.is_none());
    cluster.ensure_handed_over(Primary, Secondary)?;
    ensure!(cluster.called(Primary)?.ends_with(&["floatip stop".to_owned()]));
    cluster.ensure_nothing_left(Primary)
}

#[test]
fn the_idle_one_may_stop_and_come_back() -> Result<()> {
    let mut cluster = Cluster::settled(slow())?;
    let took = timed(|| cluster.stop_hb(Secondary))?;
    ensure!(took < LONG / 3, "it took {took:?}");
    cluster.ensure_nothing_left(Secondary)?;
    cluster.wait_for_owner(Primary)?;
    cluster.start_hb(Secondary)?;
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.called(Primary)? == ["floatip status", "floatip start"]);
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}

#[test]
fn both_may_stop_at_once() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let took = timed(|| {
        cluster.hb(Primary)?.term()?;
        cluster.hb(Secondary)?.term()?;
        for server in Server::ALL {
            let status = cluster.hb(server)?.wait_exit(LONG)?;
            ensure!(status.success(), "{status}");
        }
        Ok(())
    })?;
    ensure!(took < LONG / 3, "it took {took:?}");
    for server in Server::ALL {
        cluster.ensure_nothing_left(server)?;
        ensure!(!resource::runs_on(cluster.network.server(server), FLOATIP)?);
    }
    Ok(())
}

#[test]
fn the_last_one_waits_for_nobody() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let took = timed(|| Server::ALL.into_iter().try_for_each(|server| cluster.stop_hb(server)))?;
    ensure!(took < LONG / 3, "it took {took:?}");
    cluster.ensure_nothing_left(Secondary)
}

#[test]
fn a_partition_ends_with_one_owner() -> Result<()> {
    for cut in [Cut::Unplugged, Cut::Silent] {
        let cluster = Cluster::settled(quick())?;
        cluster.network.cut(Primary, cut)?;
        cluster.wait_for_peer(Primary, "dead")?;
        cluster.wait_for_peer(Secondary, "dead")?;
        cluster.wait_until("secondary has it, too", LONG, || {
            resource::runs_on(&cluster.network.secondary, FLOATIP)
        })?;
        cluster.network.heal(Primary, cut)?;
        wait_until_reclaimed(&cluster, Primary)?;
    }
    Ok(())
}

#[test]
fn a_partition_without_failback_ends_with_the_one_that_had_it() -> Result<()> {
    for owner in Server::ALL {
        let mut cluster = Cluster::settled(quick().ha_cf_line("auto_failback off"))?;
        if owner == Secondary {
            cluster.stop_hb(Primary)?;
            cluster.wait_for_owner(Secondary)?;
            cluster.start_hb(Primary)?;
            cluster.ensure_agreed(Secondary)?;
        }
        cluster.network.cut(Primary, Cut::Silent)?;
        cluster.wait_until("the other one has it, too", LONG, || {
            resource::runs_on(cluster.network.server(owner.other()), FLOATIP)
        })?;
        cluster.wait_for_peer(owner, "dead")?;
        cluster.network.heal(Primary, Cut::Silent)?;
        wait_until_reclaimed(&cluster, owner)?;
    }
    Ok(())
}

/// The cloud's address may have gone to the other one meanwhile, however fine it looks from here: the owner starts it
/// again once that has stopped it.
fn wait_until_reclaimed(cluster: &Cluster, owner: Server) -> Result<()> {
    cluster.wait_until("it is started again", LONG, || {
        Ok(cluster
            .called(owner)?
            .ends_with(&["floatip start".to_owned(), "floatip start".to_owned()]))
    })?;
    cluster.ensure_handed_over(owner.other(), owner)?;
    cluster.ensure_agreed(owner)
}

#[test]
fn a_deaf_owner_is_heard_and_keeps_it() -> Result<()> {
    let cluster = Cluster::settled(quick())?;
    cluster.network.cut(Primary, Cut::Deaf)?;
    cluster.wait_for_peer(Primary, "dead")?;
    cluster.wait_for_status(Secondary, "primary does not hear it", |status| {
        Ok(!status.peers[0].hears_us)
    })?;
    cluster.wait_for_beats(Secondary, 40)?;
    ensure!(cluster.called(Secondary)?.is_empty());
    cluster.network.heal(Primary, Cut::Deaf)?;
    cluster.ensure_agreed(Primary)
}

#[test]
fn a_mute_owner_lets_go() -> Result<()> {
    let cluster = Cluster::settled(quick())?;
    cluster.network.cut(Primary, Cut::Mute)?;
    // It hears that secondary has it, and that secondary does not hear it.
    cluster.wait_for_owner(Secondary)?;
    cluster.network.heal(Primary, Cut::Mute)?;
    cluster.ensure_agreed(Primary)?;
    cluster.ensure_handed_over(Secondary, Primary)
}

#[test]
fn it_returns_as_auto_failback_says() -> Result<()> {
    for (auto_failback, owner) in [("on", Primary), ("legacy", Primary), ("off", Secondary)] {
        let mut cluster = Cluster::settled(quick().ha_cf_line(&format!("auto_failback {auto_failback}")))?;
        cluster.power_off(Primary)?;
        resource::lose(&cluster.network.primary, FLOATIP)?;
        cluster.wait_for_owner(Secondary)?;
        cluster.power_on(Primary)?;
        cluster.ensure_agreed(owner)?;
        if owner == Primary {
            cluster.ensure_handed_over(Secondary, Primary)?;
            let status = cluster.status(Primary)?;
            let takeover = status.last_takeover.as_ref().context("no takeover")?;
            ensure!(takeover.cause == "fail_back", "{takeover:?}");
            ensure!(status.text("/last_takeover/peer")? == "secondary", "{}", status.json);
        } else {
            ensure!(cluster.called(Secondary)? == ["floatip status", "floatip start"]);
        }
    }
    Ok(())
}

#[test]
fn a_quick_restart_moves_nothing() -> Result<()> {
    let mut cluster = Cluster::settled(slow())?;
    for server in Server::ALL {
        let before = cluster
            .status(server.other())?
            .text("/peers/0/links/0/incarnation")?
            .to_owned();
        cluster.hb(server)?.kill9()?;
        cluster.start_hb(server)?;
        cluster.wait_for_status(server.other(), "the peer's new life", |status| {
            Ok(status.text("/peers/0/links/0/incarnation")? > before.as_str())
        })?;
        cluster.ensure_agreed(Primary)?;
    }
    ensure!(cluster.called(Secondary)?.is_empty());
    // It found its resource running: asked while it waited for the other's word, and once more after that.
    ensure!(cluster.called(Primary)? == ["floatip status", "floatip start", "floatip status", "floatip status"]);
    Ok(())
}

#[test]
fn after_a_quick_reboot_it_starts_again_at_home() -> Result<()> {
    let mut cluster = Cluster::settled(slow())?;
    cluster.power_off(Primary)?;
    resource::lose(&cluster.network.primary, FLOATIP)?;
    cluster.power_on(Primary)?;
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}

#[test]
fn a_short_freeze_moves_nothing() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    for frozen in Server::ALL {
        cluster.hb(frozen)?.stop()?;
        cluster.wait_for_status(frozen.other(), "half a second of silence", |status| {
            Ok(status.number("/peers/0/links/0/last_seen_ms")? > 500)
        })?;
        cluster.hb(frozen)?.cont()?;
        cluster.ensure_agreed(Primary)?;
        ensure!(cluster.status(frozen)?.number("/pulse/worst_lateness_us")? > 400_000);
    }
    ensure!(cluster.called(Primary)? == ["floatip status", "floatip start"]);
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}

#[test]
fn a_frozen_owner_gets_it_back() -> Result<()> {
    let cluster = Cluster::settled(quick())?;
    cluster.hb(Primary)?.stop()?;
    cluster.wait_until("secondary has it", LONG, || {
        resource::runs_on(&cluster.network.secondary, FLOATIP)
    })?;
    // Clearly longer than the deadtime, so that it knows when it wakes.
    cluster.wait_for_status(Secondary, "two seconds of silence", |status| {
        Ok(status.peers[0].state == "dead" && status.number("/peers/0/links/0/last_seen_ms")? > 2000)
    })?;
    cluster.hb(Primary)?.cont()?;
    // It stops at once what secondary has by now, and then gets it back as auto_failback says.
    cluster.wait_until("it is stopped and started again", LONG, || {
        let called = cluster.called(Primary)?;
        let moves: Vec<_> = called.iter().filter(|call| *call != "floatip status").collect();
        Ok(moves == ["floatip start", "floatip stop", "floatip start"])
    })?;
    cluster.ensure_handed_over(Secondary, Primary)?;
    cluster.ensure_agreed(Primary)?;
    let takeover = cluster.status(Primary)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "fail_back", "{takeover:?}");
    Ok(())
}

#[test]
fn who_was_frozen_itself_takes_nobody_for_dead() -> Result<()> {
    let cluster = Cluster::settled(quick())?;
    cluster.hb(Secondary)?.stop()?;
    cluster.wait_for_peer(Primary, "dead")?;
    cluster.hb(Secondary)?.cont()?;
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.status(Secondary)?.number("/pulse/worst_lateness_us")? > 600_000);
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}
