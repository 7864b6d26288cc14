//! Scripts that fail: where the group goes, what is tried again, and what a person has to mend.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::Moment,
    expect::LIMIT,
    nodes::{Files, Nodes, expect::WEB, power::LOSE_POWER},
    stamp::{self, Fault, Stamp, What},
};

use What::{StartBegin, StartEnd, StopBegin, StopEnd};

/// The name of the group: its first resource, as haresources writes it.
const GROUP: &str = "stamp::web";

/// A deadtime that a busy machine keeps, and that a test can wait for.
const TIMERS: &str = "keepalive 100ms\ndeadtime 600ms\ninitdead 3";

fn files(hb_toml: &str) -> Files {
    Files::of(2, TIMERS).hb_toml(hb_toml)
}

/// A cluster that is not started yet.
fn spoilt(hb_toml: &str, operation: &str, on: &[usize]) -> Result<Nodes> {
    let nodes = Nodes::create(2, |_| files(hb_toml))?;
    for node in on {
        stamp::spoil(nodes.host(*node), WEB, operation, Fault::Fails)?;
    }
    Ok(nodes)
}

fn whats(stamps: &[Stamp]) -> Vec<What> {
    stamps.iter().map(|stamp| stamp.what).collect()
}

fn count(stamps: &[Stamp], what: What) -> usize {
    stamps.iter().filter(|stamp| stamp.what == what).count()
}

/// Waits until the group's state on a node, by its own daemon, is as wanted.
fn wait_for_state(nodes: &Nodes, node: usize, state: &str) -> Result<()> {
    nodes.wait_for_status(node, &format!("the group is {state}"), |status| {
        Ok(status.groups[0].state == state)
    })?;
    Ok(())
}

#[test]
fn what_does_not_start_goes_to_the_other_and_does_not_bounce() -> Result<()> {
    let begun = Moment::now();
    let mut nodes = spoilt("", "start", &[0])?;
    nodes.start_all()?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    let status = nodes.wait_for_alarm(0, "group failed", GROUP)?;
    ensure!(status.number("/groups/0/retry_ms")? > 0, "{}", status.json);
    ensure!(status.has_alarm("group failed", "told to fail"), "{}", status.json);
    nodes.ensure_shown(0, &["GROUP FAILED: stamp::web", "told to fail", "tried again in"])?;
    let takeover = nodes.status(1)?.last_takeover.context("no takeover")?;
    ensure!(takeover.cause == "peer_failed", "{takeover:?}");
    // auto_failback is on, and it stays all the same.
    nodes.let_pass(0, 10)?;
    nodes.let_pass(1, 10)?;
    let (failed, good) = (nodes.calls(0, WEB, begun)?, nodes.calls(1, WEB, begun)?);
    let expected = [StartBegin, StartEnd { ok: false }, StopBegin, StopEnd { ok: true }];
    ensure!(whats(&failed) == expected, "{failed:?}");
    ensure!(whats(&good) == [StartBegin, StartEnd { ok: true }], "{good:?}");
    ensure!(
        failed[3].at <= good[0].at,
        "it was started there before it was stopped here"
    );

    // Who mends it says so.
    stamp::mend(nodes.host(0), WEB, "start")?;
    nodes.let_pass(0, 5)?;
    ensure!(nodes.runs_on(WEB)? == [1]);
    let cleanup = nodes.run(0, &["cleanup", GROUP])?;
    ensure!(cleanup.code == Some(0), "{cleanup:?}");
    nodes.wait_for_owner(WEB, 0, LIMIT)?;
    nodes.wait_until_agreed(0)?;
    let ownership = nodes.ownership()?;
    ensure!(ownership.overlaps(WEB, begun, Moment::now()).is_empty() && ownership.clashes().is_empty());
    Ok(())
}

#[test]
fn what_starts_nowhere_is_tried_again() -> Result<()> {
    let retry = Duration::from_secs(2);
    let begun = Moment::now();
    let mut nodes = spoilt("[cluster]\nstart_retry = \"2s\"\n", "start", &[0, 1])?;
    nodes.start_all()?;
    let starts = |node: usize| -> Result<Vec<Stamp>> {
        let mut calls = nodes.calls(node, WEB, begun)?;
        calls.retain(|stamp| stamp.what == StartBegin);
        Ok(calls)
    };
    nodes.wait_until("both have tried twice", LIMIT, || {
        Ok(starts(0)?.len() >= 2 && starts(1)?.len() >= 2)
    })?;
    for node in 0..2 {
        let starts = starts(node)?;
        for pair in starts.windows(2) {
            ensure!(pair[1].at - pair[0].at >= retry, "tried again too early: {starts:?}");
        }
    }
    nodes.wait_for_alarm(0, "group failed", GROUP)?;
    stamp::mend(nodes.host(1), WEB, "start")?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    let ownership = nodes.ownership()?;
    let overlaps = ownership.overlaps(WEB, begun, Moment::now());
    ensure!(overlaps.is_empty() && ownership.clashes().is_empty(), "{overlaps:?}");
    Ok(())
}

