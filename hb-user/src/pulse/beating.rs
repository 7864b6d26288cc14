//! What the thread knows and does: one round of it is [`Beating::sleep`], [`Beating::look`] and [`Beating::send`].

mod restart;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use hb_ebpf::beat::{Beat, Flags, Status};
use hb_ebpf::{Heard, Liveness, Nanos, NodeId, Sequence};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::socket::Route;
use super::tenure::Tenure;
use super::thread::Mailbox;
use super::wake::{Alarm, Bell};
use super::{Means, News, Peer, Settings, Sockets, Stats};
use crate::clock::{self, Suspended};
use crate::core::{Advert, Change, Detector, Differs, Echoed, Outbox, Wake, Witnessed, hush};
use crate::datapath::Watches;

use restart::Promise;
pub use restart::Snapshot;

/// The farewell: what the peers should confirm, and until when it is repeated.
#[derive(Clone, Copy)]
struct Farewell {
    sequence: u32,
    until: Nanos,
}

#[derive(Debug)]
struct Watched {
    node: NodeId,
    detector: Detector,
    routes: Vec<Route>,
    slots: Vec<u32>,
    /// What the controller knows of the peer's echo.
    told: Echoed,
    /// News that did not fit the queue.
    untold: Option<News>,
}

impl Watched {
    fn new(peer: &Peer, settings: &Settings, sockets: &Sockets, now: Nanos) -> io::Result<Self> {
        let routes = peer
            .links
            .iter()
            .map(|link| sockets.route(&link.interface, link.address));
        Ok(Self {
            node: peer.node,
            detector: Detector::new(settings.timing, settings.incarnation, now),
            routes: routes
                .collect::<Option<_>>()
                .ok_or_else(|| io::Error::other("a link has no socket"))?,
            slots: peer.links.iter().map(|link| link.slot).collect(),
            told: Echoed::default(),
            untold: None,
        })
    }

    /// Whether the peer is leaving, or has left: then it takes nothing over, and may not be there to confirm anything.
    fn is_leaving(&self) -> bool {
        self.detector
            .newest()
            .is_some_and(|heard| heard.status() == Status::Leaving)
    }

    /// What the peer's newest beat tells of ours.
    fn echoed(&self, outbox: &Outbox, now: Nanos) -> Echoed {
        let confirmed = self.detector.confirmed();
        Echoed {
            hears_us: self.detector.hears_us(now),
            confirmed: confirmed.map_or(0, |sequence| outbox.edition(sequence)),
            heard_us: confirmed
                .and_then(|sequence| outbox.sent_at(sequence))
                .unwrap_or(self.told.heard_us),
        }
    }

    /// The peer's newest beat, if it is worth telling for what it echoes alone: the advert that we wait for, or, while we
    /// want something, how fresh its word is.
    fn tell_echo(&mut self, echoed: Echoed, wants: bool) -> Option<Heard> {
        let is_due = echoed.confirmed != self.told.confirmed || wants && echoed.heard_us != self.told.heard_us;
        if is_due && self.detector.is_up() {
            self.detector.tell_again()
        } else {
            None
        }
    }
}

pub(super) struct Beating {
    settings: Settings,
    means: Means,
    stats: Arc<Stats>,
    alarm: Alarm,
    peers: Vec<Watched>,
    advert: Advert,
    outbox: Outbox,
    sequence: Sequence,
    next_beat: Nanos,
    /// Flips with each answer, so that the receiver is woken.
    answer: bool,
    /// Until when we say nothing, having been frozen; and how late we woke, until the controller is told.
    hush: Nanos,
    woke: Option<Nanos>,
    /// How long the machine had been suspended when we woke last.
    suspended: Suspended,
    resumed: Nanos,
    tenure: Tenure,
    /// How many ping nodes the controller knows to answer.
    reached: Option<u8>,
    /// The progress of the controller that the watchdog was fed for, and why it refuses.
    fed: u64,
    hungry: Option<Errno>,
    farewell: Option<Farewell>,
    /// What our beats promise while we are about to restart, and whether we have stopped for that.
    promise: Option<Promise>,
    is_suspended: bool,
    last_beat: Nanos,
    /// Why the kernel refuses beats, and what the controller was told of it.
    refusal: Option<Errno>,
    told_refusal: Option<Errno>,
}

