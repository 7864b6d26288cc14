//! A restart in place, as the thread sees it: what it promises, who has confirmed that, and what goes on in the new process.

use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use hb_ebpf::beat::Beat;
use hb_ebpf::liveness::MAX_PROMISE;
use hb_ebpf::{Nanos, NodeId, Sequence};
use serde::{Deserialize, Serialize};

use super::{Beating, Watched};
use crate::core::{Detector, Echoed, Lease, Outbox, hush};
use crate::pulse::tenure::Tenure;
use crate::pulse::thread::Mailbox;
use crate::pulse::{News, keep};

/// What our beats promise: to be back within `span`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    span: Nanos,
    /// The first beat that said so.
    first: u32,
    /// Until when it has to be confirmed; `None` once that is told.
    until: Option<Nanos>,
}

impl Promise {
    /// When to look whether it was confirmed.
    pub(in crate::pulse) fn deadline(&self) -> Nanos {
        self.until.unwrap_or(Nanos::MAX)
    }
}

/// All that the thread knows, for the one that goes on in its place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Snapshot {
    sequence: Sequence,
    answer: bool,
    outbox: Outbox,
    lease: Lease,
    tenure: Tenure,
    suspended: Nanos,
    resumed: Nanos,
    reached: Option<u8>,
    /// Of each ping node, when it was asked what it has answered.
    answered: Vec<Option<Nanos>>,
    peers: Vec<Known>,
    /// When the last beat left, and the end of what it promised.
    last_beat: Nanos,
    promised: Nanos,
    watchdog: Option<RawFd>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Known {
    node: NodeId,
    detector: Detector,
    told: Echoed,
}

impl Snapshot {
    /// Refuses, with what was expected, what cannot be of a node among so many.
    pub fn check(&self, nodes: usize) -> Result<(), String> {
        if self.sequence > Sequence::MAX {
            return Err(format!(
                "sequence {}: expected at most {}",
                self.sequence.0,
                Sequence::MAX.0
            ));
        }
        if !self.outbox.is_whole() {
            return Err("the beats that were sent: expected as many as are remembered".to_owned());
        }
        if !self.lease.is_among(nodes) {
            return Err(format!("the lease is not among {nodes} nodes"));
        }
        Ok(())
    }

    /// Of a thread that has no peers.
    #[cfg(test)]
    pub(crate) fn for_tests(lease: Lease, outbox: Outbox) -> Self {
        Self {
            sequence: Sequence(1),
            answer: false,
            outbox,
            lease,
            tenure: Tenure::default(),
            suspended: Nanos(0),
            resumed: Nanos(0),
            reached: None,
            answered: vec![None],
            peers: Vec::new(),
            last_beat: Nanos(0),
            promised: Nanos(0),
            watchdog: None,
        }
    }

    /// When the last beat left.
    #[must_use]
    pub fn last_beat(&self) -> Nanos {
        self.last_beat
    }

    /// The descriptor of the armed watchdog.
    #[must_use]
    pub fn watchdog(&self) -> Option<RawFd> {
        self.watchdog
    }

    /// When each ping node was asked what it has answered last.
    #[must_use]
    pub fn answered(&self) -> &[Option<Nanos>] {
        &self.answered
    }
}

impl Beating {
    /// Our beats promise so much from now on, the next of them at once.
    pub(in crate::pulse) fn begin_promise(&mut self, span: Nanos, now: Nanos) {
        self.promise = Some(Promise {
            span,
            first: self.sequence.low().wrapping_add(1),
            until: Some(now.saturating_add(self.settings.timing.deadtime)),
        });
        self.send(now);
    }

    /// What the beat that is about to leave promises, in milliseconds; all who rely on promises are told.
    pub(in crate::pulse) fn promise(&mut self, now: Nanos) -> u16 {
        let (interval, deadtime) = (self.settings.interval, self.settings.timing.deadtime);
        let span = self.promise.map(|promise| promise.span);
        let stretch = span.map_or(Nanos(0), |span| span.min(MAX_PROMISE).since(deadtime));
        if self.outbox.send(self.sequence.low(), self.advert.edition, now, stretch) {
            self.settings.lease.promise_less(stretch, now);
        }
        self.last_beat = now;
        if let Some(span) = span {
            for peer in &mut self.peers {
                peer.detector.promise(now.saturating_add(span), self.sequence.low());
            }
        }
        Beat::promise_ms(span.unwrap_or(interval))
    }

