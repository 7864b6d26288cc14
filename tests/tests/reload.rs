//! A changed configuration, read by daemons that go on.

use std::time::Duration;

use anyhow::{Result, ensure};
use hb_tests::{
    calm::{Watch, called_since, moves, wait_until_met},
    expect::LIMIT,
    nodes::{Files, Nodes, Ran, lan::Station},
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A deadtime that no test waits for.
const SLOW: &str = "keepalive 50ms\ndeadtime 8\ninitdead 8\n";

/// Up and running.
fn settled(nodes: usize, files: &Files) -> Result<Nodes> {
    let mut cluster = Nodes::create(nodes, |_| files.clone())?;
    cluster.start_all()?;
    wait_until_met(&cluster, 0..nodes)?;
    cluster.wait_for_owner("web", 0, LIMIT)?;
    Ok(cluster)
}

/// Runs `hb reload`.
fn reload(nodes: &Nodes, node: usize) -> Result<Ran> {
    nodes.run(node, &["reload"])
}

/// New files for a node, which takes them.
fn change(nodes: &Nodes, node: usize, files: &Files, words: &str) -> Result<()> {
    files.install(nodes.host(node))?;
    let ran = reload(nodes, node)?;
    ensure!(ran.code == Some(0) && ran.out.contains(words), "{words}: {ran:?}");
    Ok(())
}

#[test]
fn what_is_wrong_is_refused_and_nothing_changes() -> Result<()> {
    let files = Files::of(2, SLOW);
    let nodes = settled(2, &files)?;
    let watch = Watch::start(&nodes)?;
    let with = |ha_cf: &str| Files::of(2, &format!("{SLOW}{ha_cf}"));
    let authkeys = |contents: &str| Files {
        authkeys: contents.to_owned(),
        ..files.clone()
    };
    let wrong = [
        (with("warntime soon\n"), "/etc/ha.d/ha.cf:4: warntime \"soon\""),
        (
            with("udpport 7694\n"),
            "udpport cannot be changed while hb runs: stop it",
        ),
        (with("ucast eth7 198.51.100.99\n"), "eth7"),
        (files.clone().haresources("n9 stamp::web\n"), "/etc/ha.d/haresources:1"),
        (
            files.clone().haresources("n1 stamp::web\nn2 stamp::web\n"),
            "/etc/ha.d/haresources:2",
        ),
        (authkeys("auth 1\n2 sha1 0123456789abcdef\n"), "/etc/ha.d/authkeys:1"),
        (
            files.clone().hb_toml("[cluster]\ntakeover_delay = \"-\"\n"),
            "/etc/ha.d/hb.toml:2",
        ),
    ];
    for (files, words) in &wrong {
        files.install(nodes.host(0))?;
        let ran = reload(&nodes, 0)?;
        ensure!(
            ran.code == Some(1) && ran.out.is_empty() && ran.err.contains(words),
            "{words}: {ran:?}"
        );
        let log = nodes.log(0).len();
        nodes.daemon(0)?.signal(Signal::SIGHUP)?;
        nodes.wait_until("SIGHUP is answered in the log", LIMIT, || {
            let log = &nodes.log(0)[log..];
            Ok(log.contains("nothing has changed") && log.contains(&words.replace('"', "\\\"")))
        })?;
        nodes.host(0).run_ok("rm", &["-f", "/etc/ha.d/hb.toml"])?;
    }
    files.install(nodes.host(0))?;
    nodes.host(0).run_ok("chmod", &["644", "/etc/ha.d/authkeys"])?;
    let ran = reload(&nodes, 0)?;
    ensure!(ran.code == Some(1) && ran.err.contains("chmod 600"), "{ran:?}");
    nodes.host(0).run_ok("mv", &["/etc/ha.d/ha.cf", "/etc/ha.d/away"])?;
    let ran = reload(&nodes, 0)?;
    ensure!(
        ran.code == Some(1) && ran.err.contains("/etc/ha.d/ha.cf: not found"),
        "{ran:?}"
    );
    files.install(nodes.host(0))?;
    nodes.host(0).run_ok("chmod", &["600", "/etc/ha.d/authkeys"])?;
    change(&nodes, 0, &files, "nothing has changed")?;
    watch.ensure_calm(&nodes)
}

#[test]
fn timers_change_node_by_node() -> Result<()> {
    let nodes = settled(2, &Files::of(2, SLOW))?;
    let watch = Watch::start(&nodes)?;
    let new = Files::of(2, "keepalive 80ms\ndeadtime 9\ninitdead 9\n");
    change(&nodes, 0, &new, "timers changed")?;
    let status = nodes.status(0)?;
    ensure!(status.number("/interval_us")? == 80_000 && status.number("/deadtime_us")? == 9_000_000);
    nodes.wait_until("both tell that timers differ", LIMIT, || {
        Ok((0..2).all(|node| {
            nodes
                .status(node)
                .is_ok_and(|status| status.json.pointer("/peers/0/differs/settings") == Some(&Value::Bool(true)))
        }))
    })?;
    watch.ensure_calm(&nodes)?;
    new.install(nodes.host(1))?;
    nodes.daemon(1)?.signal(Signal::SIGHUP)?;
    wait_until_met(&nodes, 0..2)?;
    ensure!(nodes.status(1)?.number("/deadtime_us")? == 9_000_000);
    watch.ensure_calm(&nodes)
}

/// The new deadtime is not only told of.
#[test]
fn a_shorter_deadtime_counts() -> Result<()> {
    let mut nodes = settled(2, &Files::of(2, "keepalive 50ms\ndeadtime 300\ninitdead 300\n"))?;
    let new = Files::of(2, "keepalive 50ms\ndeadtime 800ms\ninitdead 10\n");
    for node in 0..2 {
        change(&nodes, node, &new, "timers changed")?;
    }
    wait_until_met(&nodes, 0..2)?;
    nodes.power_off(0)?;
    nodes.wait_for_owner("web", 1, LIMIT)
}

#[test]
fn groups_come_go_and_change() -> Result<()> {
    let files = Files::of(2, &format!("{SLOW}auto_failback on\n"));
    let before = files.clone().haresources(
        "n1 stamp::web\n\
         n2 stamp::db\n\
         n1 stamp::mail stamp::old\n\
         n2 stamp::log\n",
    );
    let nodes = settled(2, &before)?;
    for (resource, node) in [("db", 1), ("old", 0), ("log", 1)] {
        nodes.wait_for_owner(resource, node, LIMIT)?;
    }
    let watch = Watch::start(&nodes)?;
    // db goes, mail changes, log belongs to the other one, cache comes; web is as it was, in another line.
    let after = files.haresources(
        "n2 stamp::cache\n\
         n1 stamp::mail stamp::new\n\
         n1 stamp::log\n\
         n1 stamp::web\n",
    );
    for node in 0..2 {
        change(&nodes, node, &after, "groups changed")?;
    }
    wait_until_met(&nodes, 0..2)?;
    for (resource, node) in [("web", 0), ("mail", 0), ("new", 0), ("log", 0), ("cache", 1)] {
        nodes.wait_for_owner(resource, node, LIMIT)?;
    }
    nodes.wait_until("what is in haresources no more is stopped", LIMIT, || {
        Ok(nodes.runs_on("db")?.is_empty() && nodes.runs_on("old")?.is_empty())
    })?;
    watch.ensure_heard(&nodes)?;
    let called = called_since(&nodes, watch.calls)?;
    let of = |names: &[&str]| -> Vec<&str> {
        let is_of = |call: &&str| names.iter().any(|name| call.contains(&format!(" {name} ")));
        called.iter().map(String::as_str).filter(is_of).collect()
    };
    ensure!(of(&["web"]).is_empty(), "{called:?}");
    ensure!(of(&["db"]) == ["n2 db stop"], "{called:?}");
    ensure!(
        of(&["mail", "old", "new"]) == ["n1 old stop", "n1 mail stop", "n1 mail start", "n1 new start"],
        "{called:?}"
    );
    ensure!(of(&["log"]) == ["n2 log stop", "n1 log start"], "{called:?}");
    ensure!(of(&["cache"]) == ["n2 cache start"], "{called:?}");
    let ownership = nodes.ownership()?;
    ensure!(ownership.clashes().is_empty(), "{:?}", ownership.clashes());
    let names: Vec<_> = nodes.status(1)?.groups.into_iter().map(|group| group.name).collect();
    ensure!(
        names == ["stamp::cache", "stamp::mail", "stamp::log", "stamp::web"],
        "{names:?}"
    );
    Ok(())
}

#[test]
fn in_maintenance_nothing_that_runs_is_removed() -> Result<()> {
    let files = Files::of(2, SLOW);
    let two = files.clone().haresources("n1 stamp::web\nn2 stamp::db\n");
    let nodes = settled(2, &two)?;
    nodes.wait_for_owner("db", 1, LIMIT)?;
    let watch = Watch::start(&nodes)?;
    let ran = nodes.run(1, &["maintenance", "on"])?;
    ensure!(ran.code == Some(0), "{ran:?}");
    for files in [
        files.clone().haresources("n2 stamp::db\n"),
        two.clone().haresources("n1 stamp::web stamp::more\nn2 stamp::db\n"),
    ] {
        files.install(nodes.host(0))?;
        let ran = reload(&nodes, 0)?;
        ensure!(ran.code == Some(1) && ran.err.contains("hb maintenance off"), "{ran:?}");
    }
    // What does not run here may go.
    let without_db = files.haresources("n1 stamp::web\n");
    change(&nodes, 0, &without_db, "groups changed")?;
    watch.ensure_calm(&nodes)?;
    change(&nodes, 0, &two, "groups changed")?;
    wait_until_met(&nodes, 0..2)?;
    let ran = nodes.run(1, &["maintenance", "off"])?;
    ensure!(ran.code == Some(0), "{ran:?}");
    change(&nodes, 1, &without_db, "groups changed")?;
    nodes.wait_until("db is stopped", LIMIT, || Ok(nodes.runs_on("db")?.is_empty()))?;
    ensure!(called_since(&nodes, watch.calls)? == ["n2 db stop"]);
    Ok(())
}

#[test]
fn a_second_link_comes_and_goes() -> Result<()> {
    let timers = "keepalive 50ms\ndeadtime 800ms\ninitdead 10\n";
    let (one, mut two) = (Files::of(2, timers), Files::of(2, timers));
    let nodes = settled(2, &one)?;
    nodes.lan.cable(0, 1)?;
    two.ha_cf += "ucast eth1 203.0.113.11\nucast eth1 203.0.113.12\n";
    let before: Vec<_> = (0..2)
        .map(|node| Ok(nodes.status(node)?.text("/incarnation")?.to_owned()))
        .collect::<Result<_>>()?;
    let calls = moves(&nodes)?.len();
    for node in 0..2 {
        change(&nodes, node, &two, "links changed")?;
    }
    nodes.wait_until("both links are up", LIMIT, || {
        Ok((0..2).all(|node| {
            nodes.status(node).is_ok_and(|status| {
                let links = status.json["peers"][0]["links"].as_array().cloned().unwrap_or_default();
                links.len() == 2 && links.iter().all(|link| link["state"] == "up")
            })
        }))
    })?;
    // Without the first one they go on.
    nodes.lan.cut(&[Station::Node(0)], &[Station::Node(1)])?;
    nodes.wait_until("the first link is down", LIMIT, || {
        Ok(nodes.status(1)?.text("/peers/0/links/0/state")? == "down")
    })?;
    for node in 0..2 {
        let status = nodes.status(node)?;
        ensure!(status.sees_all_peers(), "{}", status.json);
    }
    nodes.lan.heal()?;
    wait_until_met(&nodes, 0..2)?;
    nodes.wait_until("the first link is up", LIMIT, || {
        Ok((0..2).all(|node| {
            nodes
                .status(node)
                .is_ok_and(|status| status.text("/peers/0/links/0/state").is_ok_and(|state| state == "up"))
        }))
    })?;
    for node in 0..2 {
        ensure!(has_xdp(&nodes, node, "eth1")?);
        change(&nodes, node, &one, "links changed")?;
        ensure!(!has_xdp(&nodes, node, "eth1")? && has_xdp(&nodes, node, "eth0")?);
    }
    wait_until_met(&nodes, 0..2)?;
    Watch::start(&nodes)?.ensure_calm(&nodes)?;
    for (node, before) in before.iter().enumerate() {
        ensure!(nodes.status(node)?.text("/incarnation")? == before);
    }
    let called = called_since(&nodes, calls)?;
    ensure!(called.is_empty(), "{called:?}");
    Ok(())
}

fn has_xdp(nodes: &Nodes, node: usize, interface: &str) -> Result<bool> {
    let link = nodes.host(node).run_ok("ip", &["link", "show", interface])?;
    Ok(link.contains("xdp"))
}

#[test]
fn a_third_node_joins_two() -> Result<()> {
    let (two, three) = (Files::of(2, SLOW), Files::of(3, SLOW));
    let mut nodes = Nodes::create(3, |_| two.clone())?;
    for node in 0..2 {
        nodes.start(node)?;
    }
    wait_until_met(&nodes, 0..2)?;
    nodes.wait_for_owner("web", 0, LIMIT)?;
    let calls = moves(&nodes)?.len();
    let lives = |nodes: &Nodes| -> Result<Vec<String>> {
        (0..2)
            .map(|node| Ok(nodes.status(node)?.text("/incarnation")?.to_owned()))
            .collect()
    };
    let before = lives(&nodes)?;
    // A majority of three decides from now on, and while the lists differ nobody knows of one: an owner would let go.
    let ran = nodes.run(0, &["maintenance", "on"])?;
    ensure!(ran.code == Some(0), "{ran:?}");
    three.install(nodes.host(2))?;
    nodes.start(2)?;
    for node in 0..2 {
        change(&nodes, node, &three, "nodes, links changed")?;
    }
    wait_until_met(&nodes, 0..3)?;
    for node in 0..3 {
        nodes.wait_until("majority decides, and it is held", LIMIT, || {
            let status = nodes.status(node)?;
            Ok(status.text("/quorum")? == "majority" && status.json["lease_held"] == true)
        })?;
    }
    let ran = nodes.run(0, &["maintenance", "off"])?;
    ensure!(ran.code == Some(0), "{ran:?}");
    Watch::start(&nodes)?.ensure_calm(&nodes)?;
    ensure!(lives(&nodes)? == before);
    let called = called_since(&nodes, calls)?;
    ensure!(called.is_empty(), "{called:?}");
    // It may own, too.
    nodes.stop(0)?;
    nodes.wait_for_owner("web", 1, LIMIT)?;
    nodes.stop(1)?;
    nodes.wait_until("who is alone of three owns nothing", Duration::from_secs(20), || {
        Ok(nodes.status(2)?.json["lease_held"] == false && nodes.runs_on("web")?.is_empty())
    })
}

#[test]
fn keys_are_changed_without_a_gap() -> Result<()> {
    const OLD: &str = "1 sha1 d1e6557e2fcb30ff8d4d3ae65b50345fa46a2faa\n";
    const NEW: &str = "2 sha1 6a4de42d9f5d4ba2bbbd8d0e9e8e5a5b1f1f7c11\n";
    let with = |authkeys: String| Files {
        authkeys,
        ..Files::of(2, SLOW)
    };
    let nodes = settled(2, &with(format!("auth 1\n{OLD}")))?;
    let watch = Watch::start(&nodes)?;
    let steps = [
        format!("auth 1\n{OLD}{NEW}"),
        format!("auth 2\n{OLD}{NEW}"),
        format!("auth 2\n{NEW}"),
    ];
    for authkeys in steps {
        for node in 0..2 {
            change(&nodes, node, &with(authkeys.clone()), "keys changed")?;
            watch.ensure_calm(&nodes)?;
        }
    }
    // The old one is good for nothing any more: a mistake is seen.
    change(&nodes, 0, &with(format!("auth 1\n{OLD}{NEW}")), "keys changed")?;
    nodes.wait_until("beats with the old key are refused", LIMIT, || {
        Ok(nodes.status(1)?.verdict("unknown_key") > 0)
    })
}