impl Beating {
    pub(super) fn new(settings: Settings, means: Means, stats: Arc<Stats>, now: Nanos) -> io::Result<Self> {
        let peers = watch(&settings, &means.sockets, now)?;
        let advert = settings.advert;
        let alarm = Alarm::new()?;
        Ok(Self {
            settings,
            means,
            stats,
            alarm,
            peers,
            advert,
            outbox: Outbox::default(),
            sequence: Sequence(0),
            next_beat: now,
            answer: false,
            hush: Nanos(0),
            woke: None,
            suspended: Suspended::so_far(),
            resumed: Nanos(0),
            tenure: Tenure::default(),
            reached: None,
            fed: 0,
            hungry: None,
            farewell: None,
            promise: None,
            is_suspended: false,
            last_beat: now,
            refusal: None,
            told_refusal: None,
        })
    }

    /// The earliest of the next beat, the next deadline and the end of the lease.
    pub(super) fn next(&self, now: Nanos) -> Nanos {
        if self.is_suspended {
            return Nanos::MAX;
        }
        let deadlines = self.peers.iter().map(|peer| peer.detector.deadline());
        let until = self.farewell.map_or(Nanos::MAX, |farewell| farewell.until);
        let lease = if self.tenure.is_held() {
            self.settings.lease.until(now)
        } else {
            Nanos::MAX
        };
        let confirmed = self.promise.as_ref().map_or(Nanos::MAX, Promise::deadline);
        deadlines.fold(self.next_beat.min(until).min(lease).min(confirmed), Nanos::min)
    }

    /// Who was frozen for longer than a deadtime listens first: others may have taken over, and it would only confuse them
    /// with what was.
    pub(super) fn notice_freeze(&mut self, wake: Wake) {
        let deadtime = self.settings.timing.deadtime;
        // While the machine is suspended our clock stands still, and everybody else's does not.
        let missed = self.suspended.missed();
        if missed > Nanos(0) {
            self.resumed = wake.now;
            self.outbox.age(missed);
            self.settings.lease.age(missed);
            for peer in &mut self.peers {
                peer.detector.resume(missed, wake.now);
            }
        }
        if wake.was_frozen(deadtime, self.settings.interval.saturating_add(missed)) && !self.peers.is_empty() {
            self.hush = wake.now.saturating_add(hush(deadtime, self.settings.interval));
            self.woke = Some(wake.lateness().saturating_add(missed));
        }
    }

