//! What operators order: that it happens, is waited for, and that exit codes tell.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cluster::Cluster,
    expect::{FLOATIP, LIMIT},
    network::Server,
    resource::{self, Fault},
    tutorial::Files,
};

use Server::{Primary, Secondary};

/// A deadtime that no test waits for. The preferred node would get its group back by itself.
fn slow() -> Files {
    Files::recording().timers("15", "15").ha_cf_line("auto_failback on")
}

/// Mends what [`resource::spoil`] spoilt.
fn mend(cluster: &Cluster, server: Server, what: &str) -> Result<()> {
    let path = format!("/run/resources/{FLOATIP}.{what}");
    cluster.network.server(server).run_ok("rm", &[&path]).map(|_| ())
}

#[test]
fn standby_gives_away_and_takeover_gets_back() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let standby = cluster.run_hb(Primary, &["standby"])?;
    standby.ensure(0, &["floatip: given up, now on secondary (took "])?;
    // It was waited for: nothing is left to happen.
    ensure!(resource::runs_on(&cluster.network.secondary, FLOATIP)?);
    ensure!(!resource::runs_on(&cluster.network.primary, FLOATIP)?);
    cluster.ensure_handed_over(Primary, Secondary)?;
    let takeover = cluster.status(Secondary)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "peer_declined", "{takeover:?}");
    // It stays there, with auto_failback on.
    cluster.ensure_agreed(Secondary)?;
    cluster.run_hb(Primary, &["standby"])?.ensure(0, &["nothing to do"])?;

    let takeover = cluster.run_hb(Primary, &["takeover"])?;
    takeover.ensure(0, &["floatip: taken over, now on primary (took "])?;
    ensure!(resource::runs_on(&cluster.network.primary, FLOATIP)?);
    cluster.ensure_handed_over(Secondary, Primary)?;
    cluster.ensure_agreed(Primary)?;
    cluster.run_hb(Primary, &["takeover"])?.ensure(0, &["nothing to do"])?;

    // From the other side, too, and it stays there again.
    cluster
        .run_hb(Secondary, &["takeover"])?
        .ensure(0, &["now on secondary"])?;
    cluster.ensure_agreed(Secondary)
}

/// Both have given it up before, and nobody asks for it by itself.
#[test]
fn what_went_to_and_fro_can_be_given_up() -> Result<()> {
    let cluster = Cluster::settled(Files::recording().timers("15", "15").ha_cf_line("auto_failback off"))?;
    cluster
        .run_hb(Secondary, &["takeover"])?
        .ensure(0, &["now on secondary"])?;
    cluster.run_hb(Primary, &["takeover"])?.ensure(0, &["now on primary"])?;
    cluster.ensure_agreed(Primary)?;
    cluster
        .run_hb(Primary, &["standby"])?
        .ensure(0, &["now on secondary"])?;
    cluster.ensure_agreed(Secondary)
}

#[test]
fn which_groups_are_meant_is_heeded() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    for nothing in [["standby", "foreign"], ["standby", "failback"], ["takeover", "local"]] {
        cluster.run_hb(Primary, &nothing)?.ensure(0, &["nothing to do"])?;
    }
    ensure!(cluster.called(Secondary)?.is_empty());
    cluster
        .run_hb(Primary, &["standby", "local"])?
        .ensure(0, &["now on secondary"])?;
    cluster
        .run_hb(Secondary, &["standby", "local"])?
        .ensure(0, &["nothing to do"])?;
    cluster
        .run_hb(Secondary, &["standby", "failback"])?
        .ensure(0, &["now on primary"])?;
    cluster.ensure_agreed(Primary)
}

#[test]
fn without_waiting_it_is_begun_all_the_same() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    cluster
        .run_hb(Primary, &["standby", "--no-wait"])?
        .ensure(0, &["floatip: being given up"])?;
    cluster.wait_until_agreed(Secondary)?;
    cluster
        .run_hb(Primary, &["takeover", "--no-wait"])?
        .ensure(0, &["floatip: being taken over"])?;
    cluster.wait_until_agreed(Primary)
}

#[test]
fn what_takes_longer_than_the_timeout_is_said() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    resource::spoil(&cluster.network.secondary, FLOATIP, "start", Fault::Hangs)?;
    cluster.run_hb(Primary, &["standby", "--timeout", "1500ms"])?.ensure(
        5,
        &[
            "it has not happened within 15",
            "floatip: declined here, owner secondary",
        ],
    )?;
    // The daemon serves others meanwhile, and nobody else takes what is being started.
    ensure!(cluster.status(Primary)?.owner() == Some("secondary"));
    ensure!(!resource::runs_on(&cluster.network.primary, FLOATIP)?);
    Ok(())
}

