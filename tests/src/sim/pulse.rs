//! The pulse thread: hb-user/src/pulse/thread.rs with a virtual clock, a modelled network, and queues that are never full.

use hb_ebpf::beat::{Beat, Flags, Groups, Status};
use hb_ebpf::liveness::Liveness;
use hb_ebpf::{Heard, Incarnation, Nanos, Sequence};
use hb_user::core::{Advert, Change, Detector, Differs, Echoed, Lease, Outbox, Settings, Timing, Wake, hush};

use super::network::LINKS;
use super::plan::PINGS;
use super::{DEADTIME, INITDEAD, INTERVAL, PROMISE, WARNTIME};

const TIMING: Timing = Timing {
    deadtime: DEADTIME,
    warntime: WARNTIME,
    initdead: INITDEAD,
};

/// What the thread tells the controller.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Up {
        node: usize,
        heard: Heard,
        had: Groups,
        echoed: Echoed,
    },
    Dead {
        node: usize,
    },
    Lease {
        held: bool,
    },
    Pings {
        reached: u8,
    },
    Woke,
    Promised {
        is_confirmed: bool,
        lease: Nanos,
    },
    Gone,
}

/// What the controller tells the thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Advertise(Advert),
    TakenIn {
        node: usize,
        sequence: Sequence,
    },
    /// The configuration is another: what is said from now on, and under which digest, in one step.
    Configure {
        digest: u32,
        advert: Advert,
    },
    Farewell,
    Promise,
    Resume,
}

/// What a round did to the outside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    Beat {
        to: usize,
        beat: Heard,
    },
    Ping {
        ping: usize,
        sent: Nanos,
    },
    News(News),
    /// Not told to anybody, but the judge checks it.
    Graced,
}

struct Watched {
    node: usize,
    detector: Detector,
    told: Echoed,
}

impl Watched {
    fn is_leaving(&self) -> bool {
        self.detector
            .newest()
            .is_some_and(|heard| heard.status() == Status::Leaving)
    }

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

    fn tell_echo(&mut self, echoed: Echoed, wants: bool) -> Option<Heard> {
        let is_due = echoed.confirmed != self.told.confirmed || wants && echoed.heard_us != self.told.heard_us;
        if is_due && self.detector.is_up() {
            self.detector.tell_again()
        } else {
            None
        }
    }
}

/// What beats promise before a restart.
#[derive(Clone, Copy)]
struct Promise {
    first: u32,
    until: Option<Nanos>,
}

#[expect(clippy::struct_excessive_bools, reason = "as the thread that it models")]
pub(super) struct Pulse {
    me: usize,
    incarnation: Incarnation,
    digest: u32,
    peers: Vec<Watched>,
    pub(super) lease: Lease,
    advert: Advert,
    outbox: Outbox,
    sequence: Sequence,
    next_beat: Nanos,
    /// When the thread asked to be woken.
    pub(super) planned: Nanos,
    answer: bool,
    hush: Nanos,
    woke: bool,
    holds: bool,
    told_lease: bool,
    lapsed: bool,
    farewell: Option<(u32, Nanos)>,
    promise: Option<Promise>,
    last_beat: Nanos,
    /// Of each ping node, when the newest answered ping was sent and when the answer came.
    pings: Vec<Option<(Nanos, Nanos)>>,
    told_pings: u8,
    pub(super) is_over: bool,
}

impl Pulse {
    pub(super) fn new(
        settings: &Settings,
        incarnation: Incarnation,
        digest: u32,
        advert: Advert,
        pings: usize,
        now: Nanos,
    ) -> Self {
        let peers = (0..settings.nodes).filter(|node| *node != settings.me);
        Self {
            me: settings.me,
            incarnation,
            digest,
            peers: peers
                .map(|node| Watched {
                    node,
                    detector: Detector::new(TIMING, incarnation, now),
                    told: Echoed::default(),
                })
                .collect(),
            lease: Lease::new(settings),
            advert,
            outbox: Outbox::default(),
            sequence: Sequence(0),
            next_beat: now,
            planned: now,
            answer: false,
            hush: Nanos(0),
            woke: false,
            holds: false,
            told_lease: false,
            lapsed: false,
            farewell: None,
            promise: None,
            last_beat: now,
            pings: vec![None; pings],
            told_pings: 0,
            is_over: false,
        }
    }

