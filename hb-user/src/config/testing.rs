//! A cluster for the tests of this module.

use std::path::PathBuf;
use std::time::Duration;

use super::{
    Addresses, AutoFailback, Cluster, Fencing, Group, Key, Keys, Logging, Pings, Policy, Realtime, Resource, Restart,
    Scripts, Timers,
};
use crate::secret::Secret;

/// Two nodes with two groups, and defaults otherwise.
pub(crate) fn cluster() -> Cluster {
    let resource = Resource::script;
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
                monitor: None,
            },
            Group {
                preferred: 0,
                resources: vec![resource("floatip", &[])],
                line: 2,
                monitor: None,
            },
        ],
        pings: Pings {
            targets: Vec::new(),
            deadping: Duration::from_millis(500),
        },
        stonith: Vec::new(),
        fencing: Fencing::default(),
        watchdog: None,
        clouds: Vec::new(),
        scripts: Scripts::default(),
        realtime: Realtime::default(),
        policy: Policy::default(),
        recorder: None,
        restart: Restart::default(),
        addresses: Addresses::default(),
        directives: vec![("keepalive".to_owned(), "100ms".to_owned())],
    }
}
