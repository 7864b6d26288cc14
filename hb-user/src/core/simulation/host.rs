//! What surrounds the core on a machine: the kernel's slots and the pulse thread.

use hb_ebpf::beat::Echo;
use hb_ebpf::{Heard, Incarnation, Nanos, Sequence};

use super::{INTERVAL, LINKS, TIMING};
use crate::core::{Action, Advert, Change, Detector, Event, GroupState, Node, Settings, Wake, status_of};

/// What a host does to the world.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// The thread sleeps, unless something wakes it before: then the ticket is void.
    Sleep {
        until: Nanos,
        ticket: u64,
    },
    Send(Heard),
    Saw(Sight),
    Do(Action),
    /// The daemon has ended.
    Gone,
}

/// What a detector found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sight {
    Up { hears_us: bool },
    Dead,
    Graced,
}

pub(super) struct Host {
    settings: Settings,
    lives: u64,
    life: Option<Life>,
    /// How many freezes there are, and whether the kernel listens meanwhile.
    freezes: u32,
    listens: bool,
    boots_when_off: bool,
    tickets: u64,
}

/// One life of the daemon: what a restart forgets.
struct Life {
    incarnation: Incarnation,
    slots: [Option<Heard>; LINKS],
    detector: Detector,
    node: Node,
    advert: Advert,
    sequence: Sequence,
    next_beat: Nanos,
    planned: Nanos,
    /// What the peer should confirm before we go, and until when we wait.
    farewell: Option<(u32, Nanos)>,
}

impl Host {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            lives: 0,
            life: None,
            freezes: 0,
            listens: false,
            boots_when_off: false,
            tickets: 0,
        }
    }

    /// Which life it lives, if it is on.
    pub(super) fn life(&self) -> Option<u64> {
        self.life.as_ref().map(|life| life.incarnation.0)
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.freezes > 0
    }

    pub(super) fn state(&self, group: usize) -> GroupState {
        let view = self.life.as_ref().and_then(|life| life.node.group(group));
        view.map_or(GroupState::Released, |view| view.state)
    }

    pub(super) fn boot(&mut self, now: Nanos) -> Vec<Effect> {
        if let Some(life) = &self.life {
            // A service manager starts a daemon again once it has ended.
            self.boots_when_off = life.node.advert().status == hb_ebpf::beat::Status::Leaving;
            return Vec::new();
        }
        self.lives += 1;
        // Unlike in more than the low bits, as the real ones.
        let incarnation = Incarnation((self.lives << 32) | (self.lives * 2 + self.settings.me as u64));
        let node = Node::new(self.settings.clone(), now);
        self.life = Some(Life {
            incarnation,
            slots: [None; LINKS],
            detector: Detector::new(TIMING, incarnation, now),
            advert: node.advert(),
            node,
            sequence: Sequence(0),
            next_beat: now,
            planned: now,
            farewell: None,
        });
        self.wake_up(now)
    }

    pub(super) fn crash(&mut self) {
        self.life = None;
        self.boots_when_off = false;
    }

    pub(super) fn freeze(&mut self, listens: bool) {
        self.freezes += 1;
        self.listens = listens;
    }

    pub(super) fn thaw(&mut self, now: Nanos) -> Vec<Effect> {
        self.freezes -= 1;
        let is_due = self.life.as_ref().is_some_and(|life| life.planned <= now);
        if is_due { self.wake_up(now) } else { Vec::new() }
    }

    /// The kernel admits a beat of a link: only what is newer counts. If it says something else than the one before,
    /// the thread is woken.
    pub(super) fn hear(&mut self, link: usize, beat: Heard, now: Nanos) -> Vec<Effect> {
        if self.is_frozen() && !self.listens {
            return Vec::new();
        }
        let Some(life) = &mut self.life else { return Vec::new() };
        let slot = &mut life.slots[link];
        let number = |heard: &Heard| (heard.incarnation, heard.sequence);
        if slot.is_some_and(|before| number(&before) >= number(&beat)) {
            return Vec::new();
        }
        let said = |heard: &Heard| (heard.incarnation, heard.flags, heard.groups.0, heard.echo.incarnation);
        let is_news = slot.is_none_or(|before| said(&before) != said(&beat));
        *slot = Some(Heard { seen: now, ..beat });
        if is_news { self.wake_up(now) } else { Vec::new() }
    }

    pub(super) fn wake(&mut self, ticket: u64, now: Nanos) -> Vec<Effect> {
        if ticket == self.tickets {
            self.wake_up(now)
        } else {
            Vec::new()
        }
    }

    /// The controller learns something that is not about peers.
    pub(super) fn tell(&mut self, event: Event, now: Nanos) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(life) = &mut self.life {
            life.tell(event, now, &mut effects);
        }
        effects.extend(self.sleep(now));
        effects
    }

    /// One round of the pulse thread.
    fn wake_up(&mut self, now: Nanos) -> Vec<Effect> {
        if self.is_frozen() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        if let Some(life) = &mut self.life {
            life.look(self.settings.me, now, &mut effects);
            if now >= life.next_beat {
                life.send(now, &mut effects);
            }
        }
        effects.extend(self.sleep(now));
        effects
    }

    /// Ends the daemon, or says when the thread has to wake.
    fn sleep(&mut self, now: Nanos) -> Vec<Effect> {
        let Some(life) = &mut self.life else { return Vec::new() };
        if life.is_over(now) {
            self.life = None;
            let mut effects = vec![Effect::Gone];
            if std::mem::take(&mut self.boots_when_off) {
                effects.extend(self.boot(now));
            }
            return effects;
        }
        let until = life.farewell.map_or(Nanos::MAX, |(_, until)| until);
        life.planned = life.next_beat.min(life.detector.deadline()).min(until);
        self.tickets += 1;
        let ticket = self.tickets;
        vec![Effect::Sleep {
            until: life.planned,
            ticket,
        }]
    }
}

