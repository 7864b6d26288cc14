//! The world of [`crate::admit()`] in plain memory: for a host without the maps of the kernel, and for tests.

extern crate std;

use core::cell::{Cell, RefCell, UnsafeCell};
use std::vec;
use std::vec::Vec;

use crate::admit::{self, Payload, World};
use crate::hmac::Midstates;
use crate::liveness::Event;
use crate::peers::{self, Bucket};
use crate::tables::{self, Own, Peer};
use crate::{KeyId, Liveness, Nanos, NodeId, Verdict, verdict};

/// The tables, and what was recorded. One thread's: it is not `Sync`.
#[derive(Debug)]
pub struct Memory {
    own: Own,
    keys: [Midstates; tables::KEYS as usize],
    peers: Vec<(NodeId, Peer)>,
    buckets: Vec<Bucket>,
    mask: u32,
    liveness: Vec<UnsafeCell<Liveness>>,
    counters: RefCell<Vec<u64>>,
    events: RefCell<Vec<Event>>,
    /// The time at which frames arrive.
    pub now: Cell<Nanos>,
}

impl Memory {
    /// Empty tables with room for `slots` links.
    #[must_use]
    pub fn new(own: Own, slots: usize) -> Self {
        Self {
            own,
            keys: [Midstates::default(); tables::KEYS as usize],
            peers: Vec::new(),
            buckets: vec![Bucket::default()],
            mask: 0,
            liveness: (0..slots).map(|_| UnsafeCell::default()).collect(),
            counters: RefCell::new(vec![0; (slots + 1) * verdict::COUNT as usize]),
            events: RefCell::default(),
            now: Cell::default(),
        }
    }

    /// Makes a key valid for receiving.
    ///
    /// # Panics
    ///
    /// If its number is not below [`tables::KEYS`].
    #[must_use]
    pub fn with_key(mut self, id: KeyId, midstates: Midstates) -> Self {
        self.keys[usize::from(id.0)] = midstates;
        self
    }

    /// Adds a node whose beats are wanted.
    ///
    /// # Panics
    ///
    /// If it is nobody.
    #[must_use]
    pub fn with_peer(mut self, id: NodeId, peer: Peer) -> Self {
        self.peers.push((id, peer));
        let mask = peers::mask_for(1, &self.peers);
        let laid_out = mask.and_then(|mask| Some((mask, peers::lay_out(&self.peers, mask)?)));
        (self.mask, self.buckets) = laid_out.expect("a node has a number, and there is room for it");
        self
    }

    /// Judges a frame.
    pub fn admit(&self, frame: &[u8]) -> Verdict {
        admit::admit(&frame, self)
    }

    /// The liveness of a link.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    #[must_use]
    pub fn link(&mut self, slot: u32) -> &Liveness {
        self.liveness[slot as usize].get_mut()
    }

    /// How many frames got this verdict: of the link with this slot, or of no known link.
    #[must_use]
    pub fn counted(&self, slot: Option<u32>, verdict: Verdict) -> u64 {
        self.counters.borrow()[verdict.counter(slot) as usize]
    }

    /// What was announced since this was last asked.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }
}

impl World for Memory {
    fn own(&self) -> Own {
        self.own
    }

    fn key(&self, id: KeyId) -> Option<&Midstates> {
        self.keys.get(usize::from(id.0))
    }

    fn peer(&self, id: NodeId) -> Option<&Peer> {
        peers::find(id, self.mask, |index| self.buckets.get(index as usize))
    }

    fn liveness(&self, slot: u32) -> Option<&mut Liveness> {
        let cell = self.liveness.get(slot as usize)?;
        // SAFETY: only the judging of a frame asks, once, and lets go of it before the next frame; there is one thread,
        // and `link` borrows the whole.
        Some(unsafe { &mut *cell.get() })
    }

    fn now(&self) -> Nanos {
        self.now.get()
    }

    fn tick(&self) -> Nanos {
        self.now.get()
    }

    fn authenticate(&self, beat: &Payload<'_>, key: &Midstates, liveness: &mut Liveness, slot: u32) -> Verdict {
        admit::authenticate(self, beat, key, liveness, slot)
    }

    fn count(&self, counter: u32) {
        self.counters.borrow_mut()[counter as usize] += 1;
    }

    fn announce(&self, event: &Event) {
        self.events.borrow_mut().push(*event);
    }
}
