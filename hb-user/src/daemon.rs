//! The daemon: the only place where configuration, datapath, pulse, core, resources and control meet.
//!
//! News of the pulse thread, ends of scripts and signals become events of the core; its actions become orders and
//! scripts. Nothing is decided here.

mod alarms;
mod ends;
mod handover;
mod inquiry;
mod keeper;
mod kept;
mod lock;
mod news;
mod orders;
mod outside;
mod parts;
mod reload;
mod report;
mod restart;
mod settings;
mod start;
mod takeover;
mod words;
mod work;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hb_ebpf::{Incarnation, Nanos, NodeId};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use handover::{Handover, HandoverError, boot, text_of};
pub use restart::{CHECK, HANDOVER, Invocation, hold_signals};
pub use start::{StartError, check};

use crate::clock;
use crate::config::Cluster;
use crate::control::{Asked, Reply, Request, Server};
use crate::core::{Action, Cause, Contact, Differs, Event, Fencing, GroupState, Node};
use crate::datapath::{Attached, Counters, LivenessMap, Pins, Program, Watches};
use crate::pings::{Prober, Reach};
use crate::pulse::{Peer, Pulse, Sockets};
use crate::realtime::Granted;
use crate::recorder::Recorder;
use crate::resources::group::Claims;
use keeper::Keeper;
use orders::Orders;
use outside::{Ended, Outside};
use takeover::Record;
use work::{Finished, Known, Task, Works};

/// How often the controller shows the watchdog that it makes progress.
const PROGRESS: Duration = Duration::from_secs(1);
/// A look at whether the pulse thread has caught up.
const CATCH_UP: Duration = Duration::from_millis(1);

/// Each link's place in the liveness map, by node and address.
type Slots = Vec<((usize, IpAddr), u32)>;
/// What asks ping nodes, and what they answered.
type Probing = Option<(Prober, Arc<Reach>)>;

/// Where the daemon finds and leaves things.
#[derive(Clone, Debug)]
pub struct Places {
    /// What survives a reboot: the incarnation.
    pub state: PathBuf,
    /// The control socket and the lock.
    pub run: PathBuf,
    /// What a restart starts.
    pub again: Invocation,
}

/// Runs until SIGTERM or SIGINT, and leaves in good order. With the state of a former process its life goes on.
pub async fn run(cluster: Cluster, places: &Places, former: Option<Handover>) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Io)?;
    let mut daemon = Daemon::start(cluster, places, former)?;
    daemon.serve(&mut signals).await.map_err(StartError::Io)?;
    daemon.ensure_all_stopped()
}

/// Why the daemon has woken.
#[expect(clippy::large_enum_variant, reason = "there is one, and it is looked at at once")]
enum Happened {
    News,
    Finished(Finished),
    Ended(Ended),
    Seen(keeper::Seen),
    Due,
    Leave,
    HangUp,
    Read(reload::Read),
    HungUp,
    Restart(restart::Step),
    Asked(Asked),
}

/// The signals that the daemon listens for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// What has come and was seen while a restart was under way.
    terminated: bool,
    hung_up: bool,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            terminated: false,
            hung_up: false,
        };
        // They have been held up until now, perhaps since a restart in place.
        restart::release_signals()?;
        Ok(signals)
    }

    /// Whether one has come that nobody has looked at yet; it stays for who looks next.
    async fn have_come(&mut self) -> bool {
        tokio::select! {
            biased;
            () = any(&mut self.terminate, &mut self.interrupt) => self.terminated = true,
            _ = self.hangup.recv() => self.hung_up = true,
            () = std::future::ready(()) => {}
        }
        self.terminated || self.hung_up
    }

    /// The next that asks for the end.
    async fn end(terminate: &mut Signal, interrupt: &mut Signal, has_come: &mut bool) {
        if !std::mem::take(has_come) {
            any(terminate, interrupt).await;
        }
    }

    /// The next that asks for the files to be read.
    async fn reload(hangup: &mut Signal, has_come: &mut bool) {
        if !std::mem::take(has_come) {
            // It ends with the runtime only.
            let _ = hangup.recv().await;
        }
    }
}

