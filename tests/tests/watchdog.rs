//! The kernel's watchdog, with a file in its place: every byte that the daemon writes can be read there.

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::poll,
    expect::LIMIT,
    nodes::{Files, Nodes},
};
use nix::{
    sys::{
        ptrace,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

const DEVICE: &str = "/run/watchdog";
const HA_CF: &str = "keepalive 50ms\ndeadtime 15\ninitdead 15\nwatchdog /run/watchdog\n";

fn settled() -> Result<Nodes> {
    let mut nodes = Nodes::create(2, |_| Files::of(2, HA_CF))?;
    for node in 0..2 {
        nodes.host(node).write_file(DEVICE, 0o600, "")?;
    }
    nodes.start_all()?;
    nodes.wait_for_owner("web", 0, LIMIT)?;
    Ok(nodes)
}

fn fed(nodes: &Nodes) -> Result<String> {
    nodes.host(0).read_file(DEVICE)
}

#[test]
fn it_is_fed_while_all_is_well_and_disarmed_at_the_end() -> Result<()> {
    let nodes = settled()?;
    let before = fed(&nodes)?.len();
    nodes.wait_until("it is fed again and again", LIMIT, || {
        Ok(fed(&nodes)?.len() >= before + 3)
    })?;
    ensure!(!fed(&nodes)?.contains('V'));
    nodes.stop(0)?;
    let fed = fed(&nodes)?;
    ensure!(fed.ends_with('V') && fed.matches('V').count() == 1, "{fed:?}");
    ensure!(nodes.host(1).read_file(DEVICE)?.len() > 1);
    nodes.stop(1)
}

#[test]
fn a_daemon_that_dies_leaves_it_armed() -> Result<()> {
    let nodes = settled()?;
    nodes.kill9(0)?;
    let fed = fed(&nodes)?;
    ensure!(!fed.is_empty() && !fed.contains('V'), "{fed:?}");
    Ok(())
}

/// The pulse thread goes on, and the peer hears it, but nobody decides anything.
#[test]
fn a_controller_that_is_stuck_lets_it_starve() -> Result<()> {
    let nodes = settled()?;
    let accepted = || -> Result<u64> { nodes.status(1)?.accepted() };
    let main = Pid::from_raw(i32::try_from(nodes.daemon(0)?.pid())?);
    // A debugger stops one thread alone, as no signal can.
    ptrace::seize(main, ptrace::Options::empty())?;
    ptrace::interrupt(main)?;
    waitpid(main, Some(WaitPidFlag::__WALL))?;
    // What it did last is fed once more, with the next beat or so.
    let wait_for_beats = |count: u64| -> Result<()> {
        let before = accepted()?;
        let come = poll(LIMIT, || Ok((accepted()? >= before + count).then_some(())))?;
        come.context("the pulse thread does not go on")
    };
    wait_for_beats(10)?;
    let before = fed(&nodes)?;
    wait_for_beats(60)?;
    let after = fed(&nodes)?;
    ptrace::detach(main, None)?;
    ensure!(before == after, "fed meanwhile: {before:?}, {after:?}");
    nodes.wait_until("it is fed again", LIMIT, || Ok(fed(&nodes)?.len() > after.len()))
}