#[test]
fn who_cannot_stop_reboots_and_only_then_the_other_takes_over() -> Result<()> {
    let hb_toml = "[scripts]\nstop_retries = 2\nstop_pause = \"100ms\"\n\
                   [cluster]\nreboot_command = [\"/usr/local/sbin/reboot-test\", \"-nf\"]\n";
    let nodes = Nodes::settled(2, |_| files(hb_toml))?;
    for node in 0..2 {
        let script = format!("#!/bin/sh\necho \"$@\" >>/run/rebooted\nexec {LOSE_POWER}\n");
        nodes
            .host(node)
            .write_file("/usr/local/sbin/reboot-test", 0o755, script)?;
    }
    stamp::spoil(nodes.host(0), WEB, "stop", Fault::Fails)?;
    let asked = Moment::now();
    nodes.run(0, &["standby", "--no-wait"])?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    ensure!(nodes.host(0).read_file("/run/rebooted")? == "-nf\n");
    let calls = nodes.calls(0, WEB, asked)?;
    ensure!(
        count(&calls, StopBegin) == 3 && count(&calls, StartBegin) == 0,
        "{calls:?}"
    );
    let lost = calls.last().context("no call")?;
    ensure!(lost.what == What::Lost, "{calls:?}");
    let start = nodes.calls(1, WEB, asked)?;
    ensure!(lost.at <= start.first().context("no start")?.at);
    ensure!(nodes.ownership()?.overlaps(WEB, asked, Moment::now()).is_empty());
    nodes.wait_for_status(1, "the other is dead", |status| Ok(status.peers[0].state == "dead"))?;
    ensure!(
        nodes
            .host(1)
            .run_ok("sh", &["-c", "ls /run/rebooted 2>/dev/null; :"])?
            .is_empty()
    );
    Ok(())
}

#[test]
fn a_reboot_that_fails_leaves_it_with_its_owner() -> Result<()> {
    let hb_toml = "[scripts]\nstop_retries = 1\nstop_pause = \"100ms\"\n\
                   [cluster]\nreboot_command = [\"/bin/sh\", \"-c\", \"echo not today; exit 3\"]\n";
    let nodes = Nodes::settled(2, |_| files(hb_toml))?;
    stamp::spoil(nodes.host(0), WEB, "stop", Fault::Fails)?;
    let asked = Moment::now();
    nodes.run(0, &["standby", "--no-wait"])?;
    nodes.wait_for_alarm(0, "group stuck", GROUP)?;
    nodes.wait_for_alarm(0, "reboot", "not today")?;
    nodes.let_pass(1, 10)?;
    nodes.ensure_untouched(1, WEB, asked)?;
    ensure!(nodes.runs_on(WEB)? == [0]);
    Ok(())
}

#[test]
fn what_is_held_because_it_cannot_be_stopped_nobody_takes_over() -> Result<()> {
    let hb_toml = "[scripts]\nstop_retries = 1\nstop_pause = \"100ms\"\n[cluster]\nstuck = \"hold\"\n";
    let nodes = Nodes::settled(2, |_| files(hb_toml))?;
    let begun = Moment::now();
    stamp::spoil(nodes.host(0), WEB, "stop", Fault::Fails)?;
    let standby = nodes.run(0, &["standby"])?;
    ensure!(
        standby.code == Some(1) && (standby.out + &standby.err).contains("cannot be stopped here"),
        "{:?} {}",
        standby.code,
        nodes.log(0)
    );
    nodes.wait_for_alarm(0, "group stuck", GROUP)?;
    nodes.ensure_shown(0, &["GROUP STUCK: stamp::web", "hb cleanup stamp::web"])?;
    nodes.wait_for_status(1, "it knows", |status| Ok(status.peers[0].state == "up"))?;
    nodes.let_pass(1, 10)?;
    nodes.ensure_untouched(1, WEB, begun)?;

    // Not mended, and so still held.
    let cleanup = nodes.run(0, &["cleanup", GROUP])?;
    ensure!(cleanup.code == Some(1), "{cleanup:?}");
    wait_for_state(&nodes, 0, "stuck")?;
    stamp::mend(nodes.host(0), WEB, "stop")?;
    let cleanup = nodes.run(0, &["cleanup", GROUP])?;
    ensure!(cleanup.code == Some(0), "{cleanup:?}");
    nodes.wait_until("it is somewhere, and nothing is wrong", LIMIT, || {
        Ok(nodes.runs_on(WEB)?.len() == 1 && nodes.status(0)?.alarms().is_empty())
    })?;
    let ownership = nodes.ownership()?;
    ensure!(ownership.overlaps(WEB, begun, Moment::now()).is_empty() && ownership.clashes().is_empty());
    Ok(())
}

