use std::time::Duration;

use crate::config::testing::cluster;
use crate::config::{Cluster, PingTarget, Stonith, StonithParameters, StuckPolicy};

#[test]
fn a_lease_needs_somebody_who_can_take_it() {
    let table = [
        (1, false, false),
        (1, true, false),
        (2, false, false),
        (2, true, true),
        (3, false, true),
        (4, true, true),
    ];
    for (nodes, pinged, expected) in table {
        assert_eq!(
            with(nodes, pinged, false).owns_by_lease(),
            expected,
            "{nodes} nodes, {pinged}"
        );
    }
}

#[test]
fn facts_are_in_numbers() {
    let mut cluster = with(3, false, false);
    assert_eq!(
        cluster.facts(),
        [
            "a cut-off owner has 100ms (keepalive 100ms + takeover_delay 0ms) to stop its groups before another node starts \
             them; scripts that take longer overlap by the rest: raise takeover_delay",
            "the longest stop that scripts.timeout allows is 120s (60s for each of 2 resources): that is more than there is \
             room for",
            "a silent node's groups are taken over after 500ms (deadtime 500ms + takeover_delay 0ms)",
            "of 3 nodes 2 must hear each other for any of them to own a group",
            "a stop that still fails after 10 more tries reboots this host: /sbin/reboot -nf",
        ]
    );
    cluster.scripts.timeout = Duration::from_millis(50);
    assert!(cluster.facts()[1].ends_with("is 100ms (50ms for each of 2 resources): that is room enough"));
    cluster.scripts.timeout = Duration::from_mins(1);
    cluster.policy.takeover_delay = Duration::from_secs(2);
    cluster.policy.stuck = StuckPolicy::Hold;
    cluster.stonith.push(device(None));
    assert_eq!(cluster.stop_room(), Duration::from_millis(2100));
    assert_eq!(
        cluster.facts(),
        [
            "a cut-off owner has 2.1s (keepalive 100ms + takeover_delay 2s) to stop its groups before another node starts \
             them; scripts that take longer overlap by the rest: raise takeover_delay",
            "the longest stop that scripts.timeout allows is 120s (60s for each of 2 resources): that is more than there is \
             room for",
            "a silent node's groups are taken over after 2.5s (deadtime 500ms + takeover_delay 2s) and once it has been \
             fenced",
            "of 3 nodes 2 must hear each other for any of them to own a group",
            "a group whose stop still fails after 10 more tries stays here, and nobody takes it over unless this host is \
             fenced",
        ]
    );
}

/// The nodes, whether there are ping nodes, fencing; then how each warning begins.
#[test]
fn dangers_are_named() {
    let both = "a cut between the two nodes makes both own everything";
    let unclear = "when both nodes reach the ping nodes and not each other";
    let table: [(usize, bool, bool, &[&str]); 10] = [
        (1, false, false, &[]),
        (2, false, false, &[both]),
        (2, true, false, &[unclear]),
        (2, false, true, &[]),
        (2, true, true, &[]),
        (3, false, false, &[]),
        (4, false, false, &["2 of 4 is no majority"]),
        (4, true, true, &["2 of 4 is no majority"]),
        (5, false, false, &[]),
        (16, false, false, &["8 of 16 is no majority"]),
    ];
    for (nodes, pinged, fenced, expected) in table {
        let found = messages(&with(nodes, pinged, fenced));
        assert_eq!(found.len(), expected.len(), "{nodes} nodes: {found:?}");
        for (message, start) in found.iter().zip(expected) {
            assert!(message.starts_with(start), "{nodes} nodes: {message}");
        }
    }
}

#[test]
fn a_lease_that_one_lost_beat_ends_is_a_danger() {
    for (nodes, deadtime, expected) in [(3, 400, 1), (3, 401, 0), (2, 400, 0)] {
        let mut cluster = with(nodes, false, true);
        cluster.timers.deadtime = Duration::from_millis(deadtime);
        let found = messages(&cluster);
        assert_eq!(found.len(), expected, "{nodes} nodes, {deadtime}: {found:?}");
        assert!(
            found
                .iter()
                .all(|message| message.starts_with("deadtime 400ms is not more than 4 times keepalive 100ms"))
        );
    }
}

#[test]
fn a_node_that_cannot_fence_is_a_danger() {
    let mut cluster = with(2, false, false);
    cluster.stonith.push(device(Some(0)));
    assert_eq!(
        messages(&cluster),
        ["no stonith line is for node node1: it cannot fence the others"]
    );
    cluster.stonith.push(device(Some(1)));
    assert!(messages(&cluster).is_empty());
}

fn messages(cluster: &Cluster) -> Vec<String> {
    cluster.dangers().into_iter().map(|warning| warning.message).collect()
}

fn with(nodes: usize, pinged: bool, fenced: bool) -> Cluster {
    let mut cluster = cluster();
    cluster.nodes = (0..nodes).map(|node| format!("node{node}")).collect();
    if pinged {
        cluster.pings.targets.push(PingTarget {
            name: "router".to_owned(),
            members: Vec::new(),
            line: 1,
        });
    }
    if fenced {
        cluster.stonith.push(device(None));
    }
    cluster
}

fn device(from: Option<usize>) -> Stonith {
    Stonith {
        from,
        kind: "external/ipmi".to_owned(),
        parameters: StonithParameters::File("/etc/ha.d/ipmi.conf".into()),
        line: 1,
    }
}
