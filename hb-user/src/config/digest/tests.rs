use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::node_id;
use crate::config::{AutoFailback, Cluster, Facility, Group, Key, Keys, Link, Logging, Resource, Timers};
use crate::secret::Secret;

/// `printf primary | sha1sum` and so on.
#[test]
fn node_ids_are_the_first_word_of_sha1() {
    assert_eq!(node_id("primary"), 0xe3b7_c980);
    assert_eq!(node_id("secondary"), 0xe059_fc69);
    assert_eq!(node_id("PrimarY"), node_id("primary"));
}

#[test]
fn canonical_text_is_as_documented() {
    let expected = "node primary\nnode secondary\nkeepalive 100\ndeadtime 500\nwarntime 250\ninitdead 2000\n\
                    auto_failback legacy\ngroup primary IPaddr2::10.77.0.100/24/eth0 web\ngroup secondary floatip\n";
    assert_eq!(cluster().canonical_text(), expected);
    assert_eq!(cluster().digest(), 0x40a2_cb06);
}

#[test]
fn digest_is_the_same_on_every_node() {
    let mut other = cluster();
    other.dir = PathBuf::from("/elsewhere");
    other.nodes.reverse();
    other.me = 0;
    for group in &mut other.groups {
        group.preferred = 1 - group.preferred;
        group.line += 7;
    }
    other.links = vec![Link {
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
    other.script_timeout = Duration::from_secs(5);
    other.directives.clear();
    assert_eq!(other.digest(), cluster().digest());
}

#[test]
fn digest_tells_what_must_agree() {
    let changes: [fn(&mut Cluster); 9] = [
        |cluster| cluster.nodes[0] = "tertiary".to_owned(),
        |cluster| cluster.timers.keepalive *= 2,
        |cluster| cluster.timers.deadtime *= 2,
        |cluster| cluster.timers.warntime *= 2,
        |cluster| cluster.timers.initdead *= 2,
        |cluster| cluster.auto_failback = AutoFailback::Off,
        |cluster| cluster.groups.reverse(),
        |cluster| cluster.groups[0].preferred = 0,
        |cluster| cluster.groups[0].resources.reverse(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut other = cluster();
        change(&mut other);
        assert_ne!(other.digest(), cluster().digest(), "change {number}");
    }
}

fn cluster() -> Cluster {
    let resource = |name: &str, args: &[&str]| Resource {
        name: name.to_owned(),
        args: args.iter().map(ToString::to_string).collect(),
    };
    Cluster {
        dir: PathBuf::from("/etc/ha.d"),
        nodes: vec!["secondary".to_owned(), "primary".to_owned()],
        me: 1,
        links: Vec::new(),
        timers: Timers {
            keepalive: Duration::from_millis(100),
            deadtime: Duration::from_millis(500),
            warntime: Duration::from_millis(250),
            initdead: Duration::from_secs(2),
        },
        udp_port: 694,
        auto_failback: AutoFailback::Legacy,
        logging: Logging::default(),
        keys: Keys {
            signing: 1,
            all: vec![Key {
                id: 1,
                secret: Secret::new(b"key".to_vec()),
            }],
        },
        groups: vec![
            Group {
                preferred: 1,
                resources: vec![resource("IPaddr2", &["10.77.0.100/24/eth0"]), resource("web", &[])],
                line: 1,
            },
            Group {
                preferred: 0,
                resources: vec![resource("floatip", &[])],
                line: 2,
            },
        ],
        script_timeout: Duration::from_mins(1),
        directives: vec![("keepalive".to_owned(), "100ms".to_owned())],
    }
}
