//! A machine: power, clocks, the kernel's slots, and the daemon.

use std::collections::VecDeque;

use hb_ebpf::liveness::Liveness;
use hb_ebpf::{Heard, Incarnation, Nanos};

use super::cloud::Keeper;
use super::control::Control;
use super::network::LINKS;
use super::plan::{GROUPS, NODES, Plan};
use super::pulse::{News, Order, Pulse};
use super::scripts::Job;
use super::world::Happening;

/// How often a thing is asked for that may be asked for several times at once.
pub(super) type Count = u32;

pub(super) struct Host {
    pub(super) index: usize,
    /// What its monotonic clock shows when the world's shows 0: no two hosts' are alike.
    epoch: u64,
    /// Unix time, in seconds, which may jump.
    pub(super) wall: i64,
    last_incarnation: u32,
    lives: u64,
    /// The version of its configuration files.
    pub(super) config: usize,
    pub(super) life: Option<Life>,
    pub(super) freezes: Count,
    pub(super) machine_freezes: Count,
    pub(super) frozen_since: Nanos,
    /// Its daemon is becoming another process.
    pub(super) is_away: bool,
    pub(super) slow: Count,
    pub(super) bad_scripts: Count,
    pub(super) boots_when_off: bool,
    /// What is held up by a freeze.
    pub(super) deferred: Vec<Happening>,
    pub(super) jobs: [Option<Job>; GROUPS],
}

/// One life of the daemon: what a restart forgets.
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) incarnation: Incarnation,
    pub(super) began: Nanos,
    slots: Vec<[Liveness; LINKS]>,
    pub(super) pulse: Pulse,
    pub(super) control: Control,
    pub(super) keeper: Keeper,
    pub(super) news: VecDeque<News>,
    pub(super) is_rung: bool,
    /// From when on the thread can see each.
    pub(super) orders: VecDeque<(Nanos, Order)>,
    pub(super) ticket: u64,
}

impl Host {
    pub(super) fn new(index: usize, epoch: u64) -> Self {
        Self {
            index,
            epoch,
            wall: 1_700_000_000,
            last_incarnation: 0,
            lives: 0,
            config: 0,
            life: None,
            freezes: 0,
            machine_freezes: 0,
            frozen_since: Nanos(0),
            is_away: false,
            slow: 0,
            bad_scripts: 0,
            boots_when_off: false,
            deferred: Vec::new(),
            jobs: [None; GROUPS],
        }
    }

    /// Its clock.
    pub(super) fn clock(&self, now: Nanos) -> Nanos {
        Nanos(now.0 + self.epoch)
    }

    /// When its clock shows this time.
    pub(super) fn world(&self, clock: Nanos) -> Nanos {
        Nanos(clock.0.saturating_sub(self.epoch))
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.freezes > 0 || self.is_away
    }

    /// Which life it lives, if any.
    pub(super) fn number(&self) -> Option<u64> {
        self.life.as_ref().map(|life| life.number)
    }

    pub(super) fn boot(&mut self, plan: &Plan, random: u64, now: Nanos) {
        self.lives += 1;
        // As hb-user/src/incarnation.rs has it.
        let clock = u32::try_from(self.wall + i64::try_from(now.0 / 1_000_000_000).unwrap_or(0)).unwrap_or(1);
        self.last_incarnation = clock.max(self.last_incarnation + 1);
        let incarnation = Incarnation(u64::from(self.last_incarnation) << 16 | (random & 0xffff).max(1));
        let clock = self.clock(now);
        let settings = plan.settings(self.index, self.config);
        let digest = plan.configs[self.config].digest;
        let control = Control::new(settings.clone(), self.config, digest, clock);
        self.life = Some(Life {
            number: self.lives,
            incarnation,
            began: now,
            slots: (0..plan.nodes).map(|_| Default::default()).collect(),
            pulse: Pulse::new(&settings, incarnation, digest, control.node.advert(), plan.pings, clock),
            control,
            keeper: Keeper::new(clock, plan.cloud.is_some()),
            news: VecDeque::new(),
            is_rung: false,
            orders: VecDeque::new(),
            ticket: 0,
        });
    }

    /// Its own lease, as its pulse thread knows it; when it ends by the world's clock.
    pub(super) fn lease_ends(&self, now: Nanos) -> Nanos {
        let clock = self.clock(now);
        self.life
            .as_ref()
            .map_or(Nanos(0), |life| self.world(life.pulse.lease.until(clock)))
    }
}

/// What the kernel makes of a beat.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Admission {
    /// The newest of all links, so that it counts.
    pub(super) is_newest: bool,
    /// It says something new: the thread is woken.
    pub(super) wakes: bool,
}

impl Life {
    /// The kernel admits what is newer than the newest of this link.
    pub(super) fn admit(&mut self, from: usize, link: usize, beat: &Heard, clock: Nanos) -> Option<Admission> {
        let number = |heard: &Heard| (heard.incarnation, heard.sequence);
        let slots = &mut self.slots[from];
        let is_newest = slots.iter().all(|slot| number(slot.newest()) < number(beat));
        let slot = &mut slots[link];
        if number(slot.newest()) >= number(beat) {
            return None;
        }
        let difference = slot.record(&Heard { seen: clock, ..*beat });
        Some(Admission {
            is_newest,
            wakes: difference.is_any(),
        })
    }

    /// Goes on in another process, whose kernel has forgotten what it heard if nothing was pinned.
    pub(super) fn go_on(&mut self, is_pinned: bool, clock: Nanos) -> bool {
        if !is_pinned {
            self.slots.iter_mut().for_each(|links| *links = Default::default());
        }
        self.pulse.go_on(clock)
    }

    pub(super) fn round(&mut self, now: Nanos, clock: Nanos, out: &mut Vec<super::pulse::Output>) {
        let ready = self.orders.iter().take_while(|(at, _)| *at <= now).count();
        let orders = self.orders.drain(..ready).map(|(_, order)| order);
        self.pulse.round(clock, orders, &self.slots, out);
        self.ticket += 1;
    }
}

/// Of each pair of nodes something.
pub(super) type Pairs<T> = [[T; NODES]; NODES];
