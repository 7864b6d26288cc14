//! The value of the liveness map: one a peer and link, written by the XDP program alone and read by everybody.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::beat::{Echo, Flags, Groups, Status};
use crate::{Incarnation, Nanos, Sequence};

/// The newest admitted beat of a link.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Heard {
    /// When the kernel admitted it.
    pub seen: Nanos,
    /// The sender's incarnation.
    pub incarnation: Incarnation,
    /// The beat's number.
    pub sequence: Sequence,
    /// The sender's digest of the configuration.
    pub digest: u32,
    /// The sender's promise for the next beat, in milliseconds.
    pub promise_ms: u16,
    /// Whom the sender counts as present, by bits.
    pub present: u16,
    /// What the sender had heard from us.
    pub echo: Echo,
    /// What the sender does with each resource group.
    pub groups: Groups,
    /// A byte of [`Flags`]. Four bytes that nobody reads follow.
    pub flags: u32,
}

/// The longest promise that is believed: a dead daemon is not hidden for longer.
pub const MAX_PROMISE: Nanos = Nanos::from_millis(10_000);

impl Heard {
    /// How long after this beat its sender counts as alive; see [`patience`].
    #[must_use]
    #[inline(always)]
    pub fn patience(&self, deadtime: Nanos) -> Nanos {
        patience(self.promise_ms, deadtime)
    }

    /// Whether this is a newer beat of its sender than that one. A beat that comes by two links counts when it came first: a
    /// link that is only slower, or on which old beats are replayed, keeps nobody alive.
    #[must_use]
    #[inline(always)]
    pub fn is_newer_than(&self, incarnation: Incarnation, sequence: Sequence, seen: Nanos) -> bool {
        if self.incarnation != incarnation {
            return self.incarnation > incarnation;
        }
        if self.sequence != sequence {
            return self.sequence > sequence;
        }
        self.seen < seen
    }
}

/// How long after a beat its sender counts as alive: the deadtime, or as long as it promised to come back within, if that is
/// longer. Before a restart a sender promises more than an interval; nobody is believed for longer than [`MAX_PROMISE`].
#[must_use]
#[inline(always)]
pub fn patience(promise_ms: u16, deadtime: Nanos) -> Nanos {
    let promise = Nanos::from_millis(u64::from(promise_ms));
    let promise = if promise > MAX_PROMISE { MAX_PROMISE } else { promise };
    if promise > deadtime { promise } else { deadtime }
}

/// What the flags say. Admission lets none pass that say nothing; to be sure, such a sender is one that has started.
impl Heard {
    /// Where the sender is in its life.
    #[must_use]
    pub fn status(&self) -> Status {
        self.said().status
    }

    /// Whether its operator asked it to touch nothing.
    #[must_use]
    pub fn maintenance(&self) -> bool {
        self.said().maintenance
    }

    /// What flips when the sender answers news out of turn.
    #[must_use]
    pub fn answer(&self) -> bool {
        self.said().answer
    }

    /// How many ping nodes and groups of them it reaches.
    #[must_use]
    pub fn pings(&self) -> u8 {
        self.said().pings
    }

    fn said(&self) -> Flags {
        let byte = u8::try_from(self.flags).ok();
        byte.and_then(Flags::decode).unwrap_or(Flags::of(Status::Init))
    }
}

/// The number of this layout, and of what the program counts: another for each that means something else, so that no version takes
/// another's pinned map for its own.
pub const LAYOUT: u32 = 2;

/// How many buckets the histogram of inter-arrival times has.
pub const BUCKETS: usize = 32;
/// Bucket 0 counts what is below 2^11 ns (2 µs), bucket i what is in [2^(10+i), 2^(11+i)) ns, the last all the rest.
pub const FIRST_BUCKET_LOG2: u32 = 10;

/// Everything that is known of one link of one peer.
///
/// `heard` is two buffers: the writer fills the one that is not published and then counts `accepted` up, which
/// publishes it. A reader never waits and never sees half a beat, whenever the writer's processor is taken away.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Liveness {
    heard: [Heard; 2],
    accepted: u64,
    /// Beats of the current incarnation that never came, by gaps in the sequence.
    pub lost: u64,
    /// Beats that came once more.
    pub duplicates: u64,
    /// The longest time between two beats of one incarnation.
    pub longest_gap: Nanos,
    /// When the next hash for a stranger's claim would be due at an even pace, by the clock of ticks; see [`Liveness::may_hash`].
    budget: Nanos,
    /// Times between two beats of one incarnation.
    pub gaps: [u64; BUCKETS],
}

