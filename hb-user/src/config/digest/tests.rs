use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::node_id;
use crate::config::testing::cluster;
use crate::config::{
    AutoFailback, Cluster, Facility, Link, Logging, PingTarget, Stonith, StonithParameters, StuckPolicy,
};
use crate::core::Differs;

/// `printf primary | sha1sum` and so on.
#[test]
fn node_ids_are_the_first_word_of_sha1() {
    assert_eq!(node_id("primary"), 0xe3b7_c980);
    assert_eq!(node_id("secondary"), 0xe059_fc69);
    assert_eq!(node_id("PrimarY"), node_id("primary"));
}

/// The number is from Python's hashlib.
#[test]
fn the_texts_are_as_documented() {
    let mut cluster = cluster();
    cluster.pings.targets = ["b", "a"].map(ping).to_vec();
    assert_eq!(
        cluster.groups_text(),
        "group primary IPaddr2::10.77.0.100/24/eth0 web\ngroup secondary floatip\n"
    );
    assert_eq!(cluster.nodes_text(), "node secondary\nnode primary\n");
    assert_eq!(
        cluster.settings_text(),
        "keepalive 100\ndeadtime 500\nwarntime 250\ninitdead 2000\nauto_failback legacy\ntakeover_delay 0\n\
         stuck reboot\nping a\nping b\nfencing off\n"
    );
    assert_eq!(cluster.digest(), 0x968d_86d5);
}

#[test]
fn digest_is_the_same_on_every_node() {
    let mut other = cluster();
    other.dir = PathBuf::from("/elsewhere");
    other.me = 0;
    for group in &mut other.groups {
        group.line += 7;
    }
    other.links = vec![Link {
        node: 1,
        interface: "eth7".to_owned(),
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        line: 9,
    }];
    other.logging = Logging {
        logfile: Some(PathBuf::from("/var/log/hb")),
        facility: Facility::named("local0"),
        debug: 3,
    };
    other.keys.signing = 2;
    other.scripts.timeout = Duration::from_secs(5);
    other.directives.clear();
    assert_eq!(other.digest(), cluster().digest());
}

#[test]
fn digest_tells_what_must_agree() {
    type Change = fn(&mut Cluster);
    let changes: [(Change, Differs); 15] = [
        (|cluster| cluster.groups.reverse(), GROUPS),
        (|cluster| cluster.groups[0].preferred = 0, GROUPS),
        (|cluster| cluster.groups[0].resources.reverse(), GROUPS),
        (|cluster| cluster.nodes.push("tertiary".to_owned()), NODES),
        (|cluster| cluster.timers.keepalive *= 2, SETTINGS),
        (|cluster| cluster.timers.deadtime *= 2, SETTINGS),
        (|cluster| cluster.timers.warntime *= 2, SETTINGS),
        (|cluster| cluster.timers.initdead *= 2, SETTINGS),
        (|cluster| cluster.auto_failback = AutoFailback::Off, SETTINGS),
        (
            |cluster| cluster.policy.takeover_delay = Duration::from_secs(1),
            SETTINGS,
        ),
        (|cluster| cluster.policy.stuck = StuckPolicy::Hold, SETTINGS),
        (|cluster| cluster.pings.targets.push(ping("router")), SETTINGS),
        (|cluster| cluster.stonith.push(device()), SETTINGS),
        (
            // The same groups on the same hosts, but the order decides who is next.
            |cluster| {
                cluster.nodes.reverse();
                cluster
                    .groups
                    .iter_mut()
                    .for_each(|group| group.preferred = 1 - group.preferred);
            },
            NODES,
        ),
        (
            |_| {},
            Differs {
                groups: false,
                nodes: false,
                settings: false,
            },
        ),
    ];
    for (number, (change, expected)) in changes.iter().enumerate() {
        let mut other = cluster();
        change(&mut other);
        assert_eq!(
            Differs::between(cluster().digest(), other.digest()),
            *expected,
            "change {number}"
        );
    }
}

const GROUPS: Differs = Differs {
    groups: true,
    nodes: false,
    settings: false,
};
const NODES: Differs = Differs {
    groups: false,
    nodes: true,
    settings: false,
};
const SETTINGS: Differs = Differs {
    groups: false,
    nodes: false,
    settings: true,
};

fn ping(name: &str) -> PingTarget {
    PingTarget {
        name: name.to_owned(),
        members: Vec::new(),
        line: 1,
    }
}

fn device() -> Stonith {
    Stonith {
        from: None,
        kind: "ssh".to_owned(),
        parameters: StonithParameters::File(PathBuf::from("/etc/ha.d/ssh.conf")),
        line: 1,
    }
}
