//! What the thread is told to do, and what it tells. All of it is small, and is handed on by value: nobody has anything to free.

use hb_ebpf::Nanos;
use nix::errno::Errno;

use super::message::Prepared;
use super::netlink::Refusal;

/// Something to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// By which its answer is known.
    pub(super) number: u64,
    pub(super) task: Task,
    /// By which the address is known.
    pub(super) key: u32,
    pub(super) prepared: Prepared,
    pub(super) upkeep: Upkeep,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Task {
    /// Add it, announce it, and look after it from then on. Until `before`, when who has asked has given up.
    Add { before: Nanos, probes: bool },
    /// Remove it.
    Remove,
    /// See whether it is here.
    Look,
    /// It is here since long ago: look after it.
    Keep,
    /// Nothing: the answer comes after all that was heard of others until then.
    Listen,
    /// Ask whether somebody else has it, or is about to take it; answers count until some time. It is not here.
    Probe { until: Nanos },
    /// See whether it is still here, if it should be; put it back if `mends`; announce it as if it had just come if `tells`; ask
    /// whether somebody else has it, too.
    Check { mends: bool, tells: bool, probes: bool },
}

/// How an address that is here is looked after.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Upkeep {
    /// The pause between two announcements; 0: there are none after the first ones.
    pub(super) refresh: Nanos,
    /// Whether others that use it are listened for.
    pub(super) listens: bool,
    /// After so long a silence others take over; 0: nobody does.
    pub(super) deadtime: Nanos,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) number: u64,
    /// Whether the address was there before (of a check: or was not to be there), or why it is not as was asked for.
    pub(super) was_here: Result<bool, Refusal>,
    /// Of an address that is here: what of its announcements was not sent.
    pub(super) unsent: Option<Unsent>,
    /// Why others that use it are not heard.
    pub(super) unheard: Option<Errno>,
    /// Of a check: nothing was put back or announced, since this host was frozen a moment ago.
    pub(super) is_quiet: bool,
    /// Whether others were asked if they use it, or why that could not be sent; `None` where it was not tried.
    pub(super) asked: Option<Result<(), Errno>>,
    /// When the work began.
    pub(super) started: Nanos,
    /// When the address was there and announced, or gone.
    pub(super) ended: Nanos,
}

/// The announcements of an address that were not sent since it came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Unsent {
    pub(super) count: u64,
    /// Why the last announcement was not, if it was not.
    pub(super) last: Option<Errno>,
}

impl Unsent {
    /// What came of one more.
    pub(super) fn note(&mut self, sent: Result<(), Errno>) {
        self.last = sent.err();
        self.count += u64::from(self.last.is_some());
    }
}

/// What the thread tells of its own accord.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Heard(Heard),
    Hushed(Hush),
}

/// This host was frozen: nothing is said of addresses until some time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hush {
    pub(super) at: Nanos,
    pub(super) until: Nanos,
}

/// Somebody else uses an address, or asks for it as we do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) key: u32,
    pub(super) mac: [u8; 6],
    pub(super) is_probe: bool,
    pub(super) at: Nanos,
}

impl Order {
    /// One that is never carried out.
    pub(super) fn nothing() -> Self {
        Self {
            number: 0,
            task: Task::Look,
            key: 0,
            prepared: Prepared::nothing(),
            upkeep: Upkeep::default(),
        }
    }
}

impl Answer {
    /// One to such an order.
    pub(super) fn nothing() -> Self {
        Self {
            number: 0,
            was_here: Ok(false),
            unsent: None,
            unheard: None,
            is_quiet: false,
            asked: None,
            started: Nanos(0),
            ended: Nanos(0),
        }
    }
}

impl News {
    /// Of nobody.
    pub(super) fn nothing() -> Self {
        Self::Hushed(Hush {
            at: Nanos(0),
            until: Nanos(0),
        })
    }
}