/// A stranger's claim of a new incarnation may be hashed this often in the long run, per link: a thousand times a second,
/// which costs half a millisecond.
///
/// It must not be much less: where two nodes have not heard each other yet and both are flooded, their beats win a hash by
/// chance only. docs/PROTOCOL.md says how long that takes.
pub const HASH_EVERY: Nanos = Nanos::from_millis(1);
/// And this many at once. Time goes by ticks of up to ten milliseconds, so it must be about so many.
pub const HASH_BURST: u64 = 8;

/// What changed with a beat: the bits of [`Event::changes`].
pub mod change {
    /// Another incarnation than before; the first beat ever included.
    pub const INCARNATION: u32 = 1;
    /// The sender's flags; [`crate::beat::Status::Leaving`] is in them.
    pub const STATUS: u32 = 2;
    /// The state of a resource group.
    pub const GROUPS: u32 = 4;
    /// The digest of the configuration.
    pub const DIGEST: u32 = 8;
    /// Which of our incarnations the sender hears.
    pub const ECHO: u32 = 16;
    /// Whom the sender counts as present.
    pub const PRESENT: u32 = 32;
    /// Not a beat: the timer of [`super::Event::slot`], which then numbers a watch, has found a silence.
    pub const SILENT: u32 = 64;
}

/// What the ring buffer carries: an edge. The level is in the map.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Event {
    /// When the beat was admitted.
    pub seen: Nanos,
    /// Of which link.
    pub slot: u32,
    /// Bits of [`change`].
    pub changes: u32,
}

/// The writer's side. There is one writer: a link's frames reach one receive queue.
impl Liveness {
    /// The newest beat, for the writer itself.
    #[must_use]
    #[inline(always)]
    pub fn newest(&self) -> &Heard {
        &self.heard[(self.accepted & 1) as usize]
    }

    /// Whether the budget of the link allows one more hash for a stranger's claim of a new incarnation; if so it is spent.
    ///
    /// A generic cell rate algorithm (ITU-T I.371): one number, no timer.
    #[inline(always)]
    pub fn may_hash(&mut self, now: Nanos) -> bool {
        let due = if self.budget.0 > now.0 { self.budget.0 } else { now.0 };
        if due - now.0 > (HASH_BURST - 1) * HASH_EVERY.0 {
            return false;
        }
        self.budget = Nanos(due + HASH_EVERY.0);
        true
    }

    /// Records an admitted beat and publishes it; says what it differs in from the one before.
    #[inline(always)]
    pub fn record(&mut self, heard: &Heard) -> Difference {
        let before = self.newest();
        let difference = Difference {
            incarnation: heard.incarnation.0 ^ before.incarnation.0,
            flags: heard.flags ^ before.flags,
            groups: (heard.groups.0[0] ^ before.groups.0[0])
                | (heard.groups.0[1] ^ before.groups.0[1])
                | (heard.groups.0[2] ^ before.groups.0[2])
                | (heard.groups.0[3] ^ before.groups.0[3]),
            digest: heard.digest ^ before.digest,
            echo: heard.echo.incarnation ^ before.echo.incarnation,
            present: u32::from(heard.present ^ before.present),
            gap: heard.seen.since(before.seen),
        };
        if difference.incarnation == 0 {
            // Not below zero, should two queues judge beats of one link at the same time.
            self.lost += heard.sequence.0.saturating_sub(before.sequence.0 + 1);
        }
        let accepted = self.accepted + 1;
        self.heard[(accepted & 1) as usize] = *heard;
        publish(&mut self.accepted, accepted);
        difference
    }

    /// Counts a time between two beats of one incarnation. The last thing to do with a beat: the verifier follows the
    /// choice of a bucket on 32 ways, so little should come after it.
    #[inline(always)]
    pub fn tally(&mut self, gap: Nanos) {
        if gap > self.longest_gap {
            self.longest_gap = gap;
        }
        // The mask is for the verifier, which does not follow the arithmetic.
        self.gaps[bucket(gap) as usize & (BUCKETS - 1)] += 1;
    }
}