#[test]
fn what_is_held_is_not_taken_over_even_from_the_dead() -> Result<()> {
    let hb_toml = "[scripts]\nstop_retries = 1\nstop_pause = \"100ms\"\n[cluster]\nstuck = \"hold\"\n";
    let mut nodes = Nodes::settled(2, |_| files(hb_toml))?;
    let begun = Moment::now();
    stamp::spoil(nodes.host(0), WEB, "stop", Fault::Fails)?;
    nodes.run(0, &["standby"])?;
    wait_for_state(&nodes, 0, "stuck")?;
    nodes.kill9(0)?;
    let status = nodes.wait_for_status(1, "the other is dead", |status| {
        Ok(status.peers[0].state == "dead" && status.text("/groups/0/waiting").is_ok_and(|why| why == "stuck"))
    })?;
    ensure!(status.text("/groups/0/waiting_for")? == "n1", "{}", status.json);
    ensure!(!status.alarms().is_empty(), "{}", status.json);
    nodes.let_pass(1, 10)?;
    nodes.ensure_untouched(1, WEB, begun)?;
    ensure!(nodes.runs_on(WEB)? == [0]);

    // Started again it finds what it has.
    stamp::mend(nodes.host(0), WEB, "stop")?;
    nodes.start(0)?;
    nodes.wait_until_agreed(0)?;
    nodes.ensure_untouched(1, WEB, begun)?;
    ensure!(nodes.runs_on(WEB)? == [0]);
    Ok(())
}

#[test]
fn what_is_sick_is_restarted_and_then_moved() -> Result<()> {
    let hb_toml = "[monitor.\"stamp::web\"]\ninterval = \"200ms\"\nfailures = 2\n";
    let nodes = Nodes::settled(2, |_| files(hb_toml))?;
    let asked = |node: usize, since: Moment| -> Result<usize> {
        let stamps = nodes.stamps()?;
        let is_it =
            |stamp: &&Stamp| stamp.host == nodes.host(node).name() && stamp.what == What::Status && stamp.at >= since;
        Ok(stamps.iter().filter(is_it).count())
    };
    let healthy = Moment::now();
    nodes.wait_until("it is asked again and again", LIMIT, || Ok(asked(0, healthy)? >= 3))?;
    for node in 0..2 {
        nodes.ensure_untouched(node, WEB, healthy)?;
    }
    ensure!(asked(1, healthy)? == 0, "who does not have it is not asked");

    let sick = Moment::now();
    stamp::spoil(nodes.host(0), WEB, "status", Fault::Fails)?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    let status = nodes.wait_for_alarm(0, "group failed", GROUP)?;
    ensure!(status.groups[0].state == "failed", "{}", status.json);
    let calls = nodes.calls(0, WEB, sick)?;
    let (stop, start) = ([StopBegin, StopEnd { ok: true }], [StartBegin, StartEnd { ok: true }]);
    ensure!(whats(&calls) == [stop, start, stop].concat(), "{calls:?}");
    ensure!(whats(&nodes.calls(1, WEB, sick)?) == start);
    let before_stop = nodes.stamps()?;
    let failures = before_stop
        .iter()
        .filter(|stamp| stamp.what == What::Status && (sick..calls[0].at).contains(&stamp.at));
    ensure!(failures.count() >= 2, "{before_stop:?}");
    ensure!(nodes.log(0).contains("does not run as it should"), "{}", nodes.log(0));
    ensure!(nodes.ownership()?.overlaps(WEB, sick, Moment::now()).is_empty());
    Ok(())
}