/// The running daemon.
struct Daemon {
    cluster: Cluster,
    peers: Vec<Peer>,
    slots: Slots,
    next_slot: u32,
    sockets: Sockets,
    prober: Probing,
    node: Node,
    pulse: Pulse,
    /// What the kernel granted to the controller, and why memory is not locked.
    granted: Granted,
    locking_refused: Option<String>,
    works: Works,
    outside: Outside,
    keeper: Keeper,
    server: Server,
    orders: Orders,
    liveness: LivenessMap,
    /// What the kernel's timers find, or why it has none.
    watches: Result<Watches, String>,
    counters: Counters,
    attached: Vec<Attached>,
    incarnation: Incarnation,
    started: Nanos,
    /// What each group was last acquired for.
    records: Vec<Option<Record>>,
    /// The other node that was seen to have each group last.
    owners: Vec<Option<String>>,
    /// The last of `records`.
    last_takeover: Option<usize>,
    /// What went wrong last with each group.
    problems: Vec<Option<String>>,
    /// The silence of each node that died last.
    silences: Vec<Option<crate::core::Silence>>,
    /// In what each peer's configuration differs, as far as the log has said since this one was read.
    differences: BTreeMap<NodeId, Differs>,
    recorder: Option<Recorder>,
    reading: reload::Reading,
    /// What failed outside of the groups, by what it is about.
    troubles: BTreeMap<String, String>,
    /// The program and its tables; they go with this, after everything that uses them.
    program: Program,
    /// They go after what is pinned there.
    pins: Option<Pins>,
    restart: restart::Restart,
    /// The takeover that a former process has told of.
    former_takeover: Option<crate::control::Takeover>,
    places: Places,
    boot: String,
    lock: lock::Lock,
}

impl Daemon {
    async fn serve(&mut self, signals: &mut Signals) -> std::io::Result<()> {
        let doorbell = self.pulse.doorbell()?;
        loop {
            self.pulse.progress();
            let wake = self.wake_at();
            let Signals {
                terminate,
                interrupt,
                hangup,
                terminated,
                hung_up,
            } = &mut *signals;
            let happened = tokio::select! {
                // In this order: who is alive, what has been done about it, and only then what people want.
                biased;
                rung = doorbell.rung() => {
                    rung?;
                    Happened::News
                }
                finished = self.works.next() => Happened::Finished(finished),
                ended = self.outside.next() => Happened::Ended(ended),
                seen = self.keeper.next() => Happened::Seen(seen),
                () = clock::sleep_until(wake) => Happened::Due,
                () = Signals::end(terminate, interrupt, terminated) => Happened::Leave,
                () = Signals::reload(hangup, hung_up) => Happened::HangUp,
                read = self.reading.next() => Happened::Read(read),
                () = self.orders.hung_up() => Happened::HungUp,
                step = self.restart.next() => Happened::Restart(step),
                Some(asked) = self.server.next() => Happened::Asked(asked),
            };
            if self.catch_up().await? {
                return Ok(());
            }
            match happened {
                Happened::News => {}
                Happened::Finished(finished) => self.finish(finished),
                Happened::Ended(ended) => self.conclude(ended),
                Happened::Seen(seen) => self.learn(seen),
                Happened::Due => self.look_around(),
                Happened::Leave => {
                    tracing::info!("leaving");
                    self.feed(&Event::Leave);
                }
                Happened::HangUp => self.reading.begin(self.place(), None),
                Happened::Read(read) => self.take_over(read),
                Happened::HungUp => self.settle_orders(),
                Happened::Restart(step) => self.proceed(step),
                Happened::Asked(asked) => self.answer(asked),
            }
            if self.restart.has_answer() {
                self.restart(signals).await?;
            }
        }
    }

    /// When something is due.
    fn wake_at(&self) -> Option<Nanos> {
        let progress = self
            .cluster
            .watchdog
            .as_ref()
            .map(|_| clock::now().saturating_add(settings::nanos(PROGRESS)));
        let all = [
            self.node.deadline(),
            self.outside.deadline(),
            self.keeper.deadline(),
            self.orders.deadline(),
            progress,
        ];
        all.into_iter().flatten().min()
    }

    fn look_around(&mut self) {
        let now = clock::now();
        if self.node.deadline().is_some_and(|deadline| deadline <= now) {
            self.feed(&Event::Tick);
        }
        self.settle_orders();
        self.look_after(now);
        let (works, alone) = (&self.works, self.is_alone());
        let groups = &self.cluster.groups;
        self.outside.ask(now, |name| {
            let group = groups.iter().position(|group| group.name() == name)?;
            Some((works.scripts(group)?, works.context(alone)))
        });
    }

