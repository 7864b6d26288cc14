//! The addresses that are here, and when each is announced again: neighbours may lose a frame, some take no news within a
//! second of the last, and a switch that was off knows nothing.

use std::net::IpAddr;

use hb_ebpf::Nanos;
use nix::errno::Errno;

use super::ears::Claim;
use super::message::{Announcement, Prepared};
use super::order::Unsent;

/// How long after the first announcement the others follow.
const AFTER: [Nanos; 5] = [
    Nanos::from_millis(10),
    Nanos::from_millis(30),
    Nanos::from_millis(70),
    Nanos::from_millis(150),
    // Linux before 4.12 ignores what comes within a second of the last (arp(7), locktime).
    Nanos::from_millis(1_200),
];

/// So many addresses are looked after; others are announced once, and that is all.
const MOST: usize = 256;

/// Who uses our address is answered by an announcement no more often than this (RFC 5227, section 2.4, `DEFEND_INTERVAL`).
const DEFENCES: Nanos = Nanos::from_millis(10_000);
/// Of who uses it, something is said so often, or as often as it is another.
const CLAIMS: Nanos = Nanos::from_millis(1_000);
const OTHER_CLAIMS: Nanos = Nanos::from_millis(100);

/// An address that this thread has something to do with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// By which those that give orders know it.
    pub(super) key: u32,
    pub(super) prepared: Prepared,
    /// Whether it is here. If not, it was only asked whether somebody else has it.
    is_here: bool,
    /// Until when who asks for it, too, counts as who has it (RFC 5227, section 2.1.1).
    asks_until: Nanos,
    /// The pause between two announcements after the burst; 0: there are none.
    refresh: Nanos,
    begun: Nanos,
    /// How many announcements of the burst there were.
    sent: usize,
    /// The last announcement after it.
    refreshed: Nanos,
    defended: Option<Nanos>,
    claimed: Option<([u8; 6], Nanos)>,
    /// Until then nothing is said of it: this host was frozen, and somebody else may have it.
    quiet_until: Nanos,
    unsent: Unsent,
}

/// What is to be done about an address that somebody else uses, too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Claimed {
    pub(super) is_told: bool,
    pub(super) is_defended: bool,
}

impl Kept {
    fn new(key: u32, prepared: &Prepared, now: Nanos) -> Self {
        Self {
            key,
            prepared: *prepared,
            is_here: false,
            asks_until: Nanos(0),
            refresh: Nanos(0),
            begun: now,
            sent: AFTER.len(),
            refreshed: now,
            defended: None,
            claimed: None,
            quiet_until: Nanos(0),
            unsent: Unsent::default(),
        }
    }

    fn due(&self) -> Option<Nanos> {
        if !self.is_here || self.prepared.announcement.is_none() {
            return None;
        }
        let due = match AFTER.get(self.sent) {
            Some(after) => self.begun.saturating_add(*after),
            None if self.refresh == Nanos(0) => return None,
            None => self.refreshed.saturating_add(self.refresh),
        };
        Some(due.max(self.quiet_until))
    }

    /// Whether somebody who asks for it now is about to take what we are about to take.
    fn is_contested(&self, now: Nanos) -> bool {
        !self.is_here && now <= self.asks_until
    }

    /// Somebody else uses it.
    fn claim(&mut self, mac: [u8; 6], now: Nanos) -> Claimed {
        let is_told = self.claimed.is_none_or(|(last, at)| {
            let pause = if last == mac { CLAIMS } else { OTHER_CLAIMS };
            now.since(at) >= pause
        });
        if is_told {
            self.claimed = Some((mac, now));
        }
        let is_in_burst = self.sent < AFTER.len();
        let may_speak = self.is_here && now >= self.quiet_until;
        let is_defended = may_speak && !is_in_burst && self.defended.is_none_or(|last| now.since(last) >= DEFENCES);
        if is_defended {
            self.defended = Some(now);
        }
        Claimed { is_told, is_defended }
    }
}

/// An announcement that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) key: u32,
    pub(super) prepared: Prepared,
    /// Long after the address came: it may have gone since.
    pub(super) is_refresh: bool,
}

/// All of them. It never grows beyond what it was made with.
#[derive(Debug)]
pub(super) struct All(Vec<Kept>);

impl All {
    /// None, in memory that has been written to once.
    pub(super) fn new() -> Self {
        let mut all = vec![Kept::new(0, &Prepared::nothing(), Nanos(0)); MOST];
        all.clear();
        Self(all)
    }

    /// An address has come, and was announced for the first time. True if it was not known, or not here: what is to be listened for
    /// is another thing then.
    pub(super) fn begin(&mut self, key: u32, prepared: &Prepared, refresh: Nanos, now: Nanos) -> bool {
        let was_here = self.is_here(key);
        let (index, is_new) = self.place(key, prepared, now);
        if let Some(kept) = index.and_then(|index| self.0.get_mut(index)) {
            *kept = Kept {
                is_here: true,
                refresh,
                sent: 0,
                unsent: kept.unsent,
                ..Kept::new(key, prepared, now)
            };
        }
        is_new || !was_here
    }

