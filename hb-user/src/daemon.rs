//! The daemon: the only place where configuration, datapath, pulse, core, resources and control meet.
//!
//! News of the pulse thread, ends of scripts and signals become events of the core; its actions become orders and
//! scripts. Nothing is decided here.

mod report;
mod start;
mod takeover;
mod work;

use std::path::PathBuf;

use hb_ebpf::{Incarnation, Nanos};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use start::StartError;

use crate::clock;
use crate::config::Cluster;
use crate::control::{Asked, Reply, Request, Server};
use crate::core::{Action, Cause, Contact, Differs, Event, GroupState, Node, Sight};
use crate::datapath::{Attached, Counters, LivenessMap};
use crate::pulse::{News, Pulse};
use takeover::Record;
use work::{Finished, Task, Works};

/// Where the daemon finds and leaves things.
#[derive(Clone, Debug)]
pub struct Places {
    /// What survives a reboot: the incarnation.
    pub state: PathBuf,
    /// The control socket and the lock.
    pub run: PathBuf,
}

/// Runs until SIGTERM or SIGINT, and leaves in good order.
pub async fn run(cluster: Cluster, places: &Places) -> Result<(), StartError> {
    let mut daemon = Daemon::start(cluster, places)?;
    daemon.serve().await.map_err(StartError::Io)?;
    daemon.ensure_all_stopped()
}

/// The running daemon.
struct Daemon {
    cluster: Cluster,
    /// The peers in the order of the pulse: their indices among the nodes.
    peers: Vec<usize>,
    /// The links of each peer, in the same order.
    links: Vec<Vec<crate::pulse::Link>>,
    node: Node,
    pulse: Pulse,
    works: Works,
    server: Server,
    liveness: LivenessMap,
    counters: Counters,
    attached: Vec<Attached>,
    incarnation: Incarnation,
    started: Nanos,
    /// What each group was last acquired for.
    records: Vec<Option<Record>>,
    /// The last of `records`.
    last_takeover: Option<usize>,
    /// What went wrong last with each group.
    problems: Vec<Option<String>>,
    /// The silence of each node that died last.
    silences: Vec<Option<crate::core::Silence>>,
    /// The program and its tables; they go with this, after everything that uses them.
    _program: crate::datapath::Program,
    _lock: start::Lock,
}

impl Daemon {
    async fn serve(&mut self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let doorbell = self.pulse.doorbell()?;
        loop {
            tokio::select! {
                // In this order: who is alive, what has been done about it, and only then what people want.
                biased;
                rung = doorbell.rung() => {
                    rung?;
                    if self.hear()? {
                        return Ok(());
                    }
                }
                finished = self.works.next() => self.finish(finished),
                () = any(&mut terminate, &mut interrupt) => {
                    tracing::info!("leaving");
                    self.feed(Event::Leave);
                }
                _ = hangup.recv() => tracing::warn!("reloading on SIGHUP is not supported yet; restart hb instead"),
                Some(asked) = self.server.next() => self.answer(asked),
            }
        }
    }

    /// What could not be stopped is not left behind in silence.
    fn ensure_all_stopped(&self) -> Result<(), StartError> {
        let stuck = |index: &usize| {
            let group = self.node.group(*index);
            group.is_some_and(|group| group.state == GroupState::Stuck)
        };
        let names = (0..self.cluster.groups.len())
            .filter(stuck)
            .map(|index| self.cluster.groups[index].name());
        let groups = names.collect::<Vec<_>>().join(", ");
        if groups.is_empty() {
            Ok(())
        } else {
            Err(StartError::Stuck { groups })
        }
    }