    /// Waits until the pulse thread has had its turn: whoever was stopped knows nothing before. Then takes all its news;
    /// true when it has said farewell.
    async fn catch_up(&mut self) -> std::io::Result<bool> {
        while self.pulse.is_overdue(clock::now()) && !self.pulse.has_ended() {
            clock::sleep(CATCH_UP).await;
        }
        self.hear()
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

    /// The node with this number, unless a reload has just removed it.
    fn index(&self, id: NodeId) -> Option<usize> {
        self.peers.iter().find(|peer| peer.node == id).map(|peer| peer.index)
    }

    fn name(&self, id: NodeId) -> &str {
        self.index(id).map_or("", |node| &self.cluster.nodes[node])
    }

    fn is_alone(&self) -> bool {
        !self
            .peers
            .iter()
            .any(|peer| self.node.peer(peer.index).contact == Contact::Up)
    }

    fn feed(&mut self, event: &Event) {
        let now = clock::now();
        let actions = self.decide(event, now);
        self.perform(actions, now);
    }

    fn decide(&mut self, event: &Event, now: Nanos) -> Vec<Action> {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(now, event, &self.node);
        }
        self.node.handle(event, now)
    }

    fn perform(&mut self, actions: Vec<Action>, now: Nanos) {
        for action in actions {
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
                // The reload has seen to it.
                Action::Drop { .. } => {}
                Action::Fence { node } => {
                    let name = self.cluster.nodes[node].clone();
                    tracing::warn!(peer = %name, "fencing");
                    self.outside.fence(name);
                }
                Action::Reboot { group } => {
                    let name = self.cluster.groups[group].name();
                    tracing::error!(group = %name, "could not be stopped: this host is rebooted");
                    self.outside.reboot(name);
                }
                Action::Left => self.pulse.farewell(),
            }
        }
        if let Some(hands) = self.works.hands() {
            hands.rest(self.node.in_maintenance());
        }
        for (index, group) in self.cluster.groups.iter().enumerate() {
            let Some(view) = self.node.group(index) else { continue };
            self.outside.watch(&group.name(), view.state.runs(), now);
            if let Some(owner) = view.owner.filter(|node| *node != self.cluster.me) {
                let is_news = self.owners[index].is_none() && !view.state.is_held();
                if is_news && !self.node.in_maintenance() {
                    self.works.tidy(index);
                }
                self.owners[index] = Some(self.cluster.nodes[owner].clone());
            }
        }
        self.look_after(now);
        let alone = self.is_alone();
        for index in 0..self.cluster.groups.len() {
            let is_coming = self.node.group(index).is_some_and(|group| group.is_coming);
            self.works.inquire(index, is_coming, alone);
        }
        self.settle_orders();
    }

    fn begin(&mut self, group: usize, work: u32, task: Task, cause: Cause) {
        let peer = self.about(group, cause);
        tracing::info!(group = %self.cluster.groups[group].name(), cause = cause.name(), peer, "{}", task.name());
        let alone = self.is_alone();
        let known = Known {
            // Who was fenced has no address any more that could be asked for.
            is_certain: cause
                .peer()
                .is_some_and(|node| self.node.peer(node).fencing == Fencing::Done),
            claims: self.claims(group, cause),
        };
        self.works.begin(group, Some(work), task, alone, known);
    }

    /// From whom floating IPs may be taken: whom the cluster hears lets go of them; whom it does not hear may have them for a
    /// reason.
    fn claims(&self, group: usize, cause: Cause) -> Claims {
        let lost: Vec<(usize, bool)> = self.node.rivals_for(group).collect();
        if lost.is_empty() || cause.is_handed_over() {
            return Claims::new();
        }
        self.keeper.claims(group, &lost, cause == Cause::Moved)
    }

    fn record(&mut self, group: usize, cause: Cause, now: Nanos) {
        let from = self.about(group, cause).map(str::to_owned);
        let silence = cause.dead().and_then(|node| self.silences.get(node).copied().flatten());
        self.records[group] = Some(Record::new(cause, from, silence, now));
        self.last_takeover = Some(group);
    }

    /// The other node that a work on a group is about: what comes here by an order, or because it is ours, comes from who had it.
    fn about(&self, group: usize, cause: Cause) -> Option<&str> {
        match cause.peer() {
            Some(node) if node == self.cluster.me => self.owners[group].as_deref(),
            node => self.cluster.nodes.get(node?).map(String::as_str),
        }
    }

    fn answer(&mut self, asked: Asked) {
        match asked.request {
            Request::Status => {
                let status = self.report(clock::now());
                // Who asked may have gone.
                let _ = asked.reply.send(Reply::Status(Box::new(status)));
            }
            Request::Order(order) => self.order(&order, asked.reply),
        }
    }
}

async fn any(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
