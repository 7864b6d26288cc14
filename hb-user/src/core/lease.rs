//! Ownership as a lease: until when may we own anything, given who has heard us?
//!
//! Others declare us dead no earlier than a deadtime after they *received* a beat of ours, so no earlier than a deadtime
//! after we *sent* it; they echo what they received. We may own until a deadtime less one interval after we sent the
//! newest beat that enough others have heard. That is before anybody's deadline for us, on no clock but our own
//! (C. Gray, D. Cheriton: Leases, 1989).
//!
//! Before a restart a node promises to be silent for longer than a deadtime. Who hears that is patient for as long, so a
//! beat that promised more holds for longer; and who promises it counts nobody as gone before the promise is over, so its
//! support holds for as long. Such a time is called *stretched*: it is later than the sending by the excess.

use hb_ebpf::Nanos;
use serde::{Deserialize, Serialize};

use super::{Quorum, Settings};

/// What one peer does for our lease.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Supporter {
    /// When we sent the newest beat that it has heard, stretched.
    heard: Nanos,
    /// By how much its own newest promise stretches its support.
    stretch: Nanos,
    /// From when on that counts; `None` while the peer counts us as gone.
    counts_from: Option<Nanos>,
}

/// Our lease.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lease {
    quorum: Quorum,
    /// How many others have to have heard us.
    needed: usize,
    span: Nanos,
    deadtime: Nanos,
    peers: Vec<Supporter>,
    pinged: Option<Nanos>,
}

impl Lease {
    /// A lease that nobody supports yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            quorum: settings.quorum,
            needed: match settings.quorum {
                Quorum::None => 0,
                Quorum::Pings => 1,
                Quorum::Majority => settings.majority() - 1,
            },
            span: settings.lease(),
            deadtime: settings.deadtime,
            peers: vec![Supporter::default(); settings.nodes],
            pinged: None,
        }
    }

    /// The newest beat of node `node` says that it has heard what we sent at `heard`, stretched, and whether it counts us as
    /// up. `stretch`: by how much longer than a deadtime it promises to count nobody as gone. `is_idle`: we own nothing
    /// and want nothing. Does not allocate.
    ///
    /// A node that counted us as gone may have said so to somebody who takes over from us. That word is good for less
    /// than a deadtime. So its support counts only after one, unless we have nothing that could be taken over.
    pub fn hear(
        &mut self,
        node: usize,
        heard: Option<Nanos>,
        stretch: Nanos,
        supports: bool,
        is_idle: bool,
        now: Nanos,
    ) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        if stretch < std::mem::replace(&mut peer.stretch, stretch) {
            // It is back. From the moment that it hears we know it, it counts deadtimes again.
            peer.heard = peer.heard.min(now.saturating_add(stretch));
        }
        // While its support was not over it cannot have counted us as gone, even if we did not hear it.
        let is_over = now > peer.heard.saturating_add(self.span);
        let wait = if is_idle { Nanos(0) } else { self.deadtime };
        peer.counts_from = match (supports, peer.counts_from) {
            (false, _) => None,
            (true, Some(from)) if !is_over => Some(from),
            (true, Some(_) | None) => Some(now.saturating_add(wait)),
        };
        peer.heard = heard.unwrap_or_default().max(peer.heard);
    }

    /// A beat leaves that promises less than those before: who hears it is patient from now on only, and no longer than it
    /// says. `stretch`: by how much that is longer than a deadtime.
    pub fn promise_less(&mut self, stretch: Nanos, now: Nanos) {
        for peer in &mut self.peers {
            peer.heard = peer.heard.min(now.saturating_add(stretch));
        }
    }

    /// Whether what was read from a file can be the lease of a node among so many: the rest counts on it.
    #[must_use]
    pub fn is_among(&self, nodes: usize) -> bool {
        self.peers.len() == nodes
    }

    /// Goes on from what is known already; for each node its old index, if it had one.
    pub fn inherit(&mut self, old: &Self, nodes: impl Iterator<Item = Option<usize>>) {
        for (peer, from) in self.peers.iter_mut().zip(nodes) {
            *peer = from.and_then(|from| old.peers.get(from).copied()).unwrap_or_default();
        }
        self.pinged = old.pinged;
        // What was sent before holds for as long as it was sent for: others see in it that our configuration is another,
        // and go by that.
        let (longer, shorter) = (self.span.since(old.span), old.span.since(self.span));
        self.age(longer);
        for peer in &mut self.peers {
            peer.heard = peer.heard.saturating_add(shorter);
        }
        self.pinged = self.pinged.map(|sent| sent.saturating_add(shorter));
    }

    /// How much longer than under another lease a beat holds.
    #[must_use]
    pub fn longer_than(&self, other: &Self) -> Nanos {
        self.span.since(other.span)
    }

    /// Whether ping nodes decide.
    #[must_use]
    pub fn depends_on_pings(&self) -> bool {
        self.quorum == Quorum::Pings
    }

    /// Counts as answered now: nobody had to answer before.
    pub fn begin(&mut self, now: Nanos) {
        self.pinged = Some(now);
    }

    /// All that was heard is older than our clock says: that stood still for so long.
    pub fn age(&mut self, span: Nanos) {
        let older = |time: Nanos| Nanos(time.0.saturating_sub(span.0));
        for peer in &mut self.peers {
            peer.heard = older(peer.heard);
        }
        self.pinged = self.pinged.map(older);
    }

    /// Ping nodes, as many as it takes, have answered what we sent at this time. What they answered before stays answered.
    pub fn ping(&mut self, sent: Option<Nanos>) {
        self.pinged = self.pinged.max(sent);
    }

    /// When the lease ends, by what is known now.
    #[must_use]
    pub fn until(&self, now: Nanos) -> Nanos {
        let counts = |peer: &&Supporter| peer.counts_from.is_some_and(|from| from <= now);
        let heard = self.peers.iter().filter(counts).map(|peer| peer.heard);
        let newest = match self.quorum {
            Quorum::None => return Nanos::MAX,
            Quorum::Pings => heard.chain(self.pinged).max(),
            Quorum::Majority => nth_newest(heard, self.needed),
        };
        newest.map_or(Nanos(0), |sent| sent.saturating_add(self.span))
    }
}

/// The `n`th greatest of at most 16 times, counted from 1, without allocating.
fn nth_newest(times: impl Iterator<Item = Nanos>, n: usize) -> Option<Nanos> {
    let mut newest = [Nanos(0); 16];
    let mut count = 0;
    for time in times.take(newest.len()) {
        let place = newest[..count].partition_point(|other| *other > time);
        newest[place..=count].rotate_right(1);
        newest[place] = time;
        count += 1;
    }
    newest[..count].get(n.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests;