    /// Takes all news of the pulse; true when it has said farewell.
    fn hear(&mut self) -> std::io::Result<bool> {
        while let Some(news) = self.pulse.read() {
            match news {
                News::Up { peer, heard, echoed } => self.meet(peer, &heard, echoed),
                News::Dead { peer, silence } => {
                    let node = self.peers[peer];
                    let name = &self.cluster.nodes[node];
                    if self.node.peer(node).has_said_farewell() {
                        tracing::info!(peer = %name, "peer has left");
                    } else {
                        tracing::warn!(
                            peer = %name,
                            overshoot_us = silence.detected.since(silence.deadline).as_micros(),
                            met = silence.last_seen.is_some(),
                            "peer is silent"
                        );
                    }
                    self.silences[node] = Some(silence);
                    self.feed(Event::Silent { node });
                }
                News::LateBeat { peer, gap } => tracing::warn!(
                    peer = %self.cluster.nodes[self.peers[peer]],
                    gap_us = gap.as_micros(),
                    "late beat"
                ),
                News::Graced { peer, late } => tracing::warn!(
                    peer = %self.cluster.nodes[self.peers[peer]],
                    late_us = late.as_micros(),
                    "this node was late itself; the peer gets one deadtime more"
                ),
                News::Lease { held } => {
                    if held {
                        tracing::info!("enough others hear us: this node may own groups");
                    } else {
                        tracing::warn!("too few others hear us: this node gives up what it owns");
                    }
                    self.feed(Event::Lease { held });
                }
                News::Woke { late } => {
                    tracing::warn!(
                        late_us = late.as_micros(),
                        "this node was frozen; it listens before it does anything"
                    );
                    self.feed(Event::Woke);
                }
                News::Sending { error: Some(error) } => tracing::warn!(%error, "the kernel refuses to send beats"),
                News::Sending { error: None } => tracing::info!("beats are sent again"),
                News::Gone => return Ok(true),
            }
        }
        if self.pulse.has_ended() {
            // Nobody beats for us any more: the peer is about to take over, and we must not hold on.
            return Err(std::io::Error::other("the pulse thread has ended"));
        }
        Ok(false)
    }

    /// A peer is up, or says something new.
    fn meet(&mut self, peer: usize, heard: &hb_ebpf::Heard, echoed: crate::core::Echoed) {
        let node = self.peers[peer];
        let differs = Differs::between(self.cluster.digest(), heard.digest);
        let (before, sight) = (self.node.peer(node), Sight::of(heard, echoed, differs));
        let name = &self.cluster.nodes[node];
        if before.contact != Contact::Up || before.sight.status != sight.status {
            let incarnation = format_args!("{:016x}", heard.incarnation.0);
            tracing::info!(peer = %name, status = ?sight.status, incarnation, "peer is up");
        }
        if before.contact == Contact::Up && before.sight.hears_us != sight.hears_us {
            tracing::warn!(peer = %name, hears_us = sight.hears_us, "whether our beats reach the peer");
        }
        if differs.is_any() && before.sight.differs != differs {
            tracing::warn!(peer = %name, ?differs, "the configuration differs between this node and its peer");
        }
        self.feed(Event::Peer { node, sight });
        self.pulse.take_in(peer, heard.sequence);
    }

    fn feed(&mut self, event: Event) {
        let now = clock::now();
        for action in self.node.handle(&event, now) {
            match action {
                Action::Advertise(advert) => self.pulse.advertise(advert),
                Action::Acquire {
                    group,
                    work,
                    cause,
                    reassert,
                } => {
                    self.record(group, cause, now);
                    self.begin(group, work, Task::Acquire { reassert }, cause);
                }
                Action::Release { group, work, cause } => self.begin(group, work, Task::Release, cause),
                Action::Drop { .. } | Action::Fence { .. } | Action::Reboot { .. } => {}
                Action::Left => self.pulse.farewell(),
            }
        }
    }

    fn begin(&mut self, group: usize, work: u32, task: Task, cause: Cause) {
        tracing::info!(group = %self.cluster.groups[group].name(), cause = cause.name(), "{}", task.name());
        let alone = !self
            .peers
            .iter()
            .any(|node| self.node.peer(*node).contact == Contact::Up);
        self.works.begin(group, work, task, alone);
    }

    fn record(&mut self, group: usize, cause: Cause, now: Nanos) {
        self.records[group] = Some(Record::new(cause, &self.silences, now));
        self.last_takeover = Some(group);
    }

    fn finish(&mut self, finished: Finished) {
        let Finished {
            group,
            work,
            task,
            report,
        } = finished;
        let name = self.cluster.groups[group].name();
        let (outcome, problem) = work::outcome(&report.result);
        match &problem {
            None => tracing::info!(group = %name, "{}: done", task.name()),
            Some(problem) => tracing::error!(group = %name, %problem, "{}: failed", task.name()),
        }
        self.problems[group] = problem;
        if let (Task::Acquire { .. }, Some(record)) = (task, &mut self.records[group]) {
            record.finish(&report);
        }
        self.feed(Event::Finished { work, outcome });
    }

    fn answer(&self, asked: Asked) {
        let reply = match asked.request {
            Request::Status => Reply::Status(Box::new(self.report(clock::now()))),
        };
        // Who asked may have gone.
        let _ = asked.reply.send(reply);
    }
}

async fn any(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
