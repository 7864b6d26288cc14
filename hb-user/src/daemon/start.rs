//! From a valid configuration to a running daemon, in an order that fails before anything is sent or attached.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hb_ebpf::tables::{self, Address, Own};
use hb_ebpf::{KeyId, Nanos, NodeId};
use nix::fcntl::{Flock, FlockArg};

use super::work::Works;
use super::{Daemon, Places};
use crate::clock;
use crate::config::{AutoFailback, Cluster, node_id};
use crate::control::{Server, ServerError};
use crate::core::{self, Event, Failback, GroupSettings, Lease, Node, Quorum, StuckPolicy, Timing};
use crate::datapath::{DatapathError, Mode, Program, Tables};
use crate::incarnation::{self, IncarnationError};
use crate::pulse::{Link, Means, Peer, Pulse, PulseError, Realtime, Settings, Signer, SocketError, Sockets, midstates};

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error("hb is already running here, as process {pid}; stop it first, or ask it with `hb status`")]
    AlreadyRunning { pid: String },
    #[error("cannot use the directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Incarnation(#[from] IncarnationError),
    #[error(transparent)]
    Datapath(#[from] DatapathError),
    #[error(transparent)]
    Sockets(#[from] SocketError),
    #[error(transparent)]
    Pulse(#[from] PulseError),
    #[error(transparent)]
    Control(#[from] ServerError),
    #[error("the runtime fails")]
    Io(#[source] io::Error),
    #[error("{groups} could not be stopped and may still run here; stop it by hand before another node takes it over")]
    Stuck { groups: String },
}

impl Daemon {
    pub(super) fn start(cluster: Cluster, places: &Places) -> Result<Self, StartError> {
        let lock = Lock::take(&places.run)?;
        let (nodes, peers) = peers(&cluster);
        let links: Vec<_> = peers.iter().map(|peer| peer.links.clone()).collect();
        let sockets = Sockets::open(
            cluster.udp_port,
            cluster.links.iter().map(|link| (link.interface.as_str(), link.peer)),
        )
        .map_err(|error| no_interface(error, &cluster))?;

        let mut program = Program::load(&tables(&cluster, &peers))?;
        if logs_verdicts(&cluster) {
            tokio::spawn(program.take_log()?.copy());
        }
        let attached = attach(&mut program, &cluster)?;
        let incarnation = incarnation::next(&places.state, clock::unix_seconds())?;

        let now = clock::now();
        let settings = ownership(&cluster);
        let lease = Lease::new(&settings);
        let node = Node::new(settings, now);
        let signing = cluster.keys.all.iter().find(|key| key.id == cluster.keys.signing);
        let pulse = Pulse::start(
            Settings {
                me: own_id(&cluster),
                incarnation,
                digest: cluster.digest(),
                timing: timing(&cluster),
                interval: nanos(cluster.timers.keepalive),
                key: KeyId(cluster.keys.signing),
                // authkeys names a key that it has.
                signer: Signer::new(signing.map_or(&[], |key| key.secret.reveal())),
                peers,
                advert: node.advert(),
                lease,
                index: cluster.me,
            },
            Means {
                liveness: program.liveness()?,
                events: program.take_events()?,
                sockets,
            },
        )?;
        warn_of_refusals(pulse.realtime());
        let server = Server::start(&places.run)?;
        tracing::info!(
            node = %cluster.nodes[cluster.me],
            incarnation = format_args!("{:016x}", incarnation.0),
            digest = format_args!("{:08x}", cluster.digest()),
            "started"
        );

        let mut daemon = Self {
            peers: nodes,
            links,
            pulse,
            works: Works::new(&cluster),
            server,
            orders: super::orders::Orders::default(),
            liveness: program.liveness()?,
            counters: program.take_counters()?,
            attached,
            incarnation,
            started: now,
            records: vec![None; cluster.groups.len()],
            last_takeover: None,
            problems: vec![None; cluster.groups.len()],
            silences: vec![None; cluster.nodes.len()],
            node,
            cluster,
            _program: program,
            _lock: lock,
        };
        daemon.feed(Event::Begin);
        Ok(daemon)
    }
}

/// One daemon a host: a lock that the kernel lets go of when the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    fn take(run: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Directory {
            path: run.to_owned(),
            source,
        };
        fs::create_dir_all(run).map_err(failed)?;
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(run.join("hb.lock"));
        let mut file = match Flock::lock(options.map_err(failed)?, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, _)) => {
                let mut pid = String::new();
                // Without the number the message is still true.
                let _ = file.read_to_string(&mut pid);
                return Err(StartError::AlreadyRunning {
                    pid: pid.trim().to_owned(),
                });
            }
        };
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The peers: their indices among the nodes, and what the pulse needs to know of them. A link's slot is its index.
fn peers(cluster: &Cluster) -> (Vec<usize>, Vec<Peer>) {
    let nodes: Vec<usize> = (0..cluster.nodes.len()).filter(|node| *node != cluster.me).collect();
    let peers = nodes.iter().map(|node| Peer {
        index: *node,
        node: NodeId(node_id(&cluster.nodes[*node])),
        links: cluster
            .links
            .iter()
            .zip(0..)
            .filter(|(link, _)| link.node == *node)
            .map(|(link, slot)| Link {
                interface: link.interface.clone(),
                address: link.peer,
                slot,
            })
            .collect(),
    });
    let peers = peers.collect();
    (nodes, peers)
}

fn tables(cluster: &Cluster, peers: &[Peer]) -> Tables {
    let keys = cluster
        .keys
        .all
        .iter()
        .map(|key| (KeyId(key.id), midstates(key.secret.reveal())));
    let slots = peers
        .iter()
        .flat_map(|peer| &peer.links)
        .map(|link| link.slot + 1)
        .max();
    Tables {
        own: Own {
            node: own_id(cluster),
            port: cluster.udp_port,
        },
        keys: keys.collect(),
        peers: peers.iter().map(|peer| (peer.node, table(peer))).collect(),
        slots: slots.unwrap_or(0),
        log: logs_verdicts(cluster),
    }
}

/// From `debug 2` on.
fn logs_verdicts(cluster: &Cluster) -> bool {
    cluster.logging.debug > 1
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

fn attach(program: &mut Program, cluster: &Cluster) -> Result<Vec<crate::datapath::Attached>, DatapathError> {
    let mut interfaces: Vec<&str> = cluster.links.iter().map(|link| link.interface.as_str()).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    let mut attached = Vec::with_capacity(interfaces.len());
    for interface in interfaces {
        let one = program.attach(interface)?;
        match &one.mode {
            Mode::Native => tracing::info!(interface, "XDP runs natively"),
            Mode::Generic { reason } => tracing::warn!(interface, %reason, "XDP runs generically"),
        }
        attached.push(one);
    }
    Ok(attached)
}

/// A socket cannot be bound to an interface that does not exist; that deserves the datapath's message.
fn no_interface(error: SocketError, cluster: &Cluster) -> StartError {
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

fn ownership(cluster: &Cluster) -> core::Settings {
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
        } else {
            Quorum::None
        },
        deadtime: nanos(cluster.timers.deadtime),
        interval: nanos(cluster.timers.keepalive),
        takeover_delay: Nanos(0),
        start_retry: Nanos::from_millis(60_000),
        stuck: StuckPolicy::Hold,
        fenced: vec![false; cluster.nodes.len()],
        fence_retry: Nanos::from_millis(10_000),
    }
}

fn timing(cluster: &Cluster) -> Timing {
    Timing {
        deadtime: nanos(cluster.timers.deadtime),
        warntime: nanos(cluster.timers.warntime),
        initdead: nanos(cluster.timers.initdead),
    }
}

fn own_id(cluster: &Cluster) -> NodeId {
    NodeId(node_id(&cluster.nodes[cluster.me]))
}

fn nanos(duration: std::time::Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

fn warn_of_refusals(realtime: &Realtime) {
    for refusal in [&realtime.scheduling_refused, &realtime.locking_refused]
        .into_iter()
        .flatten()
    {
        tracing::warn!(%refusal, "not in real time: a busy host may make this node look dead, or others to it");
    }
}