    /// Sleeps until `planned`, an event or an order.
    pub(super) fn sleep(&self, planned: Nanos, orders: &Bell) -> Wake {
        // It cannot fail with what we pass; should it, it is set again in the next round.
        if planned != self.stats.planned() && self.alarm.set(planned).is_ok() {
            self.stats.plan(planned);
        }
        let mut fds = [
            PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.means.events.as_fd(), PollFlags::POLLIN),
            PollFd::new(orders.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
        let now = clock::now();
        // Before the orders are read: what it rings for from here on wakes us again.
        if fds[2].any() == Some(true) {
            orders.silence();
        }
        let wake = Wake {
            now,
            planned,
            sent: self.sequence.low(),
            alone: self.is_alone(now),
        };
        self.stats.count_wake(wake.now, planned);
        wake
    }

    /// Whether of several peers that were up not one has been heard for half a deadtime, by what the kernel heard until now.
    fn is_alone(&self, now: Nanos) -> bool {
        let half = Nanos(self.settings.timing.deadtime.0 / 2);
        let up = self.peers.iter().filter(|peer| peer.detector.is_up());
        let was_heard = |slot: &u32| {
            let heard = self.means.liveness.get(*slot).and_then(Liveness::heard);
            heard.is_some_and(|heard| now.since(heard.seen) < half)
        };
        up.clone().count() > 1 && !up.clone().any(|peer| peer.slots.iter().any(was_heard))
    }

    /// Events only wake: what they are about is in the map.
    pub(super) fn drain_events(&mut self) {
        while self.means.events.next().is_some() {}
    }

    pub(super) fn advertise(&mut self, advert: Advert, now: Nanos) {
        self.advert = advert;
        self.send(now);
    }

    pub(super) fn take_in(&mut self, node: NodeId, sequence: Sequence, now: Nanos) {
        let peer = self.peers.iter_mut().find(|peer| peer.node == node);
        let is_news = peer.is_some_and(|peer| peer.detector.take_in(sequence));
        if is_news {
            self.answer = !self.answer;
            self.send(now);
        }
    }

    pub(super) fn farewell(&mut self, now: Nanos) {
        // Who goes says so, even if it has just been frozen: the others would wait for its deadline.
        self.hush = Nanos(0);
        self.send(now);
        let until = now.saturating_add(self.settings.timing.deadtime);
        self.farewell = Some(Farewell {
            sequence: self.sequence.low(),
            until,
        });
    }

    pub(super) fn is_farewell_over(&self, now: Nanos) -> bool {
        let Some(farewell) = self.farewell else { return false };
        let needs_no_more = |peer: &Watched| {
            !peer.detector.is_up() || peer.is_leaving() || peer.detector.has_confirmed(farewell.sequence)
        };
        now >= farewell.until || self.peers.iter().all(needs_no_more)
    }

    /// Asks every detector what it makes of its links.
    pub(super) fn look(&mut self, wake: Wake, mailbox: &mut Mailbox) {
        if self.refusal != self.told_refusal && mailbox.tell(News::Sending { error: self.refusal }) {
            self.told_refusal = self.refusal;
        }
        if let Some(late) = self.woke
            && mailbox.tell(News::Woke { late })
        {
            self.woke = None;
        }
        if let Some(error) = self.hungry
            && mailbox.tell(News::Watchdog { error })
        {
            self.hungry = None;
        }
        // By what was known before this look: what is heard now cannot undo that the lease was over.
        self.tenure.end(self.settings.lease.until(wake.now), wake.now);
        let (wants, is_idle) = (self.advert.wants(), self.advert.is_idle());
        let liveness = &self.means.liveness;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let links = peer.slots.iter().filter_map(|slot| liveness.get(*slot)?.heard());
            let number = self.settings.peers[index].index;
            let witnessed = self
                .means
                .watches
                .as_ref()
                .and_then(|watches| witnessed(watches, number));
            let findings = peer.detector.look(links, witnessed, wake);
            if let Some(gap) = findings.late_beat {
                mailbox.tell(News::LateBeat { node: peer.node, gap });
            }
            if let Some(why) = findings.graced {
                self.stats.count_grace();
                mailbox.tell(News::Graced { node: peer.node, why });
            }
            let echoed = peer.echoed(&self.outbox, wake.now);
            let supports = peer
                .detector
                .newest()
                .filter(|_| peer.detector.is_up())
                .is_some_and(|heard| {
                    Differs::between(self.settings.digest, heard.digest).supports(heard.present, self.settings.index)
                });
            let stretch = peer.detector.stretch();
            let holds = peer.detector.confirmed();
            let holds = holds.and_then(|sequence| self.outbox.holds(sequence, stretch));
            self.settings
                .lease
                .hear(number, holds, stretch, supports, is_idle, wake.now);

            let (id, had) = (peer.node, peer.detector.had());
            let change = match findings.change {
                Some(Change::Up(heard)) => Some(News::Up {
                    node: id,
                    heard,
                    had,
                    echoed,
                }),
                Some(Change::Dead(silence)) => Some(News::Dead { node: id, silence }),
                None => peer.tell_echo(echoed, wants).map(|heard| News::Up {
                    node: id,
                    heard,
                    had,
                    echoed,
                }),
            };
            peer.told = echoed;
            // The newest state replaces an older one that was never told.
            let untold = peer.untold.take();
            if let Some(news) = change.or(untold) {
                peer.untold = if mailbox.tell(news) { None } else { Some(news) };
            }
        }
        self.look_at_pings(wake.now, mailbox);
        let until = self.settings.lease.until(wake.now);
        self.tenure
            .tell(until, wake.now, |held| mailbox.tell(News::Lease { held }));
    }

    /// As many ping nodes have to answer as the peer reached when it was heard last.
    fn look_at_pings(&mut self, now: Nanos, mailbox: &mut Mailbox) {
        let Some(pings) = &self.settings.pings else { return };
        // Who has left reaches none any more.
        let staying = self.peers.iter().filter(|peer| !peer.is_leaving());
        let theirs = staying
            .filter_map(|peer| peer.detector.newest())
            .map(Heard::pings)
            .max();
        let needed = usize::from(theirs.unwrap_or(0)).clamp(1, pings.targets.max(1));
        // What was sent before a suspension is older than our clock says.
        let answered = pings.reach.newest(needed).filter(|sent| *sent >= self.resumed);
        self.settings.lease.ping(answered);
        let reached = pings.reach.reached(now, pings.deadping);
        if self.reached != Some(reached) && mailbox.tell(News::Pings { reached }) {
            self.reached = Some(reached);
        }
    }

    /// Feeds the watchdog when the controller has made progress since it was fed last.
    pub(super) fn feed_watchdog(&mut self) {
        let (Some(watchdog), progressed) = (&self.means.watchdog, self.stats.progressed()) else {
            return;
        };
        if progressed != self.fed {
            match watchdog.feed() {
                Ok(()) => self.fed = progressed,
                Err(error) => self.hungry = Some(error),
            }
        }
    }

    /// At the end. After a farewell what runs on was meant to, unless it is stuck; without one, the watchdog is left to
    /// bite where something would go on without us.
    pub(super) fn disarm(&mut self, is_farewell: bool) {
        let is_done = if is_farewell {
            !self.advert.is_stuck()
        } else {
            !self.advert.holds()
        };
        if is_done && let Some(watchdog) = self.means.watchdog.take() {
            // Should the device refuse, it bites: nobody is left to do anything about it.
            let _ = watchdog.disarm();
        }
    }

