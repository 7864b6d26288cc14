//! The loop.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc;

use hb_ebpf::beat::{Beat, Flags, Status};
use hb_ebpf::{Heard, Nanos, Sequence};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::socket::Route;
use super::wake::{Alarm, Bell};
use super::{Means, News, Order, OrderSender, Pulse, PulseError, Realtime, Settings, Stats};
use crate::clock;
use crate::core::{Advert, Change, Detector, Differs, Echoed, Outbox, Wake};

/// News for the controller that fit before it reads. It is told levels, so what does not fit is told later.
const NEWS: usize = 256;
/// Orders that fit before the thread reads.
const ORDERS: usize = 64;

pub(super) fn start(settings: Settings, means: Means) -> Result<Pulse, PulseError> {
    let (news_in, news_out) = rtrb::RingBuffer::new(NEWS);
    let (orders_in, orders_out) = rtrb::RingBuffer::new(ORDERS);
    let news_bell = Bell::new()?;
    let order_bell = Bell::new()?;
    let stats = Arc::new(Stats::default());
    let (granted_in, granted) = mpsc::channel();

    let beating = Beating::new(settings, means, stats.clone())?;
    let mailbox = Mailbox {
        news: news_in,
        news_bell: news_bell.clone(),
        orders: orders_out,
        order_bell: order_bell.clone(),
    };
    let thread = std::thread::Builder::new().name("hb-pulse".into()).spawn(move || {
        // The one who waits for it cannot be gone.
        let _ = granted_in.send(Realtime::ask());
        // Rings when the thread ends, also by a panic: the controller must not go on without it.
        let _last = LastRing(mailbox.news_bell.clone());
        run(beating, mailbox);
    })?;
    let realtime = granted
        .recv()
        .map_err(|_| io::Error::other("the thread ended at once"))?;
    let orders = OrderSender {
        queue: orders_in,
        bell: order_bell,
    };
    Ok(Pulse {
        news: news_out,
        bell: news_bell,
        orders,
        stats,
        realtime,
        thread: Some(thread),
    })
}

struct LastRing(Bell);

impl Drop for LastRing {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// The thread's ends of the queues.
struct Mailbox {
    news: rtrb::Producer<News>,
    news_bell: Bell,
    orders: rtrb::Consumer<Order>,
    order_bell: Bell,
}

fn run(mut beating: Beating, mut mailbox: Mailbox) {
    beating.send(clock::now());
    loop {
        let planned = beating.next(clock::now());
        let wake = beating.sleep(planned, &mailbox.order_bell);
        beating.drain_events();
        beating.notice_freeze(wake);
        mailbox.order_bell.silence();
        while let Ok(order) = mailbox.orders.pop() {
            match order {
                Order::Advertise(advert) => beating.advertise(advert, wake.now),
                Order::TakenIn { peer, sequence } => beating.take_in(peer, sequence, wake.now),
                Order::Farewell => beating.farewell(wake.now),
                Order::Stop => return,
            }
        }
        beating.look(wake, &mut mailbox);
        if wake.now >= beating.next_beat {
            beating.send(wake.now);
        }
        if beating.is_farewell_over(wake.now) {
            if mailbox.tell(News::Gone) {
                return;
            }
            beating.farewell(wake.now);
        }
    }
}

impl Mailbox {
    /// False if the queue is full.
    fn tell(&mut self, news: News) -> bool {
        let told = self.news.push(news).is_ok();
        self.news_bell.ring();
        told
    }
}

/// The farewell: what the peers should confirm, and until when it is repeated.
#[derive(Clone, Copy)]
struct Farewell {
    sequence: u32,
    until: Nanos,
}

struct Watched {
    detector: Detector,
    routes: Vec<Route>,
    slots: Vec<u32>,
    /// What the controller knows of the peer's echo.
    told: Echoed,
    /// News that did not fit the queue.
    untold: Option<News>,
}

impl Watched {
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

struct Beating {
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
    /// Whether we hold our lease, and what the controller was told: of each end, too.
    lease: bool,
    told_lease: bool,
    lapsed: bool,
    farewell: Option<Farewell>,
    /// Why the kernel refuses beats, and what the controller was told of it.
    refusal: Option<Errno>,
    told_refusal: Option<Errno>,
}

impl Beating {
    fn new(settings: Settings, means: Means, stats: Arc<Stats>) -> io::Result<Self> {
        let now = clock::now();
        let mut peers = Vec::with_capacity(settings.peers.len());
        for peer in &settings.peers {
            let routes = peer
                .links
                .iter()
                .map(|link| means.sockets.route(&link.interface, link.address));
            peers.push(Watched {
                detector: Detector::new(settings.timing, settings.incarnation, now),
                routes: routes
                    .collect::<Option<_>>()
                    .ok_or_else(|| io::Error::other("a link has no socket"))?,
                slots: peer.links.iter().map(|link| link.slot).collect(),
                told: Echoed::default(),
                untold: None,
            });
        }
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
            lease: false,
            told_lease: false,
            lapsed: false,
            farewell: None,
            refusal: None,
            told_refusal: None,
        })
    }

    /// The earliest of the next beat, the next deadline and the end of the lease.
    fn next(&self, now: Nanos) -> Nanos {
        let deadlines = self.peers.iter().map(|peer| peer.detector.deadline());
        let until = self.farewell.map_or(Nanos::MAX, |farewell| farewell.until);
        let lease = if self.lease {
            self.settings.lease.until(now)
        } else {
            Nanos::MAX
        };
        deadlines.fold(self.next_beat.min(until).min(lease), Nanos::min)
    }