    /// An address is here, and was announced long ago. True as above.
    pub(super) fn go_on(&mut self, key: u32, prepared: &Prepared, refresh: Nanos, now: Nanos) -> bool {
        let was_here = self.is_here(key);
        let (index, is_new) = self.place(key, prepared, now);
        if let Some(kept) = index.and_then(|index| self.0.get_mut(index)) {
            kept.is_here = true;
            kept.prepared = *prepared;
            kept.refresh = refresh;
        }
        is_new || !was_here
    }

    /// An address is about to be asked for, and answers count until some time. True if it was not known.
    pub(super) fn ask(&mut self, key: u32, prepared: &Prepared, until: Nanos, now: Nanos) -> bool {
        let (index, is_new) = self.place(key, prepared, now);
        if let Some(kept) = index.and_then(|index| self.0.get_mut(index)) {
            kept.prepared = *prepared;
            kept.asks_until = until;
            // An answer to this question is told, whatever was told a moment ago.
            kept.claimed = None;
        }
        is_new
    }

    /// An address goes. True if it was known.
    pub(super) fn end(&mut self, key: u32) -> bool {
        let before = self.0.len();
        self.0.retain(|kept| kept.key != key);
        self.0.len() < before
    }

    /// Whether an address is here, as far as orders say.
    pub(super) fn is_here(&self, key: u32) -> bool {
        self.0.iter().any(|kept| kept.key == key && kept.is_here)
    }

    /// Says nothing of those that are here until some time, or until one comes anew.
    pub(super) fn hush(&mut self, until: Nanos) {
        for kept in self.0.iter_mut().filter(|kept| kept.is_here) {
            kept.quiet_until = until;
        }
    }

    /// Whether nothing is said of an address now.
    pub(super) fn is_quiet(&self, key: u32, now: Nanos) -> bool {
        self.0.iter().any(|kept| kept.key == key && now < kept.quiet_until)
    }

    /// An announcement of an address was sent, or not.
    pub(super) fn note(&mut self, key: u32, sent: Result<(), Errno>) {
        if let Some(kept) = self.0.iter_mut().find(|kept| kept.key == key) {
            kept.unsent.note(sent);
        }
    }

    /// What of an address's announcements was not sent, if it is here.
    pub(super) fn unsent(&self, key: u32) -> Option<Unsent> {
        let kept = self.0.iter().find(|kept| kept.key == key && kept.is_here);
        kept.map(|kept| kept.unsent)
    }

    /// Whether any address is here.
    pub(super) fn has_any(&self) -> bool {
        self.0.iter().any(|kept| kept.is_here)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + Clone {
        self.0.iter().map(|kept| kept.prepared.ip)
    }

    /// Those that are not here, and may come.
    pub(super) fn wanted(&self) -> impl Iterator<Item = IpAddr> + Clone {
        self.0.iter().filter(|kept| !kept.is_here).map(|kept| kept.prepared.ip)
    }

    /// When the next announcement is due.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.0.iter().filter_map(Kept::due).min()
    }

    /// An announcement that is due, once.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<Due> {
        let kept = self
            .0
            .iter_mut()
            .find(|kept| kept.due().is_some_and(|due| due <= now))?;
        let is_refresh = kept.sent == AFTER.len();
        kept.refreshed = now;
        if !is_refresh {
            kept.sent += 1;
        }
        Some(Due {
            key: kept.key,
            prepared: kept.prepared,
            is_refresh,
        })
    }

    /// Somebody says on an interface that an address is theirs, or is about to be. What is to be done about each of ours that it is.
    pub(super) fn claim(&mut self, claim: &Claim, now: Nanos, mut each: impl FnMut(u32, Claimed, &Announcement)) {
        for kept in &mut self.0 {
            let Some(announcement) = kept.prepared.announcement else {
                continue;
            };
            let is_it = kept.prepared.ip == claim.ip
                && announcement.interface == claim.interface
                && announcement.mac != claim.mac;
            if is_it && (!claim.is_probe || kept.is_contested(now)) {
                let claimed = kept.claim(claim.mac, now);
                each(kept.key, claimed, &announcement);
            }
        }
    }

    /// Where an address has its place, if there is any, and whether it has just got it.
    fn place(&mut self, key: u32, prepared: &Prepared, now: Nanos) -> (Option<usize>, bool) {
        if let Some(index) = self.0.iter().position(|kept| kept.key == key) {
            // On another interface it is another one to listen for.
            return (Some(index), self.0[index].prepared.ip != prepared.ip);
        }
        if self.0.len() == MOST {
            return (None, false);
        }
        self.0.push(Kept::new(key, prepared, now));
        (Some(self.0.len() - 1), true)
    }
}

#[cfg(test)]
mod tests;