    pub(super) fn is_beat_due(&self, now: Nanos) -> bool {
        now >= self.next_beat
    }

    /// Goes on with other settings. Beats go on in step, and who is watched already stays watched.
    pub(super) fn reconfigure(&mut self, mut new: Reconfiguration, now: Nanos) {
        for peer in &mut new.peers {
            if let Some(old) = self.peers.iter_mut().find(|old| old.node == peer.node) {
                std::mem::swap(&mut peer.detector, &mut old.detector);
                peer.detector.set_timing(new.settings.timing);
                // No edition: what the peer says has to be told again, for it is judged anew.
                peer.told = Echoed {
                    confirmed: u32::MAX,
                    ..old.told
                };
                peer.untold = old.untold.take();
            }
        }
        let old = &self.settings;
        let from = |index: usize| {
            let id = new.settings.peers.iter().find(|peer| peer.index == index)?.node;
            old.peers.iter().find(|peer| peer.node == id).map(|peer| peer.index)
        };
        let nodes = (0..hb_ebpf::beat::MAX_NODES).map(from);
        let mut lease = new.settings.lease.clone();
        lease.inherit(&old.lease, nodes);
        self.outbox.age(lease.longer_than(&old.lease));
        if lease.depends_on_pings() && !old.lease.depends_on_pings() {
            lease.begin(now);
        }
        new.settings.lease = lease;
        self.settings = new.settings;
        self.peers = new.peers;
        self.means.sockets = new.sockets;
        self.reached = None;
        self.advertise(new.advert, now);
    }

    /// Sends one beat over each link, and plans the next.
    pub(super) fn send(&mut self, now: Nanos) {
        if now < self.hush {
            // Not in one go to the end: another freeze would not be noticed.
            self.next_beat = self.hush.min(now.saturating_add(self.settings.interval));
            return;
        }
        self.sequence.0 += 1;
        let promise_ms = self.promise(now);
        self.refusal = None;
        for (peer, watched) in self.settings.peers.iter().zip(&self.peers) {
            let beat = Beat {
                key: self.settings.key,
                source: self.settings.me,
                destination: peer.node,
                incarnation: self.settings.incarnation,
                digest: self.settings.digest,
                promise_ms,
                echo: watched.detector.echo(),
                sequence: self.sequence,
                flags: Flags {
                    status: self.advert.status,
                    maintenance: self.advert.maintenance,
                    answer: self.answer,
                    pings: self.advert.pings,
                },
                groups: self.advert.groups,
                present: self.advert.present_for(peer.index),
            };
            let bytes = self.settings.signer.sign(&beat.encode());
            for route in &watched.routes {
                match self.means.sockets.send(route, &bytes) {
                    Ok(()) => self.stats.count_sent(),
                    Err(errno) => {
                        self.refusal = Some(errno);
                        self.stats.count_send_error(errno);
                    }
                }
            }
        }
        // Kept in step with the clock, unless a beat was sent out of turn or is due already.
        let in_step = self.next_beat.saturating_add(self.settings.interval);
        let from_now = now.saturating_add(self.settings.interval);
        self.next_beat = if in_step > now && in_step < from_now {
            in_step
        } else {
            from_now
        };
    }
}

/// The silence that a peer's timer found last, without what the timer says of a peer that was never heard.
fn witnessed(watches: &Watches, number: usize) -> Option<Witnessed> {
    let found = watches.silence(u32::try_from(number).ok()?)?;
    (found.last_seen > Nanos(0)).then_some(Witnessed {
        last_seen: found.last_seen,
        deadline: found.deadline,
        found: found.found,
    })
}

/// What goes on in other settings, made ready by the controller.
#[derive(Debug)]
pub struct Reconfiguration {
    /// What to say from then on, and at once.
    pub advert: Advert,
    settings: Settings,
    sockets: Sockets,
    peers: Vec<Watched>,
}

impl Reconfiguration {
    /// Makes ready what can be made ready. Fails if a link has no socket.
    pub fn new(settings: Settings, sockets: Sockets, now: Nanos) -> io::Result<Self> {
        let peers = watch(&settings, &sockets, now)?;
        Ok(Self {
            advert: settings.advert,
            settings,
            sockets,
            peers,
        })
    }
}

fn watch(settings: &Settings, sockets: &Sockets, now: Nanos) -> io::Result<Vec<Watched>> {
    let peers = settings.peers.iter();
    peers.map(|peer| Watched::new(peer, settings, sockets, now)).collect()
}