    /// One round of the loop, with the orders that have come.
    pub(super) fn round(
        &mut self,
        now: Nanos,
        orders: impl Iterator<Item = Order>,
        slots: &[[Liveness; LINKS]],
        out: &mut Vec<Output>,
    ) {
        let wake = Wake {
            now,
            planned: self.planned,
            sent: self.sequence.low(),
            alone: self.is_alone(now, slots),
        };
        if wake.lateness().saturating_add(INTERVAL) > DEADTIME {
            self.hush = now.saturating_add(hush(DEADTIME, INTERVAL));
            self.woke = true;
        }
        for order in orders {
            match order {
                Order::Advertise(advert) => {
                    self.advert = advert;
                    self.send(now, out);
                }
                Order::TakenIn { node, sequence } => self.take_in(node, sequence, now, out),
                Order::Configure { digest, advert } => {
                    self.digest = digest;
                    self.advert = advert;
                    self.send(now, out);
                }
                Order::Farewell => self.say_farewell(now, out),
                Order::Promise => self.begin_promise(now, out),
                Order::Resume => self.resume(now, out),
            }
        }
        self.look(wake, slots, out);
        self.confirm_promise(now, out);
        if now >= self.next_beat {
            self.send(now, out);
        }
        if self.is_farewell_over(now) {
            out.push(Output::News(News::Gone));
            self.is_over = true;
        }
        self.planned = self.next(now);
    }

    /// As the pulse thread asks it.
    fn is_alone(&self, now: Nanos, slots: &[[Liveness; LINKS]]) -> bool {
        let up = self.peers.iter().filter(|peer| peer.detector.is_up());
        let was_heard = |liveness: &Liveness| {
            let heard = liveness.heard();
            heard.is_some_and(|heard| now.since(heard.seen) < Nanos(DEADTIME.0 / 2))
        };
        up.clone().count() > 1 && !up.clone().any(|peer| slots[peer.node].iter().any(was_heard))
    }

    pub(super) fn answered(&mut self, ping: usize, sent: Nanos, now: Nanos) {
        let known = &mut self.pings[ping];
        if known.is_none_or(|(before, _)| before < sent) {
            *known = Some((sent, now));
        }
    }

    /// The earliest of the next beat, the next deadline and the end of the lease.
    fn next(&self, now: Nanos) -> Nanos {
        let deadlines = self.peers.iter().map(|peer| peer.detector.deadline());
        let until = self.farewell.map_or(Nanos::MAX, |(_, until)| until);
        let lease = if self.holds { self.lease.until(now) } else { Nanos::MAX };
        let confirmed = self.promise.and_then(|promise| promise.until).unwrap_or(Nanos::MAX);
        deadlines.fold(self.next_beat.min(until).min(lease).min(confirmed), Nanos::min)
    }

    /// What the controller would have it say.
    pub(super) fn advertise(&mut self, digest: u32, advert: Advert) {
        self.digest = digest;
        self.advert = advert;
    }

    fn begin_promise(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.promise = Some(Promise {
            first: self.sequence.low().wrapping_add(1),
            until: Some(now.saturating_add(DEADTIME)),
        });
        self.send(now, out);
    }

