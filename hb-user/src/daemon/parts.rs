//! The parts of a daemon that a start and a reload make alike.

use std::sync::Arc;

use hb_ebpf::{Incarnation, KeyId, Nanos};

use super::handover::Handover;
use super::start::StartError;
use super::{Probing, settings};
use crate::clock;
use crate::config::{Cluster, Group};
use crate::core::{self, Lease, Node};
use crate::datapath::{Attached, DatapathError, Mode, Pins, Program};
use crate::pings::{Prober, Reach};
use crate::pulse::{self, SocketError};
use crate::recorder::{Header, Names, Recorder};

pub(super) fn recorder(cluster: &Cluster) -> Result<Option<Recorder>, StartError> {
    let Some(settings) = &cluster.recorder else {
        return Ok(None);
    };
    let header = Header {
        started_unix: clock::unix_seconds(),
        names: names(cluster),
    };
    Ok(Some(Recorder::start(&settings.file, settings.max_bytes, header)?))
}

/// What the core's numbers stand for.
pub(super) fn names(cluster: &Cluster) -> Names {
    Names {
        nodes: cluster.nodes.clone(),
        groups: cluster.groups.iter().map(Group::name).collect(),
    }
}

/// What the pulse has to know.
pub(super) fn pulse_settings(
    cluster: &Cluster,
    incarnation: Incarnation,
    peers: Vec<pulse::Peer>,
    ownership: &core::Settings,
    pings: Option<pulse::Pings>,
) -> pulse::Settings {
    pulse::Settings {
        me: settings::own_id(cluster),
        index: cluster.me,
        incarnation,
        digest: cluster.digest(),
        timing: settings::timing(cluster),
        interval: settings::nanos(cluster.timers.keepalive),
        key: KeyId(cluster.keys.signing),
        signer: settings::signer(cluster),
        peers,
        advert: Node::new(ownership.clone(), Nanos(0)).advert(),
        lease: Lease::new(ownership),
        pings,
    }
}

/// What asks the ping nodes, if there are any.
pub(super) fn prober(cluster: &Cluster) -> Result<Probing, StartError> {
    if cluster.pings.targets.is_empty() {
        return Ok(None);
    }
    let targets = cluster.pings.targets.iter().map(|target| target.members.clone());
    Ok(Some(Prober::start(targets.collect(), cluster.timers.keepalive)?))
}

pub(super) fn pings(cluster: &Cluster, prober: Option<&(Prober, Arc<Reach>)>) -> Option<pulse::Pings> {
    prober.map(|(_, reach)| pulse::Pings {
        reach: reach.clone(),
        targets: cluster.pings.targets.len(),
        deadping: settings::nanos(cluster.pings.deadping),
    })
}

pub(super) fn attach(
    program: &mut Program,
    interfaces: &[&str],
    pins: Option<&Pins>,
    former: Option<&Handover>,
) -> Result<Vec<Attached>, DatapathError> {
    let mut attached = Vec::with_capacity(interfaces.len());
    for interface in interfaces {
        let mode = former.and_then(|former| former.mode(interface));
        let one = program.attach(interface, pins, mode)?;
        match &one.mode {
            Mode::Native => tracing::info!(interface, "XDP runs natively"),
            Mode::Generic { reason } => tracing::warn!(interface, %reason, "XDP runs generically"),
        }
        attached.push(one);
    }
    Ok(attached)
}

/// A socket cannot be bound to an interface that does not exist; that deserves the datapath's message.
pub(super) fn no_interface(error: SocketError, cluster: &Cluster) -> StartError {
    if let SocketError::Open { interface, source, .. } = &error
        && source.raw_os_error() == Some(libc::ENODEV)
        && cluster.links.iter().any(|link| link.interface == *interface)
    {
        return DatapathError::NoInterface {
            interface: interface.clone(),
        }
        .into();
    }
    error.into()
}
