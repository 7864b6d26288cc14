//! From a valid configuration to a running daemon, in an order that fails before anything is sent or attached.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_ebpf::watch::Watch;
use hb_ebpf::{Incarnation, KeyId, Nanos};
use nix::fcntl::{Flock, FlockArg};

use super::outside::Outside;
use super::work::{self, Works};
use super::{Daemon, Places, settings};
use crate::clock;
use crate::config::{Cluster, Deadlines};
use crate::control::{Server, ServerError};
use crate::core::{self, Event, Lease, Node};
use crate::datapath::{DatapathError, Mode, Program, Witness};
use crate::incarnation::{self, IncarnationError};
use crate::pings::{PingError, Prober};
use crate::process;
use crate::pulse::{self, Means, Pulse, PulseError, SocketError, Sockets, Watchdog, WatchdogError};
use crate::realtime::{self, Granted};
use crate::recorder::{Header, Names, Recorder, RecorderError};
use crate::resources::address::HandsError;

/// The least time after which a watchdog bites. Devices count in seconds, and a busy host is not a dead one.
const WATCHDOG: Duration = Duration::from_secs(10);

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
    Pings(#[from] PingError),
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    #[error(transparent)]
    Watchdog(#[from] WatchdogError),
    #[error(transparent)]
    Hands(#[from] HandsError),
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
        let mut slots = super::Slots::new();
        let peers = settings::peers(&cluster, |link| {
            let slot = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            slots.push(((link.node, link.peer), slot));
            slot
        });
        let sockets = Sockets::open(
            cluster.udp_port,
            cluster.links.iter().map(|link| (link.interface.as_str(), link.peer)),
        )
        .map_err(|error| no_interface(error, &cluster))?;
        let prober = prober(&cluster)?;

        let incarnation = incarnation::next(&places.state, clock::unix_seconds())?;
        let mut program = Program::load(&settings::tables(&cluster, incarnation, &peers))?;
        if settings::logs_verdicts(&cluster) {
            tokio::spawn(program.take_log()?.copy());
        }
        let mut interfaces: Vec<&str> = cluster.links.iter().map(|link| link.interface.as_str()).collect();
        interfaces.sort_unstable();
        interfaces.dedup();
        let attached = attach(&mut program, &interfaces)?;

        let now = clock::now();
        let witness = match cluster.realtime.deadlines {
            Deadlines::Kernel => watch(&mut program, &settings::watches(&cluster, &peers, now)),
            Deadlines::Thread => Err("hb.toml: realtime.deadlines".to_owned()),
        };
        let ownership = settings::ownership(&cluster);
        let node = Node::new(ownership.clone(), now);
        let pings = pings(&cluster, prober.as_ref());
        // All that is allocated from here on is locked, too.
        let locking_refused = lock_memory(&cluster);
        process::start(cluster.scripts.programs, cluster.realtime.clone()).map_err(StartError::Io)?;
        let pulse = Pulse::start(
            pulse_settings(&cluster, incarnation, peers.clone(), &ownership, pings),
            Means {
                liveness: program.liveness()?,
                witness: witness.is_ok().then(|| program.witness()).transpose()?,
                events: program.take_events()?,
                sockets: sockets.clone(),
                watchdog: watchdog(&cluster)?,
                scheduling: realtime::pulse(&cluster.realtime, cluster.timers.keepalive),
            },
        )?;
        let hands = work::hands(&cluster, None)?;
        let server = Server::start(&places.run)?;
        tracing::info!(
            node = %cluster.nodes[cluster.me],
            incarnation = format_args!("{:012x}", incarnation.0),
            digest = format_args!("{:08x}", cluster.digest()),
            "started"
        );

        let mut daemon = Self {
            next_slot: u32::try_from(slots.len()).unwrap_or(u32::MAX),
            slots,
            peers,
            sockets,
            prober,
            pulse,
            granted: Granted::default(),
            locking_refused,
            works: Works::new(&cluster, hands),
            outside: Outside::new(&cluster),
            server,
            orders: super::orders::Orders::default(),
            liveness: program.liveness()?,
            witness,
            counters: program.take_counters()?,
            attached,
            incarnation,
            started: now,
            records: vec![None; cluster.groups.len()],
            last_takeover: None,
            problems: vec![None; cluster.groups.len()],
            silences: vec![None; cluster.nodes.len()],
            differences: BTreeMap::new(),
            recorder: recorder(&cluster)?,
            reading: super::reload::Reading::default(),
            troubles: BTreeMap::new(),
            node,
            cluster,
            program,
            _lock: lock,
        };
        // The long work is done; what comes now must not wait.
        daemon.granted = realtime::ask(&realtime::controller(&daemon.cluster.realtime));
        daemon.tell_what_was_granted();
        daemon.feed(&Event::Begin);
        Ok(daemon)
    }
}

/// Lets the kernel watch the deadlines. Where it cannot, the pulse thread does it alone, and this is why.
fn watch(program: &mut Program, watches: &[(u32, Watch)]) -> Result<Witness, String> {
    let watch = program
        .load_watches()
        .and_then(|()| program.watch(watches))
        .and_then(|()| program.witness());
    watch.map_err(|error| {
        let reason = error.to_string();
        tracing::warn!(%reason, "the kernel does not watch the deadlines, the pulse thread does");
        reason
    })
}

fn recorder(cluster: &Cluster) -> Result<Option<Recorder>, StartError> {
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
        groups: cluster.groups.iter().map(crate::config::Group::name).collect(),
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
pub(super) fn prober(cluster: &Cluster) -> Result<super::Probing, StartError> {
    if cluster.pings.targets.is_empty() {
        return Ok(None);
    }
    let targets = cluster.pings.targets.iter().map(|target| target.members.clone());
    Ok(Some(Prober::start(targets.collect(), cluster.timers.keepalive)?))
}

pub(super) fn pings(
    cluster: &Cluster,
    prober: Option<&(Prober, std::sync::Arc<crate::pings::Reach>)>,
) -> Option<pulse::Pings> {
    prober.map(|(_, reach)| pulse::Pings {
        reach: reach.clone(),
        targets: cluster.pings.targets.len(),
        deadping: settings::nanos(cluster.pings.deadping),
    })
}

/// The watchdog may bite when this node has done nothing for so long that everybody has long taken over.
fn watchdog(cluster: &Cluster) -> Result<Option<Watchdog>, StartError> {
    let Some(device) = &cluster.watchdog else {
        return Ok(None);
    };
    let timeout = (cluster.timers.deadtime * 2).max(WATCHDOG);
    let watchdog = Watchdog::open(device, timeout)?;
    match (watchdog.timeout, watchdog.refused) {
        (Some(granted), _) => tracing::info!(device = %device.display(), ?granted, "the watchdog is armed"),
        (None, refused) => {
            tracing::warn!(device = %device.display(), ?refused, "the watchdog is armed, its timeout is not known");
        }
    }
    Ok(Some(watchdog))
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

pub(super) fn attach(
    program: &mut Program,
    interfaces: &[&str],
) -> Result<Vec<crate::datapath::Attached>, DatapathError> {
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

/// Heartbeat's `realtime off` leaves memory where it is, too.
fn lock_memory(cluster: &Cluster) -> Option<String> {
    if cluster.realtime.enabled {
        realtime::lock().err()
    } else {
        None
    }
}

impl Daemon {
    fn tell_what_was_granted(&self) {
        let pulse = self.pulse.granted();
        let hands = self.works.hands().map(|hands| hands.granted().policy.to_string());
        tracing::info!(pulse = %pulse.policy, controller = %self.granted.policy, hands, "scheduling");
        if let Some(refusal) = pulse.second_best() {
            tracing::warn!(%refusal, "the thread that beats has a lesser class: what holds the processors may hold it up");
        }
        for refusal in self.refused_realtime() {
            tracing::warn!(%refusal, "not in real time: a busy host may make this node look dead, or others to it");
        }
    }

    /// What of real time was asked for in vain.
    pub(super) fn refused_realtime(&self) -> Vec<String> {
        let pulse = self.pulse.granted();
        let all = [
            pulse.refused(),
            self.works.hands().and_then(|hands| hands.granted().refused()),
            pulse.affinity_refused.clone(),
            self.locking_refused.clone(),
        ];
        let mut all: Vec<String> = all.into_iter().flatten().collect();
        all.dedup();
        all
    }
}