    fn confirm_promise(&mut self, now: Nanos, out: &mut Vec<Output>) {
        let Some(Promise {
            first,
            until: Some(until),
        }) = self.promise
        else {
            return;
        };
        let lacks = |peer: &Watched| peer.detector.is_up() && !peer.is_leaving() && !peer.detector.has_confirmed(first);
        let is_confirmed = !self.peers.iter().any(lacks);
        if !is_confirmed && now < until {
            return;
        }
        let lease = self.lease.until(now);
        out.push(Output::News(News::Promised { is_confirmed, lease }));
        self.promise = Some(Promise { first, until: None });
        if !is_confirmed {
            self.resume(now, out);
        }
    }

    fn resume(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.promise = None;
        self.send(now, out);
    }

    /// The last words before another process goes on.
    pub(super) fn suspend(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.send(now, out);
        self.planned = Nanos::MAX;
    }

    /// In that process. True if it is later than was promised: then it keeps still, as if it had been frozen.
    pub(super) fn go_on(&mut self, now: Nanos) -> bool {
        for peer in &mut self.peers {
            peer.detector.go_on(now);
            peer.told.confirmed = u32::MAX;
        }
        self.promise = None;
        self.next_beat = now;
        self.planned = now;
        let is_late = now >= self.last_beat.saturating_add(PROMISE);
        if is_late {
            self.hush = now.saturating_add(hush(DEADTIME, INTERVAL));
            self.woke = true;
        }
        is_late
    }

    /// The peers that have confirmed what was promised; who came up since has not.
    pub(super) fn who_waits(&self) -> impl Iterator<Item = usize> {
        let first = self.promise.map_or(0, |promise| promise.first);
        let up = self.peers.iter().filter(|peer| peer.detector.is_up());
        up.filter(move |peer| peer.detector.has_confirmed(first))
            .map(|peer| peer.node)
    }

    fn take_in(&mut self, node: usize, sequence: Sequence, now: Nanos, out: &mut Vec<Output>) {
        let mut peers = self.peers.iter_mut();
        let is_news = peers
            .find(|peer| peer.node == node)
            .is_some_and(|peer| peer.detector.take_in(sequence));
        if is_news {
            self.answer = !self.answer;
            self.send(now, out);
        }
    }

    fn say_farewell(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.hush = Nanos(0);
        self.send(now, out);
        self.farewell = Some((self.sequence.low(), now.saturating_add(DEADTIME)));
    }

    fn is_farewell_over(&self, now: Nanos) -> bool {
        let Some((sequence, until)) = self.farewell else {
            return false;
        };
        let needs_no_more =
            |peer: &Watched| !peer.detector.is_up() || peer.is_leaving() || peer.detector.has_confirmed(sequence);
        now >= until || self.peers.iter().all(needs_no_more)
    }

    fn look(&mut self, wake: Wake, slots: &[[Liveness; LINKS]], out: &mut Vec<Output>) {
        let now = wake.now;
        if std::mem::take(&mut self.woke) {
            out.push(Output::News(News::Woke));
        }
        // By what was known before this look: what is heard now cannot undo that the lease was over.
        if self.holds && self.lease.until(now) <= now {
            self.holds = false;
            self.lapsed = true;
        }
        let (wants, is_idle) = (self.advert.wants(), self.advert.is_idle());
        for peer in &mut self.peers {
            let links = slots[peer.node].iter().filter_map(Liveness::heard);
            let findings = peer.detector.look(links, None, wake);
            if findings.graced.is_some() {
                out.push(Output::Graced);
            }
            let echoed = peer.echoed(&self.outbox, now);
            let supports = peer
                .detector
                .newest()
                .filter(|_| peer.detector.is_up())
                .is_some_and(|heard| Differs::between(self.digest, heard.digest).supports(heard.present, self.me));
            let stretch = peer.detector.stretch();
            let holds = peer.detector.confirmed();
            let holds = holds.and_then(|sequence| self.outbox.holds(sequence, stretch));
            self.lease.hear(peer.node, holds, stretch, supports, is_idle, now);
            let (node, had) = (peer.node, peer.detector.had());
            let news = match findings.change {
                Some(Change::Up(heard)) => Some(News::Up {
                    node,
                    heard,
                    had,
                    echoed,
                }),
                Some(Change::Dead(_)) => Some(News::Dead { node }),
                None => peer.tell_echo(echoed, wants).map(|heard| News::Up {
                    node,
                    heard,
                    had,
                    echoed,
                }),
            };
            peer.told = echoed;
            out.extend(news.map(Output::News));
        }
        self.tell_pings(now, out);
        self.tell_lease(now, out);
    }

