//! What is known of each address: where it goes, whether it is here, and what became of it.

use std::collections::HashMap;

use hb_ebpf::Nanos;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::interface::Interface;
use super::order::{Hush, Unsent, Upkeep};
use super::{Plan, Ready};
use crate::config::{Address, Addresses, ConflictPolicy};

/// As long as nothing is heard of another machine that used an address, it is thought to use it still.
const FRESH: Nanos = Nanos::from_millis(30_000);
/// Somebody who uses an address is told of in the log when it is another, or after so long.
const TOLD: Nanos = Nanos::from_millis(60_000);

/// An address that was added, and where. It is to be removed from there and nowhere else.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Held {
    /// As haresources has it.
    pub address: Address,
    /// Where it was added.
    pub plan: Plan,
}

/// How an address that this node may have stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// As haresources has it.
    pub address: Address,
    /// The interface that it is on, or would be put on.
    pub interface: Option<String>,
    /// Whether this node has added it.
    pub is_held: bool,
    /// What was found.
    pub findings: Findings,
    /// The other machine that uses it, too, as far as is known now.
    pub twin: Option<Twin>,
    /// Whether nothing is said of it now.
    pub quiet: Option<Quiet>,
}

/// What was found about an address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// What came of the last question whether somebody else has it.
    pub probe: Probe,
    /// How often it was missing, and was put back.
    pub repairs: u64,
    /// When that happened last.
    pub repaired: Option<Nanos>,
    /// Why it is not here although it should be.
    pub missing: Option<String>,
    /// How often another machine was heard that uses it, too: at most so often as that is told.
    pub conflicts: u64,
    /// How many of its announcements were not sent since it came, as of the last check.
    pub unsent: u64,
    /// Why the last one was not, if it was not.
    pub unsent_why: Option<&'static str>,
}

/// Nothing is said of an address, since this host was frozen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quiet {
    /// Since when.
    pub since: Nanos,
    /// Whether that has been so for longer than one time of being frozen makes it: it is frozen again and again.
    pub is_long: bool,
}

/// What came of a question whether somebody else has an address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Probe {
    /// Nobody was asked.
    #[default]
    None,
    /// Fencing had made it needless.
    Needless,
    /// An answer may still come.
    Waiting,
    /// Nobody answered.
    Free,
    /// Somebody did.
    Taken,
    /// Nobody could be asked, or nobody be heard: that is not known.
    Unknown,
}

impl Probe {
    /// As the status has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Needless => "needless",
            Self::Waiting => "waiting",
            Self::Free => "free",
            Self::Taken => "taken",
            Self::Unknown => "unknown",
        }
    }
}

/// Another machine that uses an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Twin {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// When it was heard last.
    pub at: Nanos,
}

impl Twin {
    /// Its Ethernet address, as people write it.
    #[must_use]
    pub fn shown(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) settings: Addresses,
    /// After so long a silence of this node's others take over.
    pub(super) deadtime: Nanos,
    /// Nothing is to be touched.
    pub(super) is_resting: bool,
    /// The first and the last time that this host was frozen without an end of the silence between them.
    frozen: Option<(Hush, Hush)>,
    entries: HashMap<Address, Entry>,
    next_key: u32,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    /// By which the thread knows it.
    pub(super) key: u32,
    pub(super) ready: Option<Ready>,
    /// Where it was added.
    pub(super) used: Option<Plan>,
    /// When it came: that ends a silence.
    pub(super) came: Nanos,
    /// The last order about it was to remove it, whether that is done or not.
    pub(super) is_going: bool,
    /// The interface as it was when it was added there, or checked.
    pub(super) seen: Option<Interface>,
    pub(super) findings: Findings,
    pub(super) twin: Option<Twin>,
    /// Who asked for it while we did.
    pub(super) rival: Option<Twin>,
    /// Who was heard, and of whom it is not known yet whether it is this host itself.
    unjudged: Vec<Twin>,
    told: Option<Twin>,
}

/// What is known of others that have an address, or want it, as far as they were heard from some moment on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Others {
    /// One uses it.
    Use(Twin),
    /// One asks for it, as who is about to take it.
    Want(Twin),
    /// One was heard that may be this host itself.
    Unjudged(Twin),
    Nobody,
}

impl Book {
    /// What is known of an address; nothing yet, if it is new.
    pub(super) fn entry(&mut self, address: &Address) -> &mut Entry {
        if !self.entries.contains_key(address) {
            self.next_key = self.next_key.wrapping_add(1);
            let entry = Entry {
                key: self.next_key,
                ..Entry::default()
            };
            self.entries.insert(address.clone(), entry);
        }
        self.entries.entry(address.clone()).or_default()
    }

    /// The addresses that are here.
    pub(super) fn used(&self) -> Vec<Held> {
        let used = self.entries.iter().filter_map(|(address, entry)| {
            Some(Held {
                address: address.clone(),
                plan: entry.used.clone()?,
            })
        });
        used.collect()
    }

    /// Forgets what is neither named any more nor here.
    pub(super) fn retain(&mut self, named: &[Address]) {
        self.entries
            .retain(|address, entry| entry.used.is_some() || named.contains(address));
    }

    pub(super) fn upkeep(&self) -> Upkeep {
        Upkeep {
            refresh: Nanos(u64::try_from(self.settings.refresh.as_nanos()).unwrap_or(u64::MAX)),
            listens: self.settings.conflict != ConflictPolicy::Ignore,
            deadtime: self.deadtime,
        }
    }