#[test]
fn a_takeover_that_is_late_is_no_longer_asked_for() -> Result<()> {
    let cluster = Cluster::settled(slow().ha_cf_line("auto_failback off"))?;
    resource::spoil(&cluster.network.primary, FLOATIP, "stop", Fault::Hangs)?;
    cluster.run_hb(Secondary, &["takeover", "--timeout", "1s"])?.ensure(
        5,
        &[
            "floatip: asking here, owner nobody, waiting: held primary",
            "no longer asked for",
        ],
    )?;
    let status = cluster.status(Secondary)?;
    ensure!(status.groups[0].state != "asking", "{}", status.json);
    Ok(())
}

#[test]
fn a_standby_that_nobody_can_follow_fails() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    resource::spoil(&cluster.network.secondary, FLOATIP, "start", Fault::Fails)?;
    cluster
        .run_hb(Primary, &["standby"])?
        .ensure(1, &["floatip: no other node could have it"])?;
    cluster.wait_for_owner(Primary)?;
    let alarms = cluster.status(Secondary)?;
    ensure!(
        alarms
            .text("/alarms/0")?
            .starts_with("group failed: floatip could not be started here (floatip: start: ")
    );
    cluster
        .run_hb(Secondary, &["status"])?
        .ensure(0, &["GROUP FAILED: floatip"])?;
    Ok(())
}

#[test]
fn in_maintenance_nothing_moves() -> Result<()> {
    let cluster = Cluster::settled(Files::recording().timers("800ms", "10"))?;
    cluster
        .run_hb(Primary, &["maintenance", "on"])?
        .ensure(0, &["maintenance is on: nothing is touched on any node"])?;
    // It was waited for: the other node knows.
    let status = cluster.status(Secondary)?;
    ensure!(status.json["maintenance"] == true && status.text("/maintenance_by/0")? == "primary");
    for server in Server::ALL {
        cluster
            .run_hb(server, &["status"])?
            .ensure(0, &["MAINTENANCE, by primary"])?;
        cluster
            .run_hb(server, &["standby"])?
            .ensure(1, &["maintenance is on (by primary)"])?;
    }
    cluster
        .run_hb(Secondary, &["maintenance", "off"])?
        .ensure(1, &["primary wants it on"])?;

    cluster.hb(Primary)?.kill9()?;
    let status = cluster.wait_for_peer(Secondary, "dead")?;
    ensure!(status.text("/groups/0/waiting")? == "maintenance", "{}", status.json);
    ensure!(
        status
            .text("/alarms/0")?
            .starts_with("both nodes may own: primary is silent")
    );
    ensure!(cluster.called(Secondary)?.is_empty());
    // Who is gone cannot take it back, so anybody may; and then it does move.
    cluster
        .run_hb(Secondary, &["maintenance", "off"])?
        .ensure(0, &["maintenance is off"])?;
    cluster.wait_until("it moves", LIMIT, || {
        resource::runs_on(&cluster.network.secondary, FLOATIP)
    })
}

#[test]
fn a_group_that_failed_is_cleaned_up() -> Result<()> {
    let mut cluster = Cluster::recording(slow())?;
    resource::spoil(&cluster.network.primary, FLOATIP, "start", Fault::Fails)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    cluster.wait_for_owner(Secondary)?;
    let failed = cluster.wait_for_status(Primary, "it failed", |status| Ok(status.groups[0].state == "failed"))?;
    ensure!(failed.number("/groups/0/retry_ms")? > 0 && failed.text("/groups/0/waiting").is_err());
    cluster
        .run_hb(Secondary, &["cleanup", FLOATIP])?
        .ensure(1, &["floatip: there is nothing wrong with it here"])?;
    cluster
        .run_hb(Primary, &["cleanup", "web"])?
        .ensure(1, &["there is no group web; haresources has: floatip"])?;
    mend(&cluster, Primary, "start-fails")?;
    cluster
        .run_hb(Primary, &["cleanup", FLOATIP])?
        .ensure(0, &["floatip: cleaned up"])?;
    // It may have it again, and auto_failback is on.
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.status(Primary)?.json["alarms"] == serde_json::json!([]));
    Ok(())
}