    /// As many ping nodes count as the peer reached, by its last word: with fewer it may take over from us.
    fn tell_pings(&mut self, now: Nanos, out: &mut Vec<Output>) {
        if self.pings.is_empty() {
            return;
        }
        let theirs = self.peers.iter().filter_map(|peer| peer.detector.newest());
        let needed = theirs.map(|heard| usize::from(heard.pings())).fold(1, usize::max);
        let mut sent = [Nanos(0); PINGS];
        for (sent, known) in sent.iter_mut().zip(&self.pings) {
            *sent = known.map_or(Nanos(0), |(sent, _)| sent);
        }
        sent.sort_unstable_by(|a, b| b.cmp(a));
        self.lease.ping(sent.get(needed - 1).copied().filter(|sent| sent.0 > 0));
        let answers = self.pings.iter().flatten();
        let reached = answers.filter(|(_, came)| now.since(*came) < DEADTIME).count();
        let reached = u8::try_from(reached).unwrap_or(u8::MAX);
        if reached != self.told_pings {
            self.told_pings = reached;
            out.push(Output::News(News::Pings { reached }));
        }
    }

    fn tell_lease(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.holds = self.lease.until(now) > now;
        if std::mem::take(&mut self.lapsed) {
            out.push(Output::News(News::Lease { held: false }));
            self.told_lease = false;
        }
        if self.told_lease != self.holds {
            out.push(Output::News(News::Lease { held: self.holds }));
            self.told_lease = self.holds;
        }
    }

    fn send(&mut self, now: Nanos, out: &mut Vec<Output>) {
        if now < self.hush {
            // Not in one go to the end: another freeze would not be noticed.
            self.next_beat = self.hush.min(now.saturating_add(INTERVAL));
            return;
        }
        self.sequence.0 += 1;
        let stretch = self.promise.map_or(Nanos(0), |_| PROMISE.since(DEADTIME));
        if self.outbox.send(self.sequence.low(), self.advert.edition, now, stretch) {
            self.lease.promise_less(stretch, now);
        }
        self.last_beat = now;
        if self.promise.is_some() {
            for peer in &mut self.peers {
                peer.detector.promise(now.saturating_add(PROMISE), self.sequence.low());
            }
        }
        let span = if self.promise.is_some() { PROMISE } else { INTERVAL };
        let flags = Flags {
            status: self.advert.status,
            maintenance: self.advert.maintenance,
            answer: self.answer,
            pings: self.advert.pings,
        };
        for peer in &self.peers {
            let beat = Heard {
                seen: Nanos(0),
                incarnation: self.incarnation,
                sequence: self.sequence,
                digest: self.digest,
                promise_ms: Beat::promise_ms(span),
                present: self.advert.present_for(peer.node),
                echo: peer.detector.echo(),
                groups: self.advert.groups,
                flags: u32::from(flags.encode()),
            };
            out.push(Output::Beat { to: peer.node, beat });
        }
        // Kept in step with the clock, unless a beat was sent out of turn or is due already.
        let in_step = self.next_beat.saturating_add(INTERVAL);
        let from_now = now.saturating_add(INTERVAL);
        if now >= self.next_beat {
            out.extend((0..self.pings.len()).map(|ping| Output::Ping { ping, sent: now }));
        }
        self.next_beat = if in_step > now && in_step < from_now {
            in_step
        } else {
            from_now
        };
    }
}
