//! The kernel's own deadline: a timer for each peer that finds its silence, whatever userspace is doing.
//!
//! The timer is not moved by beats. When it goes off it looks for the newest beat, and sleeps on until that one's deadline, or
//! has found a silence. So a beat costs nothing more for it, and a peer that lives costs one look in a deadtime.
//!
//! A machine that was stopped (a frozen virtual processor) has heard nothing meanwhile, and that is no silence of the peer's. One
//! more timer shows it by being late: after such a gap each peer has a whole deadtime to be heard. A suspension, during which the
//! clock of all this stands still, is for userspace to notice.

use crate::liveness::patience;
use crate::tables::MAX_LINKS;
use crate::{Heard, Incarnation, Nanos, Sequence};

/// How many peers can be watched: as many as a cluster has nodes.
pub const PEERS: u32 = 16;
/// The watch that belongs to no peer and shows whether the machine was stopped.
pub const MACHINE: u32 = PEERS;
/// How many watches there are.
pub const WATCHES: u32 = PEERS + 1;

/// What is watched: a value of the map `WATCHES`. Userspace writes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Watch {
    /// The silence after which the peer is dead. Zero: nothing is watched. Of [`MACHINE`] the shortest of all.
    pub deadtime: Nanos,
    /// The deadline of a peer that was never heard.
    pub unmet: Nanos,
    /// How many of `slots` are in use.
    pub count: u32,
    /// The places of the peer's links in the liveness map.
    pub slots: [u32; MAX_LINKS],
    /// Nothing.
    pub unused: u32,
}

impl Watch {
    /// The watch of [`MACHINE`]: `deadtime` is the shortest of all peers'.
    #[must_use]
    pub fn of_machine(deadtime: Nanos) -> Self {
        Self {
            deadtime,
            ..Self::default()
        }
    }

    /// The watch of a peer with these links.
    #[must_use]
    pub fn of_peer(deadtime: Nanos, unmet: Nanos, slots: impl Iterator<Item = u32>) -> Self {
        let mut watch = Self {
            deadtime,
            unmet,
            ..Self::default()
        };
        for (place, slot) in watch.slots.iter_mut().zip(slots) {
            *place = slot;
            watch.count += 1;
        }
        watch
    }

    /// A machine that does nothing for so long was stopped: a quarter of the deadtime, as for the thread that watches too.
    #[must_use]
    #[inline(always)]
    pub fn too_late(&self) -> Nanos {
        Nanos(self.deadtime.0 / 4)
    }
}

/// What of a peer's beats decides when its deadline is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Newest {
    incarnation: Incarnation,
    sequence: Sequence,
    seen: Nanos,
    promise_ms: u16,
}

impl Newest {
    /// The newer of this one and a link's.
    #[inline(always)]
    pub fn or(&mut self, heard: &Heard) {
        if heard.is_newer_than(self.incarnation, self.sequence, self.seen) {
            *self = Self {
                incarnation: heard.incarnation,
                sequence: heard.sequence,
                seen: heard.seen,
                promise_ms: heard.promise_ms,
            };
        }
    }
}

/// A silence that a timer has found: a value of the map `SILENCES`. The kernel writes.
///
/// `edition` is odd while it is being written. There is one writer: the peer's own timer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Silence {
    edition: u64,
    /// The beat after which it began; zero if there never was one.
    pub last_seen: Nanos,
    /// When the next one had to be here.
    pub deadline: Nanos,
    /// When the timer found that it was not.
    pub found: Nanos,
    /// The beat after which the machine was stopped last, and the deadline that was granted for that.
    excused: Nanos,
    granted: Nanos,
}

/// When the machine was last known to run on without a gap: the value of the map `AWAKE`. The kernel writes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Awake {
    /// When its timer is to go off next.
    pub planned: Nanos,
    /// The end of the last gap; zero if there was none.
    pub since: Nanos,
    /// How often there was one.
    pub gaps: u64,
    /// The longest delay of the timer, gap or not.
    pub latest: Nanos,
}

