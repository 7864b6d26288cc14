//! As many groups as a beat can speak of, with several resources each.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use hb_tests::{
    clock::Moment,
    expect::LIMIT,
    nodes::{Files, Nodes, lan::name},
    stamp::{self, Stamp, What},
};

const GROUPS: usize = 32;
const RESOURCES: [&str; 3] = ["a", "b", "c"];
/// How long the first resource of each group takes to start.
const SLOW: Duration = Duration::from_millis(300);
/// For all groups, on a busy machine.
const ALL: Duration = Duration::from_mins(1);

fn id(group: usize, resource: &str) -> String {
    format!("g{group}{resource}")
}

/// The groups prefer one node and the other by turns.
fn haresources() -> String {
    let line = |group: usize| {
        let resources = RESOURCES.map(|resource| format!("stamp::{}", id(group, resource)));
        format!("{} {}\n", name(group % 2), resources.join(" "))
    };
    (0..GROUPS).map(line).collect()
}

fn wait_until_all_run(nodes: &Nodes, owner: impl Fn(usize) -> usize) -> Result<()> {
    nodes.wait_until("all groups run where they should", ALL, || {
        for group in 0..GROUPS {
            for resource in RESOURCES {
                if nodes.runs_on(&id(group, resource))? != [owner(group)] {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    })
}

/// The times of a kind of stamp on a host since a moment, by resource.
fn times(stamps: &[Stamp], host: &str, since: Moment, what: What) -> BTreeMap<String, Moment> {
    let stamps = stamps
        .iter()
        .filter(|stamp| stamp.host == host && stamp.at >= since && stamp.what == what);
    stamps.map(|stamp| (stamp.resource.clone(), stamp.at)).collect()
}

#[test]
fn thirty_two_groups_start_side_by_side_and_each_in_its_order() -> Result<()> {
    let files =
        |_| Files::of(2, "keepalive 100ms\ndeadtime 2\ninitdead 10\nauto_failback off").haresources(&haresources());
    let mut nodes = Nodes::create(2, files)?;
    for group in 0..GROUPS {
        stamp::spoil(nodes.host(1), &id(group, "a"), "start", stamp::Fault::Takes(SLOW))?;
    }
    nodes.start_all()?;
    wait_until_all_run(&nodes, |group| group % 2)?;

    let left = Moment::now();
    nodes.stop(0)?;
    wait_until_all_run(&nodes, |_| 1)?;
    let stamps = nodes.stamps()?;
    let began = times(&stamps, &name(1), left, What::StartBegin);
    let ended = times(&stamps, &name(1), left, What::StartEnd { ok: true });
    let stop_began = times(&stamps, &name(0), left, What::StopBegin);
    let stop_ended = times(&stamps, &name(0), left, What::StopEnd { ok: true });
    let moved: Vec<usize> = (0..GROUPS).filter(|group| group % 2 == 0).collect();
    ensure!(began.len() == moved.len() * RESOURCES.len(), "{began:?}");
    for group in &moved {
        let [a, b, c] = RESOURCES.map(|resource| id(*group, resource));
        ensure!(
            ended[&a] <= began[&b] && ended[&b] <= began[&c],
            "group {group} was not started in order"
        );
        ensure!(
            stop_ended[&c] <= stop_began[&b] && stop_ended[&b] <= stop_began[&a],
            "group {group} was not stopped in reverse"
        );
        ensure!(
            stop_ended[&a] <= began[&a],
            "group {group} was started before it was stopped"
        );
    }
    // Side by side: at some moment at least half of the slow starts were under way at once.
    let slow = |group: &usize| (began[&id(*group, "a")], ended[&id(*group, "a")]);
    let at_once = moved.iter().map(|one| {
        let (at, _) = slow(one);
        moved
            .iter()
            .map(slow)
            .filter(|(from, to)| *from <= at && at < *to)
            .count()
    });
    let most = at_once.max().unwrap_or(0);
    ensure!(
        most >= moved.len() / 2,
        "at most {most} of {} starts at once",
        moved.len()
    );

    let ownership = nodes.ownership()?;
    ensure!(ownership.clashes().is_empty(), "{:?}", ownership.clashes());
    for resource in ownership.resources() {
        ensure!(
            ownership.overlaps(resource, left, Moment::now()).is_empty(),
            "{resource} had two owners"
        );
    }
    nodes.wait_until("the status tells all of them", LIMIT, || {
        Ok(nodes
            .status(1)?
            .groups
            .iter()
            .filter(|group| group.state == "running")
            .count()
            == GROUPS)
    })
}

/// So the start need not wait for the script's status, too.
#[test]
fn a_script_is_asked_while_the_other_node_still_stops() -> Result<()> {
    let files =
        |_| Files::of(2, "keepalive 50ms\ndeadtime 2\ninitdead 10\nauto_failback off").haresources("n1 stamp::web\n");
    let mut nodes = Nodes::create(2, files)?;
    stamp::spoil(
        nodes.host(0),
        "web",
        "stop",
        stamp::Fault::Takes(Duration::from_secs(1)),
    )?;
    nodes.start_all()?;
    nodes.wait_for_owner("web", 0, LIMIT)?;
    let told = Moment::now();
    nodes.stop(0)?;
    nodes.wait_for_owner("web", 1, LIMIT)?;

    let stamps = nodes.stamps()?;
    let since = |node| {
        stamps
            .iter()
            .filter(move |stamp| stamp.host == name(node) && stamp.at >= told)
    };
    let stopped = since(0)
        .find(|stamp| stamp.what == What::StopEnd { ok: true })
        .map(|stamp| stamp.at);
    let calls: Vec<_> = since(1).map(|stamp| (stamp.what, Some(stamp.at))).collect();
    let [
        (What::Status, asked),
        (What::StartBegin, started),
        (What::StartEnd { ok: true }, _),
    ] = calls[..]
    else {
        anyhow::bail!("{calls:?}");
    };
    ensure!(
        asked < stopped && stopped < started,
        "asked {asked:?}, stopped {stopped:?}, started {started:?}"
    );
    Ok(())
}