    /// Tells whether all peers that are up have confirmed the promise, when they have or it is late for that.
    pub(in crate::pulse) fn confirm_promise(&mut self, now: Nanos, mailbox: &mut Mailbox) {
        let Some(promise) = &mut self.promise else { return };
        let Some(until) = promise.until else { return };
        let lacks = |peer: &&Watched| {
            peer.detector.is_up() && !peer.is_leaving() && !peer.detector.has_confirmed(promise.first)
        };
        let lacking = self.peers.iter().find(lacks).map(|peer| peer.node);
        if lacking.is_some() && now < until {
            return;
        }
        let lease = self.settings.lease.until(now);
        if !mailbox.tell(News::Promised { lacking, lease }) {
            return;
        }
        promise.until = None;
        if lacking.is_some() {
            self.resume(now);
        }
    }

    /// What goes on in a new process. To suspend, we promise once more, and say nothing after that.
    pub(in crate::pulse) fn snapshot(&mut self, suspend: bool, now: Nanos) -> Snapshot {
        if suspend {
            self.send(now);
            self.is_suspended = true;
        }
        self.keep_watchdog(suspend);
        let span = self.promise.map_or(Nanos(0), |promise| promise.span);
        let pings = self.settings.pings.as_ref();
        Snapshot {
            sequence: self.sequence,
            answer: self.answer,
            outbox: self.outbox.clone(),
            lease: self.settings.lease.clone(),
            tenure: self.tenure,
            suspended: self.suspended,
            resumed: self.resumed,
            reached: self.reached,
            answered: pings.map_or_else(Vec::new, |pings| pings.reach.all_answered()),
            peers: self.peers.iter().map(Known::of).collect(),
            watchdog: self.means.watchdog.as_ref().map(|device| device.as_fd().as_raw_fd()),
            last_beat: self.last_beat,
            promised: self.last_beat.saturating_add(span),
        }
    }

    pub(in crate::pulse) fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// There is no restart, or none any more: the next beat says so, at once.
    pub(in crate::pulse) fn resume(&mut self, now: Nanos) {
        self.promise = None;
        self.is_suspended = false;
        self.keep_watchdog(false);
        self.send(now);
    }

    /// Goes on where a former process has left off. Whoever is late was as good as frozen: others may have taken over.
    pub(in crate::pulse) fn go_on(&mut self, former: Snapshot, now: Nanos) {
        for known in former.peers {
            let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == known.node) else {
                continue;
            };
            peer.detector = known.detector;
            peer.detector.set_timing(self.settings.timing);
            peer.detector.go_on(now);
            // No edition: what was told and not read is told again.
            peer.told = Echoed {
                confirmed: u32::MAX,
                ..known.told
            };
        }
        self.settings.lease.inherit(&former.lease, (0..).map(Some));
        self.sequence = former.sequence;
        self.answer = former.answer;
        self.outbox = former.outbox;
        self.tenure = former.tenure;
        self.suspended = former.suspended;
        self.resumed = former.resumed;
        self.reached = former.reached;
        self.last_beat = former.last_beat;
        self.next_beat = now;
        if now >= former.promised && !self.peers.is_empty() {
            self.hush = now.saturating_add(hush(self.settings.timing.deadtime, self.settings.interval));
            self.woke = Some(now.since(former.last_beat));
        }
    }

    /// The device is armed: it lives on in the new process, or bites.
    fn keep_watchdog(&self, is_kept: bool) {
        if let Some(watchdog) = &self.means.watchdog {
            // It fails for no open descriptor.
            let _ = keep(watchdog, is_kept);
        }
    }
}

impl Known {
    fn of(peer: &Watched) -> Self {
        Self {
            node: peer.node,
            detector: peer.detector.clone(),
            told: peer.told,
        }
    }
}