    /// Who was frozen for longer than a deadtime says nothing for one: others may have taken over, and it would only
    /// confuse them with what was.
    fn notice_freeze(&mut self, wake: Wake) {
        let deadtime = self.settings.timing.deadtime;
        if wake.was_frozen(deadtime) && !self.peers.is_empty() {
            self.hush = wake.now.saturating_add(deadtime);
            self.woke = Some(wake.lateness());
        }
    }

    /// Sleeps until `planned`, an event or an order.
    fn sleep(&self, planned: Nanos, orders: &Bell) -> Wake {
        // Neither can fail with what we pass; should it, we look and try again, which is busy but not wrong.
        let _ = self.alarm.set(planned);
        let mut fds = [
            PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.means.events.as_fd(), PollFlags::POLLIN),
            PollFd::new(orders.as_fd(), PollFlags::POLLIN),
        ];
        self.stats.plan(planned);
        let _ = poll(&mut fds, PollTimeout::NONE);
        let wake = Wake {
            now: clock::now(),
            planned,
            sent: self.sequence.low(),
        };
        self.stats.count_wake(wake.lateness());
        wake
    }

    /// Events only wake: what they are about is in the map.
    fn drain_events(&mut self) {
        while self.means.events.next().is_some() {}
    }

    fn advertise(&mut self, advert: Advert, now: Nanos) {
        self.advert = advert;
        self.send(now);
    }

    fn take_in(&mut self, peer: usize, sequence: Sequence, now: Nanos) {
        let is_news = self
            .peers
            .get_mut(peer)
            .is_some_and(|peer| peer.detector.take_in(sequence));
        if is_news {
            self.answer = !self.answer;
            self.send(now);
        }
    }

    fn farewell(&mut self, now: Nanos) {
        self.send(now);
        let until = now.saturating_add(self.settings.timing.deadtime);
        self.farewell = Some(Farewell {
            sequence: self.sequence.low(),
            until,
        });
    }

    fn is_farewell_over(&self, now: Nanos) -> bool {
        let Some(farewell) = self.farewell else { return false };
        let needs_no_more = |peer: &Watched| {
            !peer.detector.is_up() || peer.is_leaving() || peer.detector.has_confirmed(farewell.sequence)
        };
        now >= farewell.until || self.peers.iter().all(needs_no_more)
    }

    /// Asks every detector what it makes of its links.
    fn look(&mut self, wake: Wake, mailbox: &mut Mailbox) {
        if self.refusal != self.told_refusal && mailbox.tell(News::Sending { error: self.refusal }) {
            self.told_refusal = self.refusal;
        }
        if let Some(late) = self.woke
            && mailbox.tell(News::Woke { late })
        {
            self.woke = None;
        }
        // By what was known before this look: what is heard now cannot undo that the lease was over.
        self.end_lease(wake.now);
        let (wants, is_idle) = (self.advert.wants(), self.advert.is_idle());
        let liveness = &self.means.liveness;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let links = peer.slots.iter().filter_map(|slot| liveness.get(*slot)?.heard());
            let findings = peer.detector.look(links, wake);
            if let Some(gap) = findings.late_beat {
                mailbox.tell(News::LateBeat { peer: index, gap });
            }
            if let Some(late) = findings.graced {
                mailbox.tell(News::Graced { peer: index, late });
            }
            let echoed = peer.echoed(&self.outbox, wake.now);
            let supports = peer
                .detector
                .newest()
                .filter(|_| peer.detector.is_up())
                .is_some_and(|heard| {
                    heard.present & (1 << self.settings.index) != 0
                        && Differs::between(self.settings.digest, heard.digest).keeps_our_time()
                });
            let node = self.settings.peers[index].index;
            self.settings
                .lease
                .hear(node, Some(echoed.heard_us), supports, is_idle, wake.now);

            let change = match findings.change {
                Some(Change::Up(heard)) => Some(News::Up {
                    peer: index,
                    heard,
                    echoed,
                }),
                Some(Change::Dead(silence)) => Some(News::Dead { peer: index, silence }),
                None => peer.tell_echo(echoed, wants).map(|heard| News::Up {
                    peer: index,
                    heard,
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
        self.tell_lease(wake.now, mailbox);
    }

    fn end_lease(&mut self, now: Nanos) {
        if self.lease && self.settings.lease.until(now) <= now {
            self.lease = false;
            self.lapsed = true;
        }
    }

    /// Tells each end of the lease, even of one that has begun again.
    fn tell_lease(&mut self, now: Nanos, mailbox: &mut Mailbox) {
        self.lease = self.settings.lease.until(now) > now;
        if self.lapsed && mailbox.tell(News::Lease { held: false }) {
            self.lapsed = false;
            self.told_lease = false;
        }
        if !self.lapsed && self.told_lease != self.lease && mailbox.tell(News::Lease { held: self.lease }) {
            self.told_lease = self.lease;
        }
    }

    /// Sends one beat over each link, and plans the next.
    fn send(&mut self, now: Nanos) {
        if now < self.hush {
            // Not in one go to the end: another freeze would not be noticed.
            self.next_beat = self.hush.min(now.saturating_add(self.settings.interval));
            return;
        }
        self.sequence.0 += 1;
        self.outbox.send(self.sequence.low(), self.advert.edition, now);
        self.refusal = None;
        for (peer, watched) in self.settings.peers.iter().zip(&self.peers) {
            let beat = Beat {
                key: self.settings.key,
                source: self.settings.me,
                destination: peer.node,
                incarnation: self.settings.incarnation,
                digest: self.settings.digest,
                promise_ms: Beat::promise_ms(self.settings.interval),
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
