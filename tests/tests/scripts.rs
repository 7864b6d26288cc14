//! How the scripts of haresources are called.

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cluster::Cluster,
    expect::{FLOATIP, LIMIT},
    network::Server,
    resource::{self, Fault, SCRIPT},
    tutorial::Files,
};

use Server::{Primary, Secondary};

/// A deadtime that no test waits for.
fn slow() -> Files {
    Files::recording().timers("15", "15")
}

/// A cluster with more of the recording scripts, and whatever `prepare` does before the daemons start.
fn cluster(files: Files, scripts: &[&str], prepare: impl Fn(&Cluster) -> Result<()>) -> Result<Cluster> {
    let mut cluster = Cluster::recording(files)?;
    for server in Server::ALL {
        for script in scripts {
            let path = format!("/etc/ha.d/resource.d/{script}");
            cluster.network.server(server).write_file(&path, 0o755, SCRIPT)?;
        }
    }
    prepare(&cluster)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    cluster.wait_until_joined(LIMIT)?;
    Ok(cluster)
}

#[test]
fn a_group_starts_from_the_left_and_stops_from_the_right() -> Result<()> {
    let files = slow().haresources("primary floatip disk::/dev/sdb::data 192.0.2.77/24 \\\n  web # the site\n");
    let cluster = cluster(files, &["disk", "web", "IPaddr"], |cluster| {
        // It runs already: it is not started again.
        cluster.network.primary.write_file("/run/resources/web", 0o644, "")
    })?;
    cluster.ensure_agreed(Primary)?;
    let started = [
        "floatip status",
        "floatip start",
        "disk::/dev/sdb::data status",
        "disk::/dev/sdb::data start",
        "IPaddr::192.0.2.77/24 status",
        "IPaddr::192.0.2.77/24 start",
        "web status",
    ];
    ensure!(cluster.called(Primary)? == started, "{:?}", cluster.called(Primary)?);
    cluster.stop_hb(Primary)?;
    let stopped = [
        "web stop",
        "IPaddr::192.0.2.77/24 stop",
        "disk::/dev/sdb::data stop",
        "floatip stop",
    ];
    ensure!(cluster.called(Primary)? == [&started[..], &stopped].concat());
    cluster.wait_for_owner(Secondary)?;
    ensure!(
        cluster.called(Secondary)?.len() == 8,
        "{:?}",
        cluster.called(Secondary)?
    );
    Ok(())
}

#[test]
fn two_groups_live_on_two_nodes_and_on_one_when_need_be() -> Result<()> {
    let files = slow().haresources("primary floatip\nsecondary mail\n");
    let mut cluster = cluster(files, &["mail"], |_| Ok(()))?;
    let apart = |cluster: &Cluster| {
        cluster.wait_for_owner(Primary)?;
        cluster.wait_for_owner_of("mail", Secondary)
    };
    apart(&cluster)?;
    ensure!(cluster.all_calls()? == [["floatip status", "floatip start"], ["mail status", "mail start"]]);
    for server in Server::ALL {
        cluster.stop_hb(server)?;
        cluster.wait_for_owner(server.other())?;
        cluster.wait_for_owner_of("mail", server.other())?;
        cluster.start_hb(server)?;
        apart(&cluster)?;
    }
    cluster.ensure_agreed(Primary)
}

#[test]
fn scripts_find_heartbeats_environment() -> Result<()> {
    let cluster = Cluster::settled(slow().ha_cf_line("auto_failback on\nlogfacility daemon"))?;
    let environment = cluster.network.primary.read_file("/run/environment-start")?;
    for line in [
        "HA_CURHOST=primary",
        "HA_DIR=/etc/ha.d",
        "HA_keepalive=50ms",
        "HA_deadtime=15",
        "HA_auto_failback=on",
        "HA_LOGFACILITY=daemon",
        "HA_NICEFAILBACK=yes",
        "LC_ALL=C",
        "OCF_ROOT=/usr/lib/ocf",
    ] {
        ensure!(environment.lines().any(|one| one == line), "no {line} in {environment}");
    }
    ensure!(!environment.contains("HA_DONTASK"), "{environment}");
    ensure!(
        !environment.contains("HA_node") && !environment.contains("HA_ucast"),
        "{environment}"
    );
    cluster.stop_hb(Primary)?;
    cluster.wait_for_owner(Secondary)?;
    let environment = cluster.network.secondary.read_file("/run/environment-start")?;
    ensure!(environment.contains("HA_CURHOST=secondary\n"), "{environment}");
    Ok(())
}