/// What a beat differs in from the one before it: by exclusive or, without a branch, zero for no difference.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    incarnation: u64,
    flags: u32,
    groups: u32,
    digest: u32,
    echo: u32,
    present: u32,
    gap: Nanos,
}

impl Difference {
    /// Whether there is any.
    #[must_use]
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.incarnation | u64::from(self.flags | self.groups | self.digest | self.echo | self.present) != 0
    }

    /// As bits of [`change`].
    #[must_use]
    #[inline(always)]
    pub fn changes(&self) -> u32 {
        let bit = |difference: u32, bit| if difference == 0 { 0 } else { bit };
        let incarnation = if self.incarnation == 0 { 0 } else { change::INCARNATION };
        incarnation
            | bit(self.flags, change::STATUS)
            | bit(self.groups, change::GROUPS)
            | bit(self.digest, change::DIGEST)
            | bit(self.echo, change::ECHO)
            | bit(self.present, change::PRESENT)
    }

    /// The time between the two beats; `None` if they are not of one incarnation.
    #[must_use]
    #[inline(always)]
    pub fn gap(&self) -> Option<Nanos> {
        if self.incarnation == 0 { Some(self.gap) } else { None }
    }
}

/// The reader's side, from a memory that the writer may be changing.
impl Liveness {
    /// How many beats were admitted, all incarnations together.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared().load(Ordering::Relaxed)
    }

    /// The newest admitted beat, whole; `None` before the first.
    #[must_use]
    pub fn heard(&self) -> Option<Heard> {
        let mut accepted = self.shared().load(Ordering::Acquire);
        loop {
            if accepted == 0 {
                return None;
            }
            let buffer = &raw const self.heard[usize::from(accepted & 1 == 1)];
            // SAFETY: the pointer comes from a reference; any bit pattern is a `Heard`. The read is volatile because
            // the kernel may write meanwhile; what it tore is thrown away below.
            let heard = unsafe { buffer.read_volatile() };
            core::sync::atomic::fence(Ordering::Acquire);
            let again = self.shared().load(Ordering::Relaxed);
            // The writer touches this buffer again only once it has published the other.
            if again == accepted {
                return Some(heard);
            }
            accepted = again;
        }
    }

    fn shared(&self) -> &AtomicU64 {
        // SAFETY: the field is aligned, lives as long as the reference, and all readers go through here.
        unsafe { AtomicU64::from_ptr((&raw const self.accepted).cast_mut()) }
    }
}

/// Stores `value` after everything that was stored before.
///
/// Before instruction set v4 BPF has no store with release ordering. An exchange has (and more), costs nothing that
/// can be measured, and kernels have known it since 5.12.
#[inline(always)]
fn publish(place: &mut u64, value: u64) {
    #[cfg(not(target_arch = "bpf"))]
    {
        // SAFETY: the place is aligned and lives as long as the reference.
        unsafe { AtomicU64::from_ptr(place) }.store(value, Ordering::Release);
        // The next beat's stores come after this one, as they do after an exchange.
        core::sync::atomic::fence(Ordering::Release);
    }
    #[cfg(target_arch = "bpf")]
    // SAFETY: one exchange with a place that is ours to write.
    unsafe {
        core::arch::asm!("{value} = xchg_64({place} + 0, {value})", place = in(reg) place, value = inout(reg) value => _);
    }
}

/// The bucket of a time between two beats: [`FIRST_BUCKET_LOG2`].
///
/// BPF has no instruction to count leading zeros; a binary search is shorter than what LLVM makes of it.
#[must_use]
#[inline(always)]
pub fn bucket(gap: Nanos) -> u32 {
    let mut rest = gap.0 >> FIRST_BUCKET_LOG2;
    if rest >> (BUCKETS - 1) != 0 {
        return 31;
    }
    let mut log2 = 0;
    if rest >> 16 != 0 {
        log2 += 16;
        rest >>= 16;
    }
    if rest >> 8 != 0 {
        log2 += 8;
        rest >>= 8;
    }
    if rest >> 4 != 0 {
        log2 += 4;
        rest >>= 4;
    }
    if rest >> 2 != 0 {
        log2 += 2;
        rest >>= 2;
    }
    if rest >> 1 != 0 {
        log2 += 1;
    }
    log2
}

#[cfg(test)]
mod tests;
