//! What each part has to know of the configuration.

use std::time::Duration;

use hb_ebpf::tables::{self, Address, Own};
use hb_ebpf::watch::Watch;
use hb_ebpf::{Incarnation, KeyId, Nanos, NodeId};

use crate::config::{self, AutoFailback, Cluster, StonithParameters, node_id};
use crate::core::{self, Failback, GroupSettings, Quorum, StuckPolicy, Timing};
use crate::datapath::Tables;
use crate::fencing::{Device, Fencer, Parameters};
use crate::pulse::{Link, Peer, Signer, midstates};

/// The core's.
pub(super) fn ownership(cluster: &Cluster) -> core::Settings {
    core::Settings {
        nodes: cluster.nodes.len(),
        me: cluster.me,
        groups: cluster
            .groups
            .iter()
            .map(|group| GroupSettings {
                preferred: group.preferred,
            })
            .collect(),
        failback: match cluster.auto_failback {
            AutoFailback::On | AutoFailback::Legacy => Failback::Return,
            AutoFailback::Off => Failback::Stay,
        },
        quorum: if cluster.nodes.len() > 2 {
            Quorum::Majority
        } else if cluster.pings.targets.is_empty() {
            Quorum::None
        } else {
            Quorum::Pings
        },
        deadtime: nanos(cluster.timers.deadtime),
        interval: nanos(cluster.timers.keepalive),
        takeover_delay: nanos(cluster.policy.takeover_delay),
        start_retry: nanos(cluster.policy.start_retry),
        stuck: match cluster.policy.stuck {
            config::StuckPolicy::Reboot => StuckPolicy::Reboot,
            config::StuckPolicy::Hold => StuckPolicy::Hold,
        },
        fenced: vec![!cluster.stonith.is_empty(); cluster.nodes.len()],
        fence_retry: nanos(cluster.fencing.retry),
        witness: cluster.has_witness(),
        witness_lease: cluster.witness_lease().map(nanos),
    }
}

/// The detectors'.
pub(super) fn timing(cluster: &Cluster) -> Timing {
    Timing {
        deadtime: nanos(cluster.timers.deadtime),
        warntime: nanos(cluster.timers.warntime),
        initdead: nanos(cluster.timers.initdead),
    }
}

/// For how long a restart asks the peers to be patient. Within a deadtime they are in any case.
pub(super) fn promise(cluster: &Cluster) -> Nanos {
    nanos(cluster.restart.promise.max(cluster.timers.deadtime))
}

/// The pulse's: the peers in ha.cf's order, each with its links. `slot` gives each address its place in the liveness map.
pub(super) fn peers(cluster: &Cluster, mut slot: impl FnMut(&config::Link) -> u32) -> Vec<Peer> {
    let others = (0..cluster.nodes.len()).filter(|node| *node != cluster.me);
    let peers = others.map(|node| Peer {
        index: node,
        node: NodeId(node_id(&cluster.nodes[node])),
        links: cluster
            .links
            .iter()
            .filter(|link| link.node == node)
            .map(|link| Link {
                interface: link.interface.clone(),
                address: link.peer,
                slot: slot(link),
            })
            .collect(),
    });
    peers.collect()
}

/// What the kernel's timers watch: each peer by its index.
pub(super) fn watches(cluster: &Cluster, peers: &[Peer], now: Nanos) -> Vec<(u32, Watch)> {
    let timing = timing(cluster);
    let unmet = now.saturating_add(timing.initdead);
    let watch = |peer: &Peer| {
        let slots = peer.links.iter().map(|link| link.slot);
        Some((
            u32::try_from(peer.index).ok()?,
            Watch::of_peer(timing.deadtime, unmet, slots),
        ))
    };
    peers.iter().filter_map(watch).collect()
}

/// What signs our beats.
pub(super) fn signer(cluster: &Cluster) -> Signer {
    let signing = cluster.keys.all.iter().find(|key| key.id == cluster.keys.signing);
    // authkeys names a key that it has.
    Signer::new(signing.map_or(&[], |key| key.secret.reveal()))
}

/// The kernel's.
pub(super) fn tables(cluster: &Cluster, incarnation: Incarnation, peers: &[Peer]) -> Tables {
    let keys = cluster
        .keys
        .all
        .iter()
        .map(|key| (KeyId(key.id), midstates(key.secret.reveal())));
    Tables {
        own: Own {
            node: own_id(cluster),
            incarnation: incarnation.low(),
            port: cluster.udp_port,
        },
        keys: keys.collect(),
        peers: peers.iter().map(|peer| (peer.node, table(peer))).collect(),
        log: logs_verdicts(cluster),
    }
}

fn table(peer: &Peer) -> tables::Peer {
    let mut table = tables::Peer::default();
    for (entry, link) in table.links.iter_mut().zip(&peer.links) {
        *entry = tables::Link {
            address: Address::from(link.address),
            slot: link.slot,
        };
        table.count += 1;
    }
    table
}

/// From `debug 2` on.
pub(super) fn logs_verdicts(cluster: &Cluster) -> bool {
    cluster.logging.debug > 1
}

/// The program that resets nodes, and the devices that this node may use.
pub(super) fn fencing(cluster: &Cluster) -> (Fencer, Vec<Device>) {
    let fencer = Fencer {
        program: cluster.fencing.program.clone(),
        timeout: cluster.fencing.timeout,
        passed: cluster.scripts.pass_env.clone(),
    };
    let ours = cluster
        .stonith
        .iter()
        .filter(|device| device.from.is_none_or(|from| from == cluster.me));
    let devices = ours.map(|device| Device {
        kind: device.kind.clone(),
        parameters: match &device.parameters {
            StonithParameters::File(path) => Parameters::File(path.clone()),
            StonithParameters::Inline(text) => Parameters::Inline(text.to_string()),
        },
    });
    (fencer, devices.collect())
}

pub(super) fn own_id(cluster: &Cluster) -> NodeId {
    NodeId(node_id(&cluster.nodes[cluster.me]))
}

pub(super) fn nanos(duration: Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
