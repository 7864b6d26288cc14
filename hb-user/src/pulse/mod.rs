//! The real-time thread: sends beats, watches deadlines, and sleeps in between.
//!
//! It allocates nothing after its start but for a reload, logs nothing, and shares no lock with anything slow: news go to the
//! controller through a wait-free queue, orders come back through another.

mod beating;
mod inherited;
mod order;
mod signer;
mod socket;
mod stats;
mod tenure;
mod thread;
pub(crate) mod wake;
mod watchdog;

use std::net::IpAddr;
use std::sync::Arc;

use aya::maps::{MapData, RingBuf};
use hb_ebpf::{Incarnation, KeyId, Nanos, NodeId, Sequence};

pub use beating::{Reconfiguration, Snapshot};
pub use inherited::{adopt, keep};
pub use order::{News, Order, OrderSender};
pub use signer::{Signer, midstates};
pub use socket::{SocketError, Sockets};
pub use stats::{Lateness, Stats};
pub(crate) use thread::touched;
pub use wake::Doorbell;
pub use watchdog::{Watchdog, WatchdogError};

use crate::core::{Advert, Lease, Timing};
use crate::datapath::{LivenessMap, Watches};
use crate::pings::Reach;
use crate::realtime::{Granted, Wanted};

/// A thread of the real-time class that is later than this was stopped.
const OVERDUE: Nanos = Nanos::from_millis(5);

/// The longest that the thread may take to say how it stands.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(1);

/// What the thread needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Our own name in beats.
    pub me: NodeId,
    /// Our own life.
    pub incarnation: Incarnation,
    /// Our index among the nodes of the cluster.
    pub index: usize,
    /// The digest of our configuration.
    pub digest: u32,
    /// How long silences mean what.
    pub timing: Timing,
    /// The time between two beats.
    pub interval: Nanos,
    /// The key that signs.
    pub key: KeyId,
    /// The same, ready to sign.
    pub signer: Signer,
    /// The peers.
    pub peers: Vec<Peer>,
    /// What to say before the controller says otherwise.
    pub advert: Advert,
    /// What our lease depends on.
    pub lease: Lease,
    /// The ping nodes, if there are any.
    pub pings: Option<Pings>,
}

/// What ping nodes answer.
#[derive(Clone, Debug)]
pub struct Pings {
    /// What they answered.
    pub reach: Arc<Reach>,
    /// How many there are.
    pub targets: usize,
    /// The silence after which one is not reached.
    pub deadping: Nanos,
}

/// One peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its index among the nodes of the cluster.
    pub index: usize,
    /// Its name in beats.
    pub node: NodeId,
    /// The ways to it.
    pub links: Vec<Link>,
}

/// One way to a peer.
#[derive(Clone, Debug)]
pub struct Link {
    /// The interface.
    pub interface: String,
    /// The peer's address.
    pub address: IpAddr,
    /// The index of its liveness.
    pub slot: u32,
}

/// What the thread works with.
pub struct Means {
    /// What the kernel heard.
    pub liveness: LivenessMap,
    /// What its timers find, by [`Peer::index`], where it has any.
    pub watches: Option<Watches>,
    /// What it noticed.
    pub events: RingBuf<MapData>,
    /// Where beats leave.
    pub sockets: Sockets,
    /// Fed while the controller makes progress.
    pub watchdog: Option<Watchdog>,
    /// The scheduling class that it asks for.
    pub scheduling: Wanted,
}

/// The running thread, as the controller sees it.
#[derive(Debug)]
pub struct Pulse {
    news: rtrb::Consumer<News>,
    bell: wake::Bell,
    orders: OrderSender,
    stats: std::sync::Arc<Stats>,
    granted: Granted,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Why there is no pulse.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the pulse thread")]
pub struct PulseError(#[from] std::io::Error);

impl Pulse {
    /// Starts the thread. The first beats leave at once.
    pub fn start(settings: Settings, means: Means) -> Result<Self, PulseError> {
        thread::start(settings, means, None)
    }

    /// Starts the thread where a former process has left off.
    pub fn go_on(settings: Settings, means: Means, former: Snapshot) -> Result<Self, PulseError> {
        thread::start(settings, means, Some(former))
    }

    /// What rings when there are news; see [`Pulse::read`]. Needs the runtime that will wait for it.
    pub fn doorbell(&self) -> std::io::Result<Doorbell> {
        Doorbell::new(self.bell.clone())
    }

    /// The next news, if there are any.
    pub fn read(&mut self) -> Option<News> {
        self.news.pop().ok()
    }

    /// Whether the thread has ended, so that no more news will come.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.news.is_abandoned()
    }

    /// Tells the peers, now.
    pub fn advertise(&mut self, advert: Advert) {
        self.orders.send(Order::Advertise(advert));
    }

    /// The news of a peer's beat have been taken in, and what follows from them was advertised.
    pub fn take_in(&mut self, node: NodeId, sequence: Sequence) {
        self.orders.send(Order::TakenIn { node, sequence });
    }

    /// Goes on with other settings: no beat is lost, and who is known stays known.
    pub fn reconfigure(&mut self, new: Reconfiguration) {
        self.orders.send(Order::Reconfigure(Box::new(new)));
    }

    /// The controller makes progress: the watchdog may be fed.
    pub fn progress(&self) {
        self.stats.progress();
    }

    /// Whether the thread should have woken a while ago, so that what we know may be old. It is of a higher class and
    /// catches up at once.
    #[must_use]
    pub fn is_overdue(&self, now: Nanos) -> bool {
        now > self.stats.planned().saturating_add(OVERDUE)
    }

    /// Says what we said last until the peers have confirmed it, at most for a deadtime, and ends with [`News::Gone`].
    pub fn farewell(&mut self) {
        self.orders.send(Order::Farewell);
    }

    /// Promises from now on to be back within `span`, until the peers have confirmed that, at most for a deadtime: then
    /// comes [`News::Promised`]. It is promised on, if it was confirmed, until [`Pulse::resume`].
    pub fn promise(&mut self, span: Nanos) {
        self.orders.send(Order::Promise { span });
    }

    /// What it takes to go on from here in another process; `None` if the thread does not answer. With `suspend` it says
    /// nothing more until [`Pulse::resume`].
    pub fn snapshot(&mut self, suspend: bool) -> Option<Snapshot> {
        let (reply, snapshot) = std::sync::mpsc::sync_channel(1);
        self.orders.send(Order::Snapshot { suspend, reply });
        // The thread is of a higher class, and answers at once.
        snapshot.recv_timeout(ANSWER).ok().map(|snapshot| *snapshot)
    }

    /// There is no restart, or none any more: goes on as before.
    pub fn resume(&mut self) {
        self.orders.send(Order::Resume);
    }

    /// The thread's own figures.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The scheduling class that the kernel granted.
    #[must_use]
    pub fn granted(&self) -> &Granted {
        &self.granted
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and then it has said so.
            let _ = thread.join();
        }
    }
}
