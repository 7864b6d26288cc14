//! What the thread and the controller say to each other.

use std::sync::mpsc::SyncSender;

use hb_ebpf::beat::Groups;
use hb_ebpf::{Heard, Nanos, NodeId, Sequence};

use super::beating::{Reconfiguration, Snapshot};
use super::wake::Post;
use crate::core::{Advert, Echoed, Graced, Silence};

/// From the thread to the controller.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// A peer is up, or says something new.
    Up {
        /// Which.
        node: NodeId,
        /// Its newest beat.
        heard: Heard,
        /// What it had since its death until it was up again, as long as that is news.
        had: Groups,
        /// What it tells of ours.
        echoed: Echoed,
    },
    /// A peer fell silent.
    Dead {
        /// Which.
        node: NodeId,
        /// The silence.
        silence: Silence,
    },
    /// Two beats of a peer were farther apart than the warntime.
    LateBeat {
        /// Which.
        node: NodeId,
        /// The time between them.
        gap: Nanos,
    },
    /// The silence of a peer may be our own fault: it gets a whole deadtime from now.
    Graced {
        /// Which.
        node: NodeId,
        /// Why.
        why: Graced,
    },
    /// Our lease has ended, or begun. It has ended even if it began again at once.
    Lease {
        /// Which of the two.
        held: bool,
    },
    /// So many ping nodes answer now.
    Pings {
        /// How many.
        reached: u8,
    },
    /// The watchdog device refuses to be fed.
    Watchdog {
        /// Why.
        error: nix::errno::Errno,
    },
    /// This thread was stopped for longer than a deadtime, and is silent for one now.
    Woke {
        /// How late it woke.
        late: Nanos,
    },
    /// The kernel began to refuse beats, or takes them again.
    Sending {
        /// Why it refuses them.
        error: Option<nix::errno::Errno>,
    },
    /// The promise of a restart was confirmed by all peers, or was not.
    Promised {
        /// A peer that has not confirmed it.
        lacking: Option<NodeId>,
        /// When our lease ends, if nobody hears anything more from us.
        lease: Nanos,
    },
    /// The farewell is over and the thread has ended.
    Gone,
}

/// From the controller to the thread.
#[derive(Debug)]
pub enum Order {
    /// Say this from now on, and at once.
    Advertise(Advert),
    /// The news of a peer's beat are known to whoever decides: say so, at once if they are any.
    TakenIn {
        /// Which.
        node: NodeId,
        /// The beat.
        sequence: Sequence,
    },
    /// Go on with other settings.
    Reconfigure(Box<Reconfiguration>),
    /// Repeat what was said last until it is confirmed, then end.
    Farewell,
    /// Promise from now on, and at once, to be back within this time.
    Promise {
        /// Within which.
        span: Nanos,
    },
    /// Say what it would take to go on from here in another process; and stop, if that is about to be done.
    Snapshot {
        /// Whether to say nothing more, until [`Order::Resume`].
        suspend: bool,
        /// Where it goes.
        reply: SyncSender<Box<Snapshot>>,
    },
    /// There is no restart: go on, and promise no more than an interval.
    Resume,
    /// End now.
    Stop,
}

/// The controller's end of the queue of orders.
pub type OrderSender = Post<Order>;

impl Post<Order> {
    /// Sends an order. Should the queue be full, the thread, which is of a higher class, empties it at once; should the
    /// thread be gone, nobody listens.
    pub(super) fn send(&mut self, mut order: Order) {
        while let Err(refused) = self.try_send(order) {
            if self.queue.is_abandoned() {
                return;
            }
            order = refused;
            std::thread::yield_now();
        }
    }
}