    /// An answer to the question whether somebody else has an address may come from now on.
    pub(super) fn ask(&mut self, address: &Address) {
        self.entry(address).findings.probe = Probe::Waiting;
    }

    /// Nobody needs to be asked.
    pub(super) fn ask_nobody(&mut self, address: &Address) {
        self.entry(address).findings.probe = Probe::Needless;
    }

    /// Nobody could be asked, or nobody be heard.
    pub(super) fn give_up(&mut self, address: &Address) {
        self.entry(address).findings.probe = Probe::Unknown;
    }

    /// The time for answers is over. Says what came from some moment on: unless that may be this host itself, it is the answer.
    pub(super) fn settle(&mut self, address: &Address, since: Nanos) -> Others {
        let entry = self.entry(address);
        let others = entry.others(since);
        match others {
            Others::Nobody => entry.findings.probe = Probe::Free,
            Others::Use(_) | Others::Want(_) => entry.findings.probe = Probe::Taken,
            Others::Unjudged(_) => {}
        }
        others
    }

    /// Somebody was heard, and it takes a while to find out whether it is this host itself.
    pub(super) fn suspect(&mut self, key: u32, who: Twin) {
        if let Some(entry) = self.entries.values_mut().find(|entry| entry.key == key) {
            entry.unjudged.push(who);
        }
    }

    /// It is found out.
    pub(super) fn judge(&mut self, key: u32, who: Twin) {
        if let Some(entry) = self.entries.values_mut().find(|entry| entry.key == key) {
            let place = entry.unjudged.iter().position(|it| *it == who);
            place.map(|place| entry.unjudged.swap_remove(place));
        }
    }

    /// Another machine uses an address. It is told of, if that is news.
    pub(super) fn claim(&mut self, key: u32, twin: Twin) -> Option<(&Address, &Entry)> {
        let (address, entry) = self.entries.iter_mut().find(|(_, entry)| entry.key == key)?;
        entry.twin = Some(twin);
        entry.findings.conflicts += 1;
        entry.findings.probe = Probe::Taken;
        let is_news = entry
            .told
            .is_none_or(|told| told.mac != twin.mac || twin.at.since(told.at) >= TOLD);
        if is_news {
            entry.told = Some(twin);
        }
        is_news.then_some((address, &*entry))
    }

    /// Another machine asks for an address as we do, and is about to take it. It does not use it: that is no conflict yet.
    pub(super) fn contest(&mut self, key: u32, rival: Twin) -> Option<&Address> {
        let (address, entry) = self.entries.iter_mut().find(|(_, entry)| entry.key == key)?;
        entry.rival = Some(rival);
        if entry.findings.probe == Probe::Waiting {
            entry.findings.probe = Probe::Taken;
        }
        Some(address)
    }

    /// This host was frozen, and says nothing for a while. True where that is news, since it was not quiet before.
    pub(super) fn hush(&mut self, hush: Hush) -> bool {
        let first = self.frozen.filter(|(_, last)| hush.at <= last.until);
        self.frozen = Some((first.map_or(hush, |(first, _)| first), hush));
        first.is_none()
    }

    /// What of an address's announcements was not sent. True where that is news: none was refused before, or one was.
    pub(super) fn announced(&mut self, address: &Address, unsent: Unsent) -> bool {
        let findings = &mut self.entry(address).findings;
        let before = std::mem::replace(&mut findings.unsent_why, unsent.last.map(Errno::desc));
        findings.unsent = unsent.count;
        before.is_some() != unsent.last.is_some()
    }

    fn quiet(&self, entry: &Entry, now: Nanos) -> Option<Quiet> {
        let (first, last) = self.frozen.filter(|(_, last)| now < last.until)?;
        let is_quiet = entry.used.is_some() && entry.came <= last.at;
        is_quiet.then_some(Quiet {
            since: first.at.max(entry.came),
            is_long: now >= first.until.max(entry.came),
        })
    }

    /// How all stand, in the order of their addresses.
    pub(super) fn standings(&self, now: Nanos) -> Vec<Standing> {
        let fresh = self.settings.check.saturating_mul(3).as_nanos();
        let fresh = Nanos(u64::try_from(fresh).unwrap_or(u64::MAX)).max(FRESH);
        let mut all: Vec<Standing> = self
            .entries
            .iter()
            .map(|(address, entry)| Standing {
                address: address.clone(),
                interface: entry.place().map(|plan| plan.interface.clone()),
                is_held: entry.used.is_some(),
                findings: entry.findings.clone(),
                twin: entry.twin.filter(|twin| now.since(twin.at) <= fresh),
                quiet: self.quiet(entry, now),
            })
            .collect();
        all.sort_by(|a, b| (a.address.ip, &a.interface).cmp(&(b.address.ip, &b.interface)));
        all
    }
}

impl Entry {
    /// Who was heard from some moment on: whoever uses it comes first.
    pub(super) fn others(&self, since: Nanos) -> Others {
        let unjudged = self.unjudged.iter().copied().find(|twin| twin.at >= since);
        let heard = [
            self.twin.map(|twin| (twin, Others::Use(twin))),
            self.rival.map(|twin| (twin, Others::Want(twin))),
            unjudged.map(|twin| (twin, Others::Unjudged(twin))),
        ];
        let mut heard = heard.into_iter().flatten().filter(|(twin, _)| twin.at >= since);
        heard.next().map_or(Others::Nobody, |(_, others)| others)
    }

    fn place(&self) -> Option<&Plan> {
        self.used.as_ref().or(self.ready.as_ref().map(|ready| &ready.plan))
    }
}

#[cfg(test)]
mod tests;
