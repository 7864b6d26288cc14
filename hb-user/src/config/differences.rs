//! What differs from Heartbeat 3.0.6, deliberately: printed by `hb check`, quoted by the README.

use super::{AutoFailback, Loaded};

#[cfg(test)]
mod tests;

/// One deliberate difference.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// What it is about.
    pub topic: &'static str,
    /// What Heartbeat does.
    pub heartbeat: &'static str,
    /// What is done here, and why.
    pub here: &'static str,
    applies: fn(&Loaded) -> bool,
}

impl Difference {
    /// Whether a cluster that was running on Heartbeat with these files would notice.
    #[must_use]
    pub fn applies(&self, loaded: &Loaded) -> bool {
        (self.applies)(loaded)
    }
}

/// All of them, but for directives that are refused: whoever meets one is told.
pub const DIFFERENCES: [Difference; 22] = [
    Difference {
        topic: "keepalive, deadtime",
        heartbeat: "1 s and 30 s where ha.cf does not set them",
        here: "100 ms and 500 ms; where only keepalive is set, deadtime is 5 times as much and at least 500 ms; \
               where only deadtime is set, keepalive is a fifth of it and at most 1 s",
        applies: |loaded| defaulted(loaded, "keepalive") || defaulted(loaded, "deadtime"),
    },
    Difference {
        topic: "initdead",
        heartbeat: "deadtime above 10 s, else twice deadtime and at least 12 s, where ha.cf does not set it",
        here: "the same with at least 2 s: a node that starts alone serves early",
        applies: |loaded| defaulted(loaded, "initdead"),
    },
    Difference {
        topic: "whose deadtime",
        heartbeat: "a node is timed out by the deadtime that it announces itself",
        here: "by the deadtime in the own ha.cf: what the file says is what happens",
        applies: always,
    },
    Difference {
        topic: "authkeys",
        heartbeat: "sha1, md5 and crc",
        here: "sha1 only: beats are signed with HMAC-SHA1",
        applies: always,
    },
    Difference {
        topic: "several keys",
        heartbeat: "a packet is checked with the receiver's signing key, whatever key it names",
        here: "with the key it names, so that keys can be changed one node at a time",
        applies: |loaded| loaded.cluster.keys.all.len() > 1,
    },
    Difference {
        topic: "udpport",
        heartbeat: "any number but 0; after a ucast line it is without effect; /etc/services names the default",
        here: "1 to 65535; after a ucast line it is refused; the default is 694",
        applies: always,
    },
    Difference {
        topic: "auto_failback legacy",
        heartbeat: "the default, with warnings; standby is refused",
        here: "the default, with a warning; as `on`, and standby works",
        applies: |loaded| loaded.cluster.auto_failback == AutoFailback::Legacy,
    },
    Difference {
        topic: "ping, ping_group",
        heartbeat: "with ipfail the node that reaches more of them gets the resources, while the nodes hear each other",
        here: "settle a cut: a side that reaches fewer of them than the other did does not take over, and gives up what \
               it has; an address of a node of the cluster is refused",
        applies: |loaded| !loaded.cluster.pings.targets.is_empty(),
    },
    Difference {
        topic: "stonith, stonith_host",
        heartbeat: "calls cluster-glue's plug-ins itself",
        here: "runs the program `stonith` of cluster-glue before a takeover after a death; where it fails nobody takes over, \
               and it is tried again",
        applies: |loaded| !loaded.cluster.stonith.is_empty(),
    },
    Difference {
        topic: "watchdog",
        heartbeat: "resets the machine when its own heartbeat stalls",
        here: "also when decisions do: the thread that sends beats feeds it as long as they are made",
        applies: |loaded| loaded.cluster.watchdog.is_some(),
    },
    Difference {
        topic: "realtime, rtprio",
        heartbeat: "every process is SCHED_FIFO at rtprio, and what it starts of the normal class",
        here: "the thread that beats and the one that decides are SCHED_DEADLINE, or where that is refused SCHED_FIFO, at rtprio \
               and below; hb.toml can change the class, and that of scripts",
        applies: |loaded| loaded.cluster.realtime.enabled,
    },
    Difference {
        topic: "three nodes or more",
        heartbeat: "are not supported with haresources",
        here: "are, up to 16: a group goes to its preferred node, else to the next in ha.cf's order, and only a majority owns \
               anything",
        applies: |loaded| loaded.cluster.nodes.len() > 2,
    },
    Difference {
        topic: "a configuration that differs between nodes",
        heartbeat: "is not noticed",
        here: "is noticed by the next beat, and named by both; it blocks only what it makes unsafe",
        applies: |loaded| loaded.cluster.nodes.len() > 1,
    },
    Difference {
        topic: "haresources",
        heartbeat: "a comment on a continuation line becomes resources of the group",
        here: "it is a comment",
        applies: |loaded| !loaded.cluster.groups.is_empty(),
    },
    Difference {
        topic: "start",
        heartbeat: "waits 10 s before it takes its groups (auto_failback on or off)",
        here: "takes them as soon as it is known who runs what",
        applies: |loaded| loaded.cluster.auto_failback != AutoFailback::Legacy,
    },
    Difference {
        topic: "groups",
        heartbeat: "are started one after another",
        here: "are started in parallel; the resources of one group still in order",
        applies: |loaded| loaded.cluster.groups.len() > 1,
    },
    Difference {
        topic: "shutdown",
        heartbeat: "calls stop for every group of haresources",
        here: "calls stop for those that run here, and the other node takes each as it is free",
        applies: |loaded| !loaded.cluster.groups.is_empty(),
    },
    Difference {
        topic: "a start that fails",
        heartbeat: "the group runs nowhere",
        here: "another node takes it; here it is tried again after start_retry, or after `hb cleanup`",
        applies: |loaded| !loaded.cluster.groups.is_empty(),
    },
    Difference {
        topic: "a stop that fails",
        heartbeat: "after 10 more tries the machine is rebooted if status says that it runs; the environment sets how many \
                    tries",
        here: "after 10 more tries the machine is rebooted; hb.toml sets how many tries and which command, and instead of \
               the reboot can have the group held, which nobody takes over then",
        applies: |loaded| !loaded.cluster.groups.is_empty(),
    },
    Difference {
        topic: "scripts",
        heartbeat: "find HA_FIFO, HA_OSTATUS and the fields of messages in their environment, run in a directory of \
                    Heartbeat's, and are asked once more for the status of a node's own groups",
        here: "do not, nor variables of the daemon's with names of secrets (TOKEN, PASSWORD, ...) that hb.toml does not pass, \
               and run in /; what fences a node or reboots this one finds no others either",
        applies: |loaded| !loaded.cluster.groups.is_empty(),
    },
    Difference {
        topic: "addresses",
        heartbeat: "are moved by the scripts IPaddr, IPaddr2 and IPv6addr, which set up an interface that is down, wait a \
                    second for duplicates of an IPv6 address, and announce within the second after",
        here: "are moved without a script unless resource.d has it, announced at once, on an interface that is up, and asked \
               for no status before; bare IPv6 addresses are known, too",
        applies: has_addresses,
    },
    Difference {
        topic: "healed partition",
        heartbeat: "both nodes give up everything and restart",
        here: "one node lets go, the other calls `start` once more for what it keeps; neither restarts",
        applies: always,
    },
];

fn has_addresses(loaded: &Loaded) -> bool {
    let mut resources = loaded.cluster.groups.iter().flat_map(|group| &group.resources);
    resources.any(|resource| resource.address.is_some())
}

fn always(_: &Loaded) -> bool {
    true
}

fn defaulted(loaded: &Loaded, name: &str) -> bool {
    loaded
        .settings
        .iter()
        .any(|setting| setting.name == name && setting.is_default())
}