#[test]
fn who_is_alone_gives_nothing_away() -> Result<()> {
    let mut cluster = Cluster::recording(Files::recording().timers("500ms", "2"))?;
    for order in [
        &["standby"][..],
        &["takeover"],
        &["maintenance", "on"],
        &["cleanup", FLOATIP],
        &["reload"],
    ] {
        cluster.run_hb(Primary, order)?.ensure(3, &["hb is not running here"])?;
    }
    cluster.start_hb(Primary)?;
    cluster.wait_until_answering(Primary)?;
    cluster.wait_for_owner(Primary)?;
    cluster
        .run_hb(Primary, &["standby"])?
        .ensure(1, &["floatip: no other node is there to have it"])?;
    cluster.run_hb(Primary, &["takeover"])?.ensure(0, &["nothing to do"])?;
    ensure!(resource::runs_on(&cluster.network.primary, FLOATIP)?);
    Ok(())
}

#[test]
fn wrong_usage_is_told() -> Result<()> {
    let cluster = Cluster::recording(slow())?;
    for (wrong, word) in [
        (&["standby", "some"][..], "failback"),
        (&["takeover", "failback"], "foreign"),
        (&["maintenance"], "<SWITCH>"),
        (&["cleanup"], "<GROUP>"),
        (&["standby", "--timeout", "60"], "a number and its unit"),
        (&["standby", "--timeout", "61m"], "at most 60m"),
    ] {
        cluster.run_hb(Primary, wrong)?.ensure(2, &[word])?;
    }
    cluster
        .run_hb(Primary, &["standby", "--help"])?
        .ensure(0, &["Exit codes:", "5  it has not happened within the timeout"])
}

#[test]
fn what_was_recorded_is_decided_again() -> Result<()> {
    let recording = "/var/log/hb-record.jsonl";
    let cluster = Cluster::settled(slow().hb_toml(&format!("[recorder]\nfile = \"{recording}\"\n")))?;
    cluster
        .run_hb(Primary, &["standby"])?
        .ensure(0, &["floatip: given up"])?;
    // The recording of a running daemon is as good: it is written line by line.
    cluster.wait_until("all of it is written", LIMIT, || {
        let replayed = cluster.run_hb(Primary, &["replay", recording])?;
        Ok(replayed.code == Some(0) && replayed.text.contains("release floatip: standby"))
    })?;
    cluster.stop_hb(Secondary)?;
    let replayed = cluster.run_hb(Secondary, &["replay", recording])?;
    replayed.ensure(0, &["acquire floatip: peer_declined", "release floatip: leave"])
}

/// Longest that one of a flood of askers waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks again and again, one way or another, until it is over; counts the reports.
fn ask_without_end(path: &str, asker: usize, over: &AtomicBool, reports: &AtomicU64) {
    let questions: [&[u8]; 4] = [
        b"\"status\"\n",
        b"nonsense\n",
        b"\"status\"\n",
        b"{\"order\":{\"order\":{\"takeover\":{\"which\":\"local\"}},\"wait\":false,\"timeout_ms\":0}}\n",
    ];
    while !over.load(Ordering::Relaxed) {
        // That it cannot get in, or is thrown out, is a flood's own affair.
        let Ok(mut stream) = UnixStream::connect(path) else {
            continue;
        };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.write_all(questions[asker % questions.len()]);
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).is_ok() && answer.contains("\"version\"") {
            reports.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_flood_of_questions_delays_no_takeover_and_loses_no_order() -> Result<()> {
    let mut cluster = Cluster::settled(Files::recording().timers("800ms", "3"))?;
    let path = format!("/proc/{}/root/run/hb/hb.sock", cluster.network.secondary.pid());
    let (over, reports) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let (path, over, reports) = (&path, &over, &reports);
        for asker in 0..8 {
            scope.spawn(move || ask_without_end(path, asker, over, reports));
        }
        let outcome = (|| {
            cluster.wait_until("the flood is answered", LIMIT, || {
                Ok(reports.load(Ordering::Relaxed) >= 100)
            })?;
            cluster.power_off(Primary)?;
            resource::lose(&cluster.network.primary, FLOATIP)?;
            cluster.wait_for_owner(Secondary)?;
            // An operator is heard, too.
            let order = cluster.run_hb(Secondary, &["standby"])?;
            order.ensure(1, &["floatip: no other node is there to have it"])?;
            let takeover = cluster.status(Secondary)?.last_takeover.context("no takeover")?;
            let detected = takeover.detected_us.context("nothing was detected")?;
            let decided = takeover.decided_us.context("nothing was decided")?;
            // Far more than a decision takes on a busy machine, and far less than to answer all who ask.
            ensure!(decided - detected < 500_000, "{takeover:?}");
            Ok(())
        })();
        over.store(true, Ordering::Relaxed);
        outcome
    })
}