impl Life {
    fn look(&mut self, me: usize, now: Nanos, effects: &mut Vec<Effect>) {
        let wake = Wake {
            now,
            planned: self.planned,
            sent: self.sequence.low(),
        };
        let findings = self.detector.look(self.slots.iter().filter_map(|slot| *slot), wake);
        if findings.graced.is_some() {
            effects.push(Effect::Saw(Sight::Graced));
        }
        let node = 1 - me;
        match findings.change {
            Some(Change::Up(heard)) => {
                let hears_us = self.detector.hears_us(now);
                effects.push(Effect::Saw(Sight::Up { hears_us }));
                let (status, groups) = (status_of(&heard), heard.groups);
                self.tell(
                    Event::PeerUp {
                        node,
                        status,
                        groups,
                        hears_us,
                    },
                    now,
                    effects,
                );
            }
            Some(Change::Dead(_)) => {
                effects.push(Effect::Saw(Sight::Dead));
                self.tell(Event::PeerDead { node }, now, effects);
            }
            None => {}
        }
    }

    fn tell(&mut self, event: Event, now: Nanos, effects: &mut Vec<Effect>) {
        for action in self.node.handle(event, now) {
            effects.push(Effect::Do(action));
            match action {
                Action::Advertise(advert) => {
                    self.advert = advert;
                    self.send(now, effects);
                }
                Action::Left => {
                    self.send(now, effects);
                    self.farewell = Some((self.sequence.low(), now.saturating_add(TIMING.deadtime)));
                }
                Action::Acquire { .. } | Action::Release { .. } => {}
            }
        }
    }

    fn send(&mut self, now: Nanos, effects: &mut Vec<Effect>) {
        self.sequence.0 += 1;
        self.next_beat = now.saturating_add(INTERVAL);
        let echo = self.detector.newest().map_or_else(Echo::default, |heard| Echo {
            incarnation: heard.incarnation.low(),
            sequence: heard.sequence.low(),
        });
        effects.push(Effect::Send(Heard {
            seen: now,
            incarnation: self.incarnation,
            sequence: self.sequence,
            echo,
            groups: self.advert.groups,
            flags: self.advert.status as u32,
            ..Heard::default()
        }));
    }

    fn is_over(&self, now: Nanos) -> bool {
        self.farewell.is_some_and(|(sequence, until)| {
            now >= until || !self.detector.is_up() || self.detector.has_confirmed(sequence)
        })
    }
}