impl Awake {
    /// The machine's timer has gone off. Says in how long it has to again.
    #[inline(always)]
    pub fn tick(&mut self, watch: &Watch, now: Nanos) -> Nanos {
        let late = self.lateness(now);
        if late > self.latest {
            self.latest = late;
        }
        if late > watch.too_late() {
            self.since = now;
            self.gaps += 1;
        }
        self.planned = Nanos(now.0 + watch.too_late().0);
        watch.too_late()
    }

    /// The end of the last gap, seen at this moment: it may be just over, and its own timer still about to notice.
    #[inline(always)]
    fn since(&self, watch: &Watch, now: Nanos) -> Nanos {
        if self.lateness(now) > watch.too_late() {
            now
        } else {
            self.since
        }
    }

    #[inline(always)]
    fn lateness(&self, now: Nanos) -> Nanos {
        if self.planned.0 != 0 && now > self.planned {
            Nanos(now.0 - self.planned.0)
        } else {
            Nanos(0)
        }
    }
}

/// What a peer's timer makes of what it found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Look {
    /// In how long it has to look again.
    pub again: Nanos,
    /// Whether it is a silence, and one that nobody was told of.
    pub is_news: bool,
}

impl Silence {
    /// The peer's timer has gone off. It never sleeps for longer than a deadtime, however much longer it has to wait by what it
    /// knows: the next beat's deadline may be as early as a deadtime from now. That goes for a peer that was never heard, for
    /// one that has promised to be back, and while a silence goes on, of which it tells nothing more.
    #[inline(always)]
    pub fn look(&mut self, watch: &Watch, newest: &Newest, awake: &Awake, now: Nanos) -> Look {
        let due = self.deadline(watch, newest, awake, now);
        if due > now {
            let rest = Nanos(due.0 - now.0);
            return Look {
                again: if rest < watch.deadtime { rest } else { watch.deadtime },
                is_news: false,
            };
        }
        let is_news = self.edition == 0 || self.last_seen != newest.seen;
        if is_news {
            self.write(newest.seen, due, now);
        }
        Look {
            again: watch.deadtime,
            is_news,
        }
    }

    /// By the newest beat; and a whole deadtime from a gap after it, once: a machine that is stopped again and again must not
    /// hide a death for ever.
    #[inline(always)]
    fn deadline(&mut self, watch: &Watch, newest: &Newest, awake: &Awake, now: Nanos) -> Nanos {
        let due = if newest.incarnation.0 == 0 {
            watch.unmet
        } else {
            Nanos(newest.seen.0 + patience(newest.promise_ms, watch.deadtime).0)
        };
        let since = awake.since(watch, now);
        if since > newest.seen && (self.granted.0 == 0 || self.excused != newest.seen) {
            self.excused = newest.seen;
            self.granted = Nanos(since.0 + watch.deadtime.0);
        }
        if self.excused == newest.seen && self.granted > due {
            self.granted
        } else {
            due
        }
    }

    #[inline(always)]
    fn write(&mut self, last_seen: Nanos, deadline: Nanos, found: Nanos) {
        let place = &raw mut *self;
        // SAFETY: the places are fields of `self`. Volatile: the order is what readers go by, and the compiler would merge
        // the two writes of the edition. Processors that reorder stores are what the reader's second look and its bounds
        // are for: it takes nothing that does not fit the beat it knows.
        unsafe {
            let edition = (*place).edition;
            (&raw mut (*place).edition).write_volatile(edition + 1);
            (&raw mut (*place).last_seen).write_volatile(last_seen);
            (&raw mut (*place).deadline).write_volatile(deadline);
            (&raw mut (*place).found).write_volatile(found);
            (&raw mut (*place).edition).write_volatile(edition + 2);
        }
    }

    /// The silence that was found last, from memory that the kernel may be writing; `None` before the first, and in the
    /// moment of writing: then an event is about to come.
    #[must_use]
    pub fn read(&self) -> Option<Self> {
        let edition = || {
            // SAFETY: the pointer comes from a reference. Volatile: the kernel may write.
            let edition = unsafe { (&raw const self.edition).read_volatile() };
            core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
            edition
        };
        let before = edition();
        // SAFETY: as above, and any bit pattern is a `Silence`.
        let copy = unsafe { (&raw const *self).read_volatile() };
        core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
        (before != 0 && before.is_multiple_of(2) && edition() == before).then_some(copy)
    }
}

#[cfg(test)]
mod tests;
