//! What happens, and when.

use std::cmp::Ordering;

use hb_ebpf::Nanos;
use hb_user::core::Outcome;

use crate::sim::cloud::Reply;

/// Something that happens at its time. `life`: to whom it would have happened, should there be another by then.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) enum Happening {
    Boot {
        host: usize,
    },
    /// The thread's alarm, void if it was woken before.
    Alarm {
        host: usize,
        life: u64,
        ticket: u64,
    },
    /// Orders for the thread, or it runs again after a freeze.
    Bell {
        host: usize,
        life: u64,
    },
    /// The controller reads its news.
    Read {
        host: usize,
        life: u64,
    },
    Tick {
        host: usize,
        life: u64,
    },
    /// A beat, by its place.
    Arrival {
        to: u8,
        from: u8,
        link: u8,
        beat: u32,
    },
    Pong {
        host: usize,
        life: u64,
        ping: usize,
        sent: Nanos,
    },
    /// Scripts have ended.
    Ended {
        host: usize,
        id: usize,
        ticket: u64,
    },
    /// The controller hears of it.
    Finished {
        host: usize,
        life: u64,
        id: usize,
        work: u32,
        outcome: Outcome,
    },
    /// The power goes, since a node asked for it.
    Off {
        host: usize,
        life: u64,
    },
    Fenced {
        host: usize,
        life: u64,
        node: usize,
        done: bool,
    },
    /// The node that asked for it hears of it.
    FenceReported {
        host: usize,
        life: u64,
        node: usize,
        done: bool,
    },
    Begins {
        disaster: usize,
    },
    Ends {
        disaster: usize,
    },
    /// A node reads its new configuration.
    Reload {
        host: usize,
        config: usize,
    },
    Repair,
    /// A daemon goes on in another process.
    Return {
        host: usize,
        life: u64,
        is_pinned: bool,
    },
    /// The owner of a floating IP is asked for.
    Look {
        host: usize,
        life: u64,
        id: usize,
    },
    /// It is told.
    Seen {
        host: usize,
        life: u64,
        id: usize,
        asked: Nanos,
        reply: Reply,
    },
    /// The witness is asked.
    Question {
        host: usize,
        life: u64,
        begun: Nanos,
    },
    Witnessed {
        host: usize,
        life: u64,
        asked: Nanos,
        answers: bool,
    },
    /// A start asks for its floating IP; where that is taken away first, once more.
    Assign {
        host: usize,
        id: usize,
        ticket: u64,
    },
    Attach {
        host: usize,
        id: usize,
        ticket: u64,
    },
    /// A host gets a floating IP that it does not wait for any more.
    Lands {
        host: usize,
        id: usize,
    },
}

/// In the order of times, and of what was planned first.
pub(super) struct Entry {
    pub(super) at: Nanos,
    pub(super) order: u64,
    pub(super) what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