#[test]
fn what_cannot_start_here_starts_there() -> Result<()> {
    let files = slow().haresources("primary floatip web\n");
    let cluster = cluster(files, &["web"], |cluster| {
        resource::spoil(&cluster.network.primary, "web", "start", Fault::Fails)
    })?;
    cluster.wait_for_owner(Secondary)?;
    let primary = cluster.wait_for_status(Primary, "the start has failed", |status| {
        Ok(status.groups[0].state == "failed")
    })?;
    ensure!(primary.owner() == Some("secondary"));
    let problem = primary.text("/groups/0/problem")?;
    ensure!(problem.contains("web: start: exit code 1: told to fail"), "{problem}");
    // All of it was stopped there first.
    let called = [
        "floatip status",
        "floatip start",
        "web status",
        "web start",
        "web stop",
        "floatip stop",
    ];
    ensure!(cluster.called(Primary)? == called);
    let takeover = cluster.status(Secondary)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "peer_failed");
    cluster.ensure_handed_over(Primary, Secondary)?;
    cluster.ensure_agreed(Secondary)
}

#[test]
fn what_can_start_nowhere_ends_quietly() -> Result<()> {
    let cluster = cluster(slow(), &[], |cluster| {
        Server::ALL
            .iter()
            .try_for_each(|server| resource::spoil(cluster.network.server(*server), FLOATIP, "start", Fault::Fails))
    })?;
    for server in Server::ALL {
        cluster.wait_for_status(server, "the start has failed", |status| {
            Ok(status.groups[0].state == "failed" && status.owner().is_none())
        })?;
    }
    let calls = cluster.all_calls()?;
    cluster.wait_for_beats(Primary, 10)?;
    cluster.wait_for_beats(Secondary, 10)?;
    ensure!(cluster.all_calls()? == calls && calls.concat().len() == 6, "{calls:?}");
    Ok(())
}

#[test]
fn what_cannot_be_stopped_is_taken_by_nobody() -> Result<()> {
    let mut cluster = Cluster::settled(slow().hb_toml("[cluster]\nstuck = \"hold\"\n"))?;
    cluster.stop_hb(Primary)?;
    cluster.wait_for_owner(Secondary)?;
    resource::spoil(&cluster.network.secondary, FLOATIP, "stop", Fault::Fails)?;
    cluster.start_hb(Primary)?;
    // Stop is tried eleven times, a second apart.
    let secondary =
        cluster.wait_for_status(Secondary, "it is stuck", |status| Ok(status.groups[0].state == "stuck"))?;
    let problem = secondary.text("/groups/0/problem")?;
    ensure!(
        problem.contains("stop: exit code 1: told to fail; status says that it runs"),
        "{problem}"
    );
    cluster.wait_for_beats(Primary, 10)?;
    ensure!(cluster.status(Primary)?.owner().is_none());
    // Asked once, when secondary was seen to stop it, and no more.
    ensure!(cluster.called(Primary)? == ["floatip status", "floatip start", "floatip stop", "floatip status"]);
    let stops = cluster
        .called(Secondary)?
        .iter()
        .filter(|call| *call == "floatip stop")
        .count();
    ensure!(stops == 11, "stopped {stops} times");
    // Whoever stops hb learns that something may still run.
    cluster.hb(Secondary)?.term()?;
    ensure!(cluster.hb(Secondary)?.wait_exit(LIMIT)?.code() == Some(1));
    ensure!(
        cluster
            .network
            .secondary
            .log()
            .contains("hb: floatip could not be stopped")
    );
    Ok(())
}

#[test]
fn a_missing_script_is_said_and_the_peer_takes_over() -> Result<()> {
    let files = slow().haresources("primary floatip web\n");
    let cluster = cluster(files, &["web"], |cluster| {
        cluster
            .network
            .primary
            .run_ok("rm", &["/etc/ha.d/resource.d/web"])
            .map(|_| ())
    })?;
    cluster.wait_for_owner(Secondary)?;
    let primary = cluster.wait_for_status(Primary, "the start has failed", |status| {
        Ok(status.groups[0].state == "failed")
    })?;
    let problem = primary.text("/groups/0/problem")?;
    ensure!(problem.contains("/etc/ha.d/resource.d/web does not exist"), "{problem}");
    Ok(())
}
