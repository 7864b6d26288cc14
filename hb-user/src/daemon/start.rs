//! From a valid configuration to a running daemon, in an order that fails before anything is sent or attached.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_ebpf::Nanos;
use hb_ebpf::watch::Watch;

use super::handover::{Handover, HandoverError};
use super::keeper::{self, Keeper};
use super::kept::Kept;
use super::lock::Lock;
use super::outside::Outside;
use super::parts::{attach, no_interface, pings, prober, pulse_settings, recorder};
use super::restart::{Past, Restart};
use super::work::{self, Movers, Works};
use super::{Daemon, Places, settings};
use crate::clock;
use crate::config::{Cluster, Deadlines};
use crate::control::{Server, ServerError};
use crate::core::Event;
use crate::datapath::{DatapathError, Pins, Program, Watches};
use crate::incarnation::{self, IncarnationError};
use crate::logging::{self, LogfileError};
use crate::pings::PingError;
use crate::process;
use crate::pulse::{self, Means, Pulse, PulseError, SocketError, Sockets, Watchdog, WatchdogError};
use crate::realtime::{self, Granted};
use crate::recorder::{self, RecorderError};
use crate::resources::address::HandsError;
use crate::resources::cloud::{CloudError, Clouds};

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
    Logfile(#[from] LogfileError),
    #[error(transparent)]
    Watchdog(#[from] WatchdogError),
    #[error(transparent)]
    Hands(#[from] HandsError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(transparent)]
    Control(#[from] ServerError),
    #[error(transparent)]
    Handover(#[from] HandoverError),
    #[error("the runtime fails")]
    Io(#[source] io::Error),
    #[error("{groups} could not be stopped and may still run here; stop it by hand before another node takes it over")]
    Stuck { groups: String },
}

impl Daemon {
    #[expect(clippy::too_many_lines, reason = "one step after another, in an order that matters")]
    pub(super) fn start(cluster: Cluster, places: &Places, former: Option<Handover>) -> Result<Self, StartError> {
        let boot = super::handover::boot().map_err(StartError::Io)?;
        let lock = match &former {
            Some(former) => Lock::adopt(former.lock, &places.run)?,
            None => Lock::take(&places.run)?,
        };
        let mut slots = super::Slots::new();
        let mut next_slot = former.as_ref().map_or(0, |former| former.next_slot);
        let peers = settings::peers(&cluster, |link| {
            let kept = former.as_ref().and_then(|former| former.slot(link.node, link.peer));
            let slot = kept.unwrap_or(next_slot);
            next_slot += u32::from(kept.is_none());
            slots.push(((link.node, link.peer), slot));
            slot
        });
        let clouds = work::clouds(&cluster, None)?;
        let sockets = Sockets::open(
            cluster.udp_port,
            cluster.links.iter().map(|link| (link.interface.as_str(), link.peer)),
        )
        .map_err(|error| no_interface(error, &cluster))?;
        let prober = prober(&cluster)?;
        if let (Some((_, reach)), Some(former)) = (&prober, &former) {
            reach.remember(former.pulse.answered());
        }

        let incarnation = match &former {
            Some(former) => former.incarnation,
            None => incarnation::next(&places.state, clock::unix_seconds())?,
        };
        let (kept_pins, pins_refused) = pins(&cluster, &places.run, former.is_some());
        let tables = settings::tables(&cluster, incarnation, &peers);
        let mut program = Program::load_pinned(&tables, kept_pins.as_ref())?;
        if settings::logs_verdicts(&cluster) {
            tokio::spawn(program.take_log()?.copy());
        }
        let mut interfaces: Vec<&str> = cluster.links.iter().map(|link| link.interface.as_str()).collect();
        interfaces.sort_unstable();
        interfaces.dedup();
        let attached = attach(&mut program, &interfaces, kept_pins.as_ref(), former.as_ref())?;

        let now = clock::now();
        let watches = match cluster.realtime.deadlines {
            Deadlines::Kernel => watch(&mut program, &settings::watches(&cluster, &peers, now)),
            Deadlines::Thread => Err("hb.toml: realtime.deadlines".to_owned()),
        };
        let ownership = settings::ownership(&cluster);
        let pings = pings(&cluster, prober.as_ref());
        // All that is allocated from here on is locked, too.
        let locking_refused = lock_memory(&cluster);
        process::start(cluster.scripts.programs, cluster.realtime.clone()).map_err(StartError::Io)?;
        let means = Means {
            liveness: program.liveness()?,
            watches: watches.is_ok().then(|| program.watches()).transpose()?,
            events: program.take_events()?,
            sockets: sockets.clone(),
            watchdog: watchdog(&cluster, former.as_ref())?,
            scheduling: realtime::pulse(&cluster.realtime, cluster.timers.keepalive),
        };
        let mut pulse_settings = pulse_settings(&cluster, incarnation, peers.clone(), &ownership, pings);
        let is_new = former.is_none();
        let (pulse, mut kept) = match former {
            None => (Pulse::start(pulse_settings, means)?, Kept::nothing(&cluster, now)),
            Some(former) => {
                pulse_settings.advert = former.node.advert();
                let last_beat = former.pulse.last_beat();
                let (snapshot, mut kept) = Kept::of(former);
                let pulse = Pulse::go_on(pulse_settings, means, snapshot)?;
                kept.past.silence = Some(clock::now().since(last_beat));
                (pulse, kept)
            }
        };
        let hands = work::hands(&cluster, None)?;
        work::look_after(hands.as_ref(), &cluster, std::mem::take(&mut kept.held));
        let server = Server::start(&places.run)?;
        tracing::info!(
            node = %cluster.nodes[cluster.me],
            incarnation = format_args!("{:012x}", incarnation.0),
            digest = format_args!("{:08x}", cluster.digest()),
            restarts = kept.past.count,
            "started"
        );

        let mut daemon = Self {
            next_slot,
            slots,
            peers,
            sockets,
            prober,
            pulse,
            granted: Granted::default(),
            locking_refused,
            keeper: keeper(&cluster, clouds.as_ref(), &kept.keeper, now),
            works: Works::new(&cluster, Movers { hands, clouds }),
            outside: Outside::new(&cluster),
            server,
            orders: super::orders::Orders::default(),
            liveness: program.liveness()?,
            watches,
            counters: program.take_counters()?,
            attached,
            incarnation,
            started: kept.started,
            records: vec![None; cluster.groups.len()],
            owners: vec![None; cluster.groups.len()],
            last_takeover: None,
            problems: kept.problems,
            silences: kept.silences,
            differences: BTreeMap::new(),
            recorder: recorder(&cluster)?,
            reading: super::reload::Reading::default(),
            troubles: kept.troubles,
            node: kept.node,
            cluster,
            program,
            pins: kept_pins,
            restart: Restart::new(Past {
                pins_refused,
                ..kept.past
            }),
            former_takeover: kept.takeover,
            places: places.clone(),
            boot,
            lock,
        };
        // The long work is done; what comes now must not wait.
        daemon.granted = realtime::ask(&realtime::controller(&daemon.cluster.realtime));
        daemon.tell_what_was_granted();
        daemon.feed(if is_new { &Event::Begin } else { &Event::Tick });
        daemon.tell_outlooks();
        Ok(daemon)
    }
}

fn keeper(cluster: &Cluster, clouds: Option<&Clouds>, past: &keeper::Past, now: Nanos) -> Keeper {
    let mut keeper = Keeper::default();
    keeper.keep(cluster, clouds, now);
    keeper.remember(past, now);
    keeper
}

/// Lets the kernel watch the deadlines. Where it cannot, the pulse thread does it alone, and this is why.
fn watch(program: &mut Program, watches: &[(u32, Watch)]) -> Result<Watches, String> {
    let watch = program
        .load_watches()
        .and_then(|()| program.watch(watches))
        .and_then(|()| program.watches());
    watch.map_err(|error| {
        let reason = error.to_string();
        tracing::warn!(%reason, "the kernel does not watch the deadlines, the pulse thread does");
        reason
    })
}

/// Whether a new process could go on from the state of another: all that can fail is tried, and nothing is touched.
pub fn check(cluster: &Cluster, former: &Handover) -> Result<(), StartError> {
    former.fits(cluster)?;
    let peers = settings::peers(cluster, |link| former.slot(link.node, link.peer).unwrap_or(0));
    // What the new process opens before it goes on: it would be too late for a complaint then.
    logging::probe(&cluster.logging)?;
    if let Some(recorder) = &cluster.recorder {
        recorder::probe(&recorder.file)?;
    }
    if let Some(error) = crate::resources::cloud::probe(cluster).into_iter().next() {
        return Err(error.into());
    }
    // The kernel may refuse what it took from another version.
    Program::load(&settings::tables(cluster, former.incarnation, &peers))?;
    Ok(())
}

/// Where things are pinned, and why they are not although they should be. What a daemon that was killed has left is removed.
fn pins(cluster: &Cluster, run: &Path, is_going_on: bool) -> (Option<Pins>, Option<String>) {
    if !(is_going_on && cluster.restart.pin)
        && let Err(error) = Pins::clear(run)
    {
        let error = crate::causes::causes(&error);
        tracing::warn!(error, "what a former daemon has pinned is still there");
    }
    if !cluster.restart.pin {
        return (None, None);
    }
    match Pins::open(run) {
        Ok(pins) => (Some(pins), None),
        Err(error) => {
            let error = crate::causes::causes(&error);
            tracing::warn!(
                error,
                "nothing is pinned: while hb restarts, its interfaces hear nothing"
            );
            (None, Some(error))
        }
    }
}

/// The watchdog may bite when this node has done nothing for so long that everybody has long taken over.
fn watchdog(cluster: &Cluster, former: Option<&Handover>) -> Result<Option<Watchdog>, StartError> {
    if let Some(armed) = former.and_then(|former| former.watchdog.as_ref()) {
        let watchdog = Watchdog::adopt(pulse::adopt(armed.descriptor).map_err(StartError::Io)?);
        if cluster.watchdog.as_ref() == Some(&armed.device) {
            return Ok(Some(watchdog));
        }
        if let Err(error) = watchdog.disarm() {
            tracing::error!(device = %armed.device.display(), %error, "the former watchdog cannot be disarmed");
        }
    }
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
